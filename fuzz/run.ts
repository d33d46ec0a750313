/**
 * `npm run fuzz -- [TARGET ...] [--seconds N] [--runs N] [--seed S] [--grow] [--list]`: feeds each target with mutants of
 * its corpus. An input that fails is saved to `fuzz/crashes/`; `npm run fuzz -- TARGET --replay FILE` runs it again.
 */
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { endOnClosedPipe } from '../testing/stdio.ts';
import { loadTarget, saveInput, targetNames } from './corpus.ts';
import type { FuzzJob, FuzzReport } from './worker.ts';
import { readArguments } from '../testing/arguments.ts';

/** An input that takes this long never ends: at their slowest, targets take a few milliseconds. */
const HANG_MS = 10_000;
const MAX_INPUT_BYTES: number = 1 << 20;

const USAGE = `usage: npm run fuzz -- [TARGET ...] [--seconds N] [--runs N] [--seed S] [--grow]
       npm run fuzz -- TARGET --replay FILE
       npm run fuzz -- --list
`;

/** Runs one target; what it reports, or a report made up for it where it hung or died. */
async function fuzz(job: FuzzJob): Promise<FuzzReport> {
  const heartbeat = new Int32Array(job.heartbeat);
  const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: job });
  return await new Promise<FuzzReport>((resolve) => {
    let last = 0;
    const fail = (text: string): void => {
      clearInterval(watchdog);
      const length = new Int32Array(job.current, 0, 1)[0]!;
      const bytes = Uint8Array.from(new Uint8Array(job.current, 4, length));
      const progress = { executions: heartbeat[0]!, blocks: 0, corpusInputs: 0 };
      void worker.terminate();
      resolve({ progress, grown: [], failure: { bytes, text } });
    };
    const watchdog = setInterval(() => {
      const now = Atomics.load(heartbeat, 0);
      if (now === last) fail(`no end after ${HANG_MS / 1000} s`);
      last = now;
    }, HANG_MS);
    worker.once('error', (error: Error) => {
      fail(`the thread died: ${error.stack ?? error.message}`);
    });
    worker.once('message', (report: FuzzReport) => {
      clearInterval(watchdog);
      resolve(report);
    });
  });
}

async function replay(name: string | undefined, file: string): Promise<number> {
  if (name === undefined || !targetNames().includes(name)) {
    process.stderr.write(USAGE);
    return 2;
  }
  const target = await loadTarget(name);
  target.run(new Uint8Array(readFileSync(file)));
  process.stdout.write(`${name}: ${file} passes\n`);
  return 0;
}

async function fuzzAll(
  names: readonly string[],
  options: Omit<FuzzJob, 'target' | 'heartbeat' | 'current'>,
): Promise<number> {
  let failures = 0;
  for (const name of names) {
    const job = {
      ...options,
      target: name,
      heartbeat: new SharedArrayBuffer(4),
      current: new SharedArrayBuffer(4 + MAX_INPUT_BYTES),
    };
    const { progress, grown, failure } = await fuzz(job);
    const counts = `${progress.executions} inputs, ${progress.blocks} blocks, ${progress.corpusInputs} in the corpus`;
    process.stdout.write(`${failure === null ? 'ok  ' : 'FAIL'} ${name.padEnd(18)} ${counts} (seed ${job.seed})\n`);
    for (const path of grown) process.stdout.write(`     new: ${path}\n`);
    if (failure === null) continue;
    failures++;
    const path = saveInput(`fuzz/crashes/${name}`, failure.bytes);
    process.stdout.write(`${failure.text}\nsaved: ${path}\nagain: npm run fuzz -- ${name} --replay ${path}\n`);
  }
  return failures === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  const { values, positionals } = readArguments('fuzz', {
    allowPositionals: true,
    options: {
      seconds: { type: 'string', default: '10' },
      runs: { type: 'string', default: 'Infinity' },
      seed: { type: 'string', default: String(Date.now() >>> 0) },
      grow: { type: 'boolean', default: false },
      replay: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const all = targetNames();
  const numbers = [values.seconds, values.runs, values.seed].map(Number);
  const isWrong = numbers.some((number) => Number.isNaN(number)) || positionals.some((name) => !all.includes(name));
  if (values.help || isWrong) {
    process.stderr.write(`${USAGE}targets: ${all.join(' ')}\n`);
    return values.help ? 0 : 2;
  }
  if (values.list) {
    process.stdout.write(`${all.join('\n')}\n`);
    return 0;
  }
  if (values.replay !== undefined) return replay(positionals[0], values.replay);
  const [seconds, runs, seed] = numbers as [number, number, number];
  return fuzzAll(positionals.length > 0 ? positionals : all, { seconds, runs, seed, grow: values.grow });
}

endOnClosedPipe();
process.exitCode = await main();
