import { Spares } from '../../core/spares.ts';
import type { MemoryRegion } from '../../memory/region.ts';
import type { TxFrame } from '../../nic/tx-frame.ts';

const INITIAL_EXTENTS = 8;
const NUMBERS = 3;
const OFFSET = 0;
const LENGTH = 1;
const START = 2;
/** Extents of one connection: at the limit `push` refuses until some are acknowledged. */
const MAX_EXTENTS = 65_536;

/** The memory of a queue. */
class Ring {
  readonly regions: (MemoryRegion | null)[];
  /** Three numbers an extent: its offset in the region, its length, and the stream offset of its first byte. */
  readonly numbers: Float64Array;
  readonly capacity: number;
  readonly mask: number;

  constructor(capacity: number) {
    this.regions = Array.from<MemoryRegion | null>({ length: capacity }).fill(null);
    this.numbers = new Float64Array(capacity * NUMBERS);
    this.capacity = capacity;
    this.mask = capacity - 1;
  }
}

/** What a queue has that holds nothing. */
const NO_RING: Ring = new Ring(0);
const spares: Spares<Ring> = new Spares((capacity) => new Ring(capacity));

/**
 * What an application has given to send, as references: (region, offset, length), numbered by stream offset. The bytes
 * stay where they are and are read again for a retransmission. A power-of-two ring, which a queue has only while it holds
 * something.
 */
export class SendQueue {
  #ring: Ring = NO_RING;
  #head = 0;
  #count = 0;
  #endOffset = 0;
  /** Index from the front of the extent that the last `gather` ended in: most begin where the last one ended. */
  #cursor = 0;

  /** Stream offset behind the last byte queued. */
  get endOffset(): number {
    return this.#endOffset;
  }

  get extents(): number {
    return this.#count;
  }

  /** Queues a reference. False: there are too many extents. */
  push(region: MemoryRegion, offset: number, length: number): boolean {
    if (this.#count > 0) {
      const { regions, numbers, mask } = this.#ring;
      const tail = (this.#head + this.#count - 1) & mask;
      const at = tail * NUMBERS;
      if (regions[tail] === region && numbers[at + OFFSET]! + numbers[at + LENGTH]! === offset) {
        numbers[at + LENGTH]! += length;
        this.#endOffset += length;
        return true;
      }
      if (this.#count === MAX_EXTENTS) return false;
    }
    if (this.#count > this.#ring.mask) SendQueue.#grow(this);
    const { regions, numbers, mask } = this.#ring;
    const slot = (this.#head + this.#count) & mask;
    regions[slot] = region;
    numbers[slot * NUMBERS + OFFSET] = offset;
    numbers[slot * NUMBERS + LENGTH] = length;
    numbers[slot * NUMBERS + START] = this.#endOffset;
    this.#count++;
    this.#endOffset += length;
    return true;
  }

  /**
   * Adds the stream's bytes [offset, offset + length) to a frame.
   * @returns how many it took: fewer if the frame ran out of segments.
   */
  gather(tx: TxFrame, offset: number, length: number): number {
    const { regions, numbers, mask } = this.#ring;
    let index = SendQueue.#find(this, offset);
    let at = offset;
    let left = length;
    while (left > 0 && index < this.#count) {
      const slot = (this.#head + index) & mask;
      const within = at - numbers[slot * NUMBERS + START]!;
      const size = Math.min(numbers[slot * NUMBERS + LENGTH]! - within, left);
      if (!tx.addPayload(regions[slot]!, numbers[slot * NUMBERS + OFFSET]! + within, size)) break;
      at += size;
      left -= size;
      if (left > 0) index++;
    }
    this.#cursor = Math.min(index, this.#count - 1);
    return length - left;
  }

  /** Forgets what lies wholly before a stream offset. */
  release(offset: number): void {
    const ring = this.#ring;
    const { regions, numbers, mask } = ring;
    while (this.#count > 0) {
      const slot = this.#head;
      if (numbers[slot * NUMBERS + START]! + numbers[slot * NUMBERS + LENGTH]! > offset) return;
      regions[slot] = null;
      this.#head = (slot + 1) & mask;
      this.#count--;
      if (this.#cursor > 0) this.#cursor--;
    }
    if (ring === NO_RING) return;
    this.#ring = NO_RING;
    this.#head = 0;
    spares.keep(ring);
  }

  clear(): void {
    this.release(this.#endOffset);
  }

  // Static, for private methods cost every object a word.

  /** Index from the front of the extent that holds a stream offset. */
  static #find(queue: SendQueue, offset: number): number {
    const near = queue.#cursor;
    if (near < queue.#count && SendQueue.#holds(queue, near, offset)) return near;
    if (near + 1 < queue.#count && SendQueue.#holds(queue, near + 1, offset)) return near + 1;
    let low = 0;
    let high = queue.#count - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (SendQueue.#startOf(queue, middle) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  static #holds(queue: SendQueue, index: number, offset: number): boolean {
    const { numbers, mask } = queue.#ring;
    const start = SendQueue.#startOf(queue, index);
    return offset >= start && offset < start + numbers[((queue.#head + index) & mask) * NUMBERS + LENGTH]!;
  }

  static #startOf(queue: SendQueue, index: number): number {
    const { numbers, mask } = queue.#ring;
    return numbers[((queue.#head + index) & mask) * NUMBERS + START]!;
  }

  static #grow(queue: SendQueue): void {
    const from = queue.#ring;
    const ring = spares.take(Math.max(INITIAL_EXTENTS, from.capacity * 2));
    for (let i = 0; i < queue.#count; i++) {
      const slot = (queue.#head + i) & from.mask;
      ring.regions[i] = from.regions[slot]!;
      from.regions[slot] = null;
      for (let k = 0; k < NUMBERS; k++) ring.numbers[i * NUMBERS + k] = from.numbers[slot * NUMBERS + k]!;
    }
    queue.#ring = ring;
    queue.#head = 0;
    spares.keep(from);
  }
}
