/**
 * ICMPv6 (RFC 4443). Neighbour discovery's messages are in ndp.ts.
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+-------------------------------+
 *     |     Type      |     Code      |           Checksum            |
 *     +---------------+---------------+-------------------------------+
 *     |  echo: Identifier             |  echo: Sequence Number        |
 *     |  packet too big: MTU, all 32 bits                             |
 *     |  parameter problem: Pointer, all 32 bits                      |
 *     +-------------------------------+-------------------------------+
 *     |  echo: data; errors: the packet in question, as much as fits
 */
import { foldChecksum, foldSum, pseudoHeaderSum6, sumBytes } from './checksum.ts';
import { PROTOCOL_ICMPV6 } from './protocols.ts';
import { TRUNCATED } from './verdict.ts';

export const ICMPV6_HEADER_BYTES = 8;

const TYPE = 0;
const CODE = 1;
export const ICMPV6_CHECKSUM_OFFSET = 2;
const REST = 4;
const ECHO_ID = 4;
const ECHO_SEQUENCE = 6;

export const ICMPV6_UNREACHABLE = 1;
export const ICMPV6_PACKET_TOO_BIG = 2;
export const ICMPV6_TIME_EXCEEDED = 3;
export const ICMPV6_PARAMETER_PROBLEM = 4;
export const ICMPV6_ECHO_REQUEST = 128;
export const ICMPV6_ECHO_REPLY = 129;
export const ICMPV6_ROUTER_SOLICITATION = 133;
export const ICMPV6_ROUTER_ADVERTISEMENT = 134;
export const ICMPV6_NEIGHBOR_SOLICITATION = 135;
export const ICMPV6_NEIGHBOR_ADVERTISEMENT = 136;
export const ICMPV6_REDIRECT = 137;

export const ICMPV6_PORT_UNREACHABLE = 4;

/** Codes of ICMPV6_PARAMETER_PROBLEM (RFC 4443 §3.4). */
export const ICMPV6_ERRONEOUS_FIELD = 0;
export const ICMPV6_UNRECOGNISED_NEXT_HEADER = 1;
export const ICMPV6_UNRECOGNISED_OPTION = 2;

export function checkIcmpv6(_bytes: Uint8Array, offset: number, end: number): number {
  return end - offset < ICMPV6_HEADER_BYTES ? TRUNCATED : ICMPV6_HEADER_BYTES;
}

/** Over the pseudo-header of the IPv6 header at `l3Offset` and the message of `length` bytes. */
export function icmpv6ChecksumValid(
  bytes: Uint8Array,
  view: DataView,
  l3Offset: number,
  offset: number,
  length: number,
): boolean {
  const seed = pseudoHeaderSum6(view, l3Offset, PROTOCOL_ICMPV6, length);
  return foldSum(sumBytes(bytes, view, offset, length, seed)) === 0xffff;
}

export function icmpv6Type(view: DataView, offset: number): number {
  return view.getUint8(offset + TYPE);
}

export function icmpv6Code(view: DataView, offset: number): number {
  return view.getUint8(offset + CODE);
}

export function icmpv6EchoId(view: DataView, offset: number): number {
  return view.getUint16(offset + ECHO_ID);
}

export function icmpv6EchoSequence(view: DataView, offset: number): number {
  return view.getUint16(offset + ECHO_SEQUENCE);
}

/** Of ICMPV6_PACKET_TOO_BIG. */
export function icmpv6MtuBytes(view: DataView, offset: number): number {
  return view.getUint32(offset + REST);
}

/** Of ICMPV6_PARAMETER_PROBLEM: which byte of the quoted packet, perhaps beyond what was quoted. */
export function icmpv6Pointer(view: DataView, offset: number): number {
  return view.getUint32(offset + REST);
}

/** RFC 4443 §2.1: the high bit clear. An unknown error goes to the upper layer, an unknown other one is dropped. */
export function icmpv6IsError(type: number): boolean {
  return type < 128;
}

/** Writes the header with checksum 0; `rest` are its last four bytes. */
export function emitIcmpv6(view: DataView, offset: number, type: number, code: number, rest: number): number {
  view.setUint8(offset + TYPE, type);
  view.setUint8(offset + CODE, code);
  view.setUint16(offset + ICMPV6_CHECKSUM_OFFSET, 0);
  view.setInt32(offset + REST, rest);
  return ICMPV6_HEADER_BYTES;
}

export function emitIcmpv6Echo(view: DataView, offset: number, type: number, id: number, sequence: number): number {
  return emitIcmpv6(view, offset, type, 0, (id << 16) | (sequence & 0xffff));
}

/** For whoever sends without the NIC's checksum offload. */
export function fillIcmpv6Checksum(
  bytes: Uint8Array,
  view: DataView,
  l3Offset: number,
  offset: number,
  length: number,
): void {
  view.setUint16(offset + ICMPV6_CHECKSUM_OFFSET, 0);
  const seed = pseudoHeaderSum6(view, l3Offset, PROTOCOL_ICMPV6, length);
  view.setUint16(offset + ICMPV6_CHECKSUM_OFFSET, foldChecksum(sumBytes(bytes, view, offset, length, seed)));
}

const TYPE_NAMES = new Map<number, string>([
  [ICMPV6_UNREACHABLE, 'unreachable'],
  [ICMPV6_PACKET_TOO_BIG, 'packet too big'],
  [ICMPV6_TIME_EXCEEDED, 'time exceeded'],
  [ICMPV6_PARAMETER_PROBLEM, 'parameter problem'],
  [ICMPV6_ECHO_REQUEST, 'echo request'],
  [ICMPV6_ECHO_REPLY, 'echo reply'],
  [ICMPV6_ROUTER_SOLICITATION, 'router solicitation'],
  [ICMPV6_ROUTER_ADVERTISEMENT, 'router advertisement'],
  [ICMPV6_NEIGHBOR_SOLICITATION, 'neighbor solicitation'],
  [ICMPV6_NEIGHBOR_ADVERTISEMENT, 'neighbor advertisement'],
  [ICMPV6_REDIRECT, 'redirect'],
]);

export function describeIcmpv6(view: DataView, offset: number, length: number): string {
  const type = icmpv6Type(view, offset);
  const name = TYPE_NAMES.get(type) ?? `type ${type}`;
  switch (type) {
    case ICMPV6_ECHO_REQUEST:
    case ICMPV6_ECHO_REPLY:
      return `icmp6 ${name} id ${icmpv6EchoId(view, offset)} seq ${icmpv6EchoSequence(view, offset)} len ${length}`;
    case ICMPV6_PACKET_TOO_BIG:
      return `icmp6 ${name} mtu ${icmpv6MtuBytes(view, offset)} len ${length}`;
    case ICMPV6_PARAMETER_PROBLEM:
      return `icmp6 ${name} code ${icmpv6Code(view, offset)} at ${icmpv6Pointer(view, offset)} len ${length}`;
    default:
      return `icmp6 ${name} code ${icmpv6Code(view, offset)} len ${length}`;
  }
}
