import { SeededRandom } from '../../src/core/random.ts';
import { HostRegion } from '../../src/memory/region.ts';

/** A prime: no piece of a stream repeats at a distance that a mistake would have. */
const PATTERN_BYTES = 1_048_583;
/** Streams begin at multiples of this many bytes in the pattern. */
const STREAM_STRIDE = 7919;

/** What all streams are made of, endlessly repeated. */
export const PATTERN: HostRegion = new HostRegion(PATTERN_BYTES);
const words = new SeededRandom(20_261_122);
for (let i = 0; i < PATTERN_BYTES; i++) PATTERN.mapping[i] = words.u32() >>> 24;

/** A stream of bytes that anyone can check at any offset, without keeping it. */
export class PatternStream {
  readonly #first: number;

  constructor(id: number) {
    this.#first = (id * STREAM_STRIDE) % PATTERN_BYTES;
  }

  /** Where the byte at an offset of the stream lies in `PATTERN`. */
  place(offset: number): number {
    return (this.#first + offset) % PATTERN_BYTES;
  }

  /** How many bytes from there lie in one piece, at most `limit`. */
  run(offset: number, limit: number): number {
    return Math.min(limit, PATTERN_BYTES - this.place(offset));
  }

  /** Whether these bytes are the stream's from `offset` on. */
  matches(bytes: Uint8Array, at: number, length: number, offset: number): boolean {
    let done = 0;
    while (done < length) {
      const place = this.place(offset + done);
      const step = this.run(offset + done, length - done);
      if (compare(bytes, at + done, place, step) !== 0) return false;
      done += step;
    }
    return true;
  }
}

function compare(bytes: Uint8Array, at: number, place: number, length: number): number {
  return Buffer.compare(bytes.subarray(at, at + length), PATTERN.mapping.subarray(place, place + length));
}
