import { readU16 } from '../core/bytes.ts';
import { ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.ts';
import {
  PROTOCOL_AH,
  PROTOCOL_DESTINATION_OPTIONS,
  PROTOCOL_FRAGMENT,
  PROTOCOL_HOP_BY_HOP,
  PROTOCOL_ROUTING,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
} from '../wire/protocols.ts';
import { isVlanType, MAX_VLAN_TAGS } from '../wire/vlan.ts';
import { PROTOCOL_UNKNOWN, type Packet } from './packet.ts';

/**
 * The NIC's parser: Ethernet, VLAN tags, IPv4 with options, IPv6 with extension headers, TCP and UDP headers. It finds
 * where things begin and checks every length once, so that whoever comes later may read unguarded.
 */

/** Verdicts of `parseFrame`. */
export const PARSED = 1;
/** The header goes on beyond the bytes at hand; call again with more. */
export const NEEDS_MORE = 0;
export const BAD_FRAME = -1;
/** A VLAN that this NIC is no member of. */
export const FOREIGN_VLAN = -2;

/** Extension headers of one packet (RFC 8504 §5.3 lets a node set such a limit). */
const MAX_EXTENSION_HEADERS = 8;

/**
 * Parses a frame into `packet`, whose slot holds its first `validBytes` bytes.
 *
 * On success `packet.headerBytes` is the length of all headers when the packet is TCP, and the frame's length without
 * padding otherwise; `packet.payloadBytes` is the TCP payload's length, by the IP header.
 *
 * @param packet its slot begins at `slotOffset`; all other fields are overwritten.
 * @param validBytes bytes present in the slot.
 * @param frameBytes bytes of the whole frame, from the link.
 */
export function parseFrame(packet: Packet, validBytes: number, frameBytes: number): number {
  const { bytes, slotOffset } = packet;
  const validEnd = slotOffset + validBytes;
  const frameEnd = slotOffset + frameBytes;
  packet.protocol = PROTOCOL_UNKNOWN;
  packet.isFragment = false;
  packet.payloadBytes = 0;
  packet.l4Bytes = 0;
  if (frameBytes < ETHERNET_HEADER_BYTES) return BAD_FRAME;
  if (validBytes < ETHERNET_HEADER_BYTES) return NEEDS_MORE;
  packet.isLinkMulticast = (bytes[slotOffset]! & 1) !== 0;

  let offset = slotOffset + ETHERNET_HEADER_BYTES;
  let type = readU16(bytes, offset - 2);
  for (let tags = 0; isVlanType(type); tags++) {
    if (tags === MAX_VLAN_TAGS || offset + 4 > frameEnd) return BAD_FRAME;
    if (offset + 4 > validEnd) return NEEDS_MORE;
    // 802.1Q: VLAN identifier 0 is a priority tag, the frame belongs to no VLAN.
    if ((readU16(bytes, offset) & 0x0fff) !== 0) return FOREIGN_VLAN;
    type = readU16(bytes, offset + 2);
    offset += 4;
  }
  packet.etherType = type;
  packet.l3Offset = offset;
  packet.l4Offset = offset;
  if (type === ETHERTYPE_IPV4) return parseIpv4(packet, offset, validEnd, frameEnd);
  if (type === ETHERTYPE_IPV6) return parseIpv6(packet, offset, validEnd, frameEnd);
  packet.headerBytes = frameBytes;
  return PARSED;
}

function parseIpv4(packet: Packet, offset: number, validEnd: number, frameEnd: number): number {
  const { bytes } = packet;
  if (offset + 20 > frameEnd) return BAD_FRAME;
  if (offset + 20 > validEnd) return NEEDS_MORE;
  const headerBytes = (bytes[offset]! & 0x0f) * 4;
  const totalBytes = readU16(bytes, offset + 2);
  if (bytes[offset]! >> 4 !== 4 || headerBytes < 20 || totalBytes < headerBytes) return BAD_FRAME;
  if (offset + totalBytes > frameEnd) return BAD_FRAME;
  if (offset + headerBytes > validEnd) return NEEDS_MORE;
  if (!ipv4HeaderIsSound(bytes, offset, headerBytes)) return BAD_FRAME;
  packet.l4Offset = offset + headerBytes;
  packet.l4Bytes = totalBytes - headerBytes;
  // More-fragments flag or a fragment offset: the transport header may be missing or partial.
  packet.isFragment = (readU16(bytes, offset + 6) & 0x3fff) !== 0;
  return finish(packet, packet.isFragment ? PROTOCOL_UNKNOWN : bytes[offset + 9]!, validEnd);
}

function ipv4HeaderIsSound(bytes: Uint8Array, offset: number, headerBytes: number): boolean {
  let sum = 0;
  for (let i = 0; i < headerBytes; i += 2) sum += readU16(bytes, offset + i);
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum & 0xffff) + (sum >>> 16) === 0xffff;
}

