import { copyBytes } from '../link/copy.ts';
import type { FrameList } from '../link/link.ts';
import { NO_NET_IOV, type NetIov, type PagePool } from '../memory/page-pool.ts';
import { RxQueueCounters } from './counters.ts';
import { MAX_PACKET_FRAGS, type Packet } from './packet.ts';

/** Pages a landing ring may hold: a 64 KiB frame over 4 KiB pages takes 17, begun within a page 18. */
const RING_SLOTS = 32;

/**
 * One RX queue: the pages that its next payload will land in, in order, and how far the first of them is filled.
 *
 * Payloads follow each other without gaps, across page borders and sharing pages, so a stream fills its pages whatever
 * the size of its segments. The ring holds one reference to each of its pages; a landed payload adds one reference a
 * fragment. Landing is provisional until `commit`: a packet whose payload nobody took leaves the cursor where it was,
 * and its bytes are overwritten by the next.
 */
export class RxQueue {
  readonly id: number;
  readonly counters: RxQueueCounters = new RxQueueCounters();
  /** Where payload of this queue goes: host pages, or the device memory bound to it. */
  pool: PagePool;

  readonly #iovs = new Int32Array(RING_SLOTS);
  #head = 0;
  #count = 0;
  /** Bytes of the head page that are filled. */
  #cursor = 0;

  constructor(id: number, pool: PagePool) {
    this.id = id;
    this.pool = pool;
  }

  /** Pages in the ring; each is one reference. */
  get pagesInRing(): number {
    return this.#count;
  }

  /** Payload bytes that the ring has room for. */
  get roomBytes(): number {
    return this.#count * this.pool.chunkBytes - this.#cursor;
  }

  /** Gets pages from the pool until there is room for `bytes` or the pool is empty. False: it is empty. */
  refill(bytes: number): boolean {
    const { pool } = this;
    this.#reuseHead();
    while (this.roomBytes < bytes && this.#count < RING_SLOTS) {
      const iov = pool.allocate();
      if (iov === NO_NET_IOV) return false;
      this.addPage(iov);
    }
    return true;
  }

  /** Takes over one reference to a page. */
  addPage(iov: NetIov): void {
    this.#iovs[(this.#head + this.#count) & (RING_SLOTS - 1)] = iov;
    this.#count++;
    this.pool.landingFreeBytes += this.pool.chunkBytes;
  }

  /** Gives an untouched page away to another queue of the same pool, or NO_NET_IOV. */
  takePage(): NetIov {
    if (this.#count === 0 || (this.#count === 1 && this.#cursor > 0)) return NO_NET_IOV;
    this.#count--;
    this.pool.landingFreeBytes -= this.pool.chunkBytes;
    return this.#iovs[(this.#head + this.#count) & (RING_SLOTS - 1)]!;
  }

  /** Adds the ring's room to a landing, up to `bytes`. Returns how much it added. */
  offer(landing: FrameList, bytes: number): number {
    const { region, chunkBytes } = this.pool;
    let offset = this.#cursor;
    let left = bytes;
    for (let i = 0; i < this.#count && left > 0; i++) {
      const length = Math.min(chunkBytes - offset, left);
      const iov = this.#iovs[(this.#head + i) & (RING_SLOTS - 1)]!;
      if (!landing.push(region, iov * chunkBytes + offset, length)) break;
      left -= length;
      offset = 0;
    }
    return bytes - left;
  }

  /**
   * Makes the `length` bytes that lie `from` bytes behind the cursor fragments of `packet`, in order, one reference
   * each. False: they reach beyond the ring or the packet has no fragment left; the packet is then to be dropped.
   */
  reference(packet: Packet, from: number, length: number): boolean {
    const { pool } = this;
    const { chunkBytes } = pool;
    if (from + length > this.roomBytes) return false;
    let position = this.#cursor + from;
    let left = length;
    let count = packet.fragCount;
    while (left > 0) {
      if (count === MAX_PACKET_FRAGS) return false;
      const slot = Math.floor(position / chunkBytes);
      const offset = position - slot * chunkBytes;
      const size = Math.min(chunkBytes - offset, left);
      const iov = this.#iovs[(this.#head + slot) & (RING_SLOTS - 1)]!;
      pool.retain(iov);
      packet.fragIov[count] = iov;
      packet.fragOffset[count] = offset;
      packet.fragSize[count] = size;
      packet.fragCount = ++count;
      position += size;
      left -= size;
    }
    return true;
  }

  /** Copies bytes into the ring, `to` bytes behind the cursor: the relocation of what was predicted wrong. */
  write(to: number, source: Uint8Array, sourceOffset: number, length: number): void {
    const { chunkBytes, region } = this.pool;
    const { mapping } = region;
    let position = this.#cursor + to;
    let from = sourceOffset;
    let left = length;
    while (left > 0) {
      const slot = Math.floor(position / chunkBytes);
      const offset = position - slot * chunkBytes;
      const size = Math.min(chunkBytes - offset, left);
      const iov = this.#iovs[(this.#head + slot) & (RING_SLOTS - 1)]!;
      copyBytes(source, from, mapping, iov * chunkBytes + offset, size);
      position += size;
      from += size;
      left -= size;
    }
  }

  /** Moves the cursor past `bytes` that a taken packet landed in; full pages leave the ring with its reference. */
  commit(bytes: number): void {
    const { pool } = this;
    pool.landingFreeBytes -= bytes;
    this.#cursor += bytes;
    while (this.#cursor >= pool.chunkBytes) {
      this.#cursor -= pool.chunkBytes;
      pool.release(this.#iovs[this.#head]!);
      this.#head = (this.#head + 1) & (RING_SLOTS - 1);
      this.#count--;
    }
  }

  /** Empties the ring and lands in another pool from now on. */
  rebind(pool: PagePool): void {
    this.pool.landingFreeBytes -= this.roomBytes;
    for (; this.#count > 0; this.#count--) {
      this.pool.release(this.#iovs[this.#head]!);
      this.#head = (this.#head + 1) & (RING_SLOTS - 1);
    }
    this.#cursor = 0;
    this.pool = pool;
  }

  /** A head page of which all that landed has been given back is as good as untouched. */
  #reuseHead(): void {
    if (this.#cursor === 0 || this.pool.references(this.#iovs[this.#head]!) > 1) return;
    this.pool.landingFreeBytes += this.#cursor;
    this.#cursor = 0;
  }
}
