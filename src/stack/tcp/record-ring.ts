import { Spares } from '../../core/spares.ts';
import { sequenceDifference } from '../../wire/sequence.ts';
import { SlotSet } from './slot-set.ts';

/** 32-bit integers of one record, by their places. */
export const START = 0;
export const END = 1;
export const FLAGS = 2;
/** Neighbours in the list of what is in flight. */
export const NEXT = 3;
export const PREVIOUS = 4;
/** Of a record selectively acknowledged: a later record, with none but such ones between. */
export const SKIP = 5;
/** Bytes in flight, itself included, when it was sent last. */
export const IN_FLIGHT = 6;
export const INTEGERS = 8;

/** Doubles of one record, by their places. */
export const SENT = 0;
/** The NIC's mark behind the last transmission: until it is done, the memory may still be read. */
export const MARK = 1;
/** Copies of the totals and times of DeliveryRate as of the last transmission. */
export const DELIVERED = 2;
export const DELIVERED_MICROS = 3;
export const FIRST_SENT = 4;
export const LOST_BYTES = 5;
export const DOUBLES = 6;

/** In the list of what is in flight, by the time of sending. */
const LISTED = 16;
/** In the set of what is lost and not sent again. */
const PENDING = 64;
/** Flags that the list and the set keep for themselves. */
export const LIST_FLAGS: number = LISTED | PENDING;

const INITIAL_RECORDS = 16;

/** The memory of a ring: records, each with its integers and doubles side by side. */
class RecordStore {
  readonly capacity: number;
  readonly integers: Int32Array;
  readonly doubles: Float64Array;
  /** What is lost and not sent again; most never lose anything. */
  pending: SlotSet | null = null;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.integers = new Int32Array(capacity * INTEGERS);
    this.doubles = new Float64Array(capacity * DOUBLES);
  }
}

/** What a connection has that has nothing in flight. */
const EMPTY_STORE: RecordStore = new RecordStore(0);

/** Most connections are quiet, and only those that have something in flight hold one. */
const spares: Spares<RecordStore> = new Spares((capacity) => new RecordStore(capacity));

/**
 * The records of a scoreboard, each known by a number that counts up: a ring of them in sequence order. What is in
 * flight is in a list through it by the time of sending, for RACK; what is lost and not sent again is in a set, for it
 * may be found in any order and is wanted by sequence. A ring without records holds no memory.
 */
export class RecordRing {
  integers: Int32Array = EMPTY_STORE.integers;
  doubles: Float64Array = EMPTY_STORE.doubles;
  mask = 0;
  first = 0;
  count = 0;
  /** What the last `plainRun` found. */
  runBytes = 0;
  runMark = -1;
  /** Records looked at, ever: what the tests hold against what was acknowledged. */
  visits = 0;

  #store: RecordStore = EMPTY_STORE;
  /** The most records since the ring was last without: it begins again with room for as many. */
  #peak = 0;
  /** The ends of the list; valid while it has members. */
  #oldest = 0;
  #newest = 0;
  #listed = 0;
  #pendingCount = 0;

  /** Number of the record that comes next behind the last. */
  get last(): number {
    return (this.first + this.count) | 0;
  }

  get hasListed(): boolean {
    return this.#listed > 0;
  }

  get oldestSent(): number {
    return this.#oldest;
  }

  get hasPending(): boolean {
    return this.#pendingCount > 0;
  }

