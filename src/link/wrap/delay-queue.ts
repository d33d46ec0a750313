import { HostRegion } from '../../memory/region.ts';
import { flattenFrame, scatterFrame } from '../copy.ts';
import type { FrameList } from '../link.ts';

/** Frames in one queue, whatever their size. */
const MAX_QUEUED_FRAMES = 16_384;

/** Words a frame in `#fields`. */
const FIELD_COUNT = 8;
const OFFSET = 0;
const LENGTH = 1;
const FLAGS = 2;
const GSO_TYPE = 3;
const HEADER_BYTES = 4;
const GSO_SIZE_BYTES = 5;
const CHECKSUM_START = 6;
const CHECKSUM_OFFSET = 7;

/** Copies of frames in a ring of bytes, in order, each with the time at which it may go on. */
export class DelayQueue {
  readonly memory: HostRegion;
  count = 0;

  readonly #fields = new Int32Array(MAX_QUEUED_FRAMES * FIELD_COUNT);
  readonly #due = new Float64Array(MAX_QUEUED_FRAMES);
  #first = 0;
  /** Where the next frame goes. */
  #tail = 0;

  /** @param sizeBytes of all frames together. */
  constructor(sizeBytes: number) {
    this.memory = new HostRegion(sizeBytes);
  }

  /** Where `length` bytes can be put in one piece, or -1. */
  place(length: number): number {
    if (this.count === MAX_QUEUED_FRAMES) return -1;
    if (this.count === 0) this.#tail = 0;
    const head = this.count === 0 ? 0 : this.#fields[this.#slot(0) * FIELD_COUNT + OFFSET]!;
    if (this.count === 0 || this.#tail > head) {
      if (this.memory.sizeBytes - this.#tail >= length) return this.#tail;
      return head > length ? 0 : -1;
    }
    return head - this.#tail > length ? this.#tail : -1;
  }

  /** Takes in a frame that lies at `offset`, as `place` answered, with the offload fields of `frame`. */
  commit(offset: number, length: number, dueMicros: number, frame: FrameList): void {
    const slot = this.#slot(this.count);
    const fields = this.#fields;
    const at = slot * FIELD_COUNT;
    fields[at + OFFSET] = offset;
    fields[at + LENGTH] = length;
    fields[at + FLAGS] = frame.flags;
    fields[at + GSO_TYPE] = frame.gsoType;
    fields[at + HEADER_BYTES] = frame.headerBytes;
    fields[at + GSO_SIZE_BYTES] = frame.gsoSizeBytes;
    fields[at + CHECKSUM_START] = frame.checksumStart;
    fields[at + CHECKSUM_OFFSET] = frame.checksumOffset;
    this.#due[slot] = dueMicros;
    this.#tail = offset + length;
    this.count++;
  }

  /** Copies a frame in. False: no room. */
  push(frame: FrameList, dueMicros: number): boolean {
    const offset = this.place(frame.totalBytes);
    if (offset < 0) return false;
    flattenFrame(frame, this.memory.mapping, offset, frame.totalBytes);
    this.commit(offset, frame.totalBytes, dueMicros, frame);
    return true;
  }

  /** When the oldest frame is due; infinity if there is none. */
  dueAt(): number {
    return this.count === 0 ? Number.POSITIVE_INFINITY : this.#due[this.#slot(0)]!;
  }

  /** Copies the oldest frame out, and drops it. Returns the bytes copied. */
  shift(landing: FrameList): number {
    const at = this.#slot(0) * FIELD_COUNT;
    const copied = scatterFrame(this.memory.mapping, this.#fields[at + OFFSET]!, this.#fields[at + LENGTH]!, landing);
    this.#describe(at, landing);
    this.drop();
    return copied;
  }

  /** Makes `frame` the oldest one, where it lies. */
  peek(frame: FrameList): void {
    const at = this.#slot(0) * FIELD_COUNT;
    frame.clear();
    frame.push(this.memory, this.#fields[at + OFFSET]!, this.#fields[at + LENGTH]!);
    this.#describe(at, frame);
  }

  drop(): void {
    this.#first = (this.#first + 1) & (MAX_QUEUED_FRAMES - 1);
    this.count--;
  }

  #describe(at: number, frame: FrameList): void {
    const fields = this.#fields;
    frame.flags = fields[at + FLAGS]!;
    frame.gsoType = fields[at + GSO_TYPE]!;
    frame.headerBytes = fields[at + HEADER_BYTES]!;
    frame.gsoSizeBytes = fields[at + GSO_SIZE_BYTES]!;
    frame.checksumStart = fields[at + CHECKSUM_START]!;
    frame.checksumOffset = fields[at + CHECKSUM_OFFSET]!;
  }

  #slot(index: number): number {
    return (this.#first + index) & (MAX_QUEUED_FRAMES - 1);
  }
}
