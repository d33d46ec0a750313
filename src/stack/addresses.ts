import { NEVER } from '../core/clock.ts';
import { DevmemError, invalidArgument } from '../core/errors.ts';
import { randomBelow, type Random } from '../core/random.ts';
import { prefixContains, type IpAddress, type Prefix } from '../wire/address.ts';
import { RETRANS_TIMER_MICROS } from './neighbor.ts';
import type { IpCounters } from './counters.ts';

/** Addresses of one interface, both families together. */
export const MAX_ADDRESSES = 32;

/** RFC 4862 §5.1. */
const DUP_ADDR_DETECT_TRANSMITS = 1;
/** RFC 4861 §10: MAX_RTR_SOLICITATION_DELAY, before the first message of a fresh interface (RFC 4862 §5.4.2). */
const INITIAL_DELAY_MICROS = 1_000_000;
/** RFC 5227 §1.1. */
const PROBE_WAIT_MICROS = 1_000_000;
const PROBE_NUM = 3;
const PROBE_MIN_MICROS = 1_000_000;
const PROBE_MAX_MICROS = 2_000_000;
const ANNOUNCE_WAIT_MICROS = 2_000_000;
const ANNOUNCE_NUM = 2;
const ANNOUNCE_INTERVAL_MICROS = 2_000_000;
const DEFEND_INTERVAL_MICROS = 10_000_000;

/**
 * What happens before a new address is used:
 * - `optimistic`: it is used at once and given up if somebody has it already (IPv6: RFC 4429; IPv4: announced, not probed);
 * - `wait`: it is probed first, which takes one to two seconds for IPv6 and four to nine for IPv4 (RFC 4862, RFC 5227);
 * - `off`: nothing is sent. For links whose other end is known.
 */
export type DuplicateDetection = 'optimistic' | 'wait' | 'off';

/** `tentative` and `duplicate` addresses are not ours to use; `optimistic` and `preferred` ones are. */
export type AddressState = 'tentative' | 'optimistic' | 'preferred' | 'duplicate';
export type AddressOrigin = 'configured' | 'link-local' | 'router';

export class InterfaceAddress {
  readonly address: IpAddress;
  readonly prefix: Prefix;
  readonly origin: AddressOrigin;
  state: AddressState = 'tentative';
  /** IPv4: the directed broadcast address of the prefix as a word; 0 where it has none. */
  readonly broadcast: number;
  /** When the address lapses (RFC 4862 §5.5.4); NEVER for configured ones. */
  expiresMicros: number = NEVER;

  probesLeft = 0;
  announcementsLeft = 0;
  timerMicros: number = NEVER;
  lastDefenceMicros: number = Number.NEGATIVE_INFINITY;

  constructor(prefix: Prefix, origin: AddressOrigin) {
    this.address = prefix.address;
    this.prefix = prefix;
    this.origin = origin;
    const hostBits = 32 - prefix.lengthBits;
    // RFC 3021: a /31 has no broadcast address, nor has a single host.
    const isBroadcastCapable = prefix.address.family === 4 && hostBits > 1;
    this.broadcast = isBroadcastCapable ? prefix.address.w3 | (hostBits === 32 ? -1 : (1 << hostBits) - 1) : 0;
  }

  get isUsable(): boolean {
    return this.state === 'preferred' || this.state === 'optimistic';
  }
}

/** Sends what duplicate detection has to say: ARP for IPv4, neighbour discovery for IPv6. */
export interface AddressProber {
  /** Asks whether anybody has the address. */
  probe(address: InterfaceAddress, nowMicros: number): void;
  /** Tells everybody that we have it. */
  announce(address: InterfaceAddress, nowMicros: number): void;
}

/** The addresses of the interface and their duplicate detection. */
export class InterfaceAddresses {
  readonly #list: InterfaceAddress[] = [];
  readonly #counters: IpCounters;
  readonly #random: Random;
  readonly #detection: DuplicateDetection;
  #prober: AddressProber | null = null;
  #nextTimerMicros: number = NEVER;
  #detectionsBegun = 0;

  constructor(counters: IpCounters, random: Random, detection: DuplicateDetection) {
    this.#counters = counters;
    this.#random = random;
    this.#detection = detection;
  }

  /** Set once, by whoever builds the stack. */
  set prober(prober: AddressProber) {
    this.#prober = prober;
  }

  get isFull(): boolean {
    return this.#list.length >= MAX_ADDRESSES;
  }

