/**
 * `npm run sim -- [--seeds N] [--seed S] [--profile P] [--controller C] [--jobs J] [--out FOLDER] [--capture]`: runs
 * random scenarios in virtual time and checks the stack's invariants all the way. A seed that fails is named with the
 * command that runs it again, and its frames are written as pcapng. `npm run sim -- --table [--write]` prints what each
 * controller makes of each network, or writes it to docs/simulation.md.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CONGESTION_NAMES } from '../src/stack/tcp/congestion/make.ts';
import type { CongestionName } from '../src/stack/tcp/congestion/controller.ts';
import { projectRoot } from '../testing/project.ts';
import { measure, type Measurement } from '../testing/sim/measure.ts';
import { PROFILE_NAMES, type ProfileName } from '../testing/sim/profiles.ts';
import { captureSeed, runSeed, type SeedReport } from '../testing/sim/run-seed.ts';
import type { ScenarioChoices } from '../testing/sim/scenario.ts';
import { renderTables, replaceTables } from '../testing/sim/table.ts';
import { endOnClosedPipe } from '../testing/stdio.ts';
import { readArguments, refuseArguments } from '../testing/arguments.ts';

const TABLE_FILE: string = join(projectRoot, 'docs', 'simulation.md');
/** A seed that takes this long never ends: the slowest take a second or two. */
const HANG_MS = 60_000;
const USAGE = `usage: npm run sim -- [--seeds N] [--seed S] [--profile P] [--controller C] [--jobs J] [--out FOLDER] [--capture]
       npm run sim -- --table [--write]

  --seeds N       run N seeds (default 200; 1 with --seed)
  --seed S        begin with this one (default 1)
  --profile P     only this network: ${PROFILE_NAMES.join(', ')}
  --controller C  only this congestion controller: ${CONGESTION_NAMES.join(', ')}
  --jobs J        processes (default: one a core)
  --out FOLDER    where captures of failures go (default: a folder of the system's for temporary files)
  --capture       write the frames of seed S down whether it fails or not
  --table         print what each controller makes of each network
  --write         write it to docs/simulation.md
`;

/** What a worker is asked for: `captureFolder` is where the frames of a failure go. */
interface Task {
  seed: number;
  choices: ScenarioChoices;
  captureFolder: string | null;
}

interface Options {
  first: number;
  count: number;
  choices: ScenarioChoices;
  jobs: number;
  folder: string;
}

function work(): void {
  process.on('message', (task: Task) => {
    process.send!(runSeed(task.seed, task.choices, task.captureFolder));
  });
}

/** One process that runs seeds until there are no more. A hang or a death is a report too. */
class Worker {
  readonly #child: ChildProcess;
  #deliver: ((report: SeedReport) => void) | null = null;
  #seed = 0;
  #watchdog: NodeJS.Timeout | null = null;

  constructor() {
    this.#child = fork(fileURLToPath(import.meta.url), ['--worker'], { execArgv: process.execArgv });
    this.#child.on('message', (report: SeedReport) => this.#settle(report));
    this.#child.on('exit', (code, signal) => this.#fail(`the process died (${signal ?? code})`));
  }

  async run(task: Task): Promise<SeedReport> {
    this.#seed = task.seed;
    return await new Promise<SeedReport>((resolve) => {
      this.#deliver = resolve;
      this.#watchdog = setTimeout(() => this.#fail(`no end after ${HANG_MS / 1000} s`), HANG_MS);
      this.#child.send(task);
    });
  }

  end(): void {
    this.#deliver = null;
    this.#child.kill('SIGKILL');
  }

  #fail(failure: string): void {
    const report = { profile: '', hash: '', frames: 0, conversations: 0, retries: 0, virtualSeconds: 0, captures: [] };
    this.#settle({ ...report, seed: this.#seed, failure });
  }

  #settle(report: SeedReport): void {
    if (this.#watchdog !== null) clearTimeout(this.#watchdog);
    const deliver = this.#deliver;
    this.#deliver = null;
    deliver?.(report);
  }
}

