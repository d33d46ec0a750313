import { ERRNO } from '../../core/errno.ts';
import { DevmemError, invalidArgument } from '../../core/errors.ts';
import { randomBelow, type Random } from '../../core/random.ts';
import type { PagePool } from '../../memory/page-pool.ts';
import type { Packet } from '../../nic/packet.ts';
import type { IpAddress } from '../../wire/address.ts';
import { flowKey, FLOW_KEY_WORDS, FlowTable } from '../demux.ts';
import { TokenBucket } from '../rate-limit.ts';
import type { IpOutput, Route } from '../route.ts';
import { segmentArrives } from './arrival.ts';
import { DEFAULT_TCP_CONFIG, type TcpConfig } from './config.ts';
import { TcpConnection } from './connection.ts';
import { TcpCounters } from './counters.ts';
import { SegmentWriter } from './emit.ts';
import { initialSequence, KeyedHash } from './isn.ts';
import { TcpListener } from './listener.ts';
import { isInFlight, reducePathMtu } from './path-mtu.ts';
import { Segment } from './segment.ts';
import type { TransmitMarks } from './send.ts';
import { isSynchronized } from './state.ts';
import { TimerHeap } from './timers.ts';

/** RFC 1122 §4.2.2.13: a reused TIME-WAIT must begin above the old numbers; Linux leaves a window's distance. */
const REUSE_DISTANCE = 65_537;
const MAX_PORT = 65_535;

/** What an ICMP error said about a segment of ours. */
export type IcmpErrorKind = 'unreachable' | 'prohibited' | 'port-unreachable' | 'packet-too-big' | 'time-exceeded';

export interface TcpLayerOptions {
  ip: IpOutput;
  nic: TransmitMarks;
  random: Random;
  config?: Partial<TcpConfig>;
}

export interface ListenOptions {
  /** Null: every local address. */
  address: IpAddress | null;
  /** 0: a free ephemeral port (RFC 6056). */
  port: number;
  backlog: number;
  /** Whose pages the receive windows of accepted connections follow. */
  pool: PagePool;
}

export interface ConnectOptions {
  remote: IpAddress;
  remotePort: number;
  local?: IpAddress | null;
  /** 0 or left out: an ephemeral port (RFC 6056). */
  localPort?: number;
  pool: PagePool;
}

/**
 * All of TCP for one stack: segments in, connections, listeners, timers, segments out. Sans-IO: `input` and the
 * application's calls only note what is to be done, `flush` sends it, `pollTimers` notes what time has brought about.
 */
export class TcpLayer {
  readonly config: Readonly<TcpConfig>;
  readonly counters: TcpCounters = new TcpCounters();
  readonly timers: TimerHeap = new TimerHeap();
  readonly writer: SegmentWriter;
  readonly marks: TransmitMarks;

  readonly #ip: IpOutput;
  readonly #random: Random;
  readonly #hash: KeyedHash;
  readonly #hashWords = new Int32Array(FLOW_KEY_WORDS + 1);
  readonly #key = new Int32Array(FLOW_KEY_WORDS);
  readonly #segment = new Segment();
  readonly #flows: FlowTable<TcpConnection>;
  readonly #listeners = new Map<number, TcpListener[]>();
  /** In the order they entered it: the first is the oldest. */
  readonly #timeWait = new Set<TcpConnection>();
  #starved: TcpConnection[] = [];
  #queued: TcpConnection[] = [];
  #flushing: TcpConnection[] = [];
  /** Tried in vain, or waiting for the NIC: looked at again in each flush, but no reason for one. */
  #blocked: TcpConnection[] = [];
  #acceptable: TcpListener[] = [];
  readonly #challenges: TokenBucket;
  readonly #resets: TokenBucket;