  get list(): readonly InterfaceAddress[] {
    return this.#list;
  }

  /**
   * Adds an address and begins its duplicate detection.
   *
   * @throws DevmemError EEXIST; ERR_DEVMEM_INVALID_ARGUMENT for an address no host may have, or more than MAX_ADDRESSES.
   */
  add(prefix: Prefix, origin: AddressOrigin, nowMicros: number): InterfaceAddress {
    const { address } = prefix;
    if (address.isMulticast || address.isUnspecified || address.isLoopback || address.isBroadcast) {
      throw invalidArgument(
        `${address.toString()} cannot be an interface's address`,
        'give a unicast address with its prefix length, such as 10.9.0.2/24 or fd09::2/64',
      );
    }
    if (this.find(address) !== null) {
      throw new DevmemError('EEXIST', `address ${address.toString()} is configured already`);
    }
    if (this.isFull) {
      throw invalidArgument(`an interface holds at most ${MAX_ADDRESSES} addresses`);
    }
    const added = new InterfaceAddress(prefix, origin);
    this.#list.push(added);
    this.#begin(added, nowMicros);
    return added;
  }

  /** Removes an address at once. False: it was not there. */
  remove(address: IpAddress): boolean {
    const at = this.#list.findIndex((entry) => entry.address.equals(address));
    if (at < 0) return false;
    this.#list.splice(at, 1);
    return true;
  }

