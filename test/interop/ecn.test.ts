import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { MiB } from '../../src/core/units.ts';
import { DeviceMemory, openHost, type Host } from '../../src/index.ts';
import { DelayLink } from '../../src/link/wrap/delay.ts';
import type { TcpInfo } from '../../src/stack/tcp/info.ts';
import { finished } from '../../testing/finished.ts';
import { NetworkNamespace } from '../../testing/netns.ts';
import { requireInterop } from '../../testing/requirements.ts';

/**
 * ECN against the kernel over a bottleneck that marks: both ends agree on the feedback, and on how much was marked. Only
 * a kernel that takes 3 for tcp_ecn speaks AccECN.
 */
const NEEDS = { root: true, tun: true, tools: ['ip', 'python3', 'sysctl'] };
const STREAM_BYTES = 4 * MiB;

/** Prints delivered_ce, received_ce, delivered_ce_bytes, received_ce_bytes and ecn_mode of a struct tcp_info. */
const INFO = `
import socket, struct, sys
def info(s):
    raw = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 512).ljust(512, b'\\0')
    at = lambda offset: struct.unpack_from('<I', raw, offset)[0]
    print(at(196), at(248), at(260), at(272), at(276) & 3, flush=True)
`;
const SENDER = `${INFO}
with socket.create_connection((sys.argv[1], 5201), timeout=60) as s:
    s.sendall(bytes(int(sys.argv[2])))
    s.shutdown(socket.SHUT_WR)
    while s.recv(4096): pass
    info(s)
`;
const RECEIVER = `${INFO}
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM) as listener:
    listener.bind((sys.argv[1], 5202))
    listener.listen(1)
    listener.settimeout(60)
    print('ready', flush=True)
    peer, _ = listener.accept()
    peer.settimeout(60)
    while peer.recv(65536): pass
    info(peer)
    peer.close()
`;

interface KernelInfo {
  deliveredCe: number;
  receivedCe: number;
  deliveredCeBytes: number;
  receivedCeBytes: number;
  mode: number;
}

function kernelInfo(output: string): KernelInfo {
  const [deliveredCe, receivedCe, deliveredCeBytes, receivedCeBytes, mode] = output
    .trim()
    .split('\n')
    .at(-1)!
    .split(' ')
    .map(Number);
  return {
    deliveredCe: deliveredCe!,
    receivedCe: receivedCe!,
    deliveredCeBytes: deliveredCeBytes!,
    receivedCeBytes: receivedCeBytes!,
    mode: mode!,
  };
}

async function openBottleneck(
  namespace: NetworkNamespace,
  ecn: 1 | 3,
  offload: boolean,
  links: DelayLink[],
): Promise<Host> {
  return openHost({
    link: 'tap:dm0',
    netns: namespace.name,
    addresses: ['10.77.0.2/24', 'fd77::2/64'],
    peerAddresses: ['10.77.0.1/24', 'fd77::1/64'],
    offloads: { checksum: offload, tcpSegmentation: offload },
    tcp: { ecn },
    wrapLink: (link, clock) => {
      const wire = { delayMicros: 1000, bitsPerSecond: 200_000_000, markAboveMicros: 2000, queueBytes: 4 * MiB };
      links.push(new DelayLink(link, clock, wire));
      return links.at(-1)!;
    },
  });
}

async function kernelSends(host: Host, namespace: NetworkNamespace, address: string): Promise<[TcpInfo, KernelInfo]> {
  const memory = await DeviceMemory.allocate({ sizeBytes: 4 * MiB });
  const binding = await host.bindRx(memory, { queues: [1] });
  const listener = await host.listen({ port: 5201, into: binding });
  const done = finished(namespace.start('python3', ['-c', SENDER, address, String(STREAM_BYTES)]));
  let ours: TcpInfo | null = null;
  for await (const socket of listener) {
    for await (const message of socket.messages()) message.release();
    ours = socket.tcpInfo();
    await socket.close();
    break;
  }
  const end = await done;
  assert.equal(end.code, 0, end.stderr);
  listener.close();
  binding.close();
  memory.dispose();
  return [ours!, kernelInfo(end.stdout)];
}

