import { NEVER } from '../core/clock.ts';
import { randomBelow, type Random } from '../core/random.ts';
import { UNSPECIFIED4, type IpAddress } from '../wire/address.ts';
import type { IpCounters } from './counters.ts';

/** Neighbours remembered, both families together. At the limit the one that is missed least makes room. */
export const MAX_NEIGHBORS = 512;
/** Resolutions under way at a time: what an attacker can make us solicit by sending from many addresses (RFC 6583). */
export const MAX_INCOMPLETE = 64;

/** RFC 4861 §10. The same values serve ARP, whose RFC names none. */
export const RETRANS_TIMER_MICROS = 1_000_000;
export const REACHABLE_TIME_MICROS = 30_000_000;
const DELAY_FIRST_PROBE_MICROS = 5_000_000;
const MAX_MULTICAST_SOLICIT = 3;
const MAX_UNICAST_SOLICIT = 3;
/** How long a failed resolution is answered from memory: solicitations for the dead are rate-limited by it. */
const FAILED_HOLD_MICROS = 3_000_000;

const BUCKETS = 256;
const NONE = -1;

/** RFC 4861 §7.3.2; FREE while a row changes its address, FAILED for one whose resolution has failed. */
export type NeighborState = 'FREE' | 'INCOMPLETE' | 'REACHABLE' | 'STALE' | 'DELAY' | 'PROBE' | 'FAILED';

/** One row of the cache. Rows are reused: who keeps one compares `version`. */
export class NeighborEntry {
  readonly index: number;
  address: IpAddress = UNSPECIFIED4;
  readonly macAddress: Uint8Array = new Uint8Array(6);
  state: NeighborState = 'FREE';
  /** Changes, to a value never used before in this cache, when the row's address or link-layer address changes. */
  version = 0;
  /** Until then a sender may use the row without asking the cache. -1: it has to ask. */
  freshUntilMicros = -1;
  /** When the next solicitation or change of state is due; NEVER if none. */
  timerMicros: number = NEVER;
  solicitations = 0;
  isRouter = false;
  usedMicros = 0;
  /** The next row in the same hash bucket. */
  next: number = NONE;

  constructor(index: number) {
    this.index = index;
  }

  get isUsable(): boolean {
    return this.state !== 'INCOMPLETE' && this.state !== 'FAILED' && this.state !== 'FREE';
  }
}

/** Sends the questions of a cache: ARP requests for IPv4, neighbour solicitations for IPv6. */
export interface Solicitor {
  /** Asks for `entry.address`: all of the link, or (`unicast`) only the link-layer address that is in doubt. */
  solicit(entry: NeighborEntry, unicast: boolean, nowMicros: number): void;
}

/**
 * Who has which link-layer address: one neighbour cache with the states of RFC 4861 §7.3, for IPv6 (neighbour
 * discovery) and IPv4 (ARP) alike.
 */
export class NeighborCache {
  readonly #counters: IpCounters;
  readonly #random: Random;
  /** Made as they are needed, up to MAX_NEIGHBORS, and never given up. */
  readonly #entries: NeighborEntry[] = [];
  readonly #buckets = new Int32Array(BUCKETS).fill(NONE);
  #versions = 0;
  #incomplete = 0;
  #nextTimerMicros: number = NEVER;
  #solicitor: Solicitor | null = null;

  /** Grows by one with each row that becomes usable: packets that wait for one watch it. */
  resolvedEpoch = 0;
  /** RFC 4861 §6.3.2: routers may change these two. */
  baseReachableMicros: number = REACHABLE_TIME_MICROS;
  retransMicros: number = RETRANS_TIMER_MICROS;

  constructor(counters: IpCounters, random: Random) {
    this.#counters = counters;
    this.#random = random;
  }

