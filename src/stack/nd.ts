import type { Packet } from '../nic/packet.ts';
import { ALL_NODES6, type IpAddress, UNSPECIFIED6 } from '../wire/address.ts';
import { ETHERNET_SOURCE_OFFSET, ETHERTYPE_IPV6 } from '../wire/ethernet.ts';
import { emitIpv6, IPV6_HEADER_BYTES, IPV6_PAYLOAD_LENGTH_OFFSET, ipv6Source } from '../wire/ipv6.ts';
import { copyMac, matchesMac, multicastMac } from '../wire/mac.ts';
import {
  checkNeighborAdvertisement,
  checkNeighborSolicitation,
  emitNeighborAdvertisement,
  emitNeighborSolicitation,
  NA_OVERRIDE,
  NA_ROUTER,
  NA_SOLICITED,
  naFlags,
  NDP_HOP_LIMIT,
  NdpOptions,
  ndpTarget,
} from '../wire/ndp.ts';
import { PROTOCOL_ICMPV6 } from '../wire/protocols.ts';
import type { InterfaceAddress, InterfaceAddresses } from './addresses.ts';
import type { IpCounters } from './counters.ts';
import type { NetDevice } from './device.ts';
import { isWholeInSlot } from './echo.ts';
import type { NeighborCache, NeighborEntry } from './neighbor.ts';
import type { IpSender } from './output.ts';

/**
 * Neighbour discovery: address resolution and unreachability (RFC 4861 §7), duplicate address detection (RFC 4862 §5.4,
 * optimistic: RFC 4429).
 *
 * No MLD reports are sent (RFC 4861 §7.2.1 asks for them): a TAP, a cable and an ordinary port deliver every group, only
 * a bridge that snoops MLD would need them.
 */
export class NeighborDiscovery {
  readonly #nic: NetDevice;
  readonly #addresses: InterfaceAddresses;
  readonly #neighbors: NeighborCache;
  readonly #sender: IpSender;
  readonly #counters: IpCounters;
  readonly #options = new NdpOptions();
  readonly #askerMac = new Uint8Array(6);

  constructor(
    nic: NetDevice,
    addresses: InterfaceAddresses,
    neighbors: NeighborCache,
    sender: IpSender,
    counters: IpCounters,
  ) {
    this.#nic = nic;
    this.#addresses = addresses;
    this.#neighbors = neighbors;
    this.#sender = sender;
    this.#counters = counters;
  }

