import { HEADER_SLOT_BYTES, type Packet } from '../nic/packet.ts';
import {
  emitIcmpv6,
  ICMPV6_ECHO_REQUEST,
  ICMPV6_HEADER_BYTES,
  ICMPV6_NEIGHBOR_ADVERTISEMENT,
  ICMPV6_NEIGHBOR_SOLICITATION,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_PORT_UNREACHABLE,
  ICMPV6_REDIRECT,
  ICMPV6_ROUTER_ADVERTISEMENT,
  ICMPV6_ROUTER_SOLICITATION,
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_UNREACHABLE,
  ICMPV6_UNRECOGNISED_NEXT_HEADER,
  ICMPV6_UNRECOGNISED_OPTION,
  icmpv6Code,
  icmpv6IsError,
  icmpv6MtuBytes,
  icmpv6Type,
} from '../wire/icmpv6.ts';
import { IPV6_HEADER_BYTES, IPV6_MINIMUM_MTU_BYTES, ipv6Destination, ipv6Source } from '../wire/ipv6.ts';
import { PROTOCOL_ICMPV6, PROTOCOL_TCP } from '../wire/protocols.ts';
import { parseQuoted, QuotedPacket } from '../wire/quoted.ts';
import { tcpDestinationPort, tcpSequence, tcpSourcePort } from '../wire/tcp.ts';
import type { InterfaceAddresses } from './addresses.ts';
import type { IpCounters } from './counters.ts';
import { bytesInSlot, type EchoResponder } from './echo.ts';
import { ICMP_ERROR_BURST, ICMP_ERRORS_PER_SECOND } from './icmp.ts';
import type { NeighborDiscovery } from './nd.ts';
import type { Outbox } from './outbox.ts';
import type { IpSender } from './output.ts';
import { TokenBucket } from './rate-limit.ts';
import type { RouterDiscovery } from './router.ts';
import type { IcmpErrorKind, TcpLayer } from './tcp/layer.ts';

/** RFC 4443 §2.4 (c): as much of the packet as keeps the error within the minimum MTU. */
const MAX_QUOTE_BYTES: number = IPV6_MINIMUM_MTU_BYTES - IPV6_HEADER_BYTES - ICMPV6_HEADER_BYTES;

/** Codes of destination unreachable beyond those of wire/: RFC 4443 §3.1. */
const SOURCE_POLICY_FAILED = 5;
const ROUTE_REJECTED = 6;
const PROHIBITED = 1;

/** ICMPv6 (RFC 4443); the NIC has verified the checksum. */
export class Icmpv6 {
  readonly #addresses: InterfaceAddresses;
  readonly #tcp: TcpLayer;
  readonly #echo: EchoResponder;
  readonly #neighborDiscovery: NeighborDiscovery;
  readonly #routerDiscovery: RouterDiscovery;
  readonly #sender: IpSender;
  readonly #outbox: Outbox;
  readonly #counters: IpCounters;
  readonly #errorBucket = new TokenBucket(ICMP_ERRORS_PER_SECOND, ICMP_ERROR_BURST);
  readonly #quoted = new QuotedPacket();

  constructor(
    addresses: InterfaceAddresses,
    tcp: TcpLayer,
    echo: EchoResponder,
    neighborDiscovery: NeighborDiscovery,
    routerDiscovery: RouterDiscovery,
    sender: IpSender,
    outbox: Outbox,
    counters: IpCounters,
  ) {
    this.#addresses = addresses;
    this.#tcp = tcp;
    this.#echo = echo;
    this.#neighborDiscovery = neighborDiscovery;
    this.#routerDiscovery = routerDiscovery;
    this.#sender = sender;
    this.#outbox = outbox;
    this.#counters = counters;
  }