  /** Set once, by whoever builds the stack: ARP and ND need the cache, and the cache needs them. */
  set solicitor(solicitor: Solicitor) {
    this.#solicitor = solicitor;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** The rows in use, in no order: for people and tests. */
  [Symbol.iterator](): IterableIterator<NeighborEntry> {
    return this.#entries.values();
  }

  find(address: IpAddress): NeighborEntry | null {
    let index = this.#buckets[bucketOf(address)]!;
    while (index !== NONE) {
      const entry = this.#entries[index]!;
      if (entry.address.equals(address)) return entry;
      index = entry.next;
    }
    return null;
  }

  /**
   * The row to send to `address` by, soliciting for it if need be. A caller looks at `isUsable`; null means that too
   * many resolutions are under way.
   */
  resolve(address: IpAddress, nowMicros: number): NeighborEntry | null {
    const entry = this.find(address);
    if (entry !== null) {
      this.use(entry, nowMicros);
      return entry;
    }
    if (this.#incomplete >= MAX_INCOMPLETE) {
      this.#counters.neighborTableFull++;
      return null;
    }
    const created = this.#create(address, nowMicros);
    this.#startResolution(created, nowMicros);
    return created;
  }

  /** A packet is about to be sent by this row: STALE becomes DELAY (RFC 4861 §7.3.3), a failure old enough is retried. */
  use(entry: NeighborEntry, nowMicros: number): void {
    entry.usedMicros = nowMicros;
    if (entry.state === 'REACHABLE' && nowMicros >= entry.freshUntilMicros) this.#setStale(entry);
    if (entry.state === 'STALE') {
      entry.state = 'DELAY';
      entry.freshUntilMicros = NEVER;
      this.#setTimer(entry, nowMicros + DELAY_FIRST_PROBE_MICROS);
    } else if (entry.state === 'FAILED' && nowMicros >= entry.timerMicros && this.#incomplete < MAX_INCOMPLETE) {
      this.#startResolution(entry, nowMicros);
    }
  }

  /**
   * A neighbour named its own link-layer address without being asked (ARP request; NS, RS or RA with the source
   * link-layer address): RFC 4861 §7.2.3. It proves the address, not that we reach it.
   */
  learn(address: IpAddress, bytes: Uint8Array, macOffset: number, nowMicros: number): NeighborEntry {
    const entry = this.find(address) ?? this.#create(address, nowMicros);
    if (entry.isUsable && sameMac(entry.macAddress, bytes, macOffset)) return entry;
    this.#setMac(entry, bytes, macOffset);
    this.#setStale(entry);
    return entry;
  }

  /** As `learn`, but only for a neighbour that is known already: an unsolicited reply adds nothing. */
  refresh(address: IpAddress, bytes: Uint8Array, macOffset: number, nowMicros: number): void {
    if (this.find(address) !== null) this.learn(address, bytes, macOffset, nowMicros);
  }

  /** A reply to our own question: the neighbour is reachable (RFC 4861 §7.2.5). Without a row it is ignored. */
  confirmReply(address: IpAddress, bytes: Uint8Array, macOffset: number, nowMicros: number): void {
    const entry = this.find(address);
    if (entry === null || entry.state === 'FAILED') return;
    if (!entry.isUsable || !sameMac(entry.macAddress, bytes, macOffset)) this.#setMac(entry, bytes, macOffset);
    this.#setReachable(entry, nowMicros);
  }

  /**
   * A neighbour advertisement (RFC 4861 §7.2.5). `macOffset` is -1 where it has no target link-layer address option.
   */
  advertise(
    address: IpAddress,
    bytes: Uint8Array,
    macOffset: number,
    isRouter: boolean,
    solicited: boolean,
    override: boolean,
    nowMicros: number,
  ): void {
    const entry = this.find(address);
    if (entry === null || entry.state === 'FAILED') return;
    if (entry.state === 'INCOMPLETE') {
      if (macOffset < 0) return;
      this.#setMac(entry, bytes, macOffset);
      if (solicited) this.#setReachable(entry, nowMicros);
      else this.#setStale(entry);
      entry.isRouter = isRouter;
      return;
    }
    const differs = macOffset >= 0 && !sameMac(entry.macAddress, bytes, macOffset);
    if (differs && !override) {
      if (entry.state === 'REACHABLE') this.#setStale(entry);
      return;
    }
    if (differs) this.#setMac(entry, bytes, macOffset);
    if (solicited) this.#setReachable(entry, nowMicros);
    else if (differs) this.#setStale(entry);
    entry.isRouter = isRouter;
  }

  /** Forward progress of a transport proves that the neighbour is reached (RFC 4861 §7.3.1): saves the probes. */
  confirm(entry: NeighborEntry, version: number, nowMicros: number): void {
    if (entry.version !== version || !entry.isUsable) return;
    // Told with every batch of acknowledgments: what holds for a good while yet is left alone.
    const leftMicros = entry.freshUntilMicros - nowMicros;
    if (entry.state === 'REACHABLE' && leftMicros > this.baseReachableMicros / 4) return;
    this.#setReachable(entry, nowMicros);
  }

  /** Every sender has to ask again: routes or addresses have changed. */
  invalidate(): void {
    for (const entry of this.#entries) entry.version = ++this.#versions;
  }

  pollAt(): number {
    return this.#nextTimerMicros;
  }

  /** Retransmits solicitations and moves rows whose time has come. Returns how many. */
  pollTimers(nowMicros: number): number {
    if (nowMicros < this.#nextTimerMicros) return 0;
    this.#nextTimerMicros = NEVER;
    let work = 0;
    for (const entry of this.#entries) {
      if (!isTimed(entry)) continue;
      if (entry.timerMicros <= nowMicros) {
        this.#expire(entry, nowMicros);
        work++;
      }
      if (isTimed(entry) && entry.timerMicros < this.#nextTimerMicros) this.#nextTimerMicros = entry.timerMicros;
    }
    return work;
  }

  #expire(entry: NeighborEntry, nowMicros: number): void {
    if (entry.state === 'INCOMPLETE') {
      if (entry.solicitations >= MAX_MULTICAST_SOLICIT) this.#fail(entry, nowMicros + FAILED_HOLD_MICROS);
      else this.#solicit(entry, false, nowMicros);
    } else if (entry.state === 'DELAY') {
      entry.state = 'PROBE';
      entry.solicitations = 0;
      this.#solicit(entry, true, nowMicros);
    } else if (entry.state === 'PROBE') {
      // RFC 4861 §7.3.3: the entry is deleted, so that the next packet begins a resolution afresh.
      if (entry.solicitations >= MAX_UNICAST_SOLICIT) this.#fail(entry, nowMicros);
      else this.#solicit(entry, true, nowMicros);
    } else {
      entry.timerMicros = NEVER;
    }
  }

  #startResolution(entry: NeighborEntry, nowMicros: number): void {
    entry.state = 'INCOMPLETE';
    entry.version = ++this.#versions;
    entry.freshUntilMicros = -1;
    entry.solicitations = 0;
    this.#incomplete++;
    this.#solicit(entry, false, nowMicros);
  }

  #solicit(entry: NeighborEntry, unicast: boolean, nowMicros: number): void {
    entry.solicitations++;
    this.#setTimer(entry, nowMicros + this.retransMicros);
    this.#counters.neighborSolicitations++;
    this.#solicitor?.solicit(entry, unicast, nowMicros);
  }

  #fail(entry: NeighborEntry, retryMicros: number): void {
    this.#leaveIncomplete(entry);
    entry.state = 'FAILED';
    entry.version = ++this.#versions;
    entry.freshUntilMicros = -1;
    entry.timerMicros = retryMicros;
    this.#counters.neighborFailures++;
    this.resolvedEpoch++;
  }

