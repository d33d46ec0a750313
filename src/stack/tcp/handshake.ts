import { ERRNO } from '../../core/errno.ts';
import { sequenceDifference } from '../../wire/sequence.ts';
import { MAX_OPTION_BYTES } from '../../wire/tcp-options.ts';
import { AckTiming } from './ack-timing.ts';
import { MIN_SEND_MSS } from './config.ts';
import type { TcpConnection } from './connection.ts';
import { askForEcn, negotiateEcn } from './ecn.ts';
import { EMIT_SENT } from './emit.ts';
import type { TcpLayer } from './layer.ts';
import { beginPathSearch } from './path-mtu.ts';
import type { Segment } from './segment.ts';
import { EVENT_CONNECTED, EVENT_WRITABLE } from './state.ts';
import { TIMER_DELAYED_ACK, TIMER_RETRANSMIT } from './timers.ts';

/** RFC 6298 §5.7. */
const RTO_AFTER_SYN_LOSS_MICROS = 3_000_000;
/** Timestamps tick once a millisecond. */
const MICROS_PER_TICK = 1000;

/** How a connection begins: its SYN or SYN-ACK, what the peer's said, and how often ours had to be repeated. */
export class Handshake {
  /** Our SYN or SYN-ACK goes out with the next flush. */
  isPending = false;
  retries = 0;
  /** TCP_DEFER_ACCEPT: our SYN-ACK is acknowledged, and the handshake waits for data. */
  isDeferred = false;
  /** When our SYN or SYN-ACK was sent first, and last. */
  firstSentMicros: number = Number.NEGATIVE_INFINITY;
  sentMicros: number = Number.NEGATIVE_INFINITY;
  readonly #connection: TcpConnection;
  readonly #layer: TcpLayer;

  constructor(connection: TcpConnection, layer: TcpLayer) {
    this.#connection = connection;
    this.#layer = layer;
  }

  get isUnderWay(): boolean {
    const { state } = this.#connection;
    return state === 'SYN-SENT' || state === 'SYN-RECEIVED';
  }

