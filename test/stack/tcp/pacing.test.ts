import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reno } from '../../../src/stack/tcp/congestion/reno.ts';
import { burstSegments, Pacer, pacingRate } from '../../../src/stack/tcp/pacing.ts';
import { WireScript } from '../../../testing/wire-script.ts';

const MSS = 1000;

test('the pacer keeps the rate, and half of a delay of its timer counts', () => {
  const pacer = new Pacer();
  pacer.sent(10_000, 1e6, 0, 100);
  assert.equal(pacer.nextMicros, 100, 'the first ten segments are free');
  pacer.sent(10_000, 1e6, 10, 10_000);
  // Idle before: half of what it takes.
  assert.equal(pacer.nextMicros, 15_000);
  pacer.sent(10_000, 1e6, 20, 15_000);
  assert.equal(pacer.nextMicros, 25_000);
  pacer.sent(10_000, 1e6, 30, 27_000);
  assert.equal(pacer.nextMicros, 35_000, '2 ms late, made up for');
});

test('bursts of a millisecond, at least two segments; larger where the round trip is short', () => {
  assert.equal(burstSegments(1e5, 1460, 100_000), 2);
  assert.equal(burstSegments(1e7, 1460, 100_000), 6);
  assert.equal(burstSegments(1e12, 1460, 100_000), 44);
  assert.ok(burstSegments(1e5, 1460, 100) > 40);
});

function flight(config: object): WireScript {
  const wire = new WireScript({ config: { congestion: 'reno', ...config } }).listen();
  wire.recv({ flags: 'S', seq: 0, mss: MSS, sackPermitted: true }).after(100).recv({ seq: 1, ack: 1 });
  wire.connection = wire.listener!.accept()!;
  return wire.skip();
}

test('what an acknowledgment lets go is spread out, two segments at a time', () => {
  const wire = flight({ pacing: true });
  wire.send(100 * MSS);
  assert.equal(wire.sent.length, 10);
  wire
    .skip()
    .after(100)
    .recv({ seq: 1, ack: 1 + 10 * MSS });
  assert.equal(wire.sent.length, 2);
  wire.after(100);
  // 200 % of 20 segments in 100 ms: two every 5 ms.
  assert.equal(wire.sent.length, 20);
  const times = wire.sent.map(({ atMs }) => atMs);
  assert.ok(times[19]! - times[0]! > 40, times.join(' '));
  for (let i = 2; i < 20; i++) assert.ok(times[i]! - times[i - 2]! >= 2.4, times.join(' '));
});

test('SO_MAX_PACING_RATE sets a pace by itself', () => {
  const wire = flight({});
  assert.equal(wire.connection!.setOption('SO_MAX_PACING_RATE', 100_000, wire.nowMicros), 0);
  wire.send(100 * MSS).skip();
  wire.after(100).recv({ seq: 1, ack: 1 + 10 * MSS });
  wire.after(100);
  // 100 kB/s: ten segments in 100 ms, and the two at once.
  assert.ok(wire.sent.length >= 9 && wire.sent.length <= 13, `${wire.sent.length}`);
  assert.equal(wire.connection!.info(wire.nowMicros).tcpi_pacing_rate, 100_000);
  assert.equal(wire.connection!.info(wire.nowMicros).tcpi_max_pacing_rate, 100_000);
});

test('without pacing nothing waits', () => {
  const wire = flight({});
  wire.send(100 * MSS).skip();
  wire.after(100).recv({ seq: 1, ack: 1 + 10 * MSS });
  assert.equal(wire.sent.length, 20);
});

test('a rate that rises shortens the wait that the lower one has left', () => {
  const pacer = new Pacer();
  pacer.sent(10_000, 1000, 10, 1e6);
  pacer.hasten(500, 1e6);
  assert.equal(pacer.nextMicros, 10e6, 'one that falls changes nothing');
  pacer.hasten(10_000, 2e6);
  assert.equal(pacer.nextMicros, 2.8e6);
  pacer.hasten(Number.POSITIVE_INFINITY, 2.1e6);
  assert.equal(pacer.nextMicros, 2.1e6);
});

test('SO_MAX_PACING_RATE raised lets go soon, and taken back at once', () => {
  const wire = flight({});
  wire.connection!.setOption('SO_MAX_PACING_RATE', 100, wire.nowMicros);
  wire.send(60 * MSS).skip();
  wire.after(100).recv({ seq: 1, ack: 1 + 10 * MSS });
  wire.skip().after(100);
  assert.equal(wire.sent.length, 0, '20 s for two segments');
  wire.connection!.setOption('SO_MAX_PACING_RATE', 1_000_000, wire.nowMicros);
  wire.flush().after(10);
  assert.equal(wire.sent.length, 4, 'two every 5 ms: 200 % of the window in a round trip');
  wire.skip().connection!.setOption('SO_MAX_PACING_RATE', 100, wire.nowMicros);
  wire
    .flush()
    .after(100)
    .recv({ seq: 1, ack: 1 + 14 * MSS });
  wire.skip().connection!.setOption('SO_MAX_PACING_RATE', 0xffff_ffff, wire.nowMicros);
  wire.flush();
  assert.ok(wire.sent.length > 10);
});

test('a controller that has measured next to nothing sends a burst a round trip all the same', () => {
  const controller = new Reno();
  controller.pacingBytesPerSecond = 40;
  const rate = (limit: number): number => pacingRate(controller, MSS, 0, 100_000, 200, 120, limit);
  assert.equal(rate(Number.POSITIVE_INFINITY), 20 * MSS);
  assert.equal(rate(500), 500, 'the limit of the application holds');
  controller.pacingBytesPerSecond = 1e6;
  assert.equal(rate(Number.POSITIVE_INFINITY), 1e6);
});