class Summary {
  runs = 0;
  failures = 0;
  frames = 0;
  conversations = 0;
  virtualSeconds = 0;
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
  }

  add(report: SeedReport): void {
    this.runs++;
    this.frames += report.frames;
    this.conversations += report.conversations;
    this.virtualSeconds += report.virtualSeconds;
    if (report.failure === null) return;
    this.failures++;
    const { profile, controller } = this.#options.choices;
    const choices = [profile && `--profile ${profile}`, controller && `--controller ${controller}`].filter(Boolean);
    const command = ['npm run sim --', `--seed ${report.seed}`, ...choices].join(' ');
    process.stdout.write(`FAIL seed ${report.seed} (${report.profile}): ${report.failure}\nagain: ${command}\n`);
    for (const path of report.captures) process.stdout.write(`frames: ${path}\n`);
  }

  print(seconds: number): void {
    const { runs, failures, conversations } = this;
    process.stdout.write(
      `${runs} seeds, ${failures} failed: ${conversations} conversations, ${(this.frames / 1e6).toFixed(2)} M frames, ` +
        `${(this.virtualSeconds / 3600).toFixed(1)} h of virtual time in ${seconds.toFixed(1)} s\n`,
    );
  }
}

async function runSeeds(options: Options): Promise<number> {
  const summary = new Summary(options);
  const started = performance.now();
  let next = options.first;
  const end = options.first + options.count;
  const workers = new Set<Worker>();
  process.once('SIGINT', () => {
    for (const worker of workers) worker.end();
    summary.print((performance.now() - started) / 1000);
    process.exit(130);
  });
  const serve = async (): Promise<void> => {
    let worker = new Worker();
    workers.add(worker);
    while (next < end) {
      const task = { seed: next++, choices: options.choices, captureFolder: options.folder };
      const report = await worker.run(task);
      summary.add(report);
      if (report.failure === null) continue;
      // It may have died, or hang: the next seed gets a fresh one.
      worker.end();
      workers.delete(worker);
      worker = new Worker();
      workers.add(worker);
    }
    worker.end();
  };
  await Promise.all(Array.from({ length: Math.min(options.jobs, options.count) }, serve));
  summary.print((performance.now() - started) / 1000);
  return summary.failures === 0 ? 0 : 1;
}

function makeTable(write: boolean): number {
  const rows: Measurement[] = [];
  for (const profile of PROFILE_NAMES) {
    for (const controller of CONGESTION_NAMES) rows.push(measure(profile, controller));
  }
  const tables = renderTables(rows);
  if (write) writeFileSync(TABLE_FILE, replaceTables(readFileSync(TABLE_FILE, 'utf8'), tables));
  else process.stdout.write(`${tables}\n`);
  return 0;
}

async function main(): Promise<number> {
  const { values } = readArguments('sim', {
    options: {
      seeds: { type: 'string' },
      seed: { type: 'string' },
      profile: { type: 'string' },
      controller: { type: 'string' },
      jobs: { type: 'string', default: String(availableParallelism()) },
      out: { type: 'string', default: join(tmpdir(), 'devmem-tcp-sim') },
      capture: { type: 'boolean', default: false },
      table: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  if (values.table) return makeTable(values.write);
  const first = Number(values.seed ?? 1);
  const count = Number(values.seeds ?? (values.seed === undefined ? 200 : 1));
  const jobs = Number(values.jobs);
  const profile = values.profile as ProfileName | undefined;
  const controller = values.controller as CongestionName | undefined;
  for (const [name, number] of Object.entries({ seed: first, seeds: count, jobs })) {
    if (Number.isSafeInteger(number) && number > 0) continue;
    refuseArguments('sim', `--${name} is no number of at least 1`, 'npm run sim -- --seeds 200');
  }
  if (profile !== undefined && !PROFILE_NAMES.includes(profile)) {
    refuseArguments('sim', `there is no profile ${profile}`, `choose from ${PROFILE_NAMES.join(', ')}`);
  }
  if (controller !== undefined && !CONGESTION_NAMES.includes(controller)) {
    refuseArguments('sim', `there is no controller ${controller}`, `choose from ${CONGESTION_NAMES.join(', ')}`);
  }
  const choices: ScenarioChoices = { ...(profile && { profile }), ...(controller && { controller }) };
  if (values.capture) {
    for (const path of captureSeed(first, choices, values.out)) process.stdout.write(`frames: ${path}\n`);
  }
  return await runSeeds({ first, count, choices, jobs, folder: values.out });
}

if (process.argv[2] === '--worker') {
  // Ctrl-C reaches the whole group, and it is for the parent to end: a worker that dies of it looks like a failed seed.
  process.on('SIGINT', () => {});
  work();
} else {
  endOnClosedPipe();
  process.exitCode = await main();
}
