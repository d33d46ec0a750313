import { NEVER } from '../../core/clock.ts';
import { sequenceDifference, sequenceGreater, sequenceLess } from '../../wire/sequence.ts';
import type { Route } from '../route.ts';
import type { TcpConnection } from './connection.ts';
import type { Segment } from './segment.ts';

/** RFC 1122 §4.2.2.13: a connection that follows begins above the old numbers; Linux leaves a window's distance. */
const REUSE_DISTANCE = 65_537;
const MICROS_PER_TICK = 1000;

/**
 * What is left of a connection in TIME-WAIT (RFC 9293 §3.3.2): enough to answer what its peer may still send and to
 * judge whether a new SYN is an old one. The connection itself is the application's alone by then.
 */
export class TimeWait {
  readonly route: Route;
  readonly localPort: number;
  readonly remotePort: number;
  readonly sndNxt: number;
  readonly rcvNxt: number;
  /** As it goes into the header. */
  readonly windowField: number;
  readonly hasTimestamps: boolean;
  readonly timestampOffset: number;
  timestampRecent: number;
  lastAnswerMicros: number = Number.NEGATIVE_INFINITY;
  deadlineMicros = 0;
  isOver = false;
  /** Neighbours in the order of deadlines. */
  older: TimeWait | null = null;
  younger: TimeWait | null = null;

  constructor(connection: TcpConnection) {
    const { receiver, sender } = connection;
    this.route = connection.route;
    this.localPort = connection.localPort;
    this.remotePort = connection.remotePort;
    this.sndNxt = sender.sndNxt;
    this.rcvNxt = receiver.rcvNxt;
    this.windowField = receiver.window.field(receiver.rcvNxt);
    this.hasTimestamps = connection.timestampsEnabled;
    this.timestampOffset = connection.timestamp(0);
    this.timestampRecent = receiver.timestampRecent;
  }

  /** RFC 7323 §5.4, as the connection had it. */
  timestamp(nowMicros: number): number {
    return (this.timestampOffset + Math.floor(nowMicros / MICROS_PER_TICK)) | 0;
  }

  /** Where the sequence numbers of a connection that takes this one's place begin. */
  get successorIss(): number {
    return (this.sndNxt + REUSE_DISTANCE) | 0;
  }

  /** RFC 7323 §5.3 R1. */
  isOldTimestamp(segment: Segment): boolean {
    const { options } = segment;
    return this.hasTimestamps && options.hasTimestamps && ((options.timestampValue - this.timestampRecent) | 0) < 0;
  }

  /** A SYN that may begin a new connection: RFC 6191 §2 by timestamps, RFC 1122 §4.2.2.13 by sequence numbers. */
  admits(segment: Segment): boolean {
    if (!segment.isSyn || segment.isAck || segment.isReset || segment.isFin) return false;
    const { options } = segment;
    if (this.isOldTimestamp(segment)) return false;
    if (this.hasTimestamps && options.hasTimestamps) {
      if (((options.timestampValue - this.timestampRecent) | 0) > 0) return true;
    }
    return sequenceGreater(segment.sequence, this.rcvNxt);
  }

  /** RFC 9293 §3.10.7.4, first step, with an empty window. */
  isOutside(segment: Segment): boolean {
    const end = (segment.sequence + segment.lengthBytes) | 0;
    return sequenceDifference(segment.sequence, this.rcvNxt) !== 0 || sequenceLess(this.rcvNxt, end);
  }
}

/** All connections in TIME-WAIT, in the order in which they end: every one waits equally long. */
export class TimeWaitTable {
  size = 0;
  #oldest: TimeWait | null = null;
  #youngest: TimeWait | null = null;
  readonly #waitMicros: number;

  constructor(waitMicros: number) {
    this.#waitMicros = waitMicros;
  }

  get oldest(): TimeWait | null {
    return this.#oldest;
  }

  add(entry: TimeWait, nowMicros: number): void {
    this.size++;
    this.#append(entry, nowMicros);
  }

  /** Starts the wait again (RFC 9293 §3.10.7.4, eighth step). */
  restart(entry: TimeWait, nowMicros: number): void {
    if (entry.isOver) return;
    this.#unlink(entry);
    this.#append(entry, nowMicros);
  }

  remove(entry: TimeWait): void {
    if (entry.isOver) return;
    entry.isOver = true;
    this.size--;
    this.#unlink(entry);
  }

  /** The next entry whose wait is over, or null. */
  due(nowMicros: number): TimeWait | null {
    const oldest = this.#oldest;
    return oldest !== null && oldest.deadlineMicros <= nowMicros ? oldest : null;
  }

  pollAt(): number {
    return this.#oldest === null ? NEVER : this.#oldest.deadlineMicros;
  }

  #append(entry: TimeWait, nowMicros: number): void {
    entry.deadlineMicros = nowMicros + this.#waitMicros;
    entry.older = this.#youngest;
    entry.younger = null;
    if (this.#youngest === null) this.#oldest = entry;
    else this.#youngest.younger = entry;
    this.#youngest = entry;
  }

  #unlink(entry: TimeWait): void {
    if (entry.older === null) this.#oldest = entry.younger;
    else entry.older.younger = entry.younger;
    if (entry.younger === null) this.#youngest = entry.older;
    else entry.younger.older = entry.older;
    entry.older = null;
    entry.younger = null;
  }
}