  /** A message to an address of ours (`isUnicast`, usable) or to a group we are in. */
  input(packet: Packet, isUnicast: boolean, nowMicros: number): void {
    const { view, l4Offset } = packet;
    if (packet.l4Bytes < ICMPV6_HEADER_BYTES || bytesInSlot(packet) < ICMPV6_HEADER_BYTES) {
      this.#counters.rxDropMalformed++;
      return;
    }
    const type = icmpv6Type(view, l4Offset);
    switch (type) {
      case ICMPV6_ECHO_REQUEST:
        this.#inputEcho(packet, isUnicast, nowMicros);
        return;
      case ICMPV6_NEIGHBOR_SOLICITATION:
        this.#neighborDiscovery.inputSolicitation(packet, nowMicros);
        return;
      case ICMPV6_NEIGHBOR_ADVERTISEMENT:
        this.#neighborDiscovery.inputAdvertisement(packet, nowMicros);
        return;
      case ICMPV6_ROUTER_ADVERTISEMENT:
        this.#routerDiscovery.inputAdvertisement(packet, nowMicros);
        return;
      case ICMPV6_UNREACHABLE:
      case ICMPV6_PACKET_TOO_BIG:
      case ICMPV6_TIME_EXCEEDED:
        if (isUnicast) this.#inputError(packet, type, nowMicros);
        else this.#counters.rxDropMulticast++;
        return;
      case ICMPV6_ROUTER_SOLICITATION:
      case ICMPV6_REDIRECT:
      default:
        // We are no router; redirects (RFC 4861 §8.3 "SHOULD") are not followed: one link, configured routes.
        this.#counters.rxDropIcmpType++;
    }
  }

  portUnreachable(packet: Packet, nowMicros: number): void {
    this.#sendError(packet, ICMPV6_UNREACHABLE, ICMPV6_PORT_UNREACHABLE, 0, false, nowMicros);
  }

  /** RFC 8200 §4: a next header value nobody here knows; `pointer` is where it stands, in bytes from the IPv6 header. */
  unknownNextHeader(packet: Packet, pointer: number, nowMicros: number): void {
    this.parameterProblem(packet, ICMPV6_UNRECOGNISED_NEXT_HEADER, pointer, false, nowMicros);
  }

  /** RFC 4443 §3.4. `evenToMulticast`: the option's type asks for a report wherever the packet went (RFC 8200 §4.2). */
  parameterProblem(packet: Packet, code: number, pointer: number, evenToMulticast: boolean, nowMicros: number): void {
    // RFC 4443 §2.4 (e.3): of parameter problems, only code 2 may answer a multicast.
    const toMulticast = evenToMulticast && code === ICMPV6_UNRECOGNISED_OPTION;
    this.#sendError(packet, ICMPV6_PARAMETER_PROBLEM, code, pointer, toMulticast, nowMicros);
  }

