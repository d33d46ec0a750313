/**
 * ARP (RFC 826) for IPv4 over Ethernet, the only kind met here.
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------------------------------+-------------------------------+
 *     |       Hardware type (1)       |    Protocol type (0x0800)     |
 *     +---------------+---------------+-------------------------------+
 *     |  HW len (6)   | Proto len (4) |           Operation           |
 *     +---------------+---------------+-------------------------------+
 *     |                    Sender hardware address                    |
 *     +                               +-------------------------------+
 *     |                               |   Sender protocol address     |
 *     +-------------------------------+-------------------------------+
 *     |    (sender protocol, cont.)   |                               |
 *     +-------------------------------+    Target hardware address    +
 *     |                                                               |
 *     +---------------------------------------------------------------+
 *     |                    Target protocol address                    |
 *     +---------------------------------------------------------------+
 */
import { IpAddress } from './address.ts';
import { ETHERTYPE_IPV4 } from './ethernet.ts';
import { copyMac, formatMac, isMulticastMac, MAC_BYTES } from './mac.ts';
import { MALFORMED, TRUNCATED, UNSUPPORTED } from './verdict.ts';

export const ARP_BYTES = 28;

const HARDWARE_TYPE = 0;
const PROTOCOL_TYPE = 2;
const HARDWARE_LENGTH = 4;
const PROTOCOL_LENGTH = 5;
const OPERATION = 6;
export const ARP_SENDER_MAC_OFFSET = 8;
export const ARP_SENDER_IP_OFFSET = 14;
export const ARP_TARGET_MAC_OFFSET = 18;
export const ARP_TARGET_IP_OFFSET = 24;

export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

const HARDWARE_ETHERNET = 1;
const IPV4_BYTES = 4;

/** A sender that claims a group address is lying: nobody could answer it (RFC 1812 §3.3.2 asks the same of routers). */
export function checkArp(bytes: Uint8Array, offset: number, end: number): number {
  if (end - offset < ARP_BYTES) return TRUNCATED;
  const hardware = (bytes[offset + HARDWARE_TYPE]! << 8) | bytes[offset + HARDWARE_TYPE + 1]!;
  const protocol = (bytes[offset + PROTOCOL_TYPE]! << 8) | bytes[offset + PROTOCOL_TYPE + 1]!;
  if (hardware !== HARDWARE_ETHERNET || protocol !== ETHERTYPE_IPV4) return UNSUPPORTED;
  if (bytes[offset + HARDWARE_LENGTH] !== MAC_BYTES || bytes[offset + PROTOCOL_LENGTH] !== IPV4_BYTES) return MALFORMED;
  const operation = (bytes[offset + OPERATION]! << 8) | bytes[offset + OPERATION + 1]!;
  if (operation !== ARP_REQUEST && operation !== ARP_REPLY) return UNSUPPORTED;
  return isMulticastMac(bytes, offset + ARP_SENDER_MAC_OFFSET) ? MALFORMED : ARP_BYTES;
}

export function arpOperation(view: DataView, offset: number): number {
  return view.getUint16(offset + OPERATION);
}

/** The 32 bits of the sender's IPv4 address, as int32. */
export function arpSenderWord(view: DataView, offset: number): number {
  return view.getInt32(offset + ARP_SENDER_IP_OFFSET);
}

export function arpTargetWord(view: DataView, offset: number): number {
  return view.getInt32(offset + ARP_TARGET_IP_OFFSET);
}

export function emitArp(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  operation: number,
  senderMac: Uint8Array,
  senderIp: IpAddress,
  targetMac: Uint8Array,
  targetIp: IpAddress,
): number {
  view.setUint16(offset + HARDWARE_TYPE, HARDWARE_ETHERNET);
  view.setUint16(offset + PROTOCOL_TYPE, ETHERTYPE_IPV4);
  bytes[offset + HARDWARE_LENGTH] = MAC_BYTES;
  bytes[offset + PROTOCOL_LENGTH] = IPV4_BYTES;
  view.setUint16(offset + OPERATION, operation);
  copyMac(bytes, offset + ARP_SENDER_MAC_OFFSET, senderMac);
  senderIp.write(view, offset + ARP_SENDER_IP_OFFSET);
  copyMac(bytes, offset + ARP_TARGET_MAC_OFFSET, targetMac);
  targetIp.write(view, offset + ARP_TARGET_IP_OFFSET);
  return ARP_BYTES;
}

export function describeArp(bytes: Uint8Array, view: DataView, offset: number): string {
  const sender = IpAddress.read4(view, offset + ARP_SENDER_IP_OFFSET).toString();
  const target = IpAddress.read4(view, offset + ARP_TARGET_IP_OFFSET).toString();
  return arpOperation(view, offset) === ARP_REQUEST
    ? `arp who-has ${target} tell ${sender}`
    : `arp reply ${sender} is-at ${formatMac(bytes, offset + ARP_SENDER_MAC_OFFSET)}`;
}
