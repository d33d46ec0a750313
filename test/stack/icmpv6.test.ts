import assert from 'node:assert/strict';
import { test } from 'node:test';
import { icmpv6ChecksumValid } from '../../src/wire/icmpv6.ts';
import { patternBytes, tcpFrame, udpFrame } from '../../testing/frames.ts';
import { icmpv6Frame, ipv6Frame, LOCAL6, PEER6 } from '../../testing/ip-frames.ts';
import { acquainted, viewOf } from '../../testing/stack-host.ts';

function isSound(frame: Uint8Array): boolean {
  return icmpv6ChecksumValid(frame, viewOf(frame), 14, 54, frame.length - 54);
}

for (const size of [0, 1, 56, 1452]) {
  test(`an echo request with ${size} bytes is answered with the same bytes`, () => {
    const host = acquainted(6);
    const body = patternBytes(size, 3);
    host.receive(icmpv6Frame(128, 0, 0x1234_0009, body));
    const [reply] = host.take();
    assert.equal(reply![54], 129);
    assert.deepEqual(reply!.slice(62), body);
    assert.equal(isSound(reply!), true);
  });
}

for (const size of [1986, 1987, 8952]) {
  test(`a jumbo echo request with ${size} bytes is answered from the pages it landed in, which come back`, () => {
    const host = acquainted(6, { mtuBytes: 9000 });
    const body = patternBytes(size, 5);
    host.receive(icmpv6Frame(128, 0, 1, body));
    const [reply] = host.take();
    assert.deepEqual(reply!.slice(62), body);
    assert.equal(isSound(reply!), true);
    host.receive();
    assert.equal(host.nic.hostPool.referenceTotal, host.nic.ringReferences(host.nic.hostPool));
  });
}

test('an echo request to all nodes is answered from an address of ours', () => {
  const host = acquainted(6);
  host.receive(icmpv6Frame(128, 0, 1, new Uint8Array(4), { destination: 'ff02::1' }));
  assert.match(host.sent()[0]!, /fd00::2 > fd00::1 .*echo reply/);
});

test('UDP: port unreachable, within the minimum MTU', () => {
  const host = acquainted(6);
  host.receive(udpFrame({ source: PEER6, destination: LOCAL6, payload: patternBytes(1400) }));
  const [error] = host.take();
  assert.deepEqual(error!.slice(54, 56), Uint8Array.of(1, 4));
  assert.equal(error!.length, 14 + 1280);
  assert.equal(isSound(error!), true);
});

test('no error about an error, a redirect, a group, or from a source that is no host (RFC 4443 §2.4)', () => {
  const host = acquainted(6);
  host.receive(ipv6Frame(60, Uint8Array.of(132, 0, 1, 4, 0, 0, 0, 0), { destination: 'ff02::1' }));
  host.receive(
    icmpv6Frame(1, 4, 0, new Uint8Array(48), { nextHeader: 0, extensions: Uint8Array.of(58, 0, 0x9e, 4, 0, 0, 0, 0) }),
  );
  host.receive(
    icmpv6Frame(137, 0, 0, new Uint8Array(48), {
      nextHeader: 0,
      extensions: Uint8Array.of(58, 0, 0x9e, 4, 0, 0, 0, 0),
    }),
  );
  for (const source of ['::', '::1', 'ff02::5', '::ffff:10.0.0.1', LOCAL6]) {
    host.receive(ipv6Frame(132, new Uint8Array(8), { source }));
  }
  assert.deepEqual(host.sent(), []);
  assert.equal(host.stack.counters.rxDropSource, 5);
});

const ERRORS: readonly (readonly [number, number, number, string, number])[] = [
  [1, 0, 0, 'unreachable', 0],
  [1, 1, 0, 'prohibited', 0],
  [1, 3, 0, 'unreachable', 0],
  [1, 4, 0, 'port-unreachable', 0],
  [1, 5, 0, 'prohibited', 0],
  [2, 0, 1400, 'packet-too-big', 1400],
  [3, 0, 0, 'time-exceeded', 0],
];

for (const [type, code, rest, kind, mtuBytes] of ERRORS) {
  test(`ICMPv6 type ${type} code ${code} about a segment of ours is told to TCP as ${kind}`, (t) => {
    const host = acquainted(6);
    const told = t.mock.method(host.stack.tcp, 'icmpError', () => {});
    const fields = { source: LOCAL6, destination: PEER6, sourcePort: 5201, destinationPort: 40_000, sequence: 7777 };
    host.receive(icmpv6Frame(type, code, rest, tcpFrame(fields).subarray(14), { source: 'fd00::99' }));
    assert.equal(told.mock.callCount(), 1);
    const [saidKind, saidMtu, local, localPort, remote, remotePort, sequence] = told.mock.calls[0]!.arguments;
    assert.deepEqual([saidKind, saidMtu, localPort, remotePort, sequence], [kind, mtuBytes, 5201, 40_000, 7777]);
    assert.deepEqual([String(local), String(remote)], [LOCAL6, PEER6]);
  });
}

test('a Packet Too Big below 1280 is discarded (RFC 8201 §4)', (t) => {
  const host = acquainted(6);
  const told = t.mock.method(host.stack.tcp, 'icmpError', () => {});
  const segment = tcpFrame({ source: LOCAL6, destination: PEER6 }).subarray(14);
  host.receive(icmpv6Frame(2, 0, 1279, segment), icmpv6Frame(2, 0, 0, segment));
  assert.equal(told.mock.callCount(), 0);
  assert.equal(host.stack.counters.rxDropIcmpType, 2);
});
