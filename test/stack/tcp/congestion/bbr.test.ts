import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SeededRandom } from '../../../../src/core/random.ts';
import { Bbr, type BbrMode } from '../../../../src/stack/tcp/congestion/bbr.ts';
import { BottleneckModel, fairnessOf, type ModelFlow, type PathOptions } from '../../../../testing/bottleneck-model.ts';

const SECOND = 1_000_000;
const RTT = 40_000;
const PRODUCT = 250_000;
const PACKET = 1500;

/** 50 Mbit/s and 40 ms, a queue of five bandwidth-delay products. */
function path(options: Partial<PathOptions> = {}): BottleneckModel {
  return new BottleneckModel({ bitsPerSecond: 50e6, roundTripMicros: RTT, queueBytes: 5 * PRODUCT, ...options });
}

function bbrOf(flow: ModelFlow): Bbr {
  assert.ok(flow.controller instanceof Bbr);
  return flow.controller;
}

/** Every mode the flow is in during the run, once each time it changes. */
function modes(model: BottleneckModel, flow: ModelFlow, untilMicros: number): { mode: BbrMode; atMicros: number }[] {
  const seen: { mode: BbrMode; atMicros: number }[] = [];
  const bbr = bbrOf(flow);
  flow.observe = (atMicros) => {
    if (seen.at(-1)?.mode !== bbr.mode) seen.push({ mode: bbr.mode, atMicros });
  };
  model.runUntil(untilMicros);
  return seen;
}

function share(bytes: number, micros: number, model: BottleneckModel): number {
  return bytes / ((micros / SECOND) * model.bytesPerSecond);
}

