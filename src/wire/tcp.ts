/**
 * TCP (RFC 9293 §3.1).
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------------------------------+-------------------------------+
 *     |          Source Port          |       Destination Port        |
 *     +-------------------------------+-------------------------------+
 *     |                        Sequence Number                        |
 *     +---------------------------------------------------------------+
 *     |                     Acknowledgment Number                     |
 *     +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
 *     | Data  |     |A|C|E|U|A|P|R|S|F|                               |
 *     | Offset|  0  |E|W|C|R|C|S|S|Y|I|            Window             |
 *     |       |     | |R|E|G|K|H|T|N|N|                               |
 *     +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
 *     |           Checksum            |        Urgent Pointer         |
 *     +-------------------------------+-------------------------------+
 *     |                   Options, padded to 4 bytes ...
 */
import { MALFORMED, TRUNCATED } from './verdict.ts';

/** Without options. */
export const TCP_HEADER_BYTES = 20;

const SOURCE_PORT = 0;
const DESTINATION_PORT = 2;
const TCP_SEQUENCE_OFFSET = 4;
const ACKNOWLEDGMENT = 8;
const DATA_OFFSET = 12;
const WINDOW = 14;
export const TCP_CHECKSUM_OFFSET = 16;
const URGENT_POINTER = 18;
/** AE and the eight flags behind it. */
const FLAGS_MASK = 0x1ff;

export const TCP_FIN = 0x01;
export const TCP_SYN = 0x02;
export const TCP_RST = 0x04;
export const TCP_PSH = 0x08;
export const TCP_ACK = 0x10;
export const TCP_URG = 0x20;
/** RFC 3168 §6.1. */
export const TCP_ECE = 0x40;
export const TCP_CWR = 0x80;
/** RFC 9768 §3.1: with CWR and ECE, in this order, the ACE field. */
export const TCP_AE = 0x100;
/** The ACE field, in place. */
export const TCP_ACE: number = TCP_AE | TCP_CWR | TCP_ECE;
/** The ACE field as a number is `(flags & TCP_ACE) >>> TCP_ACE_SHIFT`. */
export const TCP_ACE_SHIFT = 6;

export function checkTcp(bytes: Uint8Array, offset: number, end: number): number {
  if (end - offset < TCP_HEADER_BYTES) return TRUNCATED;
  const headerBytes = (bytes[offset + DATA_OFFSET]! >>> 4) << 2;
  if (headerBytes < TCP_HEADER_BYTES) return MALFORMED;
  return end - offset < headerBytes ? TRUNCATED : headerBytes;
}

export function tcpSourcePort(view: DataView, offset: number): number {
  return view.getUint16(offset + SOURCE_PORT);
}

export function tcpDestinationPort(view: DataView, offset: number): number {
  return view.getUint16(offset + DESTINATION_PORT);
}

/** As int32 (see sequence.ts). */
export function tcpSequence(view: DataView, offset: number): number {
  return view.getInt32(offset + TCP_SEQUENCE_OFFSET);
}

/** As int32 (see sequence.ts). */
export function tcpAcknowledgment(view: DataView, offset: number): number {
  return view.getInt32(offset + ACKNOWLEDGMENT);
}

export function tcpHeaderBytes(view: DataView, offset: number): number {
  return (view.getUint8(offset + DATA_OFFSET) >>> 4) << 2;
}

/** Nine bits: TCP_AE above the eight of the flags byte. */
export function tcpFlags(view: DataView, offset: number): number {
  return view.getUint16(offset + DATA_OFFSET) & FLAGS_MASK;
}

/** As it stands in the header: not scaled (RFC 7323 §2.2). */
export function tcpWindow(view: DataView, offset: number): number {
  return view.getUint16(offset + WINDOW);
}

export function tcpChecksum(view: DataView, offset: number): number {
  return view.getUint16(offset + TCP_CHECKSUM_OFFSET);
}

export function tcpUrgentPointer(view: DataView, offset: number): number {
  return view.getUint16(offset + URGENT_POINTER);
}

/** Writes the fixed header with checksum 0; `headerBytes` counts the options that the caller puts behind it. */
export function emitTcp(
  view: DataView,
  offset: number,
  sourcePort: number,
  destinationPort: number,
  sequence: number,
  acknowledgment: number,
  headerBytes: number,
  flags: number,
  window: number,
  urgentPointer: number,
): number {
  view.setUint16(offset + SOURCE_PORT, sourcePort);
  view.setUint16(offset + DESTINATION_PORT, destinationPort);
  view.setInt32(offset + TCP_SEQUENCE_OFFSET, sequence);
  view.setInt32(offset + ACKNOWLEDGMENT, acknowledgment);
  view.setUint16(offset + DATA_OFFSET, ((headerBytes >>> 2) << 12) | (flags & FLAGS_MASK));
  view.setUint16(offset + WINDOW, window);
  view.setUint16(offset + TCP_CHECKSUM_OFFSET, 0);
  view.setUint16(offset + URGENT_POINTER, urgentPointer);
  return headerBytes;
}

/** The last one is AE, as tcpdump writes it. */
const FLAG_LETTERS = 'FSRPAUECe';

/** `SA`, `A`, `FPA`; `.` for none. */
export function describeTcpFlags(flags: number): string {
  let text = '';
  for (let bit = 0; bit < FLAG_LETTERS.length; bit++) if ((flags & (1 << bit)) !== 0) text += FLAG_LETTERS[bit];
  return text === '' ? '.' : text;
}

/** Ports, flags, numbers and payload length; options are described by `describeTcpOptions`. */
export function describeTcp(view: DataView, offset: number, l4Bytes: number): string {
  const flags = tcpFlags(view, offset);
  const sequence = tcpSequence(view, offset) >>> 0;
  const acknowledgment = (flags & TCP_ACK) !== 0 ? ` ack ${tcpAcknowledgment(view, offset) >>> 0}` : '';
  const urgent = (flags & TCP_URG) !== 0 ? ` urg ${tcpUrgentPointer(view, offset)}` : '';
  return (
    `tcp ${tcpSourcePort(view, offset)} > ${tcpDestinationPort(view, offset)} ${describeTcpFlags(flags)} ` +
    `seq ${sequence}${acknowledgment} win ${tcpWindow(view, offset)}${urgent} ` +
    `len ${l4Bytes - tcpHeaderBytes(view, offset)}`
  );
}
