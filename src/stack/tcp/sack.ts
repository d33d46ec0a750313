import { sequenceDifference, sequenceLess } from '../../wire/sequence.ts';

const INITIAL_RECORDS = 16;
/** Unacknowledged transmissions of one connection; at the limit nothing new is sent. */
const MAX_RECORDS = 65_536;

const SACKED = 1;
const LOST = 2;
/** Sent again since it was marked lost, and that copy counts as in flight. */
const RETRANSMITTED = 4;
/** Sent more than once, ever: no round-trip time can be told from its acknowledgment (Karn). */
const AMBIGUOUS = 8;

/** RFC 6675 §2: segments that have to arrive behind a hole before the hole is a loss. */
export const DUPLICATE_THRESHOLD = 3;

/**
 * The sender's scoreboard: one record for each segment sent and not yet acknowledged, in sequence order, with what SACK
 * said of it and when it was sent last. A ring of parallel arrays. The byte sums that RFC 6675's `pipe` needs are kept
 * up to date with every change, so nothing is recounted. The last-sent times are what RACK will want.
 */
export class Scoreboard {
  #starts = new Int32Array(INITIAL_RECORDS);
  #ends = new Int32Array(INITIAL_RECORDS);
  #flags = new Uint8Array(INITIAL_RECORDS);
  #sentMicros = new Float64Array(INITIAL_RECORDS);
  /** The NIC's mark behind the last transmission: until it is done, the memory may still be read. */
  #marks = new Float64Array(INITIAL_RECORDS);
  #mask = INITIAL_RECORDS - 1;
  #head = 0;
  #count = 0;

  outstandingBytes = 0;
  sackedBytes = 0;
  /** Marked lost and not selectively acknowledged since; sent again or not. */
  lostBytes = 0;
  retransmittedBytes = 0;
  sackedRecords = 0;

  /** Records below this sequence number were all judged: nothing between it and `sndUna` is left to be marked. */
  #judgedBelow = 0;
  /** Where the search for the next lost record starts. */
  #lostHint = 0;
  /** Sequence number behind the last byte selectively acknowledged; valid while `sackedRecords > 0`. */
  #highestSacked = 0;

