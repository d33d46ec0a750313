/**
 * Neighbour discovery (RFC 4861 §4): solicitations and advertisements of routers and neighbours, their options, and the
 * validity checks of §6.1 and §7.1. Every message begins with the ICMPv6 header of icmpv6.ts.
 *
 *     router advertisement, after type, code, checksum      neighbour solicitation and advertisement, likewise
 *     +---------------+-+-+-----------+----------------+    +-+-+-+-------------------------------------------+
 *     | Cur Hop Limit |M|O| Reserved  | Lifetime, s    |    |R|S|O|         Reserved (all of it in a NS)      |
 *     +---------------+-+-+-----------+----------------+    +-+-+-+-------------------------------------------+
 *     |              Reachable Time, ms                |    |             Target Address, 16 bytes            |
 *     +------------------------------------------------+    +-------------------------------------------------+
 *     |              Retrans Timer, ms                 |    |   Options ...
 *     +------------------------------------------------+
 *     |   Options ...                                       option: | Type | 8-byte units | ... |
 */
import { IpAddress } from './address.ts';
import {
  emitIcmpv6,
  icmpv6Code,
  ICMPV6_HEADER_BYTES,
  ICMPV6_NEIGHBOR_ADVERTISEMENT,
  ICMPV6_NEIGHBOR_SOLICITATION,
  ICMPV6_ROUTER_ADVERTISEMENT,
  ICMPV6_ROUTER_SOLICITATION,
} from './icmpv6.ts';
import { IPV6_DESTINATION_OFFSET, ipv6HopLimit, ipv6IsMulticast, IPV6_SOURCE_OFFSET } from './ipv6.ts';
import { copyMac } from './mac.ts';
import { LIMIT_EXCEEDED, MALFORMED, TRUNCATED } from './verdict.ts';

/** Whoever is not on the link cannot have sent it (RFC 4861 §3.1): routers lower the limit. */
export const NDP_HOP_LIMIT = 255;
const ROUTER_SOLICITATION_BYTES = 8;
const ROUTER_ADVERTISEMENT_BYTES = 16;
export const NEIGHBOR_MESSAGE_BYTES = 24;
/** Options in one message; RFC 4861 sets no limit, an Ethernet frame has room for 180. */
export const MAX_NDP_OPTIONS = 32;
/** Prefixes remembered of one router advertisement; more are ignored, as RFC 4861 §6.3.4 permits for any option. */
export const MAX_NDP_PREFIXES = 8;

const RA_HOP_LIMIT = 4;
const RA_FLAGS = 5;
const RA_LIFETIME = 6;
const RA_REACHABLE = 8;
const RA_RETRANS = 12;
const NA_FLAGS = 4;
const NDP_TARGET_OFFSET = 8;

/** Flags of a neighbour advertisement (RFC 4861 §4.4). */
export const NA_ROUTER = 0x80;
export const NA_SOLICITED = 0x40;
export const NA_OVERRIDE = 0x20;

const OPTION_SOURCE_LINK_ADDRESS = 1;
const OPTION_TARGET_LINK_ADDRESS = 2;
const OPTION_PREFIX = 3;
const OPTION_MTU = 5;
const OPTION_UNIT_BYTES = 8;
const LINK_ADDRESS_BYTES = 8;
const PREFIX_BYTES = 32;
const MTU_BYTES = 8;

/** Flags of a prefix option (RFC 4861 §4.6.2). */
export const PREFIX_ON_LINK = 0x80;
export const PREFIX_AUTONOMOUS = 0x40;

/** What the options of one message said. Offsets are of the buffer; -1: absent. */
export class NdpOptions {
  /** The six bytes of the address, not the option. */
  sourceMacOffset = -1;
  targetMacOffset = -1;
  /** 0: absent. */
  mtuBytes = 0;
  prefixCount = 0;
  /** Of the options; read them with `prefixLengthBits` and its neighbours. */
  readonly prefixOffsets: Int32Array = new Int32Array(MAX_NDP_PREFIXES);

