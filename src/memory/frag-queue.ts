import { Spares } from '../core/spares.ts';
import type { NetIov, PagePool } from './page-pool.ts';

const INITIAL_ENTRIES = 16;
/** Numbers of one entry: its chunk, where in it, and how many bytes. */
const NUMBERS = 3;
const IOV = 0;
const OFFSET = 1;
const SIZE = 2;
/** Fewer bytes an entry than this, and the entries cost about as much as the bytes. */
export const SPARSE_BYTES = 64;
/** The memory of a queue. */
class Ring {
  readonly pools: (PagePool | null)[];
  readonly numbers: Int32Array;
  readonly capacity: number;
  readonly mask: number;

  constructor(capacity: number) {
    this.pools = Array.from<PagePool | null>({ length: capacity }).fill(null);
    this.numbers = new Int32Array(capacity * NUMBERS);
    this.capacity = capacity;
    this.mask = capacity - 1;
  }
}

/** What a queue has that holds nothing. */
const NO_RING: Ring = new Ring(0);

const spares: Spares<Ring> = new Spares((capacity) => new Ring(capacity));

/**
 * Payload in stream order, as references: which chunk of which pool, where in it, how many bytes. A power-of-two ring
 * that doubles when full, and that a queue has only while it holds something: most connections of many are idle.
 *
 * Each entry owns exactly one reference to its chunk. Bytes that continue the last entry in the same chunk extend it, so
 * a thousand one-byte segments that the NIC packed into a page cost one entry, one reference and, later, one token.
 */
export class FragQueue {
  #ring: Ring = NO_RING;
  #head = 0;
  #count = 0;
  #bytes = 0;
  /** The most entries of late: an empty queue that fills begins with room for as many. */
  #peak = 0;

  /** Entries queued. */
  get count(): number {
    return this.#count;
  }

  /** Bytes that all entries stand for. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether there are many entries for what they stand for: `floor` of them, and few bytes each. */
  isSparse(floor: number): boolean {
    return this.#count >= floor && this.#bytes < this.#count * SPARSE_BYTES;
  }

