import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished as streamFinished } from 'node:stream/promises';
import { test, type TestContext } from 'node:test';
import { MiB } from '../../src/core/units.ts';
import { DeviceMemory, openHost } from '../../src/index.ts';
import { finished } from '../../testing/finished.ts';
import { NetworkNamespace } from '../../testing/netns.ts';
import { requireInterop } from '../../testing/requirements.ts';

/**
 * tshark, who has read more TCP than anyone, on whole sessions of ours with Linux: ARP, ND, ping, a stream each way
 * over both families. Nothing may be malformed and no checksum may be bad.
 */
const NEEDS = { root: true, tun: true, tools: ['ip', 'tshark', 'python3', 'ping', 'nc'] };

const EXPERT = [
  ...['-o', 'ip.check_checksum:TRUE', '-o', 'tcp.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE'],
  ...['-o', 'tcp.analyze_sequence_numbers:TRUE'],
];
const WRONG =
  '_ws.malformed || _ws.short || ip.checksum.status == "Bad" || tcp.checksum.status == "Bad" || ' +
  'icmp.checksum.status == "Bad" || icmpv6.checksum.status == "Bad" || tcp.analysis.ack_lost_segment';

const STREAM_BYTES: number = 8 * MiB;
const PYTHON_SENDER = `
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30) as s:
    s.sendall(bytes(range(256)) * (int(sys.argv[3]) // 256))
    s.shutdown(socket.SHUT_WR)
    while s.recv(4096): pass
`;
const EXPECTED: string = createHash('sha256')
  .update(
    Buffer.alloc(
      STREAM_BYTES,
      Uint8Array.from({ length: 256 }, (_, i) => i),
    ),
  )
  .digest('hex');

function tshark(file: string, filter: string): string[] {
  const output = execFileSync('tshark', ['-n', '-r', file, ...EXPERT, '-Y', filter], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 64 * MiB,
  });
  return output.split('\n').filter((line) => line !== '');
}

/** Takes one stream into device memory and answers its digest, computed from the references. */
async function receiveOne(host: Awaited<ReturnType<typeof openHost>>, memory: DeviceMemory): Promise<string> {
  const binding = await host.bindRx(memory, { queues: [1] });
  const listener = await host.listen({ port: 5201, into: binding });
  const digester = memory.digester('sha256');
  for await (const socket of listener) {
    for await (const message of socket.messages()) {
      for (const frag of message.frags) digester.update(frag.offset, frag.size);
      message.release();
    }
    await socket.close();
    break;
  }
  listener.close();
  binding.close();
  return digester.hex();
}

async function session(t: TestContext, options: { payload: boolean; offload: boolean }): Promise<void> {
  if (!requireInterop(t, NEEDS)) return;
  const folder = mkdtempSync(join(tmpdir(), 'devmem-tcp-capture-'));
  const file = join(folder, 'session.pcapng');
  const namespace = new NetworkNamespace();
  const memory = await DeviceMemory.allocate({ sizeBytes: 4 * MiB, exporter: 'memfd' });
  try {
    const sink = createWriteStream(file);
    const host = await openHost({
      link: 'tap:dm0',
      netns: namespace.name,
      addresses: ['10.77.0.2/24', 'fd77::2/64'],
      peerAddresses: ['10.77.0.1/24', 'fd77::1/64'],
      offloads: { checksum: options.offload, tcpSegmentation: options.offload },
      capture: { sink, payload: options.payload },
    });
    for (const address of ['10.77.0.2', 'fd77::2']) {
      const ping = await finished(namespace.start('ping', ['-c', '2', '-i', '0.2', '-s', '1000', address]));
      assert.equal(ping.code, 0, ping.stdout + ping.stderr);
      const received = receiveOne(host, memory);
      const sent = await finished(
        namespace.start('python3', ['-c', PYTHON_SENDER, address, '5201', String(STREAM_BYTES)]),
      );
      assert.equal(sent.code, 0, sent.stderr);
      assert.equal(await received, EXPECTED);
    }
    await host.close();
    sink.end();
    await streamFinished(sink);

    assert.deepEqual(tshark(file, WRONG), []);
    assert.ok(tshark(file, 'arp').length > 0, 'ARP is in the file');
    assert.ok(tshark(file, 'icmpv6.type == 135 || icmpv6.type == 136').length > 0, 'ND is in the file');
    assert.ok(tshark(file, 'icmp.type == 0').length >= 2, 'echo replies are in the file');
    assert.equal(tshark(file, 'tcp.flags.syn == 1 && tcp.flags.ack == 1').length, 2);
    // The check can fail: tshark verified checksums of the segments that the file holds whole.
    assert.ok(tshark(file, 'tcp.checksum.status == "Good"').length > 4);
    const longest = tshark(file, 'tcp.len > 1000 && frame.cap_len > 1000');
    if (options.payload) assert.ok(longest.length > 0);
    else assert.deepEqual(longest, []);
  } finally {
    memory.dispose();
    namespace.close();
    rmSync(folder, { recursive: true });
  }
}

for (const payload of [false, true]) {
  for (const offload of [true, false]) {
    const name = `${payload ? 'with' : 'without'} payload, offload ${offload ? 'on' : 'off'}`;
    test(`tshark finds nothing wrong in a session ${name}`, (t) => session(t, { payload, offload }));
  }
}
