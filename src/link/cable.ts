import { ERRNO } from '../core/errno.ts';
import { invalidArgument } from '../core/errors.ts';
import { NEVER } from '../core/clock.ts';
import { isPowerOfTwo } from '../core/units.ts';
import type { MemoryRegion } from '../memory/region.ts';
import { copyBytes } from './copy.ts';
import { MAX_FRAME_BYTES, MAX_FRAME_SEGMENTS, type FrameList, type Link, type LinkOffloads } from './link.ts';

const DEFAULT_MTU_BYTES = 1500;
const DEFAULT_RING_FRAMES = 1024;
const MAX_RING_FRAMES = 65_536;
/** RFC 791 §3.1: every link carries IP packets of 68 bytes. */
const MIN_MTU_BYTES = 68;
const MAX_MTU_BYTES = 65_535;
/** Ethernet and two VLAN tags around an IP packet. */
const MAX_LINK_HEADER_BYTES = 14 + 4 + 4;
const ETHERNET_HEADER_BYTES = 14;
/** A first segment up to this size is copied into memory that every slot has; a larger one into memory of its own. */
const HEADER_SLOT_BYTES = 512;
/** References kept a slot on average: a 64 KiB frame in 4 KiB pages has 17 segments. */
const SEGMENTS_PER_SLOT = 16;

/** Words a slot in `#fields`. */
const FIELD_COUNT = 8;
const FIRST_SEGMENT_BYTES = 0;
const SEGMENTS = 1;
const FLAGS = 2;
const GSO_TYPE = 3;
const GSO_HEADER_BYTES = 4;
const GSO_SIZE_BYTES = 5;
const CHECKSUM_START = 6;
const CHECKSUM_OFFSET = 7;

/**
 * One direction of a cable: a ring of frames whose headers were copied in and whose payload is still where the sender
 * has it. Reading makes the one copy, from the sender's memory to the receiver's: the DMA of this link.
 */
class CableRing {
  readonly capacity: number;
  written = 0;
  read = 0;
  /** Either end has closed. */
  closed = false;
  /** The writer was turned away and wants to know of the next free slot. */
  refused = false;
  /** Payload references were let go of: whoever lent them may be waiting for that. */
  released = false;

