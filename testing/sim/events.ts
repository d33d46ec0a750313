/** Something that happens at a time. Of those at one time, what was filed first happens first. */
export interface SimEvent {
  atMicros: number;
  order: number;
  fire(nowMicros: number): void;
}

/** What is to come, in a binary heap: the next event is found without looking at the others. */
export class EventQueue {
  readonly #heap: SimEvent[] = [];
  #order = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** When the next event happens; infinity if there is none. */
  get nextMicros(): number {
    return this.#heap.length === 0 ? Number.POSITIVE_INFINITY : this.#heap[0]!.atMicros;
  }

  push(event: SimEvent, atMicros: number): void {
    event.atMicros = atMicros;
    event.order = this.#order++;
    const heap = this.#heap;
    let index = heap.length;
    heap.push(event);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (isBefore(heap[parent]!, event)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = event;
  }

  /** Takes the next event out. Only called while there is one. */
  pop(): SimEvent {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    const count = heap.length;
    if (count === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= count) break;
      if (child + 1 < count && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (isBefore(last, heap[child]!)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function isBefore(one: SimEvent, other: SimEvent): boolean {
  return one.atMicros < other.atMicros || (one.atMicros === other.atMicros && one.order < other.order);
}
