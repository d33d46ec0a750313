/** What is kept in all, as capacity: more is left to the garbage collector. */
const MAX_KEPT_CAPACITY = 65_536;
const MAX_KEPT = 256;

/**
 * Memory of queues that are empty, for those that fill: of many connections few have anything queued at a time, and one
 * that fills and drains over and over must not allocate each time. Capacities are powers of two, or 0 for none.
 */
export class Spares<T extends { readonly capacity: number }> {
  /** By the logarithm of the capacity. */
  readonly #kept: T[][] = [];
  readonly #make: (capacity: number) => T;
  #keptCapacity = 0;

  constructor(make: (capacity: number) => T) {
    this.#make = make;
  }

  /** One of this capacity, in whatever state it was given back. */
  take(capacity: number): T {
    const kept = this.#kept[31 - Math.clz32(capacity)]?.pop();
    if (kept === undefined) return this.#make(capacity);
    this.#keptCapacity -= capacity;
    return kept;
  }

  /** Takes one back; it must not refer to anything any more. */
  keep(store: T): void {
    const { capacity } = store;
    if (capacity === 0 || this.#keptCapacity + capacity > MAX_KEPT_CAPACITY) return;
    const kept = (this.#kept[31 - Math.clz32(capacity)] ??= []);
    if (kept.length === MAX_KEPT) return;
    kept.push(store);
    this.#keptCapacity += capacity;
  }
}
