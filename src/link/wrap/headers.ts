import { ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6, etherType } from '../../wire/ethernet.ts';
import { checkIpv4, ipv4HeaderBytes, ipv4IsFragment, ipv4Protocol, ipv4TotalBytes } from '../../wire/ipv4.ts';
import { checkIpv6, IPV6_HEADER_BYTES, IPV6_NEXT_HEADER_OFFSET, ipv6PayloadBytes } from '../../wire/ipv6.ts';
import { Ipv6Extensions, walkIpv6Extensions } from '../../wire/ipv6-extension.ts';
import { PROTOCOL_TCP } from '../../wire/protocols.ts';
import { checkTcp } from '../../wire/tcp.ts';
import { isVlanType, MAX_VLAN_TAGS, VLAN_TAG_BYTES, vlanInnerType } from '../../wire/vlan.ts';

/** Of a frame that is not understood, or whose payload may be TCP's, this much counts as headers. */
const UNKNOWN_HEADER_BYTES = 54;

const extensions = new Ipv6Extensions();

/**
 * How much of a frame may be shown without showing what lies in device memory: of TCP all headers, of a fragment of a
 * datagram its IP headers, of anything else the whole frame, which is the host's own.
 *
 * @param bytes the beginning of the frame: `available` bytes of its `length`.
 */
export function shownBytes(bytes: Uint8Array, view: DataView, available: number, length: number): number {
  if (available < ETHERNET_HEADER_BYTES) return available;
  let l3 = ETHERNET_HEADER_BYTES;
  let type = etherType(view, 0);
  for (let tags = 0; tags < MAX_VLAN_TAGS && isVlanType(type) && l3 + VLAN_TAG_BYTES <= available; tags++) {
    type = vlanInnerType(view, l3);
    l3 += VLAN_TAG_BYTES;
  }
  if (type === ETHERTYPE_IPV4) return shownOfIpv4(bytes, view, l3, available, length);
  if (type === ETHERTYPE_IPV6) return shownOfIpv6(bytes, view, l3, available, length);
  return length;
}

function shownOfIpv4(bytes: Uint8Array, view: DataView, l3: number, available: number, length: number): number {
  if (checkIpv4(bytes, l3, available) < 0) return Math.min(UNKNOWN_HEADER_BYTES, length);
  const l4 = l3 + ipv4HeaderBytes(view, l3);
  if (ipv4IsFragment(view, l3)) return l4;
  if (ipv4Protocol(view, l3) !== PROTOCOL_TCP) return length;
  return shownOfTcp(bytes, l4, available, l3 + ipv4TotalBytes(view, l3), length);
}

function shownOfIpv6(bytes: Uint8Array, view: DataView, l3: number, available: number, length: number): number {
  const l4 = l3 + IPV6_HEADER_BYTES;
  if (checkIpv6(bytes, l3, available) < 0) return Math.min(UNKNOWN_HEADER_BYTES, length);
  const walked = walkIpv6Extensions(bytes, view, l3 + IPV6_NEXT_HEADER_OFFSET, l4, available, extensions);
  if (walked < 0) return l4;
  if (extensions.isFragment) return extensions.upperOffset;
  if (extensions.protocol !== PROTOCOL_TCP) return length;
  return shownOfTcp(bytes, l4 + walked, available, l4 + ipv6PayloadBytes(view, l3), length);
}

function shownOfTcp(bytes: Uint8Array, l4: number, available: number, ipEnd: number, length: number): number {
  const headerBytes = checkTcp(bytes, l4, available);
  if (headerBytes < 0) return Math.min(l4, length);
  // Without payload the frame is shown to its end, padding included.
  return l4 + headerBytes >= ipEnd ? length : l4 + headerBytes;
}
