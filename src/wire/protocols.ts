/**
 * IP protocol numbers and IPv6 next-header values: one name space (IANA "Assigned Internet Protocol Numbers",
 * RFC 8200 §4).
 */
export const PROTOCOL_HOP_BY_HOP = 0;
export const PROTOCOL_ICMP = 1;
export const PROTOCOL_TCP = 6;
export const PROTOCOL_UDP = 17;
export const PROTOCOL_ROUTING = 43;
export const PROTOCOL_FRAGMENT = 44;
export const PROTOCOL_ESP = 50;
export const PROTOCOL_AH = 51;
export const PROTOCOL_ICMPV6 = 58;
export const PROTOCOL_NO_NEXT_HEADER = 59;
export const PROTOCOL_DESTINATION_OPTIONS = 60;

const NAMES = new Map<number, string>([
  [PROTOCOL_HOP_BY_HOP, 'hop-by-hop'],
  [PROTOCOL_ICMP, 'icmp'],
  [PROTOCOL_TCP, 'tcp'],
  [PROTOCOL_UDP, 'udp'],
  [PROTOCOL_ROUTING, 'routing'],
  [PROTOCOL_FRAGMENT, 'fragment'],
  [PROTOCOL_ESP, 'esp'],
  [PROTOCOL_AH, 'ah'],
  [PROTOCOL_ICMPV6, 'icmp6'],
  [PROTOCOL_NO_NEXT_HEADER, 'none'],
  [PROTOCOL_DESTINATION_OPTIONS, 'destination-options'],
]);

/** `tcp`, or `proto-132` for a number that this table does not know. */
export function protocolName(protocol: number): string {
  return NAMES.get(protocol) ?? `proto-${protocol}`;
}
