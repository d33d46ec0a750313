import { NEVER } from '../../core/clock.ts';
import { LAST_TICK, TimerWheel } from '../../core/timer-wheel.ts';

/** Rows of a connection's timer table. At most one of RETRANSMIT and PERSIST runs. */
export const TIMER_RETRANSMIT = 0;
export const TIMER_PERSIST = 1;
export const TIMER_DELAYED_ACK = 2;
export const TIMER_KEEPALIVE = 3;
/** 2 MSL in TIME-WAIT; the wait for the peer's FIN in FIN-WAIT-2 after `close`. */
export const TIMER_LINGER = 4;
/** RFC 8985 §6.2 step 5: the wait for what reordering may have delayed. */
export const TIMER_REORDER = 5;
/** RFC 8985 §7.2: the probe timeout (PTO). */
export const TIMER_TAIL_LOSS = 6;
/** When pacing lets the next segment go. */
export const TIMER_PACING = 7;
const TIMER_ROWS = 8;

const INITIAL_ENTRIES = 64;
/** Timers fired by one `poll`: more are due at once, the rest is for the next. */
const MAX_FIRED = 1024;
/** Entries that `pollAt` looks at for the first of them; in a fuller slot it answers when the slot begins. */
const MAX_LOOKED = 64;
const NONE = -1;

export interface TimerOwner {
  timerExpired(row: number, nowMicros: number): void;
}

/** One connection's deadlines, in microseconds; NEVER where none runs. They lie in the table, while any does. */
export class TimerRows {
  /** Place in the table; given by it with the first timer, taken back when none runs. */
  id: number = NONE;
  readonly #table: TimerTable;
  readonly owner: TimerOwner;

  constructor(table: TimerTable, owner: TimerOwner) {
    this.#table = table;
    this.owner = owner;
  }

  at(row: number): number {
    return this.id === NONE ? NEVER : this.#table.at(this.id, row);
  }

  runs(row: number): boolean {
    return this.at(row) !== NEVER;
  }

  set(row: number, deadlineMicros: number): void {
    if (deadlineMicros === NEVER) this.stop(row);
    else this.#table.set(this, row, deadlineMicros);
  }

  /** Stops one timer. The connection stays filed: an entry that is early costs one look, moving it one per packet. */
  stop(row: number): void {
    if (this.id !== NONE) this.#table.clear(this.id, row);
  }

  stopAll(): void {
    if (this.id !== NONE) this.#table.release(this.id);
  }
}

/**
 * The timers of all connections: deadlines side by side in one array, and a wheel of the connections that have any
 * running. Its ticks are microseconds, so that what shares its finest slot is due at one moment; a timer fires with the
 * first `poll` at or after its deadline, and `pollAt` is that deadline, rounded up to a microsecond.
 *
 * A connection is filed under a tick that is never later than its earliest deadline. A deadline that moves later is not
 * moved here: when its old time comes, or is asked for, the entry is filed again. So the retransmission timer, set anew
 * by each acknowledgment, costs one store.
 */
export class TimerTable {
  readonly #wheel = new TimerWheel();
  #deadlines: Float64Array = new Float64Array(INITIAL_ENTRIES * TIMER_ROWS).fill(NEVER);
  /** The tick that an entry is filed under; NEVER if it is not. */
  #filed: Float64Array = new Float64Array(INITIAL_ENTRIES).fill(NEVER);
  readonly #rows: (TimerRows | null)[] = [];
  readonly #free: number[] = [];
  /** No timer is due before it. */
  #nextMicros: number = NEVER;
  /** The entry that `#nextMicros` is the deadline of; NONE: it is a lower bound. */
  #nextId: number = NONE;
  /** The bound is as good as it gets. */
  #isSettled = true;
  /** The moment that `poll` serves, while it does: what is set for it meanwhile is for the next. */
  #polledTick = -1;

  /** Connections filed; 0 once every connection's timers are stopped. */
  get size(): number {
    return this.#wheel.count;
  }

  /** When something may be due. */
  pollAt(): number {
    const isKnown = this.#nextId === NONE ? this.#isSettled : this.#tickOf(this.#nextId) <= this.#nextMicros;
    if (!isKnown) this.#settle();
    return this.#nextMicros;
  }

