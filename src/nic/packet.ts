import type { PagePool } from '../memory/page-pool.ts';
import { HostRegion } from '../memory/region.ts';
import { trafficClass } from '../wire/traffic-class.ts';

/** Bytes of one header slot. A frame without a TCP payload lies in its slot whole, if it fits. */
export const HEADER_SLOT_BYTES = 2048;
/** The most payload fragments of one packet: 64 KiB over 4 KiB chunks, begun within one, and a relocated head. */
export const MAX_PACKET_FRAGS = 24;

/** `Packet.protocol` when the network header's payload is not one that the parser knows (or is a later fragment). */
export const PROTOCOL_UNKNOWN = 255;

/**
 * A received frame above the header split: the header bytes, what the parser found in them, and references to where the
 * payload lies. There is no way to payload bytes from here; that is what header split means. Reused: valid until it is
 * recycled, right after the stack has seen it.
 */
export class Packet {
  /** The header ring's memory and this packet's slot in it. All offsets below count from the start of `bytes`. */
  readonly slots: HostRegion;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly slotOffset: number;

  /** Valid bytes from `slotOffset`: all headers of a split packet, the whole frame of another (see `fragCount`). */
  headerBytes = 0;
  etherType = 0;
  /** Where the network header begins (after Ethernet and VLAN tags). */
  l3Offset = 0;
  /** Where the transport header begins (after IPv4 options, IPv6 extension headers). */
  l4Offset = 0;
  /** IP protocol number of what begins at `l4Offset`, or PROTOCOL_UNKNOWN. */
  protocol: number = PROTOCOL_UNKNOWN;
  /** Bytes from `l4Offset` to the end of the IP packet, payload included. */
  l4Bytes = 0;
  /** An IP fragment (IPv4 MF or offset; IPv6 fragment header that is not atomic). */
  isFragment = false;
  /** Destination is broadcast or multicast on the link layer: RFC 1122 §3.2.2, no ICMP error is sent about it. */
  isLinkMulticast = false;

  /** Payload behind the headers, in `pool`'s chunks: one fragment never crosses a chunk. In stream order. */
  pool: PagePool | null = null;
  fragCount = 0;
  payloadBytes = 0;
  readonly fragIov: Int32Array = new Int32Array(MAX_PACKET_FRAGS);
  /** From the start of the chunk. */
  readonly fragOffset: Int32Array = new Int32Array(MAX_PACKET_FRAGS);
  readonly fragSize: Int32Array = new Int32Array(MAX_PACKET_FRAGS);

  /** The RX queue it arrived on and its Toeplitz hash. */
  queueId = 0;
  hash = 0;
  /** Bytes of its queue's landing that the payload occupies, once somebody takes it. Kept by the NIC. */
  landedBytes = 0;
  /** Set once the payload's references belong to somebody else: see `disownPayload`. */
  taken = false;
  /** Wire segments that this packet stands for: more than 1 after segmentation offload. */
  segments = 1;

  constructor(slots: HostRegion, slotOffset: number) {
    this.slots = slots;
    this.bytes = slots.mapping;
    this.view = new DataView(slots.mapping.buffer, slots.mapping.byteOffset, slots.mapping.byteLength);
    this.slotOffset = slotOffset;
  }

  /** DSCP and ECN of the network header (IPv4 type of service, IPv6 traffic class); only where there is one. */
  get trafficClass(): number {
    return trafficClass(this.bytes, this.l3Offset);
  }

  /**
   * Drops `count` bytes from the front of the payload (they were received before), with their references.
   * @returns the payload bytes that are left.
   */
  trimFront(count: number): number {
    const pool = this.pool!;
    let left = Math.min(count, this.payloadBytes);
    this.payloadBytes -= left;
    let first = 0;
    while (first < this.fragCount && left >= this.fragSize[first]!) {
      left -= this.fragSize[first]!;
      pool.release(this.fragIov[first]!);
      first++;
    }
    if (first > 0) {
      this.fragIov.copyWithin(0, first, this.fragCount);
      this.fragOffset.copyWithin(0, first, this.fragCount);
      this.fragSize.copyWithin(0, first, this.fragCount);
      this.fragCount -= first;
    }
    if (left > 0) {
      this.fragOffset[0]! += left;
      this.fragSize[0]! -= left;
    }
    return this.payloadBytes;
  }

  /** Keeps the first `count` bytes of the payload (the rest lies beyond the window), dropping the other references. */
  trimTo(count: number): number {
    const pool = this.pool!;
    let excess = this.payloadBytes - count;
    if (excess <= 0) return this.payloadBytes;
    this.payloadBytes = count;
    while (excess > 0) {
      const last = this.fragCount - 1;
      const size = this.fragSize[last]!;
      if (size > excess) {
        this.fragSize[last] = size - excess;
        break;
      }
      excess -= size;
      pool.release(this.fragIov[last]!);
      this.fragCount = last;
    }
    return count;
  }

  /** Whoever copied the fragment references into a queue of its own now owns them: the packet forgets its payload. */
  disownPayload(): void {
    this.fragCount = 0;
    this.payloadBytes = 0;
    this.taken = true;
  }
}
