import assert from 'node:assert/strict';
import { test } from 'node:test';
import { icmpChecksumValid } from '../../src/wire/icmp.ts';
import { patternBytes, PEER_MAC, tcpFrame, udpFrame } from '../../testing/frames.ts';
import { icmpFrame, ipv4Frame, LOCAL4, PEER4 } from '../../testing/ip-frames.ts';
import { acquainted, viewOf } from '../../testing/stack-host.ts';

/** The quoted frame is what we sent: a TCP segment from us to the peer. */
function sentSegment(): Uint8Array {
  const fields = { source: LOCAL4, destination: PEER4, sourcePort: 5201, destinationPort: 40_000, sequence: 7777 };
  return tcpFrame(fields).subarray(14);
}

for (const size of [0, 1, 56, 1000, 1472]) {
  test(`an echo request with ${size} bytes is answered with the same bytes and a right checksum`, () => {
    const host = acquainted(4);
    const body = patternBytes(size, 3);
    host.receive(icmpFrame(8, 0, 0x1234_0009, body));
    const [reply] = host.take();
    assert.equal(reply!.length, 14 + 20 + 8 + size);
    assert.deepEqual(reply!.slice(0, 6), PEER_MAC);
    assert.equal(reply![34], 0);
    assert.deepEqual(reply!.slice(38, 42), Uint8Array.of(0x12, 0x34, 0, 9));
    assert.deepEqual(reply!.slice(42), body);
    assert.equal(icmpChecksumValid(reply!, viewOf(reply!), 34, 8 + size), true);
    assert.equal(host.stack.counters.txEchoReplies, 1);
  });
}

for (const size of [2006, 2007, 2008, 4001, 8972]) {
  test(`a jumbo echo request with ${size} bytes is answered from the pages it landed in, which come back`, () => {
    const host = acquainted(4, { mtuBytes: 9000 });
    const before = host.nic.hostPool.referenceTotal - host.nic.ringReferences(host.nic.hostPool);
    const body = patternBytes(size, 5);
    host.receive(icmpFrame(8, 0, 1, body));
    const [reply] = host.take();
    assert.deepEqual(reply!.slice(42), body);
    assert.equal(icmpChecksumValid(reply!, viewOf(reply!), 34, 8 + size), true);
    host.receive();
    assert.equal(host.nic.hostPool.referenceTotal - host.nic.ringReferences(host.nic.hostPool), before);
  });
}

test('an echo request with a wrong checksum is dropped, in the slot and in the pages', () => {
  const host = acquainted(4, { mtuBytes: 9000 });
  const short = icmpFrame(8, 0, 1, patternBytes(64));
  short[60]! ^= 1;
  const long = icmpFrame(8, 0, 1, patternBytes(5000));
  long[4000]! ^= 1;
  host.receive(short, long);
  assert.equal(host.stack.counters.rxDropIcmpChecksum, 2);
  assert.deepEqual(host.sent(), []);
});

test('UDP to us: port unreachable, quoting the packet (RFC 1122 §3.2.2.1)', () => {
  const host = acquainted(4);
  const frame = udpFrame({ payload: patternBytes(20) });
  host.receive(frame);
  const [error] = host.take();
  assert.deepEqual(error!.slice(34, 36), Uint8Array.of(3, 3));
  assert.deepEqual(error!.slice(42), frame.slice(14));
  assert.equal(icmpChecksumValid(error!, viewOf(error!), 34, error!.length - 34), true);
  assert.equal(host.stack.counters.rxDropPort, 1);
});

test('an unknown protocol: protocol unreachable, at most 576 bytes long', () => {
  const host = acquainted(4);
  host.receive(ipv4Frame(132, patternBytes(1000)));
  const [error] = host.take();
  assert.deepEqual(error!.slice(34, 36), Uint8Array.of(3, 2));
  assert.equal(error!.length, 14 + 576);
});

