/**
 * What every codec of `src/wire` must do, whatever its header: round trip, refuse every truncation, survive any bytes,
 * and look at nothing outside the bytes it was given.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';

export interface Codec<Fields extends object> {
  readonly name: string;
  /** Fields that the header can express; what `read` answers must equal what `emit` was given. */
  readonly fields: fc.Arbitrary<Fields>;
  /** Writes the header at `offset`; returns its length. */
  emit(bytes: Uint8Array, view: DataView, offset: number, fields: Fields): number;
  /** The header's length, or a negative verdict. */
  check(bytes: Uint8Array, view: DataView, offset: number, end: number): number;
  read(bytes: Uint8Array, view: DataView, offset: number, end: number): Fields;
  describe(bytes: Uint8Array, view: DataView, offset: number, end: number): string;
  /** Fewer leading bytes that `check` is content with, where a header may be cut behind its fixed part. */
  readonly leastBytes?: number;
}

const ROOM_BYTES = 256;
const MAX_OFFSET = 7;

const offsets = fc.integer({ min: 0, max: MAX_OFFSET });

/** Defines the tests; call it at the top of a test file, once a codec. */
export function codecSuite<Fields extends object>(codec: Codec<Fields>): void {
  test(`${codec.name}: reads back what it wrote, at any offset, and writes nothing else`, () => {
    fc.assert(
      fc.property(codec.fields, offsets, fc.integer({ min: 0, max: 255 }), (fields, offset, filler) => {
        const { bytes, view } = buffer(ROOM_BYTES, filler);
        const length = codec.emit(bytes, view, offset, fields);
        assert.equal(codec.check(bytes, view, offset, offset + length), length);
        // fast-check's records have no prototype; a spread has.
        assert.deepEqual(codec.read(bytes, view, offset, offset + length), { ...fields });
        assert.notEqual(codec.describe(bytes, view, offset, offset + length), '');
        for (let i = 0; i < ROOM_BYTES; i++) {
          if (i < offset || i >= offset + length) assert.equal(bytes[i], filler, `byte ${i} outside was written`);
        }
      }),
    );
  });

  test(`${codec.name}: refuses its header cut at every byte`, () => {
    fc.assert(
      fc.property(codec.fields, offsets, (fields, offset) => {
        const { bytes, view } = buffer(ROOM_BYTES, 0);
        const length = codec.emit(bytes, view, offset, fields);
        for (let cut = 0; cut < (codec.leastBytes ?? length); cut++) {
          const whole = codec.check(bytes, view, offset, offset + cut);
          assert.ok(whole < 0, `${cut} of ${length} bytes were accepted`);
          const exact = view.buffer.slice(0, offset + cut);
          assert.equal(codec.check(new Uint8Array(exact), new DataView(exact), offset, offset + cut), whole);
        }
      }),
      { numRuns: 20 },
    );
  });

  test(`${codec.name}: any bytes get a verdict, which no byte outside can change`, () => {
    const contents = fc.oneof(fc.uint8Array({ maxLength: 128 }), damaged(codec));
    fc.assert(
      fc.property(contents, offsets, (content, offset) => {
        const results = [0x00, 0xff].map((filler) => {
          const { bytes, view } = buffer(offset + content.length + ROOM_BYTES, filler);
          bytes.set(content, offset);
          return observe(codec, bytes, view, offset, offset + content.length);
        });
        // A buffer that ends where the content does: a view read beyond it would throw.
        const { bytes, view } = buffer(offset + content.length, 0x55);
        bytes.set(content, offset);
        results.push(observe(codec, bytes, view, offset, bytes.length));
        assert.deepEqual(results[1], results[0]);
        assert.deepEqual(results[2], results[0]);
      }),
      { numRuns: 400 },
    );
  });
}

/** Headers as they would be emitted, with a few bytes changed: random bytes alone seldom get past the first check. */
function damaged<Fields extends object>(codec: Codec<Fields>): fc.Arbitrary<Uint8Array> {
  const change = fc.tuple(fc.nat({ max: 63 }), fc.integer({ min: 0, max: 255 }));
  return fc
    .tuple(codec.fields, fc.array(change, { maxLength: 3 }), fc.nat({ max: 8 }))
    .map(([fields, changes, cut]) => {
      const { bytes, view } = buffer(ROOM_BYTES, 0);
      const length = codec.emit(bytes, view, 0, fields);
      for (const [at, value] of changes) bytes[at % length] = value;
      return bytes.slice(0, Math.max(0, length - (cut > 4 ? cut - 4 : 0)));
    });
}

function observe<Fields extends object>(
  codec: Codec<Fields>,
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  end: number,
): { verdict: number; fields: Fields | null; text: string } {
  const verdict = codec.check(bytes, view, offset, end);
  assert.ok(Number.isInteger(verdict) && verdict <= end - offset, `${verdict} of ${end - offset} bytes`);
  if (verdict < 0) return { verdict, fields: null, text: '' };
  return {
    verdict,
    fields: codec.read(bytes, view, offset, end),
    text: codec.describe(bytes, view, offset, end),
  };
}

/** A buffer of `length` bytes, all `filler`, with its view. */
export function buffer(length: number, filler = 0): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(length).fill(filler);
  return { bytes, view: new DataView(bytes.buffer) };
}

/** Bytes from hexadecimal digits; white space is ignored. */
export function fromHex(text: string): { bytes: Uint8Array; view: DataView } {
  const digits = text.replaceAll(/\s/g, '');
  assert.match(digits, /^(?:[0-9a-f]{2})*$/i);
  const bytes = Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  return { bytes, view: new DataView(bytes.buffer) };
}

export const u8: fc.Arbitrary<number> = fc.integer({ min: 0, max: 0xff });
export const u16: fc.Arbitrary<number> = fc.integer({ min: 0, max: 0xffff });
export const u32: fc.Arbitrary<number> = fc.integer({ min: 0, max: 0xffff_ffff });
export const i32: fc.Arbitrary<number> = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff });
export const macs: fc.Arbitrary<Uint8Array> = fc.uint8Array({ minLength: 6, maxLength: 6 });