function parseIpv6(packet: Packet, offset: number, validEnd: number, frameEnd: number): number {
  const { bytes } = packet;
  if (offset + 40 > frameEnd) return BAD_FRAME;
  if (offset + 40 > validEnd) return NEEDS_MORE;
  if (bytes[offset]! >> 4 !== 6) return BAD_FRAME;
  const end = offset + 40 + readU16(bytes, offset + 4);
  if (end > frameEnd) return BAD_FRAME;
  let next = bytes[offset + 6]!;
  let at = offset + 40;
  for (let headers = 0; isExtensionHeader(next); headers++) {
    // What lies behind too many headers is not TCP to this NIC; the stack judges the packet.
    if (headers === MAX_EXTENSION_HEADERS) {
      next = PROTOCOL_UNKNOWN;
      break;
    }
    if (at + 8 > end) return BAD_FRAME;
    if (at + 8 > validEnd) return NEEDS_MORE;
    const length = extensionBytes(bytes, at, next);
    if (at + length > end) return BAD_FRAME;
    if (next === PROTOCOL_FRAGMENT && (readU16(bytes, at + 2) & 0xfff9) !== 0) packet.isFragment = true;
    next = bytes[at]!;
    at += length;
    if (packet.isFragment) {
      next = PROTOCOL_UNKNOWN;
      break;
    }
  }
  packet.l4Offset = at;
  packet.l4Bytes = end - at;
  return finish(packet, next, validEnd);
}

function isExtensionHeader(next: number): boolean {
  return (
    next === PROTOCOL_HOP_BY_HOP ||
    next === PROTOCOL_ROUTING ||
    next === PROTOCOL_FRAGMENT ||
    next === PROTOCOL_DESTINATION_OPTIONS ||
    next === PROTOCOL_AH
  );
}

/** RFC 8200 §4: units of 8 bytes, the first not counted; RFC 4302 §2.2: AH counts 4 bytes, less 2. */
function extensionBytes(bytes: Uint8Array, offset: number, type: number): number {
  if (type === PROTOCOL_FRAGMENT) return 8;
  if (type === PROTOCOL_AH) return (bytes[offset + 1]! + 2) * 4;
  return (bytes[offset + 1]! + 1) * 8;
}

function finish(packet: Packet, protocol: number, validEnd: number): number {
  const { bytes, slotOffset, l4Offset, l4Bytes } = packet;
  packet.headerBytes = l4Offset + l4Bytes - slotOffset;
  if (protocol === PROTOCOL_TCP) {
    if (l4Bytes < 20) return BAD_FRAME;
    if (l4Offset + 20 > validEnd) return NEEDS_MORE;
    const tcpHeaderBytes = (bytes[l4Offset + 12]! >> 4) * 4;
    if (tcpHeaderBytes < 20 || tcpHeaderBytes > l4Bytes) return BAD_FRAME;
    if (l4Offset + tcpHeaderBytes > validEnd) return NEEDS_MORE;
    packet.headerBytes = l4Offset + tcpHeaderBytes - slotOffset;
    packet.payloadBytes = l4Bytes - tcpHeaderBytes;
  } else if (protocol === PROTOCOL_UDP) {
    if (l4Bytes < 8) return BAD_FRAME;
    if (l4Offset + 8 > validEnd) return NEEDS_MORE;
    const udpBytes = readU16(bytes, l4Offset + 4);
    if (udpBytes < 8 || udpBytes > l4Bytes) return BAD_FRAME;
  }
  packet.protocol = protocol;
  return PARSED;
}
