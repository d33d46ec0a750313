/**
 * The test runner: `npm test [-- OPTIONS] [PART OF A PATH ...]`.
 *
 * node:test does the work; this chooses the files (Node 20's own `--test` takes no globs), and runs them in two
 * groups. Files that use the network or compile things have the machine to themselves, one after the other; all
 * others run side by side. The reporter sees one stream with one set of closing lines.
 */
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { run } from 'node:test';
import { spec as Spec, tap, type TestEvent } from 'node:test/reporters';
import { buildRoot } from '../testing/project.ts';
import { endOnClosedPipe } from '../testing/stdio.ts';
import { MACHINE_SKIP } from '../testing/requirements.ts';
import { readArguments } from '../testing/arguments.ts';

/** Below `test/`: folders and files that must not share the machine. */
const ALONE: readonly RegExp[] = [/^interop\//, /^contract\//, /^cli\//, /^(readme|package|structure)\.test\.js$/];
/** A file that has not ended by then hangs: everything it started is ended and the file fails. */
const FILE_TIMEOUT_MS: number = 10 * 60_000;
/** The counts that node:test prints last, one diagnostic each. */
const CLOSING_LINE = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) ([\d.]+)$/;

const USAGE = `usage: npm test [-- [--list] [--grep REGEXP] [--skip PART] [--reporter spec|tap] [PART OF A PATH ...]]
examples:
  npm test -- wire/tcp stack/
  npm test -- --grep 'zero window' interop
`;

/** The test files, by their paths below `test/`, that have one of `parts` in their names (or all), and none of `skip`. */
function testFiles(parts: readonly string[], skip: readonly string[]): string[] {
  const folder = join(buildRoot, 'test');
  const has = (name: string, part: string): boolean => `test/${name}`.replace(/\.js$/, '.ts').includes(part);
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.js'))
    .filter((name) => parts.length === 0 || parts.some((part) => has(name, part)))
    .filter((name) => !skip.some((part) => has(name, part)))
    .toSorted();
}

/** Joins the streams of several runs into one: tests are numbered through, plans and closing lines are added up. */
class MergedRuns {
  failed = false;
  #tests = 0;
  readonly #totals = new Map<string, number>();
  readonly #groups: readonly { files: string[]; concurrency: number }[];
  readonly #namePattern: RegExp | undefined;

  constructor(groups: readonly { files: string[]; concurrency: number }[], namePattern: RegExp | undefined) {
    this.#groups = groups;
    this.#namePattern = namePattern;
  }

  async *events(): AsyncGenerator<TestEvent, void> {
    for (const group of this.#groups) {
      if (group.files.length === 0) continue;
      const before = this.#tests;
      const stream = run({
        files: group.files.map((name) => join(buildRoot, 'test', name)),
        concurrency: group.concurrency,
        timeout: FILE_TIMEOUT_MS,
        ...(this.#namePattern === undefined ? {} : { testNamePatterns: this.#namePattern }),
      });
      for await (const event of stream as AsyncIterable<TestEvent>) {
        const merged = this.#merge(event, before);
        if (merged !== null) yield merged;
      }
    }
    yield { type: 'test:plan', data: { nesting: 0, count: this.#tests } };
    for (const [name, value] of this.#totals) {
      yield { type: 'test:diagnostic', data: { nesting: 0, message: `${name} ${value}` } };
    }
  }

  /** The event as it goes to the reporter, or null to leave it out. */
  #merge(event: TestEvent, before: number): TestEvent | null {
    const { data } = event;
    if (event.type === 'test:fail' && event.data.todo === undefined) this.failed = true;
    if (event.type === 'test:pass' && isForbiddenSkip(event.data)) {
      this.failed = true;
      process.stderr.write(`run-tests: skipped in CI: ${event.data.name}: ${String(event.data.skip)}\n`);
    }
    // Node 22 and later sum up each file and each run besides; the closing lines say the same.
    if ((event.type as string) === 'test:summary') return null;
    if (data === undefined || !('nesting' in data) || data.nesting !== 0) return event;
    if (event.type === 'test:plan') return null;
    if (event.type === 'test:diagnostic') {
      const line = CLOSING_LINE.exec(event.data.message);
      if (line === null) return event;
      this.#totals.set(line[1]!, (this.#totals.get(line[1]!) ?? 0) + Number(line[2]));
      return null;
    }
    if (event.type === 'test:pass' || event.type === 'test:fail') {
      this.#tests++;
      event.data.testNumber += before;
    }
    return event;
  }
}

/** In CI everything that an interop test needs has been installed: a skip there means that the set-up is broken. */
function isForbiddenSkip(data: { skip?: string | boolean; file?: string }): boolean {
  if (process.env['DEVMEM_TCP_CI'] !== '1' || data.skip === undefined || data.skip === false) return false;
  if (typeof data.skip === 'string' && data.skip.startsWith(MACHINE_SKIP)) return false;
  return data.file !== undefined && relative(join(buildRoot, 'test'), data.file).startsWith('interop');
}

async function main(): Promise<number> {
  const { values, positionals } = readArguments('run-tests', {
    allowPositionals: true,
    options: {
      list: { type: 'boolean', default: false },
      grep: { type: 'string' },
      skip: { type: 'string', multiple: true, default: [] },
      reporter: { type: 'string', default: process.stdout.isTTY ? 'spec' : 'tap' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help || !['spec', 'tap'].includes(values.reporter)) {
    process.stdout.write(USAGE);
    return values.help ? 0 : 2;
  }
  const files = testFiles(positionals, values.skip);
  if (files.length === 0) {
    process.stderr.write(`run-tests: no test file matches ${positionals.join(' ')}\nhint: npm test -- --list\n`);
    return 2;
  }
  const isAlone = (name: string): boolean => ALONE.some((pattern) => pattern.test(name));
  const groups = [
    { files: files.filter((name) => !isAlone(name)), concurrency: availableParallelism() },
    { files: files.filter(isAlone), concurrency: 1 },
  ];
  if (values.list) {
    for (const group of groups)
      for (const name of group.files) process.stdout.write(`test/${name.replace(/\.js$/, '.ts')}\n`);
    return 0;
  }
  const runs = new MergedRuns(groups, values.grep === undefined ? undefined : new RegExp(values.grep));
  const report =
    values.reporter === 'tap'
      ? Readable.from(tap(runs.events()))
      : Readable.from(runs.events(), { objectMode: true }).compose(new Spec());
  for await (const text of report) process.stdout.write(text as string);
  return runs.failed ? 1 : 0;
}

endOnClosedPipe();
process.exitCode = await main();
