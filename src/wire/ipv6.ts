/**
 * IPv6, the fixed header (RFC 8200 §3).
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------+---------------+---------------------------------------+
 *     |Version| Traffic Class |              Flow Label               |
 *     +-------+---------------+-------+---------------+---------------+
 *     |        Payload Length         |  Next Header  |   Hop Limit   |
 *     +-------------------------------+---------------+---------------+
 *     |                                                               |
 *     +                    Source Address, 16 bytes                   +
 *     |                                                               |
 *     +---------------------------------------------------------------+
 *     |                                                               |
 *     +                 Destination Address, 16 bytes                 +
 *     |                                                               |
 *     +---------------------------------------------------------------+
 */
import { IpAddress } from './address.ts';
import { protocolName } from './protocols.ts';
import { MALFORMED, TRUNCATED } from './verdict.ts';

export const IPV6_HEADER_BYTES = 40;
/** RFC 8200 §5: every link carries this much. */
export const IPV6_MINIMUM_MTU_BYTES = 1280;

const VERSION_CLASS_FLOW = 0;
export const IPV6_PAYLOAD_LENGTH_OFFSET = 4;
export const IPV6_NEXT_HEADER_OFFSET = 6;
export const IPV6_HOP_LIMIT_OFFSET = 7;
export const IPV6_SOURCE_OFFSET = 8;
export const IPV6_DESTINATION_OFFSET = 24;

/** The header alone: whether `ipv6PayloadBytes` more are there is for the caller to compare (see `checkIpv4`). */
export function checkIpv6(bytes: Uint8Array, offset: number, end: number): number {
  if (end - offset < IPV6_HEADER_BYTES) return TRUNCATED;
  return bytes[offset]! >>> 4 === 6 ? IPV6_HEADER_BYTES : MALFORMED;
}

export function ipv6TrafficClass(view: DataView, offset: number): number {
  return (view.getUint16(offset + VERSION_CLASS_FLOW) >>> 4) & 0xff;
}

export function ipv6FlowLabel(view: DataView, offset: number): number {
  return view.getUint32(offset + VERSION_CLASS_FLOW) & 0xf_ffff;
}

/** Everything after the fixed header, extension headers included. 0 announces a jumbogram, which we do not speak. */
export function ipv6PayloadBytes(view: DataView, offset: number): number {
  return view.getUint16(offset + IPV6_PAYLOAD_LENGTH_OFFSET);
}

export function ipv6NextHeader(view: DataView, offset: number): number {
  return view.getUint8(offset + IPV6_NEXT_HEADER_OFFSET);
}

export function ipv6HopLimit(view: DataView, offset: number): number {
  return view.getUint8(offset + IPV6_HOP_LIMIT_OFFSET);
}

/** Allocates: for set-up paths. */
export function ipv6Source(view: DataView, offset: number): IpAddress {
  return IpAddress.read6(view, offset + IPV6_SOURCE_OFFSET);
}

/** Allocates: for set-up paths. */
export function ipv6Destination(view: DataView, offset: number): IpAddress {
  return IpAddress.read6(view, offset + IPV6_DESTINATION_OFFSET);
}

/** Whether the destination is in ff00::/8 (RFC 4291 §2.7). */
export function ipv6IsMulticast(view: DataView, offset: number): boolean {
  return view.getUint8(offset + IPV6_DESTINATION_OFFSET) === 0xff;
}

export function emitIpv6(
  view: DataView,
  offset: number,
  source: IpAddress,
  destination: IpAddress,
  nextHeader: number,
  payloadBytes: number,
  hopLimit: number,
  trafficClass: number,
  flowLabel: number,
): number {
  view.setInt32(offset + VERSION_CLASS_FLOW, (6 << 28) | ((trafficClass & 0xff) << 20) | (flowLabel & 0xf_ffff));
  view.setUint16(offset + IPV6_PAYLOAD_LENGTH_OFFSET, payloadBytes);
  view.setUint8(offset + IPV6_NEXT_HEADER_OFFSET, nextHeader);
  view.setUint8(offset + IPV6_HOP_LIMIT_OFFSET, hopLimit);
  source.write(view, offset + IPV6_SOURCE_OFFSET);
  destination.write(view, offset + IPV6_DESTINATION_OFFSET);
  return IPV6_HEADER_BYTES;
}

export function describeIpv6(view: DataView, offset: number): string {
  const addresses = `${ipv6Source(view, offset).toString()} > ${ipv6Destination(view, offset).toString()}`;
  const label = ipv6FlowLabel(view, offset);
  return (
    `ip6 ${addresses} ${protocolName(ipv6NextHeader(view, offset))} hlim ${ipv6HopLimit(view, offset)} ` +
    `len ${ipv6PayloadBytes(view, offset)}${label === 0 ? '' : ` flow 0x${label.toString(16)}`}`
  );
}
