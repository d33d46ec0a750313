import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { renderCompletion } from '../../src/cli/completions.ts';
import { plainStyle, renderCliMarkdown } from '../../src/cli/docs.ts';
import { renderManPage } from '../../src/cli/man.ts';
import { buildProgram, inert } from '../../src/cli/program.ts';
import { projectRoot } from '../../testing/project.ts';
import { runCli } from '../../testing/run-cli.ts';

const program = buildProgram(plainStyle(80), inert);

test('docs/cli.md is what the command tree says', () => {
  const committed = readFileSync(join(projectRoot, 'docs/cli.md'), 'utf8');
  assert.equal(committed, renderCliMarkdown(), 'run: devmem-tcp help --markdown > docs/cli.md');
});

test('"help --markdown" prints it', async () => {
  assert.equal((await runCli(['help', '--markdown'])).stdout, renderCliMarkdown());
});

test('every option of every command is in the docs, the man page and the completions', () => {
  const markdown = renderCliMarkdown();
  for (const command of program.commands) {
    const page = renderManPage(command).replaceAll('\\-', '-');
    for (const option of command.options.filter((candidate) => !candidate.hidden)) {
      assert.ok(markdown.includes(option.long!), `${command.name()} ${option.flags}`);
      assert.ok(page.includes(option.flags), `${command.name()} ${option.flags}`);
      for (const shell of ['bash', 'zsh'] as const) {
        assert.ok(renderCompletion(program, shell).includes(option.long!), `${shell} ${option.long}`);
      }
      assert.ok(renderCompletion(program, 'fish').includes(` -l ${option.long!.slice(2)}`), command.name());
    }
  }
});

function completed(script: string, words: readonly string[]): string[] {
  const list = words.map((word) => `'${word}'`).join(' ');
  const code = `${script}\nCOMP_WORDS=(${list}); COMP_CWORD=$((${words.length} - 1)); _devmem_tcp; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['-c', code], { encoding: 'utf8' }).trim().split('\n');
}

const hasBash = spawnSync('bash', ['--version']).status === 0;

test('bash completes commands, options and values', { skip: hasBash ? false : 'bash is not installed' }, () => {
  const script = renderCompletion(program, 'bash');
  assert.deepEqual(completed(script, ['devmem-tcp', 're']), ['recv']);
  assert.deepEqual(completed(script, ['devmem-tcp', 'recv', '--mem']), ['--memory']);
  assert.deepEqual(completed(script, ['devmem-tcp', 'recv', '--memory', '']), ['memfd', 'udmabuf', 'shared']);
  assert.deepEqual(completed(script, ['devmem-tcp', 'recv', '-m', 'u']), ['udmabuf']);
  assert.deepEqual(completed(script, ['devmem-tcp', 'completion', 'z']), ['zsh']);
  assert.deepEqual(completed(script, ['devmem-tcp', 'help', 'se']), ['send']);
  assert.deepEqual(completed(script, ['devmem-tcp', 'send', '/etc/hostnam']), ['/etc/hostname']);
});

for (const [shell, check] of [
  ['zsh', ['-n']],
  ['fish', ['--no-execute']],
] as const) {
  const missing = spawnSync(shell, ['--version']).status !== 0;
  test(`${shell} takes its script`, { skip: missing ? `${shell} is not installed` : false }, () => {
    const folder = mkdtempSync(join(tmpdir(), 'devmem-tcp-completion-'));
    try {
      // Neither shell reads a script from a standard input that is a socket, as the one of Node's children is.
      writeFileSync(join(folder, 'script'), renderCompletion(program, shell));
      execFileSync(shell, [...check, join(folder, 'script')]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}

const hasGroff = spawnSync('groff', ['--version']).status === 0;

test('groff has nothing to say about the man pages', { skip: hasGroff ? false : 'groff is not installed' }, () => {
  for (const command of [program, ...program.commands]) {
    const source = renderManPage(command);
    const run = spawnSync('groff', ['-man', '-Tascii', '-ww', '-z'], { input: source, encoding: 'utf8' });
    assert.equal(run.stderr, '', command.name());
    for (const section of ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'EXIT STATUS', 'EXAMPLES'])
      assert.ok(source.includes(`.SH ${section}`));
  }
});
