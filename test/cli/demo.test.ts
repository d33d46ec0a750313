import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DemoDocument } from '../../src/cli/demo-result.ts';
import { readSchema, schemaViolations } from '../../testing/json-schema.ts';
import { finished, type Finished } from '../../testing/finished.ts';
import { runCli, startCli } from '../../testing/run-cli.ts';

function documentOf(run: Finished): DemoDocument {
  const document = JSON.parse(run.stdout) as DemoDocument;
  assert.deepEqual(schemaViolations(document, readSchema('demo')), []);
  return document;
}

const MIB = 1024 * 1024;

test('everything arrives in device memory, in place, and every page comes back', async () => {
  for (const args of [[], ['--ipv6'], ['--mtu', '1500'], ['--memory-size', '64K']]) {
    const run = await runCli(['demo', '--size', '24MiB', '--memory-size', '4MiB', '--json', ...args]);
    assert.equal(run.code, 0, run.stderr);
    assert.equal(run.stderr, '');
    const document = documentOf(run);
    assert.equal(document.complete, true);
    assert.equal(document.interrupted, false);
    assert.equal(document.bytes, 24 * MIB);
    assert.equal(document.digest, document.sent_digest);
    assert.equal(document.verified, true);
    const { devmem } = document;
    assert.equal(devmem.dmabuf_bytes + devmem.linear_bytes, 24 * MIB);
    assert.equal(devmem.linear_bytes, 0);
    assert.equal(devmem.copied_bytes, 0);
    assert.equal(devmem.tokens_returned, devmem.frags);
    assert.equal(devmem.pages_bound, document.memory.bytes / 4096);
    assert.equal(devmem.pages_free, devmem.pages_bound);
    assert.equal(document.rx_drop_no_page, 0);
  }
});

test('sizes that fit nothing', async () => {
  for (const size of ['1', '4095', '4097', '1048577']) {
    const run = await runCli(['demo', '--size', size, '--memory-size', '1MiB', '--json']);
    assert.equal(run.code, 0, run.stderr);
    assert.equal(documentOf(run).bytes, Number(size));
  }
});

test('for people: a picture, a table, both digests; nothing wider than the screen', async () => {
  const run = await runCli(['demo', '--size', '8MiB', '--memory-size', '1MiB']);
  assert.equal(run.code, 0, run.stderr);
  assert.match(run.stdout, /^8\.00 MiB from device memory to device memory in .* ok\n/);
  assert.match(run.stdout, /═{20,}▶/);
  assert.match(run.stdout, /copied by the CPU above the NIC +0 +0 %/);
  assert.match(run.stdout, /ok: equal/);
  assert.match(run.stdout, /256 of 256 free {2}ok/);
  for (const line of run.stdout.split('\n')) assert.ok(line.length <= 80, line);
});

test('where the locale is not UTF-8, plain ASCII', async () => {
  const run = await runCli(['demo', '--size', '1MiB'], { env: { LC_ALL: 'C' } });
  // oxlint-disable-next-line no-control-regex
  assert.match(run.stdout, /^[\n\x20-\x7e]+$/);
});

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  test(`${signal}: what was sent arrives, the result says partial, exit ${code}`, async () => {
    const child = startCli(['demo', '--size', '1000GiB', '--json', '-v']);
    child.stdin.end();
    const ended = finished(child);
    child.stderr.once('data', () => child.kill(signal));
    const run = await ended;
    assert.equal(run.code, code, run.stderr);
    const document = documentOf(run);
    assert.equal(document.interrupted, true);
    assert.equal(document.complete, false);
    assert.equal(document.digest, document.sent_digest);
    assert.equal(document.devmem.pages_free, document.devmem.pages_bound);
  });
}

/** A receiver that takes nothing more after a while, loaded before the command. */
const STALLED_RECEIVER = `
import { UserSocket } from ${JSON.stringify(new URL('../../src/socket/user-socket.js', import.meta.url).href)};
const { recvmsgSync } = UserSocket.prototype;
let calls = 0;
UserSocket.prototype.recvmsgSync = function (message, flags) {
  if (++calls <= 20 || this.closed) return recvmsgSync.call(this, message, flags);
  if (calls === 21) process.stderr.write('stalled');
  return -11;
};
`;

test('SIGINT to a transfer that stands still: the partial result, exit 130', async () => {
  const preload = `data:text/javascript,${encodeURIComponent(STALLED_RECEIVER)}`;
  const args = ['demo', '--size', '1000GiB', '--memory-size', '1MiB', '--json'];
  const child = startCli(args, { env: { NODE_OPTIONS: `--import "${preload}"` } });
  child.stdin.end();
  const ended = finished(child);
  child.stderr.once('data', () => child.kill('SIGINT'));
  const run = await ended;
  assert.equal(run.code, 130, run.stderr);
  assert.equal(run.stderr, 'stalled');
  const document = documentOf(run);
  assert.equal(document.interrupted, true);
  assert.equal(document.complete, false);
  assert.equal(document.verified, false, 'what was on its way is lost');
  assert.equal(document.devmem.pages_free, document.devmem.pages_bound);
});

test('SIGINT before there is a connection: an empty result, exit 130', async () => {
  const preload = `data:text/javascript,${encodeURIComponent(`
import { UserHost } from ${JSON.stringify(new URL('../../src/socket/user-host.js', import.meta.url).href)};
const { connect } = UserHost.prototype;
UserHost.prototype.connect = function (options) {
  process.stderr.write('connecting');
  return connect.call(this, { ...options, host: '10.77.0.9' });
};
`)}`;
  const child = startCli(['demo', '--json'], { env: { NODE_OPTIONS: `--import "${preload}"` } });
  child.stdin.end();
  const ended = finished(child);
  child.stderr.once('data', () => child.kill('SIGINT'));
  const run = await ended;
  assert.equal(run.code, 130, run.stderr);
  assert.equal(documentOf(run).bytes, 0);
});