  readonly #headers: Uint8Array;
  readonly #largeHeaders: (Uint8Array | null)[];
  readonly #fields: Int32Array;
  readonly #regions: (MemoryRegion | null)[];
  readonly #offsets: Float64Array;
  readonly #lengths: Int32Array;
  #segmentHead = 0;
  #segmentCount = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#headers = new Uint8Array(capacity * HEADER_SLOT_BYTES);
    this.#largeHeaders = Array.from<Uint8Array | null>({ length: capacity }).fill(null);
    this.#fields = new Int32Array(capacity * FIELD_COUNT);
    const segments = Math.max(capacity, MAX_FRAME_SEGMENTS / SEGMENTS_PER_SLOT) * SEGMENTS_PER_SLOT;
    this.#regions = Array.from<MemoryRegion | null>({ length: segments }).fill(null);
    this.#offsets = new Float64Array(segments);
    this.#lengths = new Int32Array(segments);
  }

  get count(): number {
    return this.written - this.read;
  }

  /** False: the ring is full. */
  push(gather: FrameList): boolean {
    const references = gather.count - 1;
    if (this.written - this.read === this.capacity || this.#segmentCount + references > this.#regions.length) {
      this.refused = true;
      return false;
    }
    const slot = this.written & (this.capacity - 1);
    const firstBytes = gather.lengths[0]!;
    const first = gather.regions[0]!.mapping;
    if (firstBytes <= HEADER_SLOT_BYTES) {
      copyBytes(first, gather.offsets[0]!, this.#headers, slot * HEADER_SLOT_BYTES, firstBytes);
    } else {
      copyBytes(first, gather.offsets[0]!, this.#largeHeader(slot, firstBytes), 0, firstBytes);
    }
    const fields = this.#fields;
    const at = slot * FIELD_COUNT;
    fields[at + FIRST_SEGMENT_BYTES] = firstBytes;
    fields[at + SEGMENTS] = references;
    fields[at + FLAGS] = gather.flags;
    fields[at + GSO_TYPE] = gather.gsoType;
    fields[at + GSO_HEADER_BYTES] = gather.headerBytes;
    fields[at + GSO_SIZE_BYTES] = gather.gsoSizeBytes;
    fields[at + CHECKSUM_START] = gather.checksumStart;
    fields[at + CHECKSUM_OFFSET] = gather.checksumOffset;
    const mask = this.#regions.length - 1;
    let tail = this.#segmentHead + this.#segmentCount;
    for (let i = 1; i <= references; i++, tail++) {
      this.#regions[tail & mask] = gather.regions[i]!;
      this.#offsets[tail & mask] = gather.offsets[i]!;
      this.#lengths[tail & mask] = gather.lengths[i]!;
    }
    this.#segmentCount += references;
    this.written++;
    return true;
  }

  /** The bytes written into `landing`. Only called while `count` is positive. */
  shift(landing: FrameList): number {
    const slot = this.read & (this.capacity - 1);
    const fields = this.#fields;
    const at = slot * FIELD_COUNT;
    landing.flags = fields[at + FLAGS]!;
    landing.gsoType = fields[at + GSO_TYPE]!;
    landing.headerBytes = fields[at + GSO_HEADER_BYTES]!;
    landing.gsoSizeBytes = fields[at + GSO_SIZE_BYTES]!;
    landing.checksumStart = fields[at + CHECKSUM_START]!;
    landing.checksumOffset = fields[at + CHECKSUM_OFFSET]!;

    const firstBytes = fields[at + FIRST_SEGMENT_BYTES]!;
    const references = fields[at + SEGMENTS]!;
    const mask = this.#regions.length - 1;
    let source = this.#headers;
    let sourceOffset = slot * HEADER_SLOT_BYTES;
    if (firstBytes > HEADER_SLOT_BYTES) {
      source = this.#largeHeaders[slot]!;
      sourceOffset = 0;
    }
    let sourceLeft = firstBytes;
    let next = 0;
    let into = 0;
    let intoUsed = 0;
    let copied = 0;
    while (into < landing.count) {
      if (sourceLeft === 0) {
        if (next === references) break;
        const index = (this.#segmentHead + next++) & mask;
        source = this.#regions[index]!.mapping;
        sourceOffset = this.#offsets[index]!;
        sourceLeft = this.#lengths[index]!;
        continue;
      }
      const room = landing.lengths[into]! - intoUsed;
      const step = room < sourceLeft ? room : sourceLeft;
      copyBytes(source, sourceOffset, landing.regions[into]!.mapping, landing.offsets[into]! + intoUsed, step);
      copied += step;
      sourceOffset += step;
      sourceLeft -= step;
      intoUsed += step;
      if (step === room) {
        into++;
        intoUsed = 0;
      }
    }
    this.#drop(references);
    if (references > 0) this.released = true;
    this.read++;
    return copied;
  }

  /** Drops all frames and references. */
  close(): void {
    this.closed = true;
    while (this.count > 0) {
      this.#drop(this.#fields[(this.read & (this.capacity - 1)) * FIELD_COUNT + SEGMENTS]!);
      this.read++;
    }
    this.#largeHeaders.fill(null);
  }

  /** Lets go of the oldest `count` references, so that the ring keeps nobody's memory alive. */
  #drop(count: number): void {
    const mask = this.#regions.length - 1;
    for (let i = 0; i < count; i++) this.#regions[(this.#segmentHead + i) & mask] = null;
    this.#segmentHead = (this.#segmentHead + count) & mask;
    this.#segmentCount -= count;
  }

  #largeHeader(slot: number, bytes: number): Uint8Array {
    let memory = this.#largeHeaders[slot]!;
    if (memory === null || memory.length < bytes) {
      memory = new Uint8Array(Math.min(2 ** Math.ceil(Math.log2(bytes)), MAX_FRAME_BYTES));
      this.#largeHeaders[slot] = memory;
    }
    return memory;
  }
}

/** One end of a cable between two NICs of this process. Make both with `cablePair()`. */
export class CableLink implements Link {
  readonly name: string;
  readonly mtuBytes: number;
  readonly offloads: LinkOffloads;

  readonly #incoming: CableRing;
  readonly #outgoing: CableRing;
  #isDown = false;
  #peer: CableLink | null = null;
  #onWake: (() => void) | null = null;

