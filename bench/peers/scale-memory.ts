/**
 * What idle connections cost, in a process of their own: `scale-memory.js LEVEL END COUNT [classes]`. LEVEL is `tcp`
 * (TcpLayer) or `socket` (Host); END is `connect`, `accept` (against a peer that remembers nothing), `cable` (both ends
 * in this process, the cost of one) or `used` (the same, and each end has sent something; `tcp` only). Answers one line
 * of JSON.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { getHeapSnapshot } from 'node:v8';
import { SimulatedClock } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { openHost, type Host, type Listener } from '../../src/index.ts';
import { cablePair } from '../../src/link/cable.ts';
import type { Link } from '../../src/link/link.ts';
import { HostRegion } from '../../src/memory/region.ts';
import { Nic } from '../../src/nic/nic.ts';
import { Stack } from '../../src/stack/stack.ts';
import type { TcpConnection } from '../../src/stack/tcp/connection.ts';
import { IpAddress, parsePrefix } from '../../src/wire/address.ts';
import { ScriptedPeer } from './scripted-peer.ts';

/** Bytes in use, after a collection. */
interface Use {
  heapBytes: number;
  /** Buffers of typed arrays among them, and nothing of pages: those were allocated before. */
  externalBytes: number;
  residentBytes: number;
  /** Self size by constructor, if asked for. */
  classes: Map<string, { count: number; bytes: number }>;
}

const HERE = '10.9.0.1';
const THERE = '10.9.0.2';
const FIRST_PORT = 5000;
const PORTS = 8;
const BATCH = 256;
const USED_BYTES = 1000;
const POOL_BYTES = 64 << 20;
const MAC: Uint8Array = Uint8Array.of(2, 0, 0, 0, 0, 1);

const [level = 'tcp', end = 'connect', countText = '100000', wantsClasses] = process.argv.slice(2);
const count = Number(countText);
const isCable = end === 'cable' || end === 'used';
const tcp = { connectionLimit: 2 * count + 1000, resetsPerSecond: 1000 };