  #setReachable(entry: NeighborEntry, nowMicros: number): void {
    this.#leaveIncomplete(entry);
    entry.state = 'REACHABLE';
    // RFC 4861 §6.3.2: uniformly between 0.5 and 1.5 times the base, so that hosts do not probe in step.
    entry.freshUntilMicros =
      nowMicros + this.baseReachableMicros / 2 + randomBelow(this.#random, this.baseReachableMicros);
    entry.timerMicros = NEVER;
  }

  #setStale(entry: NeighborEntry): void {
    this.#leaveIncomplete(entry);
    entry.state = 'STALE';
    entry.freshUntilMicros = -1;
    entry.timerMicros = NEVER;
  }

  #leaveIncomplete(entry: NeighborEntry): void {
    if (entry.state === 'INCOMPLETE') this.#incomplete--;
    if (!entry.isUsable) this.resolvedEpoch++;
  }

  #setMac(entry: NeighborEntry, bytes: Uint8Array, macOffset: number): void {
    for (let i = 0; i < 6; i++) entry.macAddress[i] = bytes[macOffset + i]!;
    entry.version = ++this.#versions;
  }

  #setTimer(entry: NeighborEntry, atMicros: number): void {
    entry.timerMicros = atMicros;
    if (atMicros < this.#nextTimerMicros) this.#nextTimerMicros = atMicros;
  }

  /** A row for an address that has none. Its state is FREE until the caller sets it. */
  #create(address: IpAddress, nowMicros: number): NeighborEntry {
    const entry = this.#entries.length < MAX_NEIGHBORS ? this.#grow() : this.#evict();
    const bucket = bucketOf(address);
    entry.address = address;
    entry.version = ++this.#versions;
    entry.freshUntilMicros = -1;
    entry.timerMicros = NEVER;
    entry.isRouter = false;
    entry.usedMicros = nowMicros;
    entry.next = this.#buckets[bucket]!;
    this.#buckets[bucket] = entry.index;
    return entry;
  }

  #grow(): NeighborEntry {
    const entry = new NeighborEntry(this.#entries.length);
    this.#entries.push(entry);
    return entry;
  }

  /** Frees the row that is missed least, for another address. */
  #evict(): NeighborEntry {
    let victim = this.#entries[0]!;
    for (const entry of this.#entries) if (evictsBefore(entry, victim)) victim = entry;
    this.#leaveIncomplete(victim);
    const bucket = bucketOf(victim.address);
    let index = this.#buckets[bucket]!;
    if (index === victim.index) {
      this.#buckets[bucket] = victim.next;
    } else {
      while (this.#entries[index]!.next !== victim.index) index = this.#entries[index]!.next;
      this.#entries[index]!.next = victim.next;
    }
    victim.state = 'FREE';
    this.#counters.neighborEvictions++;
    return victim;
  }
}

