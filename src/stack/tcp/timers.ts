import { NEVER } from '../../core/clock.ts';

/** Rows of a connection's timer table. At most one of RETRANSMIT and PERSIST runs. */
export const TIMER_RETRANSMIT = 0;
export const TIMER_PERSIST = 1;
export const TIMER_DELAYED_ACK = 2;
export const TIMER_KEEPALIVE = 3;
/** 2 MSL in TIME-WAIT; the wait for the peer's FIN in FIN-WAIT-2 after `close`. */
export const TIMER_LINGER = 4;
const TIMER_ROWS = 5;

/** One connection's deadlines, in microseconds; NEVER where none runs. */
export class TimerRows {
  readonly #deadlines = new Float64Array(TIMER_ROWS).fill(NEVER);
  /** Place in the wheel's heap, or -1, and the time it is filed under: never later than the earliest deadline. */
  heapIndex = -1;
  filedMicros: number = NEVER;
  readonly #heap: TimerHeap;
  readonly owner: TimerOwner;

  constructor(heap: TimerHeap, owner: TimerOwner) {
    this.#heap = heap;
    this.owner = owner;
  }

  at(row: number): number {
    return this.#deadlines[row]!;
  }

  runs(row: number): boolean {
    return this.#deadlines[row]! !== NEVER;
  }

  set(row: number, deadlineMicros: number): void {
    this.#deadlines[row] = deadlineMicros;
    if (deadlineMicros < this.filedMicros) this.#heap.file(this, deadlineMicros);
  }

  /** Stops one timer. It stays filed: a heap entry that is early costs one look, moving it would cost one per packet. */
  stop(row: number): void {
    this.#deadlines[row] = NEVER;
  }

  stopAll(): void {
    this.#deadlines.fill(NEVER);
    this.#heap.remove(this);
  }

  /** A row that is due, or -1. */
  due(nowMicros: number): number {
    for (let row = 0; row < TIMER_ROWS; row++) if (this.#deadlines[row]! <= nowMicros) return row;
    return -1;
  }

  earliest(): number {
    let earliest = NEVER;
    for (let row = 0; row < TIMER_ROWS; row++) {
      if (this.#deadlines[row]! < earliest) earliest = this.#deadlines[row]!;
    }
    return earliest;
  }
}

export interface TimerOwner {
  timerExpired(row: number, nowMicros: number): void;
}

/**
 * All connections that have a timer running, in a binary heap by the time they were filed under. A deadline that moves
 * later is not moved here: when its old time comes, the entry is filed again. So the retransmission timer, set anew by each
 * acknowledgment, costs one store.
 */
export class TimerHeap {
  readonly #entries: TimerRows[] = [];

  /** Entries filed; 0 once every connection's timers are stopped. */
  get size(): number {
    return this.#entries.length;
  }

  /** When something may be due. */
  pollAt(): number {
    this.#settleTop();
    return this.#entries.length === 0 ? NEVER : this.#entries[0]!.filedMicros;
  }

  /** Fires what is due, each timer once. */
  poll(nowMicros: number): number {
    let fired = 0;
    while (this.#entries.length > 0 && this.#entries[0]!.filedMicros <= nowMicros) {
      const rows = this.#entries[0]!;
      const row = rows.due(nowMicros);
      if (row >= 0) {
        rows.stop(row);
        rows.owner.timerExpired(row, nowMicros);
        fired++;
      }
      if (rows.heapIndex >= 0 && rows.due(nowMicros) < 0) this.#refile(rows);
    }
    return fired;
  }

  file(rows: TimerRows, atMicros: number): void {
    rows.filedMicros = atMicros;
    if (rows.heapIndex < 0) {
      rows.heapIndex = this.#entries.length;
      this.#entries.push(rows);
    }
    this.#rise(rows);
  }

  remove(rows: TimerRows): void {
    const hole = rows.heapIndex;
    if (hole < 0) return;
    rows.heapIndex = -1;
    rows.filedMicros = NEVER;
    const last = this.#entries.pop()!;
    if (last === rows) return;
    this.#place(last, hole);
    this.#rise(last);
    this.#sink(last);
  }

  /** Entries whose timers were stopped or put off leave the top, so that `pollAt` wakes nobody for nothing. */
  #settleTop(): void {
    while (this.#entries.length > 0) {
      const rows = this.#entries[0]!;
      if (rows.earliest() <= rows.filedMicros) return;
      this.#refile(rows);
    }
  }

  #refile(rows: TimerRows): void {
    const earliest = rows.earliest();
    if (earliest === NEVER) {
      this.remove(rows);
      return;
    }
    rows.filedMicros = earliest;
    this.#sink(rows);
  }

  #place(rows: TimerRows, index: number): void {
    this.#entries[index] = rows;
    rows.heapIndex = index;
  }

  #rise(rows: TimerRows): void {
    let index = rows.heapIndex;
    while (index > 0) {
      const parent = this.#entries[(index - 1) >> 1]!;
      if (parent.filedMicros <= rows.filedMicros) break;
      this.#place(parent, index);
      index = (index - 1) >> 1;
    }
    this.#place(rows, index);
  }

  #sink(rows: TimerRows): void {
    let index = rows.heapIndex;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= this.#entries.length) break;
      const right = child + 1;
      if (right < this.#entries.length && this.#entries[right]!.filedMicros < this.#entries[child]!.filedMicros) {
        child = right;
      }
      const lower = this.#entries[child]!;
      if (lower.filedMicros >= rows.filedMicros) break;
      this.#place(lower, index);
      index = child;
    }
    this.#place(rows, index);
  }
}
