/**
 * Ethernet II (IEEE 802.3, RFC 894 and RFC 2464 for IP over it). No preamble, no FCS: no link here carries them.
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------------------------------------------------------+
 *     |                      Destination address                      |
 *     +                               +-------------------------------+
 *     |                               |                               |
 *     +-------------------------------+         Source address        +
 *     |                                                               |
 *     +-------------------------------+-------------------------------+
 *     |           EtherType           |  payload ...
 *     +-------------------------------+
 */
import { copyMac, formatMac } from './mac.ts';
import { TRUNCATED } from './verdict.ts';

export const ETHERNET_HEADER_BYTES = 14;

export const ETHERNET_DESTINATION_OFFSET = 0;
export const ETHERNET_SOURCE_OFFSET = 6;
const TYPE = 12;

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_IPV6 = 0x86dd;
export const ETHERTYPE_QINQ = 0x88a8;

export function checkEthernet(_bytes: Uint8Array, offset: number, end: number): number {
  return end - offset < ETHERNET_HEADER_BYTES ? TRUNCATED : ETHERNET_HEADER_BYTES;
}

export function etherType(view: DataView, offset: number): number {
  return view.getUint16(offset + TYPE);
}

export function emitEthernet(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  destination: Uint8Array,
  source: Uint8Array,
  type: number,
): number {
  copyMac(bytes, offset + ETHERNET_DESTINATION_OFFSET, destination);
  copyMac(bytes, offset + ETHERNET_SOURCE_OFFSET, source);
  view.setUint16(offset + TYPE, type);
  return ETHERNET_HEADER_BYTES;
}

export function describeEthernet(bytes: Uint8Array, view: DataView, offset: number): string {
  const type = etherType(view, offset).toString(16).padStart(4, '0');
  return `${formatMac(bytes, offset + ETHERNET_SOURCE_OFFSET)} > ${formatMac(bytes, offset + ETHERNET_DESTINATION_OFFSET)} 0x${type}`;
}