  /** Answered for groups too (RFC 4443 §4.2), from an address of ours; not for a link broadcast of a unicast packet. */
  #inputEcho(packet: Packet, isUnicast: boolean, nowMicros: number): void {
    const { view, l3Offset } = packet;
    const asker = ipv6Source(view, l3Offset);
    if (isUnicast && !packet.isLinkMulticast) {
      this.#echo.answer(packet, ipv6Destination(view, l3Offset), asker, nowMicros);
      return;
    }
    const own = isUnicast ? null : this.#addresses.selectSource(asker, asker);
    if (own === null) this.#counters.rxDropMulticast++;
    else this.#echo.answer(packet, own.address, asker, nowMicros);
  }

  #inputError(packet: Packet, type: number, nowMicros: number): void {
    const { bytes, view, l4Offset } = packet;
    const quoted = this.#quoted;
    const end = l4Offset + bytesInSlot(packet);
    const verdict = parseQuoted(bytes, view, l4Offset + ICMPV6_HEADER_BYTES, end, 6, quoted);
    if (verdict < 0 || quoted.protocol !== PROTOCOL_TCP) {
      this.#counters.rxDropIcmpType++;
      return;
    }
    const local = ipv6Source(view, quoted.l3Offset);
    const remote = ipv6Destination(view, quoted.l3Offset);
    const mtuBytes = type === ICMPV6_PACKET_TOO_BIG ? icmpv6MtuBytes(view, l4Offset) : 0;
    // RFC 8201 §4: a Packet Too Big that says less than 1280 is discarded (RFC 6946 is about what it used to lead to).
    const isAbsurd = type === ICMPV6_PACKET_TOO_BIG && mtuBytes < IPV6_MINIMUM_MTU_BYTES;
    if (isAbsurd || this.#addresses.find(local) === null) {
      this.#counters.rxDropIcmpType++;
      return;
    }
    this.#counters.rxConsumedIcmp++;
    const kind = errorKind(type, icmpv6Code(view, l4Offset));
    const at = quoted.l4Offset;
    const localPort = tcpSourcePort(view, at);
    const remotePort = tcpDestinationPort(view, at);
    this.#tcp.icmpError(kind, mtuBytes, local, localPort, remote, remotePort, tcpSequence(view, at), nowMicros);
    if (kind === 'packet-too-big') this.#sender.pathMtuReported(local, remote);
  }

  #sendError(
    packet: Packet,
    type: number,
    code: number,
    rest: number,
    evenToMulticast: boolean,
    nowMicros: number,
  ): void {
    if (!this.#mayReport(packet, evenToMulticast)) {
      this.#counters.txIcmpForbidden++;
      return;
    }
    if (!this.#errorBucket.take(nowMicros)) {
      this.#counters.txIcmpRateLimited++;
      return;
    }
    const { bytes, view, l3Offset } = packet;
    const destination = ipv6Destination(view, l3Offset);
    // RFC 4443 §2.2: the address that the packet went to, if it is ours; else one chosen for the way back.
    const route = this.#sender.route(ipv6Source(view, l3Offset), destination.isMulticast ? null : destination);
    if (route === null) {
      this.#counters.txDropNoRoute++;
      return;
    }
    const outbox = this.#outbox;
    if (!outbox.open(route, PROTOCOL_ICMPV6, nowMicros)) return;
    const inSlot = packet.slotOffset + Math.min(packet.headerBytes, HEADER_SLOT_BYTES) - l3Offset;
    const quoteBytes = Math.min(inSlot, MAX_QUOTE_BYTES);
    const at = outbox.offset + emitIcmpv6(outbox.view, outbox.offset, type, code, rest);
    for (let i = 0; i < quoteBytes; i++) outbox.bytes[at + i] = bytes[l3Offset + i]!;
    this.#counters.txIcmpErrors++;
    outbox.commit(ICMPV6_HEADER_BYTES + quoteBytes);
  }

  /**
   * RFC 4443 §2.4 (e): no error about an error or a redirect, a multicast of either layer (but for the two exceptions),
   * or a source that is no single host.
   */
  #mayReport(packet: Packet, evenToMulticast: boolean): boolean {
    const { view, l3Offset, l4Offset } = packet;
    const source = ipv6Source(view, l3Offset);
    if (source.isUnspecified || source.isMulticast) return false;
    const isMulticast = packet.isLinkMulticast || ipv6Destination(view, l3Offset).isMulticast;
    if (isMulticast && !evenToMulticast) return false;
    if (packet.protocol !== PROTOCOL_ICMPV6) return true;
    if (bytesInSlot(packet) < 1) return false;
    const type = icmpv6Type(view, l4Offset);
    return !icmpv6IsError(type) && type !== ICMPV6_REDIRECT;
  }
}

function errorKind(type: number, code: number): IcmpErrorKind {
  if (type === ICMPV6_PACKET_TOO_BIG) return 'packet-too-big';
  if (type === ICMPV6_TIME_EXCEEDED) return 'time-exceeded';
  if (code === ICMPV6_PORT_UNREACHABLE) return 'port-unreachable';
  const isPolicy = code === PROHIBITED || code === SOURCE_POLICY_FAILED || code === ROUTE_REJECTED;
  return isPolicy ? 'prohibited' : 'unreachable';
}
