import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DelayLink } from '../../src/link/wrap/delay.ts';
import type { TcpConnection } from '../../src/stack/tcp/connection.ts';
import { IpAddress } from '../../src/wire/address.ts';
import { SimNet } from '../../testing/sim-net.ts';
import { pattern, readAll } from '../../testing/tcp-pair.ts';

const SECOND = 1_000_000;
/** Longer than any reachable time (45 s) and the doubt behind it (5 s). */
const FLOW_MICROS = 120 * SECOND;

for (const remote of ['10.9.0.2', 'fd09::2']) {
  test(`RFC 4861 §7.3.1: a flow to ${remote} proves the next hop to both ends, who never probe it`, () => {
    const net = new SimNet({ wrap: (link, clock) => new DelayLink(link, clock, { delayMicros: 50_000 }) });
    const [left, right] = net.hosts;
    const listener = right.stack.tcp.listen({ address: null, port: 80, backlog: 1, pool: right.nic.hostPool });
    const client = left.stack.tcp.connect(
      { remote: IpAddress.parse(remote)!, remotePort: 80, pool: left.nic.hostPool },
      net.nowMicros,
    );
    let server: TcpConnection | null = null;
    assert.ok(net.runUntil(() => (server ??= listener.accept()) !== null, 10 * SECOND));
    const before = net.hosts.map(({ stack }) => stack.counters.neighborSolicitations);
    const data = pattern(4000);
    const endMicros = net.nowMicros + FLOW_MICROS;
    let received = 0;
    while (net.nowMicros < endMicros) {
      client.send(data, 0, data.sizeBytes);
      net.runFor(SECOND);
      received += readAll(server!, net.nowMicros).length;
    }
    assert.ok(received > 400_000, `${received} bytes`);
    assert.deepEqual(
      net.hosts.map(({ stack }) => stack.counters.neighborSolicitations),
      before,
    );
  });
}