  constructor(name: string, mtuBytes: number, offloads: LinkOffloads, incoming: CableRing, outgoing: CableRing) {
    this.name = name;
    this.mtuBytes = mtuBytes;
    this.offloads = offloads;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
  }

  /** Tells two ends of each other. */
  static join(one: CableLink, other: CableLink): void {
    one.#peer = other;
    other.#peer = one;
  }

  get framesWritten(): number {
    return this.#outgoing.written;
  }

  get framesInFlight(): number {
    return this.#outgoing.count;
  }

  get isDown(): boolean {
    return this.#isDown;
  }

  readFrame(landing: FrameList): number {
    const incoming = this.#incoming;
    if (incoming.count === 0) return 0;
    const length = incoming.shift(landing);
    if (incoming.refused || incoming.released) {
      incoming.refused = false;
      incoming.released = false;
      this.#wakePeer();
    }
    return length;
  }

  writeFrame(gather: FrameList): number {
    if (this.#outgoing.closed) return -ERRNO.ENETDOWN;
    const length = gather.totalBytes;
    if (length < ETHERNET_HEADER_BYTES) return -ERRNO.EINVAL;
    if (length > (gather.gsoType === 0 ? this.mtuBytes + MAX_LINK_HEADER_BYTES : MAX_FRAME_BYTES))
      return -ERRNO.EMSGSIZE;
    if (!this.#outgoing.push(gather)) return 0;
    this.#wakePeer();
    return length;
  }

  /** A frame that can be read is due, however long ago it came. */
  pollAt(): number {
    return this.#incoming.count > 0 ? 0 : NEVER;
  }

  /**
   * `onWake` is called from within the peer's `writeFrame`, `readFrame` or `close` (or at once, if a frame is waiting):
   * it may schedule work and must not do any, or two engines of one process would run inside each other.
   */
  armWake(onWake: () => void): void {
    this.#onWake = onWake;
    if (this.#incoming.count > 0) this.#wake();
  }

  disarmWake(): void {
    this.#onWake = null;
  }

  close(): void {
    this.#isDown = true;
    this.disarmWake();
    if (this.#outgoing.closed) return;
    this.#incoming.close();
    this.#outgoing.close();
    this.#wakePeer();
  }

  #wakePeer(): void {
    const peer = this.#peer;
    if (peer !== null) peer.#wake();
  }

  #wake(): void {
    const onWake = this.#onWake;
    if (onWake === null) return;
    this.#onWake = null;
    onWake();
  }
}

export interface CableOptions {
  /** The largest IP packet, in bytes (default 1500). */
  mtuBytes?: number;
  /** Frames that each direction holds before `writeFrame` refuses (default 1024; a power of two). */
  frames?: number;
  /** Default: both on, so that TCP crosses in frames of up to 64 KiB. */
  offloads?: LinkOffloads;
  names?: readonly [string, string];
}

/**
 * Two ends of a cable in this process. What is written at one end is read at the other; payload (every segment of a
 * frame but the first) is copied once, from the sender's memory to the receiver's, when it is read.
 *
 * @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT for an MTU outside 68..65535 or a ring that is no power of two.
 */
export function cablePair(options: CableOptions = {}): [CableLink, CableLink] {
  const mtuBytes = options.mtuBytes ?? DEFAULT_MTU_BYTES;
  const frames = options.frames ?? DEFAULT_RING_FRAMES;
  const offloads = options.offloads ?? { checksum: true, tcpSegmentation: true };
  const names = options.names ?? ['cable:0', 'cable:1'];
  if (!Number.isInteger(mtuBytes) || mtuBytes < MIN_MTU_BYTES || mtuBytes > MAX_MTU_BYTES) {
    throw invalidArgument(`mtuBytes is ${mtuBytes}, which is not an integer from ${MIN_MTU_BYTES} to ${MAX_MTU_BYTES}`);
  }
  if (!isPowerOfTwo(frames) || frames > MAX_RING_FRAMES) {
    throw invalidArgument(`frames is ${frames}, which is not a power of two up to ${MAX_RING_FRAMES}`);
  }
  const forward = new CableRing(frames);
  const backward = new CableRing(frames);
  const one = new CableLink(names[0], mtuBytes, offloads, backward, forward);
  const other = new CableLink(names[1], mtuBytes, offloads, forward, backward);
  CableLink.join(one, other);
  return [one, other];
}
