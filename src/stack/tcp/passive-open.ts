import type { Packet } from '../../nic/packet.ts';
import type { PagePool } from '../../memory/page-pool.ts';
import { sequenceDifference } from '../../wire/sequence.ts';
import { TCP_ACK, TCP_CWR, TCP_ECE, TCP_HEADER_BYTES, TCP_SYN } from '../../wire/tcp.ts';
import type { Route } from '../route.ts';
import { segmentArrives, takeText } from './arrival.ts';
import { StatelessSynAck } from './bare-segments.ts';
import { DEFAULT_MSS_IPV4, DEFAULT_MSS_IPV6, MIN_SEND_MSS } from './config.ts';
import type { TcpConnection } from './connection.ts';
import { cookieEcnFlags, ecnFromCookie } from './ecn.ts';
import {
  FAST_OPEN_ALL_LISTENERS,
  FAST_OPEN_SERVER,
  FAST_OPEN_SERVER_NO_COOKIE,
  FastOpen,
  FastOpenKeys,
} from './fast-open.ts';
import type { TcpLayer } from './layer.ts';
import type { TcpListener } from './listener.ts';
import type { SocketOptions } from './options.ts';
import { Segment } from './segment.ts';
import { COOKIE_VALID_MICROS, stampedEcn, stampedSack, stampedScale, stampOptions, SynCookies } from './syn-cookies.ts';
import type { TimeWait } from './time-wait.ts';
import { ReceiveWindow } from './window.ts';

const IPV4_HEADER_BYTES = 20;
const IPV6_HEADER_BYTES = 40;
const MICROS_PER_TICK = 1000;
/** What a stateless SYN-ACK offers in segments, and as a part of the free memory: less than `open` promises after it. */
const COOKIE_WINDOW_SEGMENTS = 4;
const COOKIE_WINDOW_SHARE = 64;
const MAX_FIELD = 0xffff;
/** Cookies that wait for the address of their next hop. Others are lost, and asked for again. */
const MAX_WAITING = 16;

/** What a SYN's Fast Open option comes to (RFC 7413 §4.1.2). */
const PLAIN = 0;
const ANSWER_COOKIE = 1;
const ACCEPT = 2;
const ACCEPT_AND_RENEW = 3;

/** The passive side of the handshake: what a listener's segments bring about (RFC 9293 §3.10.7.2). */
export class PassiveOpen {
  /** Keys of listeners that have none of their own. */
  keys: FastOpenKeys;
  readonly #layer: TcpLayer;
  readonly #cookies: SynCookies;
  readonly #answer = new StatelessSynAck();
  /** The SYN as it must have been, when a cookie comes back. */
  readonly #syn = new Segment();
  #waiting: { route: Route; answer: StatelessSynAck }[] = [];
  #scalePool: PagePool | null = null;
  #scaleOptions: SocketOptions | null = null;
  #scale = 0;

  constructor(layer: TcpLayer, cookies: SynCookies, keys: FastOpenKeys) {
    this.#layer = layer;
    this.#cookies = cookies;
    this.keys = keys;
  }

  /** @param previous a connection in TIME-WAIT that makes room. */
  arrive(listener: TcpListener, previous: TimeWait | null, segment: Segment, packet: Packet, nowMicros: number): void {
    const { counters } = this.#layer;
    if (segment.isReset) {
      counters.dropBadHandshake++;
    } else if (segment.isAck) {
      if (segment.isSyn || !this.#takeCookie(listener, segment, packet, nowMicros)) {
        this.#layer.refuse(segment, nowMicros);
      }
    } else if (segment.isSyn && !segment.isFin) {
      this.#takeSyn(listener, previous, segment, packet, nowMicros);
    } else {
      counters.dropBadHandshake++;
    }
  }

