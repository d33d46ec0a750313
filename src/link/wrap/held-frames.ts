import { HostRegion } from '../../memory/region.ts';
import { copyBytes, copyOffload } from '../copy.ts';
import { FrameList } from '../link.ts';

/** A copy of a frame that waits for its time. */
export class HeldFrame {
  /** One segment. */
  readonly frame: FrameList = new FrameList();
  memory: HostRegion = new HostRegion(2048);
  length = 0;
  /** It goes when the clock says so, or when so many frames have gone before it. */
  dueMicros = 0;
  overtakers = 0;
  used = false;
}

/** A few frames out of order. Slots are reused, and grow to the largest frame they have held. */
export class HeldFrames {
  readonly limit: number;
  count = 0;
  readonly #slots: HeldFrame[] = [];

  /** @param limit the most frames held; `hold` answers false at the limit. */
  constructor(limit: number) {
    this.limit = limit;
  }

  /** Copies a frame that lies in one piece. */
  hold(source: FrameList, bytes: Uint8Array, length: number, dueMicros: number, overtakers: number): boolean {
    if (this.count === this.limit) return false;
    const slot = this.#emptySlot();
    if (slot.memory.sizeBytes < length) slot.memory = new HostRegion(2 ** Math.ceil(Math.log2(length)));
    copyBytes(bytes, 0, slot.memory.mapping, 0, length);
    slot.frame.clear();
    slot.frame.push(slot.memory, 0, length);
    copyOffload(source, slot.frame);
    slot.length = length;
    slot.dueMicros = dueMicros;
    slot.overtakers = overtakers;
    slot.used = true;
    this.count++;
    return true;
  }

  /** The frame whose time came first, if any has come. */
  due(nowMicros: number): HeldFrame | null {
    if (this.count === 0) return null;
    const first = this.#first();
    return first !== null && first.dueMicros <= nowMicros ? first : null;
  }

  /** When the first is due; infinity if that takes another frame. */
  dueAt(): number {
    return this.count === 0 ? Number.POSITIVE_INFINITY : this.#first()!.dueMicros;
  }

  release(held: HeldFrame): void {
    held.used = false;
    this.count--;
  }

  /** A frame has gone past all of these. */
  overtake(nowMicros: number): void {
    if (this.count === 0) return;
    for (const slot of this.#slots) {
      if (slot.used && slot.overtakers > 0 && --slot.overtakers === 0) slot.dueMicros = nowMicros;
    }
  }

  /** Nothing else is coming: all are due. */
  expire(nowMicros: number): void {
    for (const slot of this.#slots) if (slot.used && slot.dueMicros > nowMicros) slot.dueMicros = nowMicros;
  }

  #first(): HeldFrame | null {
    let first: HeldFrame | null = null;
    for (const slot of this.#slots) {
      if (slot.used && (first === null || slot.dueMicros < first.dueMicros)) first = slot;
    }
    return first;
  }

  #emptySlot(): HeldFrame {
    for (const slot of this.#slots) if (!slot.used) return slot;
    const slot = new HeldFrame();
    this.#slots.push(slot);
    return slot;
  }
}
