import { channels } from '../core/channels.ts';
import { invalidArgument } from '../core/errors.ts';
import { isPowerOfTwo, KiB } from '../core/units.ts';
import type { MemoryRegion } from './region.ts';

/**
 * The unit of allocation, as the kernel's `struct net_iov` is: the index of one chunk of a pool's region. An integer
 * and not an object, because one is made for every 4 KiB that arrive.
 */
export type NetIov = number;

/** `PagePool.allocate()` when every chunk is in use. */
export const NO_NET_IOV: NetIov = -1;

/** Chunks kept at hand for the next allocation, as the kernel's PP_ALLOC_CACHE_SIZE (include/net/page_pool/types.h). */
const RECYCLE_CACHE_CHUNKS = 128;
/** Chunks moved from the free list to the cache at a time (PP_ALLOC_CACHE_REFILL). */
const REFILL_CHUNKS = 64;
const MAX_CHUNK_BYTES: number = 64 * KiB;
const MIN_CHUNK_BYTES: number = 4 * KiB;

/** Named as the kernel names them (Documentation/networking/page_pool.rst), counted since the pool was made. */
export interface PagePoolStats {
  alloc_fast: number;
  alloc_slow: number;
  alloc_empty: number;
  alloc_refill: number;
  recycle_cached: number;
  recycle_cache_full: number;
  /** Chunks with at least one reference, now. */
  inflight: number;
}

export interface PagePoolOptions {
  region: MemoryRegion;
  /** Bytes a chunk: a power of two from 4 KiB (default) to 64 KiB. The region's size must be a multiple of it. */
  chunkBytes?: number;
}

/**
 * Hands out the chunks of one region and takes them back when their last reference goes. Referenced by landing rings
 * (one reference a page they hold), by queued fragments and by tokens (one each).
 *
 * Allocation comes from a small cache of the chunks freed last (they are still warm), refilled in batches from the
 * free list behind it.
 */
export class PagePool {
  readonly region: MemoryRegion;
  readonly chunkBytes: number;
  readonly chunkCount: number;

  /** Sum of all references now held; with `freeCount` it is what conservation is checked against. */
  referenceTotal = 0;
  /** Grows with each chunk that becomes free, for landing at least: connections starved of window watch it. */
  releaseEpoch = 0;
  /** Bytes of landing pages not yet written: free for arriving payload though not on the free list. Kept by the NIC. */
  landingFreeBytes = 0;
  /** Bytes that receive windows offered to peers may still bring. Kept by the TCP connections that land here. */
  promisedBytes = 0;
  /** Connections whose window follows this pool. Kept by the same. */
  sharers = 0;
  /** Of these, how many have less of it than they are entitled to. Kept by the same. */
  waiters = 0;

  readonly #references: Int32Array;
  readonly #free: Int32Array;
  #freeLength: number;
  readonly #cache = new Int32Array(RECYCLE_CACHE_CHUNKS);
  #cacheLength = 0;
  #inflight = 0;
  #detached = false;
  #onDrained: (() => void) | null = null;

  #allocFast = 0;
  #allocSlow = 0;
  #allocEmpty = 0;
  #recycleCached = 0;
  #recycleCacheFull = 0;

  constructor(options: PagePoolOptions) {
    const chunkBytes = options.chunkBytes ?? 4 * KiB;
    if (!isPowerOfTwo(chunkBytes) || chunkBytes < MIN_CHUNK_BYTES || chunkBytes > MAX_CHUNK_BYTES) {
      throw invalidArgument(
        `chunkBytes is ${chunkBytes}, which is not a power of two from 4096 to 65536`,
        'leave it out for 4 KiB pages',
      );
    }
    const { sizeBytes } = options.region;
    if (sizeBytes === 0 || sizeBytes % chunkBytes !== 0) {
      throw invalidArgument(`memory of ${sizeBytes} bytes is not a multiple of the chunk size (${chunkBytes})`);
    }
    this.region = options.region;
    this.chunkBytes = chunkBytes;
    this.chunkCount = sizeBytes / chunkBytes;
    this.#references = new Int32Array(this.chunkCount);
    this.#free = new Int32Array(this.chunkCount);
    this.#freeLength = this.chunkCount;
    for (let i = 0; i < this.chunkCount; i++) this.#free[i] = this.chunkCount - 1 - i;
  }

