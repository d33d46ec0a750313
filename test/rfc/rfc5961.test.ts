import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireScript } from '../../testing/wire-script.ts';

test('§3.2: a reset counts only if it hits RCV.NXT', () => {
  const wire = new WireScript().established();
  wire.recv({ flags: 'R', seq: 2 }).expect({ flags: 'A', seq: 1, ack: 1 }).expectState('ESTABLISHED');
  wire.recv({ flags: 'R', seq: 70_000_000 }).expectNothing().expectState('ESTABLISHED');
  wire.recv({ flags: 'R', seq: 1 }).expectNothing().expectState('CLOSED');
  assert.equal(wire.connection!.errno, 104);
});

test('§4.2: a SYN is answered with a challenge, wherever it lies', () => {
  const wire = new WireScript().established();
  wire.recv({ flags: 'S', seq: 1 }).expect({ flags: 'A', seq: 1, ack: 1 });
  wire.after(600).recv({ flags: 'S', seq: 500_000_000 }).expect({ flags: 'A', ack: 1 }).expectState('ESTABLISHED');
  wire.after(600).recv({ flags: 'SA', seq: 1, ack: 1 }).expect({ flags: 'A', ack: 1 }).expectState('ESTABLISHED');
});

test('§5.2: an acknowledgment of what was never sent', () => {
  const wire = new WireScript().established();
  wire.recv({ seq: 1, ack: 50, payload: 10 }).expect({ flags: 'A', seq: 1, ack: 1 });
  assert.equal(wire.layer.counters.dropBadAck, 1);
  assert.equal(wire.connection!.receiveQueue.bytes, 0);
});

test('§5.2: data with an acknowledgment from long ago', () => {
  const wire = new WireScript().established({ window: 1000 });
  wire.recv({ seq: 1, ack: 1 - 2000, payload: 10 }).expect({ flags: 'A', ack: 1 });
  assert.equal(wire.layer.counters.dropBadAck, 1);
  wire.recv({ seq: 1, ack: 1, payload: 10 }).expectRead(0, 10);
});

test('§5.2: an acknowledgment from before the SYN, though the window would reach that far', () => {
  const wire = new WireScript().established();
  wire.recv({ seq: 1, ack: -999, payload: 10 }).expect({ flags: 'A', seq: 1, ack: 1 }).expectNothing();
  wire.send(1000).skip().recv({ seq: 1, ack: 1001 });
  // Now that so much is acknowledged, an old one may be that old, and its text is taken.
  wire.recv({ seq: 1, ack: 1, payload: 10 });
  assert.equal(wire.connection!.receiver.bytesReceived, 10);
});

test('§7: challenges are few', () => {
  const wire = new WireScript().established();
  for (let i = 0; i < 100; i++) wire.recv({ flags: 'R', seq: 2 + i });
  assert.equal(wire.sent.length, 1);
  assert.equal(wire.layer.counters.challengeAcksSuppressed, 99);
  wire.skip().after(501).recv({ flags: 'R', seq: 2 }).expect({ flags: 'A' });
});

test('§7: over all connections too', () => {
  const wire = new WireScript({ config: { challengeAcksPerSecond: 2 } }).listen();
  const isses: number[] = [];
  for (let port = 1; port <= 5; port++) {
    wire.recv({ flags: 'S', mss: 1460, port });
    isses.push(wire.ourIss);
    wire.recv({ seq: 1, ack: 1, port });
    wire.listener!.accept();
  }
  wire.skip();
  for (let port = 1; port <= 5; port++) wire.recv({ flags: 'R', seq: 2, port });
  // About two: the number of each second is another one.
  assert.ok(wire.sent.length >= 1 && wire.sent.length <= 3);
});

test('many blind segments harm nothing', () => {
  const wire = new WireScript().established();
  const { connection } = wire;
  let state = 12_345;
  for (let i = 0; i < 20_000; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
    // Everywhere but at RCV.NXT itself: a hit there is not blind any more, its chance is 2^-32.
    const seq = state === 1 ? 2 : state;
    wire.input({ flags: ['R', 'S', 'SA', 'RA'][i & 3]!, seq, ack: state >> 3 });
    if ((i & 63) === 0) wire.flush();
  }
  assert.equal(connection!.state, 'ESTABLISHED');
  assert.ok(wire.sent.length < 10);
  wire.skip().after(1000).recv({ seq: 1, ack: 1, payload: 10 }).expectRead(0, 10);
});
