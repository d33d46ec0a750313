import { DevmemError } from '../../src/core/errors.ts';
import { KiB } from '../../src/core/units.ts';
import type { PagePool } from '../../src/memory/page-pool.ts';
import type { TcpConfig } from '../../src/stack/tcp/config.ts';
import type { TcpConnection } from '../../src/stack/tcp/connection.ts';
import type { TcpListener } from '../../src/stack/tcp/listener.ts';
import { sequenceDifference } from '../../src/wire/sequence.ts';
import { TCP_SYN } from '../../src/wire/tcp.ts';
import { tcpFrame } from '../frames.ts';
import type { SimFrame } from './frame.ts';
import { PAGE_BYTES, SERVER_PORT, type SimHost } from './host.ts';
import {
  checkNoPageDrops,
  checkPages,
  checkQuiet,
  InvariantError,
  LayerInvariants,
  TransitionWatch,
  unreadReferences,
} from './invariants.ts';
import { PATTERN, PatternStream } from './stream.ts';
import { World, type Cable } from './world.ts';

const SECOND = 1_000_000;
const PORTS: readonly number[] = [SERVER_PORT, SERVER_PORT + 1];
const MAX_ENDPOINTS = 12;
const MAX_PAYLOAD_BYTES = 1400;
/** Frames remembered for being sent again. */
const REPLAYS = 16;
const SETTLE_MICROS: number = 300 * SECOND;
/** Of device memory, where the caller names none. */
const USUAL_PAGES = 128;

/** Options that the operations set, with values that they take and values that they do not. */
const OPTIONS: readonly (readonly [name: string, values: readonly unknown[]])[] = [
  ['TCP_NODELAY', [0, 1]],
  ['TCP_CORK', [0, 1]],
  ['SO_KEEPALIVE', [0, 1]],
  ['TCP_KEEPIDLE', [1, 60, 0]],
  ['TCP_KEEPINTVL', [1, 75, -1]],
  ['TCP_KEEPCNT', [1, 9]],
  ['TCP_USER_TIMEOUT', [0, 1000, 60_000]],
  ['TCP_LINGER2', [-1, 1, 60]],
  ['TCP_WINDOW_CLAMP', [2000, 30_000]],
  ['TCP_QUICKACK', [0, 1]],
  ['TCP_CONGESTION', ['reno', 'cubic', 'bbr', 'bbr3', 'vegas']],
  ['SO_MAX_PACING_RATE', [20_000, 1_000_000, 0xffff_ffff]],
  ['TCP_NOTSENT_LOWAT', [1, 16_384]],
  ['TCP_MAXSEG', [0, 88, 536, 5]],
  [
    'SO_LINGER',
    [
      { enabled: true, seconds: 0 },
      { enabled: false, seconds: 0 },
      { enabled: true, seconds: 1 },
    ],
  ],
  ['SO_RCVBUF', [4096, 100_000]],
  ['SO_SNDBUF', [4096, 100_000]],
  ['SO_RCVLOWAT', [1, 5000]],
];

interface Held {
  pool: PagePool;
  iov: number;
}

/** One end of a connection as its application sees it. */
interface Endpoint {
  connection: TcpConnection;
  host: SimHost;
  /** What it says and what it must hear; null: nobody knows what it will hear. */
  out: PatternStream;
  into: PatternStream | null;
  sent: number;
  received: number;
  peer: Endpoint | null;
  /** The application has closed it: nothing more is promised to anybody. */
  isOver: boolean;
}

export interface OperationsOptions {
  seed: number;
  /** Of device memory on either host. */
  pages?: number;
  configs?: readonly [Partial<TcpConfig>, Partial<TcpConfig>];
}

/**
 * Two hosts on a cable, what applications may do there in whatever order, and what a stranger may send: one who sees
 * sequence numbers, and one who guesses. After each operation everything that must hold is checked.
 */
export class Operations {
  readonly world: World;
  readonly #hosts: readonly [SimHost, SimHost];
  readonly #cable: Cable;
  readonly #invariants: readonly LayerInvariants[];
  readonly #transitions = new TransitionWatch();
  readonly #listeners = new Map<string, TcpListener>();
  readonly #endpoints: Endpoint[] = [];
  /** Those that are over: their connections may still be there. */
  readonly #gone: Endpoint[] = [];
  readonly #held: (Held & { host: SimHost })[] = [];
  readonly #replays: { bytes: Uint8Array; host: SimHost }[] = [];
  #serial = 0;
  /** Somebody who sees sequence numbers has spoken: connections may break, and nobody is to blame. */
  #isTainted = false;

