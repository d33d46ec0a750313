import { NEVER } from '../core/clock.ts';
import { invalidArgument } from '../core/errors.ts';
import type { TxFrame } from '../nic/tx-frame.ts';
import { prefixContains, type IpAddress, type Prefix } from '../wire/address.ts';
import type { NeighborEntry } from './neighbor.ts';

/** Routes in the table: connected, static and learned together. At the limit, `add` refuses. */
export const MAX_ROUTES = 256;
/** Destinations remembered with their path MTU: a direct-mapped table, so a newer destination may displace an older. */
const ROUTE_CACHE_SLOTS = 1024;

/** A path MTU that ICMP lowered is tried again after ten minutes (RFC 1191 §6.3, RFC 8201 §5.3). */
export const PATH_MTU_TIMEOUT_MICROS = 600_000_000;
/**
 * The lowest path MTU that an ICMPv4 message can bring about (as Linux's `min_pmtu`): below it each segment would be
 * mostly header, which is what forgers of such messages are after.
 */
export const MIN_PATH_MTU4 = 552;
/** RFC 8200 §5: every IPv6 link carries 1280 bytes; RFC 8201 §4: nothing lowers a path below it. */
export const MIN_PATH_MTU6 = 1280;

export type RouteState = 'resolving' | 'ready' | 'failed';

/** Ethernet and IPv6 header: the longest that is laid before a transport header. */
const TEMPLATE_BYTES = 54;

/**
 * One destination as seen from one source address: the next hop, the path MTU, and the Ethernet and IP headers, ready
 * to be copied before a segment. Shared by all connections between the two addresses.
 */
export class Route {
  readonly family: 4 | 6;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** The largest IP packet that reaches the destination, as far as known, in bytes. */
  mtuBytes: number;
  /** `resolving` until the next hop's link-layer address is known; `failed` while nobody answers for it. */
  state: RouteState = 'resolving';

  /** The link's own MTU: what `mtuBytes` returns to. */
  linkMtuBytes: number;
  /** When a lowered `mtuBytes` is given up. */
  mtuExpiresMicros: number = NEVER;
  nextHop: IpAddress;

  /** The next hop's cache entry, valid while its version is `neighborVersion`; -1 was never valid. */
  neighbor: NeighborEntry | null = null;
  neighborVersion = -1;
  /** The headers to copy, and for IPv4 the sum of the header with length, id and protocol zero. */
  readonly template: Uint8Array = new Uint8Array(TEMPLATE_BYTES);
  readonly templateView: DataView = new DataView(this.template.buffer);
  templateBytes = 0;
  templateSum = 0;

  constructor(source: IpAddress, destination: IpAddress, nextHop: IpAddress, mtuBytes: number) {
    this.family = destination.family;
    this.source = source;
    this.destination = destination;
    this.nextHop = nextHop;
    this.mtuBytes = mtuBytes;
    this.linkMtuBytes = mtuBytes;
  }

  /** Gives up a lowered path MTU whose time is over: the path may have changed, and who sends finds out. */
  expireMtu(nowMicros: number): void {
    if (nowMicros < this.mtuExpiresMicros) return;
    this.mtuBytes = this.linkMtuBytes;
    this.mtuExpiresMicros = NEVER;
  }

  /**
   * Takes over a smaller path MTU from an ICMP message that the transport has found genuine.
   * @returns whether it is news: false for one that does not lower it.
   */
  lowerMtu(mtuBytes: number, nowMicros: number): boolean {
    // RFC 8201 §4: a Packet Too Big that says less than 1280 is not acted upon; IPv4's floor is ours.
    if (this.family === 6 && mtuBytes < MIN_PATH_MTU6) return false;
    const bounded = this.family === 4 ? Math.max(mtuBytes, MIN_PATH_MTU4) : mtuBytes;
    if (bounded >= this.mtuBytes) return false;
    this.mtuBytes = bounded;
    this.mtuExpiresMicros = nowMicros + PATH_MTU_TIMEOUT_MICROS;
    return true;
  }
}

/** What a transport needs from the network layer. */
export interface IpOutput {
  /** The way to `destination` (from `source`, or from the address chosen for it); null: ENETUNREACH. */
  route(destination: IpAddress, source: IpAddress | null): Route | null;
  /**
   * Lays Ethernet and IP header into the NIC's frame builder. Null: the next hop is being resolved (come again at the
   * next `handle`), or `route.state` is `failed` (EHOSTUNREACH).
   * @param trafficClass the whole byte: DSCP in the upper six bits, ECN in the lower two; 0 by default.
   */
  begin(route: Route, protocol: number, nowMicros: number, trafficClass?: number): TxFrame | null;
  /** Fills in lengths and checksums and transmits: > 0 sent, 0 link full, < 0 -errno. */
  send(route: Route, tx: TxFrame): number;
  /** The peer has answered by this route: its next hop is reachable (RFC 4861 §7.3.1). */
  confirm(route: Route, nowMicros: number): void;
}

export type RouteOrigin = 'connected' | 'static' | 'router';

/** One row of the routing table. */
export interface RouteEntry {
  readonly prefix: Prefix;
  /** Null: the prefix is on the link itself. */
  readonly gateway: IpAddress | null;
  readonly origin: RouteOrigin;
  /** When the row lapses (router lifetimes), in microseconds; NEVER for configured rows. */
  expiresMicros: number;
}

