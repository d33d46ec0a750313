/**
 * pcapng (draft-ietf-opsawg-pcapng §3, §4), the writing half: section header, interface description, enhanced packet
 * and interface statistics blocks, little-endian. The blocks of a packet are written around its bytes, into a buffer of
 * the caller's; the two that begin a file are returned as bytes.
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------------------------------------------------------+
 *     |                          Block Type                           |
 *     +---------------------------------------------------------------+
 *     |                      Block Total Length                       |
 *     +---------------------------------------------------------------+
 *     |   Body, padded to 4 bytes: fixed fields, packet, options ...
 *     +-------------------------------+-------------------------------+
 *     |  option: Code                 |  Length (without padding)     |
 *     +-------------------------------+-------------------------------+
 *     |  value, padded to 4 bytes ...
 *     +---------------------------------------------------------------+
 *     |                   Block Total Length, again                   |
 *     +---------------------------------------------------------------+
 */

const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE = 1;
const INTERFACE_STATISTICS = 5;
const ENHANCED_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
export const LINKTYPE_ETHERNET = 1;

const OPTION_END = 0;
const OPTION_COMMENT = 1;
const OPTION_SHB_APPLICATION = 4;
const OPTION_IF_NAME = 2;
const OPTION_IF_TSRESOL = 9;
const OPTION_EPB_FLAGS = 2;
const OPTION_ISB_RECEIVED = 4;
const OPTION_ISB_DROPPED = 5;

/** Direction bits of `epb_flags` (draft §4.3.1). */
export const PCAPNG_INBOUND = 1;
export const PCAPNG_OUTBOUND = 2;

/** From the start of an enhanced packet block to the packet's bytes. */
export const PCAPNG_PACKET_HEAD_BYTES = 28;
/** The most that `emitPacketTail` writes besides the comment: padding, flags, comment's head and padding, end, length. */
export const PCAPNG_PACKET_TAIL_BYTES: number = 3 + 8 + 4 + 3 + 4 + 4;

const BLOCK_OVERHEAD_BYTES = 12;
const TEN_TO_THE_MINUS_6 = 6;
const TWO_TO_THE_32 = 0x1_0000_0000;

const encoder = new TextEncoder();

function padded(length: number): number {
  return (length + 3) & ~3;
}

/** The first block of a file. The length of the section is left open, so that packets can be appended. */
export function sectionHeaderBlock(application: string): Uint8Array {
  const text = encoder.encode(application);
  const block = new BlockWriter(SECTION_HEADER, 16 + 4 + padded(text.length) + 4);
  block.u32(BYTE_ORDER_MAGIC);
  block.u16(1);
  block.u16(0);
  block.u32(0xffff_ffff);
  block.u32(0xffff_ffff);
  block.option(OPTION_SHB_APPLICATION, text);
  return block.finish();
}

/** Interface number 0, 1, ... in the order written. Time stamps count microseconds. `snapLength` 0: no limit. */
export function interfaceBlock(name: string, snapLength = 0): Uint8Array {
  const text = encoder.encode(name);
  const block = new BlockWriter(INTERFACE, 8 + 4 + padded(text.length) + 4 + 4 + 4);
  block.u16(LINKTYPE_ETHERNET);
  block.u16(0);
  block.u32(snapLength);
  block.option(OPTION_IF_NAME, text);
  block.option(OPTION_IF_TSRESOL, Uint8Array.of(TEN_TO_THE_MINUS_6));
  return block.finish();
}

/** Packets seen and dropped on an interface, as a capture's last word. */
export function interfaceStatisticsBlock(
  interfaceId: number,
  micros: number,
  receivedPackets: number,
  droppedPackets: number,
): Uint8Array {
  const block = new BlockWriter(INTERFACE_STATISTICS, 12 + 12 + 12 + 4);
  block.u32(interfaceId);
  block.u32(Math.floor(micros / TWO_TO_THE_32));
  block.u32(micros % TWO_TO_THE_32);
  block.option(OPTION_ISB_RECEIVED, u64(receivedPackets));
  block.option(OPTION_ISB_DROPPED, u64(droppedPackets));
  return block.finish();
}

