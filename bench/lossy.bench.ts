/**
 * Goodput over a long and lossy path, our TCP with the kernel's at either end, next to the kernel's with itself.
 *
 * The path (rate, delay, queue, loss in both directions) is the same code for all: around our stack's TAP, or between
 * two TAPs of two namespaces. Every round runs each contender once with the same seed of losses, in turn; medians and
 * spread are over rounds, ratios are taken round by round. Needs root, python3 and iproute2.
 *
 *     npm run bench -- lossy [--rounds 5] [--seconds 15] [--flows 8] [--loss 1] [--delay 50] [--rate 100] [--json]
 */
import { once } from 'node:events';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { finished } from '../testing/finished.ts';
import { NetworkNamespace } from '../testing/netns.ts';
import { buildRoot, projectRoot } from '../testing/project.ts';
import type { PathOptions } from './peers/path.ts';
import { readArguments } from '../testing/arguments.ts';

const PORT = '5201';
const CONTROLLERS = ['cubic', 'reno', 'bbr'] as const;
const CONTENDERS = ['kernel to kernel', 'kernel to devmem-tcp', 'devmem-tcp to kernel'] as const;
type Contender = (typeof CONTENDERS)[number];

const { values } = readArguments('lossy', {
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '15' },
    flows: { type: 'string', default: '8' },
    loss: { type: 'string', default: '1' },
    delay: { type: 'string', default: '50' },
    rate: { type: 'string', default: '100' },
    controllers: { type: 'string', default: CONTROLLERS.join(',') },
    json: { type: 'boolean', default: false },
  },
});
const flowsScript = join(projectRoot, 'bench/peers/flows.py');

async function ready(child: ChildProcess): Promise<void> {
  for (let text = ''; !text.includes('ready');) {
    const [chunk] = (await once(child.stdout!, 'data')) as [Buffer];
    text += chunk.toString();
  }
}

/** Megabits per second, from the bytes that the sink ends with. */
async function goodput(sink: ChildProcess, source: ChildProcess): Promise<number> {
  const sending = finished(source);
  const end = await finished(sink);
  source.kill('SIGKILL');
  await sending;
  if (end.code !== 0) throw new Error(`the sink failed (${end.code}): ${end.stderr}`);
  return (Number(end.stdout.trim().split('\n').at(-1)) * 8) / Number(values.seconds) / 1e6;
}

function pythonSink(namespace: NetworkNamespace): ChildProcess {
  return namespace.start('python3', [flowsScript, 'sink', PORT, values.flows, values.seconds]);
}

function pythonSource(namespace: NetworkNamespace, controller: string): ChildProcess {
  const longer = String(Number(values.seconds) + 2);
  return namespace.start('python3', [flowsScript, 'source', '10.97.0.2', PORT, values.flows, longer, controller]);
}

function user(namespace: NetworkNamespace, role: string, path: PathOptions, controller: string): ChildProcess {
  const script = join(buildRoot, 'bench/peers/user-flows.js');
  const seconds = role === 'sink' ? values.seconds : String(Number(values.seconds) + 2);
  return namespace.start(process.execPath, [
    script,
    role,
    JSON.stringify(path),
    PORT,
    values.flows,
    seconds,
    controller,
  ]);
}

async function run(contender: Contender, path: PathOptions, controller: string): Promise<number> {
  const here = new NetworkNamespace();
  const there = new NetworkNamespace();
  try {
    if (contender === 'kernel to kernel') {
      const script = join(buildRoot, 'bench/peers/middlebox.js');
      await ready(here.start(process.execPath, [script, JSON.stringify(path), here.name, there.name]));
      const sink = pythonSink(there);
      await ready(sink);
      return await goodput(sink, pythonSource(here, controller));
    }
    if (contender === 'kernel to devmem-tcp') {
      const sink = user(here, 'sink', path, controller);
      await ready(sink);
      return await goodput(sink, pythonSource(here, controller));
    }
    const sink = pythonSink(here);
    await ready(sink);
    return await goodput(sink, user(here, 'source', path, controller));
  } finally {
    here.close();
    there.close();
  }
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function spread(numbers: readonly number[], digits: number): string {
  return `${median(numbers).toFixed(digits)} (${Math.min(...numbers).toFixed(digits)}-${Math.max(...numbers).toFixed(digits)})`;
}

const controllers = values.controllers.split(',');
const results = new Map<string, number[]>();
for (let round = 1; round <= Number(values.rounds); round++) {
  const path: PathOptions = {
    lossPercent: Number(values.loss),
    delayMs: Number(values.delay),
    megabitsPerSecond: Number(values.rate),
    seed: round,
  };
  for (const controller of controllers) {
    for (const contender of CONTENDERS) {
      const figure = await run(contender, path, controller);
      const key = `${controller}|${contender}`;
      results.set(key, [...(results.get(key) ?? []), figure]);
      process.stderr.write(`round ${round}: ${controller}, ${contender}: ${figure.toFixed(2)} Mbit/s\n`);
    }
  }
}

const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown CPU'}, Linux ${release()}, Node ${process.version}`;
if (values.json) {
  const rows = [...results].map(([key, megabits]) => {
    const [controller, contender] = key.split('|');
    return { controller, contender, mbit_per_second: megabits };
  });
  process.stdout.write(`${JSON.stringify({ schema: 'devmem-tcp/bench-lossy@1', machine, rows }, null, 2)}\n`);
} else {
  const path = `${values.loss} % loss each way, ${values.delay} ms round trip, ${values.rate} Mbit/s`;
  process.stdout.write(
    `${values.rounds} rounds of ${values.seconds} s, ${values.flows} flows, ${path}. ${machine}.\n\n`,
  );
  process.stdout.write('| controller | sender to receiver | Mbit/s, median (range) | of kernel to kernel |\n');
  process.stdout.write('| --- | --- | --- | --- |\n');
  for (const [key, figures] of results) {
    const [controller, contender] = key.split('|');
    const kernel = results.get(`${controller}|kernel to kernel`)!;
    const ratios = figures.map((figure, round) => figure / kernel[round]!);
    process.stdout.write(`| ${controller} | ${contender} | ${spread(figures, 2)} | ${spread(ratios, 2)} |\n`);
  }
}
