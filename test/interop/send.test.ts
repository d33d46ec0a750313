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

/** Out of device memory to Linux's own TCP: `devmem-tcp send` to an unmodified `nc -l`, 1 GiB each. */
const NEEDS = { root: true, tun: true, tools: ['ip', 'nc', 'sha256sum'] };

let folder = '';
let path = '';
let digest = '';

/** Resolves once somebody listens on the port: the kernel says so, nobody guesses. */
async function listening(namespace: NetworkNamespace): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt++) {
    if (namespace.run('ss', '-Hltn', 'sport = :5201') !== '') return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('nc did not begin to listen');
}

async function run(t: TestContext, family: 4 | 6, mtu: number, offload: boolean): Promise<void> {
  if (!requireInterop(t, NEEDS)) return;
  const namespace = new NetworkNamespace();
  try {
    const sink = namespace.start('sh', ['-c', `nc -${family} -l 5201 | sha256sum`], {});
    const summed = finished(sink);
    await listening(namespace);
    const cli = startCliIn(namespace, [
      ...['send', path, family === 4 ? '10.77.0.1:5201' : '[fd77::1]:5201', '--link', 'tap:dm0', '--memory', 'memfd'],
      ...['--address', family === 4 ? '10.77.0.2/24' : 'fd77::2/64'],
      ...['--peer-address', family === 4 ? '10.77.0.1/24' : 'fd77::1/64', '--mtu', String(mtu), '--json'],
      ...(offload ? [] : ['--no-offload']),
    ]);
    const sent = await cli.ended;
    assert.equal(sent.code, 0, sent.stderr);
    const result = JSON.parse(sent.stdout) as { bytes: number };
    assert.equal(result.bytes, GiB);
    const received = await summed;
    assert.equal(received.stdout.split(' ')[0], digest);
  } finally {
    namespace.close();
  }
}

describe('device memory sends, Linux receives', { concurrency: 1 }, () => {
  before(async () => {
    if (missingRequirements(NEEDS).length > 0) return;
    folder = mkdtempSync(join(tmpdir(), 'devmem-tcp-interop-'));
    path = join(folder, 'payload.bin');
    execFileSync('sh', ['-c', `head -c ${GiB} /dev/urandom > ${path}`]);
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(path, { highWaterMark: MiB })) hash.update(chunk as Buffer);
    digest = hash.digest('hex');
  });
  after(() => {
    if (folder !== '') rmSync(folder, { recursive: true });
  });

  for (const family of [4, 6] as const) {
    for (const mtu of [1500, 9000]) {
      for (const offload of [true, false]) {
        test(`IPv${family}, MTU ${mtu}, TSO ${offload ? 'on' : 'off'}`, (t) => run(t, family, mtu, offload));
      }
    }
  }
});
