import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddress } from '../../src/wire/address.ts';
import { PagePool } from '../../src/memory/page-pool.ts';
import { HostRegion } from '../../src/memory/region.ts';
import { DelayLink } from '../../src/link/wrap/delay.ts';
import { SimNet, type SimNetOptions } from '../../testing/sim-net.ts';

function pool(): PagePool {
  return new PagePool({ region: new HostRegion(64 * 4096) });
}

/** Connects from host 0 to host 1; virtual microseconds until established, or -1. */
function connect(net: SimNet, remote: string): number {
  const [client, server] = net.hosts;
  server.stack.tcp.listen({ address: null, port: 80, backlog: 4, pool: pool() });
  const begin = net.nowMicros;
  const connection = client.stack.tcp.connect(
    { remote: IpAddress.parse(remote)!, remotePort: 80, pool: pool() },
    net.nowMicros,
  );
  return net.runUntil(() => connection.state === 'ESTABLISHED', 10_000_000) ? net.nowMicros - begin : -1;
}

for (const remote of ['10.9.0.2', 'fd09::2']) {
  for (const duplicateDetection of ['off', 'optimistic'] as const) {
    test(`two stacks resolve each other and connect to ${remote} without waiting (${duplicateDetection})`, () => {
      const net = new SimNet({ stack: { duplicateDetection } });
      assert.equal(connect(net, remote), 0);
      for (const host of net.hosts) assert.equal(host.stack.counters.rxDropMalformed, 0);
    });
  }
}

test('over a delayed link it takes the resolution and the handshake: two round trips', () => {
  const wrap: SimNetOptions['wrap'] = (link, clock) => new DelayLink(link, clock, { delayMicros: 5000 });
  const net = new SimNet({ wrap });
  const micros = connect(net, '10.9.0.2');
  assert.ok(micros >= 20_000 && micros < 50_000, `${micros} µs`);
});

test('the same seed gives the same run', () => {
  const run = (seed: number): number[] => {
    const net = new SimNet({ seed, stack: { duplicateDetection: 'wait' } });
    net.runFor(20_000_000);
    return net.hosts.map((host) => host.link.framesWritten);
  };
  assert.deepEqual(run(7), run(7));
});

test('step says when nothing is left to happen', () => {
  const net = new SimNet();
  while (net.step());
  assert.equal(net.step(), false);
});
