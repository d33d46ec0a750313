import { sequenceDifference, sequenceGreater, sequenceLess } from '../../wire/sequence.ts';
import type { AckFindings } from './ack-findings.ts';
import { DeliveryRate } from './delivery-rate.ts';
import type { Rack } from './rack.ts';
import {
  DELIVERED,
  DELIVERED_MICROS,
  DOUBLES,
  END,
  FIRST_SENT,
  FLAGS,
  IN_FLIGHT,
  INTEGERS,
  LIST_FLAGS,
  LOST_BYTES,
  MARK,
  RecordRing,
  SENT,
  SKIP,
  START,
} from './record-ring.ts';

/** Unacknowledged transmissions of one connection; at the limit nothing new is sent. */
const MAX_RECORDS = 65_536;

const SACKED = 1;
const LOST = 2;
/** Sent again since it was marked lost, and that copy counts as in flight. */
const RETRANSMITTED = 4;
/** Sent more than once, ever: no round-trip time can be told from its acknowledgment (Karn). */
const AMBIGUOUS = 8;
/** Sent with PSH. */
const PUSHED = 128;
/** It was sent while the application had too little to send. */
const APPLICATION_LIMITED = 32;

/**
 * The sender's scoreboard: one record for each segment sent and not yet acknowledged, in sequence order, with what SACK
 * said of it and when it was sent last. A record is known by its number, which counts up from the first of the
 * connection. What is in flight is in a list by the time of sending, for RACK; what is lost and not sent again is in
 * a set. Sums of bytes and segments are kept with every change, and runs that SACK has acknowledged are
 * stepped over in one go, so that the cost of an acknowledgment follows what it brings and not what is outstanding.
 */
export class Scoreboard {
  readonly rate: DeliveryRate = new DeliveryRate();

  outstandingBytes = 0;
  sackedBytes = 0;
  /** Marked lost and not selectively acknowledged since; sent again or not. */
  lostBytes = 0;
  retransmittedBytes = 0;
  sackedRecords = 0;
  lostRecords = 0;
  retransmittedRecords = 0;
  /** Without SACK: segments that duplicate acknowledgments stand for. */
  duplicates = 0;
  /** The NIC's last mark among the records that the last `acknowledge` removed. */
  ackedMark = -1;
  readonly #ring = new RecordRing();
  /** End of the highest record selectively acknowledged; valid while `sackedRecords > 0`. */
  #highestSacked = 0;
  /** RFC 6675: records before this one are judged; how many from it on were selectively acknowledged. */
  #judged = 0;
  #sackedBeyond = 0;

  /** Records looked at, ever: what the tests hold against what was acknowledged. */
  get visits(): number {
    return this.#ring.visits;
  }

  get count(): number {
    return this.#ring.count;
  }

  get isFull(): boolean {
    return this.#ring.count >= MAX_RECORDS;
  }

  /** Number of the first record, and of the one that comes next behind the last. */
  get first(): number {
    return this.#ring.first;
  }

  get last(): number {
    return this.#ring.last;
  }

  /** RFC 6675 §4, SetPipe, by sums. Of what duplicates stand for the size is not known: `mssBytes` each. */
  pipeBytes(mssBytes: number): number {
    const pipe = this.outstandingBytes - this.sackedBytes - this.lostBytes + this.retransmittedBytes;
    return this.duplicates === 0 ? pipe : Math.max(0, pipe - this.duplicates * mssBytes);
  }

