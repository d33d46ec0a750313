/** MAC addresses (IEEE 802 EUI-48): six bytes; bit 0 of the first is "group", bit 1 "locally administered". */
import type { Random } from '../core/random.ts';
import type { IpAddress } from './address.ts';

export const MAC_BYTES = 6;
/** Not to be written to. */
export const MAC_BROADCAST: Uint8Array = new Uint8Array(MAC_BYTES).fill(0xff);
/** "Unknown" in ARP requests. Not to be written to. */
export const MAC_ZERO: Uint8Array = new Uint8Array(MAC_BYTES);

/** Six two-digit groups with `:` or `-` between; `null` for anything else. */
export function parseMac(text: string): Uint8Array | null {
  const match = /^[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}$/i.exec(text);
  if (match === null) return null;
  return Uint8Array.from(text.split(match[1]!), (group) => Number.parseInt(group, 16));
}

export function formatMac(bytes: Uint8Array, offset = 0): string {
  return Array.from(bytes.subarray(offset, offset + MAC_BYTES), (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** Group addresses, broadcast among them. */
export function isMulticastMac(bytes: Uint8Array, offset: number): boolean {
  return (bytes[offset]! & 1) !== 0;
}

/** Whether the six bytes at `offset` are `mac`. */
export function matchesMac(bytes: Uint8Array, offset: number, mac: Uint8Array): boolean {
  // Last byte first: neighbours on one link share their vendor's prefix.
  for (let i = MAC_BYTES - 1; i >= 0; i--) if (bytes[offset + i] !== mac[i]) return false;
  return true;
}

/** Six bytes between buffers; `set(subarray())` would allocate a view. */
export function copyMac(target: Uint8Array, targetOffset: number, source: Uint8Array, sourceOffset = 0): void {
  for (let i = 0; i < MAC_BYTES; i++) target[targetOffset + i] = source[sourceOffset + i]!;
}

/** The group address that frames to an IP multicast group go to (RFC 1112 §6.4, RFC 2464 §7). */
export function multicastMac(group: IpAddress): Uint8Array {
  const low = group.w3;
  if (group.family === 4) return Uint8Array.of(0x01, 0x00, 0x5e, (low >>> 16) & 0x7f, low >>> 8, low);
  return Uint8Array.of(0x33, 0x33, low >>> 24, low >>> 16, low >>> 8, low);
}

/** A unicast address from the locally administered space. */
export function randomMac(random: Random): Uint8Array {
  const high = random.u32();
  const low = random.u32();
  return Uint8Array.of(((high >>> 8) & 0xfc) | 0x02, high, low >>> 24, low >>> 16, low >>> 8, low);
}
