import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { IpAddress } from '../../src/wire/address.ts';
import {
  adjustChecksum,
  foldChecksum,
  foldSum,
  foldUdpChecksum,
  pseudoHeaderSum4,
  pseudoHeaderSum6,
  sumAt,
  sumBytes,
} from '../../src/wire/checksum.ts';
import { buffer, fromHex, u32 } from '../../testing/codec-suite.ts';

/** RFC 1071 §1, word for word: 16-bit words, end-around carry after each addition. */
function naiveSum(data: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < data.length; i += 2) {
    sum += data[i]! * 256 + (data[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

const data = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ minLength: 1400, maxLength: 1600 }));

/** The data at an odd or even offset of a buffer full of ones. */
function placed(content: Uint8Array, offset: number): { bytes: Uint8Array; view: DataView } {
  const room = buffer(offset + content.length + 40, 0xff);
  room.bytes.set(content, offset);
  return room;
}

describe('sumBytes', () => {
  test('equals the naive sum for every length and offset', () => {
    const content = Uint8Array.from({ length: 150 }, (_, i) => (i * 167 + 91) & 0xff);
    for (let length = 0; length <= content.length; length++) {
      for (let offset = 0; offset < 5; offset++) {
        const { bytes, view } = placed(content.subarray(0, length), offset);
        assert.equal(foldSum(sumBytes(bytes, view, offset, length)), naiveSum(content.subarray(0, length)));
      }
    }
  });

  test('equals the naive sum for any bytes', () => {
    fc.assert(
      fc.property(data, fc.nat({ max: 9 }), (content, offset) => {
        const { bytes, view } = placed(content, offset);
        assert.equal(foldSum(sumBytes(bytes, view, offset, content.length)), naiveSum(content));
      }),
    );
  });

  test('of parts, cut anywhere, adds up to that of the whole', () => {
    fc.assert(
      fc.property(
        data,
        fc.array(fc.nat({ max: 1600 }), { maxLength: 6 }),
        fc.nat({ max: 3 }),
        (content, cuts, offset) => {
          const { bytes, view } = placed(content, offset);
          const edges = [0, ...cuts.map((cut) => Math.min(cut, content.length)), content.length].toSorted(
            (a, b) => a - b,
          );
          let sum = 0;
          for (let i = 1; i < edges.length; i++) {
            const start = edges[i - 1]!;
            sum = sumAt(bytes, view, offset + start, edges[i]! - start, start, sum);
          }
          assert.equal(foldSum(sum), naiveSum(content));
        },
      ),
    );
  });

  test('stays exact for a buffer of ones of several MiB', () => {
    const { bytes, view } = buffer(4 * 1024 * 1024 + 1, 0xff);
    assert.equal(foldSum(sumBytes(bytes, view, 0, bytes.length)), foldSum(0xffff + 0xff00));
  });

  test('keeps the difference between no bytes and bytes that sum to zero', () => {
    const { bytes, view } = fromHex('ffff 0000 ffff');
    assert.equal(foldSum(sumBytes(bytes, view, 0, 0)), 0);
    assert.equal(foldSum(sumBytes(bytes, view, 0, 6)), 0xffff);
  });
});

test('foldSum is the end-around carry to the last bit', () => {
  const sums = fc.oneof(u32, fc.constantFrom<number[]>(0, 1, 0xffff, 0x1_0000, 0x1_ffff, 0xffff_0000, 0xffff_ffff));
  fc.assert(fc.property(sums, (sum) => assert.equal(foldSum(sum), sum === 0 ? 0 : ((sum - 1) % 0xffff) + 1)));
});

describe('checksum vectors', () => {
  test('RFC 1071 section 3', () => {
    const { bytes, view } = fromHex('0001 f203 f4f5 f6f7');
    assert.equal(foldSum(sumBytes(bytes, view, 0, 8)), 0xddf2);
    assert.equal(foldChecksum(sumBytes(bytes, view, 0, 8)), 0x220d);
  });

  test('RFC 1624 section 4: the incremental update that RFC 1141 got wrong', () => {
    assert.equal(adjustChecksum(0xdd2f, 0x5555, 0x3285), 0x0000);
  });

  test('a computed UDP checksum of zero is sent as all ones', () => {
    assert.equal(foldUdpChecksum(0xffff), 0xffff);
    assert.equal(foldUdpChecksum(0x1234), 0xedcb);
  });
});

describe('adjustChecksum', () => {
  test('equals a new computation', () => {
    const words = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 2, maxLength: 20 });
    fc.assert(
      fc.property(words, fc.nat(), fc.integer({ min: 0, max: 0xffff }), (before, at, word) => {
        const index = at % before.length;
        const after = before.with(index, word);
        fc.pre(after.some((value) => value !== 0) && before.some((value) => value !== 0));
        const sum = (values: number[]): number => values.reduce((total, value) => total + value, 0);
        assert.equal(adjustChecksum(foldChecksum(sum(before)), before[index]!, word), foldChecksum(sum(after)));
      }),
    );
  });
});

describe('pseudo-headers', () => {
  test('equal the sum of the bytes that RFC 9293 and RFC 8200 draw', () => {
    const word = fc.integer();
    fc.assert(
      fc.property(
        fc.tuple(word, word, word, word, word, word, word, word),
        fc.nat({ max: 0xffff }),
        (words, l4Bytes) => {
          const header = buffer(40);
          const drawn4 = buffer(12);
          const drawn6 = buffer(40);
          for (const [offset, first] of [
            [12, 0],
            [16, 1],
          ] as const) {
            IpAddress.fromWord4(words[first]).write(header.view, offset);
            IpAddress.fromWord4(words[first]).write(drawn4.view, first * 4);
          }
          drawn4.view.setUint16(8, 6);
          drawn4.view.setUint16(10, l4Bytes);
          assert.equal(foldSum(pseudoHeaderSum4(header.view, 0, 6, l4Bytes)), naiveSum(drawn4.bytes));

          for (const [index, value] of words.entries()) {
            header.view.setInt32(8 + index * 4, value);
            drawn6.view.setInt32(index * 4, value);
          }
          drawn6.view.setUint32(32, l4Bytes + 0x10000);
          drawn6.view.setUint32(36, 6);
          assert.equal(foldSum(pseudoHeaderSum6(header.view, 0, 6, l4Bytes + 0x10000)), naiveSum(drawn6.bytes));
        },
      ),
    );
  });
});
