import { lookup } from 'node:dns/promises';
import { channels } from '../core/channels.ts';
import type { Clock } from '../core/clock.ts';
import { ERRNO } from '../core/errno.ts';
import { DevmemError, errnoError, invalidArgument } from '../core/errors.ts';
import { BindingTable } from '../memory/binding.ts';
import type { DeviceMemory } from '../memory/device-memory.ts';
import type { PagePool } from '../memory/page-pool.ts';
import type { Nic } from '../nic/nic.ts';
import type { SteeringRule } from '../nic/steering.ts';
import type { Stack } from '../stack/stack.ts';
import type { TcpConnection } from '../stack/tcp/connection.ts';
import { FAST_OPEN_SERVER } from '../stack/tcp/fast-open.ts';
import type { SocketOptions } from '../stack/tcp/options.ts';
import { IpAddress } from '../wire/address.ts';
import { unwatchAbort, watchAbort } from './abort-watch.ts';
import { UserRxBinding, UserTxBinding } from './bindings.ts';
import type { DevmemSocket } from './devmem-socket.ts';
import { Engine } from './engine.ts';
import type {
  BindRxOptions,
  ConnectOptions,
  ConservationReport,
  Host,
  HostStats,
  ListenOptions,
  RxBinding,
  SteeringHandle,
  SteerRule,
  TxBinding,
} from './host-api.ts';
import { checkConservation, memoryStats, sendMemoryStats, socketStats, type Inventory } from './host-stats.ts';
import { UserListener, type Listener, type ListeningHost } from './listener.ts';
import { linkDown } from './link-down.ts';
import { SendMemory } from './send-buffer.ts';
import { snapshot } from './snapshot.ts';
import { makeOptions, type SocketOptionInputs } from './socket-options.ts';
import { compileRule } from './steer-rule.ts';
import { SteeringLease } from './steering-lease.ts';
import { transmitted } from './transmit-fence.ts';
import { UserSocket, type SocketHost } from './user-socket.ts';

const DEFAULT_BACKLOG = 128;
/** How long `close` waits for peers to acknowledge. */
const CLOSE_TIMEOUT_MS = 1000;
const CLOSE_LOOKS = 10;
/** Ids of memories to send from: far from those of receive bindings, which count from 1. */
const FIRST_TX_ID = 0x4000_0000;

export interface UserHostOptions {
  nic: Nic;
  stack: Stack;
  clock: Clock;
}

/** The user engine: our own stack over our own NIC. */
export class UserHost implements Host, SocketHost, ListeningHost {
  readonly nic: Nic;
  readonly stack: Stack;
  readonly engine: Engine;
  readonly hostPool: PagePool;
  readonly sendMemory: SendMemory = new SendMemory();

  readonly #bindings: BindingTable;
  readonly #sockets = new Set<UserSocket>();
  /** With what is to be called off when one ends. */
  readonly #listeners = new Map<UserListener, () => void>();
  readonly #txMemories = new Map<number, DeviceMemory>();
  #lastTxId = FIRST_TX_ID;
  #refs = 0;
  #closing: Promise<void> | null = null;

  constructor(options: UserHostOptions) {
    this.nic = options.nic;
    this.stack = options.stack;
    this.hostPool = options.nic.hostPool;
    this.engine = new Engine(options.stack, options.nic.link, options.clock);
    this.#bindings = new BindingTable(options.nic);
    this.engine.onLinkDown = () => this.#linkLost();
    this.engine.kick();
  }

  // ---- memory ----

