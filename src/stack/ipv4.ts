import type { Packet } from '../nic/packet.ts';
import { checkIpv4Options, IPV4_HEADER_BYTES, ipv4DestinationWord, ipv4SourceWord } from '../wire/ipv4.ts';
import { PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/protocols.ts';
import type { InterfaceAddresses } from './addresses.ts';
import type { IpCounters } from './counters.ts';
import type { Icmp } from './icmp.ts';
import type { TcpLayer } from './tcp/layer.ts';

/**
 * IPv4 in (RFC 791, RFC 1122 §3.2.1). The NIC has checked version, lengths and header checksum.
 *
 * Fragments are refused and counted (`rxDropFragment`), never reassembled: their payload has lost the transport header
 * by which a NIC finds the queue and the memory it belongs to, so it could not land in device memory; and TCP with path
 * MTU discovery sends none. This stack itself always sets DF.
 */
export class Ipv4Input {
  readonly #addresses: InterfaceAddresses;
  readonly #tcp: TcpLayer;
  readonly #icmp: Icmp;
  readonly #counters: IpCounters;

  constructor(addresses: InterfaceAddresses, tcp: TcpLayer, icmp: Icmp, counters: IpCounters) {
    this.#addresses = addresses;
    this.#tcp = tcp;
    this.#icmp = icmp;
    this.#counters = counters;
  }

  input(packet: Packet, nowMicros: number): void {
    const { view, l3Offset } = packet;
    const destination = ipv4DestinationWord(view, l3Offset);
    const own = this.#addresses.find4(destination);
    if (own === null || !own.isUsable || packet.isLinkMulticast) {
      this.#inputGroup(destination);
      return;
    }
    if (!this.#isSourceValid(ipv4SourceWord(view, l3Offset))) {
      this.#counters.rxDropSource++;
      return;
    }
    if (packet.isFragment) {
      this.#counters.rxDropFragment++;
      return;
    }
    const headerBytes = packet.l4Offset - l3Offset;
    if (headerBytes > IPV4_HEADER_BYTES && !this.#areOptionsAccepted(packet, headerBytes)) return;
    this.#deliver(packet, nowMicros);
  }

  #deliver(packet: Packet, nowMicros: number): void {
    switch (packet.protocol) {
      case PROTOCOL_TCP:
        this.#counters.rxDeliveredTcp++;
        this.#tcp.input(packet, nowMicros);
        return;
      case PROTOCOL_ICMP:
        this.#icmp.input(packet, nowMicros);
        return;
      case PROTOCOL_UDP:
        this.#counters.rxDropPort++;
        this.#icmp.portUnreachable(packet, nowMicros);
        return;
      default:
        this.#counters.rxDropProtocol++;
        this.#icmp.protocolUnreachable(packet, nowMicros);
    }
  }

  /**
   * To a broadcast address, a group, or as a link broadcast (RFC 1122 §3.3.6): of no use to any protocol here, and
   * echo requests to groups are dropped as RFC 1122 §3.2.2.6 permits. All else is not for us at all.
   */
  #inputGroup(destination: number): void {
    const isGroup = destination >>> 28 === 0xe || this.#addresses.isBroadcast4(destination);
    if (isGroup || this.#addresses.find4(destination)?.isUsable === true) this.#counters.rxDropMulticast++;
    else this.#counters.rxDropDestination++;
  }

  /** RFC 1122 §3.2.1.3: what may not be a source. Our own address as a source is a forgery, or a conflict. */
  #isSourceValid(word: number): boolean {
    const first = word >>> 24;
    if (first === 0 || first === 127 || first >= 224) return false;
    return !this.#addresses.isBroadcast4(word) && this.#addresses.find4(word) === null;
  }

  #areOptionsAccepted(packet: Packet, headerBytes: number): boolean {
    const verdict = checkIpv4Options(packet.bytes, packet.l3Offset, headerBytes);
    if (verdict < 0) this.#counters.rxDropMalformed++;
    else if (verdict > 0) this.#counters.rxDropSourceRoute++;
    return verdict === 0;
  }
}