  /** Fires what is due, each timer once, up to a limit. Returns how many. */
  poll(nowMicros: number): number {
    const tick = Math.floor(nowMicros);
    if (tick < this.#nextMicros) return 0;
    const wheel = this.#wheel;
    let fired = 0;
    this.#polledTick = tick;
    let slot = wheel.firstSlot();
    while (slot >= 0 && wheel.startOf(slot) <= tick && fired < MAX_FIRED) {
      wheel.moveTo(wheel.startOf(slot));
      for (let id = wheel.firstIn(slot); id >= 0 && fired < MAX_FIRED; id = wheel.firstIn(slot)) {
        wheel.take(id);
        this.#filed[id] = NEVER;
        if (this.#tickOf(id) <= tick) fired += this.#fire(id, nowMicros);
        else this.#refile(id);
      }
      slot = wheel.firstSlot();
    }
    this.#polledTick = -1;
    if (slot < 0 || wheel.startOf(slot) > tick) wheel.moveTo(tick);
    this.#nextId = NONE;
    this.#isSettled = slot < 0;
    this.#nextMicros = slot < 0 ? NEVER : wheel.startOf(slot);
    return fired;
  }

  // ---- for TimerRows ----

  at(id: number, row: number): number {
    return this.#deadlines[id * TIMER_ROWS + row]!;
  }

  set(rows: TimerRows, row: number, deadlineMicros: number): void {
    if (rows.id === NONE) this.#claim(rows);
    const { id } = rows;
    this.#deadlines[id * TIMER_ROWS + row] = deadlineMicros;
    const tick = Math.max(Math.min(Math.ceil(deadlineMicros), LAST_TICK), this.#polledTick + 1);
    if (tick < this.#filed[id]!) this.#file(id, tick);
  }

  clear(id: number, row: number): void {
    this.#deadlines[id * TIMER_ROWS + row] = NEVER;
  }

  release(id: number): void {
    this.#deadlines.fill(NEVER, id * TIMER_ROWS, (id + 1) * TIMER_ROWS);
    this.#drop(id);
  }

  /** Takes the place of an entry back, of which no timer runs. */
  #drop(id: number): void {
    this.#wheel.take(id);
    this.#filed[id] = NEVER;
    this.#rows[id]!.id = NONE;
    this.#rows[id] = null;
    this.#free.push(id);
    if (id !== this.#nextId) return;
    this.#nextId = NONE;
    this.#isSettled = false;
  }

  #claim(rows: TimerRows): void {
    const id = this.#free.pop() ?? this.#rows.length;
    rows.id = id;
    this.#rows[id] = rows;
    if (id >= this.#filed.length) this.#grow();
  }

  #file(id: number, tick: number): void {
    this.#wheel.take(id);
    this.#wheel.place(id, tick);
    this.#filed[id] = tick;
    if (tick >= this.#nextMicros) return;
    this.#nextMicros = tick;
    this.#nextId = id;
  }

  /** Files an entry that is not under its earliest deadline; gives its place back if none runs. */
  #refile(id: number): void {
    const tick = this.#tickOf(id);
    if (tick === NEVER) this.#drop(id);
    else this.#file(id, tick);
  }

  /** Fires every row that is due. The owner may set and stop what it likes, or stop them all. */
  #fire(id: number, nowMicros: number): number {
    const rows = this.#rows[id]!;
    let fired = 0;
    for (let row = 0; row < TIMER_ROWS && rows.id === id; row++) {
      if (this.at(id, row) > nowMicros) continue;
      this.clear(id, row);
      fired++;
      rows.owner.timerExpired(row, nowMicros);
    }
    if (rows.id !== id) return fired;
    const tick = this.#tickOf(id);
    if (tick === NEVER) this.#drop(id);
    else if (tick < this.#filed[id]!) this.#file(id, Math.max(tick, this.#polledTick + 1));
    return fired;
  }

  /** Finds the first deadline. What was stopped or put off is filed anew on the way, so that it wakes nobody. */
  #settle(): void {
    const wheel = this.#wheel;
    this.#isSettled = true;
    for (;;) {
      const slot = wheel.firstSlot();
      this.#nextId = NONE;
      this.#nextMicros = NEVER;
      if (slot < 0) return;
      let looked = 0;
      let following: number;
      for (let id = wheel.firstIn(slot); id >= 0; id = following) {
        following = wheel.after(id);
        if (looked++ === MAX_LOOKED) {
          this.#nextId = NONE;
          this.#nextMicros = wheel.startOf(slot);
          return;
        }
        const filed = this.#filed[id]!;
        if (this.#tickOf(id) > filed) {
          wheel.take(id);
          this.#filed[id] = NEVER;
          this.#refile(id);
        } else if (filed < this.#nextMicros) {
          this.#nextMicros = filed;
          this.#nextId = id;
        }
      }
      // What was filed anew lies behind this slot, or again in it.
      if (wheel.firstIn(slot) >= 0) return;
    }
  }

  /** The tick of an entry's earliest deadline. */
  #tickOf(id: number): number {
    const deadlines = this.#deadlines;
    let earliest = NEVER;
    for (let at = id * TIMER_ROWS, end = at + TIMER_ROWS; at < end; at++) {
      if (deadlines[at]! < earliest) earliest = deadlines[at]!;
    }
    return earliest === NEVER ? NEVER : Math.min(Math.ceil(earliest), LAST_TICK);
  }

  #grow(): void {
    const deadlines = new Float64Array(this.#deadlines.length * 2).fill(NEVER, this.#deadlines.length);
    const filed = new Float64Array(this.#filed.length * 2).fill(NEVER, this.#filed.length);
    deadlines.set(this.#deadlines);
    filed.set(this.#filed);
    this.#deadlines = deadlines;
    this.#filed = filed;
  }
}
