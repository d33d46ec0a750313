import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { SeededRandom } from '../../src/core/random.ts';
import { KiB, MiB } from '../../src/core/units.ts';
import { DeviceMemory, openHost, type Host, type HostOptions } from '../../src/index.ts';
import { DelayLink } from '../../src/link/wrap/delay.ts';
import { FaultLink } from '../../src/link/wrap/fault.ts';
import type { TcpConfig } from '../../src/stack/tcp/config.ts';
import { finished } from '../../testing/finished.ts';
import { NetworkNamespace } from '../../testing/netns.ts';
import { pairwise, type Combination } from '../../testing/pairwise.ts';
import { requireInterop } from '../../testing/requirements.ts';

/**
 * Our TCP against the kernel's over a path that loses, reorders and delays, with every congestion controller and every
 * option on or off at either side: each value of each factor meets each value of every other one.
 */
const NEEDS = { root: true, tun: true, tools: ['ip', 'python3', 'sysctl'] };

const FACTORS = {
  path: ['loss 0.1 %', 'loss 1 %', 'loss 5 %', 'reordering', 'delay 100 ms', 'loss 1 %, reordering, delay 20 ms'],
  controller: ['cubic', 'reno', 'bbr', 'bbr3'],
  ecn: [0, 1, 3],
  kernelEcn: [0, 1],
  sack: [true, false],
  kernelSack: [true, false],
  timestamps: [true, false],
  kernelTimestamps: [true, false],
  scaling: [true, false],
  kernelScaling: [true, false],
  family: [4, 6],
} as const;
type Case = Combination<typeof FACTORS>;

interface Path {
  lossRate: number;
  reorderRate: number;
  /** Round trip; half of it each way. */
  delayMs: number;
  streamBytes: number;
}

const PATHS: Readonly<Record<Case['path'], Path>> = {
  'loss 0.1 %': { lossRate: 0.001, reorderRate: 0, delayMs: 0, streamBytes: 4 * MiB },
  'loss 1 %': { lossRate: 0.01, reorderRate: 0, delayMs: 0, streamBytes: 2 * MiB },
  'loss 5 %': { lossRate: 0.05, reorderRate: 0, delayMs: 0, streamBytes: 512 * KiB },
  reordering: { lossRate: 0, reorderRate: 0.02, delayMs: 0, streamBytes: 2 * MiB },
  'delay 100 ms': { lossRate: 0, reorderRate: 0, delayMs: 100, streamBytes: MiB },
  'loss 1 %, reordering, delay 20 ms': { lossRate: 0.01, reorderRate: 0.01, delayMs: 20, streamBytes: 512 * KiB },
};

const ADDRESSES = { 4: { ours: '10.77.0.2', theirs: '10.77.0.1' }, 6: { ours: 'fd77::2', theirs: 'fd77::1' } } as const;

const SENDER = `
import socket, sys
with socket.create_connection((sys.argv[1], 5201), timeout=90) as s:
    block = bytes((i * 7 + (i >> 8)) & 255 for i in range(65536))
    left = int(sys.argv[2])
    while left > 0:
        s.sendall(block[:left])
        left -= min(left, len(block))
    s.shutdown(socket.SHUT_WR)
    while s.recv(4096): pass
`;
const RECEIVER = `
import hashlib, socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM) as listener:
    listener.bind((sys.argv[1], 5202))
    listener.listen(1)
    listener.settimeout(90)
    print('ready', flush=True)
    peer, _ = listener.accept()
    peer.settimeout(90)
    digest = hashlib.sha256()
    while True:
        data = peer.recv(65536)
        if not data: break
        digest.update(data)
    peer.close()
    print(digest.hexdigest())
`;

