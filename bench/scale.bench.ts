/**
 * What an idle connection costs in memory, beside the pages of the pools, and how many are opened and closed a second.
 *
 * Every figure is from a process of its own: memory is what the heap and the buffers outside it have more after
 * collections, divided by the connections. `connect` and `accept` have one end only, against a peer that remembers
 * nothing; `cable` has both ends and counts one; `used` is the same after 1000 bytes each way. Rates are medians over
 * rounds, with their range.
 *
 *     npm run bench -- scale [--connections 100000] [--rounds 5] [--classes] [--json]
 */
import { execFileSync } from 'node:child_process';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { buildRoot } from '../testing/project.ts';
import { readArguments } from '../testing/arguments.ts';

interface Memory {
  heap: number;
  buffers: number;
  resident: number;
  classes: { name: string; count: number; bytes: number }[];
}

const CASES = [
  ['tcp', 'connect'],
  ['tcp', 'accept'],
  ['tcp', 'cable'],
  ['tcp', 'used'],
  ['socket', 'connect'],
  ['socket', 'accept'],
  ['socket', 'cable'],
] as const;
/** A heap snapshot of more connections says the same and takes minutes. */
const CLASS_CONNECTIONS = 2000;
const RATE_CONNECTIONS = 20_000;

const { values } = readArguments('scale', {
  options: {
    connections: { type: 'string', default: '100000' },
    rounds: { type: 'string', default: '5' },
    classes: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

function child(script: string, ...args: string[]): unknown {
  const path = join(buildRoot, 'bench/peers', script);
  return JSON.parse(execFileSync(process.execPath, ['--expose-gc', path, ...args], { encoding: 'utf8' }));
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function spread(numbers: readonly number[]): string {
  return `${median(numbers).toFixed(0)} (${Math.min(...numbers).toFixed(0)}-${Math.max(...numbers).toFixed(0)})`;
}

const memory = CASES.map(([level, end]) => {
  const figures = child('scale-memory.js', level, end, values.connections) as Memory;
  process.stderr.write(`${level} ${end}: ${(figures.heap + figures.buffers).toFixed(0)} bytes\n`);
  return { level, end, ...figures };
});

const rates = (['tcp', 'socket'] as const).map((level) => {
  const perSecond: number[] = [];
  for (let round = 1; round <= Number(values.rounds); round++) {
    const figures = child('scale-rate.js', level, String(RATE_CONNECTIONS)) as { perSecond: number };
    process.stderr.write(`round ${round}: ${level}: ${figures.perSecond.toFixed(0)} connections a second\n`);
    perSecond.push(figures.perSecond);
  }
  return { level, perSecond };
});

const classes = values.classes
  ? (child('scale-memory.js', 'socket', 'accept', String(CLASS_CONNECTIONS), 'classes') as Memory).classes
  : [];

const machine = `${cpus().length} x ${cpus()[0]?.model ?? 'unknown CPU'}, Linux ${release()}, Node ${process.version}`;
if (values.json) {
  const connections = Number(values.connections);
  const answer = { schema: 'devmem-tcp/bench-scale@1', machine, connections, memory, rates, classes };
  process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
} else {
  const lines = [`${values.connections} connections. ${machine}.`, ''];
  lines.push('| idle connection | bytes | heap | buffers | resident |', '| --- | --- | --- | --- | --- |');
  for (const { level, end, heap, buffers, resident } of memory) {
    const figures = [heap + buffers, heap, buffers, resident].map((bytes) => bytes.toFixed(0)).join(' | ');
    lines.push(`| ${level}, ${end} | ${figures} |`);
  }
  lines.push('', '| opened, accepted and closed | a second, median (range) |', '| --- | --- |');
  for (const { level, perSecond } of rates) lines.push(`| ${level}, over a cable | ${spread(perSecond)} |`);
  if (classes.length > 0) lines.push('', '| a socket that was accepted | bytes | objects |', '| --- | --- | --- |');
  for (const { name, bytes, count } of classes) lines.push(`| ${name} | ${bytes.toFixed(0)} | ${count.toFixed(2)} |`);
  process.stdout.write(`${lines.join('\n')}\n`);
}
