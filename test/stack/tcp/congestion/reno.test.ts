import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SeededRandom } from '../../../../src/core/random.ts';
import { CONGESTION_NAMES, makeController } from '../../../../src/stack/tcp/congestion/make.ts';
import { Reno } from '../../../../src/stack/tcp/congestion/reno.ts';
import { BottleneckModel, fairnessOf } from '../../../../testing/bottleneck-model.ts';
import { SteadyAcks } from '../../../../testing/steady-acks.ts';

const SECOND = 1_000_000;

function renoAt(windowSegments: number): SteadyAcks {
  return new SteadyAcks(new Reno(), 100_000, windowSegments);
}

describe('reno', () => {
  it('RFC 5681 §3.1: a segment a round trip, whatever the acknowledgments stand for', () => {
    for (const segmentsPerAck of [1, 2, 44]) {
      const acks = renoAt(100);
      acks.lose();
      assert.equal(acks.windowSegments, 50);
      acks.segmentsPerAck = segmentsPerAck;
      acks.run(20 * 100_000);
      assert.ok(Math.abs(acks.windowSegments - 70) <= 1, `${segmentsPerAck}: ${acks.windowSegments}`);
    }
  });

  it('slow start goes exactly to the threshold, and what is left counts for avoidance', () => {
    const acks = renoAt(10);
    acks.controller.ssthreshBytes = 15_000;
    acks.segmentsPerAck = 10;
    acks.acknowledge();
    assert.equal(acks.windowSegments, 15);
    acks.acknowledge();
    assert.equal(acks.windowSegments, 16);
  });

  it('RFC 5681 §3.2: what limited transmit sent does not count for the threshold', () => {
    const { controller } = renoAt(10);
    controller.onCongestion('loss', 12_000, false, 0);
    assert.equal(controller.ssthreshBytes, 5000);
  });

  it('RFC 5681 §3.1 (4): half of what is in flight, not of a window that was not used', () => {
    const { controller } = renoAt(100);
    controller.onCongestion('loss', 20_000, false, 0);
    assert.equal(controller.ssthreshBytes, 10_000);
  });

  it('gives back what a false alarm took', () => {
    const acks = renoAt(100);
    acks.controller.ssthreshBytes = 80_000;
    acks.lose();
    acks.controller.onUndo();
    assert.equal(acks.windowSegments, 100);
    assert.equal(acks.controller.ssthreshBytes, 80_000);
  });

  it('RFC 5681 §4.1: a pause of several timeouts takes the window back to the first one, and no further', () => {
    const { controller } = renoAt(1000);
    controller.onIdleRestart(60 * SECOND, 200_000, 60 * SECOND);
    assert.equal(controller.cwndBytes, 10_000);
    assert.equal(controller.ssthreshBytes, 0x7fff_ffff);
  });

  it('RFC 6928 §2: the first window', () => {
    for (const [mss, bytes] of [
      [536, 5360],
      [1460, 14_600],
      [2000, 14_600],
      [8960, 17_920],
    ] as const) {
      const controller = new Reno();
      controller.onSegmentSize(mss, 10);
      assert.equal(controller.cwndBytes, bytes, `${mss}`);
    }
  });
});

describe('any controller', () => {
  for (const name of CONGESTION_NAMES) {
    it(`${name}: fills a path with a queue of one bandwidth-delay product`, () => {
      const model = new BottleneckModel({ bitsPerSecond: 50e6, roundTripMicros: 40_000, queueBytes: 250_000 });
      const flow = model.addFlow(makeController(name, 1));
      model.runUntil(20 * SECOND);
      const used = flow.deliveredBytes / (20 * model.bytesPerSecond);
      assert.ok(used > 0.93, `${used}`);
    });

    it(`${name}: two share it`, () => {
      const model = new BottleneckModel({ bitsPerSecond: 20e6, roundTripMicros: 40_000, queueBytes: 100_000 });
      const flows = [model.addFlow(makeController(name, 1)), model.addFlow(makeController(name, 2), 2 * SECOND)];
      model.runUntil(20 * SECOND);
      const before = flows.map((flow) => flow.deliveredBytes);
      model.runUntil(60 * SECOND);
      const shares = flows.map((flow, i) => flow.deliveredBytes - before[i]!);
      assert.ok(fairnessOf(shares) > 0.9, shares.join(' '));
    });

    it(`${name}: survives any path, with whole numbers only`, () => {
      for (let seed = 1; seed <= 25; seed++) {
        const random = new SeededRandom(seed);
        const pick = (least: number, most: number): number => least * (most / least) ** (random.u32() / 2 ** 32);
        const model = new BottleneckModel({
          bitsPerSecond: pick(1e5, 1e8),
          roundTripMicros: pick(100, 500_000),
          queueBytes: pick(3000, 1e6),
          lossProbability: pick(0.0001, 0.3),
          packetsPerAck: Math.ceil(pick(1, 40)),
          random,
        });
        const controller = makeController(name, seed);
        const flow = model.addFlow(controller);
        let previous = 0;
        flow.observe = () => {
          assert.ok(Number.isSafeInteger(controller.cwndBytes) && controller.cwndBytes >= 0, `${controller.cwndBytes}`);
          assert.ok(Number.isFinite(controller.pacingBytesPerSecond) && controller.pacingBytesPerSecond >= 0);
          assert.ok(controller.ssthreshBytes >= 2 * model.packetBytes);
        };
        for (let second = 5; second <= 20; second += 5) {
          model.runUntil(second * SECOND);
          assert.ok(flow.deliveredBytes > previous, `seed ${seed} stands still after ${second} s`);
          previous = flow.deliveredBytes;
        }
      }
    });
  }

  it('RFC 6928, RFC 9293: another segment size changes no window but one below a segment', () => {
    for (const name of CONGESTION_NAMES) {
      const controller = makeController(name);
      controller.onSegmentSize(1460, 10);
      controller.onSegmentSize(1000, 10);
      assert.equal(controller.cwndBytes, 14_600);
      controller.cwndBytes = 1000;
      controller.onSegmentSize(8960, 10);
      assert.equal(controller.cwndBytes, 8960);
    }
  });
});
