import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NEVER } from '../../../src/core/clock.ts';
import { TimerRows, TimerTable } from '../../../src/stack/tcp/timers.ts';

const ROWS = 8;
const HOUR = 3_600_000_000;

/** Every timer as a map entry: what the table has to agree with. */
class Model {
  readonly table: TimerTable = new TimerTable();
  readonly rows: TimerRows[];
  readonly deadlines: Map<string, number> = new Map();
  fired: string[] = [];
  /** Set while others fired: those may wait for the next poll. */
  readonly touched: Set<string> = new Set();
  /** Called with each timer that fires: may set others. */
  onFire: (index: number, row: number, nowMicros: number) => void = () => {};

  constructor(connections: number) {
    this.rows = Array.from({ length: connections }, (_, index) => {
      const timerExpired = (row: number, nowMicros: number): void => {
        const key = `${index} ${row}`;
        const deadline = this.deadlines.get(key);
        assert.ok(deadline !== undefined, `${key} fired and did not run`);
        assert.ok(deadline <= nowMicros, `${key} fired ${deadline - nowMicros} us early`);
        this.deadlines.delete(key);
        this.fired.push(key);
        this.onFire(index, row, nowMicros);
      };
      return new TimerRows(this.table, { timerExpired });
    });
  }

  set(index: number, row: number, deadline: number): void {
    this.rows[index]!.set(row, deadline);
    this.deadlines.set(`${index} ${row}`, deadline);
    this.touched.add(`${index} ${row}`);
  }

  stop(index: number, row: number): void {
    this.rows[index]!.stop(row);
    this.deadlines.delete(`${index} ${row}`);
  }

  stopAll(index: number): void {
    this.rows[index]!.stopAll();
    for (let row = 0; row < ROWS; row++) this.deadlines.delete(`${index} ${row}`);
  }

  earliest(): number {
    return Math.min(NEVER, ...this.deadlines.values());
  }

  /** Polls until nothing is due, and checks that nothing was left out. */
  poll(nowMicros: number): void {
    const due = [...this.deadlines].filter(([, at]) => Math.ceil(at) <= nowMicros).map(([key]) => key);
    this.fired = [];
    this.touched.clear();
    while (this.table.poll(nowMicros) > 0);
    const over = new Set([...this.fired, ...this.touched]);
    for (const key of due) assert.ok(over.has(key) || !this.deadlines.has(key), `${key} was due and did not fire`);
  }

  check(): void {
    for (const [index, rows] of this.rows.entries()) {
      for (let row = 0; row < ROWS; row++) {
        assert.equal(rows.at(row), this.deadlines.get(`${index} ${row}`) ?? NEVER);
      }
    }
  }
}

const connections = 12;
const index = fc.nat(connections - 1);
const row = fc.nat(ROWS - 1);
/** Microseconds from now: soon, in the time of a retransmission, of a keepalive; with fractions; in the past. */
const delay = fc.oneof(
  fc.nat(200),
  fc.nat(2_000_000),
  fc.nat(3 * HOUR),
  fc.double({ min: 0, max: 1e9, noNaN: true }),
  fc.integer({ min: -1000, max: 0 }),
);
const operation = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('set'), index, row, delay }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('stop'), index, row, delay }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stopAll'), index, row, delay }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('pass'), index, row, delay }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('sleep'), index, row, delay }) },
);

