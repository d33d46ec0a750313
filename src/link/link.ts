import type { MemoryRegion } from '../memory/region.ts';

/** `FrameList.flags`: the transport checksum field holds the pseudo-header sum only (virtio 1.2 §5.1.6, NEEDS_CSUM). */
export const FRAME_NEEDS_CHECKSUM = 1;
/** `FrameList.flags`: whoever delivered the frame has verified its transport checksum (DATA_VALID). */
export const FRAME_CHECKSUM_VALID = 2;
/** `FrameList.gsoType` (virtio 1.2 §5.1.6: the values of the wire format). */
export const GSO_NONE = 0;
export const GSO_TCPV4 = 1;
export const GSO_TCPV6 = 4;
/** Beside one of them: the frame has CWR set, which only the first segment keeps (RFC 3168 §6.1.2). */
export const GSO_ECN = 0x80;

/** The most segments one frame is scattered over or gathered from. */
export const MAX_FRAME_SEGMENTS = 64;
/** The largest frame on any link: a 64 KiB IP packet (segmentation offload) under Ethernet and one VLAN tag. */
export const MAX_FRAME_BYTES: number = 65_535 + 14 + 4;

/**
 * One frame as a list of segments: where to put it (landing) or where to take it from (gather). Reused for every
 * frame; the offload fields are those of virtio_net_hdr, whichever way the frame goes.
 */
export class FrameList {
  count = 0;
  totalBytes = 0;
  readonly regions: (MemoryRegion | null)[] = Array.from<MemoryRegion | null>({ length: MAX_FRAME_SEGMENTS }).fill(
    null,
  );
  readonly offsets: Float64Array = new Float64Array(MAX_FRAME_SEGMENTS);
  readonly lengths: Int32Array = new Int32Array(MAX_FRAME_SEGMENTS);

  flags = 0;
  gsoType = 0;
  /** Bytes of all headers before the payload of a frame to be segmented. */
  headerBytes = 0;
  /** Payload bytes of each wire segment, where `gsoType` is not GSO_NONE. */
  gsoSizeBytes = 0;
  /** From the start of the frame, where the transport header begins. */
  checksumStart = 0;
  /** From `checksumStart`, where the checksum field lies. */
  checksumOffset = 0;

  /** Adds a segment; adjacent to the last one in the same region, it extends that one. False: the list is full. */
  push(region: MemoryRegion, offset: number, length: number): boolean {
    const last = this.count - 1;
    if (last >= 0 && this.regions[last] === region && this.offsets[last]! + this.lengths[last]! === offset) {
      this.lengths[last]! += length;
    } else {
      if (this.count === MAX_FRAME_SEGMENTS) return false;
      this.regions[this.count] = region;
      this.offsets[this.count] = offset;
      this.lengths[this.count] = length;
      this.count++;
    }
    this.totalBytes += length;
    return true;
  }

  /** Forgets the segments and the offload fields. */
  clear(): void {
    this.count = 0;
    this.totalBytes = 0;
    this.clearOffload();
  }

  clearOffload(): void {
    this.flags = 0;
    this.gsoType = 0;
    this.headerBytes = 0;
    this.gsoSizeBytes = 0;
    this.checksumStart = 0;
    this.checksumOffset = 0;
  }
}

/** What a link does for its NIC; what it does not, the NIC does itself before `writeFrame` and after `readFrame`. */
export interface LinkOffloads {
  /** Takes frames whose transport checksum is the pseudo-header sum, and may deliver such frames. */
  readonly checksum: boolean;
  /** Takes TCP frames of up to 64 KiB with a `gsoType`, and may deliver such frames. */
  readonly tcpSegmentation: boolean;
}

/**
 * Where frames come in and go out. Non-blocking; no promise, no timer of its own. A link carries Ethernet frames
 * without preamble and FCS.
 */
export interface Link {
  /** As the user named it: `tap:dm0`, `cable`. */
  readonly name: string;
  /** The largest IP packet on the wire, in bytes. */
  readonly mtuBytes: number;
  readonly offloads: LinkOffloads;
  /**
   * Frames written so far whose segments may still be read by the link (a cable copies when the peer reads). The
   * memory of the n-th frame written may change once `framesWritten - framesInFlight >= n`.
   */
  readonly framesWritten: number;
  readonly framesInFlight: number;
  /**
   * The link is gone for good: closed, or its interface was deleted by somebody else. Nothing arrives any more and
   * nothing is sent. Another end that has closed, or a carrier that is lost, may come back and does not count.
   */
  readonly isDown: boolean;

  /**
   * Scatters the next frame over `landing`'s segments, in order, and sets its offload fields. Returns the frame's
   * length in bytes, 0 if none is waiting, or a negative errno. A frame longer than the landing is cut: the full length
   * is not returned, so offer room for MAX_FRAME_BYTES.
   */
  readFrame(landing: FrameList): number;

  /** Sends one frame. Returns its length, 0 if the link is full (try again after `onWake`), or a negative errno. */
  writeFrame(gather: FrameList): number;

  /** When a frame that is under way becomes readable, in microseconds of the engine's clock; NEVER if none. */
  pollAt(): number;

  /**
   * Asks for one call of `onWake` as soon as a frame can be read, or written after a refusal, or memory that was in
   * flight has been let go of (its owner may have nothing else left to wait for). The call may come from inside the
   * peer's use of the link, or from `armWake` itself: it may schedule work, not do it. Only engines that sleep use it; a
   * simulation polls.
   */
  armWake(onWake: () => void): void;
  disarmWake(): void;

  /** Ends the link and undoes what opening it did. Idempotent. */
  close(): void;
}
