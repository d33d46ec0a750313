import { flattenFrame, scatterFrame } from '../../src/link/copy.ts';
import { FRAME_CHECKSUM_VALID, FRAME_NEEDS_CHECKSUM, type FrameList } from '../../src/link/link.ts';
import { completeChecksum } from '../../src/link/partial-checksum.ts';
import {
  ETHERNET_HEADER_BYTES,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  etherType,
} from '../../src/wire/ethernet.ts';
import type { SimEvent } from './events.ts';

const SMALL_BYTES = 2048;
/** RFC 3168 §5: the two low bits of the traffic class. */
const ECN_MASK = 3;
const ECN_CE = 3;

/** Who takes a frame when its time has come. */
export interface FrameSink {
  receive(frame: SimFrame, nowMicros: number): void;
}

/** One frame under way: a copy of its own, and the event of its arrival. */
export class SimFrame implements SimEvent {
  atMicros = 0;
  order = 0;
  length = 0;
  sink: FrameSink | null = null;
  bytes: Uint8Array = new Uint8Array(SMALL_BYTES);
  view: DataView = new DataView(this.bytes.buffer);
  #flags = 0;
  #checksumStart = 0;
  #checksumOffset = 0;

  fire(nowMicros: number): void {
    this.sink!.receive(this, nowMicros);
  }

  /** Copies a frame that a NIC sends. */
  fill(gather: FrameList): void {
    this.#reserve(gather.totalBytes);
    this.length = flattenFrame(gather, this.bytes, 0, gather.totalBytes);
    this.#flags = gather.flags;
    this.#checksumStart = gather.checksumStart;
    this.#checksumOffset = gather.checksumOffset;
  }

  /** Takes over finished bytes, which a NIC will verify. */
  fillWith(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.bytes.set(bytes);
    this.length = bytes.length;
    this.#flags = 0;
  }

  copyFrom(other: SimFrame): void {
    this.#reserve(other.length);
    this.bytes.set(other.bytes.subarray(0, other.length));
    this.length = other.length;
    this.#flags = other.#flags;
    this.#checksumStart = other.#checksumStart;
    this.#checksumOffset = other.#checksumOffset;
  }

  /** Lays the frame down where a NIC wants it. */
  land(landing: FrameList): number {
    landing.flags = this.#flags;
    landing.gsoType = 0;
    landing.checksumStart = this.#checksumStart;
    landing.checksumOffset = this.#checksumOffset;
    return scatterFrame(this.bytes, 0, this.length, landing);
  }

  /** A copy of its bytes, with the checksum that hardware would fill in. */
  finished(): Uint8Array {
    const copy = this.bytes.slice(0, this.length);
    if ((this.#flags & FRAME_NEEDS_CHECKSUM) === 0) return copy;
    completeChecksum(copy, new DataView(copy.buffer), 0, copy.length, this.#checksumStart, this.#checksumOffset);
    return copy;
  }

  /** Flips a bit behind the Ethernet header, so that the receiver's checksum tells. ARP has none: false. */
  corrupt(bit: number): boolean {
    if (this.length <= ETHERNET_HEADER_BYTES || etherType(this.view, 0) === ETHERTYPE_ARP) return false;
    if ((this.#flags & FRAME_NEEDS_CHECKSUM) !== 0) {
      completeChecksum(this.bytes, this.view, 0, this.length, this.#checksumStart, this.#checksumOffset);
    }
    this.#flags &= ~(FRAME_NEEDS_CHECKSUM | FRAME_CHECKSUM_VALID);
    this.bytes[ETHERNET_HEADER_BYTES + (bit >>> 3)]! ^= 1 << (bit & 7);
    return true;
  }

  /** Bits that `corrupt` chooses from. */
  get corruptibleBits(): number {
    return Math.max(1, (this.length - ETHERNET_HEADER_BYTES) * 8);
  }

  /** RFC 3168 §5: marks a packet of an ECN-capable transport. False: it is none. */
  markCongestion(): boolean {
    const { view } = this;
    const type = etherType(view, 0);
    const l3 = ETHERNET_HEADER_BYTES;
    if (type === ETHERTYPE_IPV4) {
      const before = view.getUint16(l3);
      if ((before & ECN_MASK) === 0) return false;
      view.setUint16(l3, before | ECN_CE);
      // RFC 1624 §3, eqn. 3.
      const sum = (~view.getUint16(l3 + 10) & 0xffff) + (~before & 0xffff) + (before | ECN_CE);
      const folded = (sum & 0xffff) + (sum >>> 16);
      view.setUint16(l3 + 10, ~((folded & 0xffff) + (folded >>> 16)) & 0xffff);
      return true;
    }
    if (type !== ETHERTYPE_IPV6) return false;
    const before = view.getUint16(l3);
    if ((before & (ECN_MASK << 4)) === 0) return false;
    view.setUint16(l3, before | (ECN_CE << 4));
    return true;
  }

  #reserve(length: number): void {
    if (this.bytes.length >= length) return;
    this.bytes = new Uint8Array(2 ** Math.ceil(Math.log2(length)));
    this.view = new DataView(this.bytes.buffer);
  }
}

/** Frames that are not under way, to be used again. */
export class FramePool {
  readonly #free: SimFrame[] = [];
  /** Frames taken and not given back. */
  inUse = 0;

  take(): SimFrame {
    this.inUse++;
    return this.#free.pop() ?? new SimFrame();
  }

  give(frame: SimFrame): void {
    this.inUse--;
    frame.sink = null;
    this.#free.push(frame);
  }
}
