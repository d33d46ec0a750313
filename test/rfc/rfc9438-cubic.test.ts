import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cubic } from '../../src/stack/tcp/congestion/cubic.ts';
import { Reno } from '../../src/stack/tcp/congestion/reno.ts';
import { SteadyAcks } from '../../testing/steady-acks.ts';

const SECOND = 1_000_000;
/** RFC 9438 §4.1.1. */
const C = 0.4;
const BETA = 0.7;

function cubicAt(windowSegments: number, rttMicros = 100_000): SteadyAcks {
  const acks = new SteadyAcks(new Cubic(), rttMicros, windowSegments);
  acks.lose();
  return acks;
}

function near(actual: number, expected: number, share: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= expected * share, `${what}: ${actual} instead of ${expected}`);
}

test('§4.6: a loss leaves seven tenths of the window', () => {
  const acks = cubicAt(1000);
  assert.equal(acks.windowSegments, 700);
  assert.equal(acks.controller.ssthreshBytes, 700_000);
});

test('§4.6: never less than two segments', () => {
  assert.equal(cubicAt(2).windowSegments, 2);
});

test('§4.2: the window follows W_cubic(t) = C(t - K)^3 + W_max', () => {
  const acks = cubicAt(1000);
  const k = Math.cbrt((1000 * (1 - BETA)) / C);
  assert.ok(k > 9 && k < 9.1);
  for (const seconds of [1, 2, 4, 6, 8, 9, 10, 12, 14]) {
    acks.run(seconds * SECOND - acks.nowMicros);
    // What the window of one round trip before said would be right now.
    const expected = C * (seconds - k) ** 3 + 1000;
    near(acks.windowSegments, expected, 0.005, `after ${seconds} s`);
  }
});

test('§4.2: at K the window is what it was at the loss', () => {
  const acks = cubicAt(2000);
  acks.run(Math.cbrt((2000 * (1 - BETA)) / C) * SECOND);
  near(acks.windowSegments, 2000, 0.001, 'window');
});

test('§4.2: acknowledgments of whole bursts change nothing', () => {
  const single = cubicAt(1000);
  const bursts = cubicAt(1000);
  bursts.segmentsPerAck = 44;
  for (let seconds = 1; seconds <= 12; seconds++) {
    single.run(seconds * SECOND - single.nowMicros);
    bursts.run(seconds * SECOND - bursts.nowMicros);
    near(bursts.windowSegments, single.windowSegments, 0.005, `after ${seconds} s`);
  }
});

test('§4.2: at most half as much again in a round trip, however late it is on the curve', () => {
  const acks = cubicAt(100);
  acks.acknowledge();
  acks.nowMicros += 60 * SECOND;
  const before = acks.windowSegments;
  acks.run(acks.rttMicros);
  assert.ok(acks.windowSegments > before * 1.3, `${acks.windowSegments}`);
  assert.ok(acks.windowSegments < before * 1.66, `${acks.windowSegments}`);
});

test('§5.1, table 1: the average window at a given loss rate', () => {
  // Round trip 100 ms, C = 0.4. Each loss comes when the curve has just come back to its maximum or gone beyond it.
  for (const [segments, expected] of [
    [10_000, 187],
    [100_000, 1054],
  ] as const) {
    const acks = cubicAt(expected);
    acks.averageWindow(segments, 4);
    near(acks.averageWindow(segments, 10), expected, 0.1, `one in ${segments}`);
  }
});

test('§4.3, §5.1: where Reno would be quicker, the average window is Reno’s', () => {
  for (const [segments, expected] of [
    [100, 12],
    [1000, 38],
  ] as const) {
    const cubic = cubicAt(expected);
    cubic.averageWindow(segments, 20);
    const reno = new SteadyAcks(new Reno(), 100_000, expected);
    reno.lose();
    reno.averageWindow(segments, 20);
    const average = cubic.averageWindow(segments, 100);
    near(average, expected, 0.12, `one in ${segments}`);
    near(average, reno.averageWindow(segments, 100), 0.12, `one in ${segments}, against Reno`);
  }
});

test('§4.3: in the Reno-friendly region alpha is 3(1 - beta)/(1 + beta), and 1 beyond the former window', () => {
  // A round trip of 1 ms: the cubic curve hardly moves.
  const acks = cubicAt(100, 1000);
  const alpha = (3 * (1 - BETA)) / (1 + BETA);
  acks.run(20 * 1000);
  near(acks.windowSegments, 70 + 20 * alpha, 0.01, 'after 20 round trips');
  acks.run(40 * 1000);
  near(acks.windowSegments, 100 + (60 - 30 / alpha), 0.015, 'after 60');
});

