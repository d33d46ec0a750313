import { ERRNO } from '../../core/errno.ts';
import { DevmemError, invalidArgument } from '../../core/errors.ts';
import type { Random } from '../../core/random.ts';
import type { PagePool } from '../../memory/page-pool.ts';
import type { Packet } from '../../nic/packet.ts';
import type { IpAddress } from '../../wire/address.ts';
import { flowKey, FLOW_KEY_WORDS, FlowTable } from '../demux.ts';
import { TokenBucket } from '../rate-limit.ts';
import type { IpOutput, Route } from '../route.ts';
import { segmentArrives, timeWaitArrives } from './arrival.ts';
import { BareSegments } from './bare-segments.ts';
import { ChallengeBudget } from './challenge.ts';
import { DEFAULT_TCP_CONFIG, type TcpConfig } from './config.ts';
import { TcpConnection } from './connection.ts';
import { TcpCounters } from './counters.ts';
import { SegmentWriter } from './emit.ts';
import { FastOpenKeys } from './fast-open.ts';
import { FastOpenClient } from './fast-open-client.ts';
import { FlushQueue } from './flush-queue.ts';
import { initialSequence, KeyedHash } from './isn.ts';
import { TcpListener } from './listener.ts';
import { ListenerTable } from './listeners.ts';
import { PassiveOpen } from './passive-open.ts';
import { SocketOptions } from './options.ts';
import { isInFlight, reducePathMtu } from './path-mtu.ts';
import { EphemeralPorts } from './ports.ts';
import { Segment } from './segment.ts';
import type { TransmitMarks } from './send.ts';
import { isSynchronized } from './state.ts';
import { SynCookies } from './syn-cookies.ts';
import { TimeWait, TimeWaitTable } from './time-wait.ts';
import { TimerTable } from './timers.ts';

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
  /** Of the listener, and of the connections that it accepts. */
  options?: SocketOptions;
}

export interface ConnectOptions {
  remote: IpAddress;
  remotePort: number;
  local?: IpAddress | null;
  /** 0 or left out: an ephemeral port (RFC 6056). */
  localPort?: number;
  pool: PagePool;
  /**
   * RFC 7413: with a cookie of that host at hand the SYN waits for the first `send` and takes its bytes along; without
   * one it goes out at once and asks for a cookie. `connection.fastOpen.isDeferred` says which.
   */
  fastOpen?: boolean;
  options?: SocketOptions;
}

/**
 * All of TCP for one stack: segments in, connections, listeners, timers, segments out. Sans-IO: `input` and the
 * application's calls only note what is to be done, `flush` sends it, `pollTimers` notes what time has brought about.
 */
export class TcpLayer {
  readonly config: Readonly<TcpConfig>;
  readonly counters: TcpCounters = new TcpCounters();
  /** Of every socket that has none of its own. */
  readonly options: SocketOptions;
  readonly timers: TimerTable = new TimerTable();
  readonly writer: SegmentWriter;
  readonly marks: TransmitMarks;

  /** Connections that their applications have closed and that are not over: see `orphanLimit`. */
  orphanCount = 0;

  /** Segments that belong to no connection. */
  readonly bare: BareSegments;
  readonly passive: PassiveOpen;
  readonly fastOpenClient: FastOpenClient;

  readonly #ip: IpOutput;
  readonly #hash: KeyedHash;
  readonly #hashWords = new Int32Array(FLOW_KEY_WORDS + 1);
  readonly #key = new Int32Array(FLOW_KEY_WORDS);
  readonly #segment = new Segment();
  readonly #flows: FlowTable<TcpConnection | TimeWait>;
  readonly #listeners = new ListenerTable();
  readonly #timeWait: TimeWaitTable;
  readonly #ports: EphemeralPorts;
  readonly #flushes: FlushQueue;
  readonly #challenges: ChallengeBudget;
  readonly #resets: TokenBucket;

