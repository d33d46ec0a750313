/**
 * The packet that an ICMP error quotes (RFC 792: the IP header and 8 bytes; RFC 4443 §2.4(c): as much as fits). It is
 * one that we sent, so "source" is us; it is also whatever the network made of it, so nothing in it is trusted before
 * it has matched a connection.
 */
import { checkIpv4, ipv4FragmentOffsetBytes, ipv4Protocol } from './ipv4.ts';
import { checkIpv6, IPV6_HEADER_BYTES, IPV6_NEXT_HEADER_OFFSET } from './ipv6.ts';
import { Ipv6Extensions, walkIpv6Extensions } from './ipv6-extension.ts';
import { MALFORMED, TRUNCATED } from './verdict.ts';

/** The least that is quoted of the transport header: both ports and, for TCP, the sequence number. */
export const QUOTED_L4_BYTES = 8;

/** Where the parts of a quoted packet lie. Read its ports with `tcpSourcePort(view, l4Offset)` and so on. */
export class QuotedPacket {
  family: 4 | 6 = 4;
  l3Offset = 0;
  l4Offset = 0;
  protocol = 0;
  /** A later fragment: no transport header at `l4Offset`. */
  isFragment = false;
  readonly extensions: Ipv6Extensions = new Ipv6Extensions();
}

/**
 * Finds the transport header of the packet quoted between `offset` and `end`. Returns the bytes before it, or a
 * negative verdict: TRUNCATED unless at least QUOTED_L4_BYTES of it are there.
 */
export function parseQuoted(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  end: number,
  family: 4 | 6,
  out: QuotedPacket,
): number {
  out.family = family;
  out.l3Offset = offset;
  const verdict =
    family === 4 ? parseQuoted4(bytes, view, offset, end, out) : parseQuoted6(bytes, view, offset, end, out);
  if (verdict < 0) return verdict;
  if (out.isFragment) return MALFORMED;
  return end - out.l4Offset < QUOTED_L4_BYTES ? TRUNCATED : out.l4Offset - offset;
}

function parseQuoted4(bytes: Uint8Array, view: DataView, offset: number, end: number, out: QuotedPacket): number {
  const headerBytes = checkIpv4(bytes, offset, end);
  if (headerBytes < 0) return headerBytes;
  out.l4Offset = offset + headerBytes;
  out.protocol = ipv4Protocol(view, offset);
  // We send no fragments, but a quoted first fragment may have been made on the way: it has its transport header.
  out.isFragment = ipv4FragmentOffsetBytes(view, offset) > 0;
  return headerBytes;
}

function parseQuoted6(bytes: Uint8Array, view: DataView, offset: number, end: number, out: QuotedPacket): number {
  const headerBytes = checkIpv6(bytes, offset, end);
  if (headerBytes < 0) return headerBytes;
  const nextHeaderOffset = offset + IPV6_NEXT_HEADER_OFFSET;
  const walked = walkIpv6Extensions(bytes, view, nextHeaderOffset, offset + IPV6_HEADER_BYTES, end, out.extensions);
  if (walked < 0) return walked;
  out.l4Offset = out.extensions.upperOffset;
  out.protocol = out.extensions.protocol;
  out.isFragment = out.extensions.isFragment && out.extensions.fragmentOffsetBytes > 0;
  return headerBytes + walked;
}
