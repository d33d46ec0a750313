import { foldUdpChecksum, sumBytes } from '../wire/checksum.ts';
import { FRAME_NEEDS_CHECKSUM, GSO_NONE, type FrameList } from './link.ts';

/**
 * Finishes a checksum that its field begins: the pseudo-header's sum is there, that of header and payload is added
 * (virtio 1.2 §5.1.6.2, NEEDS_CSUM). A sum of 0 is written as 0xffff, which every protocol accepts and UDP needs.
 *
 * @param start from `offset`, where the transport header begins; `field` from there, where its checksum lies.
 * @returns false if these do not lie in the frame: nothing was written.
 */
export function completeChecksum(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  length: number,
  start: number,
  field: number,
): boolean {
  if (start + field + 2 > length) return false;
  view.setUint16(offset + start + field, foldUdpChecksum(sumBytes(bytes, view, offset + start, length - start)));
  return true;
}

/** The same for a frame that lies in one piece, if it asks for it and is not going to be segmented. */
export function completeFrame(
  frame: FrameList,
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  length: number,
): void {
  if ((frame.flags & FRAME_NEEDS_CHECKSUM) === 0 || frame.gsoType !== GSO_NONE) return;
  completeChecksum(bytes, view, offset, length, frame.checksumStart, frame.checksumOffset);
  frame.flags &= ~FRAME_NEEDS_CHECKSUM;
}
