import { KiB } from '../../core/units.ts';
import type { PagePool } from '../../memory/page-pool.ts';
import { sequenceDifference } from '../../wire/sequence.ts';
import { MAX_WINDOW_SCALE } from './config.ts';

/** Kept out of all promises: the landing of one frame of the largest size that turns out to be a duplicate. */
const MAX_RESERVE_BYTES: number = 64 * KiB;
/** Of the free memory, what one SYN may promise: half-open connections come from strangers. */
const INITIAL_SHARE = 16;
/** And more than the first flight only where so much is free that this part of it is enough. */
const PLENTY_SHARE = 256;
/** Of the memory, what windows leave to connections that have less than a few: those to come among them. */
const SPARE_SHARE = 8;
/** Of a chunk, what is promised however short memory is: for a connection a chunk, that is half of the spare part. */
const LEAST_SHARE = 16;
/** Of what is left of the spare part, what one connection takes: so it lasts for any number of them. */
const TURN_SHARE = 4;
/** Of the free half of the memory, what is promised to a connection before anything has come on it. */
const UNPROVEN_SHARE = 64;
/** A peer in slow start sends in each round trip what it has sent in all before. */
const USE_FACTOR = 2;
/** Use is counted no further: no window is that large. */
const MAX_USE = 0x3fff_ffff;
const MAX_FIELD = 0xffff;
/** More than any window. */
const NO_CLAMP = 0x7fff_ffff;

/**
 * The receive window, and with it the guarantee that no payload is dropped for want of memory: over all connections of
 * a pool, what was promised and has not arrived never exceeds what the pool's pages can take at that moment, less a
 * reserve. The edge never moves left (RFC 9293 §3.8.6.2.1), so memory that is promised is spoken for until it is used,
 * perhaps for ever. So windows begin small and grow with what comes; a part of the memory is never promised to those that
 * have enough; and while anybody has less than its few, whatever becomes free goes to those, a chunk each.
 *
 * A promise is the window less what lies in it already, out of order: that has its memory, and the missing bytes keep
 * theirs.
 */
export class ReceiveWindow {
  /** Whose pages the window follows; changed by `moveTo` only. */
  pool: PagePool;
  /** What may lie unread now; grows up to the largest buffer as the application reads. */
  limitBytes = 0;
  /** No window is larger than this (TCP_WINDOW_CLAMP). */
  clampBytes: number = NO_CLAMP;
  /**
   * The shift count to offer: the smallest that can express the largest buffer (RFC 7323 §2.3). It is fixed from the
   * start: what a SYN has said once, it says when it is repeated, and the whole connection keeps to it (§2.2).
   */
  readonly offeredScale: number;
  /** Shift count that we announced; 0 until the peer has agreed to scaling. */
  scale = 0;
  /** RCV.NXT + RCV.WND: the first sequence number that may not be sent. */
  edge = 0;
  /** The connection's part of `pool.promisedBytes`. */
  promisedBytes = 0;
  /** The last look found too little memory for a useful window: look again when pages come back. */
  isStarved = false;
  /** `pool.releaseEpoch` at that look. */
  seenEpoch = -1;
  /** The edge as the peer computes it, from what the last segment said. */
  #visibleEdge = 0;
  #isOpen = false;
  #isSharer = false;
  /** Counted in `pool.waiters`. */
  #isWaiting = false;
  /** Arrived as promised, in all. */
  #usedBytes = 0;
  #reserveBytes = 0;
  /** What windows may take in all: the pool without the reserve. */
  #capacityBytes = 0;
  #bufferBytes: number;
  /** The largest that it may grow to. */
  #largestBytes: number;

  /**
   * @param largestBytes that the buffer may grow to, if it is not `bufferBytes` for ever.
   * @param clampBytes of TCP_WINDOW_CLAMP; 0: none.
   */
  constructor(pool: PagePool, bufferBytes: number, largestBytes: number = bufferBytes, clampBytes = 0) {
    this.pool = pool;
    this.#bufferBytes = bufferBytes;
    this.#largestBytes = largestBytes;
    if (clampBytes > 0) this.clampBytes = clampBytes;
    this.#measure();
    this.offeredScale = this.#smallestScale();
  }

