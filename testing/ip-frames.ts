import { IpAddress } from '../src/wire/address.ts';
import { emitArp } from '../src/wire/arp.ts';
import { emitEthernet, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../src/wire/ethernet.ts';
import { emitIcmp, fillIcmpChecksum } from '../src/wire/icmp.ts';
import { emitIcmpv6, fillIcmpv6Checksum } from '../src/wire/icmpv6.ts';
import { emitIpv4, fillIpv4Checksum } from '../src/wire/ipv4.ts';
import { emitIpv6 } from '../src/wire/ipv6.ts';
import { MAC_BROADCAST, MAC_ZERO, multicastMac } from '../src/wire/mac.ts';
import { LOCAL_MAC, PEER_MAC } from './frames.ts';

/** Frames by hand, from the peer at 10.0.0.1, fe80::1 to us at 10.0.0.2, fd00::2 unless said otherwise. */
export const PEER4 = '10.0.0.1';
export const LOCAL4 = '10.0.0.2';
export const PEER6 = 'fd00::1';
export const LOCAL6 = 'fd00::2';

export interface IpFrameFields {
  source?: string;
  destination?: string;
  sourceMac?: Uint8Array;
  destinationMac?: Uint8Array;
  /** TTL or hop limit. */
  hopLimit?: number;
}

export interface ArpFrameFields {
  operation: number;
  senderMac?: Uint8Array;
  sender?: string;
  targetMac?: Uint8Array;
  target: string;
  destinationMac?: Uint8Array;
}

export function address(text: string): IpAddress {
  const parsed = IpAddress.parse(text);
  if (parsed === null) throw new Error(`not an address: ${text}`);
  return parsed;
}

export function arpFrame(fields: ArpFrameFields): Uint8Array {
  const bytes = new Uint8Array(14 + 28);
  const view = new DataView(bytes.buffer);
  const senderMac = fields.senderMac ?? PEER_MAC;
  emitEthernet(bytes, view, 0, fields.destinationMac ?? MAC_BROADCAST, senderMac, ETHERTYPE_ARP);
  const sender = address(fields.sender ?? PEER4);
  const targetMac = fields.targetMac ?? MAC_ZERO;
  emitArp(bytes, view, 14, fields.operation, senderMac, sender, targetMac, address(fields.target));
  return bytes;
}

/** An IPv4 packet with any protocol, options (a multiple of 4 bytes) and payload. */
export function ipv4Frame(
  protocol: number,
  payload: Uint8Array,
  fields: IpFrameFields & { options?: Uint8Array; flagsOffset?: number } = {},
): Uint8Array {
  const options = fields.options ?? new Uint8Array(0);
  const headerBytes = 20 + options.length;
  const totalBytes = headerBytes + payload.length;
  const bytes = new Uint8Array(14 + totalBytes);
  const view = new DataView(bytes.buffer);
  const source = address(fields.source ?? PEER4);
  const destination = address(fields.destination ?? LOCAL4);
  const mac = fields.destinationMac ?? LOCAL_MAC;
  emitEthernet(bytes, view, 0, mac, fields.sourceMac ?? PEER_MAC, ETHERTYPE_IPV4);
  emitIpv4(view, 14, source, destination, protocol, totalBytes, fields.hopLimit ?? 64, 1, true, 0);
  bytes[14] = 0x40 | (headerBytes / 4);
  if (fields.flagsOffset !== undefined) view.setUint16(14 + 6, fields.flagsOffset);
  bytes.set(options, 34);
  fillIpv4Checksum(bytes, view, 14);
  bytes.set(payload, 14 + headerBytes);
  return bytes;
}

/** An IPv6 packet whose payload begins with whatever `nextHeader` says: extension headers included. */
export function ipv6Frame(nextHeader: number, payload: Uint8Array, fields: IpFrameFields = {}): Uint8Array {
  const bytes = new Uint8Array(14 + 40 + payload.length);
  const view = new DataView(bytes.buffer);
  const source = address(fields.source ?? PEER6);
  const destination = address(fields.destination ?? LOCAL6);
  const mac = fields.destinationMac ?? (destination.isMulticast ? multicastMac(destination) : LOCAL_MAC);
  emitEthernet(bytes, view, 0, mac, fields.sourceMac ?? PEER_MAC, ETHERTYPE_IPV6);
  emitIpv6(view, 14, source, destination, nextHeader, payload.length, fields.hopLimit ?? 64, 0, 0);
  bytes.set(payload, 54);
  return bytes;
}

export function icmpFrame(
  type: number,
  code: number,
  rest: number,
  body: Uint8Array,
  fields: IpFrameFields = {},
): Uint8Array {
  const message = new Uint8Array(8 + body.length);
  const view = new DataView(message.buffer);
  emitIcmp(view, 0, type, code, rest);
  message.set(body, 8);
  fillIcmpChecksum(message, view, 0, message.length);
  return ipv4Frame(1, message, fields);
}

/** `extensions` lie between the IPv6 header and the message; their last next header is 58, their first `nextHeader`. */
export function icmpv6Frame(
  type: number,
  code: number,
  rest: number,
  body: Uint8Array,
  fields: IpFrameFields & { extensions?: Uint8Array; nextHeader?: number } = {},
): Uint8Array {
  const extensions = fields.extensions ?? new Uint8Array(0);
  const payload = new Uint8Array(extensions.length + 8 + body.length);
  payload.set(extensions);
  emitIcmpv6(new DataView(payload.buffer), extensions.length, type, code, rest);
  payload.set(body, extensions.length + 8);
  const bytes = ipv6Frame(fields.nextHeader ?? 58, payload, fields);
  const view = new DataView(bytes.buffer);
  fillIcmpv6Checksum(bytes, view, 14, 54 + extensions.length, 8 + body.length);
  return bytes;
}

/** A neighbour solicitation: hop limit 255, to the solicited-node group, with the sender's MAC unless `mac` is null. */
export function solicitationFrame(
  target: string,
  fields: IpFrameFields & { mac?: Uint8Array | null } = {},
): Uint8Array {
  const mac = fields.mac === undefined ? PEER_MAC : fields.mac;
  const destination = fields.destination ?? address(target).solicitedNode().toString();
  const body = neighborBody(target, mac === null ? 0 : 1, mac);
  return icmpv6Frame(135, 0, 0, body, { hopLimit: 255, ...fields, destination });
}

/** A neighbour advertisement; `flags` as NA_ROUTER, NA_SOLICITED, NA_OVERRIDE. */
export function advertisementFrame(
  target: string,
  flags: number,
  fields: IpFrameFields & { mac?: Uint8Array | null } = {},
): Uint8Array {
  const mac = fields.mac === undefined ? PEER_MAC : fields.mac;
  const body = neighborBody(target, mac === null ? 0 : 2, mac);
  return icmpv6Frame(136, 0, flags << 24, body, { hopLimit: 255, source: target, ...fields });
}

function neighborBody(target: string, option: number, mac: Uint8Array | null): Uint8Array {
  const body = new Uint8Array(16 + (mac === null ? 0 : 8));
  address(target).write(new DataView(body.buffer), 0);
  if (mac !== null) {
    body[16] = option;
    body[17] = 1;
    body.set(mac, 18);
  }
  return body;
}
