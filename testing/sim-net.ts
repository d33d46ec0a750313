import { NEVER, SimulatedClock } from '../src/core/clock.ts';
import { SeededRandom, type Random } from '../src/core/random.ts';
import { cablePair, type CableOptions } from '../src/link/cable.ts';
import type { Link } from '../src/link/link.ts';
import { Nic } from '../src/nic/nic.ts';
import { Stack, type StackOptions } from '../src/stack/stack.ts';
import { parsePrefix } from '../src/wire/address.ts';

/** Rounds without work while something claims to be due: a timer that `handle` does not serve. */
const MAX_STUCK_ROUNDS = 1000;

export interface SimNetOptions {
  /** Everything random in the run comes from it. */
  seed?: number;
  cable?: CableOptions;
  /** Puts links around the two ends of the cable (loss, delay, capture); `index` is 0 or 1. */
  wrap?: (link: Link, clock: SimulatedClock, random: Random, index: number) => Link;
  /** Addresses with prefix length; default 10.9.0.1/24 and fd09::1/64, and .2 and ::2. */
  addresses?: readonly [readonly string[], readonly string[]];
  rxQueueCount?: number;
  hostPoolBytes?: number;
  stack?: Omit<StackOptions, 'nic' | 'random'>;
}

export interface SimHost {
  readonly link: Link;
  readonly nic: Nic;
  readonly stack: Stack;
}

const DEFAULT_ADDRESSES: readonly [readonly string[], readonly string[]] = [
  ['10.9.0.1/24', 'fd09::1/64'],
  ['10.9.0.2/24', 'fd09::2/64'],
];

/**
 * Two hosts on one cable, in virtual time: nothing happens but what `step` and `runUntil` bring about, and the same
 * seed brings about the same.
 */
export class SimNet {
  readonly clock: SimulatedClock = new SimulatedClock(1_000_000);
  readonly random: SeededRandom;
  readonly hosts: readonly [SimHost, SimHost];
  #stuckRounds = 0;

  constructor(options: SimNetOptions = {}) {
    this.random = new SeededRandom(options.seed ?? 1);
    const ends = cablePair(options.cable);
    this.hosts = [this.#host(ends[0], 0, options), this.#host(ends[1], 1, options)];
  }

  get nowMicros(): number {
    return this.clock.nowMicros();
  }

  /**
   * Lets both hosts do what is to be done now; if that is nothing, moves the clock to the next thing due.
   * @returns false when nothing is left to happen, ever.
   */
  step(limitMicros: number = NEVER): boolean {
    let work = 0;
    for (const host of this.hosts) work += host.stack.handle(this.nowMicros);
    if (work > 0) {
      this.#stuckRounds = 0;
      return true;
    }
    const nextMicros = Math.min(this.hosts[0].stack.pollAt(), this.hosts[1].stack.pollAt());
    if (nextMicros === NEVER) return false;
    if (nextMicros > this.nowMicros) this.#stuckRounds = 0;
    else if (++this.#stuckRounds > MAX_STUCK_ROUNDS) {
      throw new Error(`a timer due at ${nextMicros} is not served at ${this.nowMicros}`);
    }
    this.clock.advanceTo(Math.min(Math.max(nextMicros, this.nowMicros + 1), limitMicros));
    return true;
  }

  /**
   * Steps until `predicate` holds or `limitMicros` of virtual time have passed.
   * @returns whether it held.
   */
  runUntil(predicate: () => boolean, limitMicros: number): boolean {
    const endMicros = this.nowMicros + limitMicros;
    while (!predicate()) {
      if (this.nowMicros >= endMicros || !this.step(endMicros)) return predicate();
    }
    return true;
  }

  /** Lets `micros` of virtual time pass. */
  runFor(micros: number): void {
    const endMicros = this.nowMicros + micros;
    while (this.nowMicros < endMicros && this.step(endMicros));
    this.clock.advanceTo(endMicros);
  }

  #host(end: Link, index: 0 | 1, options: SimNetOptions): SimHost {
    const link = options.wrap?.(end, this.clock, this.random, index) ?? end;
    const nic = new Nic({
      link,
      macAddress: Uint8Array.of(0x02, 0, 0, 0, 0, index + 1),
      random: this.random,
      ...(options.rxQueueCount === undefined ? {} : { rxQueueCount: options.rxQueueCount }),
      ...(options.hostPoolBytes === undefined ? {} : { hostPoolBytes: options.hostPoolBytes }),
    });
    const stack = new Stack({ duplicateDetection: 'off', ...options.stack, nic, random: this.random });
    for (const text of (options.addresses ?? DEFAULT_ADDRESSES)[index]) {
      const prefix = parsePrefix(text);
      if (prefix === null) throw new Error(`not a prefix: ${text}`);
      stack.addAddress(prefix, this.nowMicros);
    }
    return { link, nic, stack };
  }
}
