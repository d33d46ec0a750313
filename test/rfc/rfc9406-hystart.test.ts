import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../../src/core/random.ts';
import type { CongestionController } from '../../src/stack/tcp/congestion/controller.ts';
import { Cubic } from '../../src/stack/tcp/congestion/cubic.ts';
import { Reno } from '../../src/stack/tcp/congestion/reno.ts';
import { BottleneckModel, type PathOptions } from '../../testing/bottleneck-model.ts';
import { SteadyAcks } from '../../testing/steady-acks.ts';

const UNLIMITED = 0x7fff_ffff;
const RTT = 100_000;

/** A controller in its first slow start, two rounds of 100 ms behind it. */
function started(): { acks: SteadyAcks; cubic: Cubic } {
  const cubic = new Cubic();
  const acks = new SteadyAcks(cubic, RTT, 10);
  for (let i = 0; i < 2; i++) round(acks, RTT);
  return { acks, cubic };
}

/**
 * Acknowledgments for one round, all with this round-trip time. The controller counts its rounds from its first
 * acknowledgment: what is to fill one of them has to last for two here.
 */
function round(acks: SteadyAcks, rttMicros: number): void {
  const end = acks.sample.totalDeliveredBytes + acks.controller.cwndBytes;
  acks.rttMicros = rttMicros;
  while (acks.sample.totalDeliveredBytes < end) acks.acknowledge();
}

test('§4.2: slow start grows by what is acknowledged', () => {
  const { acks } = started();
  const before = acks.windowSegments;
  round(acks, RTT);
  assert.equal(acks.windowSegments, before * 2);
});

test('§4.2, §4.3: a round whose shortest trip is an eighth longer begins conservative slow start, at a quarter of the growth', () => {
  const { acks, cubic } = started();
  for (let i = 0; i < 2; i++) round(acks, RTT * 1.126);
  assert.ok(cubic.isConservative);
  const before = acks.windowSegments;
  round(acks, RTT * 1.126);
  assert.ok(Math.abs(acks.windowSegments - before * 1.25) < before * 0.02, `${acks.windowSegments} after ${before}`);
});

test('§4.3: the threshold is an eighth of the round trip, but at least 4 and at most 16 ms', () => {
  for (const [rttMicros, threshold] of [
    [8000, 4000],
    [100_000, 12_500],
    [400_000, 16_000],
  ] as const) {
    for (const extra of [-100, 100]) {
      const cubic = new Cubic();
      const acks = new SteadyAcks(cubic, rttMicros, 10);
      for (let i = 0; i < 3; i++) round(acks, rttMicros);
      for (let i = 0; i < 2; i++) round(acks, rttMicros + threshold + extra);
      assert.equal(cubic.isConservative, extra > 0, `${rttMicros} + ${threshold + extra}`);
    }
  }
});

test('§4.2: fewer than eight measurements in a round say nothing', () => {
  const cubic = new Cubic();
  const acks = new SteadyAcks(cubic, RTT, 10);
  for (let i = 0; i < 3; i++) round(acks, RTT);
  for (let i = 0; i < 3; i++) {
    acks.segmentsPerAck = acks.windowSegments / 4;
    round(acks, RTT * (2 + i));
  }
  assert.equal(cubic.isConservative, false);
});

test('§4.2: five conservative rounds, and congestion avoidance begins there', () => {
  const { acks, cubic } = started();
  for (let i = 0; i < 2; i++) round(acks, RTT * 1.2);
  assert.ok(cubic.isConservative);
  assert.equal(cubic.ssthreshBytes, UNLIMITED);
  for (let i = 0; i < 5; i++) round(acks, RTT * 1.2);
  assert.notEqual(cubic.ssthreshBytes, UNLIMITED);
  const before = acks.windowSegments;
  assert.ok(acks.controller.ssthreshBytes <= acks.controller.cwndBytes);
  round(acks, RTT * 1.2);
  assert.ok(acks.windowSegments < before * 1.02, `${acks.windowSegments} after ${before}`);
});

test('§4.2: a shorter round trip while conservative resumes slow start', () => {
  const { acks, cubic } = started();
  for (let i = 0; i < 2; i++) round(acks, RTT * 1.2);
  assert.ok(cubic.isConservative);
  round(acks, RTT);
  assert.equal(cubic.isConservative, false);
  const before = acks.windowSegments;
  round(acks, RTT);
  assert.ok(acks.windowSegments > before * 1.9);
  // And it can be left again.
  for (let i = 0; i < 2; i++) round(acks, RTT * 1.3);
  assert.ok(cubic.isConservative);
});

test('§4.2: only in the first slow start', () => {
  const { acks, cubic } = started();
  acks.timeout();
  acks.controller.ssthreshBytes = 1_000_000;
  for (let i = 0; i < 3; i++) round(acks, RTT);
  for (let i = 0; i < 3; i++) round(acks, RTT * 2);
  assert.equal(cubic.isConservative, false);
});

function slowStart(
  options: Partial<PathOptions>,
  controller: CongestionController = new Cubic(),
): { drops: number; window: number; product: number; ended: boolean } {
  const model = new BottleneckModel({ bitsPerSecond: 100e6, roundTripMicros: 50_000, queueBytes: 1e9, ...options });
  model.addFlow(controller);
  const hasEnded = (): boolean => controller.ssthreshBytes !== UNLIMITED;
  while (!hasEnded() && model.nowMicros < 3_000_000) model.runUntil(model.nowMicros + 1000);
  const ended = hasEnded();
  return { drops: model.queueDrops, window: controller.cwndBytes, product: model.productBytes, ended };
}

test('on a path with a long queue slow start ends without a loss, with the pipe full', () => {
  const queueBytes = 8 * 625_000;
  const { drops, window, product, ended } = slowStart({ queueBytes });
  assert.ok(ended);
  assert.equal(drops, 0);
  assert.ok(window > product, `${window} of ${product}`);
  assert.ok(slowStart({ queueBytes }, new Reno()).drops > 1000);
});

test('on a path with a shorter one it loses far less than slow start alone', () => {
  const queueBytes = 2 * 625_000;
  const { drops } = slowStart({ queueBytes });
  const plain = slowStart({ queueBytes }, new Reno()).drops;
  assert.ok(drops * 3 < plain, `${drops} against ${plain}`);
});

test('jitter does not end slow start before the pipe is full', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new SeededRandom(seed);
    const jitterMicros = (): number => (random.u32() / 0x1_0000_0000) * 10_000;
    const { window, product } = slowStart({ jitterMicros, queueBytes: 2 * 625_000 });
    assert.ok(window > product, `seed ${seed}: ${window} of ${product}`);
  }
});