/** Whether somebody has to wake up for the row. A failed one's time only says when it may be tried again. */
function isTimed(entry: NeighborEntry): boolean {
  return entry.timerMicros !== NEVER && entry.state !== 'FAILED';
}

/** A flood of new names must not push out the neighbours we talk to: those in doubt go first, then the longest unused. */
function evictsBefore(a: NeighborEntry, b: NeighborEntry): boolean {
  const rankA = evictionRank(a);
  const rankB = evictionRank(b);
  return rankA === rankB ? a.usedMicros < b.usedMicros : rankA < rankB;
}

function evictionRank(entry: NeighborEntry): number {
  if (entry.state === 'FAILED') return 0;
  if (entry.state === 'STALE' || entry.state === 'INCOMPLETE') return entry.isRouter ? 2 : 1;
  return 3;
}

function bucketOf(address: IpAddress): number {
  const mixed = Math.imul(address.w0 ^ Math.imul(address.w1, 31) ^ Math.imul(address.w2, 131) ^ address.w3, 0x9e3779b1);
  return (mixed ^ (mixed >>> 16)) & (BUCKETS - 1);
}

function sameMac(mac: Uint8Array, bytes: Uint8Array, offset: number): boolean {
  for (let i = 0; i < 6; i++) if (mac[i] !== bytes[offset + i]) return false;
  return true;
}
