import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LAST_TICK, TimerWheel } from '../../src/core/timer-wheel.ts';

/** Ticks near each other, far from each other, and around the places where a level ends. */
const distance = fc.oneof(
  fc.nat(70),
  fc.nat(5000),
  fc.nat(10_000_000),
  fc.nat(100_000_000_000),
  fc.nat(7).chain((level) => fc.integer({ min: -2, max: 2 }).map((by) => Math.max(0, 64 ** level + by))),
);

/** Moves to slot after slot until all is out; answers ids with the tick that each came out at. */
function drain(wheel: TimerWheel, ticks: ReadonlyMap<number, number>): [number, number][] {
  const out: [number, number][] = [];
  for (let slot = wheel.firstSlot(); slot >= 0; slot = wheel.firstSlot()) {
    const start = wheel.startOf(slot);
    assert.ok(start >= wheel.now, 'the first slot is not in the past');
    wheel.moveTo(start);
    for (let id = wheel.firstIn(slot); id >= 0; id = wheel.firstIn(slot)) {
      wheel.take(id);
      if (ticks.get(id)! <= wheel.now) out.push([id, wheel.now]);
      else wheel.place(id, ticks.get(id)!);
    }
  }
  return out;
}

test('what is placed comes out at its tick, in the order of ticks', () => {
  const operation = fc.record({ id: fc.nat(300), distance, remove: fc.boolean(), advance: fc.option(distance) });
  fc.assert(
    fc.property(fc.nat(2 ** 40), fc.array(operation, { maxLength: 80 }), (start, operations) => {
      const wheel = new TimerWheel();
      wheel.moveTo(start);
      const ticks = new Map<number, number>();
      for (const { id, distance: away, remove, advance } of operations) {
        wheel.take(id);
        ticks.delete(id);
        if (!remove) {
          const tick = wheel.now + away;
          wheel.place(id, tick);
          ticks.set(id, tick);
        }
        assert.equal(wheel.count, ticks.size);
        const first = wheel.firstSlot();
        const earliest = Math.min(...ticks.values());
        if (first < 0) assert.equal(ticks.size, 0);
        else assert.ok(wheel.startOf(first) <= earliest);
        // As far as nothing is passed over.
        if (advance !== null && wheel.now + advance < (first < 0 ? Infinity : wheel.startOf(first))) {
          wheel.moveTo(wheel.now + advance);
        }
      }
      const out = drain(wheel, ticks);
      assert.deepEqual(
        out.toSorted(([a], [b]) => a - b),
        [...ticks].toSorted(([a], [b]) => a - b),
      );
      const order = out.map(([, at]) => at);
      assert.deepEqual(
        order,
        order.toSorted((a, b) => a - b),
      );
      assert.equal(wheel.count, 0);
    }),
    { numRuns: 300 },
  );
});

test('entries of one slot keep their order', () => {
  const wheel = new TimerWheel();
  for (const id of [5, 2, 9]) wheel.place(id, 1000);
  wheel.take(2);
  wheel.place(2, 1000);
  const slot = wheel.firstSlot();
  assert.deepEqual([wheel.firstIn(slot), wheel.after(5), wheel.after(9), wheel.after(2)], [5, 9, 2, -1]);
});

test('a tick in the past counts as the present, one behind the end as the end', () => {
  const wheel = new TimerWheel();
  wheel.moveTo(500);
  wheel.place(0, 3);
  assert.equal(wheel.startOf(wheel.firstSlot()), 500);
  wheel.take(0);
  wheel.place(0, LAST_TICK * 4);
  assert.ok(wheel.startOf(wheel.firstSlot()) <= LAST_TICK);
  wheel.take(0);
  wheel.take(0);
  assert.equal(wheel.firstSlot(), -1);
});
