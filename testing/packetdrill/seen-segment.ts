import { foldSum, pseudoHeaderSum4, pseudoHeaderSum6, sumBytes } from '../../src/wire/checksum.ts';
import { ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6, etherType } from '../../src/wire/ethernet.ts';
import { ipv4ChecksumValid, ipv4HeaderBytes, ipv4Protocol, ipv4Ttl } from '../../src/wire/ipv4.ts';
import { IPV6_HEADER_BYTES, ipv6FlowLabel, ipv6HopLimit, ipv6NextHeader } from '../../src/wire/ipv6.ts';
import { PROTOCOL_TCP } from '../../src/wire/protocols.ts';
import {
  TCP_CWR,
  TCP_FIN,
  TCP_HEADER_BYTES,
  TCP_PSH,
  tcpAcknowledgment,
  tcpDestinationPort,
  tcpFlags,
  tcpHeaderBytes,
  tcpSequence,
  tcpSourcePort,
  tcpUrgentPointer,
  tcpWindow,
} from '../../src/wire/tcp.ts';
import { trafficClass } from '../../src/wire/traffic-class.ts';
import { decodeOptions } from './option-bytes.ts';
import type { OptionText } from './script.ts';

const L3 = ETHERNET_HEADER_BYTES;

/** A TCP segment of ours as it would be on the wire: numbers as they stand there. */
export interface SeenSegment {
  micros: number;
  trafficClass: number;
  hopLimit: number;
  flowLabel: number;
  localPort: number;
  remotePort: number;
  sequence: number;
  acknowledgment: number;
  flags: number;
  window: number;
  urgentPointer: number;
  options: OptionText[];
  payload: Uint8Array;
  /** What is wrong with its checksums; '' if nothing is. */
  fault: string;
}

/**
 * The TCP segments in a frame, none if it is not TCP. A frame that segmentation offload would cut is cut.
 * @param gsoSizeBytes payload of each segment; 0: the frame is one.
 */
export function readSegments(bytes: Uint8Array, gsoSizeBytes: number, micros: number): SeenSegment[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const type = etherType(view, 0);
  const isIpv4 = type === ETHERTYPE_IPV4;
  if (!isIpv4 && type !== ETHERTYPE_IPV6) return [];
  if ((isIpv4 ? ipv4Protocol(view, L3) : ipv6NextHeader(view, L3)) !== PROTOCOL_TCP) return [];
  const l4 = L3 + (isIpv4 ? ipv4HeaderBytes(view, L3) : IPV6_HEADER_BYTES);
  const payloadAt = l4 + tcpHeaderBytes(view, l4);
  const whole: SeenSegment = {
    micros,
    trafficClass: trafficClass(bytes, L3),
    hopLimit: isIpv4 ? ipv4Ttl(view, L3) : ipv6HopLimit(view, L3),
    flowLabel: isIpv4 ? 0 : ipv6FlowLabel(view, L3),
    localPort: tcpSourcePort(view, l4),
    remotePort: tcpDestinationPort(view, l4),
    sequence: tcpSequence(view, l4),
    acknowledgment: tcpAcknowledgment(view, l4),
    flags: tcpFlags(view, l4),
    window: tcpWindow(view, l4),
    urgentPointer: tcpUrgentPointer(view, l4),
    options: decodeOptions(bytes.subarray(l4 + TCP_HEADER_BYTES, payloadAt)),
    payload: bytes.slice(payloadAt),
    fault: checksumFault(bytes, view, isIpv4, l4),
  };
  return cut(whole, gsoSizeBytes);
}

function checksumFault(bytes: Uint8Array, view: DataView, isIpv4: boolean, l4: number): string {
  if (isIpv4 && !ipv4ChecksumValid(bytes, view, L3)) return 'the IPv4 header checksum is wrong';
  const l4Bytes = bytes.length - l4;
  const seed = isIpv4
    ? pseudoHeaderSum4(view, L3, PROTOCOL_TCP, l4Bytes)
    : pseudoHeaderSum6(view, L3, PROTOCOL_TCP, l4Bytes);
  return foldSum(sumBytes(bytes, view, l4, l4Bytes, seed)) === 0xffff ? '' : 'the TCP checksum is wrong';
}

/** FIN and PSH stay with the last segment, CWR with the first. */
function cut(whole: SeenSegment, sizeBytes: number): SeenSegment[] {
  const { payload } = whole;
  if (sizeBytes === 0 || payload.length <= sizeBytes) return [whole];
  const segments: SeenSegment[] = [];
  for (let at = 0; at < payload.length; at += sizeBytes) {
    const isLast = at + sizeBytes >= payload.length;
    let { flags } = whole;
    if (!isLast) flags &= ~(TCP_FIN | TCP_PSH);
    if (at > 0) flags &= ~TCP_CWR;
    const sequence = (whole.sequence + at) | 0;
    segments.push({ ...whole, sequence, flags, payload: payload.subarray(at, at + sizeBytes) });
  }
  return segments;
}
