import { invalidArgument } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import type { Nic } from '../nic/nic.ts';
import type { Packet } from '../nic/packet.ts';
import { ALL_NODES6, type IpAddress, linkLocalFromMac, type Prefix, formatPrefix } from '../wire/address.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.ts';
import { multicastMac } from '../wire/mac.ts';
import { InterfaceAddresses, type AddressProber, type DuplicateDetection, type InterfaceAddress } from './addresses.ts';
import { Arp } from './arp.ts';
import { IpCounters } from './counters.ts';
import { Driver, type PacketSink } from './driver.ts';
import { EchoResponder } from './echo.ts';
import { Icmp } from './icmp.ts';
import { Icmpv6 } from './icmpv6.ts';
import { Ipv4Input } from './ipv4.ts';
import { Ipv6Input } from './ipv6.ts';
import { NeighborDiscovery } from './nd.ts';
import { NeighborCache, type NeighborEntry, type Solicitor } from './neighbor.ts';
import { Outbox } from './outbox.ts';
import { IpSender } from './output.ts';
import { MIN_PATH_MTU6, RouteTable } from './route.ts';
import { RouterDiscovery, type RouterAdvertisements } from './router.ts';
import type { TcpConfig } from './tcp/config.ts';
import { TcpLayer } from './tcp/layer.ts';

/** Frames taken from the NIC by one `handle`: as many as a Linux driver's NAPI poll. */
export const RX_BUDGET_FRAMES = 64;

/** The prefix of every link-local address (RFC 4291 §2.5.6). */
const LINK_LOCAL_BITS = 64;

export interface StackOptions {
  nic: Nic;
  /** Everything that has to be unpredictable: sequence numbers, ports, the jitter of timers. */
  random: Random;
  /** Default `optimistic`. */
  duplicateDetection?: DuplicateDetection;
  /** Default `ignore`. */
  routerAdvertisements?: RouterAdvertisements;
  tcp?: Partial<TcpConfig>;
}

/**
 * A TCP/IP stack over one NIC, sans-IO: it is told the time, does what is to be done, and says when it wants to be
 * called again. Nothing in it waits, and nothing happens outside of `handle` and the calls of its user.
 */
export class Stack implements PacketSink, Solicitor, AddressProber {
  readonly nic: Nic;
  readonly counters: IpCounters = new IpCounters();
  readonly addresses: InterfaceAddresses;
  readonly routes: RouteTable = new RouteTable();
  readonly neighbors: NeighborCache;
  /** The way down, for transports. */
  readonly output: IpSender;
  readonly tcp: TcpLayer;

  readonly #driver: Driver;
  readonly #outbox: Outbox;
  readonly #echo: EchoResponder;
  readonly #arp: Arp;
  readonly #neighborDiscovery: NeighborDiscovery;
  readonly #routerDiscovery: RouterDiscovery;
  readonly #ipv4: Ipv4Input;
  readonly #ipv6: Ipv6Input;
  #hasIpv6 = false;

  constructor(options: StackOptions) {
    const { nic, random } = options;
    const { counters, routes } = this;
    this.nic = nic;
    const addresses = new InterfaceAddresses(counters, random, options.duplicateDetection ?? 'optimistic');
    const neighbors = new NeighborCache(counters, random);
    const output = new IpSender(nic, addresses, routes, neighbors, counters);
    const outbox = new Outbox(output, counters);
    const echo = new EchoResponder(nic, output, outbox, counters);
    const tcp = new TcpLayer({ ip: output, nic, random, config: options.tcp ?? {} });
    const nd = new NeighborDiscovery(nic, addresses, neighbors, output, counters);
    const mode = options.routerAdvertisements ?? 'ignore';
    const routers = new RouterDiscovery(nic, addresses, routes, neighbors, nd, output, counters, random, mode);
    const icmp = new Icmp(addresses, tcp, echo, output, outbox, counters);
    const icmpv6 = new Icmpv6(addresses, tcp, echo, nd, routers, output, outbox, counters);
    this.addresses = addresses;
    this.neighbors = neighbors;
    this.output = output;
    this.tcp = tcp;
    this.#outbox = outbox;
    this.#echo = echo;
    this.#arp = new Arp(nic, addresses, routes, neighbors, output, counters);
    this.#neighborDiscovery = nd;
    this.#routerDiscovery = routers;
    this.#ipv4 = new Ipv4Input(addresses, tcp, icmp, counters);
    this.#ipv6 = new Ipv6Input(addresses, tcp, icmpv6, counters);
    this.#driver = new Driver(nic, this);
    neighbors.solicitor = this;
    addresses.prober = this;
  }

  /**
   * Gives the interface an address and the route to its prefix. The first IPv6 address brings the link-local one
   * along (RFC 4291 §2.8).
   *
   * @throws DevmemError EEXIST if the address is there already; ERR_DEVMEM_INVALID_ARGUMENT if no host may have it, or
   *   the link's MTU is too small for IPv6.
   */
  addAddress(prefix: Prefix, nowMicros: number): InterfaceAddress {
    if (prefix.address.family === 6) this.#bringUpIpv6(prefix, nowMicros);
    const known = this.addresses.find(prefix.address);
    // Configured in so many words: the link-local address that is there by itself.
    if (known?.origin === 'link-local') return known;
    const added = this.addresses.add(prefix, 'configured', nowMicros);
    this.#joinGroup(prefix.address);
    const isHostPrefix = prefix.lengthBits === (prefix.address.family === 4 ? 32 : 128);
    if (!isHostPrefix && !this.routes.add(prefix, null, 'connected')) {
      throw invalidArgument(`no room for the route to ${formatPrefix(prefix)}`);
    }
    this.output.invalidate();
    return added;
  }

