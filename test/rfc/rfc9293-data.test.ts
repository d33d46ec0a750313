import assert from 'node:assert/strict';
import { test } from 'node:test';
import { peerBytes, WireScript } from '../../testing/wire-script.ts';

test('§3.10.7.4 seventh step: in order, across the wrap of the sequence numbers', () => {
  const wire = new WireScript().established();
  for (let i = 0; i < 5; i++) wire.recv({ seq: 1 + 10 * i, ack: 1, payload: 10 });
  wire.expectRead(0, 50);
});

test('overlapping segments never change bytes that are there', () => {
  const wire = new WireScript().established();
  wire.recv({ seq: 11, ack: 1, payload: 10 });
  const forged = new Uint8Array(40).fill(0xee);
  forged.set(peerBytes(0, 10));
  wire.recv({ seq: 1, ack: 1, payload: forged });
  const bytes = wire.read();
  assert.deepEqual(bytes.subarray(0, 20), peerBytes(0, 20));
  assert.deepEqual(bytes.subarray(20), new Uint8Array(20).fill(0xee));
  wire.recv({ seq: 1, ack: 1, payload: new Uint8Array(45).fill(0x11) });
  assert.deepEqual(wire.read(), new Uint8Array(5).fill(0x11));
});

test('a segment that bridges several islands takes only what is missing', () => {
  const wire = new WireScript().established();
  wire.recv({ seq: 21, ack: 1, payload: 10 }).recv({ seq: 41, ack: 1, payload: 10 });
  wire.recv({ seq: 11, ack: 1, payload: 60 });
  wire.recv({ seq: 1, ack: 1, payload: 10 });
  wire.expectRead(0, 70);
  assert.equal(wire.landing.foreignReferences, 0);
});

test('a gap is acknowledged at once, each time', () => {
  const wire = new WireScript().established();
  wire.recv({ seq: 1001, ack: 1, payload: 1000 }).expect({ flags: 'A', ack: 1 });
  wire.recv({ seq: 2001, ack: 1, payload: 1000 }).expect({ flags: 'A', ack: 1 });
  wire.recv({ seq: 1, ack: 1, payload: 1000 }).expect({ flags: 'A', ack: 3001 });
});

test('an old segment is acknowledged and dropped', () => {
  const wire = new WireScript().established();
  wire.recv({ seq: 1, ack: 1, payload: 100 }).skip();
  wire.recv({ seq: 1, ack: 1, payload: 100 }).expect({ flags: 'A', ack: 101 });
  wire.expectRead(0, 100);
  assert.equal(wire.landing.foreignReferences, 0);
});

test('§3.10.7.4 first step: what reaches beyond the window is not taken while something waits to be read', () => {
  const wire = new WireScript({ pages: 16, config: { timestamps: false } }).established();
  wire.recv({ seq: 1, ack: 1, payload: 10 }).skip();
  const window = wire.connection!.info(0).tcpi_rcv_wnd;
  wire.recv({ seq: 11 + window - 10, ack: 1, payload: 100 }).expect({ flags: 'A', ack: 11 });
  assert.equal(wire.connection!.receiver.reassembly.bytes, 0);
  const after = wire.connection!.info(0).tcpi_rcv_wnd;
  wire.recv({ seq: 11 + after + 1, ack: 1, payload: 10 }).expect({ flags: 'A', ack: 11 });
  assert.equal(wire.layer.counters.dropBeyondWindow, 2);
});

test('urgent data is data', () => {
  const wire = new WireScript().established();
  wire.recv({ seq: 1, ack: 1, flags: 'AU', payload: 10 }).expectRead(0, 10);
});

test('a segment without ACK is dropped', () => {
  const wire = new WireScript().established();
  wire.recv({ seq: 1, flags: 'P', payload: 10 }).expectNothing();
  assert.equal(wire.layer.counters.dropNoAck, 1);
  assert.equal(wire.landing.foreignReferences, 0);
});

test('§3.7.4: Nagle holds a small segment while one is unacknowledged', () => {
  const wire = new WireScript().established();
  wire.send(10).expect({ flags: 'PA', seq: 1, payload: 10 });
  wire.send(20).expectNothing();
  wire.send(30).expectNothing();
  wire.recv({ seq: 1, ack: 11 }).expect({ flags: 'PA', seq: 11, payload: 50 });
});

test('§3.7.4: noDelay does not', () => {
  const wire = new WireScript().established();
  wire.connection!.noDelay = true;
  wire.send(10).expect({ payload: 10 }).send(20).expect({ seq: 11, payload: 20 });
});

test('a full segment and its tail go out at once', () => {
  const wire = new WireScript().established();
  wire.send(1500).expect({ flags: 'A', payload: 1460 }).expect({ flags: 'PA', seq: 1461, payload: 40 });
});

