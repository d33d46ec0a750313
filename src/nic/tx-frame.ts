import { FrameList, MAX_FRAME_SEGMENTS } from '../link/link.ts';
import { HostRegion, type MemoryRegion } from '../memory/region.ts';

/** Bytes for all headers of an outgoing frame. */
export const TX_HEADER_BYTES = 2048;
/** Payload segments of one frame: what a frame list holds, less the headers and a spare for a software split. */
export const MAX_TX_SEGMENTS: number = MAX_FRAME_SEGMENTS - 4;

/**
 * The one frame a NIC is about to send. The stack writes headers at the start of `bytes` and adds references to the
 * payload; `Nic.transmit()` does the rest. There is one per NIC, for a frame is built and sent in one go.
 */
export class TxFrame {
  readonly header: HostRegion = new HostRegion(TX_HEADER_BYTES);
  readonly bytes: Uint8Array = this.header.mapping;
  readonly view: DataView = new DataView(this.bytes.buffer, this.bytes.byteOffset, TX_HEADER_BYTES);
  /** Segment 0 is for the headers, the payload follows. */
  readonly frame: FrameList = new FrameList();

  /** Bytes of all headers, from the start of `bytes`. */
  headerBytes = 0;
  l3Offset = 0;
  l4Offset = 0;
  /** IP protocol number of the transport header. */
  protocol = 0;
  /** Whether the NIC shall fill the transport checksum (TCP, UDP, ICMPv6). */
  needsChecksum = false;
  /** TTL or hop limit, if it is not the host's; 0: it is. */
  hopLimit = 0;
  /** Payload bytes of each wire segment; 0: send as one. */
  gsoSizeBytes = 0;
  /** CWR, if set, stands in every wire segment: it is part of a counter (RFC 9768 §3.2.2), not a signal of its own. */
  repeatsCwr = false;
  payloadBytes = 0;

  constructor() {
    this.clear();
  }

  clear(): void {
    this.frame.clear();
    this.frame.push(this.header, 0, 0);
    this.headerBytes = 0;
    this.l3Offset = 0;
    this.l4Offset = 0;
    this.protocol = 0;
    this.needsChecksum = false;
    this.hopLimit = 0;
    this.gsoSizeBytes = 0;
    this.repeatsCwr = false;
    this.payloadBytes = 0;
  }

  /** Adds a reference to payload. False: the frame has no segment left; send what it holds. */
  addPayload(region: MemoryRegion, offset: number, length: number): boolean {
    if (this.frame.count > MAX_TX_SEGMENTS) return false;
    this.frame.push(region, offset, length);
    this.payloadBytes += length;
    return true;
  }
}
