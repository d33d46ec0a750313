import assert from 'node:assert/strict';
import { TRUNCATED, verdictName } from '../src/wire/verdict.ts';

/** Where a header lies in a buffer: at `offset`, with the bytes at hand ending at `end`. */
export interface Place {
  bytes: Uint8Array;
  view: DataView;
  offset: number;
  end: number;
}

const MARGIN_BYTES = 61;

/** `input` alone in its buffer, so that a view read beyond it throws. */
export function exactly(input: Uint8Array): Place {
  const bytes = Uint8Array.from(input);
  return { bytes, view: new DataView(bytes.buffer), offset: 0, end: bytes.length };
}

/** `input` at an odd offset between bytes that are not its own. */
export function surrounded(input: Uint8Array, filler: number): Place {
  const bytes = new Uint8Array(input.length + 2 * MARGIN_BYTES).fill(filler);
  bytes.set(input, MARGIN_BYTES);
  return { bytes, view: new DataView(bytes.buffer), offset: MARGIN_BYTES, end: MARGIN_BYTES + input.length };
}

/**
 * What `read` answers must depend on the input only: not on where in a buffer it lies, nor on what lies around it. And
 * it must leave the buffer as it was.
 */
export function sameEverywhere(input: Uint8Array, read: (place: Place) => unknown): void {
  let first: string | undefined;
  for (const place of [exactly(input), surrounded(input, 0), surrounded(input, 0xff)]) {
    const before = Uint8Array.from(place.bytes);
    const answer = JSON.stringify(read(place)) ?? '';
    first ??= answer;
    assert.equal(answer, first, 'the answer depends on what surrounds the input');
    assert.ok(Buffer.compare(before, place.bytes) === 0, 'a reader has written');
  }
}

/** A check answers a length within the input, or a verdict that has a name. */
export function assertVerdict(verdict: number, inputBytes: number): void {
  assert.ok(Number.isInteger(verdict) && verdict <= inputBytes, `${verdict} for ${inputBytes} bytes`);
  if (verdict < 0) assert.doesNotMatch(verdictName(verdict), /\d/, `verdict ${verdict} has no name`);
}

/**
 * A header that passes its check with `verdict` as its length must be refused as truncated with a byte less, and must
 * not need more bytes than that.
 */
export function assertTight(
  place: Place,
  verdict: number,
  check: (bytes: Uint8Array, offset: number, end: number) => number,
): void {
  if (verdict < 0) return;
  assert.equal(check(place.bytes, place.offset, place.offset + verdict), verdict);
  if (verdict > 0) assert.equal(check(place.bytes, place.offset, place.offset + verdict - 1), TRUNCATED);
}
