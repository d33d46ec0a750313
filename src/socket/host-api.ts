import type { PagePoolStats } from '../memory/page-pool.ts';
import type { DeviceMemory } from '../memory/device-memory.ts';
import type { DevmemSocket, SignalOptions } from './devmem-socket.ts';
import type { Listener } from './listener.ts';
import type { SocketOptionInputs } from './socket-options.ts';

/** Device memory that receive queues land payload in. */
export interface RxBinding extends AsyncDisposable {
  /** What the fragments of this memory carry. */
  readonly dmabufId: number;
  readonly memory: DeviceMemory;
  readonly queueIds: readonly number[];
  readonly closed: boolean;
  /**
   * Gives the queues back to host memory: connections go on there, and what arrives for them from now on is ordinary
   * data (`message.linear`). Tokens that are out stay valid. Idempotent.
   */
  close(): void;
}

/** Device memory that `sendmsg` can name by its id. */
export interface TxBinding extends AsyncDisposable {
  readonly dmabufId: number;
  readonly memory: DeviceMemory;
  readonly closed: boolean;
  close(): void;
}

export interface BindRxOptions {
  /** RX queues whose payload is to land in the memory. */
  queues: readonly number[];
  /** Bytes of a page: a power of two from 4096 (default) to 65536. */
  chunkBytes?: number;
}

export interface ListenOptions extends SignalOptions {
  /** 0: any free port; see `Listener.port`. */
  port: number;
  /** One of the host's addresses; all of them by default. */
  address?: string;
  /** Where payload of accepted connections lands; host memory if left out. */
  into?: RxBinding;
  /** Connections that wait to be accepted, 128 by default. */
  backlog?: number;
  /**
   * TCP Fast Open (RFC 7413): how many connections at once may bring data with their SYN before their address is proved;
   * 0: none. As the option TCP_FASTOPEN. What such a SYN says may come twice: only for requests that can be repeated.
   */
  fastOpen?: number;
  /** Socket options of the listener, which the connections that it accepts inherit. */
  options?: SocketOptionInputs;
}

export interface ConnectOptions extends SignalOptions {
  /** An address, or a name that this machine can resolve. */
  host: string;
  port: number;
  /** Where payload lands; host memory if left out. */
  into?: RxBinding;
  localAddress?: string;
  localPort?: number;
  /**
   * TCP Fast Open (RFC 7413): once a cookie of that host is known, `connect` resolves at once, and the SYN takes along
   * the first of what is written then, which saves a round trip; it leaves with the first write or read. Without a cookie
   * it asks for one and resolves when connected. A failure shows at the write or read. As TCP_FASTOPEN_CONNECT.
   */
  fastOpen?: boolean;
  /** Socket options that hold from the SYN on. */
  options?: SocketOptionInputs;
}

/** A flow-steering (n-tuple) rule in text: what `ethtool -N` takes. */
export interface SteerRule {
  protocol?: 'tcp' | 'udp';
  /** An address, or a prefix such as `10.0.0.0/8`. */
  source?: string;
  destination?: string;
  sourcePort?: number;
  destinationPort?: number;
  /** The queues of a binding, or queue numbers; the flow's hash chooses among several. */
  into?: RxBinding;
  queues?: readonly number[];
}

/** A steering rule that was installed. */
export interface SteeringHandle extends Disposable {
  readonly id: number;
  remove(): void;
}

/** The pages of one memory and who refers to them. */
export interface MemoryStats {
  /** 0: the host's own pages, for payload of unbound queues. */
  dmabufId: number;
  exporter: string;
  sizeBytes: number;
  chunkBytes: number;
  queues: number[];
  closed: boolean;
  pagesBound: number;
  pagesFree: number;
  /** Landing rings hold one reference to each of these. */
  pagesInRings: number;
  /** References to pages, all together; a page may have several. */
  referencesTotal: number;
  /** Of these: payload that arrived and was not received yet, in order and out of order. */
  fragsQueued: number;
  /** Of these: tokens with the application. */
  tokensHeld: number;
  pagePool: PagePoolStats;
}

export interface SocketStats {
  local: string;
  remote: string;
  state: string;
  dmabufId: number;
  tokensHeld: number;
  queuedBytes: number;
  counters: Record<string, number>;
}

export interface HostStats {
  engine: string;
  link: { name: string; mtuBytes: number };
  addresses: string[];
  nic: Record<string, number>;
  queues: ({ id: number; dmabufId: number; pagesInRing: number } & Record<string, number>)[];
  stack: Record<string, number>;
  tcp: Record<string, number>;
  /** RX bindings, oldest first, then the host's own pages. */
  memory: MemoryStats[];
  sendMemory: { pagesBound: number; pagesFree: number; chunkBytes: number };
  sockets: SocketStats[];
  listeners: number[];
}

/** The rule of conservation, looked at: every reference to a page has exactly one holder that is known. */
export interface ConservationReport {
  ok: boolean;
  /** One sentence for each memory where the sums differ. */
  violations: string[];
}

/**
 * A host on a network whose TCP payload can land in device memory. Made by `openHost`; which engine runs behind it
 * (our own stack, or Linux's) makes no difference to what is written here.
 */
export interface Host extends AsyncDisposable {
  /** Lands payload of RX queues in a memory (NETDEV_CMD_BIND_RX). @throws DevmemError EINVAL, EEXIST, EBUSY, ENOSPC */
  bindRx(memory: DeviceMemory, options: BindRxOptions): Promise<RxBinding>;
  /** Gives a memory an id to send it by (NETDEV_CMD_BIND_TX). `sendFrom` needs none. */
  bindTx(memory: DeviceMemory): Promise<TxBinding>;
  /** Steers flows to queues. `listen` and `connect` do so themselves. */
  steer(rule: SteerRule): SteeringHandle;
  /** @throws DevmemError EADDRINUSE, EADDRNOTAVAIL, EOPNOTSUPP (Fast Open is switched off), ENETDOWN (the link is gone) */
  listen(options: ListenOptions): Promise<Listener>;
  /** @throws DevmemError ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL, EOPNOTSUPP, ENETDOWN */
  connect(options: ConnectOptions): Promise<DevmemSocket>;
  /** Plain JSON: what the dashboard and the tools show. */
  stats(): HostStats;
  checkConservation(): ConservationReport;
  /** Keeps the process alive though nothing is open, until `unref()`. */
  ref(): void;
  unref(): void;
  /** Closes everything: listeners, sockets (waiting briefly for the peers), bindings, link. Idempotent. */
  close(): Promise<void>;
}