test('§4.7: a loss below the last maximum gives room: W_max is 0.85 of the window', () => {
  const acks = cubicAt(1000);
  acks.run(SECOND);
  const window = acks.windowSegments;
  assert.ok(window < 1000);
  acks.lose();
  const start = acks.windowSegments;
  near(start, window * BETA, 0.001, 'window');
  const maximum = (window * (1 + BETA)) / 2;
  acks.run(Math.cbrt((maximum - start) / C) * SECOND);
  near(acks.windowSegments, maximum, 0.005, 'flat part');
});

test('§4.8: after a timeout the curve begins flat at the threshold', () => {
  const acks = cubicAt(1000);
  acks.timeout();
  assert.equal(acks.controller.ssthreshBytes, 490_000);
  while (acks.controller.cwndBytes < acks.controller.ssthreshBytes) acks.acknowledge();
  acks.run(2 * SECOND);
  // K = 0: C * t^3 is 3.2 segments after two seconds; Reno's would be 490 + 20 * 0.53 and goes first.
  const reno = 490 + 20 * ((3 * (1 - BETA)) / (1 + BETA));
  near(acks.windowSegments, reno, 0.003, 'window');
  acks.run(4 * SECOND);
  near(acks.windowSegments, 490 + C * 6 ** 3, 0.01, 'window after 6 s');
});

test('§4.8, RFC 5681 §3.1: a repeated timeout of the same data does not lower the threshold again', () => {
  const { controller } = cubicAt(1000);
  controller.onCongestion('timeout', 700_000, false, 1);
  controller.onCongestion('timeout', 1000, true, 2);
  assert.equal(controller.ssthreshBytes, 490_000);
});

test('§4.9: a spurious event leaves no trace', () => {
  const undone = cubicAt(1000);
  const twin = cubicAt(1000);
  undone.run(3 * SECOND);
  twin.run(3 * SECOND);
  undone.lose();
  assert.ok(undone.windowSegments < twin.windowSegments);
  undone.controller.onUndo();
  assert.equal(undone.controller.cwndBytes, twin.controller.cwndBytes);
  assert.equal(undone.controller.ssthreshBytes, twin.controller.ssthreshBytes);
  undone.run(5 * SECOND);
  twin.run(5 * SECOND);
  near(undone.windowSegments, twin.windowSegments, 0.001, 'window five seconds later');
});

test('§4.9: a window that has grown beyond the old one stays', () => {
  const acks = cubicAt(100);
  acks.lose();
  acks.controller.cwndBytes = 500_000;
  acks.controller.onUndo();
  assert.equal(acks.controller.cwndBytes, 500_000);
});

test('§4.2, §5.8: while the application has too little to send, time stands still', () => {
  const acks = cubicAt(1000);
  acks.run(3 * SECOND);
  const before = acks.windowSegments;
  acks.isCongestionLimited = false;
  acks.run(20 * SECOND);
  assert.equal(acks.windowSegments, before);
  acks.isCongestionLimited = true;
  acks.run(6 * SECOND);
  const k = Math.cbrt((1000 * (1 - BETA)) / C);
  near(acks.windowSegments, C * (9 - k) ** 3 + 1000, 0.005, 'after nine seconds of sending');
});

test('§5.8: a pause is not time on the curve, and the window decays as RFC 5681 §4.1 allows', () => {
  const acks = cubicAt(1000);
  acks.run(7 * SECOND);
  const before = acks.controller.cwndBytes;
  acks.nowMicros += 2.5 * SECOND;
  acks.controller.onIdleRestart(2.5 * SECOND, SECOND, acks.nowMicros);
  assert.equal(acks.controller.cwndBytes, Math.floor(before / 4));
  assert.equal(acks.controller.ssthreshBytes, Math.floor(before * 0.75));
});

test('an idle controller holds no state for what it has not done', () => {
  const controller = new Cubic();
  controller.onSegmentSize(1460, 10);
  assert.equal(controller.cwndBytes, 14_600);
  assert.equal(controller.ssthreshBytes, 0x7fff_ffff);
  assert.equal(controller.isConservative, false);
});