test('fires what a list of all timers would fire, whatever is set, moved and stopped, and however far the clock jumps', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 36), fc.boolean(), fc.array(operation, { maxLength: 120 }), (start, asks, operations) => {
      const model = new Model(connections);
      let now = start;
      for (const { kind, index: which, row: of, delay: by } of operations) {
        if (kind === 'set') model.set(which, of, now + by);
        else if (kind === 'stop') model.stop(which, of);
        else if (kind === 'stopAll') model.stopAll(which);
        else if (kind === 'pass') now += Math.max(0, by);
        else if (model.table.pollAt() !== NEVER) now = Math.max(now, model.table.pollAt());
        if (kind === 'pass' || kind === 'sleep') model.poll(now);
        const earliest = model.earliest();
        // An entry in the past may be filed under the present.
        if (asks && earliest > now) assert.equal(model.table.pollAt(), Math.ceil(earliest));
        else if (asks) assert.ok(model.table.pollAt() <= now + 1);
        model.check();
      }
      for (let at = model.table.pollAt(); at !== NEVER; at = model.table.pollAt()) {
        now = Math.max(now, at);
        model.poll(now);
      }
      assert.equal(model.deadlines.size, 0);
      assert.equal(model.table.size, 0);
    }),
    { numRuns: 300 },
  );
});

test('timers that set and stop others while they fire', () => {
  const reaction = fc.tuple(index, row, fc.option(delay), fc.boolean());
  fc.assert(
    fc.property(fc.array(fc.tuple(index, row, delay)), fc.array(reaction, { maxLength: 60 }), (timers, reactions) => {
      const model = new Model(connections);
      const left = [...reactions];
      model.onFire = (_index, _row, now): void => {
        const next = left.pop();
        if (next === undefined) return;
        const [which, of, by, all] = next;
        if (by !== null) model.set(which, of, now + by);
        else if (all) model.stopAll(which);
        else model.stop(which, of);
      };
      for (const [which, of, by] of timers) model.set(which, of, 5000 + by);
      let now = 0;
      for (let at = model.table.pollAt(); at !== NEVER; at = model.table.pollAt()) {
        now = Math.max(now, at);
        model.poll(now);
        model.check();
      }
      assert.equal(model.deadlines.size, 0);
      assert.equal(model.table.size, 0);
    }),
    { numRuns: 200 },
  );
});

test('what is set for now while timers fire waits for the next poll', () => {
  const table = new TimerTable();
  let fired = 0;
  const rows: TimerRows = new TimerRows(table, {
    timerExpired: (which, now) => {
      fired++;
      rows.set(which, now);
    },
  });
  rows.set(0, 100);
  assert.equal(table.poll(100), 1);
  assert.equal(table.pollAt(), 101);
  assert.equal(table.poll(101), 1);
  assert.equal(fired, 2);
});

test('a deadline that moves later, again and again, wakes nobody before its time', () => {
  const model = new Model(1);
  for (let now = 0; now < 1_000_000; now += 100) {
    model.set(0, 0, now + 200_000);
    assert.equal(model.table.poll(now), 0);
  }
  assert.equal(model.table.pollAt(), 1_199_900);
  model.stop(0, 0);
  assert.equal(model.table.pollAt(), NEVER);
  assert.equal(model.table.size, 0, 'a connection without a timer has no place');
});

test('100,000 timers of one moment fire in portions, each once', () => {
  const model = new Model(100_000);
  for (let i = 0; i < 100_000; i++) model.set(i, i % ROWS, HOUR);
  // Where so many share a slot the answer may be early, but never late, and never again and again.
  let wakes = 0;
  for (let at = model.table.pollAt(); at < HOUR; at = model.table.pollAt()) {
    assert.equal(model.table.poll(at), 0);
    assert.ok(++wakes <= 8);
  }
  let most = 0;
  for (let fired = model.table.poll(HOUR); fired > 0; fired = model.table.poll(HOUR)) most = Math.max(most, fired);
  assert.ok(most <= 1024);
  assert.equal(model.fired.length, 100_000);
  assert.equal(model.deadlines.size, 0);
  assert.equal(model.table.size, 0);
});

test('thousands of stopped timers are no work later', () => {
  const model = new Model(20_000);
  for (let i = 0; i < 20_000; i++) model.set(i, 0, 200_000 + i);
  model.set(7, 3, 2 * HOUR);
  for (let i = 0; i < 20_000; i++) model.stop(i, 0);
  assert.equal(model.table.poll(300_000), 0);
  assert.equal(model.table.size, 1);
  assert.equal(model.table.pollAt(), 2 * HOUR);
});
