import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_MAC, tcpFrame } from '../../testing/frames.ts';
import { icmpFrame, ipv4Frame } from '../../testing/ip-frames.ts';
import { acquainted } from '../../testing/stack-host.ts';

test('echo requests to the subnet broadcast and as link broadcasts are not answered', () => {
  const host = acquainted(4);
  const broadcast = new Uint8Array(6).fill(0xff);
  host.receive(icmpFrame(8, 0, 1, new Uint8Array(8), { destination: '10.0.0.255', destinationMac: broadcast }));
  host.receive(icmpFrame(8, 0, 1, new Uint8Array(8), { destinationMac: broadcast }));
  assert.equal(host.stack.counters.rxDropMulticast, 2);
  assert.deepEqual(host.sent(), []);
});

test('source routes and malformed options are dropped, other options are stepped over', () => {
  const host = acquainted(4);
  const icmp = icmpFrame(8, 0, 1, new Uint8Array(8)).slice(34);
  host.receive(ipv4Frame(1, icmp, { options: Uint8Array.of(131, 7, 4, 10, 0, 0, 9, 0) }));
  host.receive(ipv4Frame(1, icmp, { options: Uint8Array.of(137, 3, 4, 0) }));
  assert.equal(host.stack.counters.rxDropSourceRoute, 2);
  host.receive(ipv4Frame(1, icmp, { options: Uint8Array.of(7, 40, 4, 0) }));
  assert.equal(host.stack.counters.rxDropMalformed, 1);
  host.receive(ipv4Frame(1, icmp, { options: Uint8Array.of(1, 1, 1, 0) }));
  assert.equal(host.take().length, 1);
});

test('frames for others are dropped and counted', () => {
  const host = acquainted(4);
  host.receive(icmpFrame(8, 0, 1, new Uint8Array(8), { destination: '10.0.0.77', destinationMac: LOCAL_MAC }));
  assert.equal(host.stack.counters.rxDropDestination, 1);
});

test('fragments are refused and counted', () => {
  const host = acquainted(4);
  for (const flagsOffset of [0x2000, 0x2001, 0x0001]) host.receive(ipv4Frame(1, new Uint8Array(16), { flagsOffset }));
  assert.equal(host.stack.counters.rxDropFragment, 3);
  assert.deepEqual(host.sent(), []);
});

test('TCP reaches TCP, but not as a link broadcast (RFC 1122 §3.3.6)', (t) => {
  const host = acquainted(4);
  const input = t.mock.method(host.stack.tcp, 'input', () => undefined);
  host.receive(tcpFrame(), tcpFrame({ destinationMac: new Uint8Array(6).fill(0xff) }));
  assert.equal(input.mock.callCount(), 1);
  assert.equal(host.stack.counters.rxDropMulticast, 1);
});