  /** What `acknowledge` saw: when the newest unambiguous record was sent (-1: none), and the last NIC mark. */
  ackedSentMicros = -1;
  ackedMark = -1;

  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === MAX_RECORDS;
  }

  /** RFC 6675 §4, SetPipe, by sums. */
  get pipeBytes(): number {
    return this.outstandingBytes - this.sackedBytes - this.lostBytes + this.retransmittedBytes;
  }

  /** Lost and not yet sent again. */
  get unsentLostBytes(): number {
    return this.lostBytes - this.retransmittedBytes;
  }

  /** SACK begins at the first record: the receiver has dropped what it had acknowledged selectively (RFC 2018 §8). */
  get headIsSacked(): boolean {
    return this.#count > 0 && (this.#flags[this.#head]! & SACKED) !== 0;
  }

  start(index: number): number {
    return this.#starts[(this.#head + index) & this.#mask]!;
  }

  end(index: number): number {
    return this.#ends[(this.#head + index) & this.#mask]!;
  }

  /** A segment was sent for the first time. */
  push(start: number, end: number, nowMicros: number, mark: number): void {
    if (this.#count > this.#mask) this.#grow();
    if (this.#count === 0) {
      this.#judgedBelow = start;
      this.#lostHint = start;
    }
    const slot = (this.#head + this.#count) & this.#mask;
    this.#starts[slot] = start;
    this.#ends[slot] = end;
    this.#flags[slot] = 0;
    this.#sentMicros[slot] = nowMicros;
    this.#marks[slot] = mark;
    this.#count++;
    this.outstandingBytes += sequenceDifference(end, start);
  }

  /** Everything before `una` is acknowledged cumulatively. */
  acknowledge(una: number): void {
    this.ackedSentMicros = -1;
    this.ackedMark = -1;
    while (this.#count > 0) {
      const slot = this.#head;
      const start = this.#starts[slot]!;
      if (!sequenceLess(start, una)) break;
      const flags = this.#flags[slot]!;
      const whole = sequenceDifference(this.#ends[slot]!, una) <= 0;
      const bytes = sequenceDifference(whole ? this.#ends[slot]! : una, start);
      this.outstandingBytes -= bytes;
      if (flags & SACKED) this.sackedBytes -= bytes;
      if (flags & LOST) this.lostBytes -= bytes;
      if (flags & RETRANSMITTED) this.retransmittedBytes -= bytes;
      if (this.#marks[slot]! > this.ackedMark) this.ackedMark = this.#marks[slot]!;
      // A record that SACK had acknowledged says when it arrived then, not now.
      if ((flags & (AMBIGUOUS | SACKED)) === 0) this.ackedSentMicros = this.#sentMicros[slot]!;
      if (!whole) {
        this.#starts[slot] = una;
        break;
      }
      if (flags & SACKED) this.sackedRecords--;
      this.#head = (slot + 1) & this.#mask;
      this.#count--;
    }
    if (sequenceLess(this.#judgedBelow, una)) this.#judgedBelow = una;
    if (sequenceLess(this.#lostHint, una)) this.#lostHint = una;
  }

  /** Marks what lies wholly within [left, right). Returns the bytes newly marked. */
  markSacked(left: number, right: number): number {
    let marked = 0;
    for (let index = this.#find(left); index < this.#count; index++) {
      const slot = (this.#head + index) & this.#mask;
      if (sequenceDifference(this.#ends[slot]!, right) > 0) break;
      const flags = this.#flags[slot]!;
      if (flags & SACKED) continue;
      const bytes = sequenceDifference(this.#ends[slot]!, this.#starts[slot]!);
      if (flags & LOST) this.lostBytes -= bytes;
      if (flags & RETRANSMITTED) this.retransmittedBytes -= bytes;
      this.#flags[slot] = (flags & AMBIGUOUS) | SACKED;
      this.sackedBytes += bytes;
      if (this.sackedRecords++ === 0 || sequenceLess(this.#highestSacked, this.#ends[slot]!)) {
        this.#highestSacked = this.#ends[slot]!;
      }
      marked += bytes;
    }
    return marked;
  }

  /**
   * RFC 6675 §4, IsLost: everything behind which three segments, or more than two segments' worth of bytes, were
   * selectively acknowledged. Returns the bytes newly marked.
   */
  markLostBySack(mssBytes: number): number {
    if (this.sackedRecords === 0) return 0;
    let bytesAbove = 0;
    let recordsAbove = 0;
    let marked = 0;
    let limit = this.#judgedBelow;
    let judged = this.#judgedBelow;
    for (let index = this.#find(this.#highestSacked) - 1; index >= 0; index--) {
      const slot = (this.#head + index) & this.#mask;
      const start = this.#starts[slot]!;
      if (sequenceLess(start, limit)) break;
      const bytes = sequenceDifference(this.#ends[slot]!, start);
      if (this.#flags[slot]! & SACKED) {
        bytesAbove += bytes;
        recordsAbove++;
        continue;
      }
      if (bytesAbove <= (DUPLICATE_THRESHOLD - 1) * mssBytes && recordsAbove < DUPLICATE_THRESHOLD) continue;
      if (judged === this.#judgedBelow) judged = this.#ends[slot]!;
      if (this.#setLost(slot)) marked += bytes;
      limit = this.#judgedBelow;
    }
    this.#judgedBelow = judged;
    return marked;
  }

  /** Marks the first record lost, unless it is. Returns its bytes, or 0. */
  markHeadLost(): number {
    if (this.#count === 0 || this.#flags[this.#head]! & SACKED) return 0;
    return this.#setLost(this.#head) ? sequenceDifference(this.#ends[this.#head]!, this.#starts[this.#head]!) : 0;
  }

  /** RFC 6298 §5.4, RFC 6675 §5.1: after a timeout everything not acknowledged counts as lost, copies included. */
  markAllLost(forgetSack: boolean): void {
    for (let index = 0; index < this.#count; index++) {
      const slot = (this.#head + index) & this.#mask;
      if (forgetSack) this.#flags[slot]! &= ~SACKED;
      if (this.#flags[slot]! & SACKED) continue;
      this.#flags[slot] = (this.#flags[slot]! & ~RETRANSMITTED) | LOST;
    }
    this.#recount();
    if (this.#count > 0) this.#lostHint = this.#starts[this.#head]!;
  }

  /** Marks lost what does not fit the path any more: every record longer than `mssBytes`. */
  markOversizeLost(mssBytes: number): void {
    for (let index = 0; index < this.#count; index++) {
      const slot = (this.#head + index) & this.#mask;
      if (this.#flags[slot]! & SACKED) continue;
      if (sequenceDifference(this.#ends[slot]!, this.#starts[slot]!) <= mssBytes) continue;
      this.#flags[slot] = (this.#flags[slot]! & ~RETRANSMITTED) | LOST;
    }
    this.#recount();
    if (this.#count > 0) this.#lostHint = this.#starts[this.#head]!;
  }

  /** Index of the first record that is lost and not sent again, or -1. */
  nextLost(): number {
    if (this.unsentLostBytes <= 0) return -1;
    for (let index = this.#find(this.#lostHint); index < this.#count; index++) {
      const slot = (this.#head + index) & this.#mask;
      if ((this.#flags[slot]! & (LOST | RETRANSMITTED)) === LOST) {
        this.#lostHint = this.#starts[slot]!;
        return index;
      }
    }
    return -1;
  }

  /** Whether the record is lost and not sent again: those that follow `nextLost()` may go in the same frame. */
  isUnsentLost(index: number): boolean {
    return index < this.#count && (this.#flags[(this.#head + index) & this.#mask]! & (LOST | RETRANSMITTED)) === LOST;
  }

  /** The record at `index` was sent again. */
  markRetransmitted(index: number, nowMicros: number, mark: number): void {
    const slot = (this.#head + index) & this.#mask;
    const flags = this.#flags[slot]!;
    if (!(flags & RETRANSMITTED) && flags & LOST) {
      this.retransmittedBytes += sequenceDifference(this.#ends[slot]!, this.#starts[slot]!);
      this.#flags[slot]! |= RETRANSMITTED;
    }
    this.#flags[slot]! |= AMBIGUOUS;
    this.#sentMicros[slot] = nowMicros;
    if (mark > this.#marks[slot]!) this.#marks[slot] = mark;
  }

  /** The last NIC mark of all records. */
  lastMark(): number {
    let mark = -1;
    for (let index = 0; index < this.#count; index++) {
      mark = Math.max(mark, this.#marks[(this.#head + index) & this.#mask]!);
    }
    return mark;
  }

  clear(): void {
    this.#head = 0;
    this.#count = 0;
    this.#recount();
  }

  #setLost(slot: number): boolean {
    if (this.#flags[slot]! & LOST) return false;
    this.#flags[slot]! |= LOST;
    this.lostBytes += sequenceDifference(this.#ends[slot]!, this.#starts[slot]!);
    if (sequenceLess(this.#starts[slot]!, this.#lostHint)) this.#lostHint = this.#starts[slot]!;
    return true;
  }

  /** Index of the first record that starts at or behind `sequence`. */
  #find(sequence: number): number {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sequenceLess(this.#starts[(this.#head + middle) & this.#mask]!, sequence)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #recount(): void {
    this.outstandingBytes = 0;
    this.sackedBytes = 0;
    this.lostBytes = 0;
    this.retransmittedBytes = 0;
    this.sackedRecords = 0;
    for (let index = 0; index < this.#count; index++) {
      const slot = (this.#head + index) & this.#mask;
      const bytes = sequenceDifference(this.#ends[slot]!, this.#starts[slot]!);
      const flags = this.#flags[slot]!;
      this.outstandingBytes += bytes;
      if (flags & SACKED) {
        this.sackedBytes += bytes;
        this.sackedRecords++;
      }
      if (flags & LOST) this.lostBytes += bytes;
      if (flags & RETRANSMITTED) this.retransmittedBytes += bytes;
    }
  }

  #grow(): void {
    const capacity = this.#starts.length * 2;
    this.#starts = this.#unrolled(this.#starts, new Int32Array(capacity));
    this.#ends = this.#unrolled(this.#ends, new Int32Array(capacity));
    this.#flags = this.#unrolled(this.#flags, new Uint8Array(capacity));
    this.#sentMicros = this.#unrolled(this.#sentMicros, new Float64Array(capacity));
    this.#marks = this.#unrolled(this.#marks, new Float64Array(capacity));
    this.#mask = capacity - 1;
    this.#head = 0;
  }

  #unrolled<A extends Int32Array | Uint8Array | Float64Array>(from: A, to: A): A {
    for (let i = 0; i < this.#count; i++) to[i] = from[(this.#head + i) & this.#mask]!;
    return to;
  }
}
