import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { GiB, MiB } from '../../src/core/units.ts';
import { startCliIn } from '../../testing/run-cli.ts';
import { finished } from '../../testing/finished.ts';
import { NetworkNamespace } from '../../testing/netns.ts';
import { missingRequirements, requireInterop } from '../../testing/requirements.ts';

/**
 * The main job against Linux's own TCP: unmodified senders, over TAP, into device memory. 1 GiB each; the digest says
 * that every byte arrived, the counters that it went straight to its page.
 */
const NEEDS = { root: true, tun: true, tools: ['ip', 'nc', 'curl', 'python3'] };
const TOTAL_BYTES: number = GiB;

/** Sends PATH on COUNT connections to HOST at once, by sendfile(2): HOST PORT COUNT PATH. */
const PYTHON_SENDER = `
import socket, sys, threading
host, port, count, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
def run():
    with socket.create_connection((host, port), timeout=60) as s, open(path, 'rb') as f:
        s.sendfile(f)
        s.shutdown(socket.SHUT_WR)
        while s.recv(4096): pass
threads = [threading.Thread(target=run) for _ in range(count)]
[t.start() for t in threads]
[t.join() for t in threads]
`;

/** The same with as many programs: HOST PORT COUNT PATH. Fails if one of them does. */
const NC_SENDERS = `
for ((i = 0; i < $3; i++)); do nc -N "$1" "$2" < "$4" & pids+=($!); done
for pid in "\${pids[@]}"; do wait "$pid" || exit 1; done
`;

interface Result {
  bytes: number;
  digest: string | null;
  connections: { bytes: number; digest: string }[];
  devmem: Record<string, number>;
}

let folder = '';
const files = new Map<number, { path: string; digest: string }>();

async function file(sizeBytes: number): Promise<{ path: string; digest: string }> {
  const known = files.get(sizeBytes);
  if (known !== undefined) return known;
  const path = join(folder, `${sizeBytes}.bin`);
  execFileSync('sh', ['-c', `head -c ${sizeBytes} /dev/urandom > ${path}`]);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: MiB })) hash.update(chunk as Buffer);
  const made = { path, digest: hash.digest('hex') };
  files.set(sizeBytes, made);
  return made;
}

interface Case {
  family: 4 | 6;
  mtu: number;
  offload: boolean;
  connections: number;
  sender: 'nc' | 'python';
}

async function run(t: TestContext, options: Case): Promise<void> {
  if (!requireInterop(t, NEEDS)) return;
  const { path, digest } = await file(TOTAL_BYTES / options.connections);
  const namespace = new NetworkNamespace();
  try {
    const address = options.family === 4 ? '10.77.0.2' : 'fd77::2';
    const cli = startCliIn(namespace, [
      ...['recv', '--link', 'tap:dm0', '--port', '5201', '--memory', 'memfd', '--size', '64MiB', '--digest', 'sha256'],
      ...['--address', options.family === 4 ? '10.77.0.2/24' : 'fd77::2/64'],
      ...['--peer-address', options.family === 4 ? '10.77.0.1/24' : 'fd77::1/64'],
      ...['--mtu', String(options.mtu), '--connections', String(options.connections), '--json'],
      ...(options.offload ? [] : ['--no-offload']),
    ]);
    await cli.says('listening');
    const sender =
      options.sender === 'nc'
        ? namespace.start('bash', ['-c', NC_SENDERS, 'bash', address, '5201', String(options.connections), path])
        : namespace.start('python3', ['-c', PYTHON_SENDER, address, '5201', String(options.connections), path]);
    const [sent, received] = await Promise.all([finished(sender), cli.ended]);
    assert.equal(sent.code, 0, sent.stderr);
    assert.equal(received.code, 0, received.stderr);
    check(JSON.parse(received.stdout) as Result, options.connections, digest);
  } finally {
    namespace.close();
  }
}

function check(result: Result, connections: number, digest: string): void {
  const { devmem } = result;
  assert.equal(result.bytes, TOTAL_BYTES);
  if (connections === 1) assert.equal(result.digest, digest);
  else assert.deepEqual(new Set(result.connections.map((one) => one.digest)), new Set([digest]));
  const strays = devmem['relocated_bytes']! + devmem['linear_bytes']! + devmem['copied_bytes']!;
  assert.ok(strays < TOTAL_BYTES / 100, `${strays} bytes did not land in place`);
  assert.equal(devmem['dmabuf_bytes']! + devmem['linear_bytes']!, TOTAL_BYTES);
  assert.equal(devmem['tokens_returned'], devmem['frags']);
  assert.equal(devmem['pages_free'], devmem['pages_bound']);
}

describe('Linux sends, device memory receives', { concurrency: 1 }, () => {
  before(() => {
    if (missingRequirements(NEEDS).length === 0) folder = mkdtempSync(join(tmpdir(), 'devmem-tcp-interop-'));
  });
  after(() => {
    if (folder !== '') rmSync(folder, { recursive: true });
  });

  for (const family of [4, 6] as const) {
    for (const offload of [true, false]) {
      const name = `IPv${family}, MTU 1500, GSO ${offload ? 'on' : 'off'}, 64 x nc`;
      test(name, (t) => run(t, { family, mtu: 1500, offload, connections: 64, sender: 'nc' }));
    }
    for (const mtu of [1500, 9000]) {
      for (const offload of [true, false]) {
        for (const connections of [1, 64]) {
          const sender = connections === 1 && offload ? 'nc' : 'python';
          const name = `IPv${family}, MTU ${mtu}, GSO ${offload ? 'on' : 'off'}, ${connections} x ${sender}`;
          test(name, (t) => run(t, { family, mtu, offload, connections, sender }));
        }
      }
    }
  }
});