  constructor(options: TcpLayerOptions) {
    const { random } = options;
    const config = { ...DEFAULT_TCP_CONFIG, ...options.config };
    this.config = config;
    this.options = new SocketOptions(config);
    this.marks = options.nic;
    this.#ip = options.ip;
    this.#hash = KeyedHash.random(random);
    this.#flows = new FlowTable(random);
    this.#timeWait = new TimeWaitTable(config.timeWaitMicros);
    this.#ports = new EphemeralPorts(config.ephemeralFirst, config.ephemeralLast, random);
    this.writer = new SegmentWriter(options.ip, this.counters);
    this.#flushes = new FlushQueue(options.nic, this.writer);
    this.bare = new BareSegments(options.ip, this.counters);
    this.#challenges = new ChallengeBudget(config.challengeAcksPerSecond, random);
    this.#resets = new TokenBucket(config.resetsPerSecond, config.resetsPerSecond);
    this.fastOpenClient = new FastOpenClient(config, this.counters);
    const { fastOpenKey, fastOpenBackupKey } = config;
    const keys = fastOpenKey === null ? FastOpenKeys.random(random) : new FastOpenKeys(fastOpenKey, fastOpenBackupKey);
    this.passive = new PassiveOpen(this, new SynCookies(random), keys);
  }

  get connectionCount(): number {
    return this.#flows.size;
  }

  get timeWaitCount(): number {
    return this.#timeWait.size;
  }

  /** Connections that exist, those in TIME-WAIT excepted: of them no more is left than answers their peers. */
  get connections(): Iterable<TcpConnection> {
    return this.#connections();
  }

