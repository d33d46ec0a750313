import { NEVER } from '../core/clock.ts';
import { randomBelow, type Random } from '../core/random.ts';
import type { Packet } from '../nic/packet.ts';
import { ALL_ROUTERS6, IpAddress, linkLocalFromMac, type Prefix, UNSPECIFIED6 } from '../wire/address.ts';
import { IPV6_MINIMUM_MTU_BYTES, ipv6Source } from '../wire/ipv6.ts';
import { multicastMac } from '../wire/mac.ts';
import {
  checkRouterAdvertisement,
  emitRouterSolicitation,
  NdpOptions,
  PREFIX_AUTONOMOUS,
  PREFIX_ON_LINK,
  prefixAddress,
  prefixFlags,
  prefixLengthBits,
  prefixPreferredSeconds,
  prefixValidSeconds,
  raHopLimit,
  raLifetimeSeconds,
  raReachableMs,
  raRetransMs,
} from '../wire/ndp.ts';
import type { InterfaceAddress, InterfaceAddresses } from './addresses.ts';
import type { IpCounters } from './counters.ts';
import type { NetDevice } from './device.ts';
import { isWholeInSlot } from './echo.ts';
import type { NeighborDiscovery } from './nd.ts';
import type { NeighborCache } from './neighbor.ts';
import type { IpSender } from './output.ts';
import type { RouteTable } from './route.ts';

/** Rows that routers may add to the routing table: default routers and on-link prefixes. Further ones are ignored. */
export const MAX_ROUTER_ROWS = 16;
/** RFC 4861 §10. */
const MAX_RTR_SOLICITATIONS = 3;
const RTR_SOLICITATION_INTERVAL_MICROS = 4_000_000;
const MAX_RTR_SOLICITATION_DELAY_MICROS = 1_000_000;
/** RFC 4861 §4.6.2, §4.2: "for ever", and the limits within which a router's timers are believed. */
const INFINITE_SECONDS = 0xffff_ffff;
const MAX_REACHABLE_MS = 3_600_000;
const MAX_RETRANS_MS = 60_000;
/** RFC 4862 §5.5.3 (e). */
const TWO_HOURS_MICROS = 7_200_000_000;
/** RFC 4862 §5.5.3 (d): the interface identifier of Ethernet (RFC 2464 §4). */
const INTERFACE_ID_BITS = 64;

/**
 * What router advertisements may do:
 * - `ignore` (default): nothing. Addresses and routes are configured.
 * - `routes`: default routers, on-link prefixes, hop limit, MTU and timers.
 * - `autoconfigure`: that, and addresses (RFC 4862 §5.5).
 */
export type RouterAdvertisements = 'ignore' | 'routes' | 'autoconfigure';

/** The host side of router discovery (RFC 4861 §6.3). */
export class RouterDiscovery {
  readonly #nic: NetDevice;
  readonly #addresses: InterfaceAddresses;
  readonly #routes: RouteTable;
  readonly #neighbors: NeighborCache;
  readonly #neighborDiscovery: NeighborDiscovery;
  readonly #sender: IpSender;
  readonly #counters: IpCounters;
  readonly #random: Random;
  readonly #mode: RouterAdvertisements;
  readonly #options = new NdpOptions();
  #solicitationsLeft = 0;
  #timerMicros: number = NEVER;
  /** Set while an advertisement has changed addresses or routes. */
  #changed = false;

  constructor(
    nic: NetDevice,
    addresses: InterfaceAddresses,
    routes: RouteTable,
    neighbors: NeighborCache,
    neighborDiscovery: NeighborDiscovery,
    sender: IpSender,
    counters: IpCounters,
    random: Random,
    mode: RouterAdvertisements,
  ) {
    this.#nic = nic;
    this.#addresses = addresses;
    this.#routes = routes;
    this.#neighbors = neighbors;
    this.#neighborDiscovery = neighborDiscovery;
    this.#sender = sender;
    this.#counters = counters;
    this.#random = random;
    this.#mode = mode;
  }

