import type { MemoryRegion } from '../../memory/region.ts';
import type { TxFrame } from '../../nic/tx-frame.ts';

const INITIAL_EXTENTS = 8;
const NUMBERS = 3;
const OFFSET = 0;
const LENGTH = 1;
const START = 2;
/** Most connections have nothing to send: they hold no memory for it. */
const NO_REGIONS: (MemoryRegion | null)[] = [];
const NO_NUMBERS = new Float64Array(0);
/** Extents of one connection: at the limit `push` refuses until some are acknowledged. */
const MAX_EXTENTS = 65_536;

/**
 * What an application has given to send, as references: (region, offset, length), numbered by stream offset. The bytes
 * stay where they are and are read again for a retransmission. A power-of-two ring of parallel arrays.
 */
export class SendQueue {
  #regions: (MemoryRegion | null)[] = NO_REGIONS;
  /** Three numbers an extent: its offset in the region, its length, and the stream offset of its first byte. */
  #numbers: Float64Array = NO_NUMBERS;
  #mask = -1;
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
      const tail = (this.#head + this.#count - 1) & this.#mask;
      if (this.#regions[tail] === region && this.#numbers[tail * NUMBERS + OFFSET]! + this.#numbers[tail * NUMBERS + LENGTH]! === offset) {
        this.#numbers[tail * NUMBERS + LENGTH]! += length;
        this.#endOffset += length;
        return true;
      }
      if (this.#count === MAX_EXTENTS) return false;
    }
    if (this.#count > this.#mask) this.#grow();
    const slot = (this.#head + this.#count) & this.#mask;
    this.#regions[slot] = region;
    this.#numbers[slot * NUMBERS + OFFSET] = offset;
    this.#numbers[slot * NUMBERS + LENGTH] = length;
    this.#numbers[slot * NUMBERS + START] = this.#endOffset;
    this.#count++;
    this.#endOffset += length;
    return true;
  }

  /**
   * Adds the stream's bytes [offset, offset + length) to a frame.
   * @returns how many it took: fewer if the frame ran out of segments.
   */
  gather(tx: TxFrame, offset: number, length: number): number {
    let index = this.#find(offset);
    let at = offset;
    let left = length;
    while (left > 0 && index < this.#count) {
      const slot = (this.#head + index) & this.#mask;
      const within = at - this.#numbers[slot * NUMBERS + START]!;
      const size = Math.min(this.#numbers[slot * NUMBERS + LENGTH]! - within, left);
      if (!tx.addPayload(this.#regions[slot]!, this.#numbers[slot * NUMBERS + OFFSET]! + within, size)) break;
      at += size;
      left -= size;
      if (left > 0) index++;
    }
    this.#cursor = Math.min(index, this.#count - 1);
    return length - left;
  }

  /** Forgets what lies wholly before a stream offset. */
  release(offset: number): void {
    while (this.#count > 0) {
      const slot = this.#head;
      if (this.#numbers[slot * NUMBERS + START]! + this.#numbers[slot * NUMBERS + LENGTH]! > offset) return;
      this.#regions[slot] = null;
      this.#head = (slot + 1) & this.#mask;
      this.#count--;
      if (this.#cursor > 0) this.#cursor--;
    }
  }

  clear(): void {
    this.release(this.#endOffset);
  }

  /** Index from the front of the extent that holds a stream offset. */
  #find(offset: number): number {
    const near = this.#cursor;
    if (near < this.#count && this.#holds(near, offset)) return near;
    if (near + 1 < this.#count && this.#holds(near + 1, offset)) return near + 1;
    let low = 0;
    let high = this.#count - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#numbers[((this.#head + middle) & this.#mask) * NUMBERS + START]! <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #holds(index: number, offset: number): boolean {
    const slot = (this.#head + index) & this.#mask;
    const start = this.#numbers[slot * NUMBERS + START]!;
    return offset >= start && offset < start + this.#numbers[slot * NUMBERS + LENGTH]!;
  }

  #grow(): void {
    const capacity = Math.max(INITIAL_EXTENTS, (this.#mask + 1) * 2);
    const regions = Array.from<MemoryRegion | null>({ length: capacity }).fill(null);
    const numbers = new Float64Array(capacity * NUMBERS);
    for (let i = 0; i < this.#count; i++) {
      const from = (this.#head + i) & this.#mask;
      regions[i] = this.#regions[from]!;
      for (let k = 0; k < NUMBERS; k++) numbers[i * NUMBERS + k] = this.#numbers[from * NUMBERS + k]!;
    }
    this.#regions = regions;
    this.#numbers = numbers;
    this.#mask = capacity - 1;
    this.#head = 0;
  }
}
