import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireScript } from '../../testing/wire-script.ts';

test('§3.6 figure 12: we close first', () => {
  const wire = new WireScript().established();
  wire.shutdown().expect({ flags: 'FA', seq: 1, ack: 1 }).expectState('FIN-WAIT-1');
  wire.recv({ seq: 1, ack: 2 }).expectNothing().expectState('FIN-WAIT-2');
  wire.recv({ flags: 'FA', seq: 1, ack: 2 }).expect({ flags: 'A', seq: 2, ack: 2 }).expectState('TIME-WAIT');
  wire.after(59_000).expectState('TIME-WAIT').after(2000).expectState('CLOSED');
  assert.equal(wire.layer.connectionCount, 0);
});

test('§3.6 figure 12: the peer closes first', () => {
  const wire = new WireScript().established();
  wire.recv({ flags: 'FA', seq: 1, ack: 1 }).expect({ flags: 'A', ack: 2 }).expectState('CLOSE-WAIT');
  assert.equal(wire.connection!.finReceived, true);
  wire.close().expect({ flags: 'FA', seq: 1, ack: 2 }).expectState('LAST-ACK');
  wire.recv({ seq: 2, ack: 2 }).expectNothing().expectState('CLOSED');
  assert.equal(wire.connection!.errno, 0);
});

test('§3.6 figure 13: both close at once', () => {
  const wire = new WireScript().established();
  wire.shutdown().expect({ flags: 'FA', seq: 1 });
  wire.recv({ flags: 'FA', seq: 1, ack: 1 }).expect({ flags: 'A', seq: 2, ack: 2 }).expectState('CLOSING');
  wire.recv({ seq: 2, ack: 2 }).expectState('TIME-WAIT');
});

test('FIN and acknowledgment of ours in one segment', () => {
  const wire = new WireScript().established().shutdown().skip();
  wire.recv({ flags: 'FA', seq: 1, ack: 2 }).expect({ flags: 'A', ack: 2 }).expectState('TIME-WAIT');
});

test('FIN rides on the last data; half-closed, data still comes', () => {
  const wire = new WireScript().established();
  wire.connection!.send(wire.pool.region, 0, 100);
  wire.shutdown().expect({ flags: 'FPA', seq: 1, payload: 100 });
  wire.recv({ seq: 1, ack: 102, payload: 50 }).expectState('FIN-WAIT-2').expectRead(0, 50);
});

test('a lost FIN is sent again', () => {
  const wire = new WireScript().established().shutdown().expect({ flags: 'FA', seq: 1 });
  wire.after(1000).expect({ flags: 'FA', seq: 1, payload: 0 });
  wire.skip().recv({ seq: 1, ack: 2 }).expectState('FIN-WAIT-2');
});

test('a FIN that came before its data waits for it', () => {
  const wire = new WireScript().established();
  wire.recv({ flags: 'FA', seq: 101, ack: 1, payload: 50 }).expect({ ack: 1 }).expectState('ESTABLISHED');
  wire.recv({ seq: 1, ack: 1, payload: 100 }).expect({ ack: 152 }).expectState('CLOSE-WAIT').expectRead(0, 150);
});

test('nothing is taken behind a FIN', () => {
  const wire = new WireScript().established();
  wire.recv({ flags: 'FA', seq: 101, ack: 1 }).recv({ seq: 101, ack: 1, payload: 50 });
  wire.recv({ seq: 1, ack: 1, payload: 200 }).expectState('CLOSE-WAIT').expectRead(0, 100);
  wire.skip().recv({ seq: 102, ack: 1, payload: 10 }).expect({ flags: 'A', ack: 102 });
});

test('§3.10.7.4 eighth step: a FIN repeated in TIME-WAIT is acknowledged and starts the wait again', () => {
  const wire = new WireScript().established().shutdown();
  wire.recv({ flags: 'FA', seq: 1, ack: 2 }).skip().after(50_000);
  wire.recv({ flags: 'FA', seq: 1, ack: 2 }).expect({ flags: 'A', seq: 2, ack: 2 });
  wire.after(50_000).expectState('TIME-WAIT').after(15_000).expectState('CLOSED');
});

