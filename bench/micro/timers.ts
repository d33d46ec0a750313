/**
 * What timers cost with very many connections: armed anew by each acknowledgment, started and stopped, run out. Beside
 * them a binary heap of deadlines, as the yardstick.
 */
import { bench, do_not_optimize, group, run, summary } from 'mitata';
import { SeededRandom } from '../../src/core/random.ts';
import { TIMER_DELAYED_ACK, TIMER_RETRANSMIT, TimerRows, TimerTable } from '../../src/stack/tcp/timers.ts';

const RTO_MICROS = 200_000;
const ACK_MICROS = 40_000;
const BATCH = 64;

/** Deadlines in a binary heap, with the place of each so that it can be moved. */
class Heap {
  readonly #ids: number[] = [];
  readonly #places: Int32Array;
  readonly #deadlines: Float64Array;

  constructor(count: number) {
    this.#places = new Int32Array(count).fill(-1);
    this.#deadlines = new Float64Array(count);
  }

  set(id: number, deadline: number): void {
    this.#deadlines[id] = deadline;
    if (this.#places[id]! < 0) {
      this.#places[id] = this.#ids.length;
      this.#ids.push(id);
    }
    this.#rise(id);
    this.#sink(id);
  }

  stop(id: number): void {
    const hole = this.#places[id]!;
    if (hole < 0) return;
    this.#places[id] = -1;
    const last = this.#ids.pop()!;
    if (last === id) return;
    this.#put(last, hole);
    this.#rise(last);
    this.#sink(last);
  }

  poll(now: number): number {
    let fired = 0;
    while (this.#ids.length > 0 && this.#deadlines[this.#ids[0]!]! <= now) {
      this.stop(this.#ids[0]!);
      fired++;
    }
    return fired;
  }

  #put(id: number, place: number): void {
    this.#ids[place] = id;
    this.#places[id] = place;
  }

  #rise(id: number): void {
    let place = this.#places[id]!;
    while (place > 0) {
      const parent = this.#ids[(place - 1) >> 1]!;
      if (this.#deadlines[parent]! <= this.#deadlines[id]!) break;
      this.#put(parent, place);
      place = (place - 1) >> 1;
    }
    this.#put(id, place);
  }

  #sink(id: number): void {
    let place = this.#places[id]!;
    for (let child = 2 * place + 1; child < this.#ids.length; child = 2 * place + 1) {
      const right = this.#ids[child + 1];
      if (right !== undefined && this.#deadlines[right]! < this.#deadlines[this.#ids[child]!]!) child++;
      const lower = this.#ids[child]!;
      if (this.#deadlines[lower]! >= this.#deadlines[id]!) break;
      this.#put(lower, place);
      place = child;
    }
    this.#put(id, place);
  }
}

const owner = { timerExpired: (): void => {} };

for (const count of [1000, 100_000]) {
  const random = new SeededRandom(1);
  const order = Int32Array.from({ length: 4096 }, () => random.u32() % count);
  let at = 0;
  let now = 0;

  const table = new TimerTable();
  const rows = Array.from({ length: count }, () => new TimerRows(table, owner));
  const heap = new Heap(2 * count);
  for (let i = 0; i < count; i++) {
    rows[i]!.set(TIMER_RETRANSMIT, i);
    heap.set(2 * i, i);
  }
  group(`${count} connections, ${BATCH} each time`, () => {
    summary(() => {
      bench('wheel: the retransmission timer armed anew', () => {
        for (let i = 0; i < BATCH; i++) rows[order[at++ & 4095]!]!.set(TIMER_RETRANSMIT, ++now + RTO_MICROS);
        do_not_optimize(table.poll(now));
      });
      bench('heap: the retransmission timer armed anew', () => {
        for (let i = 0; i < BATCH; i++) heap.set(2 * order[at++ & 4095]!, ++now + RTO_MICROS);
        do_not_optimize(heap.poll(now));
      });
    });
    summary(() => {
      bench('wheel: a delayed acknowledgment started and stopped', () => {
        for (let i = 0; i < BATCH; i++) {
          const one = rows[order[at++ & 4095]!]!;
          one.set(TIMER_DELAYED_ACK, ++now + ACK_MICROS);
          one.stop(TIMER_DELAYED_ACK);
        }
        do_not_optimize(table.poll(now));
      });
      bench('heap: a delayed acknowledgment started and stopped', () => {
        for (let i = 0; i < BATCH; i++) {
          const one = 2 * order[at++ & 4095]! + 1;
          heap.set(one, ++now + ACK_MICROS);
          heap.stop(one);
        }
        do_not_optimize(heap.poll(now));
      });
    });
    summary(() => {
      bench('wheel: started, and all run out', () => {
        for (let i = 0; i < BATCH; i++) rows[order[at++ & 4095]!]!.set(TIMER_DELAYED_ACK, ++now + ACK_MICROS);
        now += ACK_MICROS;
        do_not_optimize(table.poll(now));
      });
      bench('heap: started, and all run out', () => {
        for (let i = 0; i < BATCH; i++) heap.set(2 * order[at++ & 4095]! + 1, ++now + ACK_MICROS);
        now += ACK_MICROS;
        do_not_optimize(heap.poll(now));
      });
    });
  });
}

await run();
