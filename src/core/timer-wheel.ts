/** Slots of a level, as a power of two. */
const SLOT_BITS = 6;
const SLOTS = 64;
const SLOT_MASK: number = SLOTS - 1;
/** Ticks are split into two halves of this many bits: what bit operations can hold. */
const HALF_BITS = 24;
const HALF: number = 2 ** HALF_BITS;
/** Levels in one half. */
const HALF_LEVELS: number = HALF_BITS / SLOT_BITS;
const LISTS: number = 2 * HALF_LEVELS * SLOTS;
/** The last tick there is: with ticks of a microsecond, nine years after the first. */
export const LAST_TICK: number = HALF * HALF - 1;
const INITIAL_ENTRIES = 64;
const NOT_PLACED = -1;

/**
 * A hierarchical timer wheel (Varghese and Lauck 1987, scheme 7): eight levels of 64 slots, each slot a list. A tick lies
 * in the level of the highest group of six bits in which it differs from the present, so whatever is in a level comes
 * before whatever is in the next. Entries are small integers that the user counts; the lists run through arrays that are
 * indexed by them. Placing and taking cost the same however many there are.
 *
 * It knows no deadlines finer than its slots: the user moves it to the start of the first slot, takes out what is there,
 * and places anew what is not due.
 */
export class TimerWheel {
  /** The present: nothing is placed before it. */
  now = 0;
  /** Entries placed. */
  count = 0;
  #nowLow = 0;
  #nowHigh = 0;
  /** Circular lists: the first LISTS places are their ends, entry `id` is at LISTS + id. */
  #next: Int32Array = new Int32Array(LISTS + INITIAL_ENTRIES);
  #previous: Int32Array = new Int32Array(LISTS + INITIAL_ENTRIES);
  #slots: Int16Array = new Int16Array(INITIAL_ENTRIES).fill(NOT_PLACED);
  /** Two words a level: which slots hold anything. */
  readonly #occupied: Int32Array = new Int32Array((LISTS / SLOTS) * 2);
  /** One bit a level. */
  #levels = 0;

  constructor() {
    for (let list = 0; list < LISTS; list++) {
      this.#next[list] = list;
      this.#previous[list] = list;
    }
  }

  /** Places an entry that is not placed. A tick before the present counts as the present. */
  place(id: number, tick: number): void {
    if (id >= this.#slots.length) this.#grow(id + 1);
    const at = tick <= this.now ? this.now : tick > LAST_TICK ? LAST_TICK : tick;
    const high = Math.floor(at / HALF);
    const low = at - high * HALF;
    let level: number;
    let group: number;
    if (high === this.#nowHigh) {
      level = levelOf(low ^ this.#nowLow);
      group = low >>> (level * SLOT_BITS);
    } else {
      level = levelOf(high ^ this.#nowHigh);
      group = high >>> (level * SLOT_BITS);
      level += HALF_LEVELS;
    }
    const slot = (level << SLOT_BITS) | (group & SLOT_MASK);
    const node = LISTS + id;
    const last = this.#previous[slot]!;
    this.#next[last] = node;
    this.#previous[node] = last;
    this.#next[node] = slot;
    this.#previous[slot] = node;
    this.#slots[id] = slot;
    this.#occupied[slot >>> 5]! |= 1 << (slot & 31);
    this.#levels |= 1 << level;
    this.count++;
  }

  /** Takes an entry out; one that is not placed is left alone. */
  take(id: number): void {
    const slot = id < this.#slots.length ? this.#slots[id]! : NOT_PLACED;
    if (slot === NOT_PLACED) return;
    const node = LISTS + id;
    const next = this.#next[node]!;
    const previous = this.#previous[node]!;
    this.#next[previous] = next;
    this.#previous[next] = previous;
    this.#slots[id] = NOT_PLACED;
    this.count--;
    if (next !== slot || previous !== slot) return;
    this.#occupied[slot >>> 5]! &= ~(1 << (slot & 31));
    const level = slot >>> SLOT_BITS;
    if ((this.#occupied[2 * level]! | this.#occupied[2 * level + 1]!) === 0) this.#levels &= ~(1 << level);
  }

  /** The first slot that holds anything, or -1. */
  firstSlot(): number {
    if (this.#levels === 0) return -1;
    const level = lowestBit(this.#levels);
    const word = this.#occupied[2 * level]!;
    const group = word === 0 ? 32 + lowestBit(this.#occupied[2 * level + 1]!) : lowestBit(word);
    return (level << SLOT_BITS) | group;
  }

  /** The first tick of a slot: nothing in it, nor in any slot behind it, was placed before that. */
  startOf(slot: number): number {
    const level = slot >>> SLOT_BITS;
    const group = slot & SLOT_MASK;
    if (level >= HALF_LEVELS) return startIn(this.#nowHigh, level - HALF_LEVELS, group) * HALF;
    return this.#nowHigh * HALF + startIn(this.#nowLow, level, group);
  }

  /** The entry placed first into a slot, or -1. */
  firstIn(slot: number): number {
    const node = this.#next[slot]!;
    return node === slot ? -1 : node - LISTS;
  }

  /** The entry that follows in its slot, or -1. */
  after(id: number): number {
    const node = this.#next[LISTS + id]!;
    return node < LISTS ? -1 : node - LISTS;
  }

  /** Moves the present on. Whatever is placed must not lie before the new one, but in the slot that starts with it. */
  moveTo(tick: number): void {
    if (tick <= this.now) return;
    this.now = Math.min(tick, LAST_TICK);
    this.#nowHigh = Math.floor(this.now / HALF);
    this.#nowLow = this.now - this.#nowHigh * HALF;
  }

  #grow(atLeast: number): void {
    let length = this.#slots.length;
    while (length < atLeast) length *= 2;
    const next = new Int32Array(LISTS + length);
    const previous = new Int32Array(LISTS + length);
    const slots = new Int16Array(length).fill(NOT_PLACED);
    next.set(this.#next);
    previous.set(this.#previous);
    slots.set(this.#slots);
    this.#next = next;
    this.#previous = previous;
    this.#slots = slots;
  }
}

/** The group of bits that holds the highest one set; 0 for 0. */
function levelOf(difference: number): number {
  return difference === 0 ? 0 : ((31 - Math.clz32(difference)) / SLOT_BITS) | 0;
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

function startIn(half: number, level: number, group: number): number {
  const bits = level * SLOT_BITS;
  const above = bits + SLOT_BITS;
  return ((half >>> above) << above) | (group << bits);
}
