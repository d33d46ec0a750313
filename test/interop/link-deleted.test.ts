import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { NetworkNamespace } from '../../testing/netns.ts';
import { requireInterop } from '../../testing/requirements.ts';
import { startCliIn } from '../../testing/run-cli.ts';

/** Somebody deletes the TAP while `recv` runs: it says so in one line, and what had arrived is kept. */
const NEEDS = { root: true, tun: true, tools: ['ip', 'python3'] };

const PART_BYTES = 100_000;
/** Sends a part on each of COUNT connections and keeps them open: HOST PORT COUNT. */
const SENDER = `
import socket, sys, time
part = bytes(i % 251 for i in range(${PART_BYTES}))
open_ = [socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30) for _ in range(int(sys.argv[3]))]
for s in open_: s.sendall(part)
time.sleep(60)
`;
const PART: Buffer = Buffer.from(Array.from({ length: PART_BYTES }, (_, i) => i % 251));

interface Result {
  complete: boolean;
  connections: { bytes: number; digest: string; error: { code: string } | null }[];
}

interface Case {
  /** Connections that `recv` waits for, and that come. */
  expected: number;
  come: number;
}

async function run(t: TestContext, { expected, come }: Case): Promise<void> {
  if (!requireInterop(t, NEEDS)) return;
  const folder = mkdtempSync(join(tmpdir(), 'devmem-tcp-deleted-'));
  const namespace = new NetworkNamespace();
  try {
    const cli = startCliIn(namespace, [
      ...['recv', '--link', 'tap:dm0', '--address', '10.77.0.2/24', '--peer-address', '10.77.0.1/24', '--port', '5201'],
      ...['--size', '16MiB', '--connections', String(expected), '--output', join(folder, 'part.%n'), '--json', '-v'],
    ]);
    await cli.says('listening');
    if (come > 0) {
      namespace.start('python3', ['-c', SENDER, '10.77.0.2', '5201', String(come)], { stdio: 'ignore' });
      for (let number = 1; number <= come; number++) {
        await cli.says(`connection ${number} from`);
        await arrived(join(folder, `part.${number}`), PART_BYTES);
      }
    }
    namespace.ip('link', 'del', 'dm0');
    const { code, stdout, stderr } = await cli.ended;
    assert.equal(code, 1, stderr);
    const errors = stderr.split('\n').filter((line) => line.startsWith('devmem-tcp:'));
    assert.equal(errors.length, 1, stderr);
    assert.match(errors[0]!, /ENETDOWN/);
    assert.match(stderr, /hint: the interface was deleted/);
    check(JSON.parse(stdout) as Result, come, folder);
  } finally {
    namespace.close();
    rmSync(folder, { recursive: true });
  }
}

/** The file grows as payload arrives; there is no event of that from another process. */
async function arrived(path: string, bytes: number): Promise<void> {
  for (;;) {
    try {
      if (readFileSync(path).length === bytes) return;
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOENT');
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function check(result: Result, come: number, folder: string): void {
  assert.equal(result.complete, false);
  assert.equal(result.connections.length, come);
  result.connections.forEach((connection, index) => {
    assert.equal(connection.bytes, PART_BYTES);
    assert.equal(connection.digest, createHash('sha256').update(PART).digest('hex'));
    assert.equal(connection.error?.code, 'ENETDOWN');
    assert.ok(readFileSync(join(folder, `part.${index + 1}`)).equals(PART));
  });
}

test('while nobody has connected', (t) => run(t, { expected: 1, come: 0 }));
test('in the middle of the only stream', (t) => run(t, { expected: 1, come: 1 }));
test('in the middle of two streams, while a third is waited for', (t) => run(t, { expected: 3, come: 2 }));
