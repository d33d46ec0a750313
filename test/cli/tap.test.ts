import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { patternBytes } from '../../src/cli/pattern.ts';
import type { ReceiveDocument } from '../../src/cli/receive-result.ts';
import type { SendDocument } from '../../src/cli/transmit.ts';
import { readSchema, schemaViolations } from '../../testing/json-schema.ts';
import { finished, type Finished } from '../../testing/finished.ts';
import { NetworkNamespace } from '../../testing/netns.ts';
import { requireInterop } from '../../testing/requirements.ts';
import { CLI_MAIN } from '../../testing/run-cli.ts';

const NEEDS = { root: true, tun: true, tools: ['ip', 'setpriv', 'unshare'] };
const folder = mkdtempSync(join(tmpdir(), 'devmem-tcp-tap-'));
after(() => rmSync(folder, { recursive: true }));

const MIB = 1024 * 1024;
const PAYLOAD = Buffer.from(new Uint32Array(2 * MIB).map((_, i) => Math.imul(i, 2_654_435_761)).buffer);
const PAYLOAD_FILE = join(folder, 'payload');
writeFileSync(PAYLOAD_FILE, PAYLOAD);

const V4 = ['--address', '10.77.0.2/24', '--peer-address', '10.77.0.1/24'];
const V6 = ['--address', 'fd77::2/64', '--peer-address', 'fd77::1/64'];

/** A client on the kernel's TCP: sends a file as fast as it is taken, `count` times side by side. */
const CLIENT = `
const [host, port, file, count] = process.argv.slice(1);
const { connect } = require('node:net'); const { createReadStream } = require('node:fs');
for (let i = 0; i < Number(count); i++) createReadStream(file, { highWaterMark: 1 << 20 }).pipe(connect(Number(port), host));
`;
/** A server on the kernel's TCP: prints how much came and its digest. */
const SERVER = `
const { createServer } = require('node:net'); const { createHash } = require('node:crypto');
const hash = createHash('sha256'); let bytes = 0;
const server = createServer((socket) => {
  socket.on('data', (data) => { hash.update(data); bytes += data.length; });
  socket.on('end', () => { socket.end(); server.close(); console.log(bytes + ' ' + hash.digest('hex')); });
}).listen(5300, () => console.log('ready'));
`;