  /** Chunks that nobody references. */
  get freeCount(): number {
    return this.#freeLength + this.#cacheLength;
  }

  get inflight(): number {
    return this.#inflight;
  }

  get detached(): boolean {
    return this.#detached;
  }

  /** What arriving payload could be written to now, in bytes. */
  get availableBytes(): number {
    return this.#detached ? 0 : this.freeCount * this.chunkBytes + this.landingFreeBytes;
  }

  /** A chunk with one reference, or NO_NET_IOV if all are in use or the pool is detached. */
  allocate(): NetIov {
    if (this.#detached) return NO_NET_IOV;
    if (this.#cacheLength === 0) {
      if (this.#freeLength === 0) {
        if (this.#allocEmpty++ === 0 && channels.poolEmpty.hasSubscribers) {
          channels.poolEmpty.publish({ pool: this, freeChunks: 0 });
        }
        return NO_NET_IOV;
      }
      this.#refill();
    } else {
      this.#allocFast++;
    }
    const iov = this.#cache[--this.#cacheLength]!;
    this.#references[iov] = 1;
    this.referenceTotal++;
    this.#inflight++;
    return iov;
  }

  /** One more reference to a chunk that has at least one. */
  retain(iov: NetIov): void {
    this.#references[iov]!++;
    this.referenceTotal++;
  }

  /** Gives one reference back; with the last one the chunk is free. Only ever called for a reference that is held. */
  release(iov: NetIov): void {
    this.referenceTotal--;
    const left = this.#references[iov]! - 1;
    this.#references[iov] = left;
    if (left > 1) return;
    // With one reference left the page may be a landing ring's again.
    this.releaseEpoch++;
    if (left === 1) return;
    this.#inflight--;
    if (this.#cacheLength < RECYCLE_CACHE_CHUNKS) {
      this.#recycleCached++;
      this.#cache[this.#cacheLength++] = iov;
    } else {
      this.#recycleCacheFull++;
      this.#free[this.#freeLength++] = iov;
    }
    if (this.#detached && this.#inflight === 0) this.#drained();
  }

  /** References now held to one chunk. */
  references(iov: NetIov): number {
    return this.#references[iov]!;
  }

  /** Where a chunk begins in the region, in bytes. */
  offsetOf(iov: NetIov): number {
    return iov * this.chunkBytes;
  }

  /**
   * Ends allocation. Chunks still referenced (outstanding tokens) stay valid; `onDrained` is called, once, when the
   * last of them has come back: at once if none is out.
   */
  detach(onDrained: () => void): void {
    if (this.#detached) return;
    this.#detached = true;
    this.#onDrained = onDrained;
    if (this.#inflight === 0) this.#drained();
  }

  stats(): PagePoolStats {
    return {
      alloc_fast: this.#allocFast,
      alloc_slow: this.#allocSlow,
      alloc_empty: this.#allocEmpty,
      alloc_refill: this.#allocSlow,
      recycle_cached: this.#recycleCached,
      recycle_cache_full: this.#recycleCacheFull,
      inflight: this.#inflight,
    };
  }

  #refill(): void {
    this.#allocSlow++;
    const count = Math.min(REFILL_CHUNKS, this.#freeLength);
    for (let i = 0; i < count; i++) this.#cache[i] = this.#free[this.#freeLength - count + i]!;
    this.#freeLength -= count;
    this.#cacheLength = count;
  }

  #drained(): void {
    const onDrained = this.#onDrained;
    this.#onDrained = null;
    onDrained?.();
  }
}