  /** The application has named a size (SO_RCVBUF). What was promised stays promised. */
  resize(bufferBytes: number, largestBytes: number): void {
    this.#bufferBytes = bufferBytes;
    this.#largestBytes = largestBytes;
    this.#measure();
  }

  /** TCP_WINDOW_CLAMP; 0 lifts it. */
  clamp(bytes: number): void {
    this.clampBytes = bytes > 0 ? bytes : NO_CLAMP;
  }

  /** Lets the buffer grow to `bytes`, or as far as it may. */
  grow(bytes: number): void {
    if (bytes <= this.#bufferBytes) return;
    this.#bufferBytes = Math.min(bytes, this.#largestBytes);
    this.#measure();
  }

  /**
   * From here on payload lands in another pool's pages: the binding was closed. What was promised stays promised (RFC
   * 9293 §3.8.6.2.1), so it is taken along, though it may be more than the new pool would have given.
   */
  moveTo(pool: PagePool): void {
    const from = this.pool;
    if (pool === from) return;
    from.promisedBytes -= this.promisedBytes;
    pool.promisedBytes += this.promisedBytes;
    if (this.#isSharer) {
      from.sharers--;
      pool.sharers++;
    }
    if (this.#isWaiting) {
      from.waiters--;
      pool.waiters++;
    }
    // Others that stay behind may share what this one leaves.
    from.releaseEpoch++;
    this.pool = pool;
    this.seenEpoch = -1;
    this.#measure();
  }

  /**
   * Promises a window for the first flight, before the peer's sequence number is known: what a SYN
   * says holds from then on.
   */
  open(mssBytes: number, initialSegments: number): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    // Half of the memory is out of reach of strangers: a flood of SYNs leaves it to the connections that exist.
    const roomBytes = this.#freeBytes() - this.pool.promisedBytes - this.#capacityBytes / 2;
    const shareBytes = Math.floor(roomBytes / INITIAL_SHARE);
    const fewBytes = Math.min(initialSegments * mssBytes, shareBytes);
    const limitBytes = Math.min(this.limitBytes, this.clampBytes);
    const wantedBytes = Math.min(limitBytes, Math.max(fewBytes, Math.floor(roomBytes / PLENTY_SHARE)));
    // Whole segments, where there is more than one; then what the field takes.
    const wholeBytes = Math.max(0, wantedBytes > mssBytes ? wantedBytes - (wantedBytes % mssBytes) : wantedBytes);
    const bytes = Math.min(wholeBytes, MAX_FIELD);
    this.promisedBytes = bytes;
    this.pool.promisedBytes += bytes;
    this.isStarved = bytes < 2 * mssBytes;
    this.seenEpoch = this.pool.releaseEpoch;
  }

