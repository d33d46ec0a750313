import { sequenceDifference, sequenceGreater } from '../../wire/sequence.ts';
import { CompletionQueue } from './completion.ts';
import type { TcpConfig } from './config.ts';
import type { CongestionController, CongestionName } from './congestion/controller.ts';
import { makeController } from './congestion/make.ts';
import type { TcpConnection } from './connection.ts';
import type { TcpCounters } from './counters.ts';
import type { SegmentWriter } from './emit.ts';
import { Output } from './output.ts';
import { pacingRate, Pacer } from './pacing.ts';
import { LossRecovery } from './recovery.ts';
import { RttEstimator } from './rtt.ts';
import { Scoreboard } from './sack.ts';
import type { Segment } from './segment.ts';
import { sendLimitBytes } from './send-buffer.ts';
import { SendQueue } from './send-queue.ts';
import { takeAcknowledgment, takeOldAcknowledgment } from './take-ack.ts';
import { TIMER_PERSIST, TIMER_REORDER, TIMER_RETRANSMIT, TIMER_TAIL_LOSS } from './timers.ts';
import { WindowUse } from './window-use.ts';

/** RFC 8985 §7.2: added to the probe timeout so that it is no timer of no time at all, as Linux does. */
const PROBE_SLACK_MICROS = 2000;

/** What a connection has that never sent anything; shared, for nothing changes it. */
const QUIET_SCOREBOARD = new Scoreboard();
const QUIET_RECOVERY = new LossRecovery(null, 3);
const QUIET_USE = new WindowUse();

/** What the sender needs of the NIC: when the memory of sent frames is free again. */
export interface TransmitMarks {
  txMark(): number;
  txDone(mark: number): boolean;
}