  constructor(options: TcpLayerOptions) {
    this.config = { ...DEFAULT_TCP_CONFIG, ...options.config };
    this.marks = options.nic;
    this.#ip = options.ip;
    this.#random = options.random;
    this.#hash = KeyedHash.random(options.random);
    this.#flows = new FlowTable(options.random);
    this.writer = new SegmentWriter(options.ip, this.counters);
    this.#challenges = new TokenBucket(this.config.challengeAcksPerSecond, this.config.challengeAcksPerSecond);
    this.#resets = new TokenBucket(this.config.resetsPerSecond, this.config.resetsPerSecond);
  }

  get connectionCount(): number {
    return this.#flows.size;
  }

  get timeWaitCount(): number {
    return this.#timeWait.size;
  }

  /** All connections that exist, TIME-WAIT included. */
  get connections(): Iterable<TcpConnection> {
    return this.#flows.values();
  }

  /**
   * Accepts connections on a port.
   * @throws EADDRINUSE if a listener has this port on an overlapping address, or each ephemeral one;
   *   ERR_DEVMEM_INVALID_ARGUMENT for a bad port.
   */
  listen(options: ListenOptions): TcpListener {
    const { address } = options;
    checkPort(options.port, 0);
    const port = options.port === 0 ? this.#chooseListenPort() : options.port;
    const others = this.#listeners.get(port) ?? [];
    const clash = others.find((other) => {
      if (other.address === null) return true;
      return address === null || other.address.equals(address);
    });
    if (clash !== undefined) {
      throw new DevmemError('EADDRINUSE', `listen: port ${port} has a listener already`, {
        hint: 'close it, or choose another port',
        syscall: 'listen',
      });
    }
    const listener = new TcpListener(this, address, port, options.backlog, options.pool);
    this.#listeners.set(port, [...others, listener]);
    return listener;
  }