describe('bbr', () => {
  it('finds bandwidth and round-trip time, whatever the path', () => {
    for (const bitsPerSecond of [1e6, 10e6, 200e6]) {
      for (const roundTripMicros of [2000, 30_000, 150_000]) {
        const product = (bitsPerSecond / 8 / SECOND) * roundTripMicros;
        const model = path({ bitsPerSecond, roundTripMicros, queueBytes: Math.max(3 * product, 30_000) });
        const bbr = bbrOf(model.addFlow(new Bbr(1)));
        model.runUntil(Math.max(3 * SECOND, 40 * roundTripMicros));
        const what = `${bitsPerSecond} bit/s, ${roundTripMicros} us`;
        const rate = bbr.bytesPerSecond / model.bytesPerSecond;
        assert.ok(rate > 0.95 && rate < 1.05, `${what}: ${rate} of the bandwidth`);
        const packetMicros = (PACKET * SECOND) / model.bytesPerSecond;
        const extra = bbr.minRttMicros - roundTripMicros;
        assert.ok(
          extra >= packetMicros - 1 && extra <= roundTripMicros * 0.05 + packetMicros,
          `${what}: ${extra} us more`,
        );
      }
    }
  });

  it('starts up, drains, and then probes', () => {
    const model = path();
    const flow = model.addFlow(new Bbr(1));
    const seen = modes(model, flow, 5 * SECOND);
    assert.deepEqual(
      seen.map(({ mode }) => mode),
      ['startup', 'drain', 'probe-bandwidth'],
    );
    // Doubling each round from ten packets: five rounds to fill the pipe; three to be sure, with a queue of almost two
    // bandwidth-delay products.
    assert.ok(seen[1]!.atMicros < (6 + 4 * 2.9) * RTT, `${seen[1]!.atMicros}`);
    assert.ok(seen[2]!.atMicros - seen[1]!.atMicros < 6 * RTT);
    assert.equal(model.queueDrops, 0);
  });

  it('uses the path, and keeps the queue short', () => {
    const model = path();
    const flow = model.addFlow(new Bbr(1));
    model.runUntil(2 * SECOND);
    const before = flow.deliveredBytes;
    let longest = 0;
    let sum = 0;
    let count = 0;
    flow.observe = () => {
      longest = Math.max(longest, model.queuedBytes);
      sum += model.queuedBytes;
      count++;
    };
    model.runUntil(30 * SECOND);
    const used = share(flow.deliveredBytes - before, 28 * SECOND, model);
    assert.ok(used > 0.95, `${used}`);
    assert.ok(longest < 1.5 * PRODUCT, `${longest}`);
    assert.ok(sum / count < 0.25 * PRODUCT, `${sum / count}`);
  });

  it('looks for the length of the path every ten seconds, with four packets, for 200 ms', () => {
    const model = path();
    const flow = model.addFlow(new Bbr(1));
    let least = Number.POSITIVE_INFINITY;
    const seen = modes(model, flow, 9 * SECOND);
    assert.ok(!seen.some(({ mode }) => mode === 'probe-rtt'));
    const bbr = bbrOf(flow);
    let entered = -1;
    let left = -1;
    flow.observe = (nowMicros) => {
      if (bbr.mode === 'probe-rtt') {
        if (entered < 0) entered = nowMicros;
        least = Math.min(least, flow.inFlightBytes);
      } else if (entered >= 0 && left < 0) left = nowMicros;
    };
    model.runUntil(12 * SECOND);
    assert.ok(entered > 9.9 * SECOND && entered < 11 * SECOND, `${entered}`);
    assert.ok(least <= 4 * PACKET, `${least}`);
    assert.ok(left - entered >= 200_000 && left - entered < 500_000, `${left - entered}`);
    assert.ok(bbr.cwndBytes > PRODUCT);
    assert.ok(bbr.bytesPerSecond > 0.95 * model.bytesPerSecond);
  });

  it('finds the longer way when the path has changed', () => {
    let extraMicros = 0;
    const model = path({ jitterMicros: () => extraMicros });
    const bbr = bbrOf(model.addFlow(new Bbr(1)));
    model.runUntil(5 * SECOND);
    extraMicros = RTT;
    model.runUntil(25 * SECOND);
    assert.ok(bbr.minRttMicros > 1.9 * RTT, `${bbr.minRttMicros}`);
  });

  it('is not slowed down by losses that are not congestion', () => {
    // Reno would have 1.22 / sqrt(p) packets in flight (Mathis): 7 and 3 percent of this path.
    for (const [lossProbability, least] of [
      [0.01, 0.9],
      [0.05, 0.5],
    ] as const) {
      const model = path({ lossProbability, random: new SeededRandom(7) });
      const flow = model.addFlow(new Bbr(1));
      model.runUntil(10 * SECOND);
      const used = share(flow.deliveredBytes, 10 * SECOND, model);
      assert.ok(used > least, `${lossProbability}: ${used}`);
    }
  });

  it('shares with another that came later', () => {
    const model = path({ bitsPerSecond: 20e6, queueBytes: 200_000 });
    const first = model.addFlow(new Bbr(1));
    const second = model.addFlow(new Bbr(2), 2 * SECOND);
    model.runUntil(20 * SECOND);
    const before = [first.deliveredBytes, second.deliveredBytes];
    model.runUntil(60 * SECOND);
    const shares = [first.deliveredBytes - before[0]!, second.deliveredBytes - before[1]!];
    assert.ok(fairnessOf(shares) > 0.9, shares.join(' '));
    assert.ok(share(shares[0]! + shares[1]!, 40 * SECOND, model) > 0.93);
  });

  it('keeps the path busy although acknowledgments come in lumps', () => {
    const model = path({ packetsPerAck: 64 });
    const flow = model.addFlow(new Bbr(1));
    model.runUntil(10 * SECOND);
    const used = share(flow.deliveredBytes, 10 * SECOND, model);
    assert.ok(used > 0.85, `${used}`);
  });

  it('begins the phases of flows at different places', () => {
    const gains = new Set<number>();
    for (let seed = 1; seed <= 20; seed++) {
      const model = path();
      const bbr = bbrOf(model.addFlow(new Bbr(seed)));
      while (bbr.mode !== 'probe-bandwidth') model.runUntil(model.nowMicros + 500);
      // Which phase comes next but one is seen by its rate.
      model.runUntil(model.nowMicros + 1.5 * RTT);
      gains.add(Math.round((bbr.pacingBytesPerSecond / bbr.bytesPerSecond) * 100));
    }
    assert.ok(gains.size > 1, [...gains].join(' '));
  });

  it('keeps the rate and does not burst after a pause', () => {
    const model = path();
    const bbr = bbrOf(model.addFlow(new Bbr(1)));
    model.runUntil(3 * SECOND);
    bbr.onIdleRestart(SECOND, 200_000, model.nowMicros + SECOND);
    assert.ok(Math.abs(bbr.pacingBytesPerSecond / (0.99 * bbr.bytesPerSecond) - 1) < 1e-9);
    assert.ok(bbr.cwndBytes > PRODUCT);
  });

  it('begins with one packet after a timeout, and comes back', () => {
    const model = path();
    const bbr = bbrOf(model.addFlow(new Bbr(1)));
    model.runUntil(3 * SECOND);
    const before = bbr.cwndBytes;
    bbr.onCongestion('timeout', before, false, model.nowMicros);
    bbr.onState('loss', 0, model.nowMicros);
    assert.equal(bbr.cwndBytes, PACKET);
    bbr.onUndo();
    assert.equal(bbr.cwndBytes, before);
  });
});