test('RFC 1337: a reset does not end TIME-WAIT', () => {
  const wire = new WireScript().established().shutdown().recv({ flags: 'FA', seq: 1, ack: 2 }).skip();
  wire.recv({ flags: 'R', seq: 2 }).expectState('TIME-WAIT');
  assert.equal(wire.layer.counters.dropTimeWaitReset, 1);
});

test('RFC 6191: a SYN with a newer timestamp takes over from TIME-WAIT', () => {
  const wire = new WireScript().established({ timestamps: [100, 0] }).shutdown();
  wire
    .recv({ flags: 'FA', seq: 1, ack: 2, timestamps: [110, 0] })
    .expectState('TIME-WAIT')
    .skip();
  wire.recv({ flags: 'S', seq: 1, timestamps: [105, 0], mss: 1460 });
  assert.equal(wire.layer.counters.timeWaitReused, 0);
  const before = wire.ourIss;
  wire
    .skip()
    .recv({ flags: 'S', seq: 1, timestamps: [120, 0], mss: 1460 })
    .expect({ flags: 'SA', ack: 2 });
  assert.equal(wire.layer.counters.timeWaitReused, 1);
  assert.ok(((wire.ourIss - before) | 0) > 0);
});

test('the oldest TIME-WAIT goes when there are too many', () => {
  const wire = new WireScript({ config: { timeWaitLimit: 2 } }).listen();
  for (let port = 1; port <= 3; port++) {
    wire.recv({ flags: 'S', mss: 1460, port }).recv({ seq: 1, ack: 1, port });
    wire.connection = wire.listener!.accept();
    wire.shutdown().recv({ flags: 'FA', seq: 1, ack: 2, port });
  }
  assert.equal(wire.layer.timeWaitCount, 2);
  assert.equal(wire.layer.counters.timeWaitEvicted, 1);
});

test('RFC 2525 §2.17: closing with unread data resets', () => {
  const wire = new WireScript().established().recv({ seq: 1, ack: 1, payload: 10 }).skip();
  wire.close().expect({ flags: 'RA', seq: 1, ack: 11 }).expectState('CLOSED');
  assert.equal(wire.landing.foreignReferences, 0);
});

test('§3.6.1: data after close resets', () => {
  const wire = new WireScript().established().close().expect({ flags: 'FA' });
  wire.recv({ seq: 1, ack: 2, payload: 10 }).expect({ flags: 'R', seq: 2 }).expectState('CLOSED');
});

test('FIN-WAIT-2 of a closed connection does not last', () => {
  const wire = new WireScript().established().close().recv({ seq: 1, ack: 2 }).expectState('FIN-WAIT-2');
  wire.after(61_000).expectState('CLOSED');
  const half = new WireScript().established().shutdown().recv({ seq: 1, ack: 2 }).expectState('FIN-WAIT-2');
  half.after(600_000).expectState('FIN-WAIT-2');
});

test('§3.10.5: abort', () => {
  const wire = new WireScript().established().send(100).skip();
  wire.abort().expect({ flags: 'RA', seq: 101, ack: 1 }).expectState('CLOSED');
  assert.equal(wire.layer.timers.size, 0);
  assert.equal(wire.pool.promisedBytes, 0);
});

test('close before the handshake is done', () => {
  const active = new WireScript().connect().skip().close().expectNothing().expectState('CLOSED');
  assert.equal(active.layer.timers.size, 0);
});

test('a reset leaves what was received readable', () => {
  const wire = new WireScript().established().recv({ seq: 1, ack: 1, payload: 10 }).skip();
  wire.recv({ flags: 'R', seq: 11 }).expectState('CLOSED').expectRead(0, 10);
  assert.equal(wire.connection!.errno, 104);
});
