import type { NetIov, PagePool } from './page-pool.ts';

const INITIAL_ENTRIES = 16;

/**
 * Payload in stream order, as references: which chunk of which pool, where in it, how many bytes. A power-of-two ring of
 * parallel arrays that doubles when full.
 *
 * Each entry owns exactly one reference to its chunk. Bytes that continue the last entry in the same chunk extend it, so
 * a thousand one-byte segments that the NIC packed into a page cost one entry, one reference and, later, one token.
 */
export class FragQueue {
  #pools: (PagePool | null)[] = emptyPools(INITIAL_ENTRIES);
  #iovs = new Int32Array(INITIAL_ENTRIES);
  #offsets = new Int32Array(INITIAL_ENTRIES);
  #sizes = new Int32Array(INITIAL_ENTRIES);
  #mask = INITIAL_ENTRIES - 1;
  #head = 0;
  #count = 0;
  #bytes = 0;

  /** Entries queued. */
  get count(): number {
    return this.#count;
  }

  /** Bytes that all entries stand for. */
  get bytes(): number {
    return this.#bytes;
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
      const tail = (this.#head + this.#count - 1) & this.#mask;
      const end = this.#offsets[tail]! + this.#sizes[tail]!;
      if (this.#iovs[tail] === iov && end === offset && this.#pools[tail] === pool) {
        this.#sizes[tail]! += size;
        pool.release(iov);
        return;
      }
    }
    if (this.#count > this.#mask) this.#grow();
    const slot = (this.#head + this.#count) & this.#mask;
    this.#pools[slot] = pool;
    this.#iovs[slot] = iov;
    this.#offsets[slot] = offset;
    this.#sizes[slot] = size;
    this.#count++;
  }

  /** The pool of the entry `index` places behind the front. `index` must be below `count`, here and below. */
  pool(index = 0): PagePool {
    return this.#pools[(this.#head + index) & this.#mask]!;
  }

  iov(index = 0): NetIov {
    return this.#iovs[(this.#head + index) & this.#mask]!;
  }

  /** Where the fragment begins, in bytes from the start of its chunk. */
  offset(index = 0): number {
    return this.#offsets[(this.#head + index) & this.#mask]!;
  }

  /** Bytes of the fragment, never 0. */
  size(index = 0): number {
    return this.#sizes[(this.#head + index) & this.#mask]!;
  }

  /** Whether a fragment that begins at `offset` of a chunk would continue the last entry. */
  endsAt(pool: PagePool, iov: NetIov, offset: number): boolean {
    if (this.#count === 0) return false;
    const tail = (this.#head + this.#count - 1) & this.#mask;
    return (
      this.#pools[tail] === pool && this.#iovs[tail] === iov && this.#offsets[tail]! + this.#sizes[tail]! === offset
    );
  }

  /** Takes the front entry off WITHOUT giving its reference back: the caller owns it from here. */
  shift(): void {
    if (this.#count === 0) return;
    this.#bytes -= this.#sizes[this.#head]!;
    this.#pools[this.#head] = null;
    this.#head = (this.#head + 1) & this.#mask;
    this.#count--;
  }

  /**
   * Shortens the front entry by its first `bytes` bytes; the entry keeps its reference, so whoever took the bytes has to
   * retain the chunk for them. Only for less than the whole entry (`shift` takes that): more is ignored.
   * @returns the bytes taken off: `bytes`, or 0.
   */
  trimFront(bytes: number): number {
    if (this.#count === 0 || bytes <= 0 || bytes >= this.#sizes[this.#head]!) return 0;
    this.#offsets[this.#head]! += bytes;
    this.#sizes[this.#head]! -= bytes;
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

  /** Gives every reference back and the ring's memory with them. */
  clear(): void {
    while (this.#count > 0) {
      const pool = this.pool();
      const iov = this.iov();
      this.shift();
      pool.release(iov);
    }
    if (this.#mask >= INITIAL_ENTRIES) this.#resize(INITIAL_ENTRIES);
  }

  #grow(): void {
    this.#resize(this.#sizes.length * 2);
  }

  #resize(capacity: number): void {
    const pools = emptyPools(capacity);
    const iovs = new Int32Array(capacity);
    const offsets = new Int32Array(capacity);
    const sizes = new Int32Array(capacity);
    for (let i = 0; i < this.#count; i++) {
      const from = (this.#head + i) & this.#mask;
      pools[i] = this.#pools[from]!;
      iovs[i] = this.#iovs[from]!;
      offsets[i] = this.#offsets[from]!;
      sizes[i] = this.#sizes[from]!;
    }
    this.#pools = pools;
    this.#iovs = iovs;
    this.#offsets = offsets;
    this.#sizes = sizes;
    this.#mask = capacity - 1;
    this.#head = 0;
  }
}

function emptyPools(length: number): (PagePool | null)[] {
  return Array.from<PagePool | null>({ length }).fill(null);
}
