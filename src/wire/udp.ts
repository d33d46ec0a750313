/**
 * UDP (RFC 768).
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------------------------------+-------------------------------+
 *     |          Source Port          |       Destination Port        |
 *     +-------------------------------+-------------------------------+
 *     |            Length             |           Checksum            |
 *     +-------------------------------+-------------------------------+
 */
import { MALFORMED, TRUNCATED } from './verdict.ts';

export const UDP_HEADER_BYTES = 8;

const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const UDP_LENGTH_OFFSET = 4;
export const UDP_CHECKSUM_OFFSET = 6;

/** The header alone: `udpLengthBytes` against the IP packet's length is for the caller to compare. */
export function checkUdp(bytes: Uint8Array, offset: number, end: number): number {
  if (end - offset < UDP_HEADER_BYTES) return TRUNCATED;
  const lengthBytes = (bytes[offset + UDP_LENGTH_OFFSET]! << 8) | bytes[offset + UDP_LENGTH_OFFSET + 1]!;
  return lengthBytes < UDP_HEADER_BYTES ? MALFORMED : UDP_HEADER_BYTES;
}

export function udpSourcePort(view: DataView, offset: number): number {
  return view.getUint16(offset + SOURCE_PORT);
}

export function udpDestinationPort(view: DataView, offset: number): number {
  return view.getUint16(offset + DESTINATION_PORT);
}

/** Header and payload. */
export function udpLengthBytes(view: DataView, offset: number): number {
  return view.getUint16(offset + UDP_LENGTH_OFFSET);
}

/** 0: the sender computed none, which only IPv4 allows (RFC 8200 §8.1). */
export function udpChecksum(view: DataView, offset: number): number {
  return view.getUint16(offset + UDP_CHECKSUM_OFFSET);
}

/** With checksum 0. */
export function emitUdp(
  view: DataView,
  offset: number,
  sourcePort: number,
  destinationPort: number,
  lengthBytes: number,
): number {
  view.setUint16(offset + SOURCE_PORT, sourcePort);
  view.setUint16(offset + DESTINATION_PORT, destinationPort);
  view.setUint16(offset + UDP_LENGTH_OFFSET, lengthBytes);
  view.setUint16(offset + UDP_CHECKSUM_OFFSET, 0);
  return UDP_HEADER_BYTES;
}

export function describeUdp(view: DataView, offset: number): string {
  const payloadBytes = udpLengthBytes(view, offset) - UDP_HEADER_BYTES;
  return `udp ${udpSourcePort(view, offset)} > ${udpDestinationPort(view, offset)} len ${payloadBytes}`;
}