  /** Takes an address away. Connections that use it find their routes failed. False: it was not there. */
  removeAddress(address: IpAddress): boolean {
    const known = this.addresses.find(address);
    if (known === null) return false;
    this.addresses.remove(address);
    const isShared = this.addresses.list.some((other) => formatPrefix(other.prefix) === formatPrefix(known.prefix));
    if (!isShared) this.routes.remove(known.prefix, null);
    this.output.invalidate();
    return true;
  }

  /**
   * Adds a static route. `gateway` null: the prefix is on the link itself.
   * @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT if the table is full or the gateway is of the other IP version.
   */
  addRoute(prefix: Prefix, gateway: IpAddress | null): void {
    if (!this.routes.add(prefix, gateway, 'static')) {
      throw invalidArgument(`no room for the route to ${formatPrefix(prefix)}`);
    }
    this.output.invalidate();
  }

  removeRoute(prefix: Prefix, gateway: IpAddress | null): boolean {
    const removed = this.routes.remove(prefix, gateway);
    if (removed) this.output.invalidate();
    return removed;
  }

  /**
   * Does everything that is to be done at `nowMicros`: takes up to RX_BUDGET_FRAMES frames, serves due timers, sends
   * what became sendable.
   *
   * @returns how much that was. 0: idle; call again when a frame arrives or at `pollAt()`.
   */
  handle(nowMicros: number): number {
    const mark = this.nic.txMark();
    let work = this.#driver.poll(RX_BUDGET_FRAMES, nowMicros);
    work += this.neighbors.pollTimers(nowMicros);
    work += this.addresses.pollTimers(nowMicros);
    work += this.#routerDiscovery.pollTimers(nowMicros);
    if (this.routes.pollTimers(nowMicros)) this.output.invalidate();
    work += this.#outbox.flush(this.neighbors.resolvedEpoch, nowMicros);
    if (this.#echo.lentCount > 0) work += this.#echo.reclaim();
    work += this.tcp.pollTimers(nowMicros);
    work += this.tcp.flush(nowMicros);
    return work + (this.nic.txMark() - mark);
  }

  /** When `handle` has something to do if no frame arrives: microseconds, or NEVER. */
  pollAt(): number {
    return Math.min(
      this.nic.link.pollAt(),
      this.neighbors.pollAt(),
      this.addresses.pollAt(),
      this.#routerDiscovery.pollAt(),
      this.routes.pollAt(),
      this.tcp.pollAt(),
    );
  }

  /** One packet from the NIC. For the driver. */
  input(packet: Packet, nowMicros: number): void {
    this.counters.rxPackets++;
    if (packet.etherType === ETHERTYPE_IPV4) this.#ipv4.input(packet, nowMicros);
    else if (packet.etherType === ETHERTYPE_IPV6) this.#ipv6.input(packet, nowMicros);
    else if (packet.etherType === ETHERTYPE_ARP) this.#arp.input(packet, nowMicros);
    else this.counters.rxDropEtherType++;
  }

  /** For the neighbour cache. */
  solicit(entry: NeighborEntry, unicast: boolean): void {
    if (entry.address.family === 4) this.#arp.solicit(entry, unicast);
    else this.#neighborDiscovery.solicit(entry, unicast);
  }

  /** For duplicate detection. */
  probe(own: InterfaceAddress): void {
    if (own.address.family === 4) this.#arp.probe(own);
    else this.#neighborDiscovery.probe(own);
  }

  /** For duplicate detection. */
  announce(own: InterfaceAddress): void {
    if (own.address.family === 4) this.#arp.announce(own);
    else this.#neighborDiscovery.announce(own);
  }

  #bringUpIpv6(prefix: Prefix, nowMicros: number): void {
    if (this.#hasIpv6) return;
    if (this.nic.mtuBytes < MIN_PATH_MTU6) {
      throw invalidArgument(
        `${formatPrefix(prefix)}: IPv6 needs an MTU of ${MIN_PATH_MTU6}, this link's is ${this.nic.mtuBytes}`,
        'raise the MTU of the link, or use IPv4 (RFC 8200 §5)',
      );
    }
    this.#hasIpv6 = true;
    this.nic.joinMulticast(multicastMac(ALL_NODES6));
    const linkLocal = { address: linkLocalFromMac(this.nic.macAddress), lengthBits: LINK_LOCAL_BITS };
    this.addresses.add(linkLocal, 'link-local', nowMicros);
    this.#joinGroup(linkLocal.address);
    this.routes.add(linkLocal, null, 'connected');
    this.#routerDiscovery.start(nowMicros);
  }

  #joinGroup(address: IpAddress): void {
    if (address.family === 6) this.nic.joinMulticast(multicastMac(address.solicitedNode()));
  }
}
