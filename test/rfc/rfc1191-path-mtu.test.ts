import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IcmpErrorKind } from '../../src/stack/tcp/layer.ts';
import { LOCAL_PORT, PEER_PORT, WireScript } from '../../testing/wire-script.ts';

function icmp(wire: WireScript, kind: IcmpErrorKind, seq: number, mtu = 0): WireScript {
  const sequence = (wire.ourIss + seq) | 0;
  wire.layer.icmpError(kind, mtu, wire.ip.address, LOCAL_PORT, wire.peer, PEER_PORT, sequence, wire.nowMicros);
  return wire.flush();
}

test('RFC 1191 §6.4: what was too large is sent again in smaller segments, at once and without blame', () => {
  const wire = new WireScript()
    .established()
    .send(4 * 1460)
    .skip();
  const cwnd = wire.connection!.sender.congestion.cwndBytes;
  icmp(wire, 'packet-too-big', 1, 1000);
  assert.deepEqual(
    wire.sent.map(({ seq, payload }) => [seq, payload]),
    [0, 1, 2, 3, 4, 5, 6].map((i) => [1 + 960 * i, Math.min(960, 4 * 1460 - 960 * i)]).filter(([, n]) => n! > 0),
  );
  assert.equal(wire.connection!.sender.congestion.cwndBytes, cwnd);
  assert.equal(wire.connection!.info(0).tcpi_pmtu, 1000);
  wire
    .skip()
    .recv({ seq: 1, ack: 1 + 4 * 1460 })
    .send(2000)
    .expect({ payload: 960 });
});

test('RFC 5927 §4.1: a message that does not quote a segment in flight is ignored', () => {
  const wire = new WireScript().established().send(1460).recv({ seq: 1, ack: 1461 }).skip();
  icmp(wire, 'packet-too-big', 1, 1000).expectNothing();
  icmp(wire, 'packet-too-big', 9999, 1000).expectNothing();
  assert.equal(wire.connection!.info(0).tcpi_pmtu, 1500);
  assert.equal(wire.layer.counters.icmpIgnored, 2);
});

test('an MTU that is larger, or too small to be true, does nothing or little', () => {
  const wire = new WireScript().established().send(1460).skip();
  icmp(wire, 'packet-too-big', 1, 9000).expectNothing();
  icmp(wire, 'packet-too-big', 1, 10);
  assert.equal(wire.connection!.info(0).tcpi_pmtu, 552);
});

test('RFC 8201 §4: never below 1280 on IPv6', () => {
  const wire = new WireScript({ family: 6 }).established().send(1440).skip();
  icmp(wire, 'packet-too-big', 1, 600).expectNothing();
  icmp(wire, 'packet-too-big', 1, 1300).expect({ seq: 1, payload: 1240 });
});

test('RFC 5927 §5.2: unreachable ends an open that is under way, not a connection', () => {
  const open = new WireScript().connect().skip();
  icmp(open, 'port-unreachable', 0).expectState('CLOSED');
  assert.equal(open.connection!.errno, 111);
  const wire = new WireScript({ config: { retries: 1 } }).established().send(10);
  icmp(wire, 'unreachable', 1).expectState('ESTABLISHED');
  wire.after(60_000).expectState('CLOSED');
  assert.equal(wire.connection!.errno, 113, 'the soft error is told when it turns out to have been right');
});

test('an acknowledgment takes a soft error back', () => {
  const wire = new WireScript().established().send(10);
  icmp(wire, 'unreachable', 1).recv({ seq: 1, ack: 11 });
  assert.equal(wire.connection!.softErrno, 0);
});

test('RFC 8201 §5.2: every connection of the path learns of its MTU, and of its growing back', () => {
  const wire = new WireScript().established();
  const { connection } = wire;
  const { route } = connection!;
  assert.ok(route.lowerMtu(1000, wire.nowMicros), 'as told by another connection');
  wire.send(2000).expect({ payload: 960 }).expect({ payload: 960 }).expect({ payload: 80 });
  wire.recv({ seq: 1, ack: 2001 }).after(600_001).send(1460).expect({ payload: 1460 });
  assert.equal(connection!.info(0).tcpi_pmtu, 1500);
});
