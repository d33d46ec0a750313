/**
 * IPv6 extension headers (RFC 8200 §4, AH: RFC 4302): one bounded walk from a Next Header value to the upper layer.
 *
 *     hop-by-hop, destination options, routing          fragment
 *      0                   1                            0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5                  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+----            +---------------+---------------+-------------------------+---+-+
 *     |  Next Header  | 8-byte units  |  ...           |  Next Header  |       0       |     Fragment Offset     | 0 |M|
 *     |               |   beyond 8    |                +---------------+---------------+-------------------------+---+-+
 *     +---------------+---------------+----            |                        Identification                         |
 *                                                      +---------------------------------------------------------------+
 *     routing goes on with
 *     +---------------+---------------+----            AH counts its length in 4-byte units, less 2
 *     | Routing Type  | Segments Left |
 *     +---------------+---------------+----
 */
import {
  PROTOCOL_AH,
  PROTOCOL_DESTINATION_OPTIONS,
  PROTOCOL_FRAGMENT,
  PROTOCOL_HOP_BY_HOP,
  PROTOCOL_ROUTING,
} from './protocols.ts';
import { LIMIT_EXCEEDED, MALFORMED, TRUNCATED } from './verdict.ts';

/** Headers in one packet: RFC 8504 §5.3 lets a host set such a limit; each kind once and a spare destination options. */
export const MAX_EXTENSION_HEADERS = 8;
/** Options in one header, padding not counted (RFC 8504 §5.3 proposes 8; IOAM and router alert need few). */
export const MAX_EXTENSION_OPTIONS = 8;
/** Padding in a row that serves an alignment (RFC 8504 §5.3): more is a covert channel or an attack. */
const MAX_PADDING_BYTES = 7;

const NEXT_HEADER = 0;
const LENGTH = 1;
const ROUTING_TYPE = 2;
const SEGMENTS_LEFT = 3;
const FRAGMENT_OFFSET = 2;
const FRAGMENT_ID = 4;
const IPV6_FRAGMENT_HEADER_BYTES = 8;
/** Next Header and length of the headers that carry options; the options follow. */
const IPV6_OPTIONS_START = 2;
const FRAGMENT_OFFSET_MASK = 0xfff8;
const MORE_FRAGMENTS = 1;

const OPTION_PAD1 = 0;
const OPTION_PADN = 1;
const IPV6_OPTION_ROUTER_ALERT = 5;

/** The two highest bits of an option type that is not recognised (RFC 8200 §4.2). */
export const OPTION_ACTION_SKIP = 0;
export const OPTION_ACTION_DISCARD = 1;
export const OPTION_ACTION_DISCARD_REPORT = 2;

/** What a walk found. Offsets are of the buffer; -1 where there is no such thing. */
export class Ipv6Extensions {
  /** The protocol at `upperOffset`: the first Next Header value that is not an extension header. */
  protocol = 0;
  upperOffset = 0;
  /** Where that Next Header value stands: what an ICMPv6 Parameter Problem, code 1, points at. */
  nextHeaderOffset = 0;
  /** Headers walked over. */
  count = 0;

  hopByHopOffset = -1;
  /** The last destination options header: the one for the final destination. */
  destinationOptionsOffset = -1;
  routerAlert = false;

  routingOffset = -1;
  routingType = 0;
  segmentsLeft = 0;

  /** A fragment of several. One that is alone (RFC 6946, "atomic") is not: the walk goes on behind it. */
  isFragment = false;
  fragmentHeaderOffset = -1;
  fragmentOffsetBytes = 0;
  moreFragments = false;
  fragmentId = 0;

  /** The first unrecognised option that may not just be skipped, and what its type asks for. */
  unknownOptionOffset = -1;
  unknownOptionAction: number = OPTION_ACTION_SKIP;

  /** After MALFORMED: what a Parameter Problem, code 0, would point at. */
  problemOffset = -1;

