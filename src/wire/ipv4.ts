/**
 * IPv4 (RFC 791 §3.1).
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------+-------+-----------+---+-------------------------------+
 *     |Version|  IHL  |   DSCP    |ECN|         Total Length          |
 *     +-------+-------+-----------+---+-----+-------------------------+
 *     |        Identification         |0|D|M|     Fragment Offset     |
 *     +---------------+---------------+-----+-------------------------+
 *     | Time to Live  |   Protocol    |        Header Checksum        |
 *     +---------------+---------------+-------------------------------+
 *     |                        Source Address                         |
 *     +---------------------------------------------------------------+
 *     |                      Destination Address                      |
 *     +---------------------------------------------------------------+
 *     |                   Options, padded to 4 bytes ...
 */
import { IpAddress } from './address.ts';
import { foldChecksum, foldSum, sumBytes } from './checksum.ts';
import { protocolName } from './protocols.ts';
import { MALFORMED, TRUNCATED } from './verdict.ts';

/** Without options. */
export const IPV4_HEADER_BYTES = 20;

const VERSION_IHL = 0;
const TOS = 1;
export const IPV4_TOTAL_LENGTH_OFFSET = 2;
const IPV4_ID_OFFSET = 4;
const FLAGS_OFFSET = 6;
export const IPV4_TTL_OFFSET = 8;
export const IPV4_PROTOCOL_OFFSET = 9;
export const IPV4_CHECKSUM_OFFSET = 10;
const IPV4_SOURCE_OFFSET = 12;
const IPV4_DESTINATION_OFFSET = 16;

/** Bits of `ipv4FlagsOffset`. */
export const IPV4_DONT_FRAGMENT = 0x4000;
export const IPV4_MORE_FRAGMENTS = 0x2000;
const IPV4_FRAGMENT_OFFSET_MASK = 0x1fff;

const OPTION_END = 0;
const OPTION_NOP = 1;
export const IPV4_OPTION_LOOSE_SOURCE_ROUTE = 131;
const IPV4_OPTION_STRICT_SOURCE_ROUTE = 137;

/**
 * The header's own lengths, with `end` as the end of the bytes at hand. Whether the packet that it announces
 * (`ipv4TotalBytes`) is all there is for the caller to compare: a quoted or scattered packet is not.
 */
export function checkIpv4(bytes: Uint8Array, offset: number, end: number): number {
  if (end - offset < IPV4_HEADER_BYTES) return TRUNCATED;
  const first = bytes[offset + VERSION_IHL]!;
  const headerBytes = (first & 0x0f) << 2;
  if (first >>> 4 !== 4 || headerBytes < IPV4_HEADER_BYTES) return MALFORMED;
  if (end - offset < headerBytes) return TRUNCATED;
  const totalBytes = (bytes[offset + IPV4_TOTAL_LENGTH_OFFSET]! << 8) | bytes[offset + IPV4_TOTAL_LENGTH_OFFSET + 1]!;
  return totalBytes < headerBytes ? MALFORMED : headerBytes;
}

/** Over the whole header, options included, which `checkIpv4` has found to be there. */
export function ipv4ChecksumValid(bytes: Uint8Array, view: DataView, offset: number): boolean {
  return foldSum(sumBytes(bytes, view, offset, ipv4HeaderBytes(view, offset))) === 0xffff;
}

export function ipVersion(view: DataView, offset: number): number {
  return view.getUint8(offset) >>> 4;
}

export function ipv4HeaderBytes(view: DataView, offset: number): number {
  return (view.getUint8(offset + VERSION_IHL) & 0x0f) << 2;
}

/** DSCP in the upper six bits, ECN in the lower two (RFC 2474, RFC 3168). */
export function ipv4TrafficClass(view: DataView, offset: number): number {
  return view.getUint8(offset + TOS);
}

export function ipv4TotalBytes(view: DataView, offset: number): number {
  return view.getUint16(offset + IPV4_TOTAL_LENGTH_OFFSET);
}

export function ipv4Id(view: DataView, offset: number): number {
  return view.getUint16(offset + IPV4_ID_OFFSET);
}

/** The flags and the fragment offset (in units of 8 bytes) as one 16-bit field. */
export function ipv4FlagsOffset(view: DataView, offset: number): number {
  return view.getUint16(offset + FLAGS_OFFSET);
}

export function ipv4IsFragment(view: DataView, offset: number): boolean {
  return (ipv4FlagsOffset(view, offset) & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET_MASK)) !== 0;
}

export function ipv4FragmentOffsetBytes(view: DataView, offset: number): number {
  return (ipv4FlagsOffset(view, offset) & IPV4_FRAGMENT_OFFSET_MASK) << 3;
}

export function ipv4Ttl(view: DataView, offset: number): number {
  return view.getUint8(offset + IPV4_TTL_OFFSET);
}

