import { channels } from '../../core/channels.ts';
import { ERRNO } from '../../core/errno.ts';
import type { FragQueue } from '../../memory/frag-queue.ts';
import type { PagePool } from '../../memory/page-pool.ts';
import type { MemoryRegion } from '../../memory/region.ts';
import type { IpAddress } from '../../wire/address.ts';
import { sequenceDifference } from '../../wire/sequence.ts';
import { TCP_HEADER_BYTES } from '../../wire/tcp.ts';
import { TIMESTAMPS_OPTION_BYTES } from '../../wire/tcp-options.ts';
import type { Route } from '../route.ts';
import { DEFAULT_MSS_IPV4, DEFAULT_MSS_IPV6, MIN_SEND_MSS } from './config.ts';
import { EMIT_BLOCKED, EMIT_SENT, EMIT_UNREACHABLE } from './emit.ts';
import { Handshake } from './handshake.ts';
import { tcpInfo, type TcpInfo } from './info.ts';
import { Keepalive } from './keepalive.ts';
import type { TcpLayer } from './layer.ts';
import type { TcpListener } from './listener.ts';
import { followPathMtu } from './path-mtu.ts';
import { Receiver } from './receive.ts';
import type { Segment } from './segment.ts';
import { Sender } from './send.ts';
import {
  canReceive,
  canTransmit,
  EVENT_ACKED,
  EVENT_CLOSED,
  EVENT_ERROR,
  EVENT_READABLE,
  EVENT_WRITABLE,
  isSynchronized,
  type TcpState,
} from './state.ts';
import {
  TIMER_DELAYED_ACK,
  TIMER_KEEPALIVE,
  TIMER_LINGER,
  TIMER_PERSIST,
  TIMER_RETRANSMIT,
  TimerRows,
  type TimerOwner,
} from './timers.ts';

const IPV4_HEADER_BYTES = 20;
const IPV6_HEADER_BYTES = 40;
const MICROS_PER_TICK = 1000;

/** Told of what happened, at most once a flush, from inside the stack: it must not call back into it. */
export interface TcpObserver {
  tcpEvent(connection: TcpConnection, events: number): void;
}

/**
 * One TCP connection: its identity, its state and its two halves. Calls from the application only queue work; segments
 * leave in `flush`, once for all that happened since the last.
 */
export class TcpConnection implements TimerOwner {
  readonly localAddress: IpAddress;
  readonly localPort: number;
  readonly remoteAddress: IpAddress;
  readonly remotePort: number;
  readonly route: Route;
  readonly receiver: Receiver;
  readonly sender: Sender;
  readonly timers: TimerRows;
  readonly handshake: Handshake;
  readonly keepalive: Keepalive;
  /** The listener that it came from, until it is accepted. */
  listener: TcpListener | null = null;
  observer: TcpObserver | null = null;
  /** 0, or the positive errno that the connection failed with. */
  errno = 0;
  /** An ICMP error that was not fatal by itself: becomes `errno` if the connection times out. */
  softErrno = 0;

  timestampsEnabled: boolean;
  sackEnabled: boolean;
  offersScaling: boolean;
  /** The MSS that the peer announced, or its default. */
  peerMss: number;
  pathMtuBytes: number;
  /** Payload of a full segment: the peer's MSS or the path's, less the options of every segment. */
  segmentBytes: number = MIN_SEND_MSS;
  userTimeoutMicros: number;

  segmentsIn = 0;
  segmentsOut = 0;
  dataSegmentsIn = 0;
  dataSegmentsOut = 0;
  lastReceivedMicros = 0;
  /** When an invalid segment was answered last (rate limit). */
  lastChallengeMicros: number = Number.NEGATIVE_INFINITY;

  /** New data or an acknowledgment of new data has come since the last flush: the way to the peer and back works. */
  hasProgress = false;

  /** In the layer's list of connections to flush. */
  isQueued = false;
  /** In the layer's list of connections that wait for memory. */
  isListedStarved = false;

  #state: TcpState = 'CLOSED';
  #events = 0;
  #wantsSpace = false;
  #isClosedByApplication = false;
  #timestampOffset = 0;
  /** The NIC's mark behind the last transmission, once the connection has ended. */
  #releaseMark = 0;
  readonly #layer: TcpLayer;

