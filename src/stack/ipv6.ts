import { HEADER_SLOT_BYTES, type Packet } from '../nic/packet.ts';
import { ICMPV6_ERRONEOUS_FIELD, ICMPV6_UNRECOGNISED_OPTION } from '../wire/icmpv6.ts';
import {
  IPV6_DESTINATION_OFFSET,
  IPV6_HEADER_BYTES,
  IPV6_NEXT_HEADER_OFFSET,
  IPV6_SOURCE_OFFSET,
  ipv6NextHeader,
} from '../wire/ipv6.ts';
import {
  Ipv6Extensions,
  isIpv6Extension,
  OPTION_ACTION_DISCARD,
  OPTION_ACTION_DISCARD_REPORT,
  walkIpv6Extensions,
} from '../wire/ipv6-extension.ts';
import { PROTOCOL_ICMPV6, PROTOCOL_NO_NEXT_HEADER, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/protocols.ts';
import type { InterfaceAddresses } from './addresses.ts';
import type { IpCounters } from './counters.ts';
import type { Icmpv6 } from './icmpv6.ts';
import type { TcpLayer } from './tcp/layer.ts';

/** Of a routing header, where its type stands (RFC 8200 §4.4). */
const ROUTING_TYPE_OFFSET = 2;

/**
 * IPv6 in (RFC 8200). The NIC has checked version, lengths and transport checksums.
 *
 * Fragments are refused and counted (`rxDropFragment`), for the reason given in ipv4.ts; a fragment header on a whole
 * packet (RFC 6946) is stepped over. Routing headers are not followed.
 */
export class Ipv6Input {
  readonly #addresses: InterfaceAddresses;
  readonly #tcp: TcpLayer;
  readonly #icmp: Icmpv6;
  readonly #counters: IpCounters;
  readonly #extensions = new Ipv6Extensions();

  constructor(addresses: InterfaceAddresses, tcp: TcpLayer, icmp: Icmpv6, counters: IpCounters) {
    this.#addresses = addresses;
    this.#tcp = tcp;
    this.#icmp = icmp;
    this.#counters = counters;
  }

  input(packet: Packet, nowMicros: number): void {
    const { view, l3Offset } = packet;
    const isUnicast = this.#isOurUnicast(view, l3Offset + IPV6_DESTINATION_OFFSET);
    if (!isUnicast && !this.#isOurGroup(view, l3Offset + IPV6_DESTINATION_OFFSET)) {
      this.#counters.rxDropDestination++;
      return;
    }
    if (isUnicast && packet.isLinkMulticast) {
      this.#counters.rxDropMulticast++;
      return;
    }
    const nextHeader = ipv6NextHeader(view, l3Offset);
    if (!this.#isSourceValid(view, l3Offset + IPV6_SOURCE_OFFSET, packet.protocol)) {
      this.#counters.rxDropSource++;
    } else if (!isIpv6Extension(nextHeader)) {
      this.#deliver(packet, nextHeader, IPV6_NEXT_HEADER_OFFSET, isUnicast, nowMicros);
    } else if (this.#walk(packet, nowMicros)) {
      const { protocol, nextHeaderOffset } = this.#extensions;
      this.#deliver(packet, protocol, nextHeaderOffset - l3Offset, isUnicast, nowMicros);
    }
  }

  #deliver(packet: Packet, protocol: number, pointer: number, isUnicast: boolean, nowMicros: number): void {
    if (protocol === PROTOCOL_ICMPV6) {
      this.#icmp.input(packet, isUnicast, nowMicros);
    } else if (!isUnicast) {
      this.#counters.rxDropMulticast++;
    } else if (protocol === PROTOCOL_TCP) {
      this.#counters.rxDeliveredTcp++;
      this.#tcp.input(packet, nowMicros);
    } else if (protocol === PROTOCOL_UDP) {
      this.#counters.rxDropPort++;
      this.#icmp.portUnreachable(packet, nowMicros);
    } else {
      this.#counters.rxDropProtocol++;
      // RFC 8200 §4.7: nothing follows, nothing is missing.
      if (protocol !== PROTOCOL_NO_NEXT_HEADER) this.#icmp.unknownNextHeader(packet, pointer, nowMicros);
    }
  }

  /** Steps over the extension headers; false: the packet was dropped, counted, and reported where that is asked for. */
  #walk(packet: Packet, nowMicros: number): boolean {
    const { bytes, view, l3Offset, slotOffset } = packet;
    const extensions = this.#extensions;
    const end = slotOffset + Math.min(packet.headerBytes, HEADER_SLOT_BYTES);
    const first = l3Offset + IPV6_HEADER_BYTES;
    const verdict = walkIpv6Extensions(bytes, view, l3Offset + IPV6_NEXT_HEADER_OFFSET, first, end, extensions);
    if (verdict < 0) {
      this.#counters.rxDropMalformed++;
      const { problemOffset } = extensions;
      if (problemOffset >= 0) {
        this.#icmp.parameterProblem(packet, ICMPV6_ERRONEOUS_FIELD, problemOffset - l3Offset, false, nowMicros);
      }
      return false;
    }
    if (extensions.unknownOptionOffset >= 0) return this.#refuseOption(packet, nowMicros);
    if (extensions.routingOffset >= 0 && extensions.segmentsLeft > 0) return this.#refuseRouting(packet, nowMicros);
    if (extensions.isFragment) {
      this.#counters.rxDropFragment++;
      return false;
    }
    return true;
  }

  /** RFC 8200 §4.2: the two highest bits of the option's type say what is to be done about it. */
  #refuseOption(packet: Packet, nowMicros: number): boolean {
    this.#counters.rxDropOption++;
    const { unknownOptionAction, unknownOptionOffset } = this.#extensions;
    if (unknownOptionAction === OPTION_ACTION_DISCARD) return false;
    const pointer = unknownOptionOffset - packet.l3Offset;
    const evenToMulticast = unknownOptionAction === OPTION_ACTION_DISCARD_REPORT;
    this.#icmp.parameterProblem(packet, ICMPV6_UNRECOGNISED_OPTION, pointer, evenToMulticast, nowMicros);
    return false;
  }

  /** RFC 8200 §4.4 for a type that is not recognised, and RFC 5095 §3 for type 0: reported, pointing at the type. */
  #refuseRouting(packet: Packet, nowMicros: number): boolean {
    this.#counters.rxDropRoutingHeader++;
    const pointer = this.#extensions.routingOffset + ROUTING_TYPE_OFFSET - packet.l3Offset;
    this.#icmp.parameterProblem(packet, ICMPV6_ERRONEOUS_FIELD, pointer, false, nowMicros);
    return false;
  }

  #isOurUnicast(view: DataView, offset: number): boolean {
    const own = this.#addresses.find6(
      view.getInt32(offset),
      view.getInt32(offset + 4),
      view.getInt32(offset + 8),
      view.getInt32(offset + 12),
    );
    return own !== null && own.isUsable;
  }

  /** ff02::1, ff01::1, and the solicited-node groups of our addresses, tentative ones too (RFC 4291 §2.8). */
  #isOurGroup(view: DataView, offset: number): boolean {
    const head = view.getUint32(offset);
    if ((head !== 0xff02_0000 && head !== 0xff01_0000) || view.getInt32(offset + 4) !== 0) return false;
    const high = view.getInt32(offset + 8);
    const low = view.getInt32(offset + 12);
    if (high === 0 && low === 1) return true;
    if (head !== 0xff02_0000 || high !== 1 || low >>> 24 !== 0xff) return false;
    for (const entry of this.#addresses.list) {
      if (entry.address.family === 6 && (entry.address.w3 & 0xff_ffff) === (low & 0xff_ffff)) return true;
    }
    return false;
  }

  /**
   * What may not be a source: groups (RFC 4291 §2.7), loopback and IPv4-mapped addresses (RFC 4291 §2.5.3, RFC 6890),
   * our own and the unspecified address unless in neighbour discovery.
   */
  #isSourceValid(view: DataView, offset: number, protocol: number): boolean {
    const w0 = view.getInt32(offset);
    const w1 = view.getInt32(offset + 4);
    const w2 = view.getInt32(offset + 8);
    const w3 = view.getInt32(offset + 12);
    if (w0 >>> 24 === 0xff) return false;
    if (w0 === 0 && w1 === 0) {
      if (w2 === 0xffff) return false;
      if (w2 === 0 && w3 === 0) return protocol === PROTOCOL_ICMPV6;
      if (w2 === 0 && w3 === 1) return false;
    }
    const own = this.#addresses.find6(w0, w1, w2, w3);
    // Whoever else has our address must be heard where he says so.
    return own === null || protocol === PROTOCOL_ICMPV6;
  }
}
