/**
 * A double-ended queue of objects in a power-of-two ring that doubles when full, up to `limit`. Push and shift cost a
 * few nanoseconds and allocate nothing once the ring has its size.
 */
export class Ring<T> {
  #slots: (T | undefined)[];
  #head = 0;
  #length = 0;
  readonly limit: number;

  /** @param limit the most elements it will hold; `push` answers false at the limit. */
  constructor(limit: number, initialCapacity = 16) {
    this.limit = limit;
    this.#slots = Array.from<T | undefined>({ length: 2 ** Math.ceil(Math.log2(initialCapacity)) }).fill(undefined);
  }

  get length(): number {
    return this.#length;
  }

  push(value: T): boolean {
    if (this.#length === this.limit) return false;
    if (this.#length === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.#length) & (this.#slots.length - 1)] = value;
    this.#length++;
    return true;
  }

  /** Puts a value before the first. */
  unshift(value: T): boolean {
    if (this.#length === this.limit) return false;
    if (this.#length === this.#slots.length) this.#grow();
    this.#head = (this.#head - 1) & (this.#slots.length - 1);
    this.#slots[this.#head] = value;
    this.#length++;
    return true;
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const value = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#length--;
    return value;
  }

  /** The element at `index` from the front, without taking it. */
  peek(index = 0): T | undefined {
    return index < this.#length ? this.#slots[(this.#head + index) & (this.#slots.length - 1)] : undefined;
  }

  clear(): void {
    while (this.#length > 0) this.shift();
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = Array.from<T | undefined>({ length: old.length * 2 }).fill(undefined);
    for (let i = 0; i < this.#length; i++) this.#slots[i] = old[(this.#head + i) & (old.length - 1)];
    this.#head = 0;
  }
}