  reset(): void {
    this.sourceMacOffset = -1;
    this.targetMacOffset = -1;
    this.mtuBytes = 0;
    this.prefixCount = 0;
  }
}

/**
 * Reads the options from `offset` to `end` into `out`. Returns 0, or a negative verdict: an option of length 0 makes
 * the whole message invalid (RFC 4861 §4.6). Unknown options are skipped.
 */
export function parseNdpOptions(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  end: number,
  out: NdpOptions,
): number {
  out.reset();
  let count = 0;
  for (let at = offset; at < end;) {
    if (end - at < 2) return TRUNCATED;
    const optionBytes = bytes[at + 1]! * OPTION_UNIT_BYTES;
    if (optionBytes === 0) return MALFORMED;
    if (end - at < optionBytes) return TRUNCATED;
    if (++count > MAX_NDP_OPTIONS) return LIMIT_EXCEEDED;
    readOption(bytes[at]!, view, at, optionBytes, out);
    at += optionBytes;
  }
  return 0;
}

function readOption(type: number, view: DataView, at: number, optionBytes: number, out: NdpOptions): void {
  switch (type) {
    case OPTION_SOURCE_LINK_ADDRESS:
      if (optionBytes === LINK_ADDRESS_BYTES) out.sourceMacOffset = at + 2;
      return;
    case OPTION_TARGET_LINK_ADDRESS:
      if (optionBytes === LINK_ADDRESS_BYTES) out.targetMacOffset = at + 2;
      return;
    case OPTION_MTU:
      if (optionBytes === MTU_BYTES) out.mtuBytes = view.getUint32(at + 4);
      return;
    case OPTION_PREFIX:
      if (optionBytes === PREFIX_BYTES && out.prefixCount < MAX_NDP_PREFIXES) out.prefixOffsets[out.prefixCount++] = at;
      return;
    default:
  }
}

/** RFC 4861 §6.1.1. The checks return the length of the fixed part, with the options read into `options`. */
export function checkRouterSolicitation(
  bytes: Uint8Array,
  view: DataView,
  l3Offset: number,
  offset: number,
  end: number,
  options: NdpOptions,
): number {
  const verdict = checkMessage(bytes, view, l3Offset, offset, end, ROUTER_SOLICITATION_BYTES, options);
  if (verdict < 0) return verdict;
  return isUnspecifiedAt(view, l3Offset + IPV6_SOURCE_OFFSET) && options.sourceMacOffset >= 0 ? MALFORMED : verdict;
}

/** RFC 4861 §6.1.2. */
export function checkRouterAdvertisement(
  bytes: Uint8Array,
  view: DataView,
  l3Offset: number,
  offset: number,
  end: number,
  options: NdpOptions,
): number {
  const verdict = checkMessage(bytes, view, l3Offset, offset, end, ROUTER_ADVERTISEMENT_BYTES, options);
  if (verdict < 0) return verdict;
  return view.getUint16(l3Offset + IPV6_SOURCE_OFFSET) >>> 6 === 0xfe80 >>> 6 ? verdict : MALFORMED;
}

/** RFC 4861 §7.1.1. */
export function checkNeighborSolicitation(
  bytes: Uint8Array,
  view: DataView,
  l3Offset: number,
  offset: number,
  end: number,
  options: NdpOptions,
): number {
  const verdict = checkMessage(bytes, view, l3Offset, offset, end, NEIGHBOR_MESSAGE_BYTES, options);
  if (verdict < 0) return verdict;
  if (bytes[offset + NDP_TARGET_OFFSET] === 0xff) return MALFORMED;
  if (!isUnspecifiedAt(view, l3Offset + IPV6_SOURCE_OFFSET)) return verdict;
  // Duplicate address detection: to a solicited-node group, and the sender has no address to be answered at.
  return isSolicitedNodeAt(view, l3Offset + IPV6_DESTINATION_OFFSET) && options.sourceMacOffset < 0
    ? verdict
    : MALFORMED;
}

