import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_WAITING } from '../../src/stack/outbox.ts';
import { ARP_REPLY, ARP_REQUEST } from '../../src/wire/arp.ts';
import { LOCAL_MAC, PEER_MAC } from '../../testing/frames.ts';
import { arpFrame, icmpFrame, LOCAL4, PEER4 } from '../../testing/ip-frames.ts';
import { StackHost } from '../../testing/stack-host.ts';

const OTHER_MAC = Uint8Array.of(2, 0, 0, 0, 0, 9);
const V4_ONLY = { addresses: [`${LOCAL4}/24`] };

function echoRequest(source = PEER4): Uint8Array {
  return icmpFrame(8, 0, 0x0007_0001, Uint8Array.of(1, 2, 3, 4), { source });
}

test('a request for our address is answered to the asker, who is remembered', () => {
  const host = new StackHost(V4_ONLY);
  host.receive(arpFrame({ operation: ARP_REQUEST, target: LOCAL4 }));
  assert.deepEqual(host.sent(), ['to 02:00:00:00:00:01: arp reply 10.0.0.2 is-at 02:00:00:00:00:02']);
  const [entry] = [...host.stack.neighbors];
  assert.equal(entry!.state, 'STALE');
  assert.equal(entry!.address.toString(), PEER4);
  assert.deepEqual(entry!.macAddress, PEER_MAC);
});

test('a request for another address is not answered and adds no neighbour', () => {
  const host = new StackHost(V4_ONLY);
  host.receive(arpFrame({ operation: ARP_REQUEST, target: '10.0.0.77' }));
  assert.deepEqual(host.sent(), []);
  assert.equal(host.stack.neighbors.size, 0);
});

test('an asker from another subnet is answered but not remembered', () => {
  const host = new StackHost(V4_ONLY);
  host.receive(arpFrame({ operation: ARP_REQUEST, sender: '192.168.1.1', target: LOCAL4 }));
  assert.equal(host.sent().length, 1);
  assert.equal(host.stack.neighbors.size, 0);
});

test('a packet for an unknown neighbour waits for the resolution', () => {
  const host = new StackHost(V4_ONLY);
  host.receive(echoRequest());
  assert.deepEqual(host.sent(), ['to ff:ff:ff:ff:ff:ff: arp who-has 10.0.0.1 tell 10.0.0.2']);
  host.receive(arpFrame({ operation: ARP_REPLY, target: LOCAL4, targetMac: LOCAL_MAC, destinationMac: LOCAL_MAC }));
  const sent = host.sent();
  assert.equal(sent.length, 1);
  assert.match(sent[0]!, /10\.0\.0\.2 > 10\.0\.0\.1 .*icmp echo reply id 7 seq 1 len 12/);
  assert.equal([...host.stack.neighbors][0]!.state, 'REACHABLE');
});

test('a resolution nobody answers is given up after three requests, one a second, and then held for a while', () => {
  const host = new StackHost(V4_ONLY);
  host.receive(echoRequest()).advance(10_000_000);
  assert.equal(host.sent().length, 3);
  assert.equal([...host.stack.neighbors][0]!.state, 'FAILED');
  assert.equal(host.stack.counters.txDropUnresolved, 1);
  assert.equal(host.stack.counters.neighborFailures, 1);
});

test('while a failure is fresh, nobody is asked again', () => {
  const host = new StackHost(V4_ONLY);
  host.receive(echoRequest()).advance(3_500_000);
  host.take();
  host.receive(echoRequest());
  assert.deepEqual(host.sent(), []);
  host.advance(3_000_000).receive(echoRequest());
  assert.equal(host.sent().length, 1);
});

test('the waiting room is bounded', () => {
  const host = new StackHost(V4_ONLY);
  for (let i = 0; i < MAX_WAITING + 4; i++) host.receive(echoRequest());
  assert.equal(host.stack.counters.txDropUnresolved, 4);
  host.take();
  host.receive(arpFrame({ operation: ARP_REPLY, target: LOCAL4, targetMac: LOCAL_MAC, destinationMac: LOCAL_MAC }));
  assert.equal(host.sent().length, MAX_WAITING);
});

test('a reply nobody asked for adds no neighbour, a changed address is taken over', () => {
  const host = new StackHost(V4_ONLY);
  const reply = { operation: ARP_REPLY, target: LOCAL4, destinationMac: LOCAL_MAC };
  host.receive(arpFrame(reply));
  assert.equal(host.stack.neighbors.size, 0);
  host.receive(arpFrame({ operation: ARP_REQUEST, target: LOCAL4 }));
  host.receive(arpFrame({ operation: ARP_REQUEST, sender: PEER4, target: PEER4, senderMac: OTHER_MAC }));
  assert.deepEqual([...host.stack.neighbors][0]!.macAddress, OTHER_MAC);
});

