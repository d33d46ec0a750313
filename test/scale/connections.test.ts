/**
 * Very many connections between two stacks over a cable, in virtual time: that they all are served, in turn, in bounded
 * portions, and that nothing of them is left behind.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NEVER } from '../../src/core/clock.ts';
import { KiB, MiB } from '../../src/core/units.ts';
import type { TcpConfig } from '../../src/stack/tcp/config.ts';
import type { TcpConnection } from '../../src/stack/tcp/connection.ts';
import type { TcpListener } from '../../src/stack/tcp/listener.ts';
import { EVENT_READABLE, EVENT_WRITABLE } from '../../src/stack/tcp/state.ts';
import { IpAddress } from '../../src/wire/address.ts';
import { SimNet, type SimHost } from '../../testing/sim-net.ts';
import { pattern, readAll } from '../../testing/tcp-pair.ts';

const SECOND = 1_000_000;
const MINUTE: number = 60 * SECOND;
const HOUR: number = 60 * MINUTE;
const REMOTE = IpAddress.parse('10.9.0.2')!;
/** Two hosts have 28,232 ephemeral ports between them for each port that is listened on. */
const FIRST_PORT = 5000;
const PORTS = 8;
/** Connections begun at once: as many as the cable takes. */
const BATCH = 500;

interface Crowd {
  net: SimNet;
  clients: TcpConnection[];
  servers: TcpConnection[];
  listeners: TcpListener[];
}

function connectAll(count: number, hostPoolBytes: number, tcp: Partial<TcpConfig> = {}): Crowd {
  const net = new SimNet({
    cable: { frames: 2048 },
    hostPoolBytes,
    stack: { tcp: { connectionLimit: count + BATCH, ...tcp } },
  });
  const [left, right] = net.hosts;
  const listeners = Array.from({ length: PORTS }, (_, i) =>
    right.stack.tcp.listen({ address: null, port: FIRST_PORT + i, backlog: BATCH, pool: right.nic.hostPool }),
  );
  const clients: TcpConnection[] = [];
  const servers: TcpConnection[] = [];
  const accept = (): boolean => {
    for (const listener of listeners) {
      for (let next = listener.accept(); next !== null; next = listener.accept()) servers.push(next);
    }
    return servers.length === clients.length;
  };
  while (clients.length < count) {
    for (let i = 0; i < BATCH && clients.length < count; i++) {
      const remotePort = FIRST_PORT + (clients.length % PORTS);
      clients.push(left.stack.tcp.connect({ remote: REMOTE, remotePort, pool: left.nic.hostPool }, net.nowMicros));
    }
    assert.ok(net.runUntil(accept, MINUTE), `${servers.length} of ${clients.length} were accepted`);
  }
  return { net, clients, servers, listeners };
}

function closeAll({ net, clients, servers, listeners }: Crowd): void {
  for (const listener of listeners) listener.close(net.nowMicros);
  for (const connection of [...clients, ...servers]) connection.close(net.nowMicros);
  net.runFor(3 * MINUTE);
  for (const { nic, stack } of net.hosts) assertNothingLeft(nic, stack.tcp);
}

function assertNothingLeft(nic: SimHost['nic'], tcp: SimHost['stack']['tcp']): void {
  assert.equal(tcp.connectionCount, 0);
  assert.equal(tcp.timeWaitCount, 0);
  assert.equal(tcp.timers.size, 0);
  assert.equal(tcp.pollAt(), NEVER);
  assert.equal(nic.hostPool.promisedBytes, 0);
  assert.equal(nic.hostPool.sharers, 0);
  assert.equal(nic.hostPool.referenceTotal, nic.ringReferences(nic.hostPool));
}

test('100,000 idle connections: all established, no work while idle, all usable, nothing left when they are closed', () => {
  const count = 100_000;
  const crowd = connectAll(count, 512 * MiB, { receiveBufferBytes: 2 * KiB });
  const { net, clients, servers } = crowd;
  for (const { stack } of net.hosts) {
    assert.equal(stack.tcp.connectionCount, count);
    assert.equal(stack.tcp.counters.retransmittedSegments, 0);
  }
  assert.ok(clients.every((connection) => connection.state === 'ESTABLISHED'));

  net.runFor(SECOND);
  let steps = 0;
  for (const end = net.nowMicros + 24 * HOUR; net.nowMicros < end && net.step(end); steps++);
  assert.ok(steps < 20, `${steps} steps in a day without traffic`);
  assert.equal(net.hosts[0].stack.tcp.timers.size, 0);

  const data = pattern(1000);
  for (let i = 0; i < count; i += 997) assert.equal(clients[i]!.send(data, 0, 500), 500);
  net.runFor(10 * SECOND);
  let received = 0;
  for (const server of servers) received += readAll(server, net.nowMicros).length;
  assert.equal(received, 500 * Math.ceil(count / 997));
  closeAll(crowd);
});