function stream(bytes: number): Buffer {
  const block = Buffer.from(Uint8Array.from({ length: 65_536 }, (_, i) => i * 7 + (i >> 8)));
  return Buffer.concat(Array.from({ length: Math.ceil(bytes / block.length) }, () => block)).subarray(0, bytes);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function setKernel(namespace: NetworkNamespace, knobs: Case): void {
  const value = (isOn: boolean): string => (isOn ? '1' : '0');
  namespace.run(
    'sysctl',
    '-q',
    '-w',
    `net.ipv4.tcp_sack=${value(knobs.kernelSack)}`,
    `net.ipv4.tcp_timestamps=${value(knobs.kernelTimestamps)}`,
    `net.ipv4.tcp_window_scaling=${value(knobs.kernelScaling)}`,
    `net.ipv4.tcp_ecn=${knobs.kernelEcn}`,
  );
}

function hostOptions(namespace: NetworkNamespace, knobs: Case, seed: number): HostOptions {
  const path = PATHS[knobs.path];
  const tcp: Partial<TcpConfig> = {
    congestion: knobs.controller,
    ecn: knobs.ecn,
    selectiveAck: knobs.sack,
    timestamps: knobs.timestamps,
    windowScaling: knobs.scaling,
  };
  return {
    link: 'tap:dm0',
    netns: namespace.name,
    addresses: ['10.77.0.2/24', 'fd77::2/64'],
    peerAddresses: ['10.77.0.1/24', 'fd77::1/64'],
    // Every wire segment is to have its own fate.
    offloads: { checksum: false, tcpSegmentation: false },
    tcp,
    wrapLink: (link, clock) => {
      const { lossRate, reorderRate, delayMs } = path;
      const delayed = delayMs === 0 ? link : new DelayLink(link, clock, { delayMicros: delayMs * 500 });
      return new FaultLink(delayed, { random: new SeededRandom(seed), lossRate, reorderRate, clock });
    },
  };
}

async function receiveStream(host: Host, memory: DeviceMemory, from: () => Promise<void>): Promise<string> {
  const binding = await host.bindRx(memory, { queues: [1] });
  const listener = await host.listen({ port: 5201, into: binding });
  const digester = memory.digester('sha256');
  const sending = from();
  for await (const socket of listener) {
    for await (const message of socket.messages()) {
      for (const frag of message.frags) digester.update(frag.offset, frag.size);
      message.release();
    }
    await socket.close();
    break;
  }
  await sending;
  listener.close();
  binding.close();
  return digester.hex();
}

async function sendStream(host: Host, namespace: NetworkNamespace, address: string, bytes: number): Promise<string> {
  const source = await DeviceMemory.allocate({ sizeBytes: Math.ceil(bytes / 4096) * 4096 });
  source.dmaWrite(0, stream(bytes));
  const child = namespace.start('python3', ['-c', RECEIVER, address]);
  const done = finished(child);
  await new Promise((resolve) => child.stdout!.once('data', resolve));
  const socket = await host.connect({ host: address, port: 5202 });
  await socket.sendFrom(source, { offset: 0, length: bytes });
  await socket.close();
  const end = await done;
  source.dispose();
  assert.equal(end.code, 0, end.stderr);
  return end.stdout.trim().split('\n').at(-1)!;
}

async function transfer(knobs: Case, seed: number): Promise<void> {
  const namespace = new NetworkNamespace();
  const memory = await DeviceMemory.allocate({ sizeBytes: 4 * MiB });
  try {
    setKernel(namespace, knobs);
    const { streamBytes } = PATHS[knobs.path];
    const { ours, theirs } = ADDRESSES[knobs.family];
    const expected = sha256(stream(streamBytes));
    const host = await openHost(hostOptions(namespace, knobs, seed));
    const received = await receiveStream(host, memory, async () => {
      const end = await finished(namespace.start('python3', ['-c', SENDER, ours, String(streamBytes)]));
      assert.equal(end.code, 0, end.stderr);
    });
    assert.equal(received, expected, 'what the kernel sent');
    assert.equal(await sendStream(host, namespace, theirs, streamBytes), expected, 'what the kernel received');
    host.checkConservation();
    await host.close();
  } finally {
    memory.dispose();
    namespace.close();
  }
}

describe('TCP against the kernel over a faulty path', { concurrency: 4 }, () => {
  for (const [seed, knobs] of pairwise(FACTORS).entries()) {
    const ours = `${knobs.controller}, sack ${knobs.sack}, ts ${knobs.timestamps}, ws ${knobs.scaling}, ecn ${knobs.ecn}`;
    const theirs = `sack ${knobs.kernelSack}, ts ${knobs.kernelTimestamps}, ws ${knobs.kernelScaling}, ecn ${knobs.kernelEcn}`;
    test(`${knobs.path}, IPv${knobs.family}, ours: ${ours}; kernel: ${theirs}`, { timeout: 120_000 }, async (t) => {
      if (!requireInterop(t, NEEDS)) return;
      await transfer(knobs, seed + 1);
    });
  }
});