  find(address: IpAddress): InterfaceAddress | null {
    for (const entry of this.#list) if (entry.address.equals(address)) return entry;
    return null;
  }

  /** The IPv4 address with this word, in any state. */
  find4(word: number): InterfaceAddress | null {
    for (const entry of this.#list) {
      if (entry.address.w3 === word && entry.address.family === 4) return entry;
    }
    return null;
  }

  /** The IPv6 address with these words, in any state. */
  find6(w0: number, w1: number, w2: number, w3: number): InterfaceAddress | null {
    for (const entry of this.#list) {
      const { address } = entry;
      if (address.w3 === w3 && address.w2 === w2 && address.w1 === w1 && address.w0 === w0 && address.family === 6) {
        return entry;
      }
    }
    return null;
  }

  /** Whether the word is the limited broadcast address or that of one of our prefixes. */
  isBroadcast4(word: number): boolean {
    if (word === -1) return true;
    for (const entry of this.#list) if (entry.broadcast !== 0 && entry.broadcast === word) return true;
    return false;
  }

  /**
   * The source for packets to `destination` by `nextHop`: RFC 6724 §5, of whose rules these matter on one interface:
   * scope (2), no optimistic address where there is a preferred one (3), the longest matching prefix (8). Null: none.
   */
  selectSource(destination: IpAddress, nextHop: IpAddress): InterfaceAddress | null {
    let best: InterfaceAddress | null = null;
    let bestScore = -1;
    const isLinkScope = destination.isLinkLocal || isLinkScopeGroup(destination);
    for (const entry of this.#list) {
      if (!entry.isUsable || entry.address.family !== destination.family) continue;
      let score = commonPrefixBits(entry.address, destination);
      if (prefixContains(entry.prefix, nextHop)) score += 256;
      if (entry.state === 'preferred') score += 512;
      if (entry.address.isLinkLocal === isLinkScope) score += 1024;
      if (score > bestScore) {
        best = entry;
        bestScore = score;
      }
    }
    return best;
  }

  /** Somebody else has the address, found out before we had used it, or (IPv6) while it was optimistic. */
  markDuplicate(entry: InterfaceAddress): void {
    this.#counters.dadConflicts++;
    entry.state = 'duplicate';
    entry.probesLeft = 0;
    entry.announcementsLeft = 0;
    entry.timerMicros = NEVER;
  }

  /**
   * Somebody else uses an IPv4 address of ours. RFC 5227 §2.4 (c): a host whose address is configured keeps it, says
   * so at most once in ten seconds, and reports the conflict.
   */
  defend(entry: InterfaceAddress, nowMicros: number): void {
    this.#counters.arpConflicts++;
    if (nowMicros - entry.lastDefenceMicros < DEFEND_INTERVAL_MICROS) return;
    entry.lastDefenceMicros = nowMicros;
    this.#counters.arpDefences++;
    this.#prober?.announce(entry, nowMicros);
  }

  /** Renews or shortens the life of an address that a router gave us. */
  setExpiry(entry: InterfaceAddress, atMicros: number): void {
    entry.expiresMicros = atMicros;
    if (atMicros < this.#nextTimerMicros) this.#nextTimerMicros = atMicros;
  }

  pollAt(): number {
    return this.#nextTimerMicros;
  }

  /** Sends due probes and announcements, ends detections and lives. Returns how many addresses were touched. */
  pollTimers(nowMicros: number): number {
    if (nowMicros < this.#nextTimerMicros) return 0;
    this.#nextTimerMicros = NEVER;
    let work = 0;
    for (let i = 0; i < this.#list.length; i++) {
      const entry = this.#list[i]!;
      if (entry.expiresMicros <= nowMicros) {
        this.#list.splice(i--, 1);
        work++;
        continue;
      }
      if (entry.timerMicros <= nowMicros) {
        entry.timerMicros = NEVER;
        this.#advance(entry, nowMicros);
        work++;
      }
      this.#nextTimerMicros = Math.min(this.#nextTimerMicros, entry.timerMicros, entry.expiresMicros);
    }
    return work;
  }

  #begin(entry: InterfaceAddress, nowMicros: number): void {
    const isFirst = this.#detectionsBegun++ === 0;
    if (this.#detection === 'off') {
      entry.state = 'preferred';
      return;
    }
    this.#counters.dadStarted++;
    const waits = this.#detection === 'wait';
    if (entry.address.family === 6) {
      entry.state = waits ? 'tentative' : 'optimistic';
      entry.probesLeft = DUP_ADDR_DETECT_TRANSMITS;
      // RFC 4862 §5.4.2 delays the first message so that hosts that start together do not collide; an optimistic host
      // speaks from its address at once anyway, so there the delay would only hide a conflict for longer.
      this.#setTimer(entry, waits && isFirst ? nowMicros + randomBelow(this.#random, INITIAL_DELAY_MICROS) : nowMicros);
    } else if (waits) {
      entry.probesLeft = PROBE_NUM;
      this.#setTimer(entry, nowMicros + randomBelow(this.#random, PROBE_WAIT_MICROS));
    } else {
      this.#prefer4(entry, nowMicros);
    }
  }

  #advance(entry: InterfaceAddress, nowMicros: number): void {
    if (entry.probesLeft > 0) {
      entry.probesLeft--;
      this.#prober?.probe(entry, nowMicros);
      this.#setTimer(entry, nowMicros + this.#afterProbeMicros(entry));
    } else if (entry.state === 'tentative' && entry.address.family === 4) {
      this.#prefer4(entry, nowMicros);
    } else if (entry.state === 'tentative' || entry.state === 'optimistic') {
      entry.state = 'preferred';
    } else if (entry.announcementsLeft > 0) {
      entry.announcementsLeft--;
      this.#prober?.announce(entry, nowMicros);
      if (entry.announcementsLeft > 0) this.#setTimer(entry, nowMicros + ANNOUNCE_INTERVAL_MICROS);
    }
  }

  #afterProbeMicros(entry: InterfaceAddress): number {
    if (entry.address.family === 6) return RETRANS_TIMER_MICROS;
    if (entry.probesLeft === 0) return ANNOUNCE_WAIT_MICROS;
    return PROBE_MIN_MICROS + randomBelow(this.#random, PROBE_MAX_MICROS - PROBE_MIN_MICROS);
  }

  /** RFC 5227 §2.3: announced twice, two seconds apart. */
  #prefer4(entry: InterfaceAddress, nowMicros: number): void {
    entry.state = 'preferred';
    entry.announcementsLeft = ANNOUNCE_NUM;
    this.#setTimer(entry, nowMicros);
  }

  #setTimer(entry: InterfaceAddress, atMicros: number): void {
    entry.timerMicros = atMicros;
    if (atMicros < this.#nextTimerMicros) this.#nextTimerMicros = atMicros;
  }
}

/** ff02::/16 (RFC 4291 §2.7). */
function isLinkScopeGroup(address: IpAddress): boolean {
  return address.family === 6 && address.w0 >>> 16 === 0xff02;
}

function commonPrefixBits(a: IpAddress, b: IpAddress): number {
  let bits = Math.clz32(a.w0 ^ b.w0);
  if (bits === 32) bits += Math.clz32(a.w1 ^ b.w1);
  if (bits === 64) bits += Math.clz32(a.w2 ^ b.w2);
  if (bits === 96) bits += Math.clz32(a.w3 ^ b.w3);
  return bits;
}
