import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test, type TestContext } from 'node:test';
import { randomBelow, SeededRandom } from '../../src/core/random.ts';
import { GiB, MiB } from '../../src/core/units.ts';
import { DeviceMemory, openHost, type DevmemSocket, type Host } from '../../src/index.ts';
import { finished } from '../../testing/finished.ts';
import { NetworkNamespace } from '../../testing/netns.ts';
import { requireInterop } from '../../testing/requirements.ts';

/**
 * Device memory a thousand times smaller than the transfer, and readers that are in no hurry: Linux's sender is slowed
 * by the window, nothing is dropped for want of pages, nothing leaks.
 */
const NEEDS = { root: true, tun: true, tools: ['ip', 'python3'] };

const PATTERN: Uint8Array = Uint8Array.from({ length: 256 }, (_, i) => i);
const PYTHON_SENDER = `
import socket, sys
host, port, total = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
block = bytes(range(256)) * 4096
with socket.create_connection((host, port), timeout=90) as s:
    for _ in range(total // len(block)): s.sendall(block)
    s.shutdown(socket.SHUT_WR)
    while s.recv(4096): pass
`;

function digestOf(totalBytes: number): string {
  const block = Buffer.alloc(MiB, PATTERN);
  const hash = createHash('sha256');
  for (let done = 0; done < totalBytes; done += MiB) hash.update(block);
  return hash.digest('hex');
}

interface Bench {
  host: Host;
  memory: DeviceMemory;
  namespace: NetworkNamespace;
  /** The next connection accepted, from a sender of `totalBytes` started now. */
  accept: (totalBytes: number) => Promise<{ socket: DevmemSocket; sent: ReturnType<typeof finished> }>;
}

async function withBench(t: TestContext, memoryBytes: number, body: (bench: Bench) => Promise<void>): Promise<void> {
  if (!requireInterop(t, NEEDS)) return;
  const namespace = new NetworkNamespace();
  try {
    await using memory = await DeviceMemory.allocate({ sizeBytes: memoryBytes, exporter: 'memfd' });
    await using host = await openHost({
      link: 'tap:dm0',
      netns: namespace.name,
      addresses: ['10.77.0.2/24'],
      peerAddresses: ['10.77.0.1/24'],
    });
    const binding = await host.bindRx(memory, { queues: [1] });
    const listener = await host.listen({ port: 5201, into: binding });
    const connections = listener[Symbol.asyncIterator]();
    const accept: Bench['accept'] = async (totalBytes) => {
      const sender = namespace.start('python3', ['-c', PYTHON_SENDER, '10.77.0.2', '5201', String(totalBytes)]);
      const sent = finished(sender);
      const { value } = (await connections.next()) as { value: DevmemSocket };
      return { socket: value, sent };
    };
    await body({ host, memory, namespace, accept });
    assert.equal(host.stats().nic['rxDropNoPage'], 0, 'dropped for want of pages');
    assert.deepEqual(host.checkConservation().violations, []);
  } finally {
    namespace.close();
  }
}

test('1 GiB through 1 MiB, tokens returned late and in random order', (t) =>
  withBench(t, MiB, async ({ memory, accept }) => {
    const random = new SeededRandom(2);
    const { socket, sent } = await accept(GiB);
    const digester = memory.digester('sha256');
    const held: number[] = [];
    let bytes = 0;
    for await (const message of socket.messages({ maxFrags: 32 })) {
      bytes += message.bytes;
      for (const frag of message.frags) {
        digester.update(frag.offset, frag.size);
        held.push(frag.token);
      }
      // Half of the memory stays with the reader; which half is chance.
      while (held.length > 128) {
        const [token] = held.splice(randomBelow(random, held.length), 1);
        assert.equal(socket.dontneed([{ start: token!, count: 1 }]), 1);
        assert.equal(socket.dontneed([{ start: token!, count: 1 }]), 0, 'a second return frees nothing and says so');
      }
    }
    assert.equal(bytes, GiB);
    assert.equal(digester.hex(), digestOf(GiB));
    await socket.close();
    assert.equal((await sent).code, 0);
  }));

test('tokens never returned: the sender stops at the size of the memory, and goes on when they come', (t) =>
  withBench(t, MiB, async ({ host, memory, accept }) => {
    const total = 16 * MiB;
    const { socket, sent } = await accept(total);
    const digester = memory.digester('sha256');
    const tokens: number[] = [];
    let bytes = 0;
    const messages = socket.messages({ maxFrags: 32, signal: AbortSignal.timeout(3000) });
    await assert.rejects(
      async () => {
        for await (const message of messages) {
          bytes += message.bytes;
          for (const frag of message.frags) {
            digester.update(frag.offset, frag.size);
            tokens.push(frag.token);
          }
        }
      },
      { name: 'TimeoutError' },
    );
    assert.ok(bytes <= MiB, `${bytes} bytes landed in 1 MiB`);
    assert.ok(bytes > MiB / 2, `only ${bytes} bytes were taken before the sender was stopped`);
    assert.equal(host.stats().nic['rxDropNoPage'], 0);
    for (const token of tokens) assert.equal(socket.dontneed([{ start: token, count: 1 }]), 1);
    for await (const message of socket.messages()) {
      bytes += message.bytes;
      for (const frag of message.frags) digester.update(frag.offset, frag.size);
      message.release();
    }
    assert.equal(bytes, total);
    assert.equal(digester.hex(), digestOf(total));
    await socket.close();
    assert.equal((await sent).code, 0);
  }));