  constructor(
    layer: TcpLayer,
    route: Route,
    localPort: number,
    remotePort: number,
    pool: PagePool,
    timestampOffset: number,
  ) {
    const { config } = layer;
    this.#layer = layer;
    this.route = route;
    this.localAddress = route.source;
    this.localPort = localPort;
    this.remoteAddress = route.destination;
    this.remotePort = remotePort;
    this.timestampsEnabled = config.timestamps;
    this.sackEnabled = config.selectiveAck;
    this.offersScaling = config.windowScaling;
    this.userTimeoutMicros = config.userTimeoutMicros;
    this.pathMtuBytes = route.mtuBytes;
    this.peerMss = route.family === 4 ? DEFAULT_MSS_IPV4 : DEFAULT_MSS_IPV6;
    this.#timestampOffset = timestampOffset;
    this.receiver = new Receiver(pool, config, layer.counters);
    this.sender = new Sender(this, layer.writer, layer.marks, config, layer.counters);
    this.timers = new TimerRows(layer.timers, this);
    this.handshake = new Handshake(this, layer);
    this.keepalive = new Keepalive(this, layer);
    this.receiver.open(this.#pathMss());
  }

  get state(): TcpState {
    return this.#state;
  }

  /** In-order payload, references only. */
  get receiveQueue(): FragQueue {
    return this.receiver.queue;
  }

  /** Nothing follows what is in `receiveQueue`. */
  get finReceived(): boolean {
    return this.receiver.finReceived;
  }

  /** Bytes that `send` would take now. */
  get sendSpaceBytes(): number {
    return this.#maySend() ? this.sender.spaceBytes : 0;
  }

  /** Stream bytes accepted by `send` so far. */
  get queuedOffset(): number {
    return this.sender.queue.endOffset;
  }

  /** Stream bytes that the peer has acknowledged and whose memory the NIC reads no more. */
  get completedOffset(): number {
    return this.sender.completion.completedOffset;
  }

  /**
   * Whether the connection has ended and no frame under way reads its memory any more: then bytes that were queued but
   * not completed may change too.
   */
  get isMemoryReleased(): boolean {
    return this.#state === 'CLOSED' && this.#layer.marks.txDone(this.#releaseMark);
  }

  get noDelay(): boolean {
    return this.sender.noDelay;
  }

  set noDelay(noDelay: boolean) {
    this.sender.noDelay = noDelay;
    if (noDelay) this.touch();
  }

  /** The application has called `close` or `abort`. */
  get isClosedByApplication(): boolean {
    return this.#isClosedByApplication;
  }

  /** Payload bytes of the segments sent, and the most that the peer may send in one. */
  get maxSegmentBytes(): number {
    return this.segmentBytes;
  }

  /** The application took bytes out of `receiveQueue`; it may still hold their pages. */
  consumed(_bytes: number, _nowMicros: number): void {
    this.receiver.drained();
    this.touch();
  }

  /**
   * Queues a reference to bytes, which must not change until `completedOffset` has passed them.
   * @returns the bytes accepted, from the front: 0 if there is no send space or the connection sends no more.
   */
  send(region: MemoryRegion, offset: number, length: number): number {
    const accepted = Math.min(length, this.sendSpaceBytes);
    if (accepted < length) this.#wantsSpace = true;
    if (accepted === 0 || !this.sender.queue.push(region, offset, accepted)) return 0;
    this.touch();
    return accepted;
  }

  /** Sends a FIN behind what is queued. Receiving goes on. */
  shutdown(_nowMicros: number): void {
    if (this.sender.finQueued) return;
    if (this.#state === 'SYN-SENT' || this.#state === 'CLOSED') return;
    this.sender.finQueued = true;
    this.touch();
  }

  /** The application is done with both directions: FIN behind what is queued, or a reset if it leaves data unread. */
  close(nowMicros: number): void {
    if (this.#isClosedByApplication) return;
    const hasUnread = this.receiver.queue.count > 0 || !this.receiver.reassembly.isEmpty;
    this.#isClosedByApplication = true;
    if (this.#state === 'SYN-SENT') {
      this.#finish(0);
    } else if (hasUnread && isSynchronized(this.#state) && this.#state !== 'TIME-WAIT') {
      this.abort(nowMicros); // RFC 2525 §2.17
    } else {
      this.shutdown(nowMicros);
      if (this.#state === 'FIN-WAIT-2') this.#startLinger(nowMicros, this.#layer.config.finWait2Micros);
    }
    this.receiver.clear();
    // Whatever payload comes from now on is answered with a reset: it needs no memory.
    this.receiver.window.close();
  }

  /**
   * Ends the connection at once, with a reset to the peer where something could still be said (RFC 9293 §3.10.5: not in
   * CLOSING, LAST-ACK and TIME-WAIT).
   */
  abort(nowMicros: number): void {
    const isOver = this.#state === 'CLOSING' || this.#state === 'LAST-ACK' || this.#state === 'TIME-WAIT';
    if (!isOver && (isSynchronized(this.#state) || this.#state === 'SYN-RECEIVED')) this.#sendReset(nowMicros);
    this.abandon();
  }

  /**
   * Ends the connection at once and silently: for a stack that goes away when the peer has acknowledged all of ours,
   * FIN included. A reset then would destroy what the peer's application has not read yet.
   */
  abandon(): void {
    this.#isClosedByApplication = true;
    if (this.#state !== 'CLOSED') this.#finish(this.#state === 'TIME-WAIT' ? 0 : ERRNO.ECONNABORTED);
    this.receiver.clear();
  }

  /**
   * Switches keepalive probes on or off (RFC 9293 §3.8.4: off by default).
   * @param idleMicros of silence before the first probe; 0: as before, which at first is the configuration's.
   */
  setKeepalive(enabled: boolean, nowMicros: number, idleMicros = 0): void {
    this.keepalive.switch(enabled, idleMicros, nowMicros);
  }

  /** Linux's tcp_info of this connection. */
  info(nowMicros: number): TcpInfo {
    return tcpInfo(this, nowMicros);
  }

  // ---- for the rest of the TCP ----

  /** RFC 7323 §5.4: milliseconds from an offset of this connection's own. */
  timestamp(nowMicros: number): number {
    return (this.#timestampOffset + Math.floor(nowMicros / MICROS_PER_TICK)) | 0;
  }

  /** Option bytes in every segment after the handshake. */
  get optionBytes(): number {
    return this.timestampsEnabled ? TIMESTAMPS_OPTION_BYTES : 0;
  }

  /** To be looked at in the next flush. */
  touch(): void {
    this.#layer.queue(this);
  }

  raise(events: number): void {
    this.#events |= events;
    this.touch();
  }

  updateSegmentBytes(): void {
    const bytes = Math.min(this.peerMss, this.#pathMss()) - this.optionBytes;
    this.segmentBytes = Math.max(bytes, MIN_SEND_MSS - TIMESTAMPS_OPTION_BYTES);
  }

  /** A segment of this connection has come: it lives. */
  noteReceived(segment: Segment, segments: number, nowMicros: number): void {
    this.segmentsIn += segments;
    if (segment.payloadBytes > 0) {
      this.dataSegmentsIn += segments;
      if (nowMicros - this.lastReceivedMicros > this.sender.rtt.rtoMicros) this.receiver.quicken();
    }
    this.lastReceivedMicros = nowMicros;
    this.keepalive.probes = 0;
  }

  noteAcknowledged(): void {
    this.hasProgress = true;
    this.softErrno = 0;
    if (this.#wantsSpace && this.sender.spaceBytes * 2 >= this.#layer.config.sendBufferBytes) {
      this.#wantsSpace = false;
      this.raise(EVENT_WRITABLE);
    }
  }

  ackSent(): void {
    this.timers.stop(TIMER_DELAYED_ACK);
  }

  /** Our FIN was sent for the first time. */
  finSent(): void {
    this.enter(this.#state === 'CLOSE-WAIT' ? 'LAST-ACK' : 'FIN-WAIT-1');
  }

  /** Our FIN is acknowledged (RFC 9293 §3.10.7.4, fifth step). */
  finAcknowledged(nowMicros: number): void {
    if (this.#state === 'FIN-WAIT-1') {
      this.enter('FIN-WAIT-2');
      if (this.#isClosedByApplication) this.#startLinger(nowMicros, this.#layer.config.finWait2Micros);
    } else if (this.#state === 'CLOSING') {
      this.#enterTimeWait(nowMicros);
    } else if (this.#state === 'LAST-ACK') {
      this.#finish(0);
    }
  }

  /** The peer's FIN has its turn (eighth step). */
  peerFinished(nowMicros: number): void {
    this.raise(EVENT_READABLE);
    if (this.#state === 'ESTABLISHED' || this.#state === 'SYN-RECEIVED') this.enter('CLOSE-WAIT');
    else if (this.#state === 'FIN-WAIT-1') this.enter('CLOSING');
    else if (this.#state === 'FIN-WAIT-2') this.#enterTimeWait(nowMicros);
  }

  restartTimeWait(nowMicros: number): void {
    this.#startLinger(nowMicros, this.#layer.config.timeWaitMicros);
  }

  /** The connection ends without a word: reset by the peer, timed out, evicted. */
  fail(errno: number): void {
    this.#finish(errno);
  }

  /** Ends it and tells the peer. */
  failWithReset(errno: number, nowMicros: number): void {
    this.#sendReset(nowMicros);
    this.#finish(errno);
  }

  /** Deals with a writer's verdict. False: blocked. */
  accepted(verdict: number, nowMicros: number): boolean {
    if (verdict === EMIT_SENT) return true;
    if (verdict === EMIT_UNREACHABLE) {
      this.softErrno = ERRNO.EHOSTUNREACH;
      if (!isSynchronized(this.#state)) this.#finish(ERRNO.EHOSTUNREACH);
      else this.sender.ensureRetransmit(nowMicros);
    }
    return false;
  }

  timerExpired(row: number, nowMicros: number): void {
    this.touch();
    switch (row) {
      case TIMER_RETRANSMIT:
        this.#retransmitTimeout(nowMicros);
        return;
      case TIMER_PERSIST:
        this.#persistTimeout(nowMicros);
        return;
      case TIMER_DELAYED_ACK:
        this.receiver.ackNow = true;
        this.#layer.counters.delayedAcks++;
        return;
      case TIMER_KEEPALIVE:
        this.keepalive.timeout(nowMicros);
        return;
      case TIMER_LINGER:
        this.#finish(0);
        return;
      default:
    }
  }

  /** Sends what is due. False: the way down is blocked, or the NIC still reads acknowledged memory; come again. */
  flush(nowMicros: number): boolean {
    let isFree = true;
    this.#lookAtRoute(nowMicros);
    if (this.handshake.isPending) isFree = this.handshake.send(nowMicros);
    this.#openWindow();
    if (canTransmit(this.#state) && this.sender.unaOffset >= 0) isFree = this.sender.output(nowMicros) && isFree;
    if (isSynchronized(this.#state)) isFree = this.#flushAck(nowMicros) && isFree;
    if (this.sender.pollCompletion()) this.#events |= EVENT_ACKED;
    this.#deliverEvents();
    return isFree && this.sender.completion.isEmpty;
  }

  /** The one door for state changes. */
  enter(next: TcpState): void {
    const previous = this.#state;
    if (previous === next) return;
    this.#state = next;
    if (channels.tcpState.hasSubscribers) channels.tcpState.publish({ connection: this, from: previous, to: next });
  }

  #maySend(): boolean {
    if (this.sender.finQueued || this.#isClosedByApplication) return false;
    return this.#state === 'ESTABLISHED' || this.#state === 'CLOSE-WAIT' || this.#state === 'SYN-RECEIVED';
  }

  #pathMss(): number {
    const headers = (this.route.family === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES) + TCP_HEADER_BYTES;
    return Math.max(MIN_SEND_MSS, this.pathMtuBytes - headers);
  }

  #lookAtRoute(nowMicros: number): void {
    const { route } = this;
    if (this.hasProgress) this.#layer.confirm(route, nowMicros);
    this.hasProgress = false;
    // The table forgets routes that connections still have: whoever uses one sees to its time.
    if (nowMicros >= route.mtuExpiresMicros) route.expireMtu(nowMicros);
    if (route.mtuBytes !== this.pathMtuBytes) followPathMtu(this, nowMicros);
  }

  /** Before anything is sent: opens the receive window as far as it may, so that whatever goes out next says so. */
  #openWindow(): void {
    if (!canReceive(this.#state) || this.#isClosedByApplication) return;
    const { receiver } = this;
    const { window, queue, reassembly, rcvNxt } = receiver;
    const before = Math.max(0, sequenceDifference(window.edge, rcvNxt));
    const mss = Math.min(receiver.segmentBytes, receiver.advertisedMss);
    const gain = window.gain(rcvNxt, queue.bytes, reassembly.bytes, mss);
    if (window.isStarved) this.#layer.listStarved(this);
    if (gain === 0) return;
    // Worth a segment of its own when it was closed or at least doubles, as Linux has it; the first window of all is
    // not: it grows with the first acknowledgment.
    const isNews = before < 2 * mss || (gain >= before && receiver.bytesReceived > 0);
    if (!receiver.ackNow && !receiver.ackDelayed && !isNews) return;
    window.advance(gain, rcvNxt, reassembly.bytes);
    if (!receiver.ackNow && isNews) {
      receiver.ackNow = true;
      this.#layer.counters.windowUpdates++;
    }
  }

  #flushAck(nowMicros: number): boolean {
    const { receiver } = this;
    if (!receiver.ackNow) {
      if (receiver.ackDelayed && !this.timers.runs(TIMER_DELAYED_ACK)) {
        this.timers.set(TIMER_DELAYED_ACK, nowMicros + this.#layer.config.delayedAckMicros);
      }
      return true;
    }
    const verdict = this.#layer.writer.write(this, this.sender.sndNxt, 0, 0, 0, nowMicros);
    if (verdict === EMIT_SENT) this.#layer.counters.pureAcksOut++;
    return verdict !== EMIT_BLOCKED;
  }

  #deliverEvents(): void {
    if (this.#events === 0 || this.observer === null) return;
    const events = this.#events;
    this.#events = 0;
    this.observer.tcpEvent(this, events);
  }

  #retransmitTimeout(nowMicros: number): void {
    if (this.handshake.isUnderWay) {
      this.handshake.timeout(nowMicros);
      return;
    }
    const { config } = this.#layer;
    const { sender } = this;
    const stalled = sender.stalledSinceMicros >= 0 ? nowMicros - sender.stalledSinceMicros : 0;
    const isOverdue = this.userTimeoutMicros > 0 && stalled >= this.userTimeoutMicros; // RFC 5482
    if (isOverdue || sender.retries >= config.retries) {
      this.failWithReset(this.softErrno || ERRNO.ETIMEDOUT, nowMicros);
      return;
    }
    sender.onRetransmitTimeout(nowMicros);
  }

  #persistTimeout(nowMicros: number): void {
    // RFC 9293 §3.8.6.1: a peer that acknowledges probes may keep its window shut; one that is silent is gone.
    if (this.sender.probes >= this.#layer.config.retries) {
      this.failWithReset(this.softErrno || ERRNO.ETIMEDOUT, nowMicros);
      return;
    }
    this.sender.onPersistTimeout(nowMicros);
  }

  #enterTimeWait(nowMicros: number): void {
    this.timers.stopAll();
    this.enter('TIME-WAIT');
    this.#startLinger(nowMicros, this.#layer.config.timeWaitMicros);
    this.receiver.window.close();
    this.sender.clear();
    this.raise(EVENT_CLOSED);
    this.#layer.enteredTimeWait(this);
  }

  #startLinger(nowMicros: number, waitMicros: number): void {
    this.timers.set(TIMER_LINGER, nowMicros + waitMicros);
  }

  #sendReset(nowMicros: number): void {
    const { sender, receiver } = this;
    const { writer } = this.#layer;
    writer.writeReset(this.route, this.localPort, this.remotePort, sender.sndNxt, receiver.rcvNxt, true, nowMicros);
  }

  /** The last step of every connection. Its unread data stays readable until the application closes. */
  #finish(errno: number): void {
    if (this.#state === 'CLOSED') return;
    const wasTimeWait = this.#state === 'TIME-WAIT';
    const { sender, receiver } = this;
    this.#layer.forget(this, errno);
    this.enter('CLOSED');
    this.timers.stopAll();
    this.#releaseMark = Math.max(sender.lastMark(), 0);
    sender.clear();
    receiver.window.close();
    receiver.reassembly.clear();
    receiver.packing.release();
    if (this.listener !== null || this.#isClosedByApplication) receiver.clear();
    if (errno !== 0) {
      this.errno = errno;
      this.#events |= EVENT_ERROR | EVENT_READABLE;
    }
    if (!wasTimeWait) this.#events |= EVENT_CLOSED;
    const { listener } = this;
    this.listener = null;
    listener?.lost(this);
    this.touch();
  }
}
