import type { MemoryRegion } from '../../memory/region.ts';
import type { TxFrame } from '../../nic/tx-frame.ts';

const INITIAL_EXTENTS = 8;
/** Extents of one connection: at the limit `push` refuses until some are acknowledged. */
const MAX_EXTENTS = 65_536;

/**
 * What an application has given to send, as references: (region, offset, length), numbered by stream offset. The bytes
 * stay where they are and are read again for a retransmission. A power-of-two ring of parallel arrays.
 */
export class SendQueue {
  #regions: (MemoryRegion | null)[] = Array.from<MemoryRegion | null>({ length: INITIAL_EXTENTS }).fill(null);
  #offsets = new Float64Array(INITIAL_EXTENTS);
  #lengths = new Float64Array(INITIAL_EXTENTS);
  /** Stream offset of each extent's first byte. */
  #starts = new Float64Array(INITIAL_EXTENTS);
  #mask = INITIAL_EXTENTS - 1;
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
      if (this.#regions[tail] === region && this.#offsets[tail]! + this.#lengths[tail]! === offset) {
        this.#lengths[tail]! += length;
        this.#endOffset += length;
        return true;
      }
      if (this.#count === MAX_EXTENTS) return false;
      if (this.#count > this.#mask) this.#grow();
    }
    const slot = (this.#head + this.#count) & this.#mask;
    this.#regions[slot] = region;
    this.#offsets[slot] = offset;
    this.#lengths[slot] = length;
    this.#starts[slot] = this.#endOffset;
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
      const within = at - this.#starts[slot]!;
      const size = Math.min(this.#lengths[slot]! - within, left);
      if (!tx.addPayload(this.#regions[slot]!, this.#offsets[slot]! + within, size)) break;
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
      if (this.#starts[slot]! + this.#lengths[slot]! > offset) return;
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
      if (this.#starts[(this.#head + middle) & this.#mask]! <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #holds(index: number, offset: number): boolean {
    const slot = (this.#head + index) & this.#mask;
    const start = this.#starts[slot]!;
    return offset >= start && offset < start + this.#lengths[slot]!;
  }

  #grow(): void {
    const capacity = this.#starts.length * 2;
    const regions = Array.from<MemoryRegion | null>({ length: capacity }).fill(null);
    const offsets = new Float64Array(capacity);
    const lengths = new Float64Array(capacity);
    const starts = new Float64Array(capacity);
    for (let i = 0; i < this.#count; i++) {
      const from = (this.#head + i) & this.#mask;
      regions[i] = this.#regions[from]!;
      offsets[i] = this.#offsets[from]!;
      lengths[i] = this.#lengths[from]!;
      starts[i] = this.#starts[from]!;
    }
    this.#regions = regions;
    this.#offsets = offsets;
    this.#lengths = lengths;
    this.#starts = starts;
    this.#mask = capacity - 1;
    this.#head = 0;
  }
}