async function use(): Promise<Use> {
  for (let i = 0; i < 4; i++) {
    globalThis.gc!();
    await sleep(20);
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  const classes = wantsClasses === undefined ? new Map<string, never>() : await classSizes();
  return { heapBytes: heapUsed, externalBytes: external, residentBytes: rss, classes };
}

interface Snapshot {
  snapshot: { meta: { node_fields: string[]; node_types: [string[], ...unknown[]] } };
  nodes: number[];
  strings: string[];
}

/** What there is of each class, from a heap snapshot. */
async function classSizes(): Promise<Use['classes']> {
  const parts: Buffer[] = [];
  const stream = getHeapSnapshot();
  stream.on('data', (part: Buffer) => parts.push(part));
  await once(stream, 'end');
  const { snapshot, nodes, strings } = JSON.parse(Buffer.concat(parts).toString()) as Snapshot;
  const fields = snapshot.meta.node_fields;
  const [type, name, size] = ['type', 'name', 'self_size'].map((field) => fields.indexOf(field)) as [
    number,
    number,
    number,
  ];
  const types = snapshot.meta.node_types[0];
  const found: Use['classes'] = new Map();
  for (let at = 0; at < nodes.length; at += fields.length) {
    const kind = types[nodes[at + type]!]!;
    const isNamed =
      kind === 'object' || kind === 'native' || kind === 'array' || kind === 'hidden' || kind === 'closure';
    const key = isNamed ? `${kind} ${strings[nodes[at + name]!]}` : kind;
    const entry = found.get(key) ?? { count: 0, bytes: 0 };
    entry.count++;
    entry.bytes += nodes[at + size]!;
    found.set(key, entry);
  }
  return found;
}

function simulatedStack(link: Link, address: string, random: SeededRandom, macAddress: Uint8Array): Stack {
  const nic = new Nic({ link, macAddress, random, hostPoolBytes: POOL_BYTES });
  const stack = new Stack({ nic, random, duplicateDetection: 'off', tcp });
  stack.addAddress(parsePrefix(`${address}/24`)!, 1_000_000);
  return stack;
}

/** Runs the stacks until nothing is left to do for a second of virtual time, or `done`. */
function run(clock: SimulatedClock, stacks: readonly Stack[], done: () => boolean): void {
  const deadline = clock.nowMicros() + 5_000_000;
  while (!done()) {
    let work = 0;
    for (const stack of stacks) work += stack.handle(clock.nowMicros());
    if (work > 0) continue;
    const next = Math.min(...stacks.map((stack) => stack.pollAt()));
    if (next > deadline) break;
    clock.advanceTo(Math.max(next, clock.nowMicros() + 1));
  }
}

async function atLayer(): Promise<[Use, Use]> {
  const random = new SeededRandom(1);
  const clock = new SimulatedClock(1_000_000);
  const held: object[] = Array.from<object>({ length: 2 * count + 2 }).fill(MAC);
  let used = 0;
  const peer = new ScriptedPeer(THERE, HERE, MAC);
  const cable = cablePair({ frames: 4096 });
  const here = simulatedStack(isCable ? cable[0] : peer, HERE, random, MAC);
  const there = simulatedStack(cable[1], THERE, random, Uint8Array.of(2, 0, 0, 0, 0, 2));
  const stacks = isCable ? [here, there] : [here];
  const accepting = isCable ? there : here;
  const data = new HostRegion(USED_BYTES);
  const listeners = Array.from({ length: PORTS }, (_, i) =>
    accepting.tcp.listen({ address: null, port: FIRST_PORT + i, backlog: 4096, pool: accepting.nic.hostPool }),
  );
  const remote = IpAddress.parse(THERE)!;

  const open = (first: number, last: number): void => {
    const before = here.tcp.connectionCount;
    for (let i = first; i < last; i++) {
      const port = FIRST_PORT + (i % PORTS);
      if (end === 'accept') peer.dial(1024 + Math.floor(i / PORTS), port);
      else held[used++] = here.tcp.connect({ remote, remotePort: port, pool: here.nic.hostPool }, clock.nowMicros());
    }
    let accepted = 0;
    const wanted = end === 'connect' ? 0 : last - first;
    const isDone = (): boolean => {
      for (const listener of listeners) {
        for (let next = listener.accept(); next !== null; next = listener.accept()) {
          held[used++] = next;
          accepted++;
        }
      }
      return accepted === wanted && here.tcp.connectionCount === before + last - first;
    };
    run(clock, stacks, isDone);
    run(clock, stacks, () => peer.waiting === 0 && stacks.every((stack) => stack.nic.link.pollAt() > 0));
    if (!isDone()) throw new Error(`${accepted} of ${wanted} were accepted`);
    if (end !== 'used') return;
    const fresh = held.slice(used - 2 * (last - first), used) as TcpConnection[];
    for (const connection of fresh) connection.send(data, 0, USED_BYTES);
    run(clock, stacks, () => fresh.every((connection) => connection.receiveQueue.bytes === USED_BYTES));
    for (const connection of fresh) {
      connection.receiveQueue.clear();
      connection.consumed(USED_BYTES, clock.nowMicros());
    }
  };

  const all = (first: number, last: number): void => {
    for (let at = first; at < last; at += BATCH) open(at, Math.min(last, at + BATCH));
    run(clock, stacks, () => false);
  };
  all(0, 1);
  const before = await use();
  all(1, count + 1);
  const after = await use();
  if (held.length === 0) throw new Error('unreachable');
  return [before, after];
}

async function atSocket(): Promise<[Use, Use]> {
  const held: object[] = Array.from<object>({ length: 2 * count + 2 }).fill(MAC);
  let used = 0;
  const peer = new ScriptedPeer(THERE, HERE, MAC);
  const cable = cablePair({ frames: 4096 });
  const common = { hostPoolBytes: POOL_BYTES, duplicateDetection: 'off', tcp } as const;
  const link = end === 'cable' ? cable[0] : peer;
  const here = await openHost({ ...common, link, addresses: [`${HERE}/24`], macAddress: '02:00:00:00:00:01' });
  const hosts: Host[] = [here];
  if (end === 'cable') hosts.push(await openHost({ ...common, link: cable[1], addresses: [`${THERE}/24`] }));
  const accepting = hosts.at(-1)!;
  const listeners: Listener[] = [];
  for (let i = 0; i < PORTS; i++) listeners.push(await accepting.listen({ port: FIRST_PORT + i, backlog: 4096 }));

  const open = async (first: number, last: number): Promise<void> => {
    const waits: Promise<object | null>[] = [];
    for (let i = first; i < last; i++) {
      const port = FIRST_PORT + (i % PORTS);
      if (end === 'accept') peer.dial(1024 + Math.floor(i / PORTS), port);
      else waits.push(here.connect({ host: THERE, port }));
      if (end !== 'connect') waits.push(listeners[i % PORTS]!.accept());
    }
    for (const socket of await Promise.all(waits)) held[used++] = socket!;
  };

  const all = async (first: number, last: number): Promise<void> => {
    for (let at = first; at < last; at += BATCH) await open(at, Math.min(last, at + BATCH));
    await sleep(1500);
  };
  await all(0, PORTS);
  const before = await use();
  await all(PORTS, count + PORTS);
  const after = await use();
  if (held.length === 0 || listeners.length === 0) throw new Error('unreachable');
  return [before, after];
}

const [before, after] = await (level === 'tcp' ? atLayer() : atSocket());
const ends = isCable ? 2 * count : count;
const classes = [...after.classes].map(([name, { count: number, bytes }]) => {
  const was = before.classes.get(name) ?? { count: 0, bytes: 0 };
  return { name, count: (number - was.count) / ends, bytes: (bytes - was.bytes) / ends };
});
const answer = {
  heap: (after.heapBytes - before.heapBytes) / ends,
  buffers: (after.externalBytes - before.externalBytes) / ends,
  resident: (after.residentBytes - before.residentBytes) / ends,
  classes: classes.filter(({ bytes }) => bytes >= 1).toSorted((a, b) => b.bytes - a.bytes),
};
process.stdout.write(`${JSON.stringify(answer)}\n`);
process.exit(0);
