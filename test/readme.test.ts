/**
 * Runs what README shows, as it stands there.
 *
 * - `ts` and `js` blocks are compiled and run as a program that has installed the package.
 * - `sh` blocks run in an empty folder with `devmem-tcp` on the PATH; of `console` blocks the lines that begin with `$ `
 *   run, and the other lines must come out in that order, where `...` stands for any text.
 * - `<!-- test: root tools=nc,curl -->` on the line before a block says what it needs (with `root` it runs in a network
 *   namespace of its own); `seconds=N` how long it may take.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { describe, it } from 'node:test';
import { buildRoot, projectRoot } from '../testing/project.ts';
import { requireInterop, type InteropNeeds } from '../testing/requirements.ts';
import { fencedBlocks, linkProblems, changelogProblems, type FencedBlock } from '../tools/markdown.ts';

const DEFAULT_SECONDS = 60;
/** Run in a fresh clone by tools/fresh-clone.sh, and by whoever runs this test. */
const FRESH_CLONE_COMMANDS = ['npm ci && npm start', 'npm ci && npm test'];
/** Blocks in these languages are pictures and settings, not programs. */
const NOT_RUN = new Set(['', 'text', 'json', 'diff']);
const KNOWN_DIRECTIVES = new Set(['root', 'tools', 'seconds']);

const readme = readFileSync(join(projectRoot, 'README.md'), 'utf8');
const blocks = fencedBlocks(readme);

function needsOf(block: FencedBlock): InteropNeeds {
  const tools = block.directives.get('tools')?.split(',') ?? [];
  return block.directives.has('root') ? { root: true, tun: true, tools } : { tools };
}

