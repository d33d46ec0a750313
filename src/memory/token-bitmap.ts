const WORD_BITS = 32;
const WORD_SHIFT = 5;

/**
 * Which of the numbers 0 to `capacity` - 1 are free, as a tree of 32-bit words: a bit of the lowest level is one number,
 * a bit above is one word below that still has a free number. The lowest free number is found, taken or given back in
 * one step a level: four levels are a million.
 */
export class FreeBitmap {
  #levels: Int32Array[] = [];
  #capacity = 0;

  /** @param capacity how many numbers, a multiple of 32; all are free. */
  constructor(capacity: number) {
    this.grow(capacity);
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Takes the lowest free number; -1 if none is. */
  take(): number {
    const levels = this.#levels;
    let index = 0;
    for (let level = levels.length - 1; level >= 0; level--) {
      const word = levels[level]![index]!;
      if (word === 0) return -1;
      index = (index << WORD_SHIFT) | (31 - Math.clz32(word & -word));
    }
    this.#clear(index);
    return index;
  }

  /** Gives a number back that `take` answered. */
  give(index: number): void {
    const levels = this.#levels;
    let at = index;
    for (let level = 0; level < levels.length; level++) {
      const words = levels[level]!;
      const wordIndex = at >>> WORD_SHIFT;
      const before = words[wordIndex]!;
      words[wordIndex] = before | (1 << (at & (WORD_BITS - 1)));
      if (before !== 0) return;
      at = wordIndex;
    }
  }

  /** Raises the capacity; the new numbers are free. */
  grow(capacity: number): void {
    const lowest = new Int32Array(capacity >>> WORD_SHIFT).fill(-1);
    if (this.#levels.length > 0) lowest.set(this.#levels[0]!);
    this.#capacity = capacity;
    this.#levels = [lowest];
    for (let below = lowest; below.length > 1;) {
      const words = new Int32Array(Math.ceil(below.length / WORD_BITS));
      for (let i = 0; i < below.length; i++) {
        if (below[i] !== 0) words[i >>> WORD_SHIFT]! |= 1 << (i & (WORD_BITS - 1));
      }
      this.#levels.push(words);
      below = words;
    }
  }

  #clear(index: number): void {
    const levels = this.#levels;
    let at = index;
    for (let level = 0; level < levels.length; level++) {
      const words = levels[level]!;
      const wordIndex = at >>> WORD_SHIFT;
      const after = words[wordIndex]! & ~(1 << (at & (WORD_BITS - 1)));
      words[wordIndex] = after;
      if (after !== 0) return;
      at = wordIndex;
    }
  }
}
