import { ERRNO } from '../core/errno.ts';
import type { TxFrame } from '../nic/tx-frame.ts';
import type { IpAddress } from '../wire/address.ts';
import { foldChecksum, sumBytes } from '../wire/checksum.ts';
import { emitEthernet, ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.ts';
import {
  emitIpv4,
  IPV4_CHECKSUM_OFFSET,
  IPV4_HEADER_BYTES,
  IPV4_PROTOCOL_OFFSET,
  IPV4_TOTAL_LENGTH_OFFSET,
  IPV4_TTL_OFFSET,
  ipv4TrafficClass,
} from '../wire/ipv4.ts';
import {
  emitIpv6,
  IPV6_HEADER_BYTES,
  IPV6_HOP_LIMIT_OFFSET,
  IPV6_NEXT_HEADER_OFFSET,
  IPV6_PAYLOAD_LENGTH_OFFSET,
} from '../wire/ipv6.ts';
import { PROTOCOL_ICMP } from '../wire/protocols.ts';
import { writeTrafficClass } from '../wire/traffic-class.ts';
import type { InterfaceAddresses } from './addresses.ts';
import type { IpCounters } from './counters.ts';
import type { NetDevice } from './device.ts';
import type { NeighborCache, NeighborEntry } from './neighbor.ts';
import { Route, type IpOutput, type RouteTable } from './route.ts';

/** RFC 1700's default TTL and RFC 4861 §6.3.2's default hop limit. */
const DEFAULT_HOP_LIMIT = 64;
/** Total Length and Payload Length are 16-bit fields; jumbograms are not spoken here. */
const MAX_LENGTH_FIELD = 65_535;

const L3 = ETHERNET_HEADER_BYTES;

/** The way down: routes, source addresses, next hops, and the two headers below a transport's. */
export class IpSender implements IpOutput {
  readonly #nic: NetDevice;
  readonly #addresses: InterfaceAddresses;
  readonly #routes: RouteTable;
  readonly #neighbors: NeighborCache;
  readonly #counters: IpCounters;
  /** RFC 4861 §6.3.4: a router may lower the link's IPv6 MTU and set the hop limit. */
  linkMtu6Bytes: number;
  hopLimit6: number = DEFAULT_HOP_LIMIT;

  constructor(
    nic: NetDevice,
    addresses: InterfaceAddresses,
    routes: RouteTable,
    neighbors: NeighborCache,
    counters: IpCounters,
  ) {
    this.#nic = nic;
    this.#addresses = addresses;
    this.#routes = routes;
    this.#neighbors = neighbors;
    this.#counters = counters;
    this.linkMtu6Bytes = nic.mtuBytes;
  }

  /**
   * Null also for our own addresses: nothing loops back inside this stack, two ends in one process use a cable. And for
   * groups, which no transport here speaks to.
   */
  route(destination: IpAddress, source: IpAddress | null): Route | null {
    if (destination.isMulticast || destination.isBroadcast || destination.isUnspecified || destination.isLoopback) {
      return null;
    }
    if (this.#addresses.find(destination) !== null || this.#isSubnetBroadcast(destination)) return null;
    const row = this.#routes.lookup(destination);
    if (row === null) return null;
    const nextHop = row.gateway ?? destination;
    const from = source === null ? this.#addresses.selectSource(destination, nextHop) : this.#addresses.find(source);
    if (from === null || !from.isUsable || from.address.family !== destination.family) return null;
    const known = this.#routes.cached(destination, from.address);
    if (known !== null) return known;
    const mtuBytes = destination.family === 4 ? this.#nic.mtuBytes : this.linkMtu6Bytes;
    const route = new Route(from.address, destination, nextHop, mtuBytes);
    this.#routes.remember(route);
    return route;
  }

  begin(route: Route, protocol: number, nowMicros: number, trafficClass = 0): TxFrame | null {
    const neighbor = route.neighbor;
    if (
      (neighbor === null || neighbor.version !== route.neighborVersion || nowMicros >= neighbor.freshUntilMicros) &&
      !this.#refresh(route, nowMicros)
    ) {
      return null;
    }
    const { tx } = this.#nic;
    tx.clear();
    tx.bytes.set(route.template);
    tx.bytes[L3 + (route.family === 4 ? IPV4_PROTOCOL_OFFSET : IPV6_NEXT_HEADER_OFFSET)] = protocol;
    if (trafficClass !== 0) writeTrafficClass(tx.bytes, L3, trafficClass);
    tx.l3Offset = L3;
    tx.l4Offset = route.templateBytes;
    tx.headerBytes = route.templateBytes;
    tx.protocol = protocol;
    // The stack sums ICMPv4 itself: no NIC offers that.
    tx.needsChecksum = protocol !== PROTOCOL_ICMP;
    return tx;
  }

  send(route: Route, tx: TxFrame): number {
    const ipBytes = tx.headerBytes - L3 + tx.payloadBytes;
    const { view } = tx;
    if (route.family === 4) {
      if (ipBytes > MAX_LENGTH_FIELD) return -ERRNO.EMSGSIZE;
      view.setUint16(L3 + IPV4_TOTAL_LENGTH_OFFSET, ipBytes);
      const trafficClass = ipv4TrafficClass(view, L3);
      let sum = route.templateSum + ipBytes + tx.protocol + trafficClass;
      if (tx.hopLimit > 0) {
        // In one's complement, what goes is what comes of the rest of 16 bits.
        sum += 0xffff - (view.getUint8(L3 + IPV4_TTL_OFFSET) << 8) + (tx.hopLimit << 8);
        view.setUint8(L3 + IPV4_TTL_OFFSET, tx.hopLimit);
      }
      view.setUint16(L3 + IPV4_CHECKSUM_OFFSET, foldChecksum(sum));
    } else {
      const payloadBytes = ipBytes - IPV6_HEADER_BYTES;
      if (payloadBytes > MAX_LENGTH_FIELD) return -ERRNO.EMSGSIZE;
      view.setUint16(L3 + IPV6_PAYLOAD_LENGTH_OFFSET, payloadBytes);
      if (tx.hopLimit > 0) view.setUint8(L3 + IPV6_HOP_LIMIT_OFFSET, tx.hopLimit);
    }
    const sent = this.#nic.transmit();
    if (sent > 0) this.#counters.txPackets++;
    else if (sent < 0) this.#counters.txErrors++;
    return sent;
  }

  /** A transport has seen forward progress by this route: its next hop is reachable (RFC 4861 §7.3.1): no probes. */
  confirm(route: Route, nowMicros: number): void {
    if (route.neighbor !== null) this.#neighbors.confirm(route.neighbor, route.neighborVersion, nowMicros);
  }

  /** A transport has been told of a smaller path MTU. If it believed it, the table must know when to forget it. */
  pathMtuReported(local: IpAddress, remote: IpAddress): void {
    const route = this.#routes.cached(remote, local);
    if (route === null || route.mtuBytes === route.linkMtuBytes) return;
    this.#counters.pathMtuLowered++;
    this.#routes.noteExpiry(route);
  }

  /** Begins a frame of our own to a link-layer address: ARP, neighbour discovery. */
  beginFrame(destination: Uint8Array, type: number): TxFrame {
    const { tx, macAddress } = this.#nic;
    tx.clear();
    tx.l3Offset = emitEthernet(tx.bytes, tx.view, 0, destination, macAddress, type);
    tx.l4Offset = tx.l3Offset;
    tx.headerBytes = tx.l3Offset;
    return tx;
  }

  /** Sends what `beginFrame` began. These messages have timers behind them: a full link only delays them. */
  sendFrame(): boolean {
    const sent = this.#nic.transmit();
    if (sent > 0) this.#counters.txPackets++;
    else if (sent === 0) this.#counters.txDropLinkFull++;
    else this.#counters.txErrors++;
    return sent > 0;
  }

  /** Routes or addresses have changed: what every route knows of its next hop is looked up anew. */
  invalidate(): void {
    this.#neighbors.invalidate();
  }

  #isSubnetBroadcast(destination: IpAddress): boolean {
    return destination.family === 4 && this.#addresses.isBroadcast4(destination.w3);
  }

  /** Whether the route's next hop can be sent to now. Asks for it if not, and lays the headers anew if it changed. */
  #refresh(route: Route, nowMicros: number): boolean {
    route.expireMtu(nowMicros);
    const known = route.neighbor;
    if (known !== null && known.version === route.neighborVersion) {
      this.#neighbors.use(known, nowMicros);
      // A retried resolution makes the row a new one.
      if (known.version === route.neighborVersion && known.isUsable) return true;
    }
    const neighbor = this.#nextHop(route, nowMicros);
    if (neighbor === null) {
      route.neighbor = null;
      route.state = 'failed';
      return false;
    }
    route.neighbor = neighbor;
    route.neighborVersion = neighbor.version;
    if (!neighbor.isUsable) {
      route.state = neighbor.state === 'FAILED' ? 'failed' : 'resolving';
      return false;
    }
    this.#layTemplate(route, neighbor);
    route.state = 'ready';
    return true;
  }

  /** Null: the source is no longer ours, there is no route any more, or too many resolutions are under way. */
  #nextHop(route: Route, nowMicros: number): NeighborEntry | null {
    if (this.#addresses.find(route.source)?.isUsable !== true) return null;
    const row = this.#routes.lookup(route.destination);
    if (row === null) return null;
    route.nextHop = row.gateway ?? route.destination;
    return this.#neighbors.resolve(route.nextHop, nowMicros);
  }

  #layTemplate(route: Route, neighbor: NeighborEntry): void {
    const { template, templateView } = route;
    const type = route.family === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
    emitEthernet(template, templateView, 0, neighbor.macAddress, this.#nic.macAddress, type);
    if (route.family === 4) {
      // RFC 6864 §4.1: the id of a datagram that is never fragmented (DF) means nothing.
      emitIpv4(templateView, L3, route.source, route.destination, 0, 0, DEFAULT_HOP_LIMIT, 0, true, 0);
      templateView.setUint16(L3 + IPV4_CHECKSUM_OFFSET, 0);
      route.templateSum = sumBytes(template, templateView, L3, IPV4_HEADER_BYTES);
      route.templateBytes = L3 + IPV4_HEADER_BYTES;
    } else {
      emitIpv6(templateView, L3, route.source, route.destination, 0, 0, this.hopLimit6, 0, 0);
      route.templateBytes = L3 + IPV6_HEADER_BYTES;
    }
  }
}
