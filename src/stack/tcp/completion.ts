const INITIAL_ENTRIES = 8;
const EMPTY = new Float64Array(0);
/** Acknowledged ranges that wait for the NIC; more are merged into the last. */
const MAX_ENTRIES = 1024;

/**
 * When the memory of sent data may change again: after its acknowledgment, and after the NIC has let go of the last
 * transmission that covers it. A queue of (stream offset, NIC mark), both growing.
 */
export class CompletionQueue {
  #offsets: Float64Array = EMPTY;
  #marks: Float64Array = EMPTY;
  #head = 0;
  #count = 0;
  completedOffset = 0;

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Everything before `offset` is acknowledged; its last transmission lies before `mark`. */
  push(offset: number, mark: number): void {
    if (this.#count > 0) {
      const tail = (this.#head + this.#count - 1) & (this.#offsets.length - 1);
      if (this.#marks[tail]! >= mark || this.#count === MAX_ENTRIES) {
        this.#offsets[tail] = offset;
        if (mark > this.#marks[tail]!) this.#marks[tail] = mark;
        return;
      }
    }
    if (this.#count === this.#offsets.length) this.#grow();
    const slot = (this.#head + this.#count) & (this.#offsets.length - 1);
    this.#offsets[slot] = offset;
    this.#marks[slot] = mark;
    this.#count++;
  }

  /** Completes what the NIC is done with. Returns whether `completedOffset` moved. */
  poll(nic: { txDone(mark: number): boolean }): boolean {
    const before = this.completedOffset;
    while (this.#count > 0 && nic.txDone(this.#marks[this.#head]!)) {
      this.completedOffset = this.#offsets[this.#head]!;
      this.#head = (this.#head + 1) & (this.#offsets.length - 1);
      this.#count--;
    }
    return this.completedOffset !== before;
  }

  #grow(): void {
    const length = this.#offsets.length;
    const offsets = new Float64Array(Math.max(INITIAL_ENTRIES, length * 2));
    const marks = new Float64Array(Math.max(INITIAL_ENTRIES, length * 2));
    for (let i = 0; i < this.#count; i++) {
      offsets[i] = this.#offsets[(this.#head + i) & (length - 1)]!;
      marks[i] = this.#marks[(this.#head + i) & (length - 1)]!;
    }
    this.#offsets = offsets;
    this.#marks = marks;
    this.#head = 0;
  }
}
