import type { Packet } from '../nic/packet.ts';
import { IpAddress, UNSPECIFIED4 } from '../wire/address.ts';
import {
  ARP_REPLY,
  ARP_REQUEST,
  ARP_SENDER_IP_OFFSET,
  ARP_SENDER_MAC_OFFSET,
  arpOperation,
  arpSenderWord,
  arpTargetWord,
  checkArp,
  emitArp,
} from '../wire/arp.ts';
import { ETHERTYPE_ARP } from '../wire/ethernet.ts';
import { copyMac, MAC_BROADCAST, MAC_ZERO, matchesMac } from '../wire/mac.ts';
import type { InterfaceAddress, InterfaceAddresses } from './addresses.ts';
import type { IpCounters } from './counters.ts';
import type { NetDevice } from './device.ts';
import type { NeighborCache, NeighborEntry } from './neighbor.ts';
import type { IpSender } from './output.ts';
import type { RouteTable } from './route.ts';

/**
 * ARP (RFC 826) with address conflict detection (RFC 5227). Rows are made only for hosts on our own prefixes that ask
 * for us: what others say to each other, or say unasked, changes what we know but adds nothing.
 */
export class Arp {
  readonly #nic: NetDevice;
  readonly #addresses: InterfaceAddresses;
  readonly #routes: RouteTable;
  readonly #neighbors: NeighborCache;
  readonly #sender: IpSender;
  readonly #counters: IpCounters;
  /** The asker's address, out of the packet: the answer is built while the packet is still there, but not in it. */
  readonly #askerMac = new Uint8Array(6);

  constructor(
    nic: NetDevice,
    addresses: InterfaceAddresses,
    routes: RouteTable,
    neighbors: NeighborCache,
    sender: IpSender,
    counters: IpCounters,
  ) {
    this.#nic = nic;
    this.#addresses = addresses;
    this.#routes = routes;
    this.#neighbors = neighbors;
    this.#sender = sender;
    this.#counters = counters;
  }

  input(packet: Packet, nowMicros: number): void {
    const { bytes, view, l3Offset } = packet;
    if (checkArp(bytes, l3Offset, packet.slotOffset + packet.headerBytes) < 0) {
      this.#counters.rxDropMalformed++;
      return;
    }
    this.#counters.rxConsumedArp++;
    // Our own, brought back by a loop.
    if (matchesMac(bytes, l3Offset + ARP_SENDER_MAC_OFFSET, this.#nic.macAddress)) return;
    const senderWord = arpSenderWord(view, l3Offset);
    if (senderWord !== 0 && this.#conflicts(senderWord, nowMicros)) return;
    const target = this.#addresses.find4(arpTargetWord(view, l3Offset));
    const isRequest = arpOperation(view, l3Offset) === ARP_REQUEST;
    if (target === null) {
      if (senderWord !== 0) this.#refresh(packet, nowMicros);
    } else if (target.state === 'tentative') {
      // RFC 5227 §2.1.1: somebody else probes for the address that we are probing for.
      if (senderWord === 0 && isRequest) this.#addresses.markDuplicate(target);
    } else if (target.isUsable && isRequest) {
      this.#answer(packet, target, nowMicros);
    } else if (target.isUsable && senderWord !== 0) {
      const from = IpAddress.fromWord4(senderWord);
      this.#neighbors.confirmReply(from, bytes, l3Offset + ARP_SENDER_MAC_OFFSET, nowMicros);
    }
  }

  /** Asks who has `entry.address`; `unicast` asks only the host that last had it (RFC 1122 §2.3.2.1). */
  solicit(entry: NeighborEntry, unicast: boolean): void {
    const source = this.#addresses.selectSource(entry.address, entry.address);
    if (source === null) return;
    const to = unicast ? entry.macAddress : MAC_BROADCAST;
    this.#send(ARP_REQUEST, to, source.address, MAC_ZERO, entry.address);
  }

  /** RFC 5227 §2.1.1: a request whose sender address is empty, so that nobody's cache is touched. */
  probe(own: InterfaceAddress): void {
    this.#send(ARP_REQUEST, MAC_BROADCAST, UNSPECIFIED4, MAC_ZERO, own.address);
  }

  /** RFC 5227 §2.3. */
  announce(own: InterfaceAddress): void {
    this.#send(ARP_REQUEST, MAC_BROADCAST, own.address, MAC_ZERO, own.address);
  }

  /** Whether the sender claims an address of ours (RFC 5227 §2.1.1, §2.4); acts upon it. */
  #conflicts(senderWord: number, nowMicros: number): boolean {
    const own = this.#addresses.find4(senderWord);
    if (own === null) return false;
    if (own.state === 'tentative') this.#addresses.markDuplicate(own);
    else if (own.isUsable) this.#addresses.defend(own, nowMicros);
    return true;
  }

  #answer(packet: Packet, target: InterfaceAddress, nowMicros: number): void {
    const { bytes, view, l3Offset } = packet;
    const asker = IpAddress.read4(view, l3Offset + ARP_SENDER_IP_OFFSET);
    const macOffset = l3Offset + ARP_SENDER_MAC_OFFSET;
    if (!asker.isUnspecified && this.#isOnLink(asker)) this.#neighbors.learn(asker, bytes, macOffset, nowMicros);
    copyMac(this.#askerMac, 0, bytes, macOffset);
    this.#send(ARP_REPLY, this.#askerMac, target.address, this.#askerMac, asker);
  }

  #refresh(packet: Packet, nowMicros: number): void {
    const { bytes, view, l3Offset } = packet;
    const sender = IpAddress.read4(view, l3Offset + ARP_SENDER_IP_OFFSET);
    this.#neighbors.refresh(sender, bytes, l3Offset + ARP_SENDER_MAC_OFFSET, nowMicros);
  }

  #isOnLink(address: IpAddress): boolean {
    if (address.isMulticast || this.#addresses.isBroadcast4(address.w3)) return false;
    const row = this.#routes.lookup(address);
    return row !== null && row.gateway === null;
  }

  #send(operation: number, to: Uint8Array, source: IpAddress, targetMac: Uint8Array, target: IpAddress): void {
    const tx = this.#sender.beginFrame(to, ETHERTYPE_ARP);
    const { macAddress } = this.#nic;
    tx.headerBytes += emitArp(tx.bytes, tx.view, tx.l3Offset, operation, macAddress, source, targetMac, target);
    this.#sender.sendFrame();
  }
}
