import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RttEstimator } from '../../src/stack/tcp/rtt.ts';
import { WireScript } from '../../testing/wire-script.ts';

const ms = 1000;

test('§2: first sample, then smoothing, floor and ceiling', () => {
  const rtt = new RttEstimator(1000 * ms, 200 * ms, 120_000 * ms);
  assert.equal(rtt.rtoMicros, 1000 * ms);
  rtt.sample(400 * ms);
  assert.equal(rtt.srttMicros, 400 * ms);
  assert.equal(rtt.rttvarMicros, 200 * ms);
  assert.equal(rtt.rtoMicros, 1200 * ms);
  rtt.sample(400 * ms);
  assert.equal(rtt.rttvarMicros, 150 * ms);
  assert.equal(rtt.rtoMicros, 1000 * ms);
  for (let i = 0; i < 100; i++) rtt.sample(400 * ms);
  assert.equal(Math.round(rtt.rtoMicros / ms), 600);
  rtt.backoff = 20;
  assert.equal(rtt.rtoMicros, 120_000 * ms);
  rtt.sample(400 * ms);
  assert.equal(rtt.backoff, 0);
});

test('§3 (Karn): a segment sent twice gives no sample without timestamps', () => {
  const wire = new WireScript().established();
  const before = wire.connection!.sender.rtt.samples;
  wire.send(100).after(400).recv({ seq: 1, ack: 101 });
  assert.equal(wire.connection!.sender.rtt.samples, before);
  assert.equal(wire.connection!.sender.rtt.backoff, 1);
  wire.send(100).after(50).recv({ seq: 1, ack: 201 });
  assert.equal(wire.connection!.sender.rtt.samples, before + 1);
  assert.equal(wire.connection!.sender.rtt.backoff, 0);
});

test('RFC 7323 §4.1: with timestamps it does', () => {
  const wire = new WireScript().established({ timestamps: [1, 0] });
  const before = wire.connection!.sender.rtt.samples;
  wire.send(100).after(400);
  const copy = wire.sent.at(-1)!;
  assert.equal(copy.seq, 1);
  wire.after(20).recv({ seq: 1, ack: 101, timestamps: [2, copy.timestamps![0]] });
  assert.equal(wire.connection!.sender.rtt.samples, before + 1);
  assert.ok(wire.connection!.sender.rtt.latestMicros < 250 * ms);
});

test('§5.3: new data acknowledged starts the timer again; §5.2: all of it stops it', () => {
  const wire = new WireScript().established();
  wire
    .send(1460 * 3)
    .skip()
    .after(150)
    .recv({ seq: 1, ack: 1461 });
  wire.after(150).expectNothing();
  wire.recv({ seq: 1, ack: 4381 }).after(10_000).expectNothing();
  assert.equal(wire.layer.timers.pollAt(), Number.POSITIVE_INFINITY);
});