  reset(): void {
    this.protocol = 0;
    this.upperOffset = 0;
    this.nextHeaderOffset = 0;
    this.count = 0;
    this.hopByHopOffset = -1;
    this.destinationOptionsOffset = -1;
    this.routerAlert = false;
    this.routingOffset = -1;
    this.routingType = 0;
    this.segmentsLeft = 0;
    this.isFragment = false;
    this.fragmentHeaderOffset = -1;
    this.fragmentOffsetBytes = 0;
    this.moreFragments = false;
    this.fragmentId = 0;
    this.unknownOptionOffset = -1;
    this.unknownOptionAction = OPTION_ACTION_SKIP;
    this.problemOffset = -1;
  }
}

/**
 * Whether a Next Header value is one that the walk steps over. Hop-by-hop is, at the front only: anywhere else the
 * walk ends on it, and it is then an unrecognised Next Header like any other (RFC 8200 §4).
 */
export function isIpv6Extension(nextHeader: number): boolean {
  return (
    nextHeader === PROTOCOL_HOP_BY_HOP ||
    nextHeader === PROTOCOL_ROUTING ||
    nextHeader === PROTOCOL_FRAGMENT ||
    nextHeader === PROTOCOL_DESTINATION_OPTIONS ||
    nextHeader === PROTOCOL_AH
  );
}

/**
 * Walks from the header at `offset`, whose protocol stands at `nextHeaderOffset`, to the upper layer or to the first
 * header of a fragment's unreadable rest. Returns the bytes of all extension headers (0: none) and fills `out`, or
 * TRUNCATED, MALFORMED or LIMIT_EXCEEDED. Unrecognised options and routing headers are reported, not judged.
 */
export function walkIpv6Extensions(
  bytes: Uint8Array,
  view: DataView,
  nextHeaderOffset: number,
  offset: number,
  end: number,
  out: Ipv6Extensions,
): number {
  out.reset();
  let at = offset;
  out.nextHeaderOffset = nextHeaderOffset;
  out.protocol = bytes[nextHeaderOffset]!;
  while (isIpv6Extension(out.protocol) && (out.protocol !== PROTOCOL_HOP_BY_HOP || at === offset)) {
    if (out.count === MAX_EXTENSION_HEADERS) return LIMIT_EXCEEDED;
    const headerBytes = checkExtension(bytes, at, end, out.protocol);
    if (headerBytes < 0) return headerBytes;
    const verdict = readExtension(bytes, view, at, headerBytes, end, out);
    if (verdict < 0) return verdict;
    out.count++;
    out.nextHeaderOffset = at + NEXT_HEADER;
    out.protocol = bytes[at + NEXT_HEADER]!;
    at += headerBytes;
    if (out.isFragment) break;
  }
  out.upperOffset = at;
  return at - offset;
}

/** The length of the extension header at `offset`, or TRUNCATED. */
function checkExtension(bytes: Uint8Array, offset: number, end: number, protocol: number): number {
  if (end - offset < 8) return TRUNCATED;
  const units = bytes[offset + LENGTH]!;
  let headerBytes = (units + 1) << 3;
  if (protocol === PROTOCOL_FRAGMENT) headerBytes = IPV6_FRAGMENT_HEADER_BYTES;
  else if (protocol === PROTOCOL_AH) headerBytes = (units + 2) << 2;
  return end - offset < headerBytes ? TRUNCATED : headerBytes;
}

function readExtension(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  headerBytes: number,
  end: number,
  out: Ipv6Extensions,
): number {
  switch (out.protocol) {
    case PROTOCOL_HOP_BY_HOP:
      out.hopByHopOffset = at;
      return readOptions(bytes, at + IPV6_OPTIONS_START, at + headerBytes, out);
    case PROTOCOL_DESTINATION_OPTIONS:
      out.destinationOptionsOffset = at;
      return readOptions(bytes, at + IPV6_OPTIONS_START, at + headerBytes, out);
    case PROTOCOL_ROUTING:
      out.routingOffset = at;
      out.routingType = bytes[at + ROUTING_TYPE]!;
      out.segmentsLeft = bytes[at + SEGMENTS_LEFT]!;
      return 0;
    case PROTOCOL_FRAGMENT:
      return readFragment(view, at, end, out);
    default:
      return 0;
  }
}

