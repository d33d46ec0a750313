import { copyBytes } from '../link/copy.ts';
import { FrameList } from '../link/link.ts';
import type { MemoryRegion } from '../memory/region.ts';
import { swapSum } from '../wire/checksum.ts';
import type { RxQueue } from './rx-queue.ts';
import { sumRegion } from './segmentation.ts';

/**
 * Where the frame just read lies: header slot, pages of the predicted queue, overflow. Everything the NIC does to bytes
 * that are not where they belong goes through here, by offset in the frame.
 */
export class Landing {
  readonly frame: FrameList = new FrameList();
  /** Bytes of the frame that went to the header slot, if it was that long. */
  slotBytes = 0;
  /** Bytes behind them that went to pages of the predicted queue. */
  roomBytes = 0;

  #index = 0;
  #within = 0;
  #pieceRegion: MemoryRegion | null = null;
  #pieceOffset = 0;

  /** Copies `length` frame bytes from `frameOffset` to the header slot's memory. */
  copy(frameOffset: number, length: number, target: Uint8Array, targetOffset: number): void {
    this.#seek(frameOffset);
    for (let done = 0; done < length;) {
      const size = this.#next(length - done);
      if (size === 0) return;
      copyBytes(this.#pieceRegion!.mapping, this.#pieceOffset, target, targetOffset + done, size);
      done += size;
    }
  }

  /** Copies `length` frame bytes from `frameOffset` into `queue`'s ring, `to` bytes behind its cursor. */
  relocate(frameOffset: number, length: number, queue: RxQueue, to: number): void {
    this.#seek(frameOffset);
    for (let done = 0; done < length;) {
      const size = this.#next(length - done);
      if (size === 0) return;
      queue.write(to + done, this.#pieceRegion!.mapping, this.#pieceOffset, size);
      done += size;
    }
  }

  /** The checksum's sum of `length` frame bytes from `frameOffset`, which stand at `position` of the whole. */
  sum(frameOffset: number, length: number, position: number): number {
    this.#seek(frameOffset);
    let sum = 0;
    for (let done = 0; done < length;) {
      const size = this.#next(length - done);
      if (size === 0) break;
      const part = sumRegion(this.#pieceRegion!, this.#pieceOffset, size);
      sum += ((position + done) & 1) === 0 ? part : swapSum(part);
      done += size;
    }
    return sum;
  }

  #seek(frameOffset: number): void {
    const { lengths, count } = this.frame;
    let skip = frameOffset;
    let index = 0;
    while (index < count && skip >= lengths[index]!) skip -= lengths[index++]!;
    this.#index = index;
    this.#within = skip;
  }

  /** The next piece that is contiguous in memory, of at most `limit` bytes; its length, 0 at the end. */
  #next(limit: number): number {
    const { frame } = this;
    if (this.#index === frame.count) return 0;
    const available = frame.lengths[this.#index]! - this.#within;
    this.#pieceRegion = frame.regions[this.#index]!;
    this.#pieceOffset = frame.offsets[this.#index]! + this.#within;
    if (available > limit) {
      this.#within += limit;
      return limit;
    }
    this.#index++;
    this.#within = 0;
    return available;
  }
}