  /**
   * Begins an active open; the connection reports how it went through its observer.
   * @throws ENETUNREACH without a route; EADDRNOTAVAIL if the local port, or every ephemeral one, is taken; ENOBUFS at
   *   the connection limit.
   */
  connect(options: ConnectOptions, nowMicros: number): TcpConnection {
    const { remote, remotePort, pool } = options;
    const localPort = options.localPort ?? 0;
    checkPort(remotePort, 1);
    checkPort(localPort, 0);
    const where = `connect to ${remote.toString()} port ${remotePort}`;
    if (this.#flows.size >= this.config.connectionLimit) {
      throw new DevmemError('ENOBUFS', `${where}: ${this.#flows.size} connections exist, which is the limit`, {
        hint: 'close some, or raise connectionLimit',
      });
    }
    const route = this.#ip.route(remote, options.local ?? null);
    if (route === null) {
      throw new DevmemError('ENETUNREACH', `${where}: there is no route`, {
        hint: 'add an address in its network, or a route',
        syscall: 'connect',
      });
    }
    const port = this.#choosePort(route, localPort, remotePort);
    if (port === 0) {
      throw new DevmemError('EADDRNOTAVAIL', `${where}: no local port is free`, {
        hint: localPort === 0 ? 'close some connections' : 'leave localPort out',
        syscall: 'connect',
      });
    }
    const connection = this.#make(route, port, remotePort, pool);
    this.counters.activeOpens++;
    connection.handshake.open(this.#initialSequence(connection, nowMicros));
    return connection;
  }

  /** Takes a TCP segment that IP has found to be for us. */
  input(packet: Packet, nowMicros: number): void {
    const segment = this.#segment;
    this.counters.segmentsIn += packet.segments;
    if (!segment.read(packet)) {
      this.counters.dropMalformedOptions++;
      return;
    }
    if (packet.isLinkMulticast || segment.localPort === 0 || segment.remotePort === 0) {
      this.counters.dropBadAddress++;
      return;
    }
    const connection = this.#flows.find(segment.key);
    if (connection !== null && !this.#isReuse(connection, segment)) {
      segmentArrives(this, connection, segment, packet, nowMicros);
      return;
    }
    const listener = this.#listenerFor(segment);
    if (listener === null) this.#refuse(segment, nowMicros);
    else this.#inputToListener(listener, connection, segment, nowMicros);
  }

  /** An ICMP error about a segment from `local` to `remote` whose sequence number it quotes. */
  icmpError(
    kind: IcmpErrorKind,
    mtuBytes: number,
    local: IpAddress,
    localPort: number,
    remote: IpAddress,
    remotePort: number,
    sequence: number,
    nowMicros: number,
  ): void {
    flowKey(this.#key, local, localPort, remote, remotePort);
    const connection = this.#flows.find(this.#key);
    if (connection === null || connection.state === 'TIME-WAIT' || !isInFlight(connection, sequence)) {
      this.counters.icmpIgnored++;
      return;
    }
    if (kind === 'packet-too-big') {
      reducePathMtu(connection, mtuBytes, this.counters, nowMicros);
      return;
    }
    const errno = kind === 'port-unreachable' ? ERRNO.ECONNREFUSED : ERRNO.EHOSTUNREACH;
    // RFC 5927 §5.2: hard errors are soft ones once a connection is synchronised.
    if (connection.state === 'SYN-SENT' && kind !== 'time-exceeded') connection.fail(errno);
    else connection.softErrno = errno;
  }

  /** Sends everything that is due, delivers events. */
  flush(nowMicros: number): void {
    this.#wakeStarved();
    const blocked = this.#blocked;
    this.#blocked = [];
    for (const connection of blocked) this.queue(connection);
    const batch = this.#queued;
    this.#queued = this.#flushing;
    this.#flushing = batch;
    for (let i = 0; i < batch.length; i++) {
      const connection = batch[i]!;
      connection.isQueued = false;
      if (!connection.flush(nowMicros)) this.#block(connection);
    }
    batch.length = 0;
    this.#announceAcceptable();
  }

  /** Fires what is due. What it brings about goes out with the next flush. */
  pollTimers(nowMicros: number): number {
    return this.timers.poll(nowMicros);
  }

  /** When `pollTimers` or `flush` has something to do: 0 for now, NEVER for nothing. */
  pollAt(): number {
    if (this.#queued.length > 0 || this.#acceptable.length > 0) return 0;
    for (let i = 0; i < this.#starved.length; i++) {
      const { window } = this.#starved[i]!.receiver;
      if (window.seenEpoch !== window.pool.releaseEpoch) return 0;
    }
    return this.timers.pollAt();
  }

  /**
   * Payload that landed in `from` lands in `to` from now on: moves every window and every listener over. Pages that are
   * queued or held stay where they are.
   */
  movePool(from: PagePool, to: PagePool): void {
    for (const connection of this.#flows.values()) {
      const { window } = connection.receiver;
      if (window.pool !== from) continue;
      window.moveTo(to);
      connection.touch();
    }
    for (const listeners of this.#listeners.values()) {
      for (const listener of listeners) if (listener.pool === from) listener.pool = to;
    }
  }

  /** Nothing can be sent or will arrive any more: ends every connection, each with this errno. */
  failAll(errno: number): void {
    for (const connection of [...this.#flows.values()]) connection.fail(errno);
  }

  // ---- for the rest of the TCP ----

  /** Puts a connection on the list of those that the next flush looks at. */
  queue(connection: TcpConnection): void {
    if (connection.isQueued) return;
    connection.isQueued = true;
    this.#queued.push(connection);
  }

  /** The connection waits for memory: it gets a window update when pages come back. */
  listStarved(connection: TcpConnection): void {
    if (connection.isListedStarved) return;
    connection.isListedStarved = true;
    this.#starved.push(connection);
  }

  /** The peer of a route has answered: its next hop needs no probe. */
  confirm(route: Route, nowMicros: number): void {
    this.#ip.confirm(route, nowMicros);
  }

  /** RFC 5961 §7: a challenge ACK, if neither this connection nor all together had too many. */
  challenge(connection: TcpConnection, nowMicros: number): void {
    if (
      nowMicros - connection.lastChallengeMicros < this.config.invalidSegmentMicros ||
      !this.#challenges.take(nowMicros)
    ) {
      this.counters.challengeAcksSuppressed++;
      return;
    }
    connection.lastChallengeMicros = nowMicros;
    connection.receiver.ackNow = true;
    this.counters.challengeAcks++;
  }

  /** RFC 9293 §3.10.7.1: the reset that answers a segment. */
  resetFor(route: Route, segment: Segment, nowMicros: number): void {
    if (!this.#resets.take(nowMicros)) {
      this.counters.dropResetSuppressed++;
      return;
    }
    const { localPort, remotePort, acknowledgment } = segment;
    const end = (segment.sequence + segment.lengthBytes) | 0;
    if (segment.isAck) this.writer.writeReset(route, localPort, remotePort, acknowledgment, 0, false, nowMicros);
    else this.writer.writeReset(route, localPort, remotePort, 0, end, true, nowMicros);
  }

  enteredTimeWait(connection: TcpConnection): void {
    this.#timeWait.add(connection);
    if (this.#timeWait.size <= this.config.timeWaitLimit) return;
    const [oldest] = this.#timeWait;
    this.counters.timeWaitEvicted++;
    oldest!.fail(0);
  }

  /** A connection ends: its place in the tables is free. */
  forget(connection: TcpConnection, errno: number): void {
    const { localAddress, localPort, remoteAddress, remotePort, state } = connection;
    flowKey(this.#key, localAddress, localPort, remoteAddress, remotePort);
    this.#flows.remove(this.#key);
    this.#timeWait.delete(connection);
    if (errno === 0) return;
    if (isSynchronized(state)) this.counters.establishedResets++;
    else this.counters.attemptFails++;
  }

  unlisten(listener: TcpListener): void {
    const left = (this.#listeners.get(listener.port) ?? []).filter((other) => other !== listener);
    if (left.length > 0) this.#listeners.set(listener.port, left);
    else this.#listeners.delete(listener.port);
  }

  notifyAcceptable(listener: TcpListener): void {
    if (!this.#acceptable.includes(listener)) this.#acceptable.push(listener);
  }

  #make(route: Route, localPort: number, remotePort: number, pool: PagePool): TcpConnection {
    flowKey(this.#key, route.source, localPort, route.destination, remotePort);
    this.#hashWords.set(this.#key);
    this.#hashWords[FLOW_KEY_WORDS] = 1;
    const timestampOffset = this.#hash.hash(this.#hashWords, FLOW_KEY_WORDS + 1);
    const connection = new TcpConnection(this, route, localPort, remotePort, pool, timestampOffset);
    this.#flows.add(this.#key, connection);
    return connection;
  }

  #initialSequence(connection: TcpConnection, nowMicros: number): number {
    const { localAddress, localPort, remoteAddress, remotePort } = connection;
    flowKey(this.#key, localAddress, localPort, remoteAddress, remotePort);
    return initialSequence(this.#hash.hash(this.#key, FLOW_KEY_WORDS), nowMicros);
  }

  #listenerFor(segment: Segment): TcpListener | null {
    const listeners = this.#listeners.get(segment.localPort);
    if (listeners === undefined) return null;
    for (let i = 0; i < listeners.length; i++) {
      const { address } = listeners[i]!;
      if (address === null) return listeners[i]!;
      const { key } = segment;
      if (address.w3 === key[3] && address.w2 === key[2] && address.w1 === key[1] && address.w0 === key[0]) {
        return listeners[i]!;
      }
    }
    return null;
  }

  /** §3.10.7.2, LISTEN; `previous` is a connection in TIME-WAIT that makes room. */
  #inputToListener(listener: TcpListener, previous: TcpConnection | null, segment: Segment, nowMicros: number): void {
    const { counters } = this;
    if (segment.isReset) {
      counters.dropBadHandshake++;
      return;
    }
    if (segment.isAck || !segment.isSyn || segment.isFin) {
      if (segment.isAck) this.#refuse(segment, nowMicros);
      else counters.dropBadHandshake++;
      return;
    }
    if (!listener.hasRoom) {
      counters.dropSynQueueFull++;
      return;
    }
    let minimumIss = 0;
    if (previous !== null) {
      minimumIss = (previous.sender.sndNxt + REUSE_DISTANCE) | 0;
      counters.timeWaitReused++;
      previous.fail(0);
    }
    if (this.#flows.size >= this.config.connectionLimit) {
      counters.dropConnectionLimit++;
      return;
    }
    const route = this.#ip.route(segment.remoteAddress(), segment.localAddress());
    if (route === null) {
      counters.dropNoConnection++;
      return;
    }
    const connection = this.#make(route, segment.localPort, segment.remotePort, listener.pool);
    listener.begin(connection);
    counters.passiveOpens++;
    const iss = previous === null ? this.#initialSequence(connection, nowMicros) : minimumIss;
    connection.handshake.answer(iss, segment, nowMicros);
  }

  /** A SYN to a connection in TIME-WAIT that begins a new one (RFC 6191 §2, RFC 1122 §4.2.2.13). */
  #isReuse(connection: TcpConnection, segment: Segment): boolean {
    if (connection.state !== 'TIME-WAIT' || !segment.isSyn || segment.isAck || segment.isReset) return false;
    const { receiver } = connection;
    const { options } = segment;
    if (connection.timestampsEnabled && options.hasTimestamps) {
      return ((options.timestampValue - receiver.timestampRecent) | 0) > 0;
    }
    return ((segment.sequence - receiver.rcvNxt) | 0) > 0;
  }

  /** §3.10.7.1, CLOSED. */
  #refuse(segment: Segment, nowMicros: number): void {
    this.counters.dropNoConnection++;
    if (segment.isReset) return;
    const route = this.#ip.route(segment.remoteAddress(), segment.localAddress());
    if (route !== null) this.resetFor(route, segment, nowMicros);
  }

  #choosePort(route: Route, wanted: number, remotePort: number): number {
    if (wanted !== 0) return this.#isPortFree(route, wanted, remotePort) ? wanted : 0;
    return this.#ephemeralPort((port) => this.#isPortFree(route, port, remotePort));
  }

  #chooseListenPort(): number {
    const port = this.#ephemeralPort(() => true);
    if (port !== 0) return port;
    throw new DevmemError('EADDRINUSE', 'listen: every ephemeral port has a listener already', {
      hint: 'close some, or name a port',
      syscall: 'listen',
    });
  }

  /** A port that nobody listens on and that `isFree`, or 0. */
  #ephemeralPort(isFree: (port: number) => boolean): number {
    const { ephemeralFirst, ephemeralLast } = this.config;
    const count = ephemeralLast - ephemeralFirst + 1;
    const start = randomBelow(this.#random, count); // RFC 6056 §3.3.1
    for (let i = 0; i < count; i++) {
      const port = ephemeralFirst + ((start + i) % count);
      if (!this.#listeners.has(port) && isFree(port)) return port;
    }
    return 0;
  }

  #isPortFree(route: Route, port: number, remotePort: number): boolean {
    flowKey(this.#key, route.source, port, route.destination, remotePort);
    return this.#flows.find(this.#key) === null;
  }

  #block(connection: TcpConnection): void {
    this.#blocked.push(connection);
  }

  /** Pages have come back: who waits for them is looked at, in the order of waiting. */
  #wakeStarved(): void {
    const waiting = this.#starved;
    if (waiting.length === 0) return;
    this.#starved = [];
    for (const connection of waiting) {
      const { window } = connection.receiver;
      if (!window.isStarved) {
        connection.isListedStarved = false;
      } else if (window.seenEpoch === window.pool.releaseEpoch) {
        this.#starved.push(connection);
      } else {
        connection.isListedStarved = false;
        this.queue(connection);
      }
    }
  }

  #announceAcceptable(): void {
    if (this.#acceptable.length === 0) return;
    const listeners = this.#acceptable;
    this.#acceptable = [];
    for (const listener of listeners) listener.onAcceptable?.();
  }
}

function checkPort(port: number, minimum: number): void {
  if (!Number.isInteger(port) || port < minimum || port > MAX_PORT) {
    throw invalidArgument(`port ${port} is not between ${minimum} and ${MAX_PORT}`);
  }
}
