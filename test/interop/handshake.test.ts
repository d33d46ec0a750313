import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { MiB } from '../../src/core/units.ts';
import { DeviceMemory, openHost, type Host } from '../../src/index.ts';
import type { TcpConfig } from '../../src/stack/tcp/config.ts';
import type { TcpInfo } from '../../src/stack/tcp/info.ts';
import { finished } from '../../testing/finished.ts';
import { NetworkNamespace } from '../../testing/netns.ts';
import { requireInterop } from '../../testing/requirements.ts';

const NEEDS = { root: true, tun: true, tools: ['ip', 'python3', 'sysctl'] };
const STREAM_BYTES = 2 * MiB;
const SYN_DATA = 32;

/** Sends a stream and prints `tcpi_options` of its connection; with Fast Open, begins with the SYN. */
const SENDER = `
import signal, socket, sys
address, size, fast = sys.argv[1], int(sys.argv[2]), sys.argv[3] == 'fast'
with socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_STREAM) as s:
    signal.alarm(30)
    data = bytes(i % 251 for i in range(size))
    if fast: sent = s.sendto(data, 0x20000000, (address, 5201))
    else: s.connect((address, 5201)); sent = 0
    s.sendall(data[sent:])
    s.shutdown(socket.SHUT_WR)
    while s.recv(4096): pass
    print(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5])
`;

/** Takes two Fast Open connections, answers each with what it has read, and prints whether its SYN brought data. */
const FAST_SERVER = `
import signal, socket, sys
signal.alarm(30)
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM) as s:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 8)
    s.bind((sys.argv[1], 5202))
    s.listen(8)
    print('ready', flush=True)
    for i in range(2):
        c, _ = s.accept()
        with c:
            data = b''
            while part := c.recv(65536): data += part
            c.sendall(data)
            print(c.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5], flush=True)
`;

interface Received {
  ours: TcpInfo;
  kernelOptions: number;
  bytes: number;
}

async function receive(host: Host, namespace: NetworkNamespace, address: string, fast: boolean): Promise<Received> {
  const memory = await DeviceMemory.allocate({ sizeBytes: 4 * MiB });
  const binding = await host.bindRx(memory, { queues: [1] });
  const listener = await host.listen({ port: 5201, into: binding });
  const args = ['-c', SENDER, address, String(STREAM_BYTES), fast ? 'fast' : 'plain'];
  const done = finished(namespace.start('python3', args));
  const socket = (await listener.accept())!;
  for await (const message of socket.messages()) message.release();
  const ours = socket.tcpInfo();
  await socket.close();
  const end = await done;
  assert.equal(end.code, 0, end.stderr);
  listener.close();
  binding.close();
  memory.dispose();
  return { ours, kernelOptions: Number(end.stdout), bytes: ours.tcpi_bytes_received };
}

async function withHost(
  t: TestContext,
  tcp: Partial<TcpConfig>,
  run: (host: Host, namespace: NetworkNamespace) => Promise<void>,
): Promise<void> {
  if (!requireInterop(t, NEEDS)) return;
  const namespace = new NetworkNamespace();
  try {
    const host = await openHost({
      link: 'tap:dm0',
      netns: namespace.name,
      addresses: ['10.77.0.2/24', 'fd77::2/64'],
      peerAddresses: ['10.77.0.1/24', 'fd77::1/64'],
      tcp,
    });
    await run(host, namespace);
    host.checkConservation();
    await host.close();
  } finally {
    namespace.close();
  }
}

for (const address of ['10.77.0.2', 'fd77::2']) {
  test(`a kernel gets in by SYN cookies, with its options (${address})`, async (t) => {
    await withHost(t, { synCookies: 2 }, async (host, namespace) => {
      const { ours, bytes } = await receive(host, namespace, address, false);
      assert.equal(bytes, STREAM_BYTES);
      assert.equal(ours.tcpi_options & 7, 7);
      assert.ok(ours.tcpi_snd_wscale > 0);
      assert.equal(host.stats().tcp.synCookiesReceived, 1);
    });
  });

  test(`a kernel asks for a Fast Open cookie, and uses it (${address})`, async (t) => {
    await withHost(t, { fastOpen: 0x403 }, async (host, namespace) => {
      namespace.run('sysctl', '-q', '-w', 'net.ipv4.tcp_fastopen=1');
      const first = await receive(host, namespace, address, true);
      assert.equal(first.bytes, STREAM_BYTES);
      assert.equal(first.kernelOptions & SYN_DATA, 0);
      const second = await receive(host, namespace, address, true);
      assert.equal(second.bytes, STREAM_BYTES);
      assert.equal(second.kernelOptions & SYN_DATA, SYN_DATA);
      assert.equal(second.ours.tcpi_options & SYN_DATA, SYN_DATA);
      const { fastOpenPassive, fastOpenCookieRequests } = host.stats().tcp;
      assert.deepEqual([fastOpenPassive, fastOpenCookieRequests], [1, 1]);
    });
  });

  test(`a kernel gives us a Fast Open cookie, and takes what comes with it (${address})`, async (t) => {
    await withHost(t, {}, async (host, namespace) => {
      const kernel = address.replace('.2', '.1').replace('::2', '::1');
      namespace.run('sysctl', '-q', '-w', 'net.ipv4.tcp_fastopen=3');
      const server = namespace.start('python3', ['-c', FAST_SERVER, kernel]);
      const done = finished(server);
      await once(server.stdout!, 'data');
      const memory = await DeviceMemory.allocate({ sizeBytes: 4 * MiB });
      const binding = await host.bindRx(memory, { queues: [1] });
      const data = Buffer.from(Array.from({ length: 20_000 }, (_, i) => i % 251));
      for (const expected of [0, SYN_DATA]) {
        const socket = await host.connect({ host: kernel, port: 5202, into: binding, fastOpen: true });
        await socket.write(data);
        socket.shutdown();
        const received: Buffer[] = [];
        for await (const message of socket.messages()) {
          for (const { offset, size } of message.frags)
            received.push(Buffer.from(memory.mapping.slice(offset, offset + size)));
          received.push(Buffer.from(message.linear));
          message.release();
        }
        assert.ok(Buffer.concat(received).equals(data));
        assert.equal(socket.tcpInfo().tcpi_options & SYN_DATA, expected);
        await socket.close();
      }
      const end = await done;
      assert.equal(end.code, 0, end.stderr);
      assert.match(end.stdout, /(\d+)\n(\d+)\n$/);
      const [first, second] = end.stdout.trim().split('\n').slice(-2).map(Number);
      assert.deepEqual([first! & SYN_DATA, second! & SYN_DATA], [0, SYN_DATA]);
      const { fastOpenActive, fastOpenActiveFailed } = host.stats().tcp;
      assert.deepEqual([fastOpenActive, fastOpenActiveFailed], [1, 0]);
      assert.equal(host.checkConservation().ok, true);
      binding.close();
      memory.dispose();
    });
  });
}