/** Longest-prefix match over a short, sorted list, and the destinations found by it lately. */
export class RouteTable {
  readonly #entries: RouteEntry[] = [];
  readonly #cache: (Route | null)[] = Array.from<Route | null>({ length: ROUTE_CACHE_SLOTS }).fill(null);
  /** The earliest moment at which a row or a path MTU may lapse. */
  #nextExpiryMicros: number = NEVER;

  get entries(): readonly RouteEntry[] {
    return this.#entries;
  }

  /**
   * Adds a row, or renews the life of the one with the same prefix and gateway.
   * @returns false if the table is full (MAX_ROUTES).
   */
  add(prefix: Prefix, gateway: IpAddress | null, origin: RouteOrigin, expiresMicros: number = NEVER): boolean {
    if (gateway !== null && gateway.family !== prefix.address.family) {
      throw invalidArgument(
        `gateway ${gateway.toString()} and route ${prefix.address.toString()} are of different IP versions`,
      );
    }
    const known = this.find(prefix, gateway);
    // What was configured outlives what a router says about it, and replaces it.
    if (known !== null && known.origin === 'router' && origin !== 'router') this.remove(prefix, gateway);
    else if (known !== null) {
      if (known.origin === 'router') known.expiresMicros = expiresMicros;
      this.#noteExpiryAt(known.expiresMicros);
      return true;
    }
    if (this.#entries.length >= MAX_ROUTES) return false;
    // Behind all rows that are at least as long: the first match in the list is then the longest, the oldest first.
    let at = 0;
    while (at < this.#entries.length && this.#entries[at]!.prefix.lengthBits >= prefix.lengthBits) at++;
    this.#entries.splice(at, 0, { prefix, gateway, origin, expiresMicros });
    this.#noteExpiryAt(expiresMicros);
    this.#cache.fill(null);
    return true;
  }

  find(prefix: Prefix, gateway: IpAddress | null): RouteEntry | null {
    return this.#entries.find((entry) => samePrefix(entry.prefix, prefix) && sameGateway(entry, gateway)) ?? null;
  }

  /** How many rows came from there. */
  count(origin: RouteOrigin): number {
    return this.#entries.filter((entry) => entry.origin === origin).length;
  }

  /** Removes a row. False: there is none such. */
  remove(prefix: Prefix, gateway: IpAddress | null): boolean {
    const at = this.#entries.findIndex((entry) => samePrefix(entry.prefix, prefix) && sameGateway(entry, gateway));
    if (at < 0) return false;
    this.#entries.splice(at, 1);
    this.#cache.fill(null);
    return true;
  }

  /** The row for a destination; null: none matches. */
  lookup(destination: IpAddress): RouteEntry | null {
    for (const entry of this.#entries) {
      if (entry.prefix.address.family === destination.family && prefixContains(entry.prefix, destination)) return entry;
    }
    return null;
  }

  /** The route remembered for this pair of addresses, or null. */
  cached(destination: IpAddress, source: IpAddress): Route | null {
    const route = this.#cache[cacheSlot(destination, source)]!;
    return route !== null && route.destination.equals(destination) && route.source.equals(source) ? route : null;
  }

  remember(route: Route): void {
    this.#cache[cacheSlot(route.destination, route.source)] = route;
  }

  /** Called after `route.lowerMtu`: the route's expiry now counts for `pollAt`. */
  noteExpiry(route: Route): void {
    this.#noteExpiryAt(route.mtuExpiresMicros);
  }

  pollAt(): number {
    return this.#nextExpiryMicros;
  }

  /** Drops rows and path MTUs whose time is over. Returns whether any row went. */
  pollTimers(nowMicros: number): boolean {
    if (nowMicros < this.#nextExpiryMicros) return false;
    this.#nextExpiryMicros = NEVER;
    let removed = false;
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      const { expiresMicros } = this.#entries[i]!;
      if (expiresMicros <= nowMicros) {
        this.#entries.splice(i, 1);
        removed = true;
      } else {
        this.#noteExpiryAt(expiresMicros);
      }
    }
    for (const route of this.#cache) {
      if (route === null) continue;
      route.expireMtu(nowMicros);
      this.noteExpiry(route);
    }
    if (removed) this.#cache.fill(null);
    return removed;
  }

  #noteExpiryAt(micros: number): void {
    if (micros < this.#nextExpiryMicros) this.#nextExpiryMicros = micros;
  }
}

function cacheSlot(destination: IpAddress, source: IpAddress): number {
  let hash = destination.w0 ^ Math.imul(destination.w1, 31) ^ Math.imul(destination.w2, 0x9e3779b1) ^ destination.w3;
  hash = Math.imul(hash ^ source.w3 ^ (source.w2 << 7), 0x85ebca6b);
  return (hash ^ (hash >>> 15)) & (ROUTE_CACHE_SLOTS - 1);
}

function samePrefix(a: Prefix, b: Prefix): boolean {
  return a.lengthBits === b.lengthBits && a.address.family === b.address.family && prefixContains(a, b.address);
}

function sameGateway(entry: RouteEntry, gateway: IpAddress | null): boolean {
  return entry.gateway === null ? gateway === null : gateway !== null && entry.gateway.equals(gateway);
}
