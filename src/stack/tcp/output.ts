import { sequenceDifference } from '../../wire/sequence.ts';
import { TCP_FIN, TCP_PSH } from '../../wire/tcp.ts';
import { finSent } from './closing.ts';
import { MAX_BURST_BYTES } from './config.ts';
import { EMIT_BLOCKED, EMIT_SENT } from './emit.ts';
import { burstSegments } from './pacing.ts';
import { probePayload, probeSent } from './path-mtu.ts';
import type { Sender } from './send.ts';
import { TIMER_PACING, TIMER_PERSIST, TIMER_RETRANSMIT, TIMER_TAIL_LOSS } from './timers.ts';

/** There is nothing that may be sent now. */
const NOTHING = 2;
/** Lost segments wait for room in the congestion window: nothing new goes before them (RFC 6675 §4, NextSeg). */
const LIMITED = 3;

/** What a sender sends, and when: lost segments first, then new ones, as both windows, Nagle and the pace allow. */
export class Output {
  /** The persist timer has expired: send what fits, however little (RFC 9293 §3.8.6.2.1). */
  overridesSilly = false;
  /** The tail loss probe is to go out. */
  isProbeDue = false;
  /** Stream offset behind the last segment sent that was not full (Minshall's variant of RFC 896). */
  #smallOffset = -1;
  /** Segments of new data sent in this run. */
  #newSegments = 0;
  /** The application waited for room in the send buffer when the last run ended. */
  #wasWaiting = false;
  readonly #sender: Sender;

  constructor(sender: Sender) {
    this.#sender = sender;
  }

  /** Sends what may be sent. False: the way down is blocked, come again at the next flush. */
  run(nowMicros: number): boolean {
    const { connection } = this.#sender;
    this.#restartAfterIdle(nowMicros);
    this.#newSegments = 0;
    let verdict = this.isProbeDue ? this.#sendProbe(nowMicros) : EMIT_SENT;
    while (verdict === EMIT_SENT) {
      verdict = this.#retransmitLost(nowMicros);
      if (verdict === NOTHING) verdict = this.#sendNew(nowMicros, 0);
    }
    if (this.#newSegments === 0) this.#resumeRetransmission(nowMicros);
    if (verdict === EMIT_BLOCKED) this.#askAgain(nowMicros);
    this.#noteUse(nowMicros);
    return connection.accepted(verdict === NOTHING || verdict === LIMITED ? EMIT_SENT : verdict, nowMicros);
  }

  /** F-RTO could not send new data after all (RFC 5682 §2.1, step 2b): the conventional recovery goes on. */
  #resumeRetransmission(nowMicros: number): void {
    const { recovery } = this.#sender;
    if (!recovery.isHeld || recovery.state !== 'loss') return;
    recovery.endForwardRto();
    for (let verdict = EMIT_SENT; verdict === EMIT_SENT;) verdict = this.#retransmitLost(nowMicros);
  }

  /** After a run: whether the window was what ended it, and whether the application was (RFC 7661 §4.1). */
  #noteUse(nowMicros: number): void {
    const sender = this.#sender;
    const { scoreboard, windowUse, connection } = sender;
    const { unsentBytes } = sender;
    const hasRoom = sender.quotaSegments > 0;
    if (this.#newSegments > 0 || (unsentBytes > 0 && !hasRoom)) {
      windowUse.note(!hasRoom, scoreboard.count, sender.sndUna, sender.sndNxt);
    }
    // One probe an episode.
    if (this.#newSegments > 0 && !sender.recovery.isProbing) sender.scheduleProbe(nowMicros, false);
    // An application that waits for room in the send buffer is not what holds back, nor one that has just been told of it.
    const isWaiting = connection.wantsSpace;
    if (
      unsentBytes < connection.segmentBytes &&
      hasRoom &&
      !scoreboard.hasLostToSend &&
      !isWaiting &&
      !this.#wasWaiting
    ) {
      scoreboard.rate.markLimited(sender.pipeBytes);
    }
    this.#wasWaiting = isWaiting;
  }