  /** Bytes that `send` may still put into a SYN that waits for them (RFC 7413 §4.2.1). */
  get synSpaceBytes(): number {
    const { fastOpen, sender } = this.#connection;
    if (fastOpen === null || this.#connection.state !== 'SYN-SENT') return 0;
    const isSent = this.firstSentMicros >= 0;
    return fastOpen.isDeferred && !isSent ? Math.max(0, fastOpen.synSpaceBytes - sender.queue.endOffset) : 0;
  }

  /** RFC 1191 §6.4: where the SYN with its data was too large for the path it goes out again at once, without. */
  pathChanged(): void {
    const { fastOpen, receiver, pathMtuBytes, headerBytes } = this.#connection;
    if (fastOpen === null || !fastOpen.isDeferred) return;
    if (headerBytes + MAX_OPTION_BYTES + fastOpen.synBytes <= pathMtuBytes || fastOpen.synBytes === 0) return;
    fastOpen.isDeferred = false;
    fastOpen.cookie = null;
    receiver.advertisedMss = Math.min(receiver.advertisedMss, pathMtuBytes - headerBytes);
    this.#layer.counters.retransmittedSegments++;
    this.repeat();
  }

  /** Begins an active open (RFC 9293 §3.10.1). */
  open(iss: number): void {
    this.#connection.sender.begin(iss);
    this.#connection.ecn = askForEcn(this.#layer.config);
    this.#connection.enter('SYN-SENT');
    if (this.#connection.fastOpen?.isDeferred !== true) this.repeat();
  }

  /** A SYN that waits for data waits no longer: there is some, or the application waits for the peer itself. */
  release(): void {
    if (this.#connection.state === 'SYN-SENT' && this.firstSentMicros < 0 && !this.isPending) this.repeat();
  }

  /** Answers a SYN: in LISTEN, or in SYN-SENT where both sides open at once. */
  answer(iss: number, segment: Segment, nowMicros: number): void {
    const { sender } = this.#connection;
    const { fastOpen } = this.#connection;
    if (this.#connection.state === 'CLOSED') sender.begin(iss);
    else if (fastOpen !== null) fastOpen.cookie = null; // it is for a server's SYN only
    this.takeSyn(segment, nowMicros);
    this.#connection.enter('SYN-RECEIVED');
    this.repeat();
  }

  /** Goes on where a SYN cookie ended: the SYN-ACK was sent, and is being acknowledged. */
  resume(iss: number, syn: Segment, nowMicros: number): void {
    this.#connection.sender.begin(iss);
    this.takeSyn(syn, nowMicros);
    this.#connection.enter('SYN-RECEIVED');
  }

  /** RFC 7413 §4.2.2: data may be sent before the peer has acknowledged our SYN-ACK. */
  beginSending(): void {
    const { sender } = this.#connection;
    sender.beginWindow(this.#layer.config.initialWindowSegments);
    sender.sndWnd++; // what the peer's SYN said is for the data: our SYN takes nothing of it
  }

  repeat(): void {
    this.isPending = true;
    this.#connection.touch();
  }

  /** The peer's SYN: what it says holds for the whole connection (RFC 7323 §2.2, §3.2; RFC 2018 §2). */
  takeSyn(segment: Segment, nowMicros: number): void {
    const { options } = segment;
    const connection = this.#connection;
    const { receiver, sender } = connection;
    receiver.begin(segment.sequence, nowMicros);
    if (options.mss > 0) connection.peerMss = Math.max(options.mss, MIN_SEND_MSS);
    connection.sackEnabled &&= options.sackPermitted;
    connection.timestampsEnabled &&= options.hasTimestamps;
    if (connection.timestampsEnabled) receiver.timestampRecent = options.timestampValue;
    connection.offersScaling &&= options.windowScale >= 0;
    if (connection.offersScaling) {
      sender.scale = options.windowScale;
      receiver.window.scale = receiver.window.offeredScale;
    }
    negotiateEcn(connection, segment);
    sender.setWindow(segment);
    connection.updateSegmentBytes();
  }

  /** Our SYN is acknowledged. */
  establish(segment: Segment, nowMicros: number): void {
    const connection = this.#connection;
    const { sender, receiver, fastOpen } = connection;
    const isActive = connection.state === 'SYN-SENT';
    if (isActive) this.#acknowledge(nowMicros);
    connection.timers.stop(TIMER_RETRANSMIT);
    this.isPending = false;
    if (this.sentMicros >= 0) {
      const sinceMicros = this.#answeredMicros(segment, nowMicros);
      if (sinceMicros >= 0) sender.rtt.sample(sinceMicros, nowMicros);
      else sender.rtt.restartAfterSynLoss(RTO_AFTER_SYN_LOSS_MICROS);
    }
    const synBytes = fastOpen?.synBytes ?? 0;
    if (isActive || synBytes > 0) this.#settleSynData(segment, nowMicros);
    else sender.established(segment);
    beginPathSearch(connection, nowMicros);
    // RFC 6928 §2: a SYN that was lost more than once leaves one segment; not if the first is what was answered (RFC 4015).
    const isLost = this.retries > 1 && !this.#isFirstAnswered(segment);
    const segments = isLost ? 1 : this.#layer.config.initialWindowSegments;
    if (isActive || fastOpen === null || this.retries > 0) sender.beginWindow(segments);
    if (connection.isClosedByApplication) receiver.end();
    receiver.window.join();
    connection.enter('ESTABLISHED');
    if (fastOpen !== null) this.endFast(nowMicros);
    if (sender.unaOffset < synBytes) sender.resendSynData(synBytes, fastOpen!.synMark, nowMicros);
    // Data that went out before is unacknowledged still.
    if (sender.scoreboard.count > 0) sender.ensureRetransmit(nowMicros);
    if (connection.options.keepalive) connection.keepalive.begin(nowMicros);
    connection.raise(EVENT_CONNECTED | EVENT_WRITABLE);
  }

  /** Whoever waits to send does so now: the SYN is acknowledged with the data, which saves a segment, as in Linux. */
  #acknowledge(nowMicros: number): void {
    const { receiver, timers, wantsSpace, options } = this.#connection;
    if (!wantsSpace) {
      receiver.ackNow = true;
      return;
    }
    receiver.ackDelayed = true;
    // From here on the exchange is one of question and answer: acknowledgments wait for a ride.
    receiver.ackTiming = new AckTiming(this.#layer.config.delayedAckMicros, 0, receiver.segmentBytes, nowMicros);
    timers.set(TIMER_DELAYED_ACK, nowMicros + options.maxDelayedAckMicros);
  }

  /** The handshake is done or has failed: the listener has one of its kind less under way. */
  endFast(nowMicros: number): void {
    const { fastOpen } = this.#connection;
    if (fastOpen === null || fastOpen.listener === null) return;
    fastOpen.listener.endFast(fastOpen.wasReset, nowMicros);
    fastOpen.listener = null;
  }

  /** Microseconds since the SYN that this answers was sent, or -1: it was sent more than once and nothing tells which. */
  #answeredMicros(segment: Segment, nowMicros: number): number {
    if (this.retries === 0) return nowMicros - this.sentMicros;
    const connection = this.#connection;
    const { options } = segment;
    if (!connection.timestampsEnabled || !options.hasTimestamps) return -1;
    const ticks = (connection.timestamp(nowMicros) - options.timestampEcho) | 0; // RFC 7323 §4.1
    return ticks < 0 ? -1 : Math.max(ticks * MICROS_PER_TICK, MICROS_PER_TICK / 2);
  }

  /** RFC 3522: the echo is that of our first SYN, so that the others were sent for nothing. */
  #isFirstAnswered(segment: Segment): boolean {
    const connection = this.#connection;
    if (!connection.timestampsEnabled || !segment.options.hasTimestamps) return false;
    return segment.options.timestampEcho === connection.timestamp(this.firstSentMicros);
  }

  /** Sends what is pending. False: the way down is blocked. */
  send(nowMicros: number): boolean {
    const connection = this.#connection;
    if (!this.isUnderWay) {
      this.isPending = false;
      return true;
    }
    const { sender, receiver } = connection;
    const isAnswer = connection.state === 'SYN-RECEIVED';
    const { writer, marks } = this.#layer;
    const verdict = writer.writeSyn(connection, isAnswer, nowMicros);
    if (verdict === EMIT_SENT) {
      this.isPending = false;
      if (this.firstSentMicros < 0) this.firstSentMicros = nowMicros;
      this.sentMicros = nowMicros;
      sender.lastSentMicros = nowMicros;
      if (isAnswer) receiver.acknowledged();
      else if (writer.payloadBytes > 0) this.#synDataSent(writer.payloadBytes, marks.txMark());
      this.#arm(nowMicros);
    }
    return connection.accepted(verdict, nowMicros);
  }

  /** RFC 9293 §3.8.3: R2 of a SYN is a limit of its own. */
  timeout(nowMicros: number): void {
    const connection = this.#connection;
    const { config, counters } = this.#layer;
    const isActive = connection.state === 'SYN-SENT';
    const isFast = connection.fastOpen !== null && connection.fastOpen.listener !== null;
    // One more for Fast Open, as Linux has it: there is data to lose.
    const limit = isActive ? connection.options.synRetries : config.synAckRetries + (isFast ? 1 : 0);
    const deferredTimeouts = this.isDeferred ? (connection.listener?.options.deferAcceptRetries ?? 0) : 0;
    if (this.retries >= Math.max(limit, deferredTimeouts)) {
      connection.fail(connection.softErrno || ERRNO.ETIMEDOUT);
      return;
    }
    this.retries++;
    if (connection.fastOpen !== null) this.#fallBack(nowMicros);
    // tcp_syn_linear_timeouts; RFC 6298 §5.5 has none.
    if (!isActive || this.retries > config.synLinearTimeouts) connection.sender.rtt.backoff++;
    // A peer that has acknowledged ours and owes us data is asked again only when its time is nearly over.
    if (deferredTimeouts > 0 && this.retries < deferredTimeouts) {
      this.#arm(nowMicros);
      return;
    }
    counters.retransmittedSegments++;
    this.#arm(nowMicros);
    this.repeat();
  }

  #arm(nowMicros: number): void {
    const { timers, sender } = this.#connection;
    if (!timers.runs(TIMER_RETRANSMIT)) timers.set(TIMER_RETRANSMIT, nowMicros + sender.rtt.rtoMicros);
  }

  #synDataSent(bytes: number, mark: number): void {
    const { fastOpen, sender } = this.#connection;
    fastOpen!.synBytes = bytes;
    fastOpen!.synMark = mark;
    sender.sndNxt = (sender.iss + 1 + bytes) | 0;
  }

  /** RFC 7413 §4.2.1: what of the SYN's data is not acknowledged with the SYN is sent like any other. */
  #settleSynData(segment: Segment, nowMicros: number): void {
    const connection = this.#connection;
    const { sender, fastOpen } = connection;
    const ackedBytes = sequenceDifference(segment.acknowledgment, (sender.iss + 1) | 0);
    sender.established(segment);
    if (fastOpen === null) return;
    fastOpen.isDeferred = false;
    this.#layer.fastOpenClient.finish(connection, segment, ackedBytes, nowMicros);
    if (ackedBytes === 0) return;
    sender.sndUna = segment.acknowledgment;
    sender.unaOffset = ackedBytes;
    sender.queue.release(ackedBytes);
    sender.completion.push(ackedBytes, fastOpen.synMark);
    connection.noteAcknowledged();
  }

  /** RFC 7413 §4.2.1: a SYN is repeated without data and option, for these may be why it was lost. */
  #fallBack(nowMicros: number): void {
    const connection = this.#connection;
    const fastOpen = connection.fastOpen!;
    fastOpen.isDeferred = false;
    if (!fastOpen.isClient) return;
    fastOpen.cookie = null;
    this.#layer.fastOpenClient.timedOut(connection, this.retries, nowMicros);
  }
}