  constructor(options: OperationsOptions) {
    this.world = new World({ seed: options.seed });
    const configs = options.configs ?? [{}, {}];
    const host = (index: 0 | 1): SimHost =>
      this.world.addHost(`host${index}`, {
        addresses: [`10.9.0.${index + 1}/24`],
        hostPoolBytes: 256 * KiB,
        devicePages: options.pages ?? USUAL_PAGES,
        tcp: { receiveBufferBytes: 64 * KiB, sendBufferBytes: 64 * KiB, retries: 6, ...configs[index] },
      });
    this.#hosts = [host(0), host(1)];
    this.#cable = this.world.connect(...this.#hosts, { delayMicros: 1000, bitsPerSecond: 100_000_000 });
    for (const each of this.#hosts) each.boot();
    this.#invariants = this.#hosts.map(({ stack, pool, nic }) => new LayerInvariants(stack.tcp, [pool, nic.hostPool]));
    this.world.onHostRun = (each) => this.#look(each);
    this.world.onTrace = (frame) => this.#remember(frame);
  }

  get endpointCount(): number {
    return this.#endpoints.length;
  }

  listen(side: number, which: number): void {
    const host = this.#host(side);
    const port = PORTS[which % PORTS.length]!;
    const key = `${host.name} ${port}`;
    const listener = this.#listeners.get(key);
    if (listener === undefined) {
      const { stack, pool } = host;
      this.#listeners.set(key, stack.tcp.listen({ address: null, port, backlog: 1 + (which % 4), pool }));
    } else if (which >= 128) {
      listener.close(host.nowMicros());
      this.#listeners.delete(key);
    }
    host.touch();
  }

  connect(side: number, which: number): void {
    if (this.#endpoints.length >= MAX_ENDPOINTS) return;
    const host = this.#host(side);
    const peer = this.#host(side + 1);
    try {
      const connection = host.stack.tcp.connect(
        { remote: peer.address(4), remotePort: PORTS[which % PORTS.length]!, pool: host.pool },
        host.nowMicros(),
      );
      const id = 2 * ++this.#serial;
      this.#add({ connection, host, out: new PatternStream(id), into: new PatternStream(id + 1) });
    } catch (error) {
      // No route any more, or no port: the caller is told so.
      if (!(error instanceof DevmemError)) throw error;
    }
    host.touch();
  }

  accept(side: number): void {
    const host = this.#host(side);
    for (const [key, listener] of this.#listeners) {
      if (!key.startsWith(host.name)) continue;
      for (let next = listener.accept(); next !== null; next = listener.accept()) this.#accepted(host, next);
    }
    host.touch();
  }

  send(index: number, length: number): void {
    const end = this.#endpoint(index);
    if (end === null) return;
    const bytes = end.out.run(end.sent, length);
    if (bytes > 0) end.sent += end.connection.send(PATTERN, end.out.place(end.sent), bytes);
    end.host.touch();
  }

  /** Takes what has arrived, and keeps the pages or gives them back. */
  receive(index: number, keep: boolean): void {
    const end = this.#endpoint(index);
    if (end !== null) this.#receive(end, keep);
  }

  /** Gives back some of what was kept, in an order of its own. */
  release(count: number): void {
    for (let i = 0; i < count && this.#held.length > 0; i++) {
      const [held] = this.#held.splice((i * 7) % this.#held.length, 1);
      held!.pool.release(held!.iov);
      held!.host.touch();
    }
  }

  /** @param how 0 ends sending, 1 closes, 2 resets. */
  end(index: number, how: number): void {
    const end = this.#endpoint(index);
    if (end === null) return;
    const { connection, host } = end;
    const nowMicros = host.nowMicros();
    if (how === 0) {
      connection.shutdown(nowMicros);
    } else {
      if (how === 1) connection.close(nowMicros);
      else connection.abort(nowMicros);
      this.#leave(end);
    }
    host.touch();
  }

  setOption(index: number, which: number, value: number): void {
    const end = this.#endpoint(index);
    if (end === null) return;
    const [name, values] = OPTIONS[which % OPTIONS.length]!;
    const verdict = end.connection.setOption(name, values[value % values.length], end.host.nowMicros());
    if (!Number.isInteger(verdict) || verdict > 0) throw new InvariantError(`setOption ${name} answers ${verdict}`);
    end.host.touch();
  }

  tick(micros: number): void {
    this.world.runFor(micros);
  }

  jumpClock(side: number, micros: number): void {
    this.#host(side).jumpClock(micros);
  }

  /** @param what 0 heals; else bits: loss, duplicates, corruption, reordering, cut. */
  setFaults(what: number): void {
    const faults = {
      delayMicros: 1000,
      bitsPerSecond: 100_000_000,
      ...((what & 1) !== 0 ? { loss: { rate: 0.2 } } : {}),
      ...((what & 2) !== 0 ? { duplicateRate: 0.3 } : {}),
      ...((what & 4) !== 0 ? { corruptRate: 0.1 } : {}),
      ...((what & 8) !== 0 ? { reorderRate: 0.3, reorderMicros: 3000 } : {}),
      ...((what & 32) !== 0 ? { queueBytes: 8000 } : {}),
    };
    for (const channel of [this.#cable.forward, this.#cable.backward]) channel.configure(faults);
    this.#cable.plug((what & 16) === 0);
  }

  /** A segment by somebody who sees what goes over the wire: numbers are distances from what the receiver expects. */
  forge(
    index: number,
    flags: number,
    sequence: number,
    ack: number,
    window: number,
    length: number,
    options: Uint8Array,
  ): void {
    const end = this.#endpoint(index);
    if (end === null || end.connection.state === 'SYN-SENT') return;
    this.#isTainted = true;
    const { receiver, sender } = end.connection;
    this.#inject(end, flags, (receiver.rcvNxt + sequence) | 0, (sender.sndNxt + ack) | 0, window, length, options);
  }

  /** A segment by somebody who knows addresses and ports, and guesses the rest. */
  guess(index: number, flags: number, sequence: number, ack: number, length: number): void {
    const end = this.#endpoint(index);
    if (end === null || !isFar(end.connection, sequence)) return;
    this.#inject(end, flags, sequence, ack, 0xffff, length, new Uint8Array(0));
  }

  /** A SYN from an address that nobody has. */
  flood(side: number, which: number, sequence: number): void {
    const host = this.#host(side);
    const bytes = tcpFrame({
      source: `10.9.0.${100 + (which % 100)}`,
      destination: host.address(4).toString(),
      destinationMac: host.macAddress,
      sourcePort: 1024 + which,
      destinationPort: PORTS[which % PORTS.length]!,
      sequence,
      flags: TCP_SYN,
    });
    this.world.inject(host, bytes);
  }

  /** One of the last frames comes once more. */
  replay(index: number): void {
    const old = this.#replays[index % Math.max(1, this.#replays.length)];
    if (old !== undefined) this.world.inject(old.host, old.bytes);
  }

  /** What must hold now, everything recounted. */
  check(): void {
    this.#transitions.check();
    for (const [i, host] of this.#hosts.entries()) {
      this.#invariants[i]!.check(host.nowMicros(), true);
      checkPages(host.nic, host.pool, host.stack.tcp, this.#heldReferences(host));
    }
  }

  /** Heals everything, lets all that was said arrive, ends everything, and looks whether anything is left. */
  finish(): void {
    try {
      this.setFaults(0);
      this.release(this.#held.length);
      for (const side of [0, 1]) this.accept(side);
      if (!this.#isTainted) this.#deliverAll();
      for (const end of [...this.#endpoints]) {
        end.connection.abort(end.host.nowMicros());
        this.#leave(end);
      }
      for (const end of this.#gone) end.connection.abort(end.host.nowMicros());
      for (const listener of this.#listeners.values()) listener.close(0);
      for (const host of this.#hosts) host.touch();
      this.world.runFor(SETTLE_MICROS);
      this.check();
      for (const { nic, stack, pool } of this.#hosts) checkQuiet(nic, stack.tcp, [pool, nic.hostPool]);
    } finally {
      this.#transitions.close();
    }
  }

  /** On a healthy link, and with readers that read, all that was accepted arrives. */
  #deliverAll(): void {
    const isDelivered = (): boolean => {
      for (const end of this.#endpoints) this.#receive(end, false);
      return this.#endpoints.every((end) => isSettled(end));
    };
    // Round by round, for reading moves windows.
    for (let round = 0; round < 3000; round++) {
      if (isDelivered()) return;
      this.world.runFor(SECOND / 2);
    }
    const late = this.#endpoints.filter((end) => !isSettled(end)).map(describe);
    throw new InvariantError(`what was sent does not arrive:\n${late.join('\n')}`);
  }

  #host(side: number): SimHost {
    return this.#hosts[side & 1]!;
  }

  #endpoint(index: number): Endpoint | null {
    return this.#endpoints.length === 0 ? null : this.#endpoints[index % this.#endpoints.length]!;
  }

  #add(fields: Pick<Endpoint, 'connection' | 'host' | 'out' | 'into'>): Endpoint {
    const end: Endpoint = { ...fields, sent: 0, received: 0, peer: null, isOver: false };
    this.#endpoints.push(end);
    return end;
  }

  #accepted(host: SimHost, connection: TcpConnection): void {
    const { remotePort, receiver } = connection;
    const all = [...this.#endpoints, ...this.#gone];
    const client = all.find(
      (end) =>
        end.host !== host && end.connection.localPort === remotePort && end.connection.sender.iss === receiver.irs,
    );
    if (client === undefined) {
      this.#add({ connection, host, out: new PatternStream(0), into: null });
      return;
    }
    // What a client hears is what its server says: the streams change places.
    const end = this.#add({ connection, host, out: client.into!, into: client.out });
    if (client.peer === null) {
      client.peer = end;
      end.peer = client;
    }
  }

  #leave(end: Endpoint): void {
    end.isOver = true;
    this.#endpoints.splice(this.#endpoints.indexOf(end), 1);
    this.#gone.push(end);
  }

  #receive(end: Endpoint, keep: boolean): void {
    const { connection, host, into } = end;
    const queue = connection.receiveQueue;
    let taken = 0;
    while (queue.count > 0) {
      const pool = queue.pool();
      const iov = queue.iov();
      const size = queue.size();
      const at = pool.offsetOf(iov) + queue.offset();
      if (queue.offset() + size > PAGE_BYTES) throw new InvariantError('a fragment leaves its page');
      if (into !== null && !into.matches(pool.region.mapping, at, size, end.received + taken)) {
        throw new InvariantError(`what arrived is not what was sent: ${describe(end)}`);
      }
      queue.shift();
      taken += size;
      if (keep) this.#held.push({ pool, iov, host });
      else pool.release(iov);
    }
    end.received += taken;
    if (taken > 0) connection.consumed(taken, host.nowMicros());
    host.touch();
  }

  #inject(
    end: Endpoint,
    flags: number,
    sequence: number,
    acknowledgment: number,
    window: number,
    length: number,
    options: Uint8Array,
  ): void {
    const { connection, host, into } = end;
    const payload = new Uint8Array(Math.min(length, MAX_PAYLOAD_BYTES));
    const offset = sequenceDifference(sequence, (connection.receiver.irs + 1) | 0) + ((flags & TCP_SYN) !== 0 ? 1 : 0);
    // What lies behind is the stream's own, or nobody could tell what may arrive; what was delivered is overwritten in vain.
    const isOld = sequenceDifference((sequence + payload.length) | 0, connection.receiver.rcvNxt) <= 0;
    for (let i = 0; i < payload.length; i++) {
      payload[i] = isOld || into === null || offset + i < 0 ? 0x5a : PATTERN.mapping[into.place(offset + i)]!;
    }
    const bytes = tcpFrame({
      source: connection.remoteAddress.toString(),
      destination: connection.localAddress.toString(),
      destinationMac: host.macAddress,
      sourcePort: connection.remotePort,
      destinationPort: connection.localPort,
      flags,
      sequence,
      acknowledgment,
      window,
      options,
      payload,
    });
    this.world.inject(host, bytes);
  }

  #remember(frame: SimFrame): void {
    const host = this.#hosts.find(({ port }) => port === frame.sink);
    if (host === undefined) return;
    if (this.#replays.length === REPLAYS) this.#replays.shift();
    this.#replays.push({ bytes: frame.finished(), host });
  }

  #look(host: SimHost): void {
    this.#transitions.check();
    this.#invariants[host.index]!.check(host.nowMicros(), false);
    checkNoPageDrops(host.nic);
  }

  /** References of applications, and of what lies unread where a connection has ended. */
  #heldReferences(host: SimHost): number {
    let references = 0;
    for (const held of this.#held) if (held.pool === host.pool) references++;
    const connections = this.#endpoints.map(({ connection }) => connection);
    for (const listener of this.#listeners.values()) {
      for (let i = 0; i < listener.acceptableCount; i++) connections.push(listener.acceptable(i)!);
    }
    references += unreadReferences(connections, host.pool);
    return references;
  }
}

/** Far from the window: a guess that hits is no guess (RFC 5961 §1.2 counts on how unlikely it is). */
function isFar(connection: TcpConnection, sequence: number): boolean {
  return Math.abs(sequenceDifference(sequence, connection.receiver.rcvNxt)) > 1 << 20;
}

/** Nothing is on its way to this end, or nobody promised that it arrives. */
function isSettled(end: Endpoint): boolean {
  const { peer, connection } = end;
  if (peer === null || peer.isOver || connection.errno !== 0 || peer.connection.errno !== 0) return true;
  return end.received === peer.sent;
}

function describe(end: Endpoint): string {
  const { connection, host, peer } = end;
  const { sender, receiver } = connection;
  return (
    `${host.name} ${connection.localPort} to ${connection.remotePort} ${connection.state}: received ${end.received} ` +
    `of ${peer?.sent ?? '?'}, sent ${end.sent}, una ${sender.unaOffset}, wnd ${sender.sndWnd}, cwnd ` +
    `${sender.congestion.cwndBytes}, pipe ${sender.pipeBytes}, promised ${receiver.window.promisedBytes}`
  );
}
