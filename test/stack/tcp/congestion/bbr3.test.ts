import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SeededRandom } from '../../../../src/core/random.ts';
import { Bbr } from '../../../../src/stack/tcp/congestion/bbr.ts';
import { Bbr3, type Bbr3Mode } from '../../../../src/stack/tcp/congestion/bbr3.ts';
import type { CongestionController } from '../../../../src/stack/tcp/congestion/controller.ts';
import { Cubic } from '../../../../src/stack/tcp/congestion/cubic.ts';
import { BottleneckModel, fairnessOf, type ModelFlow, type PathOptions } from '../../../../testing/bottleneck-model.ts';

const SECOND = 1_000_000;
const RTT = 40_000;
const PRODUCT = 250_000;
const PACKET = 1500;

interface Run {
  readonly model: BottleneckModel;
  readonly flow: ModelFlow;
  readonly bbr: Bbr3;
}

/** 50 Mbit/s and 40 ms, a queue of five bandwidth-delay products. */
function path(options: Partial<PathOptions> = {}): BottleneckModel {
  return new BottleneckModel({ bitsPerSecond: 50e6, roundTripMicros: RTT, queueBytes: 5 * PRODUCT, ...options });
}

function start(options: Partial<PathOptions> = {}, seed = 1): Run {
  const model = path(options);
  const bbr = new Bbr3(seed);
  return { model, bbr, flow: model.addFlow(bbr) };
}

/** Every mode that it is in until then, once each time it changes. */
function modes({ model, flow, bbr }: Run, untilMicros: number): Bbr3Mode[] {
  const seen: Bbr3Mode[] = [bbr.mode];
  flow.observe = () => {
    if (seen.at(-1) !== bbr.mode) seen.push(bbr.mode);
  };
  model.runUntil(untilMicros);
  return seen;
}

function runUntilMode({ model, bbr }: Run, mode: Bbr3Mode, withinMicros: number): void {
  const endMicros = model.nowMicros + withinMicros;
  while (bbr.mode !== mode && model.nowMicros < endMicros) model.runUntil(model.nowMicros + 200);
  assert.equal(bbr.mode, mode);
}

function used({ model, flow }: Run, micros: number): number {
  const before = flow.deliveredBytes;
  model.runUntil(model.nowMicros + micros);
  return (flow.deliveredBytes - before) / ((micros / SECOND) * model.bytesPerSecond);
}