  /**
   * Adds `size` bytes at `offset` of chunk `iov` and takes over one reference to it, which the caller held. An empty
   * fragment is no entry: its reference is given back.
   */
  push(pool: PagePool, iov: NetIov, offset: number, size: number): void {
    if (size === 0) {
      pool.release(iov);
      return;
    }
    this.#bytes += size;
    if (this.#count > 0) {
      const { pools, numbers, mask } = this.#ring;
      const tail = (this.#head + this.#count - 1) & mask;
      const at = tail * NUMBERS;
      if (numbers[at + IOV] === iov && numbers[at + OFFSET]! + numbers[at + SIZE]! === offset && pools[tail] === pool) {
        numbers[at + SIZE]! += size;
        pool.release(iov);
        return;
      }
    }
    if (this.#count > this.#ring.mask) FragQueue.#grow(this);
    const { pools, numbers, mask } = this.#ring;
    const slot = (this.#head + this.#count) & mask;
    const at = slot * NUMBERS;
    pools[slot] = pool;
    numbers[at + IOV] = iov;
    numbers[at + OFFSET] = offset;
    numbers[at + SIZE] = size;
    if (++this.#count > this.#peak) this.#peak = this.#count;
  }

  /** As `push`, in front of the first entry. */
  unshift(pool: PagePool, iov: NetIov, offset: number, size: number): void {
    if (size === 0) {
      pool.release(iov);
      return;
    }
    this.#bytes += size;
    if (this.#count > 0) {
      const { pools, numbers } = this.#ring;
      const at = this.#head * NUMBERS;
      if (numbers[at + IOV] === iov && offset + size === numbers[at + OFFSET] && pools[this.#head] === pool) {
        numbers[at + OFFSET] = offset;
        numbers[at + SIZE]! += size;
        pool.release(iov);
        return;
      }
    }
    if (this.#count > this.#ring.mask) FragQueue.#grow(this);
    const { pools, numbers, mask } = this.#ring;
    this.#head = (this.#head - 1) & mask;
    const at = this.#head * NUMBERS;
    pools[this.#head] = pool;
    numbers[at + IOV] = iov;
    numbers[at + OFFSET] = offset;
    numbers[at + SIZE] = size;
    if (++this.#count > this.#peak) this.#peak = this.#count;
  }

  /** The pool of the entry `index` places behind the front. `index` must be below `count`, here and below. */
  pool(index = 0): PagePool {
    return this.#ring.pools[(this.#head + index) & this.#ring.mask]!;
  }

  iov(index = 0): NetIov {
    return this.#ring.numbers[FragQueue.#at(this, index) + IOV]!;
  }

  /** Where the fragment begins, in bytes from the start of its chunk. */
  offset(index = 0): number {
    return this.#ring.numbers[FragQueue.#at(this, index) + OFFSET]!;
  }

  /** Bytes of the fragment, never 0. */
  size(index = 0): number {
    return this.#ring.numbers[FragQueue.#at(this, index) + SIZE]!;
  }

  /** Whether a fragment that begins at `offset` of a chunk would continue the last entry. */
  endsAt(pool: PagePool, iov: NetIov, offset: number): boolean {
    if (this.#count === 0) return false;
    const last = this.#count - 1;
    return this.pool(last) === pool && this.iov(last) === iov && this.offset(last) + this.size(last) === offset;
  }

  /** Takes the last entry off WITHOUT giving its reference back: the caller owns it from here. */
  pop(): void {
    if (this.#count === 0) return;
    const ring = this.#ring;
    const tail = (this.#head + this.#count - 1) & ring.mask;
    this.#bytes -= ring.numbers[tail * NUMBERS + SIZE]!;
    ring.pools[tail] = null;
    if (--this.#count === 0) FragQueue.#giveRingBack(this);
  }

  /** Takes over all that another queue holds, with its memory; this one must be empty. */
  become(other: FragQueue): void {
    if (this.#count > 0 || other === this) return;
    this.#ring = other.#ring;
    this.#head = other.#head;
    this.#count = other.#count;
    this.#bytes = other.#bytes;
    other.#ring = NO_RING;
    other.#head = 0;
    other.#count = 0;
    other.#bytes = 0;
  }

  /** Takes the front entry off WITHOUT giving its reference back: the caller owns it from here. */
  shift(): void {
    if (this.#count === 0) return;
    const ring = this.#ring;
    this.#bytes -= ring.numbers[this.#head * NUMBERS + SIZE]!;
    ring.pools[this.#head] = null;
    this.#head = (this.#head + 1) & ring.mask;
    if (--this.#count === 0) FragQueue.#giveRingBack(this);
  }

  /**
   * Shortens the front entry by its first `bytes` bytes; the entry keeps its reference, so whoever took the bytes has to
   * retain the chunk for them. Only for less than the whole entry (`shift` takes that): more is ignored.
   * @returns the bytes taken off: `bytes`, or 0.
   */
  trimFront(bytes: number): number {
    if (this.#count === 0 || bytes <= 0 || bytes >= this.size()) return 0;
    const { numbers } = this.#ring;
    const at = FragQueue.#at(this, 0);
    numbers[at + OFFSET]! += bytes;
    numbers[at + SIZE]! -= bytes;
    this.#bytes -= bytes;
    return bytes;
  }

  /**
   * Discards up to `bytes` bytes from the front, giving back the references of the entries that end with them.
   * @returns the bytes discarded: fewer than asked if the queue held fewer.
   */
  discard(bytes: number): number {
    let left = bytes;
    while (left > 0 && this.#count > 0) {
      const size = this.size();
      if (size > left) {
        this.trimFront(left);
        return bytes;
      }
      const pool = this.pool();
      const iov = this.iov();
      this.shift();
      pool.release(iov);
      left -= size;
    }
    return bytes - left;
  }

  /** Gives every reference back. */
  clear(): void {
    while (this.#count > 0) {
      const pool = this.pool();
      const iov = this.iov();
      this.shift();
      pool.release(iov);
    }
  }

  // Static, for private methods cost every object a word.

  /** Where the numbers of an entry begin. */
  static #at(queue: FragQueue, index: number): number {
    return ((queue.#head + index) & queue.#ring.mask) * NUMBERS;
  }

  static #giveRingBack(queue: FragQueue): void {
    const ring = queue.#ring;
    queue.#ring = NO_RING;
    queue.#head = 0;
    spares.keep(ring);
  }

  static #grow(queue: FragQueue): void {
    const from = queue.#ring;
    let capacity = Math.max(INITIAL_ENTRIES, 2 * from.capacity);
    if (from.capacity === 0) {
      while (capacity < queue.#peak) capacity *= 2;
      queue.#peak -= queue.#peak >> 3; // fades: one long queue does not make all later ones long
    }
    const ring = spares.take(capacity);
    for (let i = 0; i < queue.#count; i++) {
      const slot = (queue.#head + i) & from.mask;
      ring.pools[i] = from.pools[slot]!;
      from.pools[slot] = null;
      const at = slot * NUMBERS;
      for (let number = 0; number < NUMBERS; number++) ring.numbers[i * NUMBERS + number] = from.numbers[at + number]!;
    }
    queue.#ring = ring;
    queue.#head = 0;
    spares.keep(from);
  }
}
