/**
 * The rules of ARCHITECTURE.md that a compiler does not check. Each check is first shown a text that breaks its rule, so
 * that it is known to be able to fail.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { buildRoot, projectRoot } from '../testing/project.ts';
import { importsOf, maskSource } from '../testing/source.ts';

/** A room may import from itself and from the rooms before it. `host.ts` and `index.ts` are rooms of one file. */
const ROOMS = [
  'core',
  'wire',
  'linux',
  'memory',
  'link',
  'nic',
  'stack',
  'ipsec',
  'ioam',
  'socket',
  'kernel',
  'vfio',
  'gve',
  'host.ts',
  'dashboard',
  'cli',
];
const FIRST_ROOM_WITH_PROMISES = 'socket';
const MAX_FILE_LINES = 600;

/** Files below `socket/` that may do what the others may not, and why. A reason that no longer holds is a failure. */
const IMPURE: ReadonlyMap<string, string> = new Map([
  ['src/core/clock.ts', 'is the clock of production'],
  ['src/core/random.ts', 'is the randomness of production'],
  ['src/link/tap.ts', 'opening a device loads the FFI'],
  ['src/linux/libc.ts', 'loads the FFI'],
  ['src/memory/device-memory.ts', 'allocation may have to load the FFI'],
  ['src/memory/exporters/exporter.ts', 'allocation may have to load the FFI'],
  ['src/memory/exporters/memfd.ts', 'allocation loads the FFI'],
  ['src/memory/exporters/shared.ts', 'allocates as the other exporters do'],
  ['src/memory/exporters/udmabuf.ts', 'allocation loads the FFI'],
]);

/** Where the files of a room work together so closely that they are tested as one, the tests that do so. */
const TESTED_TOGETHER: readonly { files: string; tests: string; as: string }[] = [
  { files: 'src/cli/', tests: 'test/cli/', as: 'a command that is run whole' },
  { files: 'src/nic/', tests: 'test/nic/', as: 'a NIC that frames go through' },
  { files: 'src/socket/', tests: 'test/contract/', as: 'a host that meets the contract of all hosts' },
  { files: 'src/host.ts', tests: 'test/contract/', as: 'what makes the hosts of that contract' },
  { files: 'src/stack/', tests: 'test/stack/', as: 'a stack whose link is the test' },
  { files: 'src/stack/tcp/', tests: 'test/rfc/', as: 'conversations on the wire, by RFC' },
];

interface SourceFile {
  /** From the project's root, with slashes: `src/wire/tcp.ts`. */
  path: string;
  text: string;
}

function filesBelow(folder: string, extension: RegExp): SourceFile[] {
  const path = join(projectRoot, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => extension.test(name))
    .map((name) => ({ path: `${folder}/${name}`, text: readFileSync(join(path, name), 'utf8') }))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/** The room of a path below `src/`, or null for `src/index.ts`, which stands outside the order. */
function roomOf(path: string): string | null {
  const first = path.split('/')[1]!;
  return first === 'index.ts' ? null : first;
}

function resolveImport(from: string, specifier: string): string | null {
  return specifier.startsWith('.') ? normalize(join(dirname(from), specifier)) : null;
}

function directionProblems(files: readonly SourceFile[]): string[] {
  const problems: string[] = [];
  for (const file of files) {
    const room = roomOf(file.path);
    if (room !== null && !ROOMS.includes(room)) problems.push(`${file.path}: ${room} is not in the list of rooms`);
    for (const { specifier, line } of importsOf(file.text)) {
      const target = resolveImport(file.path, specifier);
      if (target === null || room === null) continue;
      if (!target.startsWith('src/')) problems.push(`${file.path}:${line}: ${specifier} lies outside src/`);
      else if (roomOf(target) === null) problems.push(`${file.path}:${line}: a room imports the main entry`);
      else if (ROOMS.indexOf(roomOf(target)!) > ROOMS.indexOf(room)) {
        problems.push(`${file.path}:${line}: ${room} imports ${roomOf(target)}, which is below it`);
      }
    }
  }
  return problems;
}

function ffiProblems(files: readonly SourceFile[]): string[] {
  const problems: string[] = [];
  for (const file of files) {
    const inLinux = roomOf(file.path) === 'linux';
    for (const { specifier, kind, line } of importsOf(file.text)) {
      if (/^koffi(\/|$)/.test(specifier) && !inLinux) problems.push(`${file.path}:${line}: koffi outside src/linux`);
      const target = resolveImport(file.path, specifier);
      if (target !== null && roomOf(target) === 'linux' && !inLinux && kind === 'value') {
        problems.push(`${file.path}:${line}: ${specifier} must be loaded by import(), when it is needed`);
      }
    }
  }
  return problems;
}

const IMPURITIES: readonly [name: string, pattern: RegExp][] = [
  ['clock', /\bDate\.now\b|\bperformance\s*\.\s*now\b|\bnew\s+Date\b|\bprocess\s*\.\s*hrtime\b/],
  [
    'randomness',
    /\bMath\s*\.\s*random\b|\brandomBytes\b|\brandomFill(Sync)?\b|\brandomInt\b|\bgetRandomValues\b|\brandomUUID\b/,
  ],
  [
    'timer',
    /\b(setTimeout|setInterval|setImmediate|queueMicrotask)\b|\bprocess\s*\.\s*nextTick\b|\btimers\/promises\b/,
  ],
  ['promise', /\b(Promise|async|await)\b/],
];

function impuritiesIn(text: string): string[] {
  const code = maskSource(text, { strings: true });
  return IMPURITIES.filter(([, pattern]) => pattern.test(code)).map(([name]) => name);
}

function isPureRoom(path: string): boolean {
  const room = roomOf(path);
  return room !== null && ROOMS.indexOf(room) < ROOMS.indexOf(FIRST_ROOM_WITH_PROMISES);
}

function syntaxProblems(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ text }) => /\b(enum|namespace)\s+\w+(\.\w+)*\s*\{/.test(maskSource(text, { strings: true })))
    .map(({ path }) => `${path}: enum or namespace`);
}