/** The cases are those of the appendix of draft-ietf-ccwg-bbr. */
describe('bbr3', () => {
  it('exits startup on a bandwidth plateau, drains, and cycles', () => {
    const run = start();
    assert.deepEqual(modes(run, 6 * SECOND).slice(0, 7), [
      'startup',
      'drain',
      'cruise',
      'refill',
      'up',
      'down',
      'cruise',
    ]);
    const rate = run.bbr.bytesPerSecond / run.model.bytesPerSecond;
    assert.ok(rate > 0.98 && rate < 1.02, `${rate}`);
    assert.equal(run.bbr.inflightLimitBytes, Number.POSITIVE_INFINITY);
    assert.equal(run.model.queueDrops, 0);
  });

  it('finds bandwidth and round-trip time, whatever the path', () => {
    for (const bitsPerSecond of [1e6, 10e6, 200e6]) {
      for (const roundTripMicros of [2000, 30_000, 150_000]) {
        const product = (bitsPerSecond / 8 / SECOND) * roundTripMicros;
        const run = start({ bitsPerSecond, roundTripMicros, queueBytes: Math.max(3 * product, 30_000) });
        run.model.runUntil(Math.max(5 * SECOND, 40 * roundTripMicros));
        const what = `${bitsPerSecond} bit/s, ${roundTripMicros} us`;
        const rate = run.bbr.bytesPerSecond / run.model.bytesPerSecond;
        assert.ok(rate > 0.95 && rate < 1.05, `${what}: ${rate} of the bandwidth`);
        const packetMicros = (PACKET * SECOND) / run.model.bytesPerSecond;
        const extra = run.bbr.minRttMicros - roundTripMicros;
        assert.ok(extra <= roundTripMicros * 0.05 + packetMicros, `${what}: ${extra} us more`);
      }
    }
  });

  it('exits startup on loss: a shallow queue is filled only once', () => {
    const run = start({ queueBytes: 0.1 * PRODUCT });
    const plain = path({ queueBytes: 0.1 * PRODUCT });
    plain.addFlow(new Bbr(1));
    runUntilMode(run, 'drain', 2 * SECOND);
    assert.ok(Number.isFinite(run.bbr.inflightLimitBytes));
    assert.ok(run.bbr.inflightLimitBytes >= 0.7 * PRODUCT, `${run.bbr.inflightLimitBytes}`);
    run.model.runUntil(10 * SECOND);
    plain.runUntil(10 * SECOND);
    assert.ok(run.model.queueDrops * 3 < plain.queueDrops, `${run.model.queueDrops} against ${plain.queueDrops}`);
  });

  it('never exits startup while the application has too little, without losses', () => {
    const run = start();
    run.flow.applicationBytesPerSecond = 500_000;
    assert.deepEqual(modes(run, 8 * SECOND), ['startup']);
    run.flow.applicationBytesPerSecond = Number.POSITIVE_INFINITY;
    run.model.runUntil(10 * SECOND);
    assert.notEqual(run.bbr.mode, 'startup');
    assert.ok(run.bbr.bytesPerSecond > 0.95 * run.model.bytesPerSecond);
  });

  it('keeps what it knows while the application has too little', () => {
    const run = start();
    run.model.runUntil(5 * SECOND);
    run.flow.applicationBytesPerSecond = 300_000;
    run.model.runUntil(15 * SECOND);
    assert.ok(run.bbr.bytesPerSecond > 0.9 * run.model.bytesPerSecond, `${run.bbr.bytesPerSecond}`);
  });

  it('uses the path, and keeps the queue short', () => {
    const run = start();
    run.model.runUntil(2 * SECOND);
    let longest = 0;
    run.flow.observe = () => {
      longest = Math.max(longest, run.model.queuedBytes);
    };
    const share = used(run, 28 * SECOND);
    assert.ok(share > 0.95, `${share}`);
    assert.ok(longest < 1.5 * PRODUCT, `${longest}`);
  });

  it('enters and exits probe-rtt, with half of what the path holds', () => {
    const run = start();
    run.model.runUntil(8 * SECOND);
    runUntilMode(run, 'probe-rtt', 4 * SECOND);
    const entered = run.model.nowMicros;
    let least = Number.POSITIVE_INFINITY;
    run.flow.observe = () => {
      if (run.bbr.mode === 'probe-rtt') least = Math.min(least, run.flow.inFlightBytes);
    };
    runUntilMode(run, 'cruise', SECOND);
    assert.ok(least > 0.4 * PRODUCT && least < 0.55 * PRODUCT, `${least}`);
    assert.ok(run.model.nowMicros - entered > 200_000 && run.model.nowMicros - entered < 400_000);
    assert.ok(used(run, SECOND) > 0.9);
  });

  it('skips probe-rtt when a pause has drained the queue', () => {
    const run = start();
    run.model.runUntil(5 * SECOND);
    const { sample } = run.flow;
    run.bbr.onIdleRestart(20 * SECOND, 300_000, 25 * SECOND);
    sample.nowMicros = 25 * SECOND;
    sample.rttMicros = RTT + 300;
    run.bbr.onAck(sample);
    assert.notEqual(run.bbr.mode, 'probe-rtt');
    assert.equal(run.bbr.minRttMicros, RTT + 300);
  });

  it('manages paths that hold less than a packet', () => {
    const run = start({ bitsPerSecond: 256_000, roundTripMicros: 2000, queueBytes: 30_000 });
    const share = used(run, 20 * SECOND);
    assert.ok(share > 0.9, `${share}`);
    assert.ok(run.bbr.cwndBytes >= 4 * PACKET && run.bbr.cwndBytes <= 16 * PACKET, `${run.bbr.cwndBytes}`);
  });

  it('reaches ten times the bandwidth when there is, in a few cycles', () => {
    const run = start({ bitsPerSecond: 10e6, queueBytes: PRODUCT });
    run.model.runUntil(5 * SECOND);
    run.model.bitsPerSecond = 100e6;
    run.model.runUntil(15 * SECOND);
    const share = used(run, 2 * SECOND);
    assert.ok(share > 0.85, `${share}`);
  });

  it('comes down to a tenth when that is left', () => {
    const run = start({ bitsPerSecond: 100e6, queueBytes: PRODUCT });
    run.model.runUntil(5 * SECOND);
    run.model.bitsPerSecond = 10e6;
    run.model.runUntil(20 * SECOND);
    const rate = run.bbr.bytesPerSecond / run.model.bytesPerSecond;
    assert.ok(rate > 0.9 && rate < 1.1, `${rate}`);
  });

  it('settles where next to nothing can be queued, without losing much', () => {
    const run = start({ queueBytes: 4 * PACKET });
    run.model.runUntil(5 * SECOND);
    const lost = run.flow.lostBytes;
    const delivered = run.flow.deliveredBytes;
    const share = used(run, 20 * SECOND);
    assert.ok(share > 0.75, `${share}`);
    const lossRate = (run.flow.lostBytes - lost) / (run.flow.deliveredBytes - delivered);
    assert.ok(lossRate < 0.005, `${lossRate}`);
  });

  it('keeps the path busy although acknowledgments come in lumps', () => {
    const share = used(start({ packetsPerAck: 64 }), 10 * SECOND);
    assert.ok(share > 0.85, `${share}`);
  });

  it('bears one percent of loss that is not congestion', () => {
    const share = used(start({ lossProbability: 0.01, random: new SeededRandom(5) }), 20 * SECOND);
    assert.ok(share > 0.6, `${share}`);
  });

  it('answers a mark as CUBIC does a loss', () => {
    const run = start();
    run.model.runUntil(3 * SECOND);
    runUntilMode(run, 'cruise', 3 * SECOND);
    const before = run.flow.inFlightBytes;
    run.bbr.onCongestion('ecn', before, false, run.model.nowMicros);
    run.model.runUntil(run.model.nowMicros + RTT);
    assert.ok(run.bbr.cwndBytes <= 0.7 * before, `${run.bbr.cwndBytes} after ${before}`);
    // And looks again later.
    runUntilMode(run, 'up', 4 * SECOND);
    assert.ok(run.bbr.cwndBytes > PRODUCT, `${run.bbr.cwndBytes}`);
    run.bbr.onCongestion('ecn', run.flow.inFlightBytes, false, run.model.nowMicros);
    assert.equal(run.bbr.mode, 'down');
    assert.ok(Number.isFinite(run.bbr.inflightLimitBytes));
  });

  it('undoes what losses that were none have done', () => {
    const run = start();
    run.model.runUntil(3 * SECOND);
    runUntilMode(run, 'up', 5 * SECOND);
    const { sample } = run.flow;
    const before = run.bbr.cwndBytes;
    run.bbr.onCongestion('loss', run.flow.inFlightBytes, false, run.model.nowMicros);
    run.bbr.onState('recovery', run.flow.inFlightBytes, run.model.nowMicros);
    sample.state = 'recovery';
    sample.lostBytes = 40 * PACKET;
    sample.lostSinceSentBytes = 40 * PACKET;
    run.bbr.onAck(sample);
    assert.equal(run.bbr.mode, 'down');
    assert.ok(Number.isFinite(run.bbr.inflightLimitBytes));
    run.bbr.onUndo();
    assert.equal(run.bbr.mode, 'refill');
    assert.equal(run.bbr.inflightLimitBytes, Number.POSITIVE_INFINITY);
    assert.ok(run.bbr.cwndBytes >= before);
  });

  it('begins with one packet after a timeout', () => {
    const run = start();
    run.model.runUntil(3 * SECOND);
    run.bbr.onCongestion('timeout', run.bbr.cwndBytes, false, run.model.nowMicros);
    run.bbr.onState('loss', 0, run.model.nowMicros);
    assert.equal(run.bbr.cwndBytes, PACKET);
  });

  it('leaves CUBIC its share where version 1 does not', () => {
    const shareOfCubic = (other: CongestionController): number => {
      const model = path({ bitsPerSecond: 20e6, queueBytes: 100_000 });
      const cubic = model.addFlow(new Cubic());
      const bbr = model.addFlow(other, SECOND);
      model.runUntil(10 * SECOND);
      const before = [cubic.deliveredBytes, bbr.deliveredBytes];
      model.runUntil(60 * SECOND);
      const bytes = cubic.deliveredBytes - before[0]!;
      return bytes / (bytes + bbr.deliveredBytes - before[1]!);
    };
    const beside3 = shareOfCubic(new Bbr3(2));
    const beside1 = shareOfCubic(new Bbr(2));
    assert.ok(beside3 > 0.3 && beside3 < 0.7, `${beside3}`);
    assert.ok(beside1 < beside3, `${beside1} against ${beside3}`);
  });

  it('shares with others of its kind that come later', () => {
    const model = path({ bitsPerSecond: 40e6, queueBytes: 200_000 });
    const flows = [0, 1, 2, 3].map((i) => model.addFlow(new Bbr3(i + 1), i * SECOND));
    model.runUntil(30 * SECOND);
    const before = flows.map((flow) => flow.deliveredBytes);
    model.runUntil(80 * SECOND);
    const shares = flows.map((flow, i) => flow.deliveredBytes - before[i]!);
    assert.ok(fairnessOf(shares) > 0.9, shares.join(' '));
  });
});
