import { foldChecksum, pseudoHeaderSum4, pseudoHeaderSum6, sumBytes } from '../../src/wire/checksum.ts';
import { emitEthernet, ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../src/wire/ethernet.ts';
import { emitIpv4, fillIpv4Checksum, IPV4_HEADER_BYTES } from '../../src/wire/ipv4.ts';
import { emitIpv6, IPV6_HEADER_BYTES } from '../../src/wire/ipv6.ts';
import type { IpAddress } from '../../src/wire/address.ts';
import { PROTOCOL_ICMPV6, PROTOCOL_TCP } from '../../src/wire/protocols.ts';
import { emitTcp, TCP_CHECKSUM_OFFSET, TCP_HEADER_BYTES } from '../../src/wire/tcp.ts';
import { LOCAL_MAC, PEER_MAC } from '../frames.ts';
import { icmpFrame, icmpv6Frame } from '../ip-frames.ts';

const L3 = ETHERNET_HEADER_BYTES;
const DEFAULT_HOP_LIMIT = 64;
const UNREACHABLE = ['net_unreachable', 'host_unreachable', 'protocol_unreachable', 'port_unreachable', 'frag_needed'];
const UNREACHABLE_FROM_9 = ['net_prohibited', 'host_prohibited', 'net_unreachable_for_tos', 'host_unreachable_for_tos'];
const UNREACHABLE6 = ['no_route', 'admin_prohibited', 'beyond_scope', 'address_unreachable', 'port_unreachable'];

export interface Ends {
  source: IpAddress;
  sourcePort: number;
  destination: IpAddress;
  destinationPort: number;
}

export interface SegmentFields {
  trafficClass: number;
  hopLimit: number | null;
  sequence: number;
  acknowledgment: number;
  flags: number;
  window: number;
  urgentPointer: number;
  options: Uint8Array;
  payload: Uint8Array;
}

/** A TCP frame to us with right checksums. */
export function segmentFrame(ends: Ends, fields: SegmentFields): Uint8Array {
  const { options, payload } = fields;
  const headerBytes = TCP_HEADER_BYTES + options.length;
  const l4Bytes = headerBytes + payload.length;
  const isIpv4 = ends.source.family === 4;
  const l4 = L3 + (isIpv4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES);
  const bytes = new Uint8Array(l4 + l4Bytes);
  const view = new DataView(bytes.buffer);
  emitIpHeader(bytes, view, ends, fields, l4Bytes);
  const { sourcePort, destinationPort } = ends;
  const { sequence, acknowledgment, flags, window, urgentPointer } = fields;
  emitTcp(view, l4, sourcePort, destinationPort, sequence, acknowledgment, headerBytes, flags, window, urgentPointer);
  bytes.set(options, l4 + TCP_HEADER_BYTES);
  bytes.set(payload, l4 + headerBytes);
  const seed = isIpv4
    ? pseudoHeaderSum4(view, L3, PROTOCOL_TCP, l4Bytes)
    : pseudoHeaderSum6(view, L3, PROTOCOL_TCP, l4Bytes);
  view.setUint16(l4 + TCP_CHECKSUM_OFFSET, foldChecksum(sumBytes(bytes, view, l4, l4Bytes, seed)));
  return bytes;
}

function emitIpHeader(bytes: Uint8Array, view: DataView, ends: Ends, fields: SegmentFields, l4Bytes: number): void {
  const { source, destination } = ends;
  const isIpv4 = source.family === 4;
  const hopLimit = fields.hopLimit ?? DEFAULT_HOP_LIMIT;
  emitEthernet(bytes, view, 0, LOCAL_MAC, PEER_MAC, isIpv4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
  if (isIpv4) {
    const totalBytes = IPV4_HEADER_BYTES + l4Bytes;
    emitIpv4(view, L3, source, destination, PROTOCOL_TCP, totalBytes, hopLimit, 0, true, fields.trafficClass);
    fillIpv4Checksum(bytes, view, L3);
  } else {
    emitIpv6(view, L3, source, destination, PROTOCOL_TCP, l4Bytes, hopLimit, fields.trafficClass, 0);
  }
}

/** Type and code of an ICMP error by the names that scripts use; null for a name that is none. */
export function icmpNumbers(family: 4 | 6, type: string, code: string | null): [number, number] | null {
  return family === 4 ? icmp4Numbers(type, code) : icmp6Numbers(type, code);
}

function icmp4Numbers(type: string, code: string | null): [number, number] | null {
  switch (type) {
    case 'unreachable': {
      if (code === null) return [3, 0];
      const low = UNREACHABLE.indexOf(code);
      const high = UNREACHABLE_FROM_9.indexOf(code);
      if (low >= 0) return [3, low];
      if (high >= 0) return [3, 9 + high];
      if (code === 'source_route_failed') return [3, 5];
      return code === 'packet_filtered' ? [3, 13] : null;
    }
    case 'source_quench':
      return [4, 0];
    case 'time_exceeded':
      return [11, code === 'frag_reassembly_exceeded' ? 1 : 0];
    case 'parameter_problem':
      return [12, 0];
    default:
      return null;
  }
}

function icmp6Numbers(type: string, code: string | null): [number, number] | null {
  switch (type) {
    case 'unreachable': {
      const index = UNREACHABLE6.indexOf(code ?? 'no_route');
      if (index >= 0) return [1, index];
      return code === 'host_unreachable' ? [1, 3] : code === 'net_unreachable' ? [1, 0] : null;
    }
    case 'packet_too_big':
      return [2, 0];
    case 'time_exceeded':
      return [3, 0];
    case 'parameter_problem':
      return [4, 0];
    default:
      return null;
  }
}

/**
 * An ICMP error to us about a segment of ours.
 * @param quoted the frame that would have carried it.
 * @param rest the second word: an MTU, a pointer.
 */
export function icmpErrorFrame(type: number, code: number, rest: number, quoted: Uint8Array, ends: Ends): Uint8Array {
  const fields = { source: ends.source.toString(), destination: ends.destination.toString() };
  const body = quoted.subarray(L3, L3 + 512);
  return ends.source.family === 4
    ? icmpFrame(type, code, rest, body, { ...fields })
    : icmpv6Frame(type, code, rest, body, { ...fields, nextHeader: PROTOCOL_ICMPV6 });
}
