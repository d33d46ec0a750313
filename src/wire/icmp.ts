/**
 * ICMP for IPv4 (RFC 792; next-hop MTU: RFC 1191 §4).
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+-------------------------------+
 *     |     Type      |     Code      |           Checksum            |
 *     +---------------+---------------+-------------------------------+
 *     |  echo: Identifier             |  echo: Sequence Number        |
 *     |  unreachable, code 4: 0       |  ... Next-Hop MTU             |
 *     |  parameter problem: Pointer   |                               |
 *     +-------------------------------+-------------------------------+
 *     |  echo: data; errors: the packet in question, as much as fits
 */
import { foldChecksum, foldSum, sumBytes } from './checksum.ts';
import { TRUNCATED } from './verdict.ts';

export const ICMP_HEADER_BYTES = 8;

const TYPE = 0;
const CODE = 1;
const CHECKSUM = 2;
const REST = 4;
const ECHO_ID = 4;
const ECHO_SEQUENCE = 6;
const MTU = 6;
const POINTER = 4;

export const ICMP_ECHO_REPLY = 0;
export const ICMP_UNREACHABLE = 3;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO_REQUEST = 8;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETER_PROBLEM = 12;

export const ICMP_PROTOCOL_UNREACHABLE = 2;
export const ICMP_PORT_UNREACHABLE = 3;
export const ICMP_FRAGMENTATION_NEEDED = 4;
export const ICMP_NET_PROHIBITED = 9;
export const ICMP_HOST_PROHIBITED = 10;
export const ICMP_PROHIBITED = 13;

export function checkIcmp(_bytes: Uint8Array, offset: number, end: number): number {
  return end - offset < ICMP_HEADER_BYTES ? TRUNCATED : ICMP_HEADER_BYTES;
}

/** Over the whole message of `length` bytes. */
export function icmpChecksumValid(bytes: Uint8Array, view: DataView, offset: number, length: number): boolean {
  return foldSum(sumBytes(bytes, view, offset, length)) === 0xffff;
}

export function icmpType(view: DataView, offset: number): number {
  return view.getUint8(offset + TYPE);
}

export function icmpCode(view: DataView, offset: number): number {
  return view.getUint8(offset + CODE);
}

export function icmpEchoId(view: DataView, offset: number): number {
  return view.getUint16(offset + ECHO_ID);
}

export function icmpEchoSequence(view: DataView, offset: number): number {
  return view.getUint16(offset + ECHO_SEQUENCE);
}

/** Next-hop MTU of ICMP_FRAGMENTATION_NEEDED; 0 from a router older than RFC 1191. */
export function icmpMtuBytes(view: DataView, offset: number): number {
  return view.getUint16(offset + MTU);
}

/** Of ICMP_PARAMETER_PROBLEM: which byte of the quoted packet. */
export function icmpPointer(view: DataView, offset: number): number {
  return view.getUint8(offset + POINTER);
}

/** Messages about other messages, which must not cause errors in turn (RFC 1122 §3.2.2). */
export function icmpIsError(type: number): boolean {
  return (
    type === ICMP_UNREACHABLE ||
    type === ICMP_REDIRECT ||
    type === ICMP_TIME_EXCEEDED ||
    type === ICMP_PARAMETER_PROBLEM ||
    type === SOURCE_QUENCH
  );
}

/** Deprecated (RFC 6633), still an error message. */
const SOURCE_QUENCH = 4;

/** Writes the header with checksum 0; `rest` are its last four bytes. Then the data, then `fillIcmpChecksum`. */
export function emitIcmp(view: DataView, offset: number, type: number, code: number, rest: number): number {
  view.setUint8(offset + TYPE, type);
  view.setUint8(offset + CODE, code);
  view.setUint16(offset + CHECKSUM, 0);
  view.setInt32(offset + REST, rest);
  return ICMP_HEADER_BYTES;
}

export function emitIcmpEcho(view: DataView, offset: number, type: number, id: number, sequence: number): number {
  return emitIcmp(view, offset, type, 0, (id << 16) | (sequence & 0xffff));
}

/** Over the whole message of `length` bytes: no link does it for ICMP. */
export function fillIcmpChecksum(bytes: Uint8Array, view: DataView, offset: number, length: number): void {
  view.setUint16(offset + CHECKSUM, 0);
  view.setUint16(offset + CHECKSUM, foldChecksum(sumBytes(bytes, view, offset, length)));
}

const TYPE_NAMES = new Map<number, string>([
  [ICMP_ECHO_REPLY, 'echo reply'],
  [ICMP_UNREACHABLE, 'unreachable'],
  [ICMP_REDIRECT, 'redirect'],
  [ICMP_ECHO_REQUEST, 'echo request'],
  [ICMP_TIME_EXCEEDED, 'time exceeded'],
  [ICMP_PARAMETER_PROBLEM, 'parameter problem'],
]);

export function describeIcmp(view: DataView, offset: number, length: number): string {
  const type = icmpType(view, offset);
  const code = icmpCode(view, offset);
  const name = TYPE_NAMES.get(type) ?? `type ${type}`;
  if (type === ICMP_ECHO_REQUEST || type === ICMP_ECHO_REPLY) {
    return `icmp ${name} id ${icmpEchoId(view, offset)} seq ${icmpEchoSequence(view, offset)} len ${length}`;
  }
  const mtu =
    type === ICMP_UNREACHABLE && code === ICMP_FRAGMENTATION_NEEDED ? ` mtu ${icmpMtuBytes(view, offset)}` : '';
  return `icmp ${name} code ${code}${mtu} len ${length}`;
}
