import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { finished } from '../../testing/finished.ts';
import { CLI_MAIN, runCli } from '../../testing/run-cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'devmem-tcp-cli-'));
after(() => rmSync(folder, { recursive: true }));

function configFile(name: string, document: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof document === 'string' ? document : JSON.stringify(document));
  return path;
}

const COMMANDS = ['demo', 'recv', 'send', 'completion', 'help'];

test('help of every command: on stdout, exit 0, 80 columns, two examples at the end', async () => {
  for (const command of ['', ...COMMANDS]) {
    const run = await runCli([command, '--help'].filter((word) => word !== ''));
    assert.equal(run.code, 0, command);
    assert.equal(run.stderr, '');
    for (const line of run.stdout.split('\n')) {
      // A pipeline in an example cannot be broken; nothing else is longer than the screen.
      if (!line.includes(' | ')) assert.ok(line.length <= 80, line);
    }
    const examples = run.stdout.split('Examples:\n')[1]!;
    assert.equal(examples.match(/^ {2}# /gm)?.length, 2, command);
    assert.match(run.stdout, /Exit codes:/);
  }
});

test('"help recv" is "recv --help"', async () => {
  const [asked, flag] = await Promise.all([runCli(['help', 'recv']), runCli(['recv', '--help'])]);
  assert.equal(asked.stdout, flag.stdout);
  assert.equal(asked.code, 0);
});

test('no command: help on stderr, exit 2', async () => {
  const run = await runCli([]);
  assert.equal(run.code, 2);
  assert.equal(run.stdout, '');
  assert.match(run.stderr, /^Usage: devmem-tcp <command>/);
});

test('version', async () => {
  for (const flag of ['-V', '--version']) {
    const run = await runCli([flag]);
    assert.match(run.stdout, /^devmem-tcp \d+\.\d+\.\d+\n$/);
    assert.equal(run.code, 0);
  }
});

test('usage errors: one line, one hint, exit 2, nothing on stdout', async () => {
  const cases: [string[], RegExp][] = [
    [['rcv'], /^devmem-tcp: unknown command 'rcv'\nhint: did you mean recv\?/],
    [['recv', '--sise', '3'], /^devmem-tcp: recv: unknown option '--sise'\nhint: did you mean --size\?/],
    [['recv', '--size', '5x'], /^devmem-tcp: recv: option '--size <size>' argument '5x' is invalid\nhint: give a size/],
    [['recv', '--memory', 'gpu'], /^devmem-tcp: recv: .*'gpu' is invalid\nhint: choose from memfd, udmabuf, shared\n/],
    [
      ['send', 'x', '10.0.0.1:1', '-C', 'vegas'],
      /^devmem-tcp: send: .*'vegas' is invalid\nhint: choose from cubic, reno, bbr, bbr3\n/,
    ],
    [['recv', '--port', '70000'], /hint: give a whole number from 1 to 65535\n/],
    [['recv', '--mtu', '65522'], /hint: give a whole number from 68 to 65521\n/],
    [['recv', '--mtu', '67'], /hint: give a whole number from 68 to 65521\n/],
    [['recv', '--queues', '64'], /hint: give a whole number from 1 to 63\n/],
    [
      ['recv', '-f', 'x', '-s', '10.77.0.2/24', '--queues', '63', '--first-queue', '2'],
      /--first-queue 2 and --queues 63 need queue 64\nhint: .*at most 64/,
    ],
    [
      ['send', '/dev/null', '10.77.0.1:1', '-f', 'x', '-s', '10.77.0.2/24', '-z', '128MiB', '--size', '64KiB'],
      /--max-chunk 128 MiB does not fit into --size 64 KiB.*\nhint: /,
    ],
    [['recv', '--validate', '1'], /hint: give a period from 2 to 256\n/],
    [['recv'], /^devmem-tcp: recv: --link is missing\nhint: .*devmem-tcp demo/],
    [['recv', '--link', 'tap:x'], /^devmem-tcp: recv: --address is missing\nhint: /],
    [
      ['recv', '-f', 'x', '-s', '10.77.0.2', '--memory', 'shared', '--size', '64K'],
      /not an address with a prefix length.*\nhint: /,
    ],
    [
      ['recv', '-f', 'wifi:x', '-s', '10.77.0.2/24', '--memory', 'shared', '--size', '64K'],
      /wifi:x is not a link.*\nhint: /,
    ],
    [
      ['recv', '-f', 'x', '-s', '10.77.0.2/24', '--size', '5000', '--memory', 'shared'],
      /5000 bytes.*multiple of 4096.*\nhint: .*4096/,
    ],
    [['recv', '-f', 'x', '-s', '10.77.0.2/24', '-n', '2', '-o', 'f'], /one file for 2 connections\nhint: .*f\.%n/],
    [['send', 'file'], /missing required argument 'host:port'\nhint: /],
    [
      ['send', 'file', 'nowhere', '-f', 'x', '-s', '10.77.0.2/24'],
      /"nowhere" is not HOST:PORT\nhint: .*10\.77\.0\.1:5201/,
    ],
    [['completion', 'ksh'], /hint: choose from bash, zsh, fish\n/],
    [['help', 'nothing'], /unknown command 'nothing'\nhint: commands: demo/],
    [['demo', '--size', '0'], /--size 0.*\nhint: /],
    [['demo', '--memory-size', '5000'], /multiple of 4096/],
  ];
  for (const [args, expected] of cases) {
    const run = await runCli(args);
    assert.match(run.stderr, expected, args.join(' '));
    assert.equal(run.stderr.split('\n').length, 3, run.stderr);
    assert.equal(run.code, 2, args.join(' '));
    assert.equal(run.stdout, '');
  }
});

test(
  'a result that cannot be written: one line, one hint, exit 1',
  { skip: process.platform !== 'linux' },
  async () => {
    for (const args of [
      ['demo', '--size', '64K', '--json'],
      ['demo', '--help'],
      ['completion', 'bash'],
      ['--version'],
    ]) {
      const full = openSync('/dev/full', 'w');
      const child = spawn(process.execPath, [CLI_MAIN, ...args], { stdio: ['ignore', full, 'pipe'] });
      closeSync(full);
      const run = await finished(child);
      assert.match(
        run.stderr,
        /^devmem-tcp: .*write stdout: no space left on device \(ENOSPC\)\nhint: .*\n$/,
        args.join(' '),
      );
      assert.equal(run.code, 1);
    }
  },
);

test('a missing file to send: exit 1, before anything is set up', async () => {
  const run = await runCli(['send', '/nonexistent/file', '10.77.0.1:5201', '-f', 'x', '-s', '10.77.0.2/24']);
  assert.match(run.stderr, /^devmem-tcp: send: open \/nonexistent\/file: no such file or directory \(ENOENT\)\nhint: /);
  assert.equal(run.code, 1);
  const directory = await runCli(['send', '/', '10.77.0.1:5201', '-f', 'x', '-s', '10.77.0.2/24']);
  assert.match(directory.stderr, /\(EISDIR\)\nhint: name a file/);
  assert.equal(directory.code, 1);
});

test('an output that cannot be opened: exit 1, before anything is set up', async () => {
  const run = await runCli(['recv', '-f', 'x', '-s', '10.77.0.2/24', '-o', '/nonexistent/file']);
  assert.match(run.stderr, /^devmem-tcp: recv: open \/nonexistent\/file: no such file/);
  assert.equal(run.code, 1);
});

async function settings(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Record<string, unknown>> {
  const run = await runCli(['recv', ...args, '--print-config'], { env });
  assert.equal(run.code, 0, run.stderr);
  return (JSON.parse(run.stdout) as { recv: Record<string, unknown> }).recv;
}

test('a flag beats the environment, which beats the file, which beats the default', async () => {
  const file = configFile('some.json', {
    port: 1,
    size: '64K',
    recv: { size: '128K', address: ['10.0.0.1/8', 'fd00::1/64'] },
  });
  assert.equal((await settings([]))['port'], 5201);
  assert.equal((await settings(['--config', file]))['port'], 1);
  assert.equal((await settings(['--config', file], { DEVMEM_TCP_PORT: '2' }))['port'], 2);
  assert.equal((await settings(['--config', file, '-p', '3'], { DEVMEM_TCP_PORT: '2' }))['port'], 3);
  assert.equal((await settings([], { DEVMEM_TCP_CONFIG: file }))['port'], 1);
  assert.equal((await settings(['--config', file]))['size'], 131_072, 'the own object beats the top level');
  assert.deepEqual((await settings(['--config', file]))['address'], ['10.0.0.1/8', 'fd00::1/64']);
  assert.deepEqual((await settings(['--config', file, '-s', '1.1.1.1/8']))['address'], ['1.1.1.1/8']);
  assert.deepEqual((await settings([], { DEVMEM_TCP_ADDRESS: '1.1.1.1/8, ::1/64' }))['address'], [
    '1.1.1.1/8',
    '::1/64',
  ]);
});

test('switches and counts from the environment', async () => {
  const given = await settings([], { DEVMEM_TCP_JSON: '1', DEVMEM_TCP_NO_OFFLOAD: 'true', DEVMEM_TCP_VERBOSE: '2' });
  assert.deepEqual([given['json'], given['no-offload'], given['verbose']], [true, true, 2]);
  assert.equal((await settings([], { DEVMEM_TCP_NO_OFFLOAD: '0' }))['no-offload'], false);
});

test('what --print-config prints is what --config takes', async () => {
  const first = await runCli(['recv', '-f', 'dm0', '-s', '10.0.0.1/8', '--no-offload', '--validate', '--print-config']);
  const file = configFile('printed.json', first.stdout);
  const again = await runCli(['recv', '--config', file, '--print-config']);
  assert.deepEqual(JSON.parse(again.stdout), JSON.parse(first.stdout));
});

test('a bad setting is refused wherever it stands', async () => {
  const cases: [unknown, RegExp][] = [
    ['{', /--config .*json: .*\nhint: /],
    ['[1]', /not a JSON object/],
    [{ prot: 1 }, /unknown setting "prot"/],
    [{ recv: { porrt: 1 } }, /unknown setting "recv\.porrt"/],
    [{ recv: 5 }, /"recv" must hold an object/],
    [{ recv: { port: 'x' } }, /"port": "x" is invalid\nhint: give a whole number/],
    [{ recv: { json: 'perhaps' } }, /neither true nor false/],
  ];
  for (const [document, expected] of cases) {
    const run = await runCli(['recv', '--config', configFile('bad.json', document), '--print-config']);
    assert.match(run.stderr, expected);
    assert.equal(run.code, 2);
  }
  const environment = await runCli(['recv', '--print-config'], { env: { DEVMEM_TCP_MEMORY: 'gpu' } });
  assert.match(environment.stderr, /DEVMEM_TCP_MEMORY: "gpu" is invalid/);
  assert.equal(environment.code, 2);
});

test('colour only when asked for or on a terminal', async () => {
  const escape = '\u001B[';
  assert.ok(!(await runCli(['recv', '--help'])).stdout.includes(escape));
  assert.ok((await runCli(['recv', '--help'], { env: { FORCE_COLOR: '1' } })).stdout.includes(escape));
  assert.ok((await runCli(['rcv', '--color', 'always'])).stderr.includes(escape));
  assert.ok(!(await runCli(['rcv', '--color=never'], { env: { FORCE_COLOR: '1' } })).stderr.includes(escape));
});

test('a stack trace with -vv only', async () => {
  const quiet = await runCli(['recv', '-f', 'x', '-s', '10.77.0.2/24', '-o', '/nonexistent/f']);
  const loud = await runCli(['recv', '-f', 'x', '-s', '10.77.0.2/24', '-o', '/nonexistent/f', '-vv']);
  assert.doesNotMatch(quiet.stderr, /\n {4}at /);
  assert.match(loud.stderr, /Error: ENOENT/);
});
