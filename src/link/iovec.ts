import { ERRNO } from '../core/errno.ts';
import type { MemoryRegion } from '../memory/region.ts';
import { MAX_FRAME_SEGMENTS, type FrameList } from './link.ts';

const IOVEC_BYTES = 16;
const IOVEC_WORDS = 4;
const TWO_TO_32 = 4_294_967_296;

/** Where regions lie in memory, by region id: asking koffi costs 50 ns and a BigInt, this one load. */
export class RegionAddresses {
  readonly #addressOf: (bytes: Uint8Array) => number;
  /** 0: not asked for yet. Ids are small and never reused, so an entry never turns false. */
  #addresses = new Float64Array(64);

  constructor(addressOf: (bytes: Uint8Array) => number) {
    this.#addressOf = addressOf;
  }

  of(region: MemoryRegion): number {
    const { id } = region;
    if (id < this.#addresses.length) {
      const known = this.#addresses[id]!;
      if (known !== 0) return known;
    }
    return this.#learn(region);
  }

  #learn(region: MemoryRegion): number {
    if (region.id >= this.#addresses.length) {
      const grown = new Float64Array(2 ** Math.ceil(Math.log2(region.id + 1)));
      grown.set(this.#addresses);
      this.#addresses = grown;
    }
    const address = this.#addressOf(region.mapping);
    this.#addresses[region.id] = address;
    return address;
  }
}

/**
 * A `struct iovec[]` for readv and writev: one prefix (a virtio header) and then a frame's segments. Entries that are
 * the same as for the last frame are not written again.
 */
export class IovecList {
  /** Where the array begins. */
  readonly address: number;
  /** The bytes of the prefix. */
  readonly prefix: DataView;

  readonly #words: Uint32Array;
  readonly #regions: RegionAddresses;
  readonly #bases = new Float64Array(MAX_FRAME_SEGMENTS);
  readonly #lengths = new Int32Array(MAX_FRAME_SEGMENTS);

  constructor(addressOf: (bytes: ArrayBufferView) => number, regions: RegionAddresses, prefixBytes: number) {
    const arrayBytes = (MAX_FRAME_SEGMENTS + 1) * IOVEC_BYTES;
    const buffer = new ArrayBuffer(arrayBytes + prefixBytes);
    this.#words = new Uint32Array(buffer, 0, arrayBytes / 4);
    this.prefix = new DataView(buffer, arrayBytes, prefixBytes);
    this.#regions = regions;
    this.address = addressOf(this.#words);
    this.#writeAddress(0, this.address + arrayBytes);
    this.#words[2] = prefixBytes;
  }

  /** Entries to pass, the prefix among them; -EFAULT for a segment that does not lie in its region. */
  pointTo(frame: FrameList): number {
    const { count, regions, offsets, lengths } = frame;
    for (let i = 0; i < count; i++) {
      const region = regions[i]!;
      const offset = offsets[i]!;
      const length = lengths[i]!;
      // The kernel writes where this says; a wrong offset would be a write into anything.
      if (!(offset >= 0 && length >= 0 && offset + length <= region.sizeBytes)) return -ERRNO.EFAULT;
      const base = this.#regions.of(region) + offset;
      if (base !== this.#bases[i]) {
        this.#bases[i] = base;
        this.#writeAddress((i + 1) * IOVEC_WORDS, base);
      }
      if (length !== this.#lengths[i]) {
        this.#lengths[i] = length;
        this.#words[(i + 1) * IOVEC_WORDS + 2] = length;
      }
    }
    return count + 1;
  }

  #writeAddress(word: number, address: number): void {
    const high = Math.floor(address / TWO_TO_32);
    this.#words[word] = address - high * TWO_TO_32;
    this.#words[word + 1] = high;
  }
}
