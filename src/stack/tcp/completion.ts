import { Spares } from '../../core/spares.ts';

const INITIAL_ENTRIES = 8;
const NUMBERS = 2;
const OFFSET = 0;
const MARK = 1;
/** Acknowledged ranges that wait for the NIC; more are merged into the last. */
const MAX_ENTRIES = 1024;

/** The memory of a queue. */
class Ring {
  /** Two numbers an entry: a stream offset and the NIC's mark. */
  readonly numbers: Float64Array;
  readonly capacity: number;
  readonly mask: number;

  constructor(capacity: number) {
    this.numbers = new Float64Array(capacity * NUMBERS);
    this.capacity = capacity;
    this.mask = capacity - 1;
  }
}

/** What a queue has that holds nothing. */
const NO_RING: Ring = new Ring(0);
const spares: Spares<Ring> = new Spares((capacity) => new Ring(capacity));

/**
 * When the memory of sent data may change again: after its acknowledgment, and after the NIC has let go of the last
 * transmission that covers it. A queue of (stream offset, NIC mark), both growing.
 */
export class CompletionQueue {
  #ring: Ring = NO_RING;
  #head = 0;
  #count = 0;
  completedOffset = 0;

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Everything before `offset` is acknowledged; its last transmission lies before `mark`. */
  push(offset: number, mark: number): void {
    if (this.#count > 0) {
      const { numbers, mask } = this.#ring;
      const at = ((this.#head + this.#count - 1) & mask) * NUMBERS;
      if (numbers[at + MARK]! >= mark || this.#count === MAX_ENTRIES) {
        numbers[at + OFFSET] = offset;
        if (mark > numbers[at + MARK]!) numbers[at + MARK] = mark;
        return;
      }
    }
    if (this.#count === this.#ring.capacity) CompletionQueue.#grow(this);
    const { numbers, mask } = this.#ring;
    const at = ((this.#head + this.#count) & mask) * NUMBERS;
    numbers[at + OFFSET] = offset;
    numbers[at + MARK] = mark;
    this.#count++;
  }

  /** Completes what the NIC is done with. Returns whether `completedOffset` moved. */
  poll(nic: { txDone(mark: number): boolean }): boolean {
    if (this.#count === 0) return false;
    const before = this.completedOffset;
    const ring = this.#ring;
    while (this.#count > 0 && nic.txDone(ring.numbers[this.#head * NUMBERS + MARK]!)) {
      this.completedOffset = ring.numbers[this.#head * NUMBERS + OFFSET]!;
      this.#head = (this.#head + 1) & ring.mask;
      this.#count--;
    }
    if (this.#count === 0) {
      this.#ring = NO_RING;
      this.#head = 0;
      spares.keep(ring);
    }
    return this.completedOffset !== before;
  }

  // Static, for private methods cost every object a word.

  static #grow(queue: CompletionQueue): void {
    const from = queue.#ring;
    const ring = spares.take(Math.max(INITIAL_ENTRIES, from.capacity * 2));
    for (let i = 0; i < queue.#count; i++) {
      const at = ((queue.#head + i) & from.mask) * NUMBERS;
      ring.numbers[i * NUMBERS + OFFSET] = from.numbers[at + OFFSET]!;
      ring.numbers[i * NUMBERS + MARK] = from.numbers[at + MARK]!;
    }
    queue.#ring = ring;
    queue.#head = 0;
    spares.keep(from);
  }
}
