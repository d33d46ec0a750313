import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { GiB, MiB } from '../../src/core/units.ts';
import { DeviceMemory, openHost, type DevmemSocket } from '../../src/index.ts';
import { finished } from '../../testing/finished.ts';
import { NetworkNamespace } from '../../testing/netns.ts';
import { requireInterop } from '../../testing/requirements.ts';

/** curl, unmodified: uploads into device memory, and talks to node:http over a socket of ours. */
const NEEDS = { root: true, tun: true, tools: ['ip', 'curl'] };
/** With these, the request head is known to the byte. */
const PLAIN_HEAD = ['-H', 'Expect:', '-H', 'User-Agent:', '-H', 'Accept:'];
const RESPONSE = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok';

/** Takes one upload into device memory, by references, and answers it. */
async function serve(socket: DevmemSocket, memory: DeviceMemory, bytes: number): Promise<string> {
  const digester = memory.digester('sha256');
  let left = bytes;
  for await (const message of socket.messages({ maxFrags: 256 })) {
    for (const frag of message.frags) digester.update(frag.offset, frag.size);
    left -= message.bytes;
    message.release();
    if (left === 0) break;
  }
  await socket.write(Buffer.from(RESPONSE));
  await socket.close();
  assert.equal(socket.counters.dmabufBytes, bytes);
  assert.equal(socket.counters.copiedBytes, 0);
  return digester.hex();
}

async function upload(t: TestContext, address: string, connections: number): Promise<void> {
  if (!requireInterop(t, NEEDS)) return;
  const folder = mkdtempSync(join(tmpdir(), 'devmem-tcp-curl-'));
  const namespace = new NetworkNamespace();
  try {
    const path = join(folder, 'payload');
    const size = GiB / connections;
    execFileSync('sh', ['-c', `head -c ${size} /dev/urandom > ${path}`]);
    const authority = address.includes(':') ? `[${address}]:8080` : `${address}:8080`;
    const head = `PUT /payload HTTP/1.1\r\nHost: ${authority}\r\nContent-Length: ${size}\r\n\r\n`;
    const hash = createHash('sha256').update(head);
    for await (const chunk of createReadStream(path, { highWaterMark: MiB })) hash.update(chunk as Buffer);

    await using memory = await DeviceMemory.allocate({ sizeBytes: 32 * MiB, exporter: 'memfd' });
    await using host = await openHost({
      link: 'tap:dm0',
      netns: namespace.name,
      addresses: ['10.77.0.2/24', 'fd77::2/64'],
      peerAddresses: ['10.77.0.1/24', 'fd77::1/64'],
    });
    const binding = await host.bindRx(memory, { queues: [1] });
    const listener = await host.listen({ port: 8080, into: binding });
    const ended = Array.from({ length: connections }, () =>
      finished(namespace.start('curl', ['-sS', '-T', path, ...PLAIN_HEAD, `http://${authority}/payload`])),
    );
    const served: Promise<string>[] = [];
    for await (const socket of listener) {
      served.push(serve(socket, memory, head.length + size));
      if (served.length === connections) break;
    }
    assert.deepEqual(new Set(await Promise.all(served)), new Set([hash.digest('hex')]));
    for (const { code, stdout, stderr } of await Promise.all(ended)) {
      assert.equal(code, 0, stderr);
      assert.equal(stdout, 'ok');
    }
    const { nic } = host.stats();
    assert.ok(nic['rxRelocatedBytes']! < GiB / 100);
    assert.equal(nic['rxDropNoPage'], 0);
    assert.deepEqual(host.checkConservation().violations, []);
  } finally {
    namespace.close();
    rmSync(folder, { recursive: true });
  }
}

test('curl -T lands 1 GiB in device memory, IPv4', (t) => upload(t, '10.77.0.2', 1));
test('curl -T lands 1 GiB in device memory, IPv6', (t) => upload(t, 'fd77::2', 1));
test('64 curl -T land 1 GiB in device memory', (t) => upload(t, '10.77.0.2', 64));

test('node:http serves curl over a duplex, keep-alive and all', async (t) => {
  if (!requireInterop(t, NEEDS)) return;
  const namespace = new NetworkNamespace();
  const server = createServer((request, response) => {
    const hash = createHash('sha256');
    request.on('data', (chunk: Buffer) => hash.update(chunk));
    request.on('end', () => response.end(`${request.url} ${hash.digest('hex')}\n`));
  });
  try {
    await using host = await openHost({
      link: 'tap:dm0',
      netns: namespace.name,
      addresses: ['10.77.0.2/24'],
      peerAddresses: ['10.77.0.1/24'],
    });
    const listener = await host.listen({ port: 80 });
    const accepting = (async () => {
      for await (const socket of listener) server.emit('connection', socket.toDuplex());
    })();
    const body = 'x'.repeat(3_000_000);
    const curl = namespace.start('curl', ['-sS', '--data-binary', '@-', 'http://10.77.0.2/a', 'http://10.77.0.2/b']);
    curl.stdin!.end(body);
    const { code, stdout, stderr } = await finished(curl);
    assert.equal(code, 0, stderr);
    const digest = createHash('sha256').update(body).digest('hex');
    assert.deepEqual(stdout.trim().split('\n'), [`/a ${digest}`, `/b ${digest}`]);
    listener.close();
    await accepting;
  } finally {
    server.closeAllConnections();
    namespace.close();
  }
});