/** Whether there is anything in a file that could be wrong at run time: a function, a method, a class. */
function hasLogic(text: string): boolean {
  return /\b(function|class)\b|=>\s*[^;]*[({]/.test(
    maskSource(text, { strings: true }).replaceAll(/^export type[^;]*;/gm, ''),
  );
}

/** What a file imports of the project, types left out, and what it starts as a program of its own. */
function importedFiles(file: SourceFile): string[] {
  const imported = importsOf(file.text)
    .filter(({ kind }) => kind !== 'type')
    .map(({ specifier }) => resolveImport(file.path, specifier))
    .filter((path) => path !== null);
  const started = file.text.matchAll(/['"](?:\.\.\/)*(src\/[\w/-]+)\.js['"]/g);
  return [...imported, ...[...started].map((match) => `${match[1]}.ts`)];
}

function reachable(graph: ReadonlyMap<string, readonly string[]>, from: readonly string[]): Set<string> {
  const seen = new Set(from);
  for (const path of seen) for (const next of graph.get(path) ?? []) seen.add(next);
  return seen;
}

/** Unlike a comparison of lists, this shows all of a long list. */
function assertNone(problems: readonly string[]): void {
  assert.ok(problems.length === 0, `${problems.length} problems:\n${problems.join('\n')}`);
}

const sources = filesBelow('src', /\.tsx?$/);
const tests = filesBelow('test', /\.ts$/);

describe('reading source text', () => {
  it('tells code from comments, strings, templates and regular expressions', () => {
    const text =
      "const a = 'await'; // await\nconst b = /['\"`]/.test(`await ${a + `await`} await`) /* await */ ? 4 / 2 : await x;";
    const masked = maskSource(text, { strings: true });
    assert.equal(masked.length, text.length);
    assert.equal(masked.match(/await/g)?.length, 1);
    assert.equal(masked.indexOf('await'), text.lastIndexOf('await'));
    assert.match(masked, /4 \/ 2/);
  });

  it('finds every form of import', () => {
    const text = [
      "import type { A } from './a.ts';",
      "import { b, type B } from './b.ts';",
      "import { type C } from './c.ts';",
      "import './d.ts';",
      "export * from './e.ts';",
      "export type { F } from './f.ts';",
      "export const g = 'not an import';",
      "const { h } = await import('./h.ts');",
      "type I = import('./i.ts').I;",
      "// import './no.ts';",
      'import {\n  j,\n} from "./j.ts";',
      "import k, { type K } from './k.ts';",
    ].join('\n');
    const found = importsOf(text).map(({ specifier, kind }) => `${kind} ${specifier}`);
    assert.deepEqual(found.toSorted(), [
      'lazy ./h.ts',
      'lazy ./i.ts',
      'type ./a.ts',
      'type ./c.ts',
      'type ./f.ts',
      'value ./b.ts',
      'value ./d.ts',
      'value ./e.ts',
      'value ./j.ts',
      'value ./k.ts',
    ]);
  });
});

describe('rooms', () => {
  it('import only rooms above them', () => {
    const wrong = { path: 'src/wire/x.ts', text: "import type { Nic } from '../nic/nic.ts';" };
    assert.equal(directionProblems([wrong]).length, 1);
    assert.equal(directionProblems([{ path: 'src/attic/x.ts', text: '' }]).length, 1);
    assertNone(directionProblems(sources));
  });

  it('keep the FFI in linux/, and load linux/ only when it is needed', () => {
    const wrong = [
      { path: 'src/link/x.ts', text: "import koffi from 'koffi';" },
      { path: 'src/link/y.ts', text: "import { openTun } from '../linux/tun.ts';" },
    ];
    assert.equal(ffiProblems(wrong).length, 2);
    assertNone(ffiProblems(sources));
  });

  it('know neither clock, randomness, timers nor promises below socket/', () => {
    assert.deepEqual(impuritiesIn('const now = performance.now();'), ['clock']);
    assert.deepEqual(impuritiesIn('Math.random(); setTimeout(f, 1);'), ['randomness', 'timer']);
    assert.deepEqual(impuritiesIn('function open(): Promise<void> {}'), ['promise']);
    assert.deepEqual(impuritiesIn('// a promise of await\nconst asynchronous = 1;'), []);
    const found = new Map(sources.map(({ path, text }) => [path, impuritiesIn(text)]));
    const impure = [...found].filter(([path, uses]) => isPureRoom(path) && !IMPURE.has(path) && uses.length > 0);
    assertNone(impure.map(([path, uses]) => `${path} uses ${uses.join(', ')}`));
    const outdated = [...IMPURE.keys()].filter((path) => (found.get(path) ?? []).length === 0);
    assertNone(outdated.map((path) => `${path}: take it off the list of exceptions`));
  });

  it('are re-exported by index.ts, which does nothing else', () => {
    const index = sources.find(({ path }) => path === 'src/index.ts');
    assert.ok(index, 'src/index.ts is missing');
    const rest = maskSource(index.text, { strings: false }).replaceAll(/\bexport\b[^;]*\bfrom\s*'[^']+';/g, '');
    assert.equal(rest.trim(), '');
  });
});

describe('files', () => {
  it(`have at most ${MAX_FILE_LINES} lines`, () => {
    const folders = ['testing', 'fuzz', 'bench', 'examples', 'tools'];
    const all = [...sources, ...tests, ...folders.flatMap((folder) => filesBelow(folder, /\.(tsx?|mjs)$/))];
    const sized = all.map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }));
    assert.ok(sized.some(({ path, lines }) => path === 'test/structure.test.ts' && lines > 200));
    assertNone(sized.filter(({ lines }) => lines > MAX_FILE_LINES).map(({ path, lines }) => `${path}: ${lines} lines`));
  });

  it('hold no enum and no namespace', () => {
    assert.equal(syntaxProblems([{ path: 'x', text: 'export const enum A { B }' }]).length, 1);
    assert.equal(syntaxProblems([{ path: 'x', text: 'declare namespace A.B {}' }]).length, 1);
    assertNone(syntaxProblems(sources));
  });

  it('with logic are imported by a test, or tested with others of their room', () => {
    assert.ok(hasLogic('export function f(): void {}') && hasLogic('const f = (a: number): number => g(a);'));
    assert.ok(!hasLogic('export const A = 1;\nexport interface B { f(): void }'));
    const helpers = filesBelow('testing', /\.ts$/);
    const graph = new Map([...sources, ...tests, ...helpers].map((file) => [file.path, importedFiles(file)]));
    const tested = new Set(tests.flatMap(({ path }) => graph.get(path)!));
    for (const { files, tests: folder } of TESTED_TOGETHER) {
      const reached = reachable(
        graph,
        [...graph.keys()].filter((path) => path.startsWith(folder)),
      );
      for (const path of reached) if (path.startsWith(files)) tested.add(path);
    }
    const untested = sources.filter(({ path, text }) => hasLogic(text) && !tested.has(path));
    assertNone(untested.map(({ path }) => path));
  });
});

describe('the main entry', () => {
  /** What a fresh process has loaded after importing `url`: shared objects of the process, CommonJS modules. */
  function loadedBy(url: string): { shared: string[]; modules: string[] } {
    const script = `
      import { createRequire } from 'node:module';
      await import(${JSON.stringify(url)});
      process.report.excludeNetwork = true;
      const shared = process.report.getReport().sharedObjects;
      const modules = Object.keys(createRequire(${JSON.stringify(import.meta.url)}).cache);
      process.stdout.write(JSON.stringify({ shared, modules }));`;
    const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: projectRoot,
      encoding: 'utf8',
    });
    return JSON.parse(output) as { shared: string[]; modules: string[] };
  }

  it('loads no FFI', () => {
    const control = loadedBy('koffi');
    assert.ok(
      control.shared.some((path) => path.includes('koffi')),
      'the check does not see koffi where it is loaded',
    );
    assert.ok(control.modules.some((path) => path.includes('koffi')));
    const { shared, modules } = loadedBy(pathToFileURL(join(buildRoot, 'src', 'index.js')).href);
    assert.deepEqual(
      shared.filter((path) => path.endsWith('.node')),
      [],
    );
    assert.deepEqual(
      modules.filter((path) => path.includes('node_modules')),
      [],
    );
  });
});