/** RFC 4861 §7.1.2. */
export function checkNeighborAdvertisement(
  bytes: Uint8Array,
  view: DataView,
  l3Offset: number,
  offset: number,
  end: number,
  options: NdpOptions,
): number {
  const verdict = checkMessage(bytes, view, l3Offset, offset, end, NEIGHBOR_MESSAGE_BYTES, options);
  if (verdict < 0) return verdict;
  if (bytes[offset + NDP_TARGET_OFFSET] === 0xff) return MALFORMED;
  return ipv6IsMulticast(view, l3Offset) && (naFlags(view, offset) & NA_SOLICITED) !== 0 ? MALFORMED : verdict;
}

/** What all four have in common: hop limit, code, length, options. The checksum was verified before. */
function checkMessage(
  bytes: Uint8Array,
  view: DataView,
  l3Offset: number,
  offset: number,
  end: number,
  fixedBytes: number,
  options: NdpOptions,
): number {
  if (end - offset < fixedBytes) return TRUNCATED;
  if (ipv6HopLimit(view, l3Offset) !== NDP_HOP_LIMIT || icmpv6Code(view, offset) !== 0) return MALFORMED;
  const verdict = parseNdpOptions(bytes, view, offset + fixedBytes, end, options);
  return verdict < 0 ? verdict : fixedBytes;
}

/** Target of a neighbour solicitation or advertisement. Allocates: compare with `IpAddress.matches` where it counts. */
export function ndpTarget(view: DataView, offset: number): IpAddress {
  return IpAddress.read6(view, offset + NDP_TARGET_OFFSET);
}

/** NA_ROUTER, NA_SOLICITED, NA_OVERRIDE. */
export function naFlags(view: DataView, offset: number): number {
  return view.getUint8(offset + NA_FLAGS);
}

/** 0: the router does not say. */
export function raHopLimit(view: DataView, offset: number): number {
  return view.getUint8(offset + RA_HOP_LIMIT);
}

export function raFlags(view: DataView, offset: number): number {
  return view.getUint8(offset + RA_FLAGS);
}

/** 0: not a default router. */
export function raLifetimeSeconds(view: DataView, offset: number): number {
  return view.getUint16(offset + RA_LIFETIME);
}

/** 0: the router does not say; likewise `raRetransMs`. */
export function raReachableMs(view: DataView, offset: number): number {
  return view.getUint32(offset + RA_REACHABLE);
}

export function raRetransMs(view: DataView, offset: number): number {
  return view.getUint32(offset + RA_RETRANS);
}

/** Of the prefix option at `offset` (RFC 4861 §4.6.2); above 128 it is to be ignored. */
export function prefixLengthBits(view: DataView, offset: number): number {
  return view.getUint8(offset + 2);
}

export function prefixFlags(view: DataView, offset: number): number {
  return view.getUint8(offset + 3);
}

/** 0xffffffff: for ever; likewise `prefixPreferredSeconds`. */
export function prefixValidSeconds(view: DataView, offset: number): number {
  return view.getUint32(offset + 4);
}

export function prefixPreferredSeconds(view: DataView, offset: number): number {
  return view.getUint32(offset + 8);
}

export function prefixAddress(view: DataView, offset: number): IpAddress {
  return IpAddress.read6(view, offset + 16);
}

/** With the source's MAC address unless `mac` is null (an unspecified source has none). Checksum 0. */
export function emitRouterSolicitation(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  mac: Uint8Array | null,
): number {
  emitIcmpv6(view, offset, ICMPV6_ROUTER_SOLICITATION, 0, 0);
  return ICMPV6_HEADER_BYTES + emitLinkAddress(bytes, offset + ICMPV6_HEADER_BYTES, OPTION_SOURCE_LINK_ADDRESS, mac);
}

/** Its fixed part; options follow by `emitPrefix`, `emitMtu`. Checksum 0. */
export function emitRouterAdvertisement(
  view: DataView,
  offset: number,
  hopLimit: number,
  flags: number,
  lifetimeSeconds: number,
  reachableMs: number,
  retransMs: number,
): number {
  emitIcmpv6(view, offset, ICMPV6_ROUTER_ADVERTISEMENT, 0, (hopLimit << 24) | (flags << 16) | lifetimeSeconds);
  view.setUint32(offset + RA_REACHABLE, reachableMs);
  view.setUint32(offset + RA_RETRANS, retransMs);
  return ROUTER_ADVERTISEMENT_BYTES;
}

