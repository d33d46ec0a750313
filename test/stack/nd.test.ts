import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NA_OVERRIDE, NA_SOLICITED } from '../../src/wire/ndp.ts';
import { PEER_MAC } from '../../testing/frames.ts';
import { advertisementFrame, icmpv6Frame, LOCAL6, PEER6, solicitationFrame } from '../../testing/ip-frames.ts';
import { StackHost } from '../../testing/stack-host.ts';

const OTHER_MAC = Uint8Array.of(2, 0, 0, 0, 0, 9);
const V6_ONLY = { addresses: [`${LOCAL6}/64`] };
const LINK_LOCAL = 'fe80::ff:fe00:2';

function echoRequest(): Uint8Array {
  return icmpv6Frame(128, 0, 0x0007_0001, Uint8Array.of(1, 2, 3, 4));
}

test('a solicitation for our address is answered, solicited and overriding, and the asker is remembered', () => {
  const host = new StackHost(V6_ONLY);
  host.receive(solicitationFrame(LOCAL6));
  const sent = host.sent();
  assert.equal(sent.length, 1);
  assert.match(sent[0]!, /^to 02:00:00:00:00:01: .*fd00::2 > fd00::1 .*hlim 255/);
  assert.match(sent[0]!, /neighbor advertisement .*target fd00::2 \[solicited override\]/);
  const [entry] = [...host.stack.neighbors];
  assert.equal(entry!.state, 'STALE');
  assert.deepEqual(entry!.macAddress, PEER_MAC);
});

test('the link-local address comes along and answers too', () => {
  const host = new StackHost(V6_ONLY);
  assert.deepEqual(
    host.stack.addresses.list.map((own) => own.address.toString()),
    [LINK_LOCAL, LOCAL6],
  );
  host.receive(solicitationFrame(LINK_LOCAL, { source: 'fe80::1' }));
  assert.match(host.sent()[0]!, /target fe80::ff:fe00:2/);
});

test('solicitations with a hop limit below 255, for a group, or from nowhere with a link-layer address are invalid', () => {
  const host = new StackHost(V6_ONLY);
  host.receive(solicitationFrame(LOCAL6, { hopLimit: 254 }));
  host.receive(solicitationFrame('ff02::1', { destination: LOCAL6 }));
  host.receive(solicitationFrame(LOCAL6, { source: '::' }));
  host.receive(advertisementFrame(PEER6, NA_SOLICITED, { destination: 'ff02::1' }));
  assert.equal(host.stack.counters.rxDropNdInvalid, 4);
  assert.equal(host.stack.neighbors.size, 0);
  assert.deepEqual(host.sent(), []);
});

test('an unknown neighbour is solicited at its group and the packet waits', () => {
  const host = new StackHost(V6_ONLY);
  host.receive(echoRequest());
  const asked = host.sent();
  assert.equal(asked.length, 1);
  assert.match(asked[0]!, /^to 33:33:ff:00:00:01: .*fd00::2 > ff02::1:ff00:1 .*target fd00::1/);
  host.receive(advertisementFrame(PEER6, NA_SOLICITED | NA_OVERRIDE));
  assert.match(host.sent()[0]!, /fd00::2 > fd00::1 .*echo reply id 7 seq 1/);
  assert.equal([...host.stack.neighbors][0]!.state, 'REACHABLE');
});

test('an advertisement that nobody asked for adds no neighbour', () => {
  const host = new StackHost(V6_ONLY);
  host.receive(advertisementFrame(PEER6, NA_OVERRIDE, { destination: 'ff02::1' }));
  assert.equal(host.stack.neighbors.size, 0);
});

test('without the override flag another link-layer address only raises doubt (RFC 4861 §7.2.5)', () => {
  const host = new StackHost(V6_ONLY);
  host.receive(echoRequest(), advertisementFrame(PEER6, NA_SOLICITED));
  const entry = [...host.stack.neighbors][0]!;
  assert.equal(entry.state, 'REACHABLE');
  host.receive(advertisementFrame(PEER6, 0, { mac: OTHER_MAC }));
  assert.equal(entry.state, 'STALE');
  assert.deepEqual(entry.macAddress, PEER_MAC);
  host.receive(advertisementFrame(PEER6, NA_OVERRIDE, { mac: OTHER_MAC }));
  assert.deepEqual(entry.macAddress, OTHER_MAC);
});

