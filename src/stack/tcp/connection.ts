import { channels } from '../../core/channels.ts';
import { ERRNO } from '../../core/errno.ts';
import type { FragQueue } from '../../memory/frag-queue.ts';
import type { PagePool } from '../../memory/page-pool.ts';
import type { MemoryRegion } from '../../memory/region.ts';
import type { IpAddress } from '../../wire/address.ts';
import { TCP_HEADER_BYTES } from '../../wire/tcp.ts';
import { TIMESTAMPS_OPTION_BYTES } from '../../wire/tcp-options.ts';
import type { Route } from '../route.ts';
import { flushAck, openWindow } from './acknowledge.ts';
import { NO_CHALLENGE_MILLIS } from './challenge.ts';
import { abandon, abort, close, finish, sendReset } from './closing.ts';
import { DEFAULT_MSS_IPV4, DEFAULT_MSS_IPV6, MIN_SEND_MSS } from './config.ts';
import type { Ecn } from './ecn.ts';
import { EMIT_BLOCKED, EMIT_SENT, EMIT_UNREACHABLE } from './emit.ts';
import type { FastOpen } from './fast-open.ts';
import { Handshake } from './handshake.ts';
import { tcpInfo, type TcpInfo } from './info.ts';
import { Keepalive } from './keepalive.ts';
import type { TcpLayer } from './layer.ts';
import type { TcpListener } from './listener.ts';
import type { SocketOptions } from './options.ts';
import { followPathMtu } from './path-mtu.ts';
import type { PathSearch } from './path-search.ts';
import { Receiver } from './receive.ts';
import { RecordEnds } from './record-ends.ts';
import type { Segment } from './segment.ts';
import { Sender } from './send.ts';
import { isSendable, noteChrono, sendLimitBytes, SEND_MORE, SEND_RECORD } from './send-buffer.ts';
import type { SendChrono } from './send-chrono.ts';
import { option, setOption } from './set-option.ts';
import { awaitWay, timerExpired } from './timeouts.ts';
import { canTransmit, EVENT_ACKED, EVENT_WRITABLE, isSynchronized, type TcpState } from './state.ts';
import type { TimeWait } from './time-wait.ts';
import { TIMER_DELAYED_ACK, TIMER_PERSIST, TimerRows, type TimerOwner } from './timers.ts';

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
  readonly layer: TcpLayer;
  readonly localPort: number;
  readonly remotePort: number;
  readonly route: Route;
  readonly receiver: Receiver;
  readonly sender: Sender;
  readonly timers: TimerRows;
  /** Fast Open (RFC 7413): null where neither side has asked for it. */
  fastOpen: FastOpen | null = null;
  /** What answers the peer once the connection is in TIME-WAIT. */
  timeWait: TimeWait | null = null;
  /** Explicit congestion notification: null where it is neither asked for nor agreed on. */
  ecn: Ecn | null = null;
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
  /** What its socket options say: its layer's or its listener's, until one of its own is set. */
  options: SocketOptions;
  /** Stream offset up to which segments go out however small: the application has asked for it. */
  pushOffset = 0;
  /** Stream offset behind the last write that said that no more follows: PSH stands there. */
  writeEndOffset = 0;
  /** The last write said that more follows (MSG_MORE); until an acknowledgment comes. */
  hasMore = false;
  /** Ends of records (MSG_EOR) that are not yet acknowledged; made when the first is written. */
  records: RecordEnds | null = null;
  /** What sending has spent its time on; made when the first data is sent. */
  chrono: SendChrono | null = null;
  /** The way down took nothing at the last try. */
  isWayBlocked = false;
  /** When the peer's window was found shut by a probe, until it opens; -1. */
  probingSinceMicros = -1;
  /** The search for the path's MTU (RFC 8899), while there is one. */
  pathSearch: PathSearch | null = null;

  segmentsIn = 0;
  segmentsOut = 0;
  dataSegmentsIn = 0;
  dataSegmentsOut = 0;
  lastReceivedMicros = 0;
  /** When an invalid segment was answered last (rate limit): in whole milliseconds, which take less memory. */
  lastChallengeMillis: number = NO_CHALLENGE_MILLIS;

  /** New data or an acknowledgment of new data has come since the last flush: the way to the peer and back works. */
  hasProgress = false;

  /** The application has called `close` or `abort`. */
  isClosedByApplication = false;
  /** Closed by its application, and counted as such by the layer. */
  isOrphan = false;
  /** SO_ERROR has told `errno`. */
  isErrorTaken = false;
  /** The NIC's mark behind the last transmission, once the connection has ended. */
  releaseMark = 0;

  /** In the layer's list of connections to flush. */
  isQueued = false;
  /** In its list of those that were flushed in vain. */
  isBlocked = false;
  /** In the layer's list of connections that wait for memory. */
  isListedStarved = false;

  /** `send` has taken less than it was given: the application waits for EVENT_WRITABLE. */
  wantsSpace = false;

  #state: TcpState = 'CLOSED';
  #events = 0;
  #timestampOffset = 0;
  /** Each is there while it has something to do: of many connections most are idle. */
  #handshake: Handshake | null = null;
  #keepalive: Keepalive | null = null;

  constructor(
    layer: TcpLayer,
    route: Route,
    localPort: number,
    remotePort: number,
    pool: PagePool,
    timestampOffset: number,
    options: SocketOptions = layer.options,
  ) {
    const { config } = layer;
    this.options = options;
    this.layer = layer;
    this.route = route;
    this.localPort = localPort;
    this.remotePort = remotePort;
    this.timestampsEnabled = config.timestamps;
    this.sackEnabled = config.selectiveAck;
    this.offersScaling = config.windowScaling;
    this.pathMtuBytes = route.mtuBytes;
    this.peerMss = route.family === 4 ? DEFAULT_MSS_IPV4 : DEFAULT_MSS_IPV6;
    this.#timestampOffset = timestampOffset;
    this.receiver = new Receiver(pool, options, config, layer.counters);
    this.sender = new Sender(this);
    this.timers = new TimerRows(layer.timers, this);
    this.sender.noDelay = options.noDelay;
    if (options !== layer.options) this.sender.rtt.setLimits(options.minRtoMicros, options.maxRtoMicros);
    this.receiver.open(this.#ownMss());
  }

  get state(): TcpState {
    return this.timeWait === null || !this.timeWait.isOver ? this.#state : 'CLOSED';
  }

  get localAddress(): IpAddress {
    return this.route.source;
  }

  get remoteAddress(): IpAddress {
    return this.route.destination;
  }

  get handshake(): Handshake {
    return (this.#handshake ??= new Handshake(this, this.layer));
  }

  get keepalive(): Keepalive {
    return (this.#keepalive ??= new Keepalive(this, this.layer));
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
    if (this.#state === 'SYN-SENT') {
      return this.isClosedByApplication || this.sender.finQueued ? 0 : this.handshake.synSpaceBytes;
    }
    return this.#maySend() && isSendable(this) ? this.sender.spaceBytes : 0;
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
    return this.#state === 'CLOSED' && this.layer.marks.txDone(this.releaseMark);
  }

  get noDelay(): boolean {
    return this.sender.noDelay;
  }

  set noDelay(noDelay: boolean) {
    this.setOption('TCP_NODELAY', Number(noDelay), 0);
  }

  get userTimeoutMicros(): number {
    return this.options.userTimeoutMicros;
  }

  /** Payload bytes of the segments sent, and the most that the peer may send in one. */
  get maxSegmentBytes(): number {
    return this.segmentBytes;
  }

  /** The application took bytes out of `receiveQueue`; it may still hold their pages. */
  consumed(_bytes: number, nowMicros: number): void {
    this.receiver.drained(nowMicros);
    this.touch();
  }

  /**
   * Queues a reference to bytes, which must not change until `completedOffset` has passed them.
   * @param flags SEND_MORE, SEND_RECORD.
   * @returns the bytes accepted, from the front: 0 if there is no send space or the connection sends no more.
   */
  send(region: MemoryRegion, offset: number, length: number, flags = 0): number {
    const accepted = Math.min(length, this.sendSpaceBytes);
    if (accepted < length) this.wantsSpace = true;
    if (accepted === 0 || !this.sender.queue.push(region, offset, accepted)) return 0;
    if (this.fastOpen !== null) this.handshake.release();
    this.hasMore = (flags & SEND_MORE) !== 0;
    if (!this.hasMore) this.writeEndOffset = this.queuedOffset;
    if ((flags & SEND_RECORD) !== 0 && accepted === length) {
      this.records ??= new RecordEnds();
      this.records.push(this.queuedOffset);
    }
    this.touch();
    return accepted;
  }

  /** Sends a FIN behind what is queued. Receiving goes on. */
  shutdown(_nowMicros: number): void {
    if (this.sender.finQueued) return;
    if (this.#state === 'CLOSED') return;
    if (this.#state === 'SYN-SENT') {
      if (this.fastOpen === null) return;
      this.openNow(); // what is in the SYN was accepted: the FIN is behind it
    }
    this.sender.finQueued = true;
    this.touch();
  }

  /** Lets a SYN go that waits for data (TCP_FASTOPEN_CONNECT): the application waits for the peer. */
  openNow(): void {
    if (this.#state !== 'SYN-SENT' || this.fastOpen?.isDeferred !== true) return;
    this.handshake.release();
    this.touch();
  }

  /** The application is done with both directions: FIN behind what is queued, or a reset if it leaves data unread. */
  close(nowMicros: number): void {
    close(this, nowMicros);
  }

  /**
   * Ends the connection at once, with a reset to the peer where something could still be said (RFC 9293 §3.10.5: not in
   * CLOSING, LAST-ACK and TIME-WAIT).
   */
  abort(nowMicros: number): void {
    abort(this, nowMicros);
  }

  /**
   * Ends the connection at once and silently: for a stack that goes away when the peer has acknowledged all of ours,
   * FIN included. A reset then would destroy what the peer's application has not read yet.
   */
  abandon(): void {
    abandon(this);
  }

  /**
   * Switches keepalive probes on or off (RFC 9293 §3.8.4: off by default).
   * @param idleMicros of silence before the first probe; 0: as before, which at first is the configuration's.
   */
  setKeepalive(enabled: boolean, nowMicros: number, idleMicros = 0): void {
    if (idleMicros > 0) {
      this.options = this.options.own(this.layer.config);
      this.options.keepaliveIdleMicros = idleMicros;
    }
    this.setOption('SO_KEEPALIVE', Number(enabled), nowMicros);
  }

  /**
   * Sets a socket option by its usual name.
   * @returns 0, or a negative errno: see `storeOption`; EINVAL for one that comes too late.
   */
  setOption(name: string, value: unknown, nowMicros: number): number {
    return setOption(this, name, value, nowMicros);
  }

  /** The value of an option, or a negative errno: ENOPROTOOPT. */
  option(name: string, nowMicros = 0): unknown {
    return option(this, name, nowMicros);
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

  /** IP and TCP header of a segment without options. */
  get headerBytes(): number {
    return (this.route.family === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES) + TCP_HEADER_BYTES;
  }

  /** The connection's error, once: it is taken (SO_ERROR). */
  takeError(): number {
    const { errno } = this;
    const error = this.isErrorTaken ? 0 : errno;
    this.isErrorTaken = errno !== 0;
    return error;
  }

  /** Option bytes in every segment after the handshake. */
  get optionBytes(): number {
    return this.timestampsEnabled ? TIMESTAMPS_OPTION_BYTES : 0;
  }

  /** To be looked at in the next flush. */
  touch(): void {
    this.layer.queue(this);
  }

  raise(events: number): void {
    this.#events |= events;
    this.touch();
  }

  updateSegmentBytes(): void {
    let bytes = Math.min(this.peerMss, this.#ownMss());
    if (this.pathSearch !== null) bytes = Math.min(bytes, this.pathSearch.segmentBytes);
    bytes -= this.optionBytes;
    this.segmentBytes = Math.max(bytes, MIN_SEND_MSS - TIMESTAMPS_OPTION_BYTES);
  }

  /** A segment of this connection has come: it lives. */
  noteReceived(segment: Segment, segments: number, nowMicros: number): void {
    this.segmentsIn += segments;
    if (segment.payloadBytes > 0) {
      this.dataSegmentsIn += segments;
      this.receiver.isUnclaimed = this.listener !== null;
      this.receiver.noteData(this, segment, segments, nowMicros);
    }
    this.lastReceivedMicros = nowMicros;
    if (this.#keepalive !== null) this.#keepalive.probes = 0;
  }

  noteAcknowledged(): void {
    this.hasProgress = true;
    this.softErrno = 0;
    this.hasMore = false;
    this.records?.release(this.sender.unaOffset);
    // A third, as Linux has it: what waits behind it keeps the window full until the application has answered.
    if (this.wantsSpace && this.sender.spaceBytes * 3 >= sendLimitBytes(this)) {
      this.wantsSpace = false;
      this.raise(EVENT_WRITABLE);
    }
  }

  ackSent(): void {
    this.timers.stop(TIMER_DELAYED_ACK);
  }

  /** New data has gone out, and with it an acknowledgment. */
  dataSent(nowMicros: number): void {
    this.receiver.ackTiming?.onReply(nowMicros);
  }

  /** The connection ends without a word: reset by the peer, timed out, evicted. */
  fail(errno: number): void {
    finish(this, errno);
  }

  /** Ends it and tells the peer. */
  failWithReset(errno: number, nowMicros: number): void {
    sendReset(this, nowMicros);
    finish(this, errno);
  }

  /** Deals with a writer's verdict. False: blocked. */
  accepted(verdict: number, nowMicros: number): boolean {
    this.isWayBlocked = verdict === EMIT_BLOCKED;
    if (verdict === EMIT_SENT) return true;
    if (this.isWayBlocked) awaitWay(this, nowMicros);
    if (verdict === EMIT_UNREACHABLE) {
      this.softErrno = ERRNO.EHOSTUNREACH;
      if (!isSynchronized(this.#state)) finish(this, ERRNO.EHOSTUNREACH);
      else this.sender.ensureRetransmit(nowMicros);
    }
    return false;
  }

  timerExpired(row: number, nowMicros: number): void {
    this.touch();
    timerExpired(this, row, nowMicros);
  }

  /** Sends what is due. False: the way down is blocked, or the NIC still reads acknowledged memory; come again. */
  flush(nowMicros: number): boolean {
    let isFree = true;
    this.#lookAtRoute(nowMicros);
    if (this.#handshake !== null) isFree = this.#proceedHandshake(this.#handshake, nowMicros);
    openWindow(this);
    if (this.ecn?.reflectsSyn === true) isFree = flushAck(this, nowMicros) && isFree;
    if (canTransmit(this.#state) ? this.sender.unaOffset >= 0 : this.#sendsEarly)
      isFree = this.sender.output(nowMicros) && isFree;
    if (isSynchronized(this.#state) || this.#answersEarly) isFree = flushAck(this, nowMicros) && isFree;
    noteChrono(this, nowMicros);
    if (this.probingSinceMicros >= 0 && !this.timers.runs(TIMER_PERSIST)) this.probingSinceMicros = -1;
    if (this.sender.pollCompletion()) this.#events |= EVENT_ACKED;
    this.#deliverEvents();
    return isFree && this.sender.completion.isEmpty;
  }

  #proceedHandshake(handshake: Handshake, nowMicros: number): boolean {
    if (handshake.isPending) return handshake.send(nowMicros);
    if (!handshake.isUnderWay && this.fastOpen === null) this.#handshake = null;
    return true;
  }

  /** The one door for state changes. */
  enter(next: TcpState): void {
    const previous = this.#state;
    if (previous === next) return;
    this.#state = next;
    if (channels.tcpState.hasSubscribers) channels.tcpState.publish({ connection: this, from: previous, to: next });
  }

  /** RFC 7413 §4.2.2: the server sends data before its SYN-ACK is acknowledged. */
  get #sendsEarly(): boolean {
    const { fastOpen } = this;
    return this.#state === 'SYN-RECEIVED' && fastOpen?.isClient === false && !this.handshake.isPending;
  }

  /** RFC 9293 §3.10.7.4: what is not acceptable in SYN-RECEIVED is answered too. */
  get #answersEarly(): boolean {
    return this.#state === 'SYN-RECEIVED' && this.receiver.ackNow && !this.handshake.isPending;
  }

  #maySend(): boolean {
    if (this.sender.finQueued || this.isClosedByApplication) return false;
    return this.#state === 'ESTABLISHED' || this.#state === 'CLOSE-WAIT' || this.#state === 'SYN-RECEIVED';
  }

  /** What we take and send in one segment at most: the path's, or the socket option's. */
  #ownMss(): number {
    const { maxSegmentBytes } = this.options;
    return maxSegmentBytes > 0 ? Math.min(maxSegmentBytes, this.#pathMss()) : this.#pathMss();
  }

  #pathMss(): number {
    return Math.max(MIN_SEND_MSS, this.pathMtuBytes - this.headerBytes);
  }

  #lookAtRoute(nowMicros: number): void {
    const { route } = this;
    if (this.hasProgress) this.layer.confirm(route, nowMicros);
    this.hasProgress = false;
    // The table forgets routes that connections still have: whoever uses one sees to its time.
    if (nowMicros >= route.mtuExpiresMicros) route.expireMtu(nowMicros);
    if (route.mtuBytes !== this.pathMtuBytes) followPathMtu(this, nowMicros);
  }

  #deliverEvents(): void {
    if (this.#events === 0 || this.observer === null) return;
    const events = this.#events;
    this.#events = 0;
    this.observer.tcpEvent(this, events);
  }
}