/** Bytes of one turn, and of all turns. */
const CHUNK = 1500;
const TOTAL: number = 4 * CHUNK;

/** What one end has still to send and has got so far. */
class Party {
  readonly connection: TcpConnection;
  readonly net: SimNet;
  readonly outgoing: ReturnType<typeof pattern>;
  readonly seed: number;
  sent = 0;
  received = 0;

  constructor(net: SimNet, connection: TcpConnection, outgoing: ReturnType<typeof pattern>, seed: number) {
    this.net = net;
    this.connection = connection;
    this.outgoing = outgoing;
    this.seed = seed;
  }

  /** One chunk more than has come: so they take turns. */
  send(): void {
    const limit = Math.min(TOTAL, this.received + CHUNK);
    while (this.sent < limit) {
      // Each stream begins elsewhere in the same memory.
      const at = (this.seed + this.sent) % this.outgoing.sizeBytes;
      const taken = this.connection.send(this.outgoing, at, Math.min(limit - this.sent, this.outgoing.sizeBytes - at));
      assert.ok(taken > 0);
      this.sent += taken;
    }
  }

  receive(peer: Party): number {
    const bytes = readAll(this.connection, this.net.nowMicros);
    for (let i = 0; i < bytes.length; i += 97) {
      const at = (peer.seed + this.received + i) % peer.outgoing.sizeBytes;
      assert.equal(bytes[i], peer.outgoing.mapping[at]);
    }
    this.received += bytes.length;
    return bytes.length;
  }
}

test('10,000 active connections: both ways, in turn, in bounded portions', () => {
  const count = 10_000;
  const crowd = connectAll(count, 256 * MiB, { receiveBufferBytes: 8 * KiB });
  const { net, clients, servers } = crowd;
  const data = pattern(64 * 1024, 5);
  // Accepted in the order of the listeners, not of the calls: found by its port.
  const byPort = new Map(servers.map((server) => [`${server.localPort} ${server.remotePort}`, server]));
  const pairs = clients.map((client, i) => {
    const server = byPort.get(`${client.remotePort} ${client.localPort}`)!;
    return [new Party(net, client, data, i * 7), new Party(net, server, data, i * 13 + 1)] as const;
  });
  const ready: (readonly [Party, Party])[] = [];
  for (const [left, right] of pairs) {
    for (const [party, peer] of [
      [left, right],
      [right, left],
    ] as const) {
      party.connection.observer = {
        tcpEvent: (_connection, events) => {
          if ((events & (EVENT_READABLE | EVENT_WRITABLE)) !== 0) ready.push([party, peer]);
        },
      };
      party.send();
    }
  }
  const total = 2 * count * TOTAL;
  let received = 0;
  let mostFrames = 0;
  let leastAtHalf = -1;
  const marks = (): number => net.hosts[0].nic.txMark() + net.hosts[1].nic.txMark();
  const isDone = (): boolean => {
    for (const [party, peer] of ready.splice(0)) {
      received += party.receive(peer);
      party.send();
    }
    if (leastAtHalf < 0 && received >= total / 2) {
      leastAtHalf = Math.min(...pairs.flat().map((party) => party.received));
    }
    return received === total;
  };
  const deadline = net.nowMicros + 10 * MINUTE;
  while (!isDone()) {
    const before = marks();
    assert.ok(net.step(deadline) && net.nowMicros < deadline, `${received} of ${total} bytes arrived`);
    mostFrames = Math.max(mostFrames, marks() - before);
  }
  assert.ok(pairs.flat().every((party) => party.received === TOTAL));
  // One portion of each stack, and what the last connection of it sent.
  assert.ok(mostFrames < 2 * (256 + 64), `${mostFrames} frames in one turn`);
  assert.ok(leastAtHalf >= TOTAL / 4, `when half had arrived one connection had ${leastAtHalf} of ${TOTAL} bytes`);
  for (const { stack } of net.hosts) assert.equal(stack.tcp.counters.timeouts, 0);
  closeAll(crowd);
});