/** With the source's MAC address unless `mac` is null (duplicate address detection). Checksum 0. */
export function emitNeighborSolicitation(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  target: IpAddress,
  mac: Uint8Array | null,
): number {
  emitIcmpv6(view, offset, ICMPV6_NEIGHBOR_SOLICITATION, 0, 0);
  target.write(view, offset + NDP_TARGET_OFFSET);
  const options = offset + NEIGHBOR_MESSAGE_BYTES;
  return NEIGHBOR_MESSAGE_BYTES + emitLinkAddress(bytes, options, OPTION_SOURCE_LINK_ADDRESS, mac);
}

/** With the target's MAC address. Checksum 0. */
export function emitNeighborAdvertisement(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  target: IpAddress,
  flags: number,
  mac: Uint8Array,
): number {
  emitIcmpv6(view, offset, ICMPV6_NEIGHBOR_ADVERTISEMENT, 0, flags << 24);
  target.write(view, offset + NDP_TARGET_OFFSET);
  const options = offset + NEIGHBOR_MESSAGE_BYTES;
  return NEIGHBOR_MESSAGE_BYTES + emitLinkAddress(bytes, options, OPTION_TARGET_LINK_ADDRESS, mac);
}

function emitLinkAddress(bytes: Uint8Array, offset: number, type: number, mac: Uint8Array | null): number {
  if (mac === null) return 0;
  bytes[offset] = type;
  bytes[offset + 1] = LINK_ADDRESS_BYTES / OPTION_UNIT_BYTES;
  copyMac(bytes, offset + 2, mac);
  return LINK_ADDRESS_BYTES;
}

export function emitMtu(view: DataView, offset: number, mtuBytes: number): number {
  view.setUint32(offset, (OPTION_MTU << 24) | (1 << 16));
  view.setUint32(offset + 4, mtuBytes);
  return MTU_BYTES;
}

export function emitPrefix(
  view: DataView,
  offset: number,
  address: IpAddress,
  lengthBits: number,
  flags: number,
  validSeconds: number,
  preferredSeconds: number,
): number {
  const units = PREFIX_BYTES / OPTION_UNIT_BYTES;
  view.setInt32(offset, (OPTION_PREFIX << 24) | (units << 16) | (lengthBits << 8) | flags);
  view.setUint32(offset + 4, validSeconds);
  view.setUint32(offset + 8, preferredSeconds);
  view.setUint32(offset + 12, 0);
  address.write(view, offset + 16);
  return PREFIX_BYTES;
}

function isUnspecifiedAt(view: DataView, offset: number): boolean {
  return (
    (view.getInt32(offset) | view.getInt32(offset + 4) | view.getInt32(offset + 8) | view.getInt32(offset + 12)) === 0
  );
}

/** ff02::1:ff00:0/104 (RFC 4291 §2.7.1). */
function isSolicitedNodeAt(view: DataView, offset: number): boolean {
  return (
    view.getUint32(offset) === 0xff02_0000 &&
    view.getInt32(offset + 4) === 0 &&
    view.getInt32(offset + 8) === 1 &&
    view.getUint8(offset + 12) === 0xff
  );
}

/** `target fe80::1 [router solicited]`, to stand behind `describeIcmpv6`. */
export function describeNeighbor(view: DataView, offset: number, isAdvertisement: boolean): string {
  const target = `target ${ndpTarget(view, offset).toString()}`;
  if (!isAdvertisement) return target;
  const flags = naFlags(view, offset);
  const words = [
    (flags & NA_ROUTER) !== 0 ? 'router' : '',
    (flags & NA_SOLICITED) !== 0 ? 'solicited' : '',
    (flags & NA_OVERRIDE) !== 0 ? 'override' : '',
  ].filter((word) => word !== '');
  return words.length === 0 ? target : `${target} [${words.join(' ')}]`;
}