  bindRx(memory: DeviceMemory, options: BindRxOptions): Promise<RxBinding> {
    return this.#attempt(() => {
      const { chunkBytes } = options;
      const binding = this.#bindings.bind({
        memory,
        queueIds: options.queues,
        ...(chunkBytes === undefined ? {} : { chunkBytes }),
      });
      this.engine.kick();
      return new UserRxBinding(binding, () => this.#unbound(binding.pool));
    });
  }

  bindTx(memory: DeviceMemory): Promise<TxBinding> {
    return this.#attempt(() => {
      const dmabufId = ++this.#lastTxId;
      const binding = new UserTxBinding(dmabufId, memory, () => this.#txMemories.delete(dmabufId));
      this.#txMemories.set(dmabufId, memory);
      return binding;
    });
  }

  // ---- flows ----

  steer(rule: SteerRule): SteeringHandle {
    this.#live();
    const id = this.nic.steer(compileRule(rule));
    const remove = (): void => void this.nic.steering.remove(id);
    return { id, remove, [Symbol.dispose]: remove };
  }

  listen(options: ListenOptions): Promise<Listener> {
    return this.#attempt(() => {
      options.signal?.throwIfAborted();
      this.#linkUp('listen');
      const { into } = options;
      const address = options.address === undefined ? null : this.#ownAddress(options.address);
      const pool = this.#poolOf(into);
      const listener = this.stack.tcp.listen({
        address,
        port: checkPort(options.port, 0),
        backlog: options.backlog ?? DEFAULT_BACKLOG,
        pool,
        ...this.#optionsOf(this.#listenInputs(options), 'listen'),
      });
      const { port } = listener;
      try {
        const rule: SteeringRule = { protocol: 'tcp', destinationPort: port, queues: into?.queueIds ?? [] };
        if (address !== null) rule.destination = address;
        const lease = into === undefined ? null : this.#lease(rule);
        const userListener = new UserListener(this, listener, lease);
        this.#listeners.set(userListener, closeOnAbort(userListener, options.signal));
        return userListener;
      } catch (error) {
        listener.close(this.nowMicros());
        throw error;
      }
    });
  }

  async connect(options: ConnectOptions): Promise<DevmemSocket> {
    this.#live();
    options.signal?.throwIfAborted();
    const { into } = options;
    const remotePort = checkPort(options.port, 1);
    const remote = await resolveHost(options.host);
    this.#live();
    this.#linkUp('connect');
    options.signal?.throwIfAborted();
    const pool = this.#poolOf(into);
    const connection = this.stack.tcp.connect(
      {
        remote,
        remotePort,
        local: options.localAddress === undefined ? null : this.#ownAddress(options.localAddress),
        localPort: options.localPort ?? 0,
        pool,
        ...this.#optionsOf(connectInputs(options), 'connect'),
      },
      this.nowMicros(),
    );
    const lease = into === undefined ? null : this.#connectLease(connection, into);
    const socket = this.adopt(connection, lease);
    this.engine.kick();
    try {
      await socket.connected(options.signal);
    } catch (error) {
      socket.abort();
      throw error;
    }
    return socket;
  }

  adopt(connection: TcpConnection, lease: SteeringLease | null): UserSocket {
    const socket = new UserSocket({ host: this, connection, lease });
    this.#sockets.add(socket);
    if (channels.socketConnected.hasSubscribers) channels.socketConnected.publish({ socket });
    return socket;
  }

  // ---- looking in ----

  stats(): HostStats {
    const { nic, stack } = this;
    const idOf = (pool: PagePool): number => (pool === this.hostPool ? 0 : this.dmabufIdOf(pool));
    return {
      engine: 'user',
      link: { name: nic.link.name, mtuBytes: nic.link.mtuBytes },
      addresses: stack.addresses.list.map((entry) => entry.address.toString()),
      nic: snapshot(nic.counters),
      queues: nic.rxQueues.map((queue) => ({
        id: queue.id,
        dmabufId: idOf(queue.pool),
        pagesInRing: queue.pagesInRing,
        ...snapshot(queue.counters),
      })),
      stack: snapshot(stack.counters),
      tcp: snapshot(stack.tcp.counters),
      memory: memoryStats(this.#inventory()),
      sendMemory: sendMemoryStats(this.sendMemory),
      sockets: [...this.#sockets].map((socket) => socketStats(socket, idOf(socket.pool))),
      listeners: [...this.#listeners.keys()].map((listener) => listener.port),
    };
  }

  checkConservation(): ConservationReport {
    return checkConservation(this.#inventory(), this.sendMemory);
  }

  ref(): void {
    this.#refs++;
    this.engine.hold();
  }

  unref(): void {
    if (this.#refs === 0) return;
    this.#refs--;
    this.engine.drop();
  }

  // ---- the end ----

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.engine.hold();
    for (const listener of this.#listeners.keys()) listener.close();
    const sockets = [...this.#sockets];
    await Promise.all(sockets.map((socket) => socket.close({ timeoutMs: CLOSE_TIMEOUT_MS })));
    for (const socket of sockets) socket.leave();
    this.engine.kick();
    await transmitted(this.nic);
    // Sockets wait for the same, each for itself.
    for (let i = 0; i < CLOSE_LOOKS && sockets.some((socket) => !socket.isSendIdle); i++) await transmitted(this.nic);
    this.#bindings.close();
    this.#txMemories.clear();
    this.engine.drop();
    this.engine.stop();
    this.nic.link.close();
  }

  // ---- for sockets and listeners ----

  nowMicros(): number {
    return this.engine.nowMicros();
  }

  kick(): void {
    this.engine.kick();
  }

  whenTransmitted(callback: () => void): void {
    void this.#afterTransmission(callback);
  }

  dmabufIdOf(pool: PagePool): number {
    for (const binding of this.#bindings) if (binding.pool === pool) return binding.dmabufId;
    return 0;
  }

  findTx(dmabufId: number): DeviceMemory | undefined {
    return this.#txMemories.get(dmabufId);
  }

  forget(socket: UserSocket): void {
    this.#sockets.delete(socket);
  }

  forgetListener(listener: UserListener): void {
    this.#listeners.get(listener)?.();
    this.#listeners.delete(listener);
  }

  async #afterTransmission(callback: () => void): Promise<void> {
    await transmitted(this.nic);
    if (!this.engine.stopped) this.stack.handle(this.nowMicros());
    callback();
    this.engine.kick();
  }

  #inventory(): Inventory {
    // A connection that is over is its socket's alone, which may still have something to read.
    const connections = new Set<TcpConnection>(this.stack.tcp.connections);
    for (const socket of this.#sockets) connections.add(socket.connection);
    return {
      nic: this.nic,
      bindings: this.#bindings,
      sockets: this.#sockets,
      connections,
    };
  }

  /** Runs what an engine in another process would take time for: its errors are rejections. */
  // oxlint-disable-next-line require-await -- the interface is asynchronous
  async #attempt<T>(work: () => T): Promise<T> {
    this.#live();
    return work();
  }

  #live(): void {
    if (this.#closing === null) return;
    throw new DevmemError('ERR_DEVMEM_DISPOSED', 'the host is closed', { hint: 'open another one' });
  }

  #linkUp(syscall: string): void {
    const { link } = this.nic;
    if (link.isDown) throw linkDown(link.name, syscall);
  }

  /** Nothing of what anybody waits for will come: everybody is told. What has arrived can still be read. */
  #linkLost(): void {
    this.stack.tcp.failAll(ERRNO.ENETDOWN);
    for (const listener of [...this.#listeners.keys()]) listener.fail(linkDown(this.nic.link.name, 'accept'));
    this.engine.kick();
  }

  /** As in Linux, connections of a binding that was closed go on in host memory: so do their windows. */
  #unbound(pool: PagePool): void {
    this.stack.tcp.movePool(pool, this.hostPool);
    this.engine.kick();
  }

  #poolOf(into: RxBinding | undefined): PagePool {
    if (into === undefined) return this.hostPool;
    const binding = this.#bindings.find(into.dmabufId);
    if (binding === undefined || binding.closed || binding.memory !== into.memory) {
      throw invalidArgument(`binding ${into.dmabufId} is not one of this host's`, 'pass what bindRx of this host gave');
    }
    return binding.pool;
  }

  /** @throws DevmemError as `setOption`. */
  #optionsOf(inputs: SocketOptionInputs | undefined, where: string): { options?: SocketOptions } {
    return inputs === undefined ? {} : { options: makeOptions(inputs, this.stack.tcp.config, where) };
  }

  #listenInputs({ options, fastOpen }: ListenOptions): SocketOptionInputs | undefined {
    if (fastOpen === undefined || (fastOpen === 0 && options === undefined)) return options;
    if (fastOpen !== 0 && (this.stack.tcp.config.fastOpen & FAST_OPEN_SERVER) === 0) {
      throw errnoError(ERRNO.EOPNOTSUPP, 'listen: Fast Open is switched off', {
        hint: 'open the host with tcp: { fastOpen: 3 }, or leave fastOpen out',
      });
    }
    return { ...options, TCP_FASTOPEN: fastOpen };
  }

  #ownAddress(text: string): IpAddress {
    const address = IpAddress.parse(text);
    if (address === null) throw invalidArgument(`${text} is not an IP address`);
    if (this.stack.addresses.find(address) !== null) return address;
    const own = this.stack.addresses.list.map((entry) => entry.address.toString()).join(', ');
    throw errnoError(ERRNO.EADDRNOTAVAIL, `${text} is not an address of this host`, { hint: `it has ${own}` });
  }

  #lease(rule: SteeringRule): SteeringLease {
    return new SteeringLease(this.nic.steering, [this.nic.steer(rule)]);
  }

  /** In place before the SYN has left: nothing of the connection arrives on another queue. */
  #connectLease(connection: TcpConnection, into: RxBinding): SteeringLease {
    try {
      return this.#lease({
        protocol: 'tcp',
        source: connection.remoteAddress,
        sourcePort: connection.remotePort,
        destination: connection.localAddress,
        destinationPort: connection.localPort,
        queues: into.queueIds,
      });
    } catch (error) {
      connection.abort(this.nowMicros());
      throw error;
    }
  }
}

function connectInputs({ options, fastOpen }: ConnectOptions): SocketOptionInputs | undefined {
  return fastOpen === undefined ? options : { ...options, TCP_FASTOPEN_CONNECT: fastOpen };
}

/** @returns what takes the signal's hands off the listener. */
function closeOnAbort(listener: UserListener, signal: AbortSignal | undefined): () => void {
  if (signal === undefined) return () => {};
  const close = (): void => listener.close();
  watchAbort(signal, close);
  return () => unwatchAbort(signal, close);
}

function checkPort(port: number, least: number): number {
  if (Number.isInteger(port) && port >= least && port <= 0xffff) return port;
  throw invalidArgument(`${port} is not a TCP port`, `give an integer from ${least} to 65535`);
}

async function resolveHost(host: string): Promise<IpAddress> {
  const literal = IpAddress.parse(host);
  if (literal !== null) return literal;
  const { address } = await lookup(host);
  return IpAddress.parse(address)!;
}