test('§3.8.6.2.1: a window too small for a segment is left alone until the timer', () => {
  const wire = new WireScript().established({ window: 60_000 });
  wire.recv({ seq: 1, ack: 1, window: 100 });
  wire.send(1000).expectNothing();
  wire.after(1100).expect({ seq: 1, payload: 100 });
});

test('§3.8.6.1: a closed window is probed, with backoff, and opens', () => {
  const wire = new WireScript().established();
  wire.recv({ seq: 1, ack: 1, window: 0 }).send(1000).expectNothing();
  const start = wire.nowMicros;
  wire.after(10_000);
  const times = wire.sent.map(({ atMs }) => Math.round(atMs * 1000 + 1_000_000 - start) / 1000);
  assert.ok(wire.sent.length >= 3);
  assert.ok(wire.sent.every(({ seq, payload }) => seq === 0 && payload === 0));
  assert.ok(times[2]! - times[1]! >= 1.9 * (times[1]! - times[0]!));
  wire.skip().recv({ seq: 1, ack: 1, window: 5000 }).expect({ seq: 1, payload: 1000 });
});

test('§3.8.6.1: a closed window whose peer answers is probed forever', () => {
  const wire = new WireScript({ config: { retries: 3, maxRtoMicros: 2_000_000 } }).established();
  wire.recv({ seq: 1, ack: 1, window: 0 }).send(1000);
  for (let i = 0; i < 20; i++) wire.after(2000).recv({ seq: 1, ack: 1, window: 0 });
  wire.expectState('ESTABLISHED');
  wire.after(20_000).expectState('CLOSED');
  assert.equal(wire.connection!.errno, 110);
});

test('§3.8.1: unacknowledged data is sent again with backoff, then the connection ends', () => {
  const wire = new WireScript({ config: { retries: 3 } }).established();
  const start = (wire.nowMicros - 1_000_000) / 1000;
  wire.send(100).expect({ seq: 1, payload: 100 });
  wire.after(60_000);
  const resent = wire.sent.filter(({ payload }) => payload === 100);
  assert.equal(resent.length, 3);
  const gaps = resent.map(({ atMs }, i) => atMs - (i === 0 ? start : resent[i - 1]!.atMs));
  assert.ok(gaps[1]! > 1.9 * gaps[0]! && gaps[2]! > 1.9 * gaps[1]!, gaps.join());
  wire.expectState('CLOSED');
  assert.equal(wire.connection!.errno, 110);
  // Silently, as in Linux; whoever still asks is told then.
  assert.equal(wire.sent.at(-1)!.flags, 'PA');
  wire.skip().recv({ seq: 1, ack: 1, payload: 10 }).expect({ flags: 'R', seq: 1 });
});

test('a full link delays and loses nothing', () => {
  const wire = new WireScript().established();
  wire.ip.capacity = 0;
  wire.send(1000).expectNothing();
  assert.equal(wire.layer.pollAt() > wire.nowMicros, true, 'waiting must not spin');
  wire.ip.capacity = 1;
  wire.flush().expect({ seq: 1, payload: 1000 });
});

test('PSH stands on the segment that empties the queue', () => {
  const wire = new WireScript().established();
  wire.send(2920).expect({ flags: 'A', payload: 1460 }).expect({ flags: 'PA', payload: 1460 });
});

test('completions follow the acknowledgment', () => {
  const wire = new WireScript().established();
  wire.send(3000).skip();
  assert.equal(wire.connection!.queuedOffset, 3000);
  assert.equal(wire.connection!.completedOffset, 0);
  wire.recv({ seq: 1, ack: 1461 });
  assert.equal(wire.connection!.completedOffset, 1460);
  wire.recv({ seq: 1, ack: 3001 });
  assert.equal(wire.connection!.completedOffset, 3000);
});

test('send space is bounded and comes back', () => {
  const wire = new WireScript({ config: { sendBufferBytes: 10_000 } }).established();
  const events: number[] = [];
  wire.connection!.observer = { tcpEvent: (_, bits) => events.push(bits) };
  wire.flush();
  wire.send(10_000);
  assert.equal(wire.connection!.sendSpaceBytes, 0);
  assert.equal(wire.connection!.send(wire.pool.region, 0, 10), 0);
  wire.recv({ seq: 1, ack: 10_001 });
  assert.equal(wire.connection!.sendSpaceBytes, 10_000);
  assert.ok(events.some((bits) => (bits & 4) !== 0));
});

test('one-byte segments share a page and an entry', () => {
  const wire = new WireScript().established();
  for (let i = 0; i < 1000; i++) wire.recv({ seq: 1 + i, ack: 1, payload: 1 });
  assert.equal(wire.connection!.receiveQueue.count, 1);
  assert.equal(wire.landing.foreignReferences, 1);
  wire.expectRead(0, 1000);
});
