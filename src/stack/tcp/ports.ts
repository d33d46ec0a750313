import { randomBelow, type Random } from '../../core/random.ts';
import type { IpAddress } from '../../wire/address.ts';
import { flowKey, FLOW_KEY_WORDS, FlowTable } from '../demux.ts';

/** Up to this part of the range in use, a few random ports find a free one; above it, the free ones are written down. */
const DENSE_SHARE = 0.5;
/** The list is given up again below this part. */
const SPARSE_SHARE = 0.25;
const RANDOM_TRIES = 24;

/** Whether a connection between these ends could have this local port. */
export type IsPortFree = (port: number) => boolean;

/** The ephemeral ports of all connections from one address to one remote address and port. */
class PortUse {
  readonly route: { readonly source: IpAddress; readonly destination: IpAddress };
  readonly localPort = 0;
  readonly remotePort: number;
  used = 0;
  /** While many are in use: those that are not, in no order. It may name ports that were taken by other ways since. */
  free: Uint16Array | null = null;
  freeCount = 0;

  constructor(source: IpAddress, destination: IpAddress, remotePort: number) {
    this.route = { source, destination };
    this.remotePort = remotePort;
  }

  fill(first: number, last: number, isFree: IsPortFree): void {
    this.free ??= new Uint16Array(last - first + 1);
    this.freeCount = 0;
    for (let port = first; port <= last; port++) if (isFree(port)) this.free[this.freeCount++] = port;
  }

  /** Takes any of the free ports, or 0. */
  draw(random: Random, isFree: IsPortFree): number {
    const { free } = this;
    if (free === null) return 0;
    while (this.freeCount > 0) {
      const index = randomBelow(random, this.freeCount);
      const port = free[index]!;
      free[index] = free[--this.freeCount]!;
      if (isFree(port)) return port;
    }
    return 0;
  }
}

/**
 * Ephemeral ports, random as RFC 6056 §3.3.1 wants them and in constant time on average however many are in use: there
 * is a book for each remote end, as a port is in use only towards the ends that it is connected to.
 */
export class EphemeralPorts {
  readonly #first: number;
  readonly #last: number;
  readonly #random: Random;
  readonly #books: FlowTable<PortUse>;
  readonly #key = new Int32Array(FLOW_KEY_WORDS);

  constructor(first: number, last: number, random: Random) {
    this.#first = first;
    this.#last = last;
    this.#random = random;
    this.#books = new FlowTable(random);
  }

  get #count(): number {
    return this.#last - this.#first + 1;
  }

  /** A port that `isFree` and that nobody knows beforehand, or 0 if there is none. */
  choose(local: IpAddress, remote: IpAddress, remotePort: number, isFree: IsPortFree): number {
    flowKey(this.#key, local, 0, remote, remotePort);
    const use = this.#books.find(this.#key);
    if (use === null || use.free === null) {
      for (let i = 0; i < RANDOM_TRIES; i++) {
        const port = this.#first + randomBelow(this.#random, this.#count);
        if (isFree(port)) return port;
      }
    }
    if (use === null) return this.#scan(isFree);
    if (use.used >= this.#count) return 0;
    const drawn = use.draw(this.#random, isFree);
    if (drawn !== 0) return drawn;
    use.fill(this.#first, this.#last, isFree);
    return use.draw(this.#random, isFree);
  }

  /** A port towards everybody, for a listener. */
  chooseAny(isFree: IsPortFree): number {
    for (let i = 0; i < RANDOM_TRIES; i++) {
      const port = this.#first + randomBelow(this.#random, this.#count);
      if (isFree(port)) return port;
    }
    return this.#scan(isFree);
  }

  /** A connection with this local port begins. */
  taken(local: IpAddress, port: number, remote: IpAddress, remotePort: number): void {
    if (port < this.#first || port > this.#last) return;
    flowKey(this.#key, local, 0, remote, remotePort);
    let use = this.#books.find(this.#key);
    if (use === null) {
      use = new PortUse(local, remote, remotePort);
      this.#books.add(this.#key, use);
    }
    use.used++;
    // Only as a hint: the next `choose` that finds no port by chance writes the list.
    if (use.used < this.#count * DENSE_SHARE) return;
    if (use.free === null) use.free = new Uint16Array(this.#count);
  }

  /** Nothing has this local port any more, TIME-WAIT included. */
  released(local: IpAddress, port: number, remote: IpAddress, remotePort: number): void {
    if (port < this.#first || port > this.#last) return;
    flowKey(this.#key, local, 0, remote, remotePort);
    const use = this.#books.find(this.#key);
    if (use === null) return;
    use.used--;
    if (use.used === 0) this.#books.remove(this.#key);
    else if (use.used < this.#count * SPARSE_SHARE) use.free = null;
    else if (use.free !== null && use.freeCount < use.free.length) use.free[use.freeCount++] = port;
  }

  #scan(isFree: IsPortFree): number {
    const start = randomBelow(this.#random, this.#count);
    for (let i = 0; i < this.#count; i++) {
      const port = this.#first + ((start + i) % this.#count);
      if (isFree(port)) return port;
    }
    return 0;
  }
}
