/** A set of the places of a ring, kept as bits, with a bit above for each word that has any: nothing in it is walked. */
export class SlotSet {
  count = 0;
  readonly #words: Int32Array;
  readonly #filled: Int32Array;

  /** @param capacity of the ring: a power of two. */
  constructor(capacity: number) {
    this.#words = new Int32Array(Math.max(1, capacity >> 5));
    this.#filled = new Int32Array(Math.max(1, capacity >> 10));
  }

  add(slot: number): void {
    const word = slot >> 5;
    this.#words[word]! |= 1 << (slot & 31);
    this.#filled[word >> 5]! |= 1 << (word & 31);
    this.count++;
  }

  /** Removes a member. */
  remove(slot: number): void {
    const word = slot >> 5;
    if ((this.#words[word]! &= ~(1 << (slot & 31))) === 0) this.#filled[word >> 5]! &= ~(1 << (word & 31));
    this.count--;
  }

  clear(): void {
    if (this.count === 0) return;
    this.#words.fill(0);
    this.#filled.fill(0);
    this.count = 0;
  }

  /** The first member at or behind `slot`, around the end if need be; only while there are members. */
  firstFrom(slot: number): number {
    const word = slot >> 5;
    const here = this.#words[word]! & (-1 << (slot & 31));
    if (here !== 0) return word * 32 + lowestBit(here);
    let next = this.#nextWord(word + 1);
    if (next < 0) next = this.#nextWord(0);
    return next * 32 + lowestBit(this.#words[next]!);
  }

  /** The first word that has a member, at or behind `word`; -1: none. */
  #nextWord(word: number): number {
    let bits = -1 << (word & 31);
    for (let group = word >> 5; group < this.#filled.length; group++) {
      bits &= this.#filled[group]!;
      if (bits !== 0) return group * 32 + lowestBit(bits);
      bits = -1;
    }
    return -1;
  }
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}