async function weSend(host: Host, namespace: NetworkNamespace, address: string): Promise<[TcpInfo, KernelInfo]> {
  const source = await DeviceMemory.allocate({ sizeBytes: STREAM_BYTES });
  const child = namespace.start('python3', ['-c', RECEIVER, address]);
  const done = finished(child);
  await new Promise((resolve) => child.stdout!.once('data', resolve));
  const socket = await host.connect({ host: address, port: 5202 });
  await socket.sendFrom(source, { offset: 0, length: STREAM_BYTES });
  const ours = socket.tcpInfo();
  await socket.close();
  const end = await done;
  source.dispose();
  assert.equal(end.code, 0, end.stderr);
  return [ours, kernelInfo(end.stdout)];
}

function setKernel(namespace: NetworkNamespace, ecn: number): boolean {
  try {
    namespace.run('sysctl', '-q', '-w', `net.ipv4.tcp_ecn=${ecn}`);
    return true;
  } catch {
    return false;
  }
}

async function run(t: TestContext, ecn: 1 | 3, kernelEcn: 1 | 3, family: 4 | 6, offload: boolean): Promise<void> {
  if (!requireInterop(t, NEEDS)) return;
  const namespace = new NetworkNamespace();
  try {
    if (!setKernel(namespace, kernelEcn)) {
      t.skip('this kernel has no AccECN');
      return;
    }
    const links: DelayLink[] = [];
    const host = await openBottleneck(namespace, ecn, offload, links);
    const [us, them] = family === 4 ? ['10.77.0.2', '10.77.0.1'] : ['fd77::2', 'fd77::1'];
    const mode = ecn === 3 && kernelEcn === 3 ? 2 : 1;
    const [receiver, kernelSender] = await kernelSends(host, namespace, us);
    assert.ok(links[0]!.readCounters!.marked > 0, 'nothing of the kernel was marked');
    assert.equal(receiver.tcpi_ecn_mode, mode);
    assert.ok(receiver.tcpi_received_ce > 0 && kernelSender.deliveredCe > 0);
    assert.equal(receiver.tcpi_rcv_ooopack, 0, 'the queue overflowed: marks did not slow the kernel down');
    const [sender, kernelReceiver] = await weSend(host, namespace, them);
    assert.ok(links[0]!.writeCounters!.marked > 0, 'nothing of ours was marked');
    assert.equal(sender.tcpi_ecn_mode, mode);
    assert.ok(sender.tcpi_delivered_ce > 0);
    assert.equal(sender.tcpi_total_retrans, 0, 'marks did not slow us down');
    if (mode === 2) {
      assert.deepEqual([kernelSender.mode, kernelReceiver.mode], [2, 2]);
      assert.equal(kernelSender.deliveredCe, receiver.tcpi_received_ce);
      assert.equal(kernelSender.deliveredCeBytes, receiver.tcpi_received_ce_bytes);
      assert.equal(sender.tcpi_delivered_ce, kernelReceiver.receivedCe);
      assert.equal(sender.tcpi_delivered_ce_bytes, kernelReceiver.receivedCeBytes);
    }
    host.checkConservation();
    await host.close();
  } finally {
    namespace.close();
  }
}

describe('ECN against the kernel', { concurrency: 1 }, () => {
  for (const [ecn, kernelEcn] of [
    [1, 1],
    [3, 1],
    [1, 3],
    [3, 3],
  ] as const) {
    for (const family of [4, 6] as const) {
      for (const offload of [false, true]) {
        const name = `tcp_ecn ${ecn} here, ${kernelEcn} there, IPv${family}${offload ? ', large frames' : ''}`;
        test(name, { timeout: 120_000 }, (t) => run(t, ecn, kernelEcn, family, offload));
      }
    }
  }
});