  /** By sequence; only while `hasPending`. */
  get firstPending(): number {
    const { first, mask } = this;
    return (first + ((this.#store.pending!.firstFrom(first & mask) - first) & mask)) | 0;
  }

  start(record: number): number {
    return this.integers[(record & this.mask) * INTEGERS + START]!;
  }

  end(record: number): number {
    return this.integers[(record & this.mask) * INTEGERS + END]!;
  }

  flags(record: number): number {
    return this.integers[(record & this.mask) * INTEGERS + FLAGS]!;
  }

  sentMicros(record: number): number {
    return this.doubles[(record & this.mask) * DOUBLES + SENT]!;
  }

  bytes(record: number): number {
    const at = (record & this.mask) * INTEGERS;
    return sequenceDifference(this.integers[at + END]!, this.integers[at + START]!);
  }

  /** Adds a record behind the last, neither in the list nor in the set; its doubles are as they were. */
  add(start: number, end: number, flags: number): number {
    if (this.count >= this.#store.capacity) this.#grow();
    const record = this.last;
    const at = (record & this.mask) * INTEGERS;
    this.integers[at + START] = start;
    this.integers[at + END] = end;
    this.integers[at + FLAGS] = flags;
    this.integers[at + SKIP] = (record + 1) | 0;
    if (++this.count > this.#peak) this.#peak = this.count;
    return record;
  }

  /** Removes the first record. */
  shift(): void {
    this.unlink(this.first);
    this.first = (this.first + 1) | 0;
    this.count--;
  }

  /**
   * How many records, from the first on, end at or before `una`, have no flag but those of `mask`, and are in flight in
   * the order of their sequence: what an acknowledgment finds where nothing was lost. `runBytes` and `runMark` say what
   * they hold.
   */
  plainRun(una: number, mask: number): number {
    const { integers, doubles, count } = this;
    const other = ~(mask | LISTED);
    let bytes = 0;
    let mark = -1;
    let oldest = this.#listed === 0 ? this.first - 1 : this.#oldest;
    let run = 0;
    for (; run < count; run++) {
      const record = (this.first + run) | 0;
      const slot = record & this.mask;
      const at = slot * INTEGERS;
      if (record !== oldest || (integers[at + FLAGS]! & other) !== 0) break;
      if (sequenceDifference(integers[at + END]!, una) > 0) break;
      bytes += sequenceDifference(integers[at + END]!, integers[at + START]!);
      if (doubles[slot * DOUBLES + MARK]! > mark) mark = doubles[slot * DOUBLES + MARK]!;
      oldest = integers[at + NEXT]!;
    }
    this.runBytes = bytes;
    this.runMark = mark;
    return run;
  }

  /** Removes what `plainRun` has found. */
  shiftRun(run: number): void {
    const lastRecord = (this.first + run - 1) | 0;
    this.#oldest = this.integers[(lastRecord & this.mask) * INTEGERS + NEXT]!;
    this.#listed -= run;
    this.first = (this.first + run) | 0;
    this.count -= run;
    this.visits += run;
  }

  /** Empties the set of what is to be sent again; whoever does puts its records somewhere. */
  forgetPending(): void {
    if (this.#pendingCount === 0) return;
    this.#store.pending!.clear();
    this.#pendingCount = 0;
    for (let i = 0; i < this.count; i++) this.integers[((this.first + i) & this.mask) * INTEGERS + FLAGS]! &= ~PENDING;
  }

  linkSent(record: number): void {
    const { integers } = this;
    const at = (record & this.mask) * INTEGERS;
    if (this.#listed === 0) this.#oldest = record;
    else integers[(this.#newest & this.mask) * INTEGERS + NEXT] = record;
    integers[at + PREVIOUS] = this.#newest;
    integers[at + FLAGS]! |= LISTED;
    this.#newest = record;
    this.#listed++;
  }

  /**
   * Puts a record back into the list of what is in flight, at its time. The search begins at `near`, if that is in the
   * list and was not sent later: the one put back before, so that many in the order of their times cost one walk.
   */
  linkSentByTime(record: number, near: number): void {
    const { integers } = this;
    const sentMicros = this.sentMicros(record);
    if (this.#listed === 0 || this.sentMicros(this.#newest) <= sentMicros) {
      this.linkSent(record);
      return;
    }
    const isNear = near !== record && (this.flags(near) & LISTED) !== 0 && this.sentMicros(near) <= sentMicros;
    let next = isNear ? near : this.#oldest;
    while (this.sentMicros(next) <= sentMicros) {
      this.visits++;
      next = integers[(next & this.mask) * INTEGERS + NEXT]!;
    }
    const previous = integers[(next & this.mask) * INTEGERS + PREVIOUS]!;
    const at = (record & this.mask) * INTEGERS;
    integers[at + NEXT] = next;
    integers[at + PREVIOUS] = previous;
    integers[at + FLAGS]! |= LISTED;
    integers[(next & this.mask) * INTEGERS + PREVIOUS] = record;
    if (next === this.#oldest) this.#oldest = record;
    else integers[(previous & this.mask) * INTEGERS + NEXT] = record;
    this.#listed++;
  }

  /** Into the set of what is to be sent again. */
  addPending(record: number): void {
    const slot = record & this.mask;
    this.integers[slot * INTEGERS + FLAGS]! |= PENDING;
    (this.#store.pending ??= new SlotSet(this.#store.capacity)).add(slot);
    this.#pendingCount++;
  }

  /** Takes a record out of the list or out of the set, if it is in one. */
  unlink(record: number): void {
    const { integers } = this;
    const at = (record & this.mask) * INTEGERS;
    const flags = integers[at + FLAGS]!;
    if (flags & LISTED) {
      const next = integers[at + NEXT]!;
      const previous = integers[at + PREVIOUS]!;
      integers[at + FLAGS] = flags & ~LISTED;
      this.#listed--;
      if (record === this.#oldest) this.#oldest = next;
      else integers[(previous & this.mask) * INTEGERS + NEXT] = next;
      if (record === this.#newest) this.#newest = previous;
      else integers[(next & this.mask) * INTEGERS + PREVIOUS] = previous;
    } else if (flags & PENDING) {
      integers[at + FLAGS] = flags & ~PENDING;
      this.#store.pending!.remove(record & this.mask);
      this.#pendingCount--;
    }
  }

  /** Removes all records, and gives the memory back. */
  release(): void {
    this.#keep(this.#store);
    this.#use(EMPTY_STORE);
    this.count = 0;
    this.#listed = 0;
    this.#pendingCount = 0;
  }

  #use(store: RecordStore): void {
    this.#store = store;
    this.integers = store.integers;
    this.doubles = store.doubles;
    this.mask = Math.max(0, store.capacity - 1);
  }

  #grow(): void {
    const old = this.#store;
    const oldMask = this.mask;
    let capacity = Math.max(INITIAL_RECORDS, old.capacity * 2);
    if (old.capacity === 0) {
      while (capacity < this.#peak) capacity *= 2;
      // It fades: one large flight does not make all later ones large.
      this.#peak -= this.#peak >> 3;
    }
    this.#use(spares.take(capacity));
    this.#pendingCount = 0;
    for (let i = 0; i < this.count; i++) {
      const from = (this.first + i) & oldMask;
      const to = (this.first + i) & this.mask;
      for (let k = 0; k < INTEGERS; k++) this.integers[to * INTEGERS + k] = old.integers[from * INTEGERS + k]!;
      for (let k = 0; k < DOUBLES; k++) this.doubles[to * DOUBLES + k] = old.doubles[from * DOUBLES + k]!;
      if (this.integers[to * INTEGERS + FLAGS]! & PENDING) this.addPending((this.first + i) | 0);
    }
    this.#keep(old);
  }

  #keep(store: RecordStore): void {
    store.pending?.clear();
    spares.keep(store);
  }
}
