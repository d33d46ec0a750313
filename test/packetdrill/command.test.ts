import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { buildRoot } from '../../testing/project.ts';

const folder = mkdtempSync(join(tmpdir(), 'devmem-tcp-packetdrill-'));
after(() => rmSync(folder, { recursive: true }));

const SYN = `0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) <...>
`;

function run(tool: string, ...words: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(buildRoot, 'tools', `${tool}.js`), ...words], {
    encoding: 'utf8',
  });
  return { status, output: stdout + stderr };
}

function script(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

void test('packetdrill: plays files in all modes, and says what fails where', () => {
  const good = script('good.pkt', SYN);
  const bad = script('bad.pkt', SYN.replace('= 3', '= WANTED').replace('(3,', '(WANTED,').replace('0:0(0)', '0:5(5)'));
  const passing = run('packetdrill', good);
  assert.equal(passing.status, 0, passing.output);
  assert.match(
    passing.output,
    /^ok {3}\S+good\.pkt \[ipv4\]\nok {3}\S+ \[ipv6\]\nok {3}\S+ \[ipv4-mapped-ipv6\]\n3 of 3 passed\n$/,
  );
  const failing = run('packetdrill', '--ip_version', 'ipv6', '-D', 'WANTED=4', good, bad);
  assert.equal(failing.status, 1);
  assert.match(failing.output, /FAIL \S+bad\.pkt \[ipv6\]\n {5}0\.000000 socket/);
  assert.match(failing.output, /bad\.pkt:3: payload bytes: expected 5, actual 0/);
  assert.match(failing.output, /1 of 2 passed\n$/);
});

void test('packetdrill: usage, for want of files and on request', () => {
  assert.equal(run('packetdrill').status, 2);
  assert.equal(run('packetdrill', '--ip_version=ipv5', 'x').status, 2);
  const help = run('packetdrill', '--help');
  assert.equal(help.status, 0);
  assert.match(help.output, /^Usage: npm run packetdrill/);
  const missing = run('packetdrill', join(folder, 'missing.pkt'));
  assert.equal(missing.status, 2);
  assert.match(missing.output, /missing\.pkt/);
});

void test('linux-packetdrill: a table of the scripts in a folder', () => {
  script('good.pkt', SYN);
  script('bad.pkt', SYN.replace('> S 0:0(0)', '> S 0:5(5)'));
  const { status, output } = run('linux-packetdrill', '--scripts', folder);
  assert.equal(status, 0, output);
  assert.match(output, /^bad\.pkt +fail fail fail {2}3: payload bytes: expected 5, actual 0$/m);
  assert.match(output, /^good\.pkt +pass pass pass$/m);
  assert.match(output, /2 scripts: 1 pass, 1 fail, 0 do not apply/);
  const empty = run('linux-packetdrill', '--scripts', mkdtempSync(join(folder, 'empty-')));
  assert.equal(empty.status, 2);
  assert.match(empty.output, /has no scripts/);
});
