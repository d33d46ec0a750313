import { IpAddress } from '../src/wire/address.ts';
import { foldChecksum, foldUdpChecksum, pseudoHeaderSum4, pseudoHeaderSum6, sumBytes } from '../src/wire/checksum.ts';
import { emitEthernet, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../src/wire/ethernet.ts';
import { emitIpv4 } from '../src/wire/ipv4.ts';
import { emitIpv6 } from '../src/wire/ipv6.ts';
import { emitTcp, TCP_ACK } from '../src/wire/tcp.ts';

export const LOCAL_MAC: Uint8Array = Uint8Array.of(2, 0, 0, 0, 0, 2);
export const PEER_MAC: Uint8Array = Uint8Array.of(2, 0, 0, 0, 0, 1);

export interface TcpFrameFields {
  source?: string;
  destination?: string;
  sourcePort?: number;
  destinationPort?: number;
  sequence?: number;
  acknowledgment?: number;
  flags?: number;
  window?: number;
  /** Raw options; padded to a multiple of 4 by the caller. */
  options?: Uint8Array;
  payload?: Uint8Array;
  destinationMac?: Uint8Array;
}

/** `length` bytes that differ from each other and from those of another `seed`. */
export function patternBytes(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8) + seed * 31) & 0xff);
}

/** A whole TCP frame with right checksums. */
export function tcpFrame(fields: TcpFrameFields = {}): Uint8Array {
  const payload = fields.payload ?? new Uint8Array(0);
  const options = fields.options ?? new Uint8Array(0);
  const tcpHeaderBytes = 20 + options.length;
  return ipFrame(fields, 6, tcpHeaderBytes + payload.length, (view, bytes, l4) => {
    emitTcp(
      view,
      l4,
      fields.sourcePort ?? 40_000,
      fields.destinationPort ?? 5201,
      fields.sequence ?? 1,
      fields.acknowledgment ?? 1,
      tcpHeaderBytes,
      fields.flags ?? TCP_ACK,
      fields.window ?? 65_535,
      0,
    );
    bytes.set(options, l4 + 20);
    bytes.set(payload, l4 + tcpHeaderBytes);
    return 16;
  });
}

/** A whole UDP frame with right checksums. */
export function udpFrame(fields: TcpFrameFields = {}): Uint8Array {
  const payload = fields.payload ?? new Uint8Array(0);
  return ipFrame(fields, 17, 8 + payload.length, (view, bytes, l4) => {
    view.setUint16(l4, fields.sourcePort ?? 40_000);
    view.setUint16(l4 + 2, fields.destinationPort ?? 9);
    view.setUint16(l4 + 4, 8 + payload.length);
    bytes.set(payload, l4 + 8);
    return 6;
  });
}

function ipFrame(
  fields: TcpFrameFields,
  protocol: number,
  l4Bytes: number,
  fill: (view: DataView, bytes: Uint8Array, l4: number) => number,
): Uint8Array {
  const source = IpAddress.parse(fields.source ?? '10.0.0.1')!;
  const destination = IpAddress.parse(fields.destination ?? '10.0.0.2')!;
  const isIpv4 = source.family === 4;
  const ipBytes = isIpv4 ? 20 : 40;
  const bytes = new Uint8Array(14 + ipBytes + l4Bytes);
  const view = new DataView(bytes.buffer);
  const type = isIpv4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
  emitEthernet(bytes, view, 0, fields.destinationMac ?? LOCAL_MAC, PEER_MAC, type);
  if (isIpv4) emitIpv4(view, 14, source, destination, protocol, ipBytes + l4Bytes, 64, 1, true, 0);
  else emitIpv6(view, 14, source, destination, protocol, l4Bytes, 64, 0, 0);
  const l4 = 14 + ipBytes;
  const checksumAt = fill(view, bytes, l4);
  const pseudo = isIpv4 ? pseudoHeaderSum4(view, 14, protocol, l4Bytes) : pseudoHeaderSum6(view, 14, protocol, l4Bytes);
  const sum = sumBytes(bytes, view, l4, l4Bytes, pseudo);
  view.setUint16(l4 + checksumAt, protocol === 17 ? foldUdpChecksum(sum) : foldChecksum(sum));
  return bytes;
}
