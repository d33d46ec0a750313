/** A whole frame as one tcpdump-like line, for traces and test failures. Allocates as it likes. */
import { checkArp, describeArp } from './arp.ts';
import {
  checkEthernet,
  describeEthernet,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  etherType,
} from './ethernet.ts';
import { checkIcmp, describeIcmp } from './icmp.ts';
import {
  checkIcmpv6,
  describeIcmpv6,
  ICMPV6_NEIGHBOR_ADVERTISEMENT,
  ICMPV6_NEIGHBOR_SOLICITATION,
  icmpv6Type,
} from './icmpv6.ts';
import { checkIpv4, describeIpv4, ipv4FragmentOffsetBytes, ipv4Protocol, ipv4TotalBytes } from './ipv4.ts';
import { checkIpv6, describeIpv6, IPV6_NEXT_HEADER_OFFSET, ipv6PayloadBytes } from './ipv6.ts';
import { describeIpv6Extensions, Ipv6Extensions, walkIpv6Extensions } from './ipv6-extension.ts';
import { describeNeighbor, NEIGHBOR_MESSAGE_BYTES } from './ndp.ts';
import { PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP, protocolName } from './protocols.ts';
import { checkTcp, describeTcp, TCP_HEADER_BYTES } from './tcp.ts';
import { describeTcpOptions, parseTcpOptions, TcpOptions } from './tcp-options.ts';
import { checkUdp, describeUdp } from './udp.ts';
import { verdictName } from './verdict.ts';
import { checkVlan, describeVlan, isVlanType, MAX_VLAN_TAGS, vlanInnerType } from './vlan.ts';

/**
 * Describes the frame of `length` bytes at `offset`; fewer bytes than the headers announce are fine, as far as they go.
 * Never throws: what cannot be read is named (`[tcp truncated]`).
 */
export function describeFrame(bytes: Uint8Array, offset = 0, length: number = bytes.length - offset): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = Math.min(offset + length, bytes.length);
  const headerBytes = checkEthernet(bytes, offset, end);
  if (headerBytes < 0) return `[ethernet ${verdictName(headerBytes)}]`;
  const parts: string[] = [];
  let type = etherType(view, offset);
  let at = offset + headerBytes;
  for (let tags = 0; isVlanType(type) && tags < MAX_VLAN_TAGS; tags++) {
    const tagBytes = checkVlan(bytes, at, end);
    if (tagBytes < 0) return `[vlan ${verdictName(tagBytes)}]`;
    parts.push(describeVlan(view, at));
    type = vlanInnerType(view, at);
    at += tagBytes;
  }
  parts.push(describeNetwork(bytes, view, offset, at, end, type));
  return parts.join(' ');
}

/** Describes an IP packet, as ICMP errors quote them. */
export function describePacket(bytes: Uint8Array, offset = 0, length: number = bytes.length - offset): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = Math.min(offset + length, bytes.length);
  if (end <= offset) return '[ip truncated]';
  return bytes[offset]! >>> 4 === 6 ? describeV6(bytes, view, offset, end) : describeV4(bytes, view, offset, end);
}

function describeNetwork(
  bytes: Uint8Array,
  view: DataView,
  frame: number,
  at: number,
  end: number,
  type: number,
): string {
  switch (type) {
    case ETHERTYPE_IPV4:
      return describeV4(bytes, view, at, end);
    case ETHERTYPE_IPV6:
      return describeV6(bytes, view, at, end);
    case ETHERTYPE_ARP: {
      const verdict = checkArp(bytes, at, end);
      return verdict < 0 ? `[arp ${verdictName(verdict)}]` : describeArp(bytes, view, at);
    }
    default:
      return describeEthernet(bytes, view, frame);
  }
}

function describeV4(bytes: Uint8Array, view: DataView, at: number, end: number): string {
  const headerBytes = checkIpv4(bytes, at, end);
  if (headerBytes < 0) return `[ip ${verdictName(headerBytes)}]`;
  const head = describeIpv4(view, at);
  if (ipv4FragmentOffsetBytes(view, at) > 0) return head;
  const l4Bytes = ipv4TotalBytes(view, at) - headerBytes;
  return `${head}: ${describeTransport(bytes, view, at + headerBytes, end, ipv4Protocol(view, at), l4Bytes)}`;
}

function describeV6(bytes: Uint8Array, view: DataView, at: number, end: number): string {
  const headerBytes = checkIpv6(bytes, at, end);
  if (headerBytes < 0) return `[ip6 ${verdictName(headerBytes)}]`;
  const extensions = new Ipv6Extensions();
  const walked = walkIpv6Extensions(bytes, view, at + IPV6_NEXT_HEADER_OFFSET, at + headerBytes, end, extensions);
  const head = describeIpv6(view, at);
  if (walked < 0) return `${head} [extension ${verdictName(walked)}]`;
  const between = walked === 0 ? '' : ` ${describeIpv6Extensions(extensions)}`;
  if (extensions.fragmentOffsetBytes > 0) return `${head}${between}`;
  const l4Bytes = ipv6PayloadBytes(view, at) - walked;
  const transport = describeTransport(bytes, view, extensions.upperOffset, end, extensions.protocol, l4Bytes);
  return `${head}${between}: ${transport}`;
}

function describeTransport(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
  protocol: number,
  l4Bytes: number,
): string {
  switch (protocol) {
    case PROTOCOL_TCP: {
      const verdict = checkTcp(bytes, at, end);
      return verdict < 0 ? `[tcp ${verdictName(verdict)}]` : describeSegment(bytes, view, at, verdict, l4Bytes);
    }
    case PROTOCOL_UDP: {
      const verdict = checkUdp(bytes, at, end);
      return verdict < 0 ? `[udp ${verdictName(verdict)}]` : describeUdp(view, at);
    }
    case PROTOCOL_ICMP: {
      const verdict = checkIcmp(bytes, at, end);
      return verdict < 0 ? `[icmp ${verdictName(verdict)}]` : describeIcmp(view, at, l4Bytes);
    }
    case PROTOCOL_ICMPV6: {
      const verdict = checkIcmpv6(bytes, at, end);
      return verdict < 0 ? `[icmp6 ${verdictName(verdict)}]` : describeControl6(view, at, end, l4Bytes);
    }
    default:
      return protocolName(protocol);
  }
}

function describeSegment(bytes: Uint8Array, view: DataView, at: number, headerBytes: number, l4Bytes: number): string {
  const options = new TcpOptions();
  const verdict = parseTcpOptions(bytes, view, at + TCP_HEADER_BYTES, at + headerBytes, options);
  const text = verdict < 0 ? '<malformed options>' : describeTcpOptions(options);
  return `${describeTcp(view, at, l4Bytes)}${text === '' ? '' : ` ${text}`}`;
}

function describeControl6(view: DataView, at: number, end: number, l4Bytes: number): string {
  const type = icmpv6Type(view, at);
  const isAdvertisement = type === ICMPV6_NEIGHBOR_ADVERTISEMENT;
  const text = describeIcmpv6(view, at, l4Bytes);
  if ((!isAdvertisement && type !== ICMPV6_NEIGHBOR_SOLICITATION) || end - at < NEIGHBOR_MESSAGE_BYTES) return text;
  return `${text} ${describeNeighbor(view, at, isAdvertisement)}`;
}