test('no error about an error, a broadcast, a fragment, or a source that is no host (RFC 1122 §3.2.2)', () => {
  const host = acquainted(4);
  const broadcast = new Uint8Array(6).fill(0xff);
  host.receive(udpFrame({ destinationMac: broadcast }));
  host.receive(udpFrame({ destination: '10.0.0.255', destinationMac: broadcast }));
  host.receive(ipv4Frame(132, new Uint8Array(64), { flagsOffset: 0x2000 }));
  for (const source of ['0.0.0.0', '127.0.0.1', '224.0.0.5', '255.255.255.255', '10.0.0.255', '240.0.0.1', LOCAL4]) {
    host.receive(udpFrame({ source }));
  }
  host.receive(icmpFrame(3, 3, 0, udpFrame().subarray(14)));
  assert.deepEqual(host.sent(), []);
  assert.equal(host.stack.counters.rxDropSource, 7);
  assert.equal(host.stack.counters.rxDropFragment, 1);
});

test('errors are rate-limited: a burst of fifty, then a hundred a second', () => {
  const host = acquainted(4);
  for (let i = 0; i < 80; i++) host.receive(udpFrame());
  assert.equal(host.take().length, 50);
  assert.equal(host.stack.counters.txIcmpRateLimited, 30);
  host.advance(100_000);
  for (let i = 0; i < 80; i++) host.receive(udpFrame());
  assert.equal(host.take().length, 10);
});

const ERRORS: readonly (readonly [number, number, number, string, number])[] = [
  [3, 0, 0, 'unreachable', 0],
  [3, 1, 0, 'unreachable', 0],
  [3, 2, 0, 'port-unreachable', 0],
  [3, 3, 0, 'port-unreachable', 0],
  [3, 4, 1400, 'packet-too-big', 1400],
  [3, 9, 0, 'prohibited', 0],
  [3, 13, 0, 'prohibited', 0],
  [11, 0, 0, 'time-exceeded', 0],
];

for (const [type, code, rest, kind, mtuBytes] of ERRORS) {
  test(`ICMP type ${type} code ${code} about a segment of ours is told to TCP as ${kind}`, (t) => {
    const host = acquainted(4);
    const told = t.mock.method(host.stack.tcp, 'icmpError', () => {});
    host.receive(icmpFrame(type, code, rest, sentSegment()));
    assert.equal(told.mock.callCount(), 1);
    const [saidKind, saidMtu, local, localPort, remote, remotePort, sequence] = told.mock.calls[0]!.arguments;
    assert.deepEqual([saidKind, saidMtu, localPort, remotePort, sequence], [kind, mtuBytes, 5201, 40_000, 7777]);
    assert.deepEqual([String(local), String(remote)], [LOCAL4, PEER4]);
  });
}

test('fragmentation needed from a router that names no MTU: the next plateau (RFC 1191 §7)', (t) => {
  const host = acquainted(4);
  const told = t.mock.method(host.stack.tcp, 'icmpError', () => {});
  const segment = sentSegment().slice();
  viewOf(segment).setUint16(2, 1500);
  host.receive(icmpFrame(3, 4, 0, segment));
  assert.equal(told.mock.calls[0]!.arguments[1], 1492);
});

test('errors about packets that we cannot have sent, or quoted too short, are not told to anyone', (t) => {
  const host = acquainted(4);
  const told = t.mock.method(host.stack.tcp, 'icmpError', () => {});
  host.receive(icmpFrame(3, 1, 0, tcpFrame({ source: '10.0.0.9', destination: PEER4 }).subarray(14)));
  host.receive(icmpFrame(3, 1, 0, udpFrame({ source: LOCAL4, destination: PEER4 }).subarray(14)));
  for (let length = 0; length < 28; length++) host.receive(icmpFrame(3, 1, 0, sentSegment().subarray(0, length)));
  assert.equal(told.mock.callCount(), 0);
  assert.equal(host.stack.counters.rxDropIcmpType, 30);
});

test('redirects are not followed', () => {
  const host = acquainted(4);
  host.receive(icmpFrame(5, 1, 0x0a00_0009, sentSegment()));
  assert.equal(host.stack.counters.rxDropIcmpType, 1);
});
