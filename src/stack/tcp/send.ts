import { sequenceDifference, sequenceGreater, sequenceLess, sequenceLessOrEqual } from '../../wire/sequence.ts';
import { TCP_FIN, TCP_PSH } from '../../wire/tcp.ts';
import { CompletionQueue } from './completion.ts';
import { MAX_BURST_BYTES, type TcpConfig } from './config.ts';
import type { CongestionController } from './congestion/controller.ts';
import { NewReno } from './congestion/newreno.ts';
import type { TcpConnection } from './connection.ts';
import type { TcpCounters } from './counters.ts';
import { EMIT_SENT, type SegmentWriter } from './emit.ts';
import { LossRecovery } from './recovery.ts';
import { RttEstimator } from './rtt.ts';
import { Scoreboard } from './sack.ts';
import type { Segment } from './segment.ts';
import { SendQueue } from './send-queue.ts';
import { TIMER_PERSIST, TIMER_RETRANSMIT } from './timers.ts';

/** There is nothing that may be sent now. */
const NOTHING = 2;
/** Lost segments wait for room in the congestion window: nothing new goes before them (RFC 6675 §4, NextSeg). */
const LIMITED = 3;
/** Timestamps tick once a millisecond; less than a tick is taken for half of one. */
const TICK_MICROS = 1000;

/** What the sender needs of the NIC: when the memory of sent frames is free again. */
export interface TransmitMarks {
  txMark(): number;
  txDone(mark: number): boolean;
}

/** The sending half of a connection: what is queued, in flight and acknowledged, and what may be sent next. */
export class Sender {
  iss = 0;
  sndUna = 0;
  sndNxt = 0;
  sndWnd = 0;
  maxSndWnd = 0;
  sndWl1 = 0;
  sndWl2 = 0;
  /** Shift count that the peer announced. */
  scale = 0;
  /** Stream offset of `sndUna`: -1 while the SYN is not acknowledged. */
  unaOffset = -1;
  readonly queue: SendQueue = new SendQueue();
  readonly scoreboard: Scoreboard = new Scoreboard();
  readonly congestion: CongestionController;
  readonly recovery: LossRecovery;
  readonly rtt: RttEstimator;
  readonly completion: CompletionQueue = new CompletionQueue();

  noDelay = false;
  finQueued = false;
  finSent = false;
  /** Timeouts in a row without progress (RFC 9293 §3.8.3, R2), and unanswered window probes. */
  retries = 0;
  probes = 0;
  /** When what is at `sndUna` now was first found unacknowledged. */
  stalledSinceMicros = -1;
  lastSentMicros: number = Number.NEGATIVE_INFINITY;
  retransmittedSegments = 0;
  retransmittedBytes = 0;

  /** Stream offset behind the last segment sent that was not full (Minshall's variant of RFC 896). */
  #smallOffset = -1;
  /** Sending stopped because of the congestion window. */
  #isCongestionLimited = false;
  /** The persist timer has expired: send what fits, however little (RFC 9293 §3.8.6.2.1). */
  #overrideSilly = false;
  readonly #connection: TcpConnection;
  readonly #writer: SegmentWriter;
  readonly #marks: TransmitMarks;
  readonly #config: TcpConfig;
  readonly #counters: TcpCounters;

  constructor(
    connection: TcpConnection,
    writer: SegmentWriter,
    marks: TransmitMarks,
    config: TcpConfig,
    counters: TcpCounters,
  ) {
    this.#connection = connection;
    this.#writer = writer;
    this.#marks = marks;
    this.#config = config;
    this.#counters = counters;
    this.congestion = new NewReno();
    this.recovery = new LossRecovery(this.scoreboard, this.congestion, counters);
    this.rtt = new RttEstimator(config.initialRtoMicros, config.minRtoMicros, config.maxRtoMicros);
  }

  /** Chooses the initial sequence number; the SYN takes it. */
  begin(iss: number): void {
    this.iss = iss;
    this.sndUna = iss;
    this.sndNxt = (iss + 1) | 0;
    this.unaOffset = -1;
  }

  /** The peer has acknowledged the SYN. */
  established(segment: Segment): void {
    this.sndUna = (this.iss + 1) | 0;
    this.unaOffset = 0;
    this.retries = 0;
    this.setWindow(segment);
  }

  get nxtOffset(): number {
    return this.unaOffset + sequenceDifference(this.sndNxt, this.sndUna);
  }

  /** Bytes accepted and not yet sent for the first time. */
  get unsentBytes(): number {
    return this.queue.endOffset - Math.min(this.nxtOffset, this.queue.endOffset);
  }