  /** RFC 8985 §7.3: one segment, new if there is one, beyond the window if need be; else the last one again. */
  #sendProbe(nowMicros: number): number {
    this.isProbeDue = false;
    const { scoreboard, recovery, connection, counters } = this.#sender;
    if (scoreboard.count === 0 || recovery.isProbing || !recovery.mayProbe) return EMIT_SENT;
    const last = (scoreboard.last - 1) | 0;
    let verdict = this.#sender.maySendNew ? this.#sendNew(nowMicros, 1) : NOTHING;
    const isNew = verdict !== NOTHING;
    // Also where something new is there, but is paced, or has no record.
    if (!isNew) verdict = this.#resend(last, scoreboard.last, nowMicros);
    if (verdict !== EMIT_SENT) return verdict;
    recovery.isProbing = true;
    recovery.isProbeRetransmission = !isNew;
    recovery.probeEnd = this.#sender.sndNxt;
    counters.tailLossProbes++;
    this.#sender.armRetransmit(nowMicros);
    connection.timers.stop(TIMER_TAIL_LOSS);
    return EMIT_SENT;
  }

  #retransmitLost(nowMicros: number): number {
    const { scoreboard, recovery, sndUna, sndWnd, connection } = this.#sender;
    if (!scoreboard.hasLostToSend || recovery.isHeld) return NOTHING;
    if (this.#isPaced(nowMicros)) return LIMITED;
    const quota = Math.max(this.#sender.quotaSegments, recovery.forceRetransmit ? 1 : 0);
    if (quota <= 0) return LIMITED;
    const record = scoreboard.nextLost;
    const distance = sequenceDifference(scoreboard.start(record), sndUna);
    // A window that was taken back stops all but the first, which then probes it.
    if (distance >= sndWnd && distance > 0) return LIMITED;
    const isFirst = record === scoreboard.first;
    const verdict = this.#resend(record, this.#lostRun(record, quota), nowMicros);
    if (verdict !== EMIT_SENT) return verdict;
    recovery.forceRetransmit = false;
    if (isFirst) this.#sender.armRetransmit(nowMicros);
    else if (!connection.timers.runs(TIMER_RETRANSMIT)) this.#sender.armRetransmit(nowMicros);
    return EMIT_SENT;
  }

  /** The record behind the last one that goes in the same frame: whole segments, or small ones that fit in one. */
  #lostRun(record: number, quota: number): number {
    const { scoreboard, connection } = this.#sender;
    const mss = connection.segmentBytes;
    const start = scoreboard.start(record);
    const boundary = this.#recordEnd(this.#offsetOf(start));
    const isFull = sequenceDifference(scoreboard.end(record), start) === mss;
    const limit = Math.min(boundary, isFull ? this.#burstLimit(mss) : mss);
    let next = (record + 1) | 0;
    for (let left = quota - 1; left > 0 && scoreboard.isLostToSend(next); left--) {
      if (sequenceDifference(scoreboard.end(next), start) > limit) break;
      const isWhole = sequenceDifference(scoreboard.end(next), scoreboard.start(next)) === mss;
      next = (next + 1) | 0;
      if (isFull && !isWhole) break;
    }
    return next;
  }

  /** Sends the records [record, next) again. */
  #resend(record: number, next: number, nowMicros: number): number {
    const { scoreboard, connection, writer, marks, queue, recovery, counters } = this.#sender;
    const start = scoreboard.start(record);
    const last = (next - 1) | 0;
    const offset = this.#offsetOf(start);
    const bytes = sequenceDifference(scoreboard.end(last), start);
    const hasFin = offset + bytes > queue.endOffset;
    const isPushed = bytes > connection.segmentBytes || scoreboard.isPushed(last);
    const flags = (hasFin ? TCP_FIN : 0) | (isPushed ? TCP_PSH : 0);
    const verdict = writer.write(connection, start, flags, offset, bytes - (hasFin ? 1 : 0), nowMicros);
    if (verdict !== EMIT_SENT) return verdict;
    const sent = writer.payloadBytes + (writer.carriedFin ? 1 : 0);
    const mark = marks.txMark();
    let segments = 0;
    for (let at = record; at !== next && sequenceDifference(scoreboard.end(at), start) <= sent; at = (at + 1) | 0) {
      scoreboard.markRetransmitted(at, nowMicros, mark);
      segments++;
    }
    this.#sender.retransmittedSegments += segments;
    this.#sender.retransmittedBytes += writer.payloadBytes;
    counters.retransmittedSegments += segments;
    counters.retransmittedBytes += writer.payloadBytes;
    recovery.undo.noteRetransmitted(segments, nowMicros);
    recovery.noteSent(segments);
    connection.pathSearch?.forget(); // what was sent again tells nothing about its size
    this.#sent(sent, nowMicros);
    return EMIT_SENT;
  }

  /**
   * Sends the next burst of new data.
   * @param probeSegments go out even if the congestion window and Nagle say no; then nothing more.
   */
  #sendNew(nowMicros: number, probeSegments: number): number {
    const sender = this.#sender;
    const { connection, scoreboard, writer } = sender;
    sender.isWindowLimited = false;
    const unsent = sender.unsentBytes;
    // Not before the handshake is done (RFC 7413 sends early): a SYN-ACK that is lost would never be repeated.
    const wantsFin = sender.finQueued && !sender.finSent && sender.unaOffset >= 0;
    if ((unsent === 0 && !wantsFin) || scoreboard.isFull || this.#isPaced(nowMicros)) return NOTHING;
    const quota = probeSegments > 0 ? probeSegments : sender.quotaSegments;
    if (quota <= 0) return NOTHING;
    const mss = connection.segmentBytes - writer.optionBytes(connection, nowMicros);
    const usable = sender.usableWindow;
    const pathProbe = connection.pathSearch === null ? 0 : probePayload(connection, quota * mss, nowMicros);
    if (pathProbe > 0 && probeSegments === 0) return this.#sendPathProbe(pathProbe, nowMicros);
    const offset = sender.nxtOffset;
    const available = Math.min(unsent, this.#recordEnd(offset));
    let length = Math.min(available, usable, quota * mss, this.#burstLimit(mss));
    if ((length <= 0 && unsent > 0) || usable <= 0) return this.#waitForWindow(nowMicros);
    if (length < available && length > mss) length -= length % mss;
    const isLast = length === unsent;
    if (probeSegments === 0) {
      const isWhole = length === available && !isLast; // a record's end, and more behind
      if (length < mss && !isWhole && !this.#maySendSmall(offset, length, unsent))
        return this.#waitForWindow(nowMicros);
      if (length > mss && length % mss !== 0 && isLast && !this.#nagleAllows(offset + length)) length -= length % mss;
    }
    const fin = wantsFin && length === unsent && length + 1 <= usable;
    if (length === 0 && !fin) return this.#waitForWindow(nowMicros);
    const isPushed = length > mss || this.overridesSilly || this.#endsWrite(offset, length);
    const flags = (fin ? TCP_FIN : 0) | (isPushed && length > 0 ? TCP_PSH : 0);
    const verdict = writer.write(connection, sender.sndNxt, flags, offset, length, nowMicros);
    if (verdict !== EMIT_SENT) return verdict;
    this.#record(writer.payloadBytes, writer.carriedFin, mss, nowMicros);
    return EMIT_SENT;
  }

  /** One segment longer than the others, to find out whether it arrives (RFC 8899). */
  #sendPathProbe(bytes: number, nowMicros: number): number {
    const { connection, writer, sndNxt, nxtOffset } = this.#sender;
    const length = Math.min(bytes, this.#recordEnd(nxtOffset));
    writer.isProbe = true;
    const verdict = writer.write(connection, sndNxt, 0, nxtOffset, length, nowMicros);
    writer.isProbe = false;
    if (verdict !== EMIT_SENT) return verdict;
    this.#record(writer.payloadBytes, false, length, nowMicros);
    if (writer.payloadBytes === bytes) probeSent(connection, bytes, sndNxt, this.#sender.sndNxt);
    return EMIT_SENT;
  }

  /** One record for each segment of a burst. */
  #record(bytes: number, fin: boolean, mss: number, nowMicros: number): void {
    const sender = this.#sender;
    const { scoreboard, connection } = sender;
    const mark = sender.marks.txMark();
    const before = scoreboard.count;
    let left = bytes;
    let offset = sender.nxtOffset;
    let start = sender.sndNxt;
    do {
      const size = Math.min(left, mss);
      left -= size;
      const hasFin = left === 0 && fin;
      const end = (start + size + (hasFin ? 1 : 0)) | 0;
      scoreboard.push(start, end, nowMicros, mark, this.#endsWrite(offset, size));
      start = end;
      offset += size;
      if (size < mss) this.#smallOffset = offset + (hasFin ? 1 : 0);
    } while (left > 0);
    sender.sndNxt = start;
    if (fin) {
      sender.finSent = true;
      finSent(connection);
    }
    const segments = scoreboard.count - before;
    this.#newSegments += segments;
    sender.recovery.noteSent(segments);
    if (sender.stalledSinceMicros < 0) sender.stalledSinceMicros = nowMicros;
    this.overridesSilly = false;
    connection.dataSent(nowMicros);
    this.#sent(bytes, nowMicros);
  }

  /** Whether a write that said that no more follows, or a record, ends within: there stands PSH (RFC 9293 §3.9.1.2). */
  #endsWrite(offset: number, length: number): boolean {
    const { writeEndOffset } = this.#sender.connection;
    return (writeEndOffset > offset && writeEndOffset <= offset + length) || this.#recordEnd(offset) === length;
  }

  #sent(bytes: number, nowMicros: number): void {
    const sender = this.#sender;
    const { connection } = sender;
    sender.lastSentMicros = nowMicros;
    if (connection.timers.runs(TIMER_PERSIST)) sender.endPersist();
    sender.ensureRetransmit(nowMicros); // RFC 6298 §5.1
    sender.activePacer()?.sent(bytes, sender.pacingBytesPerSecond, connection.dataSegmentsOut, nowMicros);
  }

  /** Whether pacing wants it to wait: then its timer calls again. */
  #isPaced(nowMicros: number): boolean {
    const pacer = this.#sender.activePacer();
    if (pacer !== null && pacer.nextMicros > nowMicros) pacer.hasten(this.#sender.pacingBytesPerSecond, nowMicros);
    if (pacer === null || !pacer.holds(nowMicros, this.#sender.rtt.minMicros)) return false;
    this.#sender.connection.timers.set(TIMER_PACING, pacer.nextMicros);
    return true;
  }

  /** The most bytes of one burst: whole segments. */
  #burstLimit(mss: number): number {
    const whole = MAX_BURST_BYTES - (MAX_BURST_BYTES % mss);
    const sender = this.#sender;
    if (sender.activePacer() === null) return whole;
    return Math.min(whole, burstSegments(sender.pacingBytesPerSecond, mss, sender.rtt.minMicros) * mss);
  }

  #offsetOf(sequence: number): number {
    return this.#sender.unaOffset + sequenceDifference(sequence, this.#sender.sndUna);
  }

  /** Bytes from a stream offset to the end of its record (MSG_EOR), which no segment reaches beyond. */
  #recordEnd(offset: number): number {
    const { records } = this.#sender.connection;
    return records === null || records.count === 0 ? Number.POSITIVE_INFINITY : records.after(offset) - offset;
  }

  /** RFC 9293 §3.8.6.2.1 and §3.7.4: less than a full segment goes out only if nothing better is to be expected. */
  #maySendSmall(offset: number, length: number, unsent: number): boolean {
    if (this.overridesSilly) return true;
    if (length === unsent) return this.#nagleAllows(offset + length);
    return length >= this.#sender.maxSndWnd / 2;
  }

  /** RFC 896, as Minshall has it; TCP_CORK and MSG_MORE hold back in any case. */
  #nagleAllows(end: number): boolean {
    const { connection, noDelay, finQueued, unaOffset } = this.#sender;
    if (finQueued || end <= connection.pushOffset || this.overridesSilly) return true;
    if (connection.hasMore || connection.options.cork) return false;
    return noDelay || this.#smallOffset <= unaOffset;
  }

  /** Data waits for the window. If nothing is in flight no acknowledgment will tell of it: the persist timer asks. */
  #waitForWindow(nowMicros: number): number {
    const sender = this.#sender;
    const { segmentBytes } = sender.connection;
    sender.isWindowLimited = sender.usableWindow < Math.min(segmentBytes, sender.unsentBytes);
    this.#askAgain(nowMicros);
    return NOTHING;
  }

  /** Also what the link does not take for long counts for the user timeout (RFC 5482), which this timer sees to. */
  #askAgain(nowMicros: number): void {
    const { scoreboard, rtt, connection } = this.#sender;
    if (scoreboard.count > 0 || connection.timers.runs(TIMER_PERSIST)) return;
    connection.timers.set(TIMER_PERSIST, nowMicros + rtt.rtoMicros);
  }

  /** RFC 5681 §4.1. */
  #restartAfterIdle(nowMicros: number): void {
    const sender = this.#sender;
    const { scoreboard, congestion, config, rtt } = sender;
    if (scoreboard.count > 0 || sender.unsentBytes === 0 || sender.lastSentMicros < 0) return;
    const idle = nowMicros - sender.lastSentMicros;
    const isOver = congestion.controlsRecovery ? idle > 0 : config.slowStartAfterIdle && idle > rtt.rtoMicros;
    if (!isOver || congestion.cwndBytes === 0) return;
    congestion.onIdleRestart(idle, rtt.rtoMicros, nowMicros);
    sender.lastSentMicros = nowMicros;
  }
}