export function ipv4Protocol(view: DataView, offset: number): number {
  return view.getUint8(offset + IPV4_PROTOCOL_OFFSET);
}

export function ipv4Checksum(view: DataView, offset: number): number {
  return view.getUint16(offset + IPV4_CHECKSUM_OFFSET);
}

/** The 32 bits of the source address, as int32. */
export function ipv4SourceWord(view: DataView, offset: number): number {
  return view.getInt32(offset + IPV4_SOURCE_OFFSET);
}

export function ipv4DestinationWord(view: DataView, offset: number): number {
  return view.getInt32(offset + IPV4_DESTINATION_OFFSET);
}

/** Allocates: for set-up paths. */
export function ipv4Source(view: DataView, offset: number): IpAddress {
  return IpAddress.read4(view, offset + IPV4_SOURCE_OFFSET);
}

/** Allocates: for set-up paths. */
export function ipv4Destination(view: DataView, offset: number): IpAddress {
  return IpAddress.read4(view, offset + IPV4_DESTINATION_OFFSET);
}

/**
 * Walks the options between the fixed header and `headerBytes`. Returns 0, MALFORMED, or the number of a source route
 * option if there is one: hosts are asked to drop those (RFC 7126 §4.3, §4.4). Everything else is skipped.
 */
export function checkIpv4Options(bytes: Uint8Array, offset: number, headerBytes: number): number {
  const end = offset + headerBytes;
  let at = offset + IPV4_HEADER_BYTES;
  let sourceRoute = 0;
  while (at < end) {
    const kind = bytes[at]!;
    if (kind === OPTION_END) break;
    if (kind === OPTION_NOP) {
      at++;
      continue;
    }
    const length = at + 1 < end ? bytes[at + 1]! : 0;
    if (length < 2 || at + length > end) return MALFORMED;
    if (kind === IPV4_OPTION_LOOSE_SOURCE_ROUTE || kind === IPV4_OPTION_STRICT_SOURCE_ROUTE) sourceRoute = kind;
    at += length;
  }
  return sourceRoute;
}

/** Writes a header without options, its checksum included. `ecnDscp` is the whole former TOS byte. */
export function emitIpv4(
  view: DataView,
  offset: number,
  source: IpAddress,
  destination: IpAddress,
  protocol: number,
  totalBytes: number,
  ttl: number,
  id: number,
  dontFragment: boolean,
  ecnDscp: number,
): number {
  const head = (0x45 << 8) | (ecnDscp & 0xff);
  const flags = dontFragment ? IPV4_DONT_FRAGMENT : 0;
  const life = ((ttl & 0xff) << 8) | (protocol & 0xff);
  const from = source.w3;
  const to = destination.w3;
  const sum =
    head +
    (totalBytes & 0xffff) +
    (id & 0xffff) +
    flags +
    life +
    (from >>> 16) +
    (from & 0xffff) +
    (to >>> 16) +
    (to & 0xffff);
  view.setUint16(offset + VERSION_IHL, head);
  view.setUint16(offset + IPV4_TOTAL_LENGTH_OFFSET, totalBytes);
  view.setUint16(offset + IPV4_ID_OFFSET, id);
  view.setUint16(offset + FLAGS_OFFSET, flags);
  view.setUint16(offset + IPV4_TTL_OFFSET, life);
  view.setUint16(offset + IPV4_CHECKSUM_OFFSET, foldChecksum(sum));
  view.setInt32(offset + IPV4_SOURCE_OFFSET, from);
  view.setInt32(offset + IPV4_DESTINATION_OFFSET, to);
  return IPV4_HEADER_BYTES;
}

/** Recomputes the checksum after fields were changed (segmentation: length and id), options included. */
export function fillIpv4Checksum(bytes: Uint8Array, view: DataView, offset: number): void {
  view.setUint16(offset + IPV4_CHECKSUM_OFFSET, 0);
  view.setUint16(
    offset + IPV4_CHECKSUM_OFFSET,
    foldChecksum(sumBytes(bytes, view, offset, ipv4HeaderBytes(view, offset))),
  );
}

export function describeIpv4(view: DataView, offset: number): string {
  const flagsOffset = ipv4FlagsOffset(view, offset);
  const fragment = ipv4IsFragment(view, offset)
    ? ` frag ${ipv4FragmentOffsetBytes(view, offset)}${(flagsOffset & IPV4_MORE_FRAGMENTS) !== 0 ? '+' : ''}`
    : '';
  const addresses = `${ipv4Source(view, offset).toString()} > ${ipv4Destination(view, offset).toString()}`;
  const id = ipv4Id(view, offset);
  return (
    `ip ${addresses} ${protocolName(ipv4Protocol(view, offset))} ttl ${ipv4Ttl(view, offset)} ` +
    `id ${id} len ${ipv4TotalBytes(view, offset)}${(flagsOffset & IPV4_DONT_FRAGMENT) !== 0 ? ' DF' : ''}${fragment}`
  );
}