test('the new link-layer address is used for the next packet', () => {
  const host = new StackHost(V6_ONLY);
  host.receive(solicitationFrame(LOCAL6), echoRequest());
  host.take();
  host.receive(solicitationFrame(LOCAL6, { mac: OTHER_MAC, sourceMac: OTHER_MAC }), echoRequest());
  assert.match(host.sent()[1]!, /^to 02:00:00:00:00:09: .*echo reply/);
});

test('an optimistic address is used at once and preferred after a second without objection', () => {
  const host = new StackHost({ ...V6_ONLY, duplicateDetection: 'optimistic' });
  const own = host.stack.addresses.list[1]!;
  assert.equal(own.state, 'optimistic');
  host.advance(0);
  const probes = host.sent();
  assert.equal(probes.length, 2);
  assert.match(probes[0]!, / :: > ff02::1:ff00:2 .*target fe80::ff:fe00:2/);
  assert.match(probes[1]!, /^to 33:33:ff:00:00:02: .* :: > ff02::1:ff00:2 .*target fd00::2/);
  host.receive(solicitationFrame(LOCAL6));
  assert.match(host.sent()[0]!, /\[solicited\]/);
  host.advance(1_000_000);
  assert.equal(own.state, 'preferred');
});

test('an optimistic address does not give its link-layer address with a solicitation', () => {
  const host = new StackHost({ ...V6_ONLY, duplicateDetection: 'optimistic' }).advance(0);
  host.take();
  host.receive(echoRequest());
  const [frame] = host.take();
  assert.equal(frame!.length, 14 + 40 + 24);
});

for (const [name, frame] of [
  [
    'advertises it',
    advertisementFrame(LOCAL6, NA_OVERRIDE, { mac: OTHER_MAC, sourceMac: OTHER_MAC, destination: 'ff02::1' }),
  ],
  ['probes for it too', solicitationFrame(LOCAL6, { source: '::', mac: null, sourceMac: OTHER_MAC })],
] as const) {
  for (const mode of ['optimistic', 'wait'] as const) {
    test(`${mode}: somebody else ${name}, so the address is given up`, () => {
      const host = new StackHost({ ...V6_ONLY, duplicateDetection: mode }).receive(frame).advance(5_000_000);
      assert.equal(host.stack.addresses.list[1]!.state, 'duplicate');
      assert.equal(host.stack.counters.dadConflicts, 1);
      host.take();
      host.receive(solicitationFrame(LOCAL6));
      assert.deepEqual(host.sent(), []);
    });
  }
}

test('a preferred address is defended against a probe with an advertisement to all nodes', () => {
  const host = new StackHost(V6_ONLY);
  host.receive(solicitationFrame(LOCAL6, { source: '::', mac: null, sourceMac: OTHER_MAC }));
  assert.match(host.sent()[0]!, /^to 33:33:00:00:00:01: .*fd00::2 > ff02::1 .*target fd00::2 \[override\]/);
  assert.equal(host.stack.addresses.list[1]!.state, 'preferred');
  host.receive(advertisementFrame(LOCAL6, NA_OVERRIDE, { mac: OTHER_MAC, sourceMac: OTHER_MAC }));
  assert.equal(host.stack.counters.ndConflicts, 1);
});

test('while an address is tentative, packets to it are dropped', () => {
  const host = new StackHost({ ...V6_ONLY, duplicateDetection: 'wait' });
  host.receive(echoRequest());
  assert.equal(host.stack.counters.rxDropDestination, 1);
  host.advance(5_000_000);
  host.take();
  host.receive(solicitationFrame(LOCAL6), echoRequest());
  assert.equal(host.sent().length, 2);
});

test('solicitations cut short or with a broken option never pass', () => {
  const host = new StackHost(V6_ONLY);
  const body = Uint8Array.from([...new Uint8Array(16), 1, 0, 0, 0, 0, 0, 0, 0]);
  host.receive(icmpv6Frame(135, 0, 0, body, { hopLimit: 255 }));
  for (let length = 0; length < 16; length++) {
    host.receive(icmpv6Frame(135, 0, 0, new Uint8Array(length), { hopLimit: 255 }));
  }
  assert.equal(host.stack.counters.rxDropNdInvalid, 17);
});
