import { KiB, MiB } from '../core/units.ts';
import { NO_NET_IOV, PagePool, type NetIov } from '../memory/page-pool.ts';
import { HostRegion, type MemoryRegion } from '../memory/region.ts';
import { Gate } from './gate.ts';

const CHUNK_BYTES: number = 64 * KiB;
const POOL_BYTES: number = 4 * MiB;
/** Host memory for copies of what all sockets of a host have written and their peers have not acknowledged. */
const MAX_POOLS = 16;
/** Of it, what one socket may use: so that one whose peer is stuck cannot take it all. */
const MAX_SOCKET_CHUNKS = 32;

/** The part of a connection that the send buffer needs. */
export interface ByteSink {
  readonly queuedOffset: number;
  readonly sendSpaceBytes: number;
  send(region: MemoryRegion, offset: number, length: number, flags?: number): number;
}

/**
 * Host memory that `write()` copies into: bytes have to stay where they are until they are acknowledged, and the
 * caller's array may change at once. One for all sockets of a host; it grows by 4 MiB at a time, up to 64 MiB.
 */
export class SendMemory {
  readonly chunkBytes: number = CHUNK_BYTES;
  readonly pools: PagePool[] = [];
  /** Opens when a chunk comes back after somebody was refused. */
  readonly freed: Gate = new Gate();

  /** The pool that has a chunk to give, or `null` at the limit. */
  poolWithRoom(): PagePool | null {
    for (const pool of this.pools) if (pool.freeCount > 0) return pool;
    if (this.pools.length === MAX_POOLS) return null;
    const pool = new PagePool({ region: new HostRegion(POOL_BYTES), chunkBytes: CHUNK_BYTES });
    this.pools.push(pool);
    return pool;
  }

  release(pool: PagePool, iov: NetIov): void {
    pool.release(iov);
    this.freed.open();
  }
}

interface Chunk {
  pool: PagePool;
  region: MemoryRegion;
  iov: NetIov;
  used: number;
  /** The stream offset behind its last byte. */
  endOffset: number;
}

/** One socket's copies: chunks in stream order, the last of them still being filled. */
export class SendBuffer {
  readonly #memory: SendMemory;
  readonly #chunks: Chunk[] = [];

  constructor(memory: SendMemory) {
    this.#memory = memory;
  }

  get chunksHeld(): number {
    return this.#chunks.length;
  }

  /**
   * Copies bytes of `source` from `start` on and queues them. `flags` (MSG_MORE, MSG_EOR) are for the end of them.
   * @returns how many; fewer, or 0, when the send queue or the memory is full.
   */
  write(sink: ByteSink, source: Uint8Array, start: number, flags = 0): number {
    let at = start;
    while (at < source.length && sink.sendSpaceBytes > 0) {
      const chunk = this.#open();
      if (chunk === null) break;
      const length = Math.min(source.length - at, CHUNK_BYTES - chunk.used, sink.sendSpaceBytes);
      const offset = chunk.pool.offsetOf(chunk.iov) + chunk.used;
      chunk.region.mapping.set(
        at === 0 && length === source.length ? source : source.subarray(at, at + length),
        offset,
      );
      const accepted = sink.send(chunk.region, offset, length, at + length === source.length ? flags : 0);
      chunk.used += accepted;
      chunk.endOffset = sink.queuedOffset;
      at += accepted;
      if (accepted < length) break;
    }
    return at - start;
  }

  /** The stream is complete up to `completedOffset`: the chunks before it are free. */
  advance(completedOffset: number): void {
    while (this.#chunks.length > 0 && this.#chunks[0]!.endOffset <= completedOffset) this.#drop();
  }

  clear(): void {
    while (this.#chunks.length > 0) this.#drop();
  }

  #drop(): void {
    const chunk = this.#chunks.shift()!;
    this.#memory.release(chunk.pool, chunk.iov);
  }

  #open(): Chunk | null {
    const last = this.#chunks.at(-1);
    if (last !== undefined && last.used < CHUNK_BYTES) return last;
    if (this.#chunks.length === MAX_SOCKET_CHUNKS) return null;
    const pool = this.#memory.poolWithRoom();
    if (pool === null) return null;
    const iov = pool.allocate();
    if (iov === NO_NET_IOV) return null;
    const chunk = { pool, region: pool.region, iov, used: 0, endOffset: Number.POSITIVE_INFINITY };
    this.#chunks.push(chunk);
    return chunk;
  }
}