function readFragment(view: DataView, at: number, end: number, out: Ipv6Extensions): number {
  const field = view.getUint16(at + FRAGMENT_OFFSET);
  out.fragmentHeaderOffset = at;
  out.fragmentOffsetBytes = field & FRAGMENT_OFFSET_MASK;
  out.moreFragments = (field & MORE_FRAGMENTS) !== 0;
  out.fragmentId = view.getInt32(at + FRAGMENT_ID);
  out.isFragment = out.moreFragments || out.fragmentOffsetBytes > 0;
  // RFC 8200 §4.5: a fragment that reaches beyond the largest payload is a Parameter Problem at its offset field.
  if (out.fragmentOffsetBytes + (end - at - IPV6_FRAGMENT_HEADER_BYTES) > 65_535) {
    out.problemOffset = at + FRAGMENT_OFFSET;
    return MALFORMED;
  }
  return 0;
}

function readOptions(bytes: Uint8Array, start: number, end: number, out: Ipv6Extensions): number {
  let count = 0;
  let paddingBytes = 0;
  for (let at = start; at < end;) {
    const optionBytes = ipv6OptionBytes(bytes, at, end);
    if (optionBytes < 0) {
      out.problemOffset = at;
      return optionBytes;
    }
    const type = bytes[at]!;
    if (type === OPTION_PAD1 || type === OPTION_PADN) {
      paddingBytes += optionBytes;
      if (paddingBytes > MAX_PADDING_BYTES) return LIMIT_EXCEEDED;
    } else {
      paddingBytes = 0;
      if (++count > MAX_EXTENSION_OPTIONS) return LIMIT_EXCEEDED;
      if (type === IPV6_OPTION_ROUTER_ALERT) out.routerAlert = true;
      else noteUnknownOption(type, at, out);
    }
    at += optionBytes;
  }
  return 0;
}

function noteUnknownOption(type: number, at: number, out: Ipv6Extensions): void {
  const action = type >>> 6;
  if (action === OPTION_ACTION_SKIP || out.unknownOptionOffset >= 0) return;
  out.unknownOptionOffset = at;
  out.unknownOptionAction = action;
}

/** The whole length of the option at `offset` in a header that ends at `end` (RFC 8200 §4.2), or MALFORMED. */
function ipv6OptionBytes(bytes: Uint8Array, offset: number, end: number): number {
  if (bytes[offset] === OPTION_PAD1) return 1;
  if (end - offset < 2) return MALFORMED;
  const optionBytes = 2 + bytes[offset + 1]!;
  return end - offset < optionBytes ? MALFORMED : optionBytes;
}

/** Writes a fragment header (RFC 8200 §4.5); `offsetBytes` is a multiple of 8. */
export function emitIpv6Fragment(
  view: DataView,
  offset: number,
  nextHeader: number,
  offsetBytes: number,
  moreFragments: boolean,
  id: number,
): number {
  view.setUint16(offset + NEXT_HEADER, nextHeader << 8);
  view.setUint16(offset + FRAGMENT_OFFSET, (offsetBytes & FRAGMENT_OFFSET_MASK) | (moreFragments ? MORE_FRAGMENTS : 0));
  view.setInt32(offset + FRAGMENT_ID, id);
  return IPV6_FRAGMENT_HEADER_BYTES;
}

export function describeIpv6Extensions(extensions: Ipv6Extensions): string {
  const parts: string[] = [];
  if (extensions.hopByHopOffset >= 0) parts.push(extensions.routerAlert ? 'hbh(router-alert)' : 'hbh');
  if (extensions.routingOffset >= 0)
    parts.push(`routing type ${extensions.routingType} left ${extensions.segmentsLeft}`);
  if (extensions.fragmentHeaderOffset >= 0) {
    const more = extensions.moreFragments ? '+' : '';
    parts.push(`frag ${extensions.fragmentOffsetBytes}${more} id 0x${(extensions.fragmentId >>> 0).toString(16)}`);
  }
  if (extensions.destinationOptionsOffset >= 0) parts.push('dstopt');
  if (extensions.unknownOptionOffset >= 0) parts.push(`unknown-option action ${extensions.unknownOptionAction}`);
  return parts.join(' ');
}