interface Recv {
  readonly run: Finished;
  readonly document: ReceiveDocument;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Runs `work` in a network namespace of its own. */
async function inNamespace(t: TestContext, work: (namespace: NetworkNamespace) => Promise<void>): Promise<void> {
  if (!requireInterop(t, NEEDS)) return;
  const namespace = new NetworkNamespace();
  try {
    await work(namespace);
  } finally {
    namespace.close();
  }
}

/** Starts `recv`, and a client of the kernel's once it listens. */
async function receive(
  namespace: NetworkNamespace,
  args: readonly string[],
  options: { host?: string; file?: string; count?: number } = {},
): Promise<Recv> {
  const child = namespace.start(process.execPath, [CLI_MAIN, 'recv', '-f', 'dmt-cli', '--json', ...args]);
  child.stderr!.once('data', () => {
    const { host = '10.77.0.2', file = PAYLOAD_FILE, count = 1 } = options;
    namespace.start(process.execPath, ['-e', CLIENT, host, '5201', file, String(count)], { stdio: 'ignore' });
  });
  const run = await finished(child);
  const text = run.stdout.startsWith('{') ? run.stdout : run.stderr.slice(run.stderr.indexOf('{'));
  const document = JSON.parse(text.slice(0, text.lastIndexOf('\n}') + 2)) as ReceiveDocument;
  assert.deepEqual(schemaViolations(document, readSchema('recv')), []);
  assert.equal(document.devmem.pages_free, document.devmem.pages_bound, 'pages are missing');
  assert.equal(document.devmem.tokens_returned, document.devmem.frags, 'tokens are missing');
  assert.equal(document.devmem.copied_bytes, 0);
  return { run, document };
}

for (const [name, args, host] of [
  ['IPv4', V4, '10.77.0.2'],
  ['IPv6, MTU 9000', [...V6, '--mtu', '9000'], 'fd77::2'],
  ['no offload, memory of 256 KiB', [...V4, '--no-offload', '--size', '256K', '--memory', 'shared'], '10.77.0.2'],
] as const) {
  test(`recv takes what the kernel's TCP sends: ${name}`, async (t) => {
    await inNamespace(t, async (namespace) => {
      const { run, document } = await receive(namespace, args, { host });
      assert.equal(run.code, 0, run.stderr);
      assert.equal(document.complete, true);
      assert.equal(document.bytes, PAYLOAD.length);
      assert.equal(document.digest, sha256(PAYLOAD));
      assert.equal(document.devmem.dmabuf_bytes + document.devmem.linear_bytes, PAYLOAD.length);
    });
  });
}

test('recv --output: byte-exact to a file and to stdout, whose summary goes to stderr', async (t) => {
  await inNamespace(t, async (namespace) => {
    const file = join(folder, 'out');
    await receive(namespace, [...V4, '--output', file, '--digest', 'md5']);
    assert.ok(readFileSync(file).equals(PAYLOAD));
    const small = join(folder, 'small');
    writeFileSync(small, 'no newline at the end \u0001');
    const { run, document } = await receive(namespace, [...V4, '-o', '-'], { file: small });
    assert.equal(run.stdout, 'no newline at the end \u0001');
    assert.equal(document.connections[0]!.output_bytes, 23);
    assert.equal(run.code, 0);
  });
});

test('recv --connections 4 --output part.%n: a file and a digest each', async (t) => {
  await inNamespace(t, async (namespace) => {
    const file = join(folder, 'part.%n');
    const { run, document } = await receive(namespace, [...V4, '-n', '4', '-o', file, '--size', '1M'], { count: 4 });
    assert.equal(run.code, 0, run.stderr);
    assert.equal(document.digest, null);
    assert.deepEqual(
      document.connections.map((connection) => connection.number),
      [1, 2, 3, 4],
    );
    for (const connection of document.connections) {
      assert.equal(connection.digest, sha256(PAYLOAD));
      assert.ok(readFileSync(file.replace('%n', String(connection.number))).equals(PAYLOAD));
    }
  });
});

test("recv --validate: ncdevmem's pattern passes; a wrong byte is named by its offset, exit 3", async (t) => {
  await inNamespace(t, async (namespace) => {
    const file = join(folder, 'pattern');
    const bytes = patternBytes(7, 5 * MIB);
    writeFileSync(file, bytes);
    const good = await receive(namespace, [...V4, '--validate', '7'], { file });
    assert.equal(good.run.code, 0, good.run.stderr);
    assert.equal(good.document.connections[0]!.validated_bytes, bytes.length);
    bytes[3_000_000]! ^= 4;
    writeFileSync(file, bytes);
    const bad = await receive(namespace, [...V4, '--validate'], { file });
    assert.equal(bad.run.code, 3);
    assert.match(
      bad.run.stderr,
      /devmem-tcp: recv: byte 3000000 of the stream is .*\(ERR_DEVMEM_VERIFICATION\)\nhint: /,
    );
  });
});

test('recv --output on a full disk: one clear line, exit 1, the summary none the less', async (t) => {
  await inNamespace(t, async (namespace) => {
    const { run, document } = await receive(namespace, [...V4, '--output', '/dev/full']);
    assert.equal(run.code, 1);
    assert.match(
      run.stderr,
      /devmem-tcp: recv: write \/dev\/full: no space left on device \(ENOSPC\)\nhint: what had arrived/,
    );
    assert.equal(document.complete, false);
    assert.equal(document.connections[0]!.error!.code, 'ENOSPC');
  });
});

test('recv, SIGINT before anybody connects: an empty result, exit 130, and the link is gone', async (t) => {
  await inNamespace(t, async (namespace) => {
    const child = namespace.start(process.execPath, [CLI_MAIN, 'recv', '-f', 'dmt-cli', ...V4]);
    child.stderr!.once('data', () => child.kill('SIGINT'));
    const run = await finished(child);
    assert.equal(run.code, 130, run.stderr);
    assert.match(run.stdout, /received nothing: no connection came/);
    assert.doesNotMatch(namespace.ip('link'), /dmt-cli/);
  });
});

test('recv, SIGINT in the middle: what had arrived is kept and reported, exit 130', async (t) => {
  await inNamespace(t, async (namespace) => {
    const file = join(folder, 'partial');
    const args = ['recv', '-f', 'dmt-cli', ...V4, '-o', file, '--size', '1M', '--json', '-v'];
    const child = namespace.start(process.execPath, [CLI_MAIN, ...args]);
    let log = '';
    child.stderr!.on('data', (text: Buffer) => {
      log += text.toString();
      if (text.includes('listening')) {
        namespace.start(process.execPath, ['-e', CLIENT, '10.77.0.2', '5201', '/dev/zero', '1'], { stdio: 'ignore' });
      }
      if (text.includes('connection 1 from')) child.kill('SIGINT');
    });
    const run = await finished(child);
    assert.equal(run.code, 130, log);
    const document = JSON.parse(run.stdout) as ReceiveDocument;
    assert.equal(document.interrupted, true);
    assert.equal(document.complete, false);
    assert.equal(document.digest, sha256(new Uint8Array(document.bytes)));
    assert.equal(document.devmem.pages_free, document.devmem.pages_bound);
    assert.ok(readFileSync(file).equals(Buffer.alloc(document.connections[0]!.output_bytes)));
  });
});

test('recv from a peer that resets: what had arrived is kept and reported, exit 1', async (t) => {
  await inNamespace(t, async (namespace) => {
    const reset = `const s = require('node:net').connect(5201, '10.77.0.2', () => s.write('abc', () => s.resetAndDestroy()));`;
    const child = namespace.start(process.execPath, [CLI_MAIN, 'recv', '-f', 'dmt-cli', ...V4, '--json']);
    child.stderr!.once('data', () => namespace.start(process.execPath, ['-e', reset], { stdio: 'ignore' }));
    const run = await finished(child);
    assert.match(run.stderr, /devmem-tcp: recv: .*\(ECONNRESET\)\nhint: /);
    assert.equal(run.code, 1);
    assert.equal((JSON.parse(run.stdout) as ReceiveDocument).complete, false);
  });
});

test('send from a pipe into which nobody writes ends at SIGINT', async (t) => {
  await inNamespace(t, async (namespace) => {
    const server = namespace.start(process.execPath, ['-e', SERVER]);
    await new Promise((resolve) => server.stdout!.once('data', resolve));
    const args = ['send', '-', '10.77.0.1:5300', '-f', 'dmt-cli', ...V4, '-v', '--json'];
    const child = namespace.start(process.execPath, [CLI_MAIN, ...args]);
    child.stdin!.write('abc');
    child.stderr!.on('data', (text: Buffer) => {
      if (text.includes('connected to')) child.kill('SIGINT');
    });
    const run = await finished(child);
    assert.equal(run.code, 130, run.stderr);
    assert.equal((JSON.parse(run.stdout) as SendDocument).interrupted, true);
  });
});

test("send delivers a file, and a pipe, to the kernel's TCP", async (t) => {
  await inNamespace(t, async (namespace) => {
    for (const name of [PAYLOAD_FILE, '-']) {
      const server = namespace.start(process.execPath, ['-e', SERVER]);
      const served = finished(server);
      await new Promise((resolve) => server.stdout!.once('data', resolve));
      const args = ['send', name, '10.77.0.1:5300', '-f', 'dmt-cli', ...V4, '--size', '4M', '-z', '1M', '--json'];
      const child = namespace.start(process.execPath, [CLI_MAIN, ...args]);
      child.stdin!.end(name === '-' ? PAYLOAD : '');
      const run = await finished(child);
      assert.equal(run.code, 0, run.stderr);
      const document = JSON.parse(run.stdout) as SendDocument;
      assert.deepEqual(schemaViolations(document, readSchema('send')), []);
      assert.equal(document.complete, true);
      assert.equal(document.bytes, PAYLOAD.length);
      assert.equal(document.digest, sha256(PAYLOAD));
      assert.equal(document.devmem.copied_bytes, 0);
      assert.equal((await served).stdout, `ready\n${PAYLOAD.length} ${sha256(PAYLOAD)}\n`);
    }
  });
});

test('send, SIGINT in the middle of a chunk: what the peer has acknowledged is counted, exit 130', async (t) => {
  await inNamespace(t, async (namespace) => {
    const stalling = `
const { createServer } = require('node:net');
createServer((socket) => {
  let bytes = 0;
  socket.on('data', (data) => { bytes += data.length; if (bytes >= 200000) { socket.pause(); console.log('got ' + bytes); } });
  socket.on('error', () => process.exit());
}).listen(5300, () => console.log('ready'));`;
    const server = namespace.start(process.execPath, ['-e', stalling]);
    await new Promise((resolve) => server.stdout!.once('data', resolve));
    const args = [
      'send',
      '/dev/zero',
      '10.77.0.1:5300',
      '-f',
      'dmt-cli',
      ...V4,
      '--size',
      '64M',
      '-z',
      '64M',
      '--json',
    ];
    const child = namespace.start(process.execPath, [CLI_MAIN, ...args]);
    server.stdout!.once('data', () => child.kill('SIGINT'));
    const run = await finished(child);
    assert.equal(run.code, 130, run.stderr);
    const document = JSON.parse(run.stdout) as SendDocument;
    assert.equal(document.complete, false);
    assert.ok(document.bytes >= 100_000, `${document.bytes} bytes`);
    assert.ok(document.bytes < document.devmem.dmabuf_bytes + 1);
  });
});

test('send, SIGINT before there is a connection: an empty result, exit 130', async (t) => {
  await inNamespace(t, async (namespace) => {
    const args = ['send', PAYLOAD_FILE, '10.77.0.9:5300', '-f', 'dmt-cli', ...V4, '--json', '-v'];
    const child = namespace.start(process.execPath, [CLI_MAIN, ...args]);
    child.stderr!.once('data', () => child.kill('SIGINT'));
    const run = await finished(child);
    assert.equal(run.code, 130, run.stderr);
    const document = JSON.parse(run.stdout) as SendDocument;
    assert.deepEqual(schemaViolations(document, readSchema('send')), []);
    assert.deepEqual([document.interrupted, document.bytes, document.error], [true, 0, null]);
  });
});

test('recv --output - whose reader goes away: no error line, the summary, exit 0', async (t) => {
  await inNamespace(t, async (namespace) => {
    const child = namespace.start(process.execPath, [CLI_MAIN, 'recv', '-f', 'dmt-cli', ...V4, '-o', '-']);
    child.stderr!.once('data', () =>
      namespace.start(process.execPath, ['-e', CLIENT, '10.77.0.2', '5201', PAYLOAD_FILE, '1'], { stdio: 'ignore' }),
    );
    child.stdout!.once('data', () => child.stdout!.destroy());
    const run = await finished(child);
    assert.doesNotMatch(run.stderr, /devmem-tcp: recv|hint:/);
    assert.match(run.stderr, /sha256/);
    assert.equal(run.code, 0, run.stderr);
  });
});

test('send to where no link leads: one line, and a hint that helps', async (t) => {
  await inNamespace(t, async (namespace) => {
    const cases: [string, RegExp][] = [
      ['10.77.0.2:5300', /\(ENETUNREACH\)\nhint: 10\.77\.0\.2 is our own --address/],
      ['192.0.2.1:5300', /\(ENETUNREACH\)\nhint: only what lies inside a prefix of --address/],
      ['no.such.host.invalid:5300', /no address is known for no\.such\.host\.invalid \(E\w+\)\nhint: /],
    ];
    for (const [target, expected] of cases) {
      const args = ['send', PAYLOAD_FILE, target, '-f', 'dmt-cli', ...V4];
      const run = await finished(namespace.start(process.execPath, [CLI_MAIN, ...args]));
      assert.match(run.stderr, expected);
      assert.match(run.stderr, /^devmem-tcp: send: .*\nhint: .*\n$/);
      assert.equal(run.code, 1);
    }
  });
});

test('recv with every queue that may be bound, and the smallest and largest MTU', async (t) => {
  await inNamespace(t, async (namespace) => {
    for (const args of [
      ['-q', '63'],
      ['-q', '63', '-t', '0'],
      ['--mtu', '68'],
      ['--mtu', '65521'],
    ]) {
      const child = namespace.start(process.execPath, [CLI_MAIN, 'recv', '-f', 'dmt-cli', ...V4, ...args]);
      child.stderr!.once('data', () => child.kill('SIGINT'));
      const run = await finished(child);
      assert.equal(run.code, 130, `${args.join(' ')}: ${run.stderr}`);
    }
  });
});

test('send where nobody listens: ECONNREFUSED, exit 1', async (t) => {
  await inNamespace(t, async (namespace) => {
    const args = ['send', PAYLOAD_FILE, '10.77.0.1:5300', '-f', 'dmt-cli', ...V4];
    const run = await finished(namespace.start(process.execPath, [CLI_MAIN, ...args]));
    assert.equal(run.code, 1);
    assert.match(run.stderr, /^devmem-tcp: send: .*\(ECONNREFUSED\)\nhint: .*\n$/);
  });
});

/** What the environment cannot do: each gets one line, a hint, exit 4. */
const CANNOT: readonly (readonly [name: string, wrapper: readonly string[], expected: RegExp])[] = [
  [
    'no CAP_NET_ADMIN',
    ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin'],
    /\(EPERM\)\nhint: .*CAP_NET_ADMIN/,
  ],
  [
    'no /dev/net/tun',
    ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /dev/net && exec "$@"', 'sh'],
    /\/dev\/net\/tun.*\(ENOENT\)\nhint: /,
  ],
];

for (const [name, wrapper, expected] of CANNOT) {
  test(`recv with ${name}: one line, a hint, exit 4`, async (t) => {
    await inNamespace(t, async (namespace) => {
      const [program, ...rest] = [...wrapper, process.execPath, CLI_MAIN, 'recv', '-f', 'dmt-cli', ...V4];
      const run = await finished(namespace.start(program!, rest));
      assert.match(run.stderr, expected);
      assert.match(run.stderr, /^devmem-tcp: recv: .*\nhint: .*\n$/);
      assert.equal(run.code, 4);
    });
  });
}

test("recv with an address that is the kernel's own: EADDRINUSE, exit 1", async (t) => {
  await inNamespace(t, async (namespace) => {
    namespace.ip('address', 'add', '10.77.0.2/24', 'dev', 'lo');
    const run = await finished(namespace.start(process.execPath, [CLI_MAIN, 'recv', '-f', 'dmt-cli', ...V4]));
    assert.match(run.stderr, /^devmem-tcp: recv: .*10\.77\.0\.2.*\(EADDRINUSE\)\nhint: .*\n$/);
    assert.equal(run.code, 1);
  });
});