  /** Segments in flight, as Linux counts them. */
  get pipeSegments(): number {
    const left = this.sackedRecords + this.duplicates + this.lostRecords;
    return Math.max(0, this.#ring.count - left + this.retransmittedRecords);
  }

  /** Segments that are known to have left the network without being acknowledged. */
  get leftRecords(): number {
    return this.sackedRecords + this.duplicates + this.lostRecords;
  }

  /** Lost and not yet sent again. */
  get hasLostToSend(): boolean {
    return this.#ring.hasPending;
  }

  /** SACK begins at the first record: the receiver has dropped what it had acknowledged selectively (RFC 2018 §8). */
  get headIsSacked(): boolean {
    return this.#ring.count > 0 && (this.#ring.flags(this.#ring.first) & SACKED) !== 0;
  }

  get headIsAmbiguous(): boolean {
    return this.#ring.count > 0 && (this.#ring.flags(this.#ring.first) & AMBIGUOUS) !== 0;
  }

  /** End of the highest segment that SACK has acknowledged, `una` if there is none. */
  highestSacked(una: number): number {
    return this.sackedRecords > 0 ? this.#highestSacked : una;
  }

  start(record: number): number {
    return this.#ring.start(record);
  }

  end(record: number): number {
    return this.#ring.end(record);
  }

  sentMicros(record: number): number {
    return this.#ring.sentMicros(record);
  }

  /** What is known of a record: 1 selectively acknowledged, 2 lost, 4 sent again since. To recount the sums by. */
  verdicts(record: number): number {
    return this.#ring.flags(record) & (SACKED | LOST | RETRANSMITTED);
  }

  /** Whether anything is in flight that RACK can judge, and what was sent first of it. */
  get hasListed(): boolean {
    return this.#ring.hasListed;
  }

  get oldestSent(): number {
    return this.#ring.oldestSent;
  }

  /** A segment was sent for the first time. */
  push(start: number, end: number, nowMicros: number, mark: number, isPushed = false): void {
    if (this.#ring.count === 0) {
      this.rate.restart(nowMicros);
      this.#judged = this.#ring.first;
    }
    const record = this.#ring.add(start, end, isPushed ? PUSHED : 0);
    this.#ring.doubles[(record & this.#ring.mask) * DOUBLES + MARK] = mark;
    this.outstandingBytes += sequenceDifference(end, start);
    this.#stamp(record, nowMicros);
  }

  /** Everything before `una` is acknowledged cumulatively. */
  acknowledge(una: number, found: AckFindings, rack: Rack | null): void {
    this.ackedMark = -1;
    if (this.sackedRecords === 0) this.#acknowledgeRun(una, found, rack);
    while (this.#ring.count > 0) {
      const record = this.#ring.first;
      if (!sequenceLess(this.start(record), una)) break;
      const mark = this.#ring.doubles[(record & this.#ring.mask) * DOUBLES + MARK]!;
      if (mark > this.ackedMark) this.ackedMark = mark;
      if (sequenceGreater(this.end(record), una)) {
        this.#trim(record, una, found);
        break;
      }
      this.#ring.visits++;
      this.#acknowledgeRecord(record, found, rack);
      this.#discount(record);
      this.#ring.shift();
    }
    if (sequenceDifference(this.#judged, this.#ring.first) < 0) this.#judged = this.#ring.first;
    if (this.#ring.count === 0) this.#release();
  }

  /**
   * Marks what lies wholly within [left, right); a record is one segment on the wire, so that a part of one cannot have
   * arrived.
   */
  sack(left: number, right: number, found: AckFindings, rack: Rack | null): void {
    const last = this.last;
    for (let record = this.#unsacked(this.#find(left)); record !== last; record = this.#unsacked((record + 1) | 0)) {
      if (sequenceGreater(this.end(record), right)) break;
      this.#ring.visits++;
      this.#sackRecord(record, found, rack);
    }
  }

  /**
   * The peer reports [left, right) as received twice, though it is not acknowledged yet: what of it was sent again was
   * sent for nothing. Returns how many records that are.
   */
  countRepeated(left: number, right: number, found: AckFindings): number {
    let repeated = 0;
    const last = this.last;
    for (let record = this.#find(left); record !== last; record = (record + 1) | 0) {
      if (sequenceGreater(this.end(record), right)) break;
      this.#ring.visits++;
      const flags = this.#ring.flags(record);
      if ((flags & AMBIGUOUS) === 0) continue;
      repeated++;
      if (flags & SACKED) found.noteReordered(this.start(record));
      if ((flags & (LOST | RETRANSMITTED)) === RETRANSMITTED) this.#setFlags(record, flags & ~RETRANSMITTED);
    }
    return repeated;
  }

  /**
   * RFC 6675 §4, IsLost, for a sender without RACK: lost is everything behind which `threshold` segments were
   * selectively acknowledged. Each record is judged once.
   */
  markLostBySack(threshold: number): void {
    while (this.#sackedBeyond >= threshold && this.#judged !== this.last) {
      const record = this.#judged;
      this.#ring.visits++;
      this.#judged = (record + 1) | 0;
      if (this.#ring.flags(record) & SACKED) this.#sackedBeyond--;
      else if ((this.#ring.flags(record) & LOST) === 0) this.markLost(record);
    }
  }

  /** Marks a record lost, or its retransmission. */
  markLost(record: number): void {
    const flags = this.#ring.flags(record);
    if (flags & SACKED || (flags & (LOST | RETRANSMITTED)) === LOST) return;
    this.#ring.visits++;
    this.#lose(record);
    this.#ring.addPending(record);
  }

  /** Marks the first record lost, unless it is. */
  markHeadLost(): void {
    if (this.#ring.count > 0 && (this.#ring.flags(this.#ring.first) & (LOST | SACKED)) === 0)
      this.markLost(this.#ring.first);
  }

  /**
   * RFC 6298 §5.4, RFC 6675 §5.1, RFC 8985 §6.3: after a timeout everything not acknowledged counts as lost, copies
   * included, but for what was sent so late that no acknowledgment of it can be missed yet.
   */
  markAllLost(forgetSack: boolean, rack: Rack | null, nowMicros: number): void {
    this.#ring.forgetPending();
    for (let i = 0; i < this.#ring.count; i++) {
      const record = (this.#ring.first + i) | 0;
      this.#ring.visits++;
      const flags = this.#ring.flags(record);
      if (flags & SACKED) {
        if (!forgetSack) continue;
        this.#setFlags(record, flags & ~SACKED);
      }
      if ((flags & (LOST | RETRANSMITTED)) !== LOST) {
        const isRecent = rack !== null && rack.remainingMicros(this.sentMicros(record), 0, nowMicros) > 0;
        if (!forgetSack && i > 0 && isRecent) continue;
        this.#lose(record);
      }
      this.#ring.addPending(record);
    }
    if (!forgetSack) return;
    this.#judged = this.#ring.first;
    this.#sackedBeyond = 0;
  }

  /** The losses were none: takes the marks back. Copies that are under way stay counted. */
  unmarkLost(): void {
    const { integers } = this.#ring;
    const flight: number[] = [];
    while (this.#ring.hasPending) {
      const record = this.#ring.firstPending;
      this.#ring.unlink(record);
      flight.push(record);
    }
    this.#linkFlight(flight);
    if (this.lostRecords === 0) return;
    for (let i = 0; i < this.#ring.count; i++) {
      const slot = (this.#ring.first + i) & this.#ring.mask;
      integers[slot * INTEGERS + FLAGS]! &= ~LOST;
    }
    this.lostBytes = 0;
    this.lostRecords = 0;
  }

  /** Cuts what does not fit the path any more into records of the new size, all of them lost. */
  cutOversize(mssBytes: number): void {
    const { mask, first, count } = this.#ring;
    const integers = this.#ring.integers.slice();
    const doubles = this.#ring.doubles.slice();
    const lastMark = this.lastMark();
    let isFit = true;
    for (let i = 0; i < count && isFit; i++) isFit = this.#ring.bytes((first + i) | 0) <= mssBytes;
    if (isFit) return;
    this.#release();
    const cut: number[] = [];
    const flight: number[] = [];
    for (let i = 0; i < count; i++) {
      const from = (first + i) & mask;
      const flags = integers[from * INTEGERS + FLAGS]! & ~LIST_FLAGS;
      let end = integers[from * INTEGERS + END]!;
      let start = integers[from * INTEGERS + START]!;
      const isCut = sequenceDifference(end, start) > mssBytes;
      // What follows and is too long as well is cut along with it, so that the pieces are of full size.
      for (const mayJoin = isCut && (flags & SACKED) === 0; i + 1 < count; i++) {
        const at = ((first + i + 1) & mask) * INTEGERS;
        const bytes = sequenceDifference(integers[at + END]!, integers[at + START]!);
        if (!mayJoin || integers[at + FLAGS]! & SACKED || bytes <= mssBytes) break;
        end = integers[at + END]!;
      }
      while (sequenceLess(start, end)) {
        const stop = sequenceDifference(end, start) > mssBytes ? (start + mssBytes) | 0 : end;
        const record = this.#ring.add(start, stop, 0);
        for (let k = 0; k < DOUBLES; k++) {
          this.#ring.doubles[(record & this.#ring.mask) * DOUBLES + k] = doubles[from * DOUBLES + k]!;
        }
        this.#ring.doubles[(record & this.#ring.mask) * DOUBLES + MARK] = lastMark;
        this.outstandingBytes += sequenceDifference(stop, start);
        this.#setFlags(record, flags);
        this.#relink(record, flight);
        if (isCut) cut.push(record);
        start = stop;
      }
    }
    this.#linkFlight(flight);
    this.#judged = first;
    for (const record of cut) this.markLost(record);
  }

  /** The first record that is lost and not sent again; only while `hasLostToSend`. */
  get nextLost(): number {
    return this.#ring.firstPending;
  }

  /** Whether the record is lost and not sent again: those that follow `nextLost` may go in the same frame. */
  isLostToSend(record: number): boolean {
    if (sequenceDifference(record, this.last) >= 0) return false;
    return (this.#ring.flags(record) & (LOST | RETRANSMITTED)) === LOST;
  }

  isPushed(record: number): boolean {
    return (this.#ring.flags(record) & PUSHED) !== 0;
  }

  /** A record was sent again: because it was lost, or as a probe. */
  markRetransmitted(record: number, nowMicros: number, mark: number): void {
    this.#ring.visits++;
    const flags = this.#ring.flags(record);
    this.#setFlags(record, flags | AMBIGUOUS | (flags & LOST ? RETRANSMITTED : 0));
    const at = (record & this.#ring.mask) * DOUBLES + MARK;
    if (mark > this.#ring.doubles[at]!) this.#ring.doubles[at] = mark;
    this.#stamp(record, nowMicros);
  }

  /** The last NIC mark of all records. */
  lastMark(): number {
    let mark = -1;
    for (let i = 0; i < this.#ring.count; i++) {
      mark = Math.max(mark, this.#ring.doubles[((this.#ring.first + i) & this.#ring.mask) * DOUBLES + MARK]!);
    }
    return mark;
  }

  clear(): void {
    this.#release();
  }

  /** Changes a record's flags and with them the sums. */
  #setFlags(record: number, flags: number): void {
    const at = (record & this.#ring.mask) * INTEGERS;
    const { integers } = this.#ring;
    const before = integers[at + FLAGS]!;
    const bytes = sequenceDifference(integers[at + END]!, integers[at + START]!);
    integers[at + FLAGS] = flags;
    const change = before ^ flags;
    if (change & SACKED) {
      const sign = flags & SACKED ? 1 : -1;
      this.sackedBytes += sign * bytes;
      this.sackedRecords += sign;
    }
    if (change & LOST) {
      const sign = flags & LOST ? 1 : -1;
      this.lostBytes += sign * bytes;
      this.lostRecords += sign;
    }
    if (change & RETRANSMITTED) {
      const sign = flags & RETRANSMITTED ? 1 : -1;
      this.retransmittedBytes += sign * bytes;
      this.retransmittedRecords += sign;
    }
  }

  /** Puts a record where its flags say that it belongs; into `flight` what is to be linked by its time. */
  #relink(record: number, flight: number[]): void {
    const flags = this.#ring.flags(record);
    if (flags & SACKED) this.#sackedAt(record);
    else if ((flags & (LOST | RETRANSMITTED)) === LOST) this.#ring.addPending(record);
    else flight.push(record);
  }

  /** Puts records back into the list of what is in flight: in the order of their times, or each would be a search. */
  #linkFlight(flight: number[]): void {
    flight.sort((one, other) => this.sentMicros(one) - this.sentMicros(other) || sequenceDifference(one, other));
    let near = flight[0]!;
    for (const record of flight) {
      this.#ring.linkSentByTime(record, near);
      near = record;
    }
  }

  #sackedAt(record: number): void {
    this.#ring.integers[(record & this.#ring.mask) * INTEGERS + SKIP] = (record + 1) | 0;
    const end = this.end(record);
    if (this.sackedRecords === 1 || sequenceLess(this.#highestSacked, end)) this.#highestSacked = end;
    if (sequenceDifference(record, this.#judged) >= 0) this.#sackedBeyond++;
  }

  /** Takes a record out of the sums. */
  #discount(record: number): void {
    if (this.#ring.flags(record) & SACKED && sequenceDifference(record, this.#judged) >= 0) this.#sackedBeyond--;
    this.outstandingBytes -= this.#ring.bytes(record);
    this.#setFlags(record, this.#ring.flags(record) & ~(SACKED | LOST | RETRANSMITTED));
  }

  /** What the sending of a record leaves behind: its time, the totals of that moment, and its place at the list's end. */
  #stamp(record: number, nowMicros: number): void {
    const { rate } = this;
    const slot = record & this.#ring.mask;
    const { integers, doubles } = this.#ring;
    const at = slot * DOUBLES;
    doubles[at + SENT] = nowMicros;
    doubles[at + DELIVERED] = rate.deliveredBytes;
    doubles[at + DELIVERED_MICROS] = rate.deliveredMicros;
    doubles[at + FIRST_SENT] = rate.firstSentMicros;
    doubles[at + LOST_BYTES] = rate.lostBytes;
    integers[slot * INTEGERS + IN_FLIGHT] =
      this.outstandingBytes - this.sackedBytes - this.lostBytes + this.retransmittedBytes;
    if (rate.limitedUntilBytes > 0) integers[slot * INTEGERS + FLAGS]! |= APPLICATION_LIMITED;
    else integers[slot * INTEGERS + FLAGS]! &= ~APPLICATION_LIMITED;
    this.#ring.unlink(record);
    this.#ring.linkSent(record);
  }

  /** The last byte of a record is not acknowledged yet: a part of a segment, which only an odd receiver does. */
  #trim(record: number, una: number, found: AckFindings): void {
    const bytes = sequenceDifference(una, this.start(record));
    const flags = this.#ring.flags(record);
    this.outstandingBytes -= bytes;
    if (flags & SACKED) this.sackedBytes -= bytes;
    else this.#deliver(bytes, 0, found);
    if (flags & LOST) this.lostBytes -= bytes;
    if (flags & RETRANSMITTED) this.retransmittedBytes -= bytes;
    this.#ring.integers[(record & this.#ring.mask) * INTEGERS + START] = una;
  }

  #deliver(bytes: number, segments: number, found: AckFindings): void {
    this.rate.deliveredBytes += bytes;
    this.rate.deliveredSegments += segments;
    found.deliveredBytes += bytes;
    found.deliveredSegments += segments;
  }

  /** Of records that nothing has befallen, only the ends say anything that the others do not. */
  #acknowledgeRun(una: number, found: AckFindings, rack: Rack | null): void {
    const ring = this.#ring;
    const run = ring.plainRun(una, PUSHED | APPLICATION_LIMITED);
    if (run === 0) return;
    const { first, runBytes } = ring;
    const last = (first + run - 1) | 0;
    const sentMicros = this.sentMicros(last);
    this.ackedMark = ring.runMark;
    found.ackedSegments += run;
    if (found.firstSentMicros < 0) found.firstSentMicros = this.sentMicros(first);
    found.lastSentMicros = sentMicros;
    if (sequenceDifference(this.end(first), found.recoveryPoint) <= 0) found.isOriginalDelivered = true;
    this.#deliver(runBytes, run, found);
    rack?.advance(found, false, this.end(last), sentMicros);
    this.#sample(last, ring.flags(last), sentMicros, found);
    this.outstandingBytes -= runBytes;
    ring.shiftRun(run);
  }

  #acknowledgeRecord(record: number, found: AckFindings, rack: Rack | null): void {
    const flags = this.#ring.flags(record);
    const sentMicros = this.sentMicros(record);
    found.ackedSegments++;
    if (flags & AMBIGUOUS) {
      found.isRetransmissionAcked = true;
    } else if ((flags & SACKED) === 0) {
      // A record that SACK had acknowledged says when it arrived then, not now.
      if (found.firstSentMicros < 0) found.firstSentMicros = sentMicros;
      found.lastSentMicros = sentMicros;
      if (sequenceLess(this.start(record), found.priorHighest)) found.noteReordered(this.start(record));
      if (sequenceDifference(this.end(record), found.recoveryPoint) <= 0) found.isOriginalDelivered = true;
    }
    if (flags & SACKED) return;
    this.#deliver(this.#ring.bytes(record), 1, found);
    rack?.advance(found, (flags & AMBIGUOUS) !== 0, this.end(record), sentMicros);
    this.#sample(record, flags, sentMicros, found);
  }

  #sackRecord(record: number, found: AckFindings, rack: Rack | null): void {
    const flags = this.#ring.flags(record);
    const sentMicros = this.sentMicros(record);
    const start = this.start(record);
    rack?.advance(found, (flags & AMBIGUOUS) !== 0, this.end(record), sentMicros);
    if ((flags & AMBIGUOUS) === 0) {
      // Delivered after what lies above it, without having been sent again: reordered on the way.
      if (sequenceLess(start, found.priorHighest)) found.noteReordered(start);
      if (sequenceDifference(this.end(record), found.recoveryPoint) <= 0) found.isOriginalDelivered = true;
      if (found.firstSackedMicros < 0 || sentMicros < found.firstSackedMicros) found.firstSackedMicros = sentMicros;
      if (sentMicros > found.lastSackedMicros) found.lastSackedMicros = sentMicros;
    }
    this.#ring.unlink(record);
    this.#setFlags(record, (flags & (AMBIGUOUS | APPLICATION_LIMITED | PUSHED)) | SACKED);
    this.#sackedAt(record);
    found.sackedSegments++;
    this.#deliver(this.#ring.bytes(record), 1, found);
    this.#sample(record, flags, sentMicros, found);
  }

  #sample(record: number, flags: number, sentMicros: number, found: AckFindings): void {
    const slot = record & this.#ring.mask;
    const { integers, doubles } = this.#ring;
    this.rate.sampleRecord(
      found,
      sentMicros,
      integers[slot * INTEGERS + END]!,
      doubles[slot * DOUBLES + DELIVERED]!,
      doubles[slot * DOUBLES + DELIVERED_MICROS]!,
      doubles[slot * DOUBLES + FIRST_SENT]!,
      doubles[slot * DOUBLES + LOST_BYTES]!,
      integers[slot * INTEGERS + IN_FLIGHT]!,
      (flags & APPLICATION_LIMITED) !== 0,
    );
  }

  #lose(record: number): void {
    this.#ring.unlink(record);
    this.#setFlags(record, (this.#ring.flags(record) & ~RETRANSMITTED) | LOST);
    this.rate.lostBytes += this.#ring.bytes(record);
    this.rate.lostSegments++;
  }

  /** Number of the first record that starts at or behind `sequence`. */
  #find(sequence: number): number {
    let low = 0;
    let high = this.#ring.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sequenceLess(this.start((this.#ring.first + middle) | 0), sequence)) low = middle + 1;
      else high = middle;
    }
    return (this.#ring.first + low) | 0;
  }

  /** The first record from `record` on that is not selectively acknowledged. Runs are stepped over, and shortcuts left. */
  #unsacked(record: number): number {
    const last = this.last;
    const { integers } = this.#ring;
    let at = record;
    while (at !== last && (this.#ring.flags(at) & SACKED) !== 0) {
      this.#ring.visits++;
      const slot = (at & this.#ring.mask) * INTEGERS;
      const next = integers[slot + SKIP]!;
      if (next !== last && (this.#ring.flags(next) & SACKED) !== 0) {
        integers[slot + SKIP] = integers[(next & this.#ring.mask) * INTEGERS + SKIP]!;
      }
      at = next;
    }
    return at;
  }

  /** Nothing is outstanding. */
  #release(): void {
    this.#ring.release();
    this.#sackedBeyond = 0;
    this.outstandingBytes = 0;
    this.sackedBytes = 0;
    this.lostBytes = 0;
    this.retransmittedBytes = 0;
    this.sackedRecords = 0;
    this.lostRecords = 0;
    this.retransmittedRecords = 0;
  }
}