test('a stale neighbour is used, doubted after five seconds, asked by unicast three times and given up', () => {
  const host = new StackHost(V4_ONLY);
  host.receive(arpFrame({ operation: ARP_REQUEST, target: LOCAL4 }), echoRequest());
  host.take();
  const entry = [...host.stack.neighbors][0]!;
  assert.equal(entry.state, 'DELAY');
  host.advance(5_000_000);
  assert.equal(entry.state, 'PROBE');
  assert.deepEqual(host.sent(), ['to 02:00:00:00:00:01: arp who-has 10.0.0.1 tell 10.0.0.2']);
  host.advance(3_000_000);
  assert.equal(host.sent().length, 2);
  assert.equal(entry.state, 'FAILED');
  host.receive(echoRequest());
  assert.match(host.sent()[0]!, /^to ff:ff:ff:ff:ff:ff: arp who-has/);
});

test('an address conflict is counted and defended once in ten seconds (RFC 5227 §2.4)', () => {
  const host = new StackHost(V4_ONLY);
  const rival = arpFrame({ operation: ARP_REQUEST, sender: LOCAL4, target: LOCAL4, senderMac: OTHER_MAC });
  host.receive(rival, rival, rival);
  assert.deepEqual(host.sent(), ['to ff:ff:ff:ff:ff:ff: arp who-has 10.0.0.2 tell 10.0.0.2']);
  host.advance(10_000_000).receive(rival);
  assert.equal(host.sent().length, 1);
  assert.equal(host.stack.counters.arpConflicts, 4);
  assert.equal(host.stack.counters.arpDefences, 2);
});

test('detection by waiting: three probes, then the address is announced twice (RFC 5227 §2.1, §2.3)', () => {
  const host = new StackHost({ ...V4_ONLY, duplicateDetection: 'wait' });
  const own = host.stack.addresses.list[0]!;
  assert.equal(own.state, 'tentative');
  host.receive(arpFrame({ operation: ARP_REQUEST, target: LOCAL4 }));
  assert.deepEqual(host.sent(), []);
  host.advance(20_000_000);
  const probe = 'to ff:ff:ff:ff:ff:ff: arp who-has 10.0.0.2 tell 0.0.0.0';
  const announcement = 'to ff:ff:ff:ff:ff:ff: arp who-has 10.0.0.2 tell 10.0.0.2';
  assert.deepEqual(host.sent(), [probe, probe, probe, announcement, announcement]);
  assert.equal(own.state, 'preferred');
});

for (const [name, frame] of [
  ['uses it', arpFrame({ operation: ARP_REPLY, sender: LOCAL4, target: PEER4, senderMac: OTHER_MAC })],
  ['probes for it too', arpFrame({ operation: ARP_REQUEST, sender: '0.0.0.0', target: LOCAL4, senderMac: OTHER_MAC })],
] as const) {
  test(`detection by waiting: somebody else ${name}, so we do not`, () => {
    const host = new StackHost({ ...V4_ONLY, duplicateDetection: 'wait' });
    host.receive(frame).advance(20_000_000);
    assert.equal(host.stack.addresses.list[0]!.state, 'duplicate');
    assert.equal(host.stack.counters.dadConflicts, 1);
    host.take();
    host.receive(arpFrame({ operation: ARP_REQUEST, target: LOCAL4 }));
    assert.deepEqual(host.sent(), []);
  });
}

test('our own frames, brought back by a loop, are no conflict', () => {
  const host = new StackHost(V4_ONLY);
  host.receive(arpFrame({ operation: ARP_REQUEST, sender: LOCAL4, target: LOCAL4, senderMac: LOCAL_MAC }));
  assert.equal(host.stack.counters.arpConflicts, 0);
});

test('ARP cut short or of another kind is dropped and counted', () => {
  const host = new StackHost(V4_ONLY);
  const frame = arpFrame({ operation: ARP_REQUEST, target: LOCAL4 });
  for (let length = 14; length < frame.length; length++) host.receive(frame.slice(0, length));
  assert.equal(host.stack.counters.rxDropMalformed, 28);
  host.receive(arpFrame({ operation: 3, target: LOCAL4 }));
  assert.equal(host.stack.counters.rxDropMalformed, 29);
  assert.deepEqual(host.sent(), []);
});
