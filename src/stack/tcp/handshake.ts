import { ERRNO } from '../../core/errno.ts';
import { MIN_SEND_MSS } from './config.ts';
import type { TcpConnection } from './connection.ts';
import { EMIT_SENT } from './emit.ts';
import type { TcpLayer } from './layer.ts';
import type { Segment } from './segment.ts';
import { EVENT_CONNECTED, EVENT_WRITABLE } from './state.ts';
import { TIMER_RETRANSMIT } from './timers.ts';

/** RFC 6298 §5.7. */
const RTO_AFTER_SYN_LOSS_MICROS = 3_000_000;

/** How a connection begins: its SYN or SYN-ACK, what the peer's said, and how often ours had to be repeated. */
export class Handshake {
  /** Our SYN or SYN-ACK goes out with the next flush. */
  isPending = false;
  retries = 0;
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

  /** Begins an active open (RFC 9293 §3.10.1). */
  open(iss: number): void {
    this.#connection.sender.begin(iss);
    this.#connection.enter('SYN-SENT');
    this.repeat();
  }

  /** Answers a SYN: in LISTEN, or in SYN-SENT where both sides open at once. */
  answer(iss: number, segment: Segment, nowMicros: number): void {
    if (this.#connection.state === 'CLOSED') this.#connection.sender.begin(iss);
    this.takeSyn(segment, nowMicros);
    this.#connection.enter('SYN-RECEIVED');
    this.repeat();
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
    sender.setWindow(segment);
    connection.updateSegmentBytes();
  }

  /** Our SYN is acknowledged. */
  establish(segment: Segment, nowMicros: number): void {
    const connection = this.#connection;
    const { sender, receiver } = connection;
    connection.timers.stop(TIMER_RETRANSMIT);
    this.isPending = false;
    if (this.retries === 0 && sender.lastSentMicros >= 0) sender.rtt.sample(nowMicros - sender.lastSentMicros);
    else sender.rtt.restartAfterSynLoss(RTO_AFTER_SYN_LOSS_MICROS);
    sender.established(segment);
    // RFC 6928 §2: a SYN that was lost leaves one segment.
    const segments = this.retries > 0 ? 1 : this.#layer.config.initialWindowSegments;
    sender.congestion.onSegmentSize(connection.segmentBytes, segments);
    receiver.window.join();
    receiver.ackNow ||= connection.state === 'SYN-SENT';
    connection.enter('ESTABLISHED');
    connection.keepalive.begin(nowMicros);
    connection.raise(EVENT_CONNECTED | EVENT_WRITABLE);
  }

  /** Sends what is pending. False: the way down is blocked. */
  send(nowMicros: number): boolean {
    const connection = this.#connection;
    if (!this.isUnderWay) {
      this.isPending = false;
      return true;
    }
    const verdict = this.#layer.writer.writeSyn(connection, connection.state === 'SYN-RECEIVED', nowMicros);
    if (verdict === EMIT_SENT) {
      this.isPending = false;
      connection.sender.lastSentMicros = nowMicros;
      this.#arm(nowMicros);
    }
    return connection.accepted(verdict, nowMicros);
  }

  /** RFC 9293 §3.8.3: R2 of a SYN is a limit of its own. */
  timeout(nowMicros: number): void {
    const connection = this.#connection;
    const { config, counters } = this.#layer;
    const limit = connection.state === 'SYN-SENT' ? config.synRetries : config.synAckRetries;
    if (this.retries++ >= limit) {
      connection.fail(connection.softErrno || ERRNO.ETIMEDOUT);
      return;
    }
    connection.sender.rtt.backoff++;
    counters.retransmittedSegments++;
    this.#arm(nowMicros);
    this.repeat();
  }

  #arm(nowMicros: number): void {
    const { timers, sender } = this.#connection;
    if (!timers.runs(TIMER_RETRANSMIT)) timers.set(TIMER_RETRANSMIT, nowMicros + sender.rtt.rtoMicros);
  }
}