  /** The limit on connections is reached. TIME-WAIT has a limit of its own. */
  get isFull(): boolean {
    return this.#flows.size - this.#timeWait.size >= this.config.connectionLimit;
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
    this.#listeners.assertFree(port, address);
    const listener = new TcpListener(
      this,
      address,
      port,
      options.backlog,
      options.pool,
      options.options ?? this.options,
    );
    this.#listeners.add(listener);
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
    if (this.isFull) {
      throw new DevmemError(
        'ENOBUFS',
        `${where}: ${this.config.connectionLimit} connections exist, which is the limit`,
        {
          hint: 'close some, or raise connectionLimit',
        },
      );
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
    const connection = this.make(route, port, remotePort, pool, options.options ?? this.options);
    this.counters.activeOpens++;
    if (options.fastOpen === true || connection.options.fastOpenConnect)
      this.fastOpenClient.begin(connection, nowMicros);
    connection.handshake.open(this.initialSequence(connection, nowMicros));
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
    if (segment.options.isSigned) {
      this.counters.dropSigned++;
      return;
    }
    const flow = this.#flows.find(segment.key);
    if (flow instanceof TcpConnection) {
      segmentArrives(this, flow, segment, packet, nowMicros);
      return;
    }
    const listener = this.#listeners.find(segment);
    if (flow !== null && (listener === null || !flow.admits(segment))) timeWaitArrives(this, flow, segment, nowMicros);
    else if (listener !== null) this.passive.arrive(listener, flow, segment, packet, nowMicros);
    else this.refuse(segment, nowMicros);
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
    if (!(connection instanceof TcpConnection) || !isInFlight(connection, sequence)) {
      this.counters.icmpIgnored++;
      return;
    }
    if (kind === 'packet-too-big') {
      reducePathMtu(connection, mtuBytes, this.counters, nowMicros);
      return;
    }
    const errno = kind === 'port-unreachable' ? ERRNO.ECONNREFUSED : ERRNO.EHOSTUNREACH;
    // RFC 5927 §5.2: hard errors are soft ones once a connection is synchronised, or accepted (RFC 7413).
    const isYoung =
      connection.state === 'SYN-SENT' || (connection.state === 'SYN-RECEIVED' && connection.listener !== null);
    if (isYoung && kind !== 'time-exceeded') connection.fail(errno);
    else connection.softErrno = errno;
  }

  /** Sends what is due, up to a limit, and delivers events. Returns 0 if that was all. */
  flush(nowMicros: number): number {
    const left = this.#flushes.run(nowMicros);
    this.passive.flush(nowMicros);
    this.#listeners.announce();
    return left;
  }

  /** Fires what is due. What it brings about goes out with the next flush. */
  pollTimers(nowMicros: number): number {
    let fired = this.timers.poll(nowMicros);
    for (let due = this.#timeWait.due(nowMicros); due !== null; due = this.#timeWait.due(nowMicros)) {
      this.endTimeWait(due);
      fired++;
    }
    return fired;
  }

  /** When `pollTimers` or `flush` has something to do: 0 for now, NEVER for nothing. */
  pollAt(): number {
    if (this.#flushes.isDue || this.#listeners.hasNews) return 0;
    return Math.min(this.timers.pollAt(), this.#timeWait.pollAt());
  }

  /**
   * Payload that landed in `from` lands in `to` from now on: moves every window and every listener over. Pages that are
   * queued or held stay where they are.
   */
  movePool(from: PagePool, to: PagePool): void {
    for (const connection of this.connections) {
      const { window } = connection.receiver;
      if (window.pool !== from) continue;
      window.moveTo(to);
      connection.touch();
    }
    this.#listeners.movePool(from, to);
  }

  /** Nothing can be sent or will arrive any more: ends every connection, each with this errno. */
  failAll(errno: number): void {
    for (const connection of [...this.connections]) connection.fail(errno);
    for (let oldest = this.#timeWait.oldest; oldest !== null; oldest = this.#timeWait.oldest) this.endTimeWait(oldest);
  }

  // ---- for the rest of the TCP ----

  /** Puts a connection on the list of those that the next flush looks at. */
  queue(connection: TcpConnection): void {
    this.#flushes.add(connection);
  }

  /** The connection waits for memory: it gets a window update when pages come back. */
  listStarved(connection: TcpConnection): void {
    this.#flushes.addStarved(connection);
  }

  /** The peer of a route has answered: its next hop needs no probe. */
  confirm(route: Route, nowMicros: number): void {
    this.#ip.confirm(route, nowMicros);
  }

  /** RFC 5961 §7: a challenge ACK, if neither this connection nor all together had too many. */
  challenge(connection: TcpConnection, nowMicros: number): void {
    if (
      nowMicros - connection.lastChallengeMillis * 1000 < this.config.invalidSegmentMicros ||
      !this.#challenges.take(nowMicros)
    ) {
      this.counters.challengeAcksSuppressed++;
      return;
    }
    connection.lastChallengeMillis = Math.floor(nowMicros / 1000);
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

  /** What is left of a connection in TIME-WAIT takes its place. */
  enteredTimeWait(connection: TcpConnection, nowMicros: number): TimeWait {
    const { localAddress, localPort, remoteAddress, remotePort } = connection;
    const entry = new TimeWait(connection);
    flowKey(this.#key, localAddress, localPort, remoteAddress, remotePort);
    this.#flows.remove(this.#key);
    this.#flows.add(this.#key, entry);
    this.#timeWait.add(entry, nowMicros);
    if (this.#timeWait.size > this.config.timeWaitLimit) {
      this.counters.timeWaitEvicted++;
      this.endTimeWait(this.#timeWait.oldest!);
    }
    return entry;
  }

  restartTimeWait(entry: TimeWait, nowMicros: number): void {
    this.#timeWait.restart(entry, nowMicros);
  }

  endTimeWait(entry: TimeWait): void {
    if (entry.isOver) return;
    this.#timeWait.remove(entry);
    this.#free(entry.route, entry.localPort, entry.remotePort);
  }

  /** A connection ends: its place in the tables is free. */
  forget(connection: TcpConnection, errno: number): void {
    const { route, localPort, remotePort, state, timeWait } = connection;
    if (timeWait !== null) {
      this.endTimeWait(timeWait);
      return;
    }
    this.#free(route, localPort, remotePort);
    if (connection.fastOpen !== null) connection.handshake.endFast(0);
    if (errno === 0) return;
    if (isSynchronized(state)) this.counters.establishedResets++;
    else this.counters.attemptFails++;
  }

  unlisten(listener: TcpListener): void {
    this.#listeners.remove(listener);
  }

  notifyAcceptable(listener: TcpListener): void {
    this.#listeners.notify(listener);
  }

  /** The way to the sender of a segment. */
  routeBack(segment: Segment): Route | null {
    return this.#ip.route(segment.remoteAddress(), segment.localAddress());
  }

  make(route: Route, localPort: number, remotePort: number, pool: PagePool, options: SocketOptions): TcpConnection {
    flowKey(this.#key, route.source, localPort, route.destination, remotePort);
    const offset = this.timestampOffset(this.#key);
    const connection = new TcpConnection(this, route, localPort, remotePort, pool, offset, options);
    this.#flows.add(this.#key, connection);
    this.#ports.taken(route.source, localPort, route.destination, remotePort);
    return connection;
  }

  /** RFC 7323 §5.4: where the timestamps of a connection begin, the same for each connection between two ends. */
  timestampOffset(key: Int32Array): number {
    this.#hashWords.set(key);
    this.#hashWords[FLOW_KEY_WORDS] = 1;
    return this.#hash.hash(this.#hashWords, FLOW_KEY_WORDS + 1);
  }

  initialSequence(connection: TcpConnection, nowMicros: number): number {
    const { localAddress, localPort, remoteAddress, remotePort } = connection;
    flowKey(this.#key, localAddress, localPort, remoteAddress, remotePort);
    return initialSequence(this.#hash.hash(this.#key, FLOW_KEY_WORDS), nowMicros);
  }

  /** §3.10.7.1, CLOSED. */
  refuse(segment: Segment, nowMicros: number): void {
    this.counters.dropNoConnection++;
    if (segment.isReset) return;
    const route = this.routeBack(segment);
    if (route !== null) this.resetFor(route, segment, nowMicros);
  }

  #free(route: Route, localPort: number, remotePort: number): void {
    flowKey(this.#key, route.source, localPort, route.destination, remotePort);
    this.#flows.remove(this.#key);
    this.#ports.released(route.source, localPort, route.destination, remotePort);
  }

  *#connections(): Generator<TcpConnection> {
    for (const flow of this.#flows.values()) if (flow instanceof TcpConnection) yield flow;
  }

  #choosePort(route: Route, wanted: number, remotePort: number): number {
    if (wanted !== 0) return this.#isPortFree(route, wanted, remotePort) ? wanted : 0;
    return this.#ports.choose(
      route.source,
      route.destination,
      remotePort,
      (port) => !this.#listeners.hasPort(port) && this.#isPortFree(route, port, remotePort),
    );
  }

  #chooseListenPort(): number {
    const port = this.#ports.chooseAny((candidate) => !this.#listeners.hasPort(candidate));
    if (port !== 0) return port;
    throw new DevmemError('EADDRINUSE', 'listen: every ephemeral port has a listener already', {
      hint: 'close some, or name a port',
      syscall: 'listen',
    });
  }

  #isPortFree(route: Route, port: number, remotePort: number): boolean {
    flowKey(this.#key, route.source, port, route.destination, remotePort);
    return this.#flows.find(this.#key) === null;
  }
}

function checkPort(port: number, minimum: number): void {
  if (!Number.isInteger(port) || port < minimum || port > MAX_PORT) {
    throw invalidArgument(`port ${port} is not between ${minimum} and ${MAX_PORT}`);
  }
}
