import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ERRNO } from '../../src/core/errno.ts';
import { IovecList, RegionAddresses } from '../../src/link/iovec.ts';
import { FrameList } from '../../src/link/link.ts';
import { HostRegion } from '../../src/memory/region.ts';

/** Above 4 GiB, as addresses are, and different for each buffer. */
class FakeAddresses {
  asked = 0;
  readonly #known = new Map<ArrayBufferLike, number>();
  readonly of = (bytes: ArrayBufferView | ArrayBuffer): number => {
    this.asked++;
    const buffer = ArrayBuffer.isView(bytes) ? bytes.buffer : bytes;
    let address = this.#known.get(buffer);
    if (address === undefined) this.#known.set(buffer, (address = 0x7fff_0000_0000 + this.#known.size * 0xfff_f000));
    return address + (ArrayBuffer.isView(bytes) ? bytes.byteOffset : 0);
  };
}

/** The entries as the kernel would read them. */
function entries(list: IovecList, count: number): [address: number, length: number][] {
  const view = new DataView(list.prefix.buffer);
  return Array.from({ length: count }, (_, i) => [
    Number(view.getBigUint64(i * 16, true)),
    Number(view.getBigUint64(i * 16 + 8, true)),
  ]);
}

describe('iovec list', () => {
  it('holds the prefix and the segments, frame after frame', () => {
    const addresses = new FakeAddresses();
    const list = new IovecList(addresses.of, new RegionAddresses(addresses.of), 12);
    const [one, other] = [new HostRegion(5000), new HostRegion(1 << 20)];
    const frame = new FrameList();
    for (let round = 0; round < 20; round++) {
      frame.clear();
      frame.push(one, round, 64 + (round & 1));
      frame.push(other, 4096 * round, 4096);
      if (round % 3 === 0) frame.push(one, 4000, 100);
      const count = list.pointTo(frame);
      assert.equal(count, frame.count + 1);
      const [prefix, ...segments] = entries(list, count);
      assert.deepEqual(prefix, [list.address + 65 * 16, 12]);
      const expected = Array.from({ length: frame.count }, (_, i) => [
        addresses.of(frame.regions[i]!.mapping) + frame.offsets[i]!,
        frame.lengths[i],
      ]);
      assert.deepEqual(segments, expected);
    }
  });

  it('asks for the address of a region once', () => {
    const addresses = new FakeAddresses();
    const regions = new RegionAddresses(addresses.of);
    const many = Array.from({ length: 200 }, () => new HostRegion(16));
    const first = many.map((region) => regions.of(region));
    const { asked } = addresses;
    assert.deepEqual(
      many.map((region) => regions.of(region)),
      first,
    );
    assert.equal(addresses.asked, asked);
    assert.equal(new Set(first).size, 200);
  });

  it('refuses a segment outside its region: the kernel would write there', () => {
    const addresses = new FakeAddresses();
    const list = new IovecList(addresses.of, new RegionAddresses(addresses.of), 12);
    const region = new HostRegion(100);
    for (const [offset, length] of [
      [0, 101],
      [100, 1],
      [-1, 10],
      [0, -1],
      [Number.NaN, 1],
    ] as const) {
      const frame = new FrameList();
      frame.push(region, offset, length);
      assert.equal(list.pointTo(frame), -ERRNO.EFAULT, `${offset}+${length}`);
    }
  });
});
