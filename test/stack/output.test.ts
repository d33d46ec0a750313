import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePrefix, type Prefix } from '../../src/wire/address.ts';
import { ARP_REQUEST } from '../../src/wire/arp.ts';
import { ipv4ChecksumValid } from '../../src/wire/ipv4.ts';
import { trafficClass as readTrafficClass } from '../../src/wire/traffic-class.ts';
import { address, arpFrame, LOCAL4, LOCAL6, PEER4, PEER6, solicitationFrame } from '../../testing/ip-frames.ts';
import { StackHost } from '../../testing/stack-host.ts';

function prefix(text: string): Prefix {
  return parsePrefix(text)!;
}

test('there is no route to groups, to broadcast, to ourselves, to loopback, or where the table has none', () => {
  const { stack } = new StackHost();
  for (const text of ['224.0.0.1', '255.255.255.255', '10.0.0.255', '0.0.0.0', '127.0.0.1', LOCAL4, '8.8.8.8']) {
    assert.equal(stack.output.route(address(text), null), null, text);
  }
  for (const text of ['ff02::1', '::', '::1', LOCAL6, '2001:db8::1']) {
    assert.equal(stack.output.route(address(text), null), null, text);
  }
  assert.equal(stack.output.route(address(PEER4), address('10.0.0.99')), null);
  assert.equal(stack.output.route(address(PEER4), address(LOCAL6)), null);
});

test('the source is chosen by scope, then by the longest common prefix (RFC 6724 §5)', () => {
  const { stack } = new StackHost({ addresses: ['10.0.0.2/24', '10.0.1.2/24', 'fd00::2/64', 'fd00:0:0:1::2/64'] });
  const source = (text: string): string => stack.output.route(address(text), null)!.source.toString();
  assert.equal(source('10.0.0.9'), '10.0.0.2');
  assert.equal(source('10.0.1.9'), '10.0.1.2');
  assert.equal(source('fd00::9'), 'fd00::2');
  assert.equal(source('fd00:0:0:1::9'), 'fd00:0:0:1::2');
  assert.equal(source('fe80::9'), 'fe80::ff:fe00:2');
});

test('all connections between two addresses share a route', () => {
  const { stack } = new StackHost();
  const route = stack.output.route(address(PEER4), null);
  assert.equal(stack.output.route(address(PEER4), address(LOCAL4)), route);
});

test('a packet beyond the subnet goes to the gateway, and to a new one once the route is changed', () => {
  const host = new StackHost();
  const { stack } = host;
  stack.addRoute(prefix('0.0.0.0/0'), address('10.0.0.254'));
  const route = stack.output.route(address('8.8.8.8'), null)!;
  assert.equal(stack.output.begin(route, 6, host.nowMicros), null);
  assert.equal(route.state, 'resolving');
  assert.match(host.sent()[0]!, /who-has 10\.0\.0\.254/);
  host.receive(arpFrame({ operation: ARP_REQUEST, sender: '10.0.0.254', target: LOCAL4 }));
  const tx = stack.output.begin(route, 6, host.nowMicros);
  assert.equal(route.state, 'ready');
  assert.deepEqual(tx!.bytes.slice(0, 6), Uint8Array.of(2, 0, 0, 0, 0, 1));
  assert.equal(tx!.l4Offset, 34);
  host.take();

  stack.addRoute(prefix('8.8.8.0/24'), address('10.0.0.253'));
  assert.equal(stack.output.begin(route, 6, host.nowMicros), null);
  assert.match(host.sent()[0]!, /who-has 10\.0\.0\.253/);
});

test('a route whose next hop does not answer fails, and is tried again after a while', () => {
  const host = new StackHost();
  const route = host.stack.output.route(address(PEER4), null)!;
  assert.equal(host.stack.output.begin(route, 6, host.nowMicros), null);
  host.advance(4_000_000);
  assert.equal(host.stack.output.begin(route, 6, host.nowMicros), null);
  assert.equal(route.state, 'failed');
  host.advance(3_000_000);
  assert.equal(host.stack.output.begin(route, 6, host.nowMicros), null);
  assert.equal(route.state, 'resolving');
});

test('a route whose source address is taken away fails', () => {
  const host = new StackHost();
  const route = host.stack.output.route(address(PEER4), null)!;
  host.receive(arpFrame({ operation: ARP_REQUEST, target: LOCAL4 }));
  assert.notEqual(host.stack.output.begin(route, 6, host.nowMicros), null);
  host.stack.removeAddress(address(LOCAL4));
  assert.equal(host.stack.output.begin(route, 6, host.nowMicros), null);
  assert.equal(route.state, 'failed');
  assert.equal(host.stack.output.route(address(PEER4), null), null);
});

test('a packet too long for its length field is refused, not sent', () => {
  const host = new StackHost();
  const { output } = host.stack;
  host.receive(arpFrame({ operation: ARP_REQUEST, target: LOCAL4 }));
  host.take();
  const route = output.route(address(PEER4), null)!;
  const tx = output.begin(route, 6, host.nowMicros)!;
  tx.payloadBytes = 65_536 - 20;
  assert.equal(output.send(route, tx), -90);
  assert.deepEqual(host.sent(), []);
});

test('forward progress keeps the next hop reachable', () => {
  const host = new StackHost();
  host.receive(arpFrame({ operation: ARP_REQUEST, target: LOCAL4 }));
  const route = host.stack.output.route(address(PEER4), null)!;
  host.stack.output.confirm(route, host.nowMicros);
  host.stack.output.begin(route, 6, host.nowMicros);
  host.stack.output.confirm(route, host.nowMicros);
  assert.equal([...host.stack.neighbors][0]!.state, 'REACHABLE');
});

test('the traffic class is in the header, and the checksum right, in both versions', () => {
  for (const [peer, family] of [
    [PEER4, 4],
    [PEER6, 6],
  ] as const) {
    const host = new StackHost();
    host.receive(family === 4 ? arpFrame({ operation: ARP_REQUEST, target: LOCAL4 }) : solicitationFrame(LOCAL6));
    host.take();
    const { output } = host.stack;
    for (const trafficClass of [0, 1, 2, 3, 0xb8, 0xff, 0]) {
      const route = output.route(address(peer), null)!;
      const tx = output.begin(route, 6, host.nowMicros, trafficClass)!;
      tx.bytes.fill(0, tx.l4Offset, tx.l4Offset + 20);
      tx.bytes[tx.l4Offset + 12] = 0x50;
      tx.headerBytes = tx.l4Offset + 20;
      assert.ok(output.send(route, tx) > 0);
      const [frame] = host.take();
      const view = new DataView(frame!.buffer, frame!.byteOffset, frame!.byteLength);
      assert.equal(readTrafficClass(frame!, 14), trafficClass);
      if (family === 4) assert.ok(ipv4ChecksumValid(frame!, view, 14));
    }
  }
});
