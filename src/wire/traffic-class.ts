/**
 * The byte that IPv4 calls type of service and IPv6 traffic class: DSCP in the upper six bits (RFC 2474 §3), ECN in the
 * lower two (RFC 3168 §5).
 *
 *       0   1   2   3   4   5   6   7
 *     +---+---+---+---+---+---+---+---+
 *     |         DSCP          |  ECN  |
 *     +---+---+---+---+---+---+---+---+
 */
export const ECN_NOT_ECT = 0;
/** ECT(1) is the codepoint of L4S (RFC 9331); ordinary senders use ECT(0). */
export const ECN_ECT_1 = 1;
export const ECN_ECT_0 = 2;
/** Congestion experienced: set by a router instead of dropping the packet. */
export const ECN_CE = 3;
export const ECN_MASK = 3;

/** Of the IPv4 or IPv6 header at `offset`, whichever its version nibble says it is. */
export function trafficClass(bytes: Uint8Array, offset: number): number {
  const first = bytes[offset]!;
  const second = bytes[offset + 1]!;
  return first >>> 4 === 4 ? second : ((first & 0x0f) << 4) | (second >>> 4);
}

/** Overwrites it; IPv4's header checksum is the caller's. */
export function writeTrafficClass(bytes: Uint8Array, offset: number, value: number): void {
  if (bytes[offset]! >>> 4 === 4) {
    bytes[offset + 1] = value;
    return;
  }
  bytes[offset] = 0x60 | (value >>> 4);
  bytes[offset + 1] = ((value & 0x0f) << 4) | (bytes[offset + 1]! & 0x0f);
}

const NAMES = ['noecn', 'ect1', 'ect0', 'ce'] as const;

/** `ect0`, ... of the lower two bits. */
export function ecnName(value: number): string {
  return NAMES[value & ECN_MASK]!;
}
