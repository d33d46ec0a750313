const INITIAL_ENTRIES = 8;

/** Stream offsets where records end (MSG_EOR): what lies behind one does not share a segment with what lies before. */
export class RecordEnds {
  #offsets = new Float64Array(INITIAL_ENTRIES);
  #head = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Offsets come in ascending order. */
  push(offset: number): void {
    if (this.#count === this.#offsets.length) this.#grow();
    this.#offsets[(this.#head + this.#count) & (this.#offsets.length - 1)] = offset;
    this.#count++;
  }

  /** The first end behind `offset`, or infinity. */
  after(offset: number): number {
    const mask = this.#offsets.length - 1;
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#offsets[(this.#head + middle) & mask]! > offset) high = middle;
      else low = middle + 1;
    }
    return low < this.#count ? this.#offsets[(this.#head + low) & mask]! : Number.POSITIVE_INFINITY;
  }

  /** Forgets the ends up to `offset`. */
  release(offset: number): void {
    while (this.#count > 0 && this.#offsets[this.#head]! <= offset) {
      this.#head = (this.#head + 1) & (this.#offsets.length - 1);
      this.#count--;
    }
  }

  #grow(): void {
    const { length } = this.#offsets;
    const offsets = new Float64Array(length * 2);
    for (let i = 0; i < length; i++) offsets[i] = this.#offsets[(this.#head + i) & (length - 1)]!;
    this.#offsets = offsets;
    this.#head = 0;
  }
}