/**
 * The sending half of a connection: what is queued, in flight and acknowledged. What an acknowledgment says is taken in
 * `take-ack.ts`, losses are dealt with in `recovery.ts`, and what may be sent next goes out in `output.ts`.
 */
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
  /** This and what deals with losses and with the window are made when the first data is sent: see `#wake`. */
  scoreboard: Scoreboard = QUIET_SCOREBOARD;
  recovery: LossRecovery = QUIET_RECOVERY;
  readonly rtt: RttEstimator;
  readonly completion: CompletionQueue = new CompletionQueue();
  windowUse: WindowUse = QUIET_USE;
  /** Only where sending is paced. */
  pacer: Pacer | null = null;

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
  /** Something waits for the peer's window. */
  isWindowLimited = false;
  /** The window was reduced for congestion, and the peer is to be told by CWR (RFC 3168 §6.1.2). */
  cwrPending = false;
  /** Bytes that the peer says were marked on the way (AccECN), since the last acknowledgment was taken. */
  markedBytes = 0;

  readonly connection: TcpConnection;
  /** Made when somebody asks for the window; until then, how many segments the first flight has. */
  #congestion: CongestionController | null = null;
  #firstSegments = 0;
  #output: Output | null = null;
  #hasEcho = false;
  #isTakingAck = false;

  constructor(connection: TcpConnection) {
    const { config } = connection.layer;
    this.connection = connection;
    this.rtt = new RttEstimator(config.initialRtoMicros, config.minRtoMicros, config.maxRtoMicros);
  }

  get writer(): SegmentWriter {
    return this.connection.layer.writer;
  }

  get marks(): TransmitMarks {
    return this.connection.layer.marks;
  }

  get config(): Readonly<TcpConfig> {
    return this.connection.layer.config;
  }

  get counters(): TcpCounters {
    return this.connection.layer.counters;
  }

  get congestion(): CongestionController {
    return this.#congestion ?? this.#makeController();
  }

  /** The connection begins, with a first flight of so many segments. */
  beginWindow(segments: number): void {
    if (this.#congestion === null) this.#firstSegments = segments;
    else this.#congestion.onSegmentSize(this.connection.segmentBytes, segments);
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
    return Math.max(0, sendLimitBytes(this.connection) - (this.queue.endOffset - Math.max(0, this.unaOffset)));
  }

  /** Our FIN is acknowledged. */
  get finAcknowledged(): boolean {
    return this.finSent && this.unaOffset > this.queue.endOffset;
  }

  /** In flight: sent, not acknowledged and not thought lost. */
  get pipeBytes(): number {
    return this.scoreboard.pipeBytes(this.connection.segmentBytes);
  }

  /** The congestion window in whole segments. */
  get cwndSegments(): number {
    return Math.max(1, Math.floor(this.congestion.cwndBytes / this.connection.segmentBytes));
  }

  /** Segments that the congestion window has room for now; below 0 while it shrinks. */
  get quotaSegments(): number {
    return this.cwndSegments - this.scoreboard.pipeSegments;
  }

  /** Unless the controller does it all itself. */
  setCwndSegments(segments: number): void {
    if (!this.congestion.controlsRecovery) this.congestion.cwndBytes = segments * this.connection.segmentBytes;
  }

  get usableWindow(): number {
    return this.sndWnd - sequenceDifference(this.sndNxt, this.sndUna);
  }

  /** The congestion window is what holds sending back, as far as it may still grow. */
  get isCwndLimited(): boolean {
    return this.windowUse.mayGrow(this.congestion, this.connection.segmentBytes);
  }

  /** New data waits, and the peer has room for it. */
  get maySendNew(): boolean {
    return this.unsentBytes > 0 && this.usableWindow > 0;
  }

  get isWindowTooSmall(): boolean {
    return this.usableWindow < Math.min(this.connection.segmentBytes, this.maxSndWnd / 2, this.unsentBytes);
  }

  /** Bytes per second that pacing sends at, or would; Infinity where nothing sets a pace. */
  get pacingBytesPerSecond(): number {
    const { pacingSlowStartPercent, pacingAvoidancePercent } = this.config;
    return pacingRate(
      this.congestion,
      this.connection.segmentBytes,
      this.scoreboard.outstandingBytes,
      this.rtt.srttMicros,
      pacingSlowStartPercent,
      pacingAvoidancePercent,
      this.connection.options.maxPacingBytesPerSecond,
    );
  }

  /** The pacer, if what is sent now is to be spread out. */
  activePacer(): Pacer | null {
    const isPaced =
      this.config.pacing ||
      this.congestion.pacingBytesPerSecond > 0 ||
      Number.isFinite(this.connection.options.maxPacingBytesPerSecond);
    if (!isPaced) return null;
    return (this.pacer ??= new Pacer());
  }

  /** RFC 9293 §3.10.7.4: SND.WND, SND.WL1, SND.WL2. */
  setWindow(segment: Segment): void {
    this.sndWnd = segment.isSyn ? segment.window : segment.window << this.scale;
    this.sndWl1 = segment.sequence;
    this.sndWl2 = segment.acknowledgment;
    if (this.sndWnd > this.maxSndWnd) this.maxSndWnd = this.sndWnd;
  }

  /** An acceptable acknowledgment (SND.UNA =< SEG.ACK =< SND.NXT) of a synchronised connection has come. */
  takeAck(segment: Segment, nowMicros: number): void {
    this.#isTakingAck = true;
    takeAcknowledgment(this, segment, nowMicros);
    this.#isTakingAck = false;
  }

  /** One that acknowledges less than another before it. */
  takeOldAck(segment: Segment, nowMicros: number): void {
    if (this.scoreboard.count > 0) takeOldAcknowledgment(this, segment, nowMicros);
  }

  /** Whether anything was ever to be sent: before that there is nothing that an acknowledgment could be about. */
  get isAwake(): boolean {
    return this.#output !== null;
  }

  /** Sends what may be sent. False: the way down is blocked, come again at the next flush. */
  output(nowMicros: number): boolean {
    if (this.#output === null && this.unsentBytes === 0 && !this.finQueued) return true;
    return (this.#output ?? this.#wake()).run(nowMicros);
  }

  /** The peer says that Congestion Experienced was seen: the window shrinks, once a round trip (RFC 3168 §6.1.2). */
  ecnEcho(nowMicros: number): void {
    if (this.#isTakingAck) this.#hasEcho = true;
    else if (this.isAwake) this.recovery.congestionMarked(nowMicros);
  }

  /** Whether the acknowledgment in hand says so; asked once. */
  takesEcho(): boolean {
    const hasEcho = this.#hasEcho;
    this.#hasEcho = false;
    return hasEcho;
  }

  /** RFC 6298 §5.4 to 5.6. The retransmission itself goes out with the flush. */
  onRetransmitTimeout(nowMicros: number): void {
    this.connection.timers.stop(TIMER_REORDER);
    this.connection.timers.stop(TIMER_TAIL_LOSS);
    this.recovery.onTimeout(this.retries, nowMicros);
    this.retries++;
    this.rtt.backoff++;
    this.armRetransmit(nowMicros);
  }

  /** RFC 8985 §6.2 step 5. */
  onReorderTimeout(nowMicros: number): void {
    if (this.scoreboard.count > 0) this.recovery.onReorderTimeout(nowMicros);
  }

  /** Where the probe timeout and the retransmission timer run out together, the probe comes first (RFC 8985 §7.2). */
  yieldsToProbe(nowMicros: number): boolean {
    const { timers } = this.connection;
    if (timers.at(TIMER_TAIL_LOSS) > nowMicros || this.recovery.isProbing || this.scoreboard.count === 0) return false;
    timers.stop(TIMER_TAIL_LOSS);
    this.onTailLossTimeout();
    this.armRetransmit(nowMicros);
    return true;
  }

  /** RFC 8985 §7.3. The probe goes out with the flush. */
  onTailLossTimeout(): void {
    if (this.#output !== null && this.scoreboard.count > 0 && !this.recovery.isProbing) this.#output.isProbeDue = true;
  }

  /**
   * RFC 9293 §3.8.6.1: a probe of a closed window. It repeats the last sequence number before the window instead of
   * sending a byte into it, as Linux does: the answer is the same and there is no byte to take back.
   */
  onPersistTimeout(nowMicros: number): void {
    if (this.#output === null || (this.unsentBytes === 0 && !(this.finQueued && !this.finSent))) return;
    if (this.sndWnd > 0 && this.usableWindow > 0) {
      this.#output.overridesSilly = true;
    } else {
      this.probes++;
      this.counters.windowProbes++;
      this.writer.write(this.connection, (this.sndUna - 1) | 0, 0, 0, 0, nowMicros);
    }
    this.rtt.backoff++;
    this.connection.timers.set(TIMER_PERSIST, nowMicros + this.rtt.rtoMicros);
  }

  /** The window is open. What it backed off by is no measure of the path: the next loss waits for the plain timeout. */
  endPersist(): void {
    this.connection.timers.stop(TIMER_PERSIST);
    this.rtt.backoff = 0;
  }

  /**
   * RFC 7413 §4.2.1: data that went with the SYN, up to a stream offset, and was not taken with it. It was sent once, so
   * it goes out again as what was lost does, but without blame for congestion.
   */
  resendSynData(endOffset: number, mark: number, nowMicros: number): void {
    if (this.#output === null) this.#wake();
    const { scoreboard, connection, recovery } = this;
    for (let left = endOffset - this.unaOffset; left > 0;) {
      const bytes = Math.min(left, connection.segmentBytes);
      const start = (this.sndNxt - left) | 0;
      scoreboard.push(start, (start + bytes) | 0, nowMicros, mark, bytes === left);
      scoreboard.markLost((scoreboard.last - 1) | 0);
      left -= bytes;
    }
    this.stalledSinceMicros = nowMicros;
    recovery.onSegmentSizeReduced(nowMicros);
  }

  /** The path takes smaller packets only: what was sent in larger ones goes out again, without blame for congestion. */
  onSegmentSizeReduced(nowMicros: number): void {
    const { segmentBytes } = this.connection;
    this.#congestion?.onSegmentSize(segmentBytes, this.config.initialWindowSegments);
    this.scoreboard.cutOversize(segmentBytes);
    if (this.isAwake) this.recovery.onSegmentSizeReduced(nowMicros);
    if (this.scoreboard.count > 0) this.armRetransmit(nowMicros);
  }

  /** The path takes larger packets, or may: segments to come are larger. */
  onSegmentSizeRaised(): void {
    this.#congestion?.onSegmentSize(this.connection.segmentBytes, this.config.initialWindowSegments);
  }

  /** Another controller takes over, with the window as it is. */
  useController(name: CongestionName): void {
    const before = this.congestion;
    if (before.name === name) return;
    const next = makeController(name);
    if (before.cwndBytes > 0) {
      next.onSegmentSize(this.connection.segmentBytes, this.config.initialWindowSegments);
      next.cwndBytes = before.cwndBytes;
      next.ssthreshBytes = before.ssthreshBytes;
    }
    this.#congestion = next;
  }

  #makeController(): CongestionController {
    const { options, segmentBytes } = this.connection;
    const controller = makeController(options.congestion);
    if (this.#firstSegments > 0) controller.onSegmentSize(segmentBytes, this.#firstSegments);
    this.#congestion = controller;
    return controller;
  }

  /** Polls the NIC about acknowledged memory. */
  pollCompletion(): boolean {
    return this.completion.poll(this.marks);
  }

  /** The NIC's mark behind everything this connection has in flight. */
  lastMark(): number {
    return this.scoreboard.lastMark();
  }

  clear(): void {
    this.queue.clear();
    this.scoreboard.clear();
  }

  /** Most connections of a large host are quiet: what only sending needs is made with the first that is to be sent. */
  #wake(): Output {
    this.scoreboard = new Scoreboard();
    this.recovery = new LossRecovery(this, this.config.reorderingSegments);
    this.windowUse = new WindowUse();
    this.#output = new Output(this);
    return this.#output;
  }

  /** Starts the retransmission timer unless it runs: also for what could not even be sent. */
  ensureRetransmit(nowMicros: number): void {
    if (!this.connection.timers.runs(TIMER_RETRANSMIT)) this.armRetransmit(nowMicros);
  }

  armRetransmit(nowMicros: number): void {
    let deadline = nowMicros + this.rtt.rtoMicros;
    const { userTimeoutMicros } = this.connection.options;
    if (userTimeoutMicros > 0 && this.stalledSinceMicros >= 0) {
      deadline = Math.min(deadline, Math.max(nowMicros, this.stalledSinceMicros + userTimeoutMicros));
    }
    this.connection.timers.set(TIMER_RETRANSMIT, deadline);
  }

  /**
   * RFC 8985 §7.2: a probe of the tail, if nothing is heard for two round trips; only where nothing was found lost, and
   * the reordering timer does not run.
   * @param isProgress the retransmission timer has just started; else it counts from the first segment outstanding.
   */
  scheduleProbe(nowMicros: number, isProgress: boolean): void {
    const { connection, scoreboard, rtt, recovery, config } = this;
    const { timers } = connection;
    const isPossible = config.tailLossProbe && connection.sackEnabled && recovery.mayProbe && scoreboard.count > 0;
    // Not before the handshake is done (RFC 7413 sends early).
    if (!isPossible || this.unaOffset < 0 || timers.runs(TIMER_REORDER)) {
      timers.stop(TIMER_TAIL_LOSS);
      return;
    }
    let wait = config.initialRtoMicros;
    if (rtt.srttMicros > 0) {
      // A single segment may wait for its acknowledgment as long as the peer delays one.
      wait = 2 * rtt.srttMicros + (scoreboard.count === 1 ? connection.options.minRtoMicros : PROBE_SLACK_MICROS);
    }
    const elapsed = isProgress ? 0 : nowMicros - scoreboard.sentMicros(scoreboard.first);
    const left = rtt.rtoMicros - elapsed;
    if (left > 0) wait = Math.min(wait, left);
    timers.set(TIMER_TAIL_LOSS, nowMicros + wait);
  }
}

/** RFC 5961 §5.2: SND.UNA - MAX.SND.WND =< SEG.ACK =< SND.NXT; and not from before the SYN, as in Linux. */
export function isAckInRange(sender: Sender, acknowledgment: number): boolean {
  if (sequenceGreater(acknowledgment, sender.sndNxt)) return false;
  const ackedLength = sender.unaOffset + 1; // the SYN among it
  return sequenceDifference(sender.sndUna, acknowledgment) <= Math.min(sender.maxSndWnd, ackedLength);
}