/** A folder that looks like a project with the package installed; removed after `use`. */
async function inProject(use: (folder: string) => Promise<void> | void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'devmem-tcp-readme-'));
  try {
    const modules = join(folder, 'node_modules');
    mkdirSync(join(modules, '.bin'), { recursive: true });
    symlinkSync(projectRoot, join(modules, 'devmem-tcp'));
    symlinkSync(join(projectRoot, 'node_modules', '@types'), join(modules, '@types'));
    const command = join(modules, '.bin', 'devmem-tcp');
    writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${join(buildRoot, 'src/cli/main.js')}' "$@"\n`);
    chmodSync(command, 0o755);
    writeFileSync(join(folder, 'package.json'), '{ "type": "module", "private": true }');
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function runProgram(block: FencedBlock, folder: string): void {
  if (block.language === 'ts') {
    writeFileSync(join(folder, 'example.ts'), block.text);
    const compiler = join(projectRoot, 'node_modules', 'typescript', 'bin', 'tsc');
    const options = ['--strict', '--target', 'es2023', '--lib', 'es2023,esnext.disposable', '--module', 'nodenext'];
    execFileSync(process.execPath, [compiler, ...options, '--types', 'node', 'example.ts'], { cwd: folder });
  } else {
    writeFileSync(join(folder, 'example.js'), block.text);
  }
  const timeout = secondsOf(block) * 1000;
  execFileSync(process.execPath, ['example.js'], { cwd: folder, timeout, stdio: 'pipe' });
}

function secondsOf(block: FencedBlock): number {
  return Number(block.directives.get('seconds') ?? DEFAULT_SECONDS);
}

/**
 * Runs a script and ends, with it, whatever it left running in the background. A script that needs root gets a network
 * namespace of its own: its devices meet nobody else's and go with it.
 */
async function runShell(script: string, block: FencedBlock, folder: string): Promise<string> {
  const path = [join(folder, 'node_modules', '.bin'), process.env['PATH'] ?? ''].join(delimiter);
  const shell = ['bash', '-euo', 'pipefail', '-c'];
  const command = block.directives.has('root')
    ? ['unshare', '--net', ...shell, `ip link set lo up\n${script}`]
    : [...shell, script];
  const child = spawn(command[0]!, command.slice(1), {
    cwd: folder,
    detached: true,
    env: { ...process.env, PATH: path },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const timer = setTimeout(() => endGroup(child.pid!), secondsOf(block) * 1000);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [status, signal] = (await once(child, 'exit')) as [number | null, string | null];
  clearTimeout(timer);
  endGroup(child.pid!);
  assert.equal(status ?? signal, 0, `${script}\nended with ${status ?? signal}:\n${stdout}${stderr}`);
  return stdout;
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // All of it has ended by itself.
  }
}

/** Checks that the lines of `expected` occur in `output`, in order; `...` stands for any text within a line. */
function assertShows(output: string, expected: readonly string[]): void {
  let rest = output.split('\n');
  for (const line of expected) {
    const parts = line
      .trim()
      .split('...')
      .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll(/\s+/g, '\\s+'));
    const pattern = new RegExp(`^\\s*${parts.join('.*')}\\s*$`);
    const index = rest.findIndex((candidate) => pattern.test(candidate));
    assert.notEqual(index, -1, `the output has no line\n${line}\nin the rest of\n${output}`);
    rest = rest.slice(index + 1);
  }
}

/** The commands of a block and what they print, as far as the block shows it. */
function commandsOf(block: FencedBlock): { script: string; shown: string[] } {
  if (block.language === 'sh') return { script: block.text, shown: [] };
  const lines = block.text.split('\n').filter((line) => line.trim() !== '');
  const isCommand = lines.map((line, index) => line.startsWith('$ ') || lines[index - 1]?.endsWith('\\') === true);
  const script = lines.filter((_, index) => isCommand[index]).map((line) => line.replace(/^\$ /, ''));
  return {
    script: script.join('\n'),
    shown: lines.filter((line, index) => !isCommand[index] && line.trim() !== '...'),
  };
}

describe('README', () => {
  it('has the two commands that a fresh clone is tried with', () => {
    const commands = new Set(
      blocks.flatMap((block) => block.text.split('\n').map((line) => line.replace(/\s*#.*$/, ''))),
    );
    for (const command of FRESH_CLONE_COMMANDS) assert.ok(commands.has(command), command);
    const script = readFileSync(join(projectRoot, 'tools', 'fresh-clone.sh'), 'utf8');
    assert.ok(script.includes(FRESH_CLONE_COMMANDS[0]!));
  });

  it('has a library example and no directive that nobody reads', () => {
    assert.ok(blocks.some(({ language, text }) => language === 'ts' && text.includes("from 'devmem-tcp'")));
    const unknown = blocks
      .flatMap(({ directives }) => [...directives.keys()])
      .filter((key) => !KNOWN_DIRECTIVES.has(key));
    assert.deepEqual(unknown, []);
  });

  for (const block of blocks) {
    if (NOT_RUN.has(block.language)) continue;
    it(`line ${block.line}: the ${block.language} block does what it says`, async (t) => {
      if (!requireInterop(t, needsOf(block))) return;
      await inProject(async (folder) => {
        if (block.language === 'ts' || block.language === 'js') {
          runProgram(block, folder);
          return;
        }
        assert.match(block.language, /^(sh|console)$/, 'a language that nothing here can run');
        const { script, shown } = commandsOf(block);
        const rest = script.split('\n').filter((line) => !/^npm ci\b/.test(line));
        if (rest.join('').trim() !== '') assertShows(await runShell(rest.join('\n'), block, folder), shown);
      });
    });
  }
});

describe('the checks of Markdown', () => {
  it('find fences, directives and languages', () => {
    const text = ['a', '<!-- test: root tools=nc,curl -->', '```sh', 'x', '```', '````md', '```', '````'].join('\n');
    const found = fencedBlocks(text);
    assert.deepEqual(
      found.map(({ language, text: body, line }) => [language, body, line]),
      [
        ['sh', 'x', 3],
        ['md', '```', 6],
      ],
    );
    assert.deepEqual(
      [...found[0]!.directives],
      [
        ['root', ''],
        ['tools', 'nc,curl'],
      ],
    );
    assert.throws(() => fencedBlocks('```\nopen'), /never closed/);
  });

  it('find links that lead nowhere', () => {
    const text = [
      '# A heading, `code`',
      '[a](#a-heading-code) [b](#none) [c](gone.md) [d](here.md#there)',
      '`[e](no.md)`',
    ].join('\n');
    const problems = linkProblems(text, (target) => (target === 'here.md' ? '## There\n' : null));
    assert.deepEqual(problems, ['2: #none: no such heading', '2: gone.md does not exist']);
    assert.deepEqual(
      linkProblems('[a][b]\n\n[b]: https://example.org', () => null),
      [],
    );
    assert.deepEqual(
      linkProblems('[a][b]', () => null),
      ['1: [b] is not defined'],
    );
  });

  it('know the form of a change log', () => {
    assert.deepEqual(changelogProblems('# Changelog\n\n## [Unreleased]\n\n### Added\n\n- a\n'), []);
    assert.equal(changelogProblems('# Changelog\n\n## [1.0.0]\n\n### New\n').length, 3);
  });
});