  inputSolicitation(packet: Packet, nowMicros: number): void {
    const { bytes, view, l3Offset, l4Offset } = packet;
    const end = l4Offset + packet.l4Bytes;
    const options = this.#options;
    if (!isWholeInSlot(packet) || checkNeighborSolicitation(bytes, view, l3Offset, l4Offset, end, options) < 0) {
      this.#counters.rxDropNdInvalid++;
      return;
    }
    this.#counters.rxConsumedNd++;
    if (this.#isOurOwn(packet)) return;
    const own = this.#addresses.find(ndpTarget(view, l4Offset));
    if (own === null || own.state === 'duplicate') return;
    const source = ipv6Source(view, l3Offset);
    if (!source.isUnspecified) {
      // RFC 4862 §5.4.3: who asks for a tentative address means somebody else, or will ask again.
      if (own.isUsable) this.#answer(packet, own, source, nowMicros);
    } else if (own.state === 'preferred') {
      this.#sendAdvertisement(own, multicastMac(ALL_NODES6), ALL_NODES6, NA_OVERRIDE);
    } else {
      // RFC 4862 §5.4.3, RFC 4429 §3.3: both want it, so nobody gets it.
      this.#addresses.markDuplicate(own);
    }
  }

  inputAdvertisement(packet: Packet, nowMicros: number): void {
    const { bytes, view, l3Offset, l4Offset } = packet;
    const end = l4Offset + packet.l4Bytes;
    const options = this.#options;
    if (!isWholeInSlot(packet) || checkNeighborAdvertisement(bytes, view, l3Offset, l4Offset, end, options) < 0) {
      this.#counters.rxDropNdInvalid++;
      return;
    }
    this.#counters.rxConsumedNd++;
    if (this.#isOurOwn(packet)) return;
    const target = ndpTarget(view, l4Offset);
    const own = this.#addresses.find(target);
    if (own !== null) {
      // RFC 4862 §5.4.4; for an address that has passed its detection the RFC leaves the matter to the operator.
      if (own.state === 'tentative' || own.state === 'optimistic') this.#addresses.markDuplicate(own);
      else if (own.state === 'preferred') this.#counters.ndConflicts++;
      return;
    }
    const flags = naFlags(view, l4Offset);
    const isRouter = (flags & NA_ROUTER) !== 0;
    const isSolicited = (flags & NA_SOLICITED) !== 0;
    const overrides = (flags & NA_OVERRIDE) !== 0;
    this.#neighbors.advertise(target, bytes, options.targetMacOffset, isRouter, isSolicited, overrides, nowMicros);
  }

  /** RFC 4861 §7.2.2: to the solicited-node group, or (`unicast`) to the address in doubt. */
  solicit(entry: NeighborEntry, unicast: boolean): void {
    const source = this.#addresses.selectSource(entry.address, entry.address);
    if (source === null) return;
    const to = unicast ? entry.address : entry.address.solicitedNode();
    const toMac = unicast ? entry.macAddress : multicastMac(to);
    // RFC 4429 §3.2 would not have an optimistic node resolve at all; without the option no cache can be led astray,
    // and the peer finds us by its own solicitation (Linux does the same).
    const mac = source.state === 'optimistic' ? null : this.#nic.macAddress;
    this.#sendSolicitation(source.address, to, toMac, entry.address, mac);
  }

  /** RFC 4862 §5.4.2. */
  probe(own: InterfaceAddress): void {
    const group = own.address.solicitedNode();
    this.#sendSolicitation(UNSPECIFIED6, group, multicastMac(group), own.address, null);
  }

  /** RFC 4861 §7.2.6: an unsolicited advertisement. */
  announce(own: InterfaceAddress): void {
    this.#sendAdvertisement(own, multicastMac(ALL_NODES6), ALL_NODES6, NA_OVERRIDE);
  }

  /** Begins an IPv6 frame from a link-layer address to another, hop limit 255; returns where the message goes; `finishMessage` sends it. */
  beginMessage(source: IpAddress, destination: IpAddress, toMac: Uint8Array): number {
    const tx = this.#sender.beginFrame(toMac, ETHERTYPE_IPV6);
    emitIpv6(tx.view, tx.l3Offset, source, destination, PROTOCOL_ICMPV6, 0, NDP_HOP_LIMIT, 0, 0);
    tx.l4Offset = tx.l3Offset + IPV6_HEADER_BYTES;
    tx.protocol = PROTOCOL_ICMPV6;
    tx.needsChecksum = true;
    return tx.l4Offset;
  }

  finishMessage(lengthBytes: number): void {
    const { tx } = this.#nic;
    tx.view.setUint16(tx.l3Offset + IPV6_PAYLOAD_LENGTH_OFFSET, lengthBytes);
    tx.headerBytes = tx.l4Offset + lengthBytes;
    this.#sender.sendFrame();
  }

  /** RFC 4861 §7.2.4. */
  #answer(packet: Packet, own: InterfaceAddress, asker: IpAddress, nowMicros: number): void {
    const { bytes, slotOffset } = packet;
    const { sourceMacOffset } = this.#options;
    if (sourceMacOffset >= 0 && !asker.isMulticast) {
      this.#neighbors.learn(asker, bytes, sourceMacOffset, nowMicros);
      copyMac(this.#askerMac, 0, bytes, sourceMacOffset);
    } else {
      // Without the option the asker is to be resolved first; the frame's own source says the same, for this answer.
      copyMac(this.#askerMac, 0, bytes, slotOffset + ETHERNET_SOURCE_OFFSET);
    }
    // RFC 4429 §3.3: an optimistic address overrides nobody's cache.
    const override = own.state === 'optimistic' ? 0 : NA_OVERRIDE;
    this.#sendAdvertisement(own, this.#askerMac, asker, NA_SOLICITED | override);
  }

  #isOurOwn(packet: Packet): boolean {
    return matchesMac(packet.bytes, packet.slotOffset + ETHERNET_SOURCE_OFFSET, this.#nic.macAddress);
  }

  #sendAdvertisement(own: InterfaceAddress, toMac: Uint8Array, destination: IpAddress, flags: number): void {
    const { tx, macAddress } = this.#nic;
    const at = this.beginMessage(own.address, destination, toMac);
    this.finishMessage(emitNeighborAdvertisement(tx.bytes, tx.view, at, own.address, flags, macAddress));
  }

  #sendSolicitation(
    source: IpAddress,
    destination: IpAddress,
    toMac: Uint8Array,
    target: IpAddress,
    mac: Uint8Array | null,
  ): void {
    const { tx } = this.#nic;
    const at = this.beginMessage(source, destination, toMac);
    this.finishMessage(emitNeighborSolicitation(tx.bytes, tx.view, at, target, mac));
  }
}
