import { InvalidArgumentError } from 'commander';

/** A full period must fit in what is compared at once; 64 KiB is the largest fragment. */
const BLOCK_BYTES = 65_536;
export const MIN_PATTERN = 2;
export const MAX_PATTERN = 256;
/** What `--validate` without a number means: the example in ncdevmem's own usage text. */
export const DEFAULT_PATTERN = 7;

/**
 * ncdevmem's test pattern (tools/testing/selftests/drivers/net/hw/ncdevmem.c, `-v N`): the bytes 1, 2, ... N-1 and a
 * newline, over and over, which is what `yes $(echo -e \\x01\\x02...)` prints. Checks a stream as it comes, in pieces.
 */
export class PatternCheck {
  readonly period: number;
  /** Offset in the stream of the first wrong byte, or -1. */
  mismatchOffset = -1;
  expectedByte = 0;
  actualByte = 0;
  #position = 0;
  readonly #expected: Buffer;

  constructor(period: number) {
    this.period = period;
    this.#expected = Buffer.from(patternBytes(period, BLOCK_BYTES + period));
  }

  /** Stream bytes checked. */
  get checkedBytes(): number {
    return this.#position;
  }

  /** Compares the next bytes of the stream; false from the first difference on. */
  update(bytes: Buffer, offset: number, length: number): boolean {
    let done = 0;
    while (done < length && this.mismatchOffset < 0) {
      const phase = this.#position % this.period;
      const size = Math.min(BLOCK_BYTES, length - done);
      if (this.#expected.compare(bytes, offset + done, offset + done + size, phase, phase + size) !== 0) {
        this.#locate(bytes, offset + done, size, phase);
      } else {
        this.#position += size;
        done += size;
      }
    }
    return this.mismatchOffset < 0;
  }

  #locate(bytes: Buffer, offset: number, size: number, phase: number): void {
    for (let i = 0; i < size; i++) {
      if (bytes[offset + i] === this.#expected[phase + i]) continue;
      this.mismatchOffset = this.#position + i;
      this.expectedByte = this.#expected[phase + i]!;
      this.actualByte = bytes[offset + i]!;
      return;
    }
  }
}

/** The first `length` bytes of the pattern. */
export function patternBytes(period: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = i % period === period - 1 ? 0x0a : (i % period) + 1;
  return bytes;
}

/** The period in `--validate 7`. */
export function patternArgument(text: string): number {
  const period = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (period >= MIN_PATTERN && period <= MAX_PATTERN) return period;
  throw new InvalidArgumentError(`Give a period from ${MIN_PATTERN} to ${MAX_PATTERN}.`);
}