  #takeSyn(
    listener: TcpListener,
    previous: TimeWait | null,
    segment: Segment,
    packet: Packet,
    nowMicros: number,
  ): void {
    const layer = this.#layer;
    const { counters, config } = layer;
    if (listener.isAcceptQueueFull) {
      counters.dropSynQueueFull++;
      return;
    }
    // Whoever takes over from TIME-WAIT has shown that the address is its own; a cookie could not say where to begin.
    const needsCookie =
      previous === null && (config.synCookies === 2 || (config.synCookies === 1 && !listener.hasRoom));
    if (!needsCookie && !listener.hasRoom) {
      counters.dropSynQueueFull++;
      return;
    }
    const route = layer.routeBack(segment);
    if (route === null) {
      counters.dropNoConnection++;
      return;
    }
    if (needsCookie) {
      this.#sendCookie(listener, route, segment, nowMicros);
      return;
    }
    if (layer.isFull) {
      counters.dropConnectionLimit++;
      return;
    }
    if (previous !== null) {
      counters.timeWaitReused++;
      layer.endTimeWait(previous);
    }
    const verdict = this.#judgeFastOpen(listener, segment, nowMicros);
    const connection = layer.make(route, segment.localPort, segment.remotePort, listener.pool, listener.options);
    counters.passiveOpens++;
    const iss = previous === null ? layer.initialSequence(connection, nowMicros) : previous.successorIss;
    if (verdict >= ACCEPT) this.#acceptFast(listener, connection, iss, verdict, segment, packet, nowMicros);
    else this.#begin(listener, connection, iss, verdict, segment, nowMicros);
  }

  #begin(
    listener: TcpListener,
    connection: TcpConnection,
    iss: number,
    verdict: number,
    segment: Segment,
    nowMicros: number,
  ): void {
    listener.begin(connection);
    if (verdict === ANSWER_COOKIE) connection.fastOpen = this.#reply(listener, segment);
    connection.handshake.answer(iss, segment, nowMicros);
  }

  // ---- SYN cookies (RFC 4987 §3.6) ----

  #sendCookie(listener: TcpListener, route: Route, segment: Segment, nowMicros: number): void {
    const layer = this.#layer;
    const { config, counters } = layer;
    const { options } = segment;
    const answer = this.#answer;
    const mss = offeredMss(route, listener.options);
    const hasTimestamps = config.timestamps && options.hasTimestamps;
    const scales = config.windowScaling && options.windowScale >= 0 && hasTimestamps;
    const sack = config.selectiveAck && options.sackPermitted && hasTimestamps;
    const ecnFlags = hasTimestamps ? cookieEcnFlags(config, segment) : 0;
    const ecn = ecnFlags !== 0;
    const defaultMss = segment.family === 4 ? DEFAULT_MSS_IPV4 : DEFAULT_MSS_IPV6;
    const peerMss = options.mss > 0 ? Math.max(options.mss, MIN_SEND_MSS) : defaultMss;
    answer.localPort = segment.localPort;
    answer.remotePort = segment.remotePort;
    answer.sequence = this.#cookies.make(segment, peerMss, nowMicros);
    answer.acknowledgment = (segment.sequence + 1) | 0;
    answer.extraFlags = ecnFlags;
    answer.mss = mss;
    answer.window = cookieWindow(listener.pool, mss);
    answer.windowScale = scales ? this.#scaleOf(listener) : -1;
    answer.sackPermitted = sack;
    answer.hasTimestamps = hasTimestamps;
    if (hasTimestamps) {
      const stamp = stampOptions(
        Math.floor(nowMicros / MICROS_PER_TICK),
        options.windowScale,
        options.sackPermitted,
        ecn,
      );
      answer.timestampValue = (layer.timestampOffset(segment.key) + stamp) | 0;
      answer.timestampEcho = options.timestampValue;
    }
    listener.lastCookieMicros = nowMicros;
    counters.synCookiesSent++;
    if (layer.bare.writeSynAck(route, answer, nowMicros) || route.state !== 'resolving') return;
    if (this.#waiting.length < MAX_WAITING)
      this.#waiting.push({ route, answer: Object.assign(new StatelessSynAck(), answer) });
  }

  /** Sends the cookies whose next hop was unknown when they were made. */
  flush(nowMicros: number): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const item of waiting) {
      const isSent = this.#layer.bare.writeSynAck(item.route, item.answer, nowMicros);
      if (!isSent && item.route.state === 'resolving') this.#waiting.push(item);
    }
  }

  /** Returns whether the segment has been dealt with: its acknowledgment number was a cookie of ours. */
  #takeCookie(listener: TcpListener, segment: Segment, packet: Packet, nowMicros: number): boolean {
    const layer = this.#layer;
    const { config, counters } = layer;
    if (config.synCookies === 0 || nowMicros - listener.lastCookieMicros > COOKIE_VALID_MICROS) return false;
    const mss = this.#cookies.check(segment, nowMicros);
    if (mss === 0) {
      counters.synCookiesFailed++;
      return false;
    }
    if (listener.isAcceptQueueFull) {
      counters.dropAcceptQueueFull++;
      return true;
    }
    const route = layer.routeBack(segment);
    if (route === null || layer.isFull) {
      counters.dropConnectionLimit++;
      return true;
    }
    if (!this.#rememberSyn(segment, mss)) {
      counters.synCookiesFailed++;
      return false;
    }
    counters.synCookiesReceived++;
    counters.passiveOpens++;
    const connection = layer.make(route, segment.localPort, segment.remotePort, listener.pool, listener.options);
    listener.begin(connection);
    connection.handshake.resume((segment.acknowledgment - 1) | 0, this.#syn, nowMicros);
    if (connection.ecn !== null) connection.ecn = ecnFromCookie(config, segment);
    segmentArrives(layer, connection, segment, packet, nowMicros);
    // Nothing would end a handshake that this segment has not ended: no SYN-ACK is repeated.
    if (connection.state === 'SYN-RECEIVED') connection.fail(0);
    return true;
  }

  /** Puts together the SYN that a cookie and the timestamp beside it stand for. False: they name what we do not do. */
  #rememberSyn(segment: Segment, mss: number): boolean {
    const { config } = this.#layer;
    const { options } = segment;
    const syn = this.#syn;
    syn.flags = TCP_SYN;
    syn.sequence = (segment.sequence - 1) | 0;
    syn.window = segment.window;
    syn.payloadBytes = 0;
    syn.family = segment.family;
    syn.options.reset();
    syn.options.mss = mss;
    if (!options.hasTimestamps) return true;
    if (!config.timestamps) return false;
    const stamp = (options.timestampEcho - this.#layer.timestampOffset(segment.key)) | 0;
    syn.options.hasTimestamps = true;
    syn.options.timestampValue = options.timestampValue;
    syn.options.windowScale = stampedScale(stamp);
    syn.options.sackPermitted = stampedSack(stamp);
    if (stampedEcn(stamp)) syn.flags |= TCP_ECE | TCP_CWR;
    if (syn.options.sackPermitted && !config.selectiveAck) return false;
    return syn.options.windowScale < 0 || config.windowScaling;
  }

  /** The shift count that a connection of this listener would offer: the one that a cookie makes will go by its own. */
  #scaleOf({ pool, options }: TcpListener): number {
    // A listener whose options are set gets a new set of them.
    if (this.#scalePool !== pool || this.#scaleOptions !== options) {
      this.#scalePool = pool;
      this.#scaleOptions = options;
      const { receiveBufferInitialBytes, receiveBufferBytes, windowClampBytes } = options;
      const window = new ReceiveWindow(pool, receiveBufferInitialBytes, receiveBufferBytes, windowClampBytes);
      this.#scale = window.offeredScale;
    }
    return this.#scale;
  }

  // ---- Fast Open (RFC 7413 §4.2.2) ----

  #judgeFastOpen(listener: TcpListener, segment: Segment, nowMicros: number): number {
    const { config, counters } = this.#layer;
    const { options } = segment;
    if ((config.fastOpen & FAST_OPEN_SERVER) === 0) return PLAIN;
    if (segment.payloadBytes === 0 && options.fastOpenBytes < 0) return PLAIN;
    const limit = (config.fastOpen & FAST_OPEN_ALL_LISTENERS) !== 0 ? listener.backlog : listener.options.fastOpenQueue;
    if (limit === 0) return PLAIN;
    if (!listener.hasFastOpenRoom(limit, nowMicros)) {
      counters.fastOpenOverflows++;
      return PLAIN;
    }
    if ((config.fastOpen & FAST_OPEN_SERVER_NO_COOKIE) !== 0 || listener.options.fastOpenNoCookie) return ACCEPT;
    if (options.fastOpenBytes < 0) return PLAIN;
    if (options.fastOpenBytes === 0) {
      counters.fastOpenCookieRequests++;
      return ANSWER_COOKIE;
    }
    const match = this.#keysOf(listener).check(segment);
    if (match === 1) return ACCEPT;
    if (match === 2) return ACCEPT_AND_RENEW;
    counters.fastOpenPassiveFailed++;
    return ANSWER_COOKIE;
  }

  /** The connection exists before its handshake is done: it is accepted with what came in the SYN. */
  #acceptFast(
    listener: TcpListener,
    connection: TcpConnection,
    iss: number,
    verdict: number,
    segment: Segment,
    packet: Packet,
    nowMicros: number,
  ): void {
    const layer = this.#layer;
    layer.counters.fastOpenPassive++;
    const state = verdict === ACCEPT_AND_RENEW ? this.#reply(listener, segment) : new FastOpen();
    connection.fastOpen = state;
    listener.beginFast(connection);
    connection.handshake.answer(iss, segment, nowMicros);
    connection.handshake.beginSending();
    const { receiver } = connection;
    const before = receiver.rcvNxt;
    segment.sequence = (segment.sequence + 1) | 0;
    segment.flags = (segment.flags & ~TCP_SYN) | TCP_ACK;
    takeText(layer, connection, segment, packet, nowMicros);
    const taken = sequenceDifference(receiver.rcvNxt, before);
    state.dataAcknowledged = taken > 0;
    // What the SYN-ACK offers begins behind that.
    const gain = receiver.window.gain(receiver.rcvNxt, receiver.queue.bytes, 0, 1);
    receiver.window.advance(Math.min(taken, gain), receiver.rcvNxt, 0);
  }

  #reply(listener: TcpListener, segment: Segment): FastOpen {
    const state = new FastOpen();
    state.cookie = this.#keysOf(listener).cookieFor(segment);
    state.isExperimental = segment.options.fastOpenIsExperimental;
    return state;
  }

  #keysOf(listener: TcpListener): FastOpenKeys {
    return listener.fastOpenKeys ?? this.keys;
  }
}

/** The MSS that we announce on a way (RFC 9293 §3.7.1), or less where the application has named one (TCP_MAXSEG). */
function offeredMss(route: Route, { maxSegmentBytes }: SocketOptions): number {
  const headers = (route.family === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES) + TCP_HEADER_BYTES;
  const mss = Math.max(MIN_SEND_MSS, route.mtuBytes - headers);
  return maxSegmentBytes > 0 ? Math.min(maxSegmentBytes, mss) : mss;
}

/** What is offered without being set aside. It is so small a part that what is promised when it comes to it covers it. */
function cookieWindow(pool: PagePool, mss: number): number {
  const free = pool.availableBytes - pool.promisedBytes - (pool.chunkCount * pool.chunkBytes) / 2;
  return Math.max(0, Math.min(COOKIE_WINDOW_SEGMENTS * mss, Math.floor(free / COOKIE_WINDOW_SHARE), MAX_FIELD));
}