/** The whole length of the block that carries `capturedBytes` and a comment of `commentBytes` (0: none). */
export function packetBlockBytes(capturedBytes: number, commentBytes: number): number {
  const comment = commentBytes === 0 ? 0 : 4 + padded(commentBytes);
  return PCAPNG_PACKET_HEAD_BYTES + padded(capturedBytes) + 8 + comment + 4 + 4;
}

/**
 * What stands before the packet's bytes in an enhanced packet block. `micros` is the time stamp, `originalBytes` the
 * length on the wire, `commentBytes` that of the comment that `emitPacketTail` will write.
 */
export function emitPacketHead(
  view: DataView,
  offset: number,
  interfaceId: number,
  micros: number,
  capturedBytes: number,
  originalBytes: number,
  commentBytes: number,
): number {
  const whole = Math.floor(micros);
  view.setUint32(offset, ENHANCED_PACKET, true);
  view.setUint32(offset + 4, packetBlockBytes(capturedBytes, commentBytes), true);
  view.setUint32(offset + 8, interfaceId, true);
  view.setUint32(offset + 12, Math.floor(whole / TWO_TO_THE_32), true);
  view.setUint32(offset + 16, whole % TWO_TO_THE_32, true);
  view.setUint32(offset + 20, capturedBytes, true);
  view.setUint32(offset + 24, originalBytes, true);
  return PCAPNG_PACKET_HEAD_BYTES;
}

/**
 * What stands behind the packet's `capturedBytes`, which end at `offset`: padding, flags, the comment (UTF-8, null for
 * none) and the block's end. Returns the bytes written.
 */
export function emitPacketTail(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  capturedBytes: number,
  flags: number,
  comment: Uint8Array | null,
): number {
  let at = offset;
  for (let i = padded(capturedBytes) - capturedBytes; i > 0; i--) bytes[at++] = 0;
  view.setUint32(at, (4 << 16) | OPTION_EPB_FLAGS, true);
  view.setUint32(at + 4, flags, true);
  at += 8;
  if (comment !== null && comment.length > 0) {
    view.setUint16(at, OPTION_COMMENT, true);
    view.setUint16(at + 2, comment.length, true);
    bytes.set(comment, at + 4);
    bytes.fill(0, at + 4 + comment.length, at + 4 + padded(comment.length));
    at += 4 + padded(comment.length);
  }
  view.setUint32(at, OPTION_END, true);
  view.setUint32(at + 4, packetBlockBytes(capturedBytes, comment === null ? 0 : comment.length), true);
  return at + 8 - offset;
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, value % TWO_TO_THE_32, true);
  view.setUint32(4, Math.floor(value / TWO_TO_THE_32), true);
  return bytes;
}

/** Fills a block of known body length from front to back. */
class BlockWriter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 8;

  /** @param bodyBytes without type and lengths, the end of the options included. */
  constructor(type: number, bodyBytes: number) {
    this.#bytes = new Uint8Array(bodyBytes + BLOCK_OVERHEAD_BYTES);
    this.#view = new DataView(this.#bytes.buffer);
    this.#view.setUint32(0, type, true);
    this.#view.setUint32(4, this.#bytes.length, true);
  }

  u16(value: number): void {
    this.#view.setUint16(this.#at, value, true);
    this.#at += 2;
  }

  u32(value: number): void {
    this.#view.setUint32(this.#at, value, true);
    this.#at += 4;
  }

  option(code: number, value: Uint8Array): void {
    this.u16(code);
    this.u16(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += padded(value.length);
  }

  finish(): Uint8Array {
    this.u32(OPTION_END);
    this.u32(this.#bytes.length);
    return this.#bytes;
  }
}