  /** The interface has come up for IPv6: asks routers to speak (RFC 4861 §6.3.7). */
  start(nowMicros: number): void {
    if (this.#mode === 'ignore') return;
    this.#solicitationsLeft = MAX_RTR_SOLICITATIONS;
    this.#timerMicros = nowMicros + randomBelow(this.#random, MAX_RTR_SOLICITATION_DELAY_MICROS);
  }

  pollAt(): number {
    return this.#timerMicros;
  }

  pollTimers(nowMicros: number): number {
    if (nowMicros < this.#timerMicros) return 0;
    this.#solicitationsLeft--;
    this.#timerMicros = this.#solicitationsLeft > 0 ? nowMicros + RTR_SOLICITATION_INTERVAL_MICROS : NEVER;
    this.#solicit();
    return 1;
  }

  inputAdvertisement(packet: Packet, nowMicros: number): void {
    const { bytes, view, l3Offset, l4Offset } = packet;
    if (this.#mode === 'ignore') {
      this.#counters.rxDropRouterAdvertisement++;
      return;
    }
    const options = this.#options;
    const end = l4Offset + packet.l4Bytes;
    if (!isWholeInSlot(packet) || checkRouterAdvertisement(bytes, view, l3Offset, l4Offset, end, options) < 0) {
      this.#counters.rxDropNdInvalid++;
      return;
    }
    this.#counters.rxConsumedNd++;
    this.#timerMicros = NEVER;
    const router = ipv6Source(view, l3Offset);
    if (options.sourceMacOffset >= 0) {
      this.#neighbors.learn(router, bytes, options.sourceMacOffset, nowMicros).isRouter = true;
    }
    this.#changed = false;
    this.#takeParameters(view, l4Offset);
    this.#takeDefaultRouter(router, raLifetimeSeconds(view, l4Offset), nowMicros);
    for (let i = 0; i < options.prefixCount; i++) this.#takePrefix(view, options.prefixOffsets[i]!, nowMicros);
    if (this.#changed) this.#sender.invalidate();
  }

  #solicit(): void {
    const own = this.#addresses.selectSource(ALL_ROUTERS6, ALL_ROUTERS6);
    const { tx, macAddress } = this.#nic;
    // RFC 4429 §3.2: not from an optimistic address with its link-layer address.
    const mac = own?.state === 'preferred' ? macAddress : null;
    const source = own?.address ?? UNSPECIFIED6;
    const at = this.#neighborDiscovery.beginMessage(source, ALL_ROUTERS6, multicastMac(ALL_ROUTERS6));
    this.#neighborDiscovery.finishMessage(emitRouterSolicitation(tx.bytes, tx.view, at, mac));
  }

  /** RFC 4861 §6.3.4: what is given as 0 is left as it was. */
  #takeParameters(view: DataView, offset: number): void {
    const hopLimit = raHopLimit(view, offset);
    if (hopLimit !== 0 && hopLimit !== this.#sender.hopLimit6) {
      this.#sender.hopLimit6 = hopLimit;
      this.#changed = true;
    }
    const reachableMs = raReachableMs(view, offset);
    if (reachableMs > 0 && reachableMs <= MAX_REACHABLE_MS) this.#neighbors.baseReachableMicros = reachableMs * 1000;
    const retransMs = raRetransMs(view, offset);
    // Below a second solicitations would no longer be rate-limited.
    if (retransMs >= 1000 && retransMs <= MAX_RETRANS_MS) this.#neighbors.retransMicros = retransMs * 1000;
    const { mtuBytes } = this.#options;
    if (mtuBytes >= IPV6_MINIMUM_MTU_BYTES && mtuBytes <= this.#nic.mtuBytes) this.#sender.linkMtu6Bytes = mtuBytes;
  }

  #takeDefaultRouter(router: IpAddress, lifetimeSeconds: number, nowMicros: number): void {
    const prefix = { address: UNSPECIFIED6, lengthBits: 0 };
    this.#setRow(prefix, router, lifetimeSeconds, nowMicros);
  }

  #takePrefix(view: DataView, offset: number, nowMicros: number): void {
    const lengthBits = prefixLengthBits(view, offset);
    const address = prefixAddress(view, offset);
    if (lengthBits > 128 || address.isLinkLocal || address.isMulticast) return;
    const flags = prefixFlags(view, offset);
    const validSeconds = prefixValidSeconds(view, offset);
    if ((flags & PREFIX_ON_LINK) !== 0) this.#setRow({ address, lengthBits }, null, validSeconds, nowMicros);
    const isUsable = (flags & PREFIX_AUTONOMOUS) !== 0 && lengthBits === INTERFACE_ID_BITS;
    // RFC 4862 §5.5.3 (c): a preferred lifetime beyond the valid one is nonsense.
    if (this.#mode !== 'autoconfigure' || !isUsable || prefixPreferredSeconds(view, offset) > validSeconds) return;
    this.#configure(address, validSeconds, nowMicros);
  }

  /** Adds, renews or (lifetime 0) removes a row of the routing table, leaving alone what was configured. */
  #setRow(prefix: Prefix, gateway: IpAddress | null, seconds: number, nowMicros: number): void {
    const known = this.#routes.find(prefix, gateway);
    if (known !== null && known.origin !== 'router') return;
    if (seconds === 0) {
      if (known !== null) this.#changed = this.#routes.remove(prefix, gateway) || this.#changed;
      return;
    }
    if (known === null && this.#routes.count('router') >= MAX_ROUTER_ROWS) return;
    const expiresMicros = seconds === INFINITE_SECONDS ? NEVER : nowMicros + seconds * 1_000_000;
    const added = this.#routes.add(prefix, gateway, 'router', expiresMicros);
    if (known === null && added) this.#changed = true;
  }

  /** RFC 4862 §5.5.3 (d), (e). */
  #configure(prefix: IpAddress, validSeconds: number, nowMicros: number): void {
    const interfaceId = linkLocalFromMac(this.#nic.macAddress);
    const address = IpAddress.fromWords(6, prefix.w0, prefix.w1, interfaceId.w2, interfaceId.w3);
    const validMicros = validSeconds === INFINITE_SECONDS ? NEVER : validSeconds * 1_000_000;
    const known = this.#addresses.find(address);
    if (known !== null) {
      if (known.origin === 'router') this.#renew(known, validMicros, nowMicros);
      return;
    }
    if (validSeconds === 0 || this.#addresses.isFull) return;
    const added = this.#addresses.add({ address, lengthBits: INTERFACE_ID_BITS }, 'router', nowMicros);
    this.#nic.joinMulticast(multicastMac(address.solicitedNode()));
    this.#addresses.setExpiry(added, nowMicros + validMicros);
    this.#changed = true;
  }

  /** A forged advertisement cannot shorten a life below two hours. */
  #renew(known: InterfaceAddress, validMicros: number, nowMicros: number): void {
    const leftMicros = known.expiresMicros - nowMicros;
    if (validMicros > TWO_HOURS_MICROS || validMicros > leftMicros) {
      this.#addresses.setExpiry(known, nowMicros + validMicros);
    } else if (leftMicros > TWO_HOURS_MICROS) {
      this.#addresses.setExpiry(known, nowMicros + TWO_HOURS_MICROS);
    }
  }
}
