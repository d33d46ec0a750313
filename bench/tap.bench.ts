/**
 * Bulk goodput over TAP, receive and send, next to the Linux kernel's own recv() into the same kind of memory over veth.
 *
 * Every round runs each contender once, in turn, so that a machine whose speed drifts drifts for all; medians and
 * spread are over rounds, ratios are taken round by round. The same C program is the other end of all of them, with
 * CUBIC set explicitly. Needs root, a C compiler and iproute2.
 *
 *     npm run bench -- tap [--rounds 5] [--mib 4096] [--json]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import type { ChildProcess } from 'node:child_process';
import { buildRoot, projectRoot } from '../testing/project.ts';
import { finished } from '../testing/finished.ts';
import { NetworkNamespace } from '../testing/netns.ts';
import { readArguments } from '../testing/arguments.ts';

const PORT = '5201';
const MEMORY_MIB = '256';
/** The yardstick of each direction: all ratios are to this contender of the same round. */
const KERNEL = { receive: 'kernel recv() 256 KiB', send: 'kernel write()' };

interface Contender {
  direction: 'receive' | 'send';
  name: string;
  /** Runs once and answers Gbit/s. */
  run: () => Promise<number>;
}

const { values } = readArguments('tap', {
  options: {
    rounds: { type: 'string', default: '5' },
    mib: { type: 'string', default: '4096' },
    json: { type: 'boolean', default: false },
  },
});

const folder = mkdtempSync(join(tmpdir(), 'devmem-tcp-bench-'));
const tcp = join(folder, 'tcp');
execFileSync('cc', ['-O2', '-o', tcp, join(projectRoot, 'bench/peers/tcp.c')]);

const here = new NetworkNamespace();
const there = new NetworkNamespace();

/** Two namespaces and a veth pair between them: the kernel's way. */
function joinNamespaces(): void {
  here.ip('link', 'add', 'dmv0', 'type', 'veth', 'peer', 'name', 'dmv1', 'netns', there.name);
  here.ip('addr', 'add', '10.98.0.1/24', 'dev', 'dmv0');
  here.ip('link', 'set', 'dmv0', 'up');
  there.ip('addr', 'add', '10.98.0.2/24', 'dev', 'dmv1');
  there.ip('link', 'set', 'dmv1', 'up');
}

/** Starts a receiver and waits until it says that it listens. */
async function ready(child: ChildProcess): Promise<void> {
  for (let text = ''; !text.includes('ready');) {
    const [chunk] = (await once(child.stdout!, 'data')) as [Buffer];
    text += chunk.toString();
  }
}

/** Goodput from the `seconds bytes` line that the C program ends with. */
function gigabits(stdout: string): number {
  const [seconds, bytes] = stdout.trim().split('\n').at(-1)!.split(' ').map(Number);
  return (bytes! * 8) / seconds! / 1e9;
}

async function checked(child: ChildProcess): Promise<string> {
  const end = await finished(child);
  if (end.code !== 0) throw new Error(`a benchmark peer failed (${end.code}): ${end.stderr}`);
  return end.stdout;
}

function user(script: string, ...args: string[]): ChildProcess {
  const path = join(buildRoot, 'bench/peers', script);
  return here.start(process.execPath, [path, 'tap:dmb0', '10.99.0.2/24', '10.99.0.1/24', PORT, ...args]);
}

/** The sender is timed, from the established connection to the receiver's FIN: everything was consumed. */
async function receive(receiver: ChildProcess, address: string): Promise<number> {
  await ready(receiver);
  const rest = checked(receiver);
  const sent = await checked(here.start(tcp, ['send', address, PORT, values.mib, '256']));
  await rest;
  return gigabits(sent);
}

async function send(sender: () => ChildProcess, sinkNamespace: NetworkNamespace): Promise<number> {
  const sink = sinkNamespace.start(tcp, ['sink', PORT]);
  await ready(sink);
  const received = checked(sink);
  await checked(sender());
  return gigabits(await received);
}

const contenders: Contender[] = [
  {
    direction: 'receive',
    name: 'devmem-tcp, 4 KiB pages',
    run: () => receive(user('user-receive.js', MEMORY_MIB, '4'), '10.99.0.2'),
  },
  {
    direction: 'receive',
    name: 'devmem-tcp, 64 KiB chunks',
    run: () => receive(user('user-receive.js', MEMORY_MIB, '64'), '10.99.0.2'),
  },
  ...['256', '64'].map((kib): Contender => ({
    direction: 'receive',
    name: `kernel recv() ${kib} KiB`,
    run: () => receive(there.start(tcp, ['receive', PORT, MEMORY_MIB, kib]), '10.98.0.2'),
  })),
  { direction: 'send', name: 'devmem-tcp', run: () => send(() => user('user-send.js', values.mib), here) },
  {
    direction: 'send',
    name: KERNEL.send,
    run: () => send(() => here.start(tcp, ['send', '10.98.0.2', PORT, values.mib, '256']), there),
  },
];

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function spread(numbers: readonly number[], digits: number): string {
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  return `${median(numbers).toFixed(digits)} (${low.toFixed(digits)}-${high.toFixed(digits)})`;
}

/** Rows of one direction: contender, Gbit/s, ratio to the kernel in the same round. */
function table(direction: Contender['direction'], results: Map<Contender, number[]>): string {
  const kernel = [...results].find(([contender]) => contender.name === KERNEL[direction])![1];
  const lines = [`| ${direction} | Gbit/s, median (range) | of ${KERNEL[direction]} |`, '| --- | --- | --- |'];
  for (const [contender, figures] of results) {
    if (contender.direction !== direction) continue;
    const ratios = figures.map((figure, round) => figure / kernel[round]!);
    lines.push(`| ${contender.name} | ${spread(figures, 1)} | ${spread(ratios, 2)} |`);
  }
  return lines.join('\n');
}

const results = new Map(contenders.map((contender): [Contender, number[]] => [contender, []]));
try {
  joinNamespaces();
  for (let round = 1; round <= Number(values.rounds); round++) {
    for (const contender of contenders) {
      const figure = await contender.run();
      results.get(contender)!.push(figure);
      process.stderr.write(`round ${round}: ${contender.direction}, ${contender.name}: ${figure.toFixed(1)} Gbit/s\n`);
    }
  }
} finally {
  here.close();
  there.close();
  rmSync(folder, { recursive: true });
}

const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown CPU'}, Linux ${release()}, Node ${process.version}`;
if (values.json) {
  const rows = [...results].map(([{ direction, name }, gbit]) => ({ direction, name, gbit_per_second: gbit }));
  process.stdout.write(
    `${JSON.stringify({ schema: 'devmem-tcp/bench-tap@1', machine, mib: Number(values.mib), rows }, null, 2)}\n`,
  );
} else {
  process.stdout.write(`${values.rounds} rounds of ${values.mib} MiB. ${machine}.\n\n`);
  process.stdout.write(`${table('receive', results)}\n\n${table('send', results)}\n`);
}
