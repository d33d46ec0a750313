import { Ring } from '../../core/ring.ts';
import type { PagePool } from '../../memory/page-pool.ts';
import type { TcpConnection } from './connection.ts';
import type { SegmentWriter } from './emit.ts';
import type { TransmitMarks } from './send.ts';

/** Connections looked at by one flush, and frames after which it stops: the rest comes with the next, in its turn. */
const MAX_FLUSHED = 256;
const MAX_FRAMES = 256;
/** Of those that wait for memory, how many one flush looks at. */
const MAX_WOKEN = 64;
const UNLIMITED: number = Number.POSITIVE_INFINITY;

/** Connections that wait for pages of one pool, the one that waits longest first. */
class StarvedList {
  readonly pool: PagePool;
  readonly waiting: Ring<TcpConnection> = new Ring<TcpConnection>(UNLIMITED);
  /** `pool.releaseEpoch` when the present round began, and who has not had a look in it. */
  epoch = -1;
  left = 0;

  constructor(pool: PagePool) {
    this.pool = pool;
  }

  get isDue(): boolean {
    return this.waiting.length > 0 && (this.left > 0 || this.epoch !== this.pool.releaseEpoch);
  }
}

/**
 * The connections of a layer that have something to do, first come, first served. What one flush does is bounded: with
 * ten thousand of them busy the event loop still gets its turn, and none of them waits for more than all others once.
 */
export class FlushQueue {
  readonly #marks: TransmitMarks;
  readonly #writer: SegmentWriter;
  readonly #queued = new Ring<TcpConnection>(UNLIMITED);
  /** Tried in vain, or waiting for the NIC: looked at again in each flush, but no reason for one. */
  readonly #blocked = new Ring<TcpConnection>(UNLIMITED);
  readonly #starved: StarvedList[] = [];

  constructor(marks: TransmitMarks, writer: SegmentWriter) {
    this.#marks = marks;
    this.#writer = writer;
  }

  /** Whether a flush has something to do. */
  get isDue(): boolean {
    if (this.#queued.length > 0 && !this.#writer.isLinkFull) return true;
    for (let i = 0; i < this.#starved.length; i++) if (this.#starved[i]!.isDue) return true;
    return false;
  }

  add(connection: TcpConnection): void {
    if (connection.isQueued) return;
    connection.isQueued = true;
    this.#queued.push(connection);
  }

  /** The connection waits for memory: it is looked at when pages come back. */
  addStarved(connection: TcpConnection): void {
    if (connection.isListedStarved) return;
    connection.isListedStarved = true;
    const { pool } = connection.receiver.window;
    let list = this.#starved.find((other) => other.pool === pool);
    if (list === undefined) {
      list = new StarvedList(pool);
      this.#starved.push(list);
    }
    list.waiting.push(connection);
  }

  /** Lets connections send what is due, up to a limit. Returns 0 if that was all. */
  run(nowMicros: number): number {
    this.#wakeStarved();
    for (let left = Math.min(this.#blocked.length, MAX_FLUSHED); left > 0; left--) {
      const connection = this.#blocked.shift()!;
      connection.isBlocked = false;
      this.add(connection);
    }
    // Who is put on the list meanwhile is for the next time.
    let left = Math.min(this.#queued.length, MAX_FLUSHED);
    const lastMark = this.#marks.txMark() + MAX_FRAMES;
    this.#writer.isLinkFull = false;
    for (; left > 0 && this.#marks.txMark() < lastMark; left--) {
      const connection = this.#queued.shift()!;
      connection.isQueued = false;
      if (connection.flush(nowMicros)) continue;
      if (this.#writer.isLinkFull) {
        this.#keepTurn(connection);
        break;
      }
      this.#block(connection);
    }
    return this.isDue ? 1 : 0;
  }

  /** The link is full: whoever comes later must not have what becomes free. */
  #keepTurn(connection: TcpConnection): void {
    if (connection.isQueued) return;
    connection.isQueued = true;
    this.#queued.unshift(connection);
  }

  #block(connection: TcpConnection): void {
    if (connection.isBlocked) return;
    connection.isBlocked = true;
    this.#blocked.push(connection);
  }

  /** Pages have come back: who waits for them is looked at, in the order of waiting. */
  #wakeStarved(): void {
    for (let i = this.#starved.length - 1; i >= 0; i--) {
      const list = this.#starved[i]!;
      if (list.isDue) this.#wake(list);
      if (list.waiting.length === 0) this.#starved.splice(i, 1);
    }
  }

  #wake(list: StarvedList): void {
    const { pool, waiting } = list;
    if (list.epoch !== pool.releaseEpoch) {
      list.epoch = pool.releaseEpoch;
      list.left = waiting.length;
    }
    for (let count = Math.min(list.left, MAX_WOKEN); count > 0; count--) {
      const connection = waiting.shift()!;
      const { window } = connection.receiver;
      list.left--;
      if (window.pool === pool && window.isStarved && window.seenEpoch === pool.releaseEpoch) {
        waiting.push(connection);
        continue;
      }
      connection.isListedStarved = false;
      if (window.isStarved) this.add(connection);
    }
  }
}
