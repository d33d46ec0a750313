import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { PagePool } from '../../src/memory/page-pool.ts';
import { HostRegion } from '../../src/memory/region.ts';
import { DelayLink } from '../../src/link/wrap/delay.ts';
import { FaultLink } from '../../src/link/wrap/fault.ts';
import type { TcpConnection } from '../../src/stack/tcp/connection.ts';
import { IpAddress } from '../../src/wire/address.ts';
import { SimNet, type SimNetOptions } from '../../testing/sim-net.ts';
import { pattern, readAll } from '../../testing/tcp-pair.ts';

const MINUTE = 60_000_000;

interface Run {
  net: SimNet;
  pool: PagePool;
}

/** Device memory of `pages` on queue 1 of the second host; the client's stream of `bytes` is steered there. */
function stream(options: SimNetOptions, bytes: number, pages: number, remote = '10.9.0.2'): Run {
  const net = new SimNet(options);
  const [left, right] = net.hosts;
  const pool = new PagePool({ region: new HostRegion(pages * 4096) });
  right.nic.bindQueue(1, pool);
  const ruleId = right.nic.steer({ protocol: 'tcp', destinationPort: 5201, queues: [1] });
  const listener = right.stack.tcp.listen({ address: null, port: 5201, backlog: 8, pool });
  const client = left.stack.tcp.connect(
    { remote: IpAddress.parse(remote)!, remotePort: 5201, pool: left.nic.hostPool },
    net.nowMicros,
  );
  let server: TcpConnection | null = null;
  assert.ok(
    net.runUntil(() => (server ??= listener.accept()) !== null, MINUTE),
    'connected',
  );
  const data = pattern(bytes, 11);
  const got = createHash('sha256');
  let sent = 0;
  let received = 0;
  const isDone = (): boolean => {
    if (sent < bytes) sent += client.send(data, sent, bytes - sent);
    else client.shutdown(net.nowMicros);
    for (let i = 0; i < server!.receiveQueue.count; i++) assert.equal(server!.receiveQueue.pool(i), pool);
    const part = readAll(server!, net.nowMicros);
    received += part.length;
    got.update(part);
    return server!.finReceived && received === bytes;
  };
  assert.ok(net.runUntil(isDone, 60 * MINUTE), `${received} of ${bytes} bytes, ${client.errno} ${server!.errno}`);
  assert.equal(got.digest('hex'), createHash('sha256').update(data.mapping).digest('hex'));
  server!.close(net.nowMicros);
  client.close(net.nowMicros);
  listener.close(net.nowMicros);
  net.runFor(3 * MINUTE);
  assert.equal(client.completedOffset, bytes);
  for (const host of net.hosts) {
    assert.equal(host.stack.tcp.connectionCount, 0);
    assert.equal(host.stack.tcp.timers.size, 0);
    assert.equal(host.nic.hostPool.promisedBytes, 0);
    assert.equal(host.nic.hostPool.referenceTotal, host.nic.ringReferences(host.nic.hostPool));
  }
  assert.equal(pool.promisedBytes, 0);
  assert.equal(pool.referenceTotal, right.nic.ringReferences(pool));
  assert.equal(right.nic.counters.rxDropNoPage, 0);
  right.nic.steering.remove(ruleId);
  return { net, pool };
}

test('a stream over the cable lands in the bound memory', () => {
  const { net } = stream({}, 16 << 20, 1024);
  assert.equal(net.hosts[0].stack.tcp.counters.retransmittedSegments, 0);
});

test('IPv6', () => {
  stream({}, 4 << 20, 256, 'fd09::2');
});

test('memory of 16 pages', () => {
  const { net } = stream({}, 4 << 20, 16);
  assert.equal(net.hosts[0].stack.tcp.counters.retransmittedSegments, 0);
});

test('a link with delay and a rate', () => {
  stream(
    { wrap: (link, clock) => new DelayLink(link, clock, { delayMicros: 5000, bitsPerSecond: 100_000_000 }) },
    4 << 20,
    1024,
  );
});

test('40 seeds: loss, duplicates, reordering and corruption at once', () => {
  for (let seed = 1; seed <= 40; seed++) {
    stream(
      {
        seed,
        wrap: (link, clock, random) =>
          new FaultLink(new DelayLink(link, clock, { delayMicros: 500 }), {
            random,
            clock,
            lossRate: 0.05,
            duplicateRate: 0.02,
            reorderRate: 0.05,
            corruptRate: 0.01,
            direction: 'write',
          }),
      },
      150_000,
      64,
      seed % 2 === 0 ? '10.9.0.2' : 'fd09::2',
    );
  }
});
