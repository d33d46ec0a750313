/**
 * Netlink's framing (include/uapi/linux/netlink.h): messages, attributes, acknowledgements. Building for requests, and
 * parsing that believes no length it is told.
 *
 *     nlmsghdr   0 length u32 | 4 type u16 | 6 flags u16 | 8 sequence u32 | 12 port u32
 *     nlattr     0 length u16 (header and payload, unpadded) | 2 type u16; padded to 4
 *     nlmsgerr   0 errno s32 (negative; 0 acknowledges) | 4 nlmsghdr of the request | 20 attributes
 */
export const NLMSG_HEADER_BYTES = 16;
export const NLA_HEADER_BYTES = 4;
const NLMSGERR_BYTES = 20;

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

export const NLM_F_REQUEST = 1;
export const NLM_F_ACK = 4;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
/** On an acknowledgement: the request is not echoed; attributes follow. */
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;

const NLA_TYPE_MASK = 0x3fff;
const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_OFFS = 2;

/** A message within a received buffer. */
export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly payloadOffset: number;
  readonly payloadBytes: number;
}

/** Where an attribute's payload lies. */
export interface AttributeSpan {
  readonly offset: number;
  readonly bytes: number;
}

/** What an acknowledgement says. */
export interface NetlinkVerdict {
  /** 0, or the errno (positive). */
  readonly errno: number;
  /** The kernel's own words (extended acknowledgement); '' where it gave none. */
  readonly text: string;
  /** Offset in the request of the attribute that it did not like; -1 where it did not say. */
  readonly attributeOffset: number;
}

const align4 = (length: number): number => (length + 3) & ~3;

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The messages in the first `length` bytes; null if any length does not fit into what is there. */
export function parseNetlinkMessages(bytes: Uint8Array, length: number): NetlinkMessage[] | null {
  const view = viewOf(bytes);
  const end = Math.min(length, bytes.length);
  const messages: NetlinkMessage[] = [];
  let offset = 0;
  while (offset < end) {
    if (end - offset < NLMSG_HEADER_BYTES) return null;
    const messageBytes = view.getUint32(offset, true);
    if (messageBytes < NLMSG_HEADER_BYTES || messageBytes > end - offset) return null;
    messages.push({
      type: view.getUint16(offset + 4, true),
      flags: view.getUint16(offset + 6, true),
      sequence: view.getUint32(offset + 8, true),
      payloadOffset: offset + NLMSG_HEADER_BYTES,
      payloadBytes: messageBytes - NLMSG_HEADER_BYTES,
    });
    // messageBytes is at most a buffer's length, so rounding it up does not overflow.
    offset += align4(messageBytes);
  }
  return messages;
}

/** Attributes by type from `offset` to `end` (the last of a kind wins); null if a length does not fit. */
export function parseAttributes(bytes: Uint8Array, offset: number, end: number): Map<number, AttributeSpan> | null {
  const view = viewOf(bytes);
  const attributes = new Map<number, AttributeSpan>();
  if (offset < 0 || end > bytes.length) return null;
  let at = offset;
  while (at < end) {
    if (end - at < NLA_HEADER_BYTES) return null;
    const attributeBytes = view.getUint16(at, true);
    if (attributeBytes < NLA_HEADER_BYTES || attributeBytes > end - at) return null;
    attributes.set(view.getUint16(at + 2, true) & NLA_TYPE_MASK, {
      offset: at + NLA_HEADER_BYTES,
      bytes: attributeBytes - NLA_HEADER_BYTES,
    });
    at += align4(attributeBytes);
  }
  return attributes;
}

/** An attribute of 32 bits, or `otherwise` where it is absent or of another size. */
export function attributeU32(
  bytes: Uint8Array,
  attributes: ReadonlyMap<number, AttributeSpan>,
  type: number,
  otherwise: number,
): number {
  const span = attributes.get(type);
  return span?.bytes === 4 ? viewOf(bytes).getUint32(span.offset, true) : otherwise;
}

/** A string attribute up to its NUL; '' where it is absent. */
export function attributeText(bytes: Uint8Array, attributes: ReadonlyMap<number, AttributeSpan>, type: number): string {
  const span = attributes.get(type);
  if (span === undefined) return '';
  const text = bytes.subarray(span.offset, span.offset + span.bytes);
  const nul = text.indexOf(0);
  return new TextDecoder().decode(nul < 0 ? text : text.subarray(0, nul));
}

/** The verdict in an NLMSG_ERROR or NLMSG_DONE message; null if it is too short to hold one. */
export function parseVerdict(bytes: Uint8Array, message: NetlinkMessage): NetlinkVerdict | null {
  const { type, flags, payloadOffset, payloadBytes } = message;
  if (payloadBytes < 4 || payloadOffset + payloadBytes > bytes.length) return null;
  const view = viewOf(bytes);
  const errno = Math.abs(view.getInt32(payloadOffset, true));
  const plain: NetlinkVerdict = { errno, text: '', attributeOffset: -1 };
  if ((flags & NLM_F_ACK_TLVS) === 0) return plain;
  let skip = 4;
  if (type === NLMSG_ERROR) {
    if (payloadBytes < NLMSGERR_BYTES) return plain;
    skip = (flags & NLM_F_CAPPED) === 0 ? 4 + align4(view.getUint32(payloadOffset + 4, true)) : NLMSGERR_BYTES;
  }
  if (skip > payloadBytes) return plain;
  const attributes = parseAttributes(bytes, payloadOffset + skip, payloadOffset + payloadBytes);
  if (attributes === null) return plain;
  return {
    errno,
    text: attributeText(bytes, attributes, NLMSGERR_ATTR_MSG),
    attributeOffset: attributeU32(bytes, attributes, NLMSGERR_ATTR_OFFS, -1) | 0,
  };
}

const REQUEST_BYTES = 4096;

/** Builds one request: header, then a family's fixed part, then attributes. */
export class NetlinkRequest {
  readonly #bytes = new Uint8Array(REQUEST_BYTES);
  readonly #view: DataView = viewOf(this.#bytes);
  #length = NLMSG_HEADER_BYTES;

  constructor(type: number, flags: number) {
    this.#view.setUint16(4, type, true);
    this.#view.setUint16(6, flags | NLM_F_REQUEST, true);
  }

  get flags(): number {
    return this.#view.getUint16(6, true);
  }

  u8(value: number): this {
    this.#view.setUint8(this.#length, value);
    this.#length += 1;
    return this;
  }

  u16(value: number): this {
    this.#view.setUint16(this.#length, value, true);
    this.#length += 2;
    return this;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
    return this;
  }

  attribute(type: number, payload: Uint8Array): this {
    this.u16(NLA_HEADER_BYTES + payload.length).u16(type);
    this.#bytes.set(payload, this.#length);
    this.#length += align4(payload.length);
    return this;
  }

  attributeU32(type: number, value: number): this {
    return this.u16(NLA_HEADER_BYTES + 4)
      .u16(type)
      .u32(value);
  }

  /** With its terminating NUL. */
  attributeText(type: number, text: string): this {
    return this.attribute(type, new TextEncoder().encode(`${text}\0`));
  }

  /** The finished message. */
  finish(sequence: number): Uint8Array {
    this.#view.setUint32(0, this.#length, true);
    this.#view.setUint32(8, sequence, true);
    return this.#bytes.subarray(0, this.#length);
  }
}