  /** The handshake is done: the connection takes its part in sharing the pool. */
  join(): void {
    if (!this.#isOpen || this.#isSharer) return;
    this.#isSharer = true;
    this.pool.sharers++;
  }

  /** The peer's initial sequence number is known. */
  begin(rcvNxt: number): void {
    this.edge = (rcvNxt + this.promisedBytes) | 0;
    this.#visibleEdge = this.edge;
  }

  /** Brings the promise in line with what has arrived: `rcvNxt` moved, or `storedBytes` lie ahead of it. */
  settle(rcvNxt: number, storedBytes: number): void {
    if (!this.#isOpen) return;
    const promised = Math.max(0, sequenceDifference(this.edge, rcvNxt) - storedBytes);
    this.pool.promisedBytes += promised - this.promisedBytes;
    if (promised < this.promisedBytes)
      this.#usedBytes = Math.min(MAX_USE, this.#usedBytes + this.promisedBytes - promised);
    this.promisedBytes = promised;
  }

  /** Moves the edge right by what `gain` answered. */
  advance(gain: number, rcvNxt: number, storedBytes: number): void {
    this.edge = (this.edge + gain) | 0;
    this.settle(rcvNxt, storedBytes);
  }

  /**
   * How far right memory and buffer let the edge move, or 0 if that is not far enough to be worth it (RFC 9293
   * §3.8.6.2.2).
   */
  gain(rcvNxt: number, unreadBytes: number, storedBytes: number, mssBytes: number): number {
    if (!this.#isOpen) return 0;
    const { pool } = this;
    const windowBytes = sequenceDifference(this.edge, rcvNxt);
    const heldBytes = unreadBytes + storedBytes;
    const roomBytes = this.#freeBytes() - (pool.promisedBytes - this.promisedBytes);
    const shareBytes = this.#shareBytes(roomBytes, heldBytes);
    const bufferBytes = this.limitBytes - heldBytes;
    const largestBytes = Math.min(MAX_FIELD * 2 ** this.scale, this.clampBytes);
    const usefulBytes = Math.min(shareBytes, bufferBytes, this.#provenBytes(roomBytes));
    // A whole number of window units, so that the peer sees the edge where it is.
    const wantedBytes = Math.min(usefulBytes + storedBytes, largestBytes);
    const gain = wantedBytes - (wantedBytes % 2 ** this.scale) - windowBytes;
    const spaceBytes = Math.min(this.limitBytes, shareBytes + heldBytes);
    const enoughBytes = Math.min(mssBytes, Math.max(1, Math.floor(spaceBytes / 2)));
    const isShort = shareBytes < Math.min(bufferBytes, largestBytes);
    this.#setWaiting(isShort && windowBytes + Math.max(0, gain) + unreadBytes < this.#entitledBytes() / 2);
    this.seenEpoch = pool.releaseEpoch;
    this.isStarved = this.#isWaiting || (gain < enoughBytes && windowBytes < 2 * mssBytes && isShort);
    return gain >= enoughBytes ? gain : 0;
  }

  /** Takes in what the peer has sent beyond the edge. */
  stretch(bytes: number): void {
    this.edge = (this.edge + bytes) | 0;
    this.pool.promisedBytes += bytes;
    this.promisedBytes += bytes;
  }

  /** The window field of a segment that acknowledges `rcvNxt`. */
  field(rcvNxt: number): number {
    const windowBytes = Math.max(0, sequenceDifference(this.edge, rcvNxt));
    const unit = 2 ** this.scale;
    let field = Math.floor(windowBytes / unit);
    const missing = sequenceDifference(this.#visibleEdge, rcvNxt) - field * unit;
    if (missing > 0 && this.#isOpen) {
      // RFC 7323 §2.4: rounding down would seem to shrink the window. Rounding up promises up to a unit more, which the
      // reserve is good for, while it lasts.
      const extra = (field + 1) * unit - windowBytes;
      const { pool } = this;
      if (pool.availableBytes - pool.promisedBytes - extra >= this.#reserveBytes / 2 && field < MAX_FIELD) {
        field++;
        this.edge = (this.edge + extra) | 0;
        pool.promisedBytes += extra;
        this.promisedBytes += extra;
      }
    }
    field = Math.min(field, MAX_FIELD);
    this.#visibleEdge = (rcvNxt + field * unit) | 0;
    return field;
  }

  /** The window field of a SYN, which is never scaled (RFC 7323 §2.2): what `open` promised. */
  get synField(): number {
    return this.promisedBytes;
  }

  /** Whether the landing of bytes that will not be kept can be afforded. */
  affordsWaste(bytes: number): boolean {
    return this.pool.availableBytes - this.pool.promisedBytes >= this.#reserveBytes / 2 + bytes;
  }

  /** Nothing more will come: takes the promise back, and lets the others look at what that frees. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (this.#isSharer) this.pool.sharers--;
    this.#isSharer = false;
    this.#setWaiting(false);
    this.pool.releaseEpoch++;
    this.pool.promisedBytes -= this.promisedBytes;
    this.promisedBytes = 0;
    this.isStarved = false;
  }

  /** Opens a window that was shut when `close` came, for the sequence number of a FIN. @returns whether it was. */
  admitFin(rcvNxt: number): boolean {
    if (this.#isOpen || sequenceDifference(this.edge, rcvNxt) >= 2 ** this.scale) return false;
    this.edge = (rcvNxt + 2 ** this.scale) | 0;
    return true;
  }

  #measure(): void {
    const { pool } = this;
    const capacityBytes = pool.chunkCount * pool.chunkBytes;
    this.limitBytes = Math.min(this.#bufferBytes, capacityBytes);
    this.#reserveBytes = Math.min(MAX_RESERVE_BYTES + 2 * pool.chunkBytes, capacityBytes / 4);
    this.#capacityBytes = capacityBytes - this.#reserveBytes;
  }

  #smallestScale(): number {
    const { pool } = this;
    const largestBytes = Math.min(this.#largestBytes, this.clampBytes, pool.chunkCount * pool.chunkBytes);
    let scale = 0;
    while (scale < MAX_WINDOW_SCALE && largestBytes > MAX_FIELD * 2 ** scale) scale++;
    return scale;
  }

  #freeBytes(): number {
    return Math.max(0, this.pool.availableBytes - this.#reserveBytes);
  }

  /**
   * What of `roomBytes`, which nobody else was promised, this connection may promise: a few for certain, and more while
   * nobody waits for those few. Alone it may have all but the spare part. Among others it has its part of one half of
   * the memory; of three quarters it may have no more, with what it holds unread, than it leaves free (dynamic
   * thresholds, Choudhury and Hahne 1998). So readers that do not read cannot starve those that do.
   */
  #shareBytes(roomBytes: number, heldBytes: number): number {
    const { pool } = this;
    const spareBytes = Math.floor(this.#capacityBytes / SPARE_SHARE);
    const turnBytes = Math.floor((roomBytes - spareBytes / 2) / TURN_SHARE);
    const leastBytes = Math.max(2 ** this.scale, pool.chunkBytes / LEAST_SHARE);
    const fewBytes = Math.max(leastBytes, Math.min(this.#entitledBytes(), turnBytes)) - heldBytes;
    if (pool.waiters > (this.#isWaiting ? 1 : 0)) return Math.min(roomBytes, fewBytes);
    const largestBytes = roomBytes - spareBytes;
    if (pool.sharers <= 1) return Math.min(roomBytes, Math.max(fewBytes, largestBytes));
    const partBytes = Math.floor(this.#capacityBytes / 2 / pool.sharers) - heldBytes;
    const commonBytes = Math.floor((roomBytes - this.#capacityBytes / 4 - heldBytes) / 2);
    const shareBytes = Math.min(largestBytes, Math.max(partBytes, commonBytes));
    return Math.min(roomBytes, Math.max(fewBytes, shareBytes));
  }

  /** What the connection is known to have use for: a promise to one that says nothing is lost to all others. */
  #provenBytes(roomBytes: number): number {
    const plentyBytes = Math.max(0, Math.floor((roomBytes - this.#capacityBytes / 2) / UNPROVEN_SHARE));
    return Math.max(plentyBytes, this.#entitledBytes()) + USE_FACTOR * this.#usedBytes;
  }

  /** What nobody else has more than while this connection has less: a chunk, where that is to be had for all. */
  #entitledBytes(): number {
    const { pool } = this;
    return Math.min(pool.chunkBytes, Math.floor(this.#capacityBytes / 2 / Math.max(1, pool.sharers)));
  }

  #setWaiting(isWaiting: boolean): void {
    const waits = isWaiting && this.#isSharer;
    if (waits === this.#isWaiting) return;
    this.#isWaiting = waits;
    this.pool.waiters += waits ? 1 : -1;
  }
}