  get spaceBytes(): number {
    return Math.max(0, this.#config.sendBufferBytes - (this.queue.endOffset - Math.max(0, this.unaOffset)));
  }

  /** Our FIN is acknowledged. */
  get finAcknowledged(): boolean {
    return this.finSent && this.unaOffset > this.queue.endOffset;
  }

  get pipeBytes(): number {
    return this.recovery.pipeBytes(this.#connection.segmentBytes);
  }

  /** RFC 9293 §3.10.7.4: SND.WND, SND.WL1, SND.WL2. */
  setWindow(segment: Segment): void {
    this.sndWnd = segment.isSyn ? segment.window : segment.window * 2 ** this.scale;
    this.sndWl1 = segment.sequence;
    this.sndWl2 = segment.acknowledgment;
    if (this.sndWnd > this.maxSndWnd) this.maxSndWnd = this.sndWnd;
  }

  /** An acceptable acknowledgment (SND.UNA =< SEG.ACK =< SND.NXT) of a synchronised connection has come. */
  takeAck(segment: Segment, nowMicros: number): void {
    const { acknowledgment, options } = segment;
    const connection = this.#connection;
    const hasSack = connection.sackEnabled;
    const acked = sequenceDifference(acknowledgment, this.sndUna);
    const isDuplicate = acked === 0 && this.#isDuplicate(segment);
    if (
      sequenceLess(this.sndWl1, segment.sequence) ||
      (this.sndWl1 === segment.sequence && sequenceLessOrEqual(this.sndWl2, acknowledgment))
    ) {
      this.setWindow(segment);
    }
    if (hasSack && options.sackCount > 0) this.recovery.takeSack(options, this.sndUna, acknowledgment, this.sndNxt);
    if (acked > 0) this.#advance(segment, acked, nowMicros);
    else if (isDuplicate) this.recovery.onDuplicateAck(hasSack);
    this.recovery.detect(this.sndUna, this.sndNxt, connection.segmentBytes, hasSack, nowMicros);
    this.probes = 0;
    // A peer that answers is alive, even if it takes nothing for now: RFC 9293 §3.8.6.1.
    if (this.sndWnd === 0) this.retries = 0;
    if (connection.timers.runs(TIMER_PERSIST) && this.sndWnd > 0 && !this.#isWindowTooSmall()) {
      connection.timers.stop(TIMER_PERSIST);
    }
  }

  /** Sends what may be sent. False: the way down is blocked, come again at the next flush. */
  output(nowMicros: number): boolean {
    this.#restartAfterIdle(nowMicros);
    let verdict = EMIT_SENT;
    while (verdict === EMIT_SENT) {
      verdict = this.#retransmitLost(nowMicros);
      if (verdict === NOTHING) verdict = this.#sendNew(nowMicros);
    }
    return this.#connection.accepted(verdict === NOTHING || verdict === LIMITED ? EMIT_SENT : verdict, nowMicros);
  }

  /** RFC 6298 §5.4 to 5.6. The retransmission itself goes out with the flush. */
  onRetransmitTimeout(nowMicros: number): void {
    this.recovery.onTimeout(this.sndNxt, this.retries === 0, nowMicros);
    this.retries++;
    this.rtt.backoff++;
    this.#armRetransmit(nowMicros);
  }

  /**
   * RFC 9293 §3.8.6.1: a probe of a closed window. It repeats the last sequence number before the window instead of
   * sending a byte into it, as Linux does: the answer is the same and there is no byte to take back.
   */
  onPersistTimeout(nowMicros: number): void {
    if (this.unsentBytes === 0 && !(this.finQueued && !this.finSent)) return;
    if (this.sndWnd > 0 && this.#usableWindow() > 0) {
      this.#overrideSilly = true;
    } else {
      this.probes++;
      this.#counters.windowProbes++;
      this.#writer.write(this.#connection, (this.sndUna - 1) | 0, 0, 0, 0, nowMicros);
    }
    this.rtt.backoff++;
    this.#connection.timers.set(TIMER_PERSIST, nowMicros + this.rtt.rtoMicros);
  }

  /** The path takes smaller packets only: what was sent in larger ones goes out again, without blame for congestion. */
  onSegmentSizeReduced(nowMicros: number): void {
    this.congestion.onSegmentSize(this.#connection.segmentBytes, this.#config.initialWindowSegments);
    this.scoreboard.markOversizeLost(this.#connection.segmentBytes);
    if (this.scoreboard.unsentLostBytes > 0) this.recovery.forceRetransmit = true;
    if (this.scoreboard.count > 0) this.#armRetransmit(nowMicros);
  }

  /** The path takes larger packets, or may: segments to come are larger. */
  onSegmentSizeRaised(): void {
    this.congestion.onSegmentSize(this.#connection.segmentBytes, this.#config.initialWindowSegments);
  }

  /** Polls the NIC about acknowledged memory. */
  pollCompletion(): boolean {
    return this.completion.poll(this.#marks);
  }

  /** The NIC's mark behind everything this connection has in flight. */
  lastMark(): number {
    return this.scoreboard.lastMark();
  }

  clear(): void {
    this.queue.clear();
    this.scoreboard.clear();
  }

  #isDuplicate(segment: Segment): boolean {
    // RFC 5681 §2: (a) data outstanding, (b) no data, (c) no SYN or FIN, (d) the greatest acknowledgment, (e) same window.
    return this.scoreboard.count > 0 && segment.lengthBytes === 0 && segment.window * 2 ** this.scale === this.sndWnd;
  }

  #advance(segment: Segment, acked: number, nowMicros: number): void {
    const connection = this.#connection;
    const { scoreboard, rtt, recovery } = this;
    const wasOpen = recovery.state !== 'recovery';
    scoreboard.acknowledge(segment.acknowledgment);
    this.sndUna = segment.acknowledgment;
    this.unaOffset += acked;
    this.retries = 0;
    this.stalledSinceMicros = scoreboard.count > 0 ? nowMicros : -1;
    const dataOffset = Math.min(this.unaOffset, this.queue.endOffset);
    this.queue.release(dataOffset);
    this.completion.push(dataOffset, scoreboard.ackedMark);
    if (scoreboard.ackedSentMicros >= 0) {
      rtt.sample(nowMicros - scoreboard.ackedSentMicros);
    } else if (connection.timestampsEnabled && segment.options.hasTimestamps && segment.options.timestampEcho !== 0) {
      // RFC 7323 §4.1: the echo tells the copies of a segment apart.
      const ticks = (connection.timestamp(nowMicros) - segment.options.timestampEcho) | 0;
      if (ticks >= 0) rtt.sample(Math.max(ticks * TICK_MICROS, TICK_MICROS / 2));
    }
    if (wasOpen) this.congestion.onAck(acked, this.#isCongestionLimited, rtt.latestMicros, nowMicros);
    recovery.onNewAck(this.sndUna, acked, connection.segmentBytes, connection.sackEnabled, nowMicros);
    connection.noteAcknowledged();
    if (scoreboard.count === 0) connection.timers.stop(TIMER_RETRANSMIT); // RFC 6298 §5.2
    else this.#armRetransmit(nowMicros); // §5.3
  }

  #retransmitLost(nowMicros: number): number {
    const { scoreboard, recovery } = this;
    const index = scoreboard.nextLost();
    if (index < 0) return NOTHING;
    const start = scoreboard.start(index);
    let end = scoreboard.end(index);
    const room = this.congestion.cwndBytes - this.pipeBytes;
    if (sequenceDifference(end, start) > room && !recovery.forceRetransmit) {
      this.#isCongestionLimited = true;
      return LIMITED;
    }
    const limit = Math.min(room, MAX_BURST_BYTES);
    let next = index + 1;
    while (scoreboard.isUnsentLost(next) && sequenceDifference(scoreboard.end(next), start) <= limit) {
      end = scoreboard.end(next++);
    }
    const offset = this.unaOffset + sequenceDifference(start, this.sndUna);
    const bytes = sequenceDifference(end, start);
    const hasFin = offset + bytes > this.queue.endOffset;
    const flags = (hasFin ? TCP_FIN : 0) | TCP_PSH;
    const verdict = this.#writer.write(this.#connection, start, flags, offset, bytes - (hasFin ? 1 : 0), nowMicros);
    if (verdict !== EMIT_SENT) return verdict;
    recovery.forceRetransmit = false;
    const sent = this.#writer.payloadBytes + (this.#writer.carriedFin ? 1 : 0);
    const mark = this.#marks.txMark();
    for (let i = index; i < next && sequenceDifference(scoreboard.end(i), start) <= sent; i++) {
      scoreboard.markRetransmitted(i, nowMicros, mark);
      this.retransmittedSegments++;
      this.#counters.retransmittedSegments++;
    }
    this.retransmittedBytes += this.#writer.payloadBytes;
    this.#counters.retransmittedBytes += this.#writer.payloadBytes;
    this.#sent(nowMicros);
    return EMIT_SENT;
  }

  #sendNew(nowMicros: number): number {
    this.#isCongestionLimited = false;
    const unsent = this.unsentBytes;
    const wantsFin = this.finQueued && !this.finSent;
    if ((unsent === 0 && !wantsFin) || this.scoreboard.isFull) return NOTHING;
    const connection = this.#connection;
    const mss = connection.segmentBytes - this.#writer.sackBytes(connection);
    const usable = this.#usableWindow();
    let length = Math.min(unsent, usable, MAX_BURST_BYTES - (MAX_BURST_BYTES % mss));
    if ((length === 0 && unsent > 0) || usable <= 0) return this.#waitForWindow(nowMicros);
    if (length < unsent && length > mss) length -= length % mss;
    if (length < mss && !this.#maySendSmall(length, unsent)) return this.#waitForWindow(nowMicros);
    if (length > mss && length % mss !== 0 && !this.#nagleAllows()) length -= length % mss;

    const room = this.congestion.cwndBytes - this.pipeBytes;
    if (length > room) {
      this.#isCongestionLimited = true;
      const whole = Math.max(0, room - (room % mss));
      if (whole === 0 && this.pipeBytes > 0) return NOTHING;
      length = Math.min(length, Math.max(whole, mss));
    }
    const offset = this.nxtOffset;
    const isLast = length === unsent;
    const fin = wantsFin && isLast && length + 1 <= usable;
    const flags = (fin ? TCP_FIN : 0) | (isLast && length > 0 ? TCP_PSH : 0);
    if (length === 0 && !fin) return this.#waitForWindow(nowMicros);
    const verdict = this.#writer.write(connection, this.sndNxt, flags, offset, length, nowMicros);
    if (verdict !== EMIT_SENT) return verdict;
    this.#record(this.#writer.payloadBytes, this.#writer.carriedFin, mss, nowMicros);
    return EMIT_SENT;
  }

  /** One record for each segment of a burst. */
  #record(bytes: number, fin: boolean, mss: number, nowMicros: number): void {
    const mark = this.#marks.txMark();
    let left = bytes;
    do {
      const size = Math.min(left, mss);
      left -= size;
      const end = (this.sndNxt + size + (left === 0 && fin ? 1 : 0)) | 0;
      this.scoreboard.push(this.sndNxt, end, nowMicros, mark);
      this.sndNxt = end;
      if (size < mss) this.#smallOffset = this.nxtOffset;
    } while (left > 0);
    if (fin) {
      this.finSent = true;
      this.#connection.finSent();
    }
    if (this.stalledSinceMicros < 0) this.stalledSinceMicros = nowMicros;
    this.#overrideSilly = false;
    this.#sent(nowMicros);
  }

  #sent(nowMicros: number): void {
    const { timers } = this.#connection;
    this.lastSentMicros = nowMicros;
    timers.stop(TIMER_PERSIST);
    this.ensureRetransmit(nowMicros); // RFC 6298 §5.1
  }

  /** Starts the retransmission timer unless it runs: also for what could not even be sent. */
  ensureRetransmit(nowMicros: number): void {
    if (!this.#connection.timers.runs(TIMER_RETRANSMIT)) this.#armRetransmit(nowMicros);
  }

  #armRetransmit(nowMicros: number): void {
    let deadline = nowMicros + this.rtt.rtoMicros;
    const { userTimeoutMicros } = this.#connection;
    if (userTimeoutMicros > 0 && this.stalledSinceMicros >= 0) {
      deadline = Math.min(deadline, Math.max(nowMicros, this.stalledSinceMicros + userTimeoutMicros));
    }
    this.#connection.timers.set(TIMER_RETRANSMIT, deadline);
  }

  #usableWindow(): number {
    return this.sndWnd - sequenceDifference(this.sndNxt, this.sndUna);
  }

  /** RFC 9293 §3.8.6.2.1 and §3.7.4: less than a full segment goes out only if nothing better is to be expected. */
  #maySendSmall(length: number, unsent: number): boolean {
    if (this.#overrideSilly) return true;
    if (length === unsent) return this.#nagleAllows();
    return length >= this.maxSndWnd / 2;
  }

  #nagleAllows(): boolean {
    return this.noDelay || this.finQueued || this.#smallOffset <= this.unaOffset;
  }

  #isWindowTooSmall(): boolean {
    return this.#usableWindow() < Math.min(this.#connection.segmentBytes, this.maxSndWnd / 2, this.unsentBytes);
  }

  /** Data waits for the window. If nothing is in flight no acknowledgment will tell of it: the persist timer asks. */
  #waitForWindow(nowMicros: number): number {
    const { timers } = this.#connection;
    if (this.scoreboard.count === 0 && !timers.runs(TIMER_PERSIST)) {
      timers.set(TIMER_PERSIST, nowMicros + this.rtt.rtoMicros);
    }
    return NOTHING;
  }

  #restartAfterIdle(nowMicros: number): void {
    if (this.scoreboard.count > 0 || this.unsentBytes === 0) return;
    if (nowMicros - this.lastSentMicros > this.rtt.rtoMicros && this.lastSentMicros >= 0) {
      this.congestion.onIdleRestart(nowMicros);
      this.lastSentMicros = nowMicros;
    }
  }
}

/** RFC 5961 §5.2: SND.UNA - MAX.SND.WND =< SEG.ACK =< SND.NXT. */
export function isAckInRange(sender: Sender, acknowledgment: number): boolean {
  if (sequenceGreater(acknowledgment, sender.sndNxt)) return false;
  return sequenceDifference(sender.sndUna, acknowledgment) <= sender.maxSndWnd;
}
