import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireScript } from '../../testing/wire-script.ts';

const FAST = { keepaliveIdleMicros: 10_000_000, keepaliveIntervalMicros: 1_000_000, keepaliveProbes: 3 };

test('§3.8.4: off by default', () => {
  new WireScript({ config: FAST }).established().after(100_000).expectNothing().expectState('ESTABLISHED');
});

test('§3.8.4: probes an idle connection, gives up on a silent peer', () => {
  const wire = new WireScript({ config: FAST }).established();
  wire.connection!.setKeepalive(true, wire.nowMicros);
  wire.at(9900).expectNothing();
  wire.at(10_100).expect({ flags: 'A', seq: 0, payload: 0, atMs: 10_000 });
  wire.recv({ seq: 1, ack: 1 }).at(19_000).expectNothing().at(22_500);
  assert.equal(wire.sent.length, 3);
  wire.at(24_000).expectState('CLOSED');
  assert.equal(wire.connection!.errno, 110);
});

test('§3.8.4: the application names the idle time of its connection; 0 leaves it', () => {
  const wire = new WireScript({ config: FAST }).established();
  const { connection } = wire;
  connection!.setKeepalive(true, wire.nowMicros, 2_000_000);
  wire.at(1900).expectNothing();
  wire.at(2100).expect({ flags: 'A', seq: 0, payload: 0, atMs: 2000 });
  wire.recv({ seq: 1, ack: 1 });
  connection!.setKeepalive(true, wire.nowMicros, 0);
  wire.at(4000).expectNothing().at(4200).expect({ flags: 'A', seq: 0, payload: 0 });
});

test('§3.8.4: the idle time counts from what came last, also where it is shorter than the interval', () => {
  const wire = new WireScript({ config: { ...FAST, keepaliveIntervalMicros: 75_000_000 } }).established();
  wire.connection!.setKeepalive(true, wire.nowMicros, 1_000_000);
  wire.at(600).recv({ seq: 1, payload: 10 }).expect({ flags: 'A', ack: 11 });
  wire.at(1500).expectNothing().at(1700).expect({ flags: 'A', seq: 0, atMs: 1600 });
});

test("§3.8.4: the peer's probe is answered", () => {
  const wire = new WireScript().established();
  wire.after(1000).recv({ seq: 0, ack: 1 }).expect({ flags: 'A', seq: 1, ack: 1 });
});

test('RFC 5482: the user timeout ends a connection whose data nobody acknowledges', () => {
  const wire = new WireScript().established();
  assert.equal(wire.connection!.setOption('TCP_USER_TIMEOUT', 3000, wire.nowMicros), 0);
  wire.send(10).after(2900).expectState('ESTABLISHED').after(200).expectState('CLOSED');
  assert.equal(wire.connection!.errno, 110);
});
