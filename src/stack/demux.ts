import type { Random } from '../core/random.ts';
import type { IpAddress } from '../wire/address.ts';

/** Words of one key: local address, remote address, both ports. */
export const FLOW_KEY_WORDS = 9;
const INITIAL_SLOTS = 64;
/** Doubled above three quarters, halved below an eighth. */
const MAX_LOAD = 0.75;
const MIN_LOAD = 0.125;

/** What is found by its addresses and ports: they never change while it is in the table. */
export interface Flow {
  readonly route: { readonly source: IpAddress; readonly destination: IpAddress };
  readonly localPort: number;
  readonly remotePort: number;
}

/** Writes the key of a flow into `key`. */
export function flowKey(
  key: Int32Array,
  local: IpAddress,
  localPort: number,
  remote: IpAddress,
  remotePort: number,
): void {
  key[0] = local.w0;
  key[1] = local.w1;
  key[2] = local.w2;
  key[3] = local.w3;
  key[4] = remote.w0;
  key[5] = remote.w1;
  key[6] = remote.w2;
  key[7] = remote.w3;
  key[8] = (localPort << 16) | remotePort;
}

/**
 * From addresses and ports to what handles their segments: open addressing with linear probing, removal by shifting
 * back, so there are no tombstones. A slot is the flow and 32 bits of hash: keys are compared in the flow itself, once
 * the hash agrees, and growing hashes nothing anew.
 *
 * The hash is strongly universal (Lemire and Kaser 2014, MULTILINEAR over 16-bit characters, twice): whoever lacks the
 * keys cannot choose addresses and ports, however many, that collide more often than random ones do.
 */
export class FlowTable<T extends Flow> {
  #slots: (T | null)[] = emptySlots<T>(INITIAL_SLOTS);
  #hashes: Int32Array = new Int32Array(INITIAL_SLOTS);
  #mask: number = INITIAL_SLOTS - 1;
  #count = 0;
  /** For each word four multipliers: of its halves, for the upper and for the lower half of the hash. */
  readonly #multipliers = new Int32Array(4 * FLOW_KEY_WORDS);
  readonly #seedHigh: number;
  readonly #seedLow: number;

  constructor(random: Random) {
    for (let i = 0; i < this.#multipliers.length; i++) this.#multipliers[i] = random.u32();
    this.#seedHigh = random.u32() | 0;
    this.#seedLow = random.u32() | 0;
  }

  get size(): number {
    return this.#count;
  }

  /** Slots that exist: the count of flows lies between an eighth and three quarters of it. */
  get capacity(): number {
    return this.#mask + 1;
  }

  find(key: Int32Array): T | null {
    return this.#slots[this.#lookUp(key, this.#hash(key))]!;
  }

  /** Adds a flow under its key. False: there is one with this key already. */
  add(key: Int32Array, flow: T): boolean {
    const hash = this.#hash(key);
    let slot = this.#lookUp(key, hash);
    if (this.#slots[slot] !== null) return false;
    if (this.#count + 1 > this.capacity * MAX_LOAD) {
      this.#resize(this.capacity * 2);
      slot = this.#lookUp(key, hash);
    }
    this.#slots[slot] = flow;
    this.#hashes[slot] = hash;
    this.#count++;
    return true;
  }

  /** Removes a flow. False: there is none with this key. */
  remove(key: Int32Array): boolean {
    const slots = this.#slots;
    const hashes = this.#hashes;
    const mask = this.#mask;
    let slot = this.#lookUp(key, this.#hash(key));
    if (slots[slot] === null) return false;
    this.#count--;
    slots[slot] = null;
    for (let next = (slot + 1) & mask; slots[next] !== null; next = (next + 1) & mask) {
      // It may move back only if its home does not lie between the hole and itself.
      if (((next - hashes[next]!) & mask) < ((next - slot) & mask)) continue;
      slots[slot] = slots[next]!;
      hashes[slot] = hashes[next]!;
      slots[next] = null;
      slot = next;
    }
    if (this.capacity > INITIAL_SLOTS && this.#count < this.capacity * MIN_LOAD) this.#resize(this.capacity / 2);
    return true;
  }

  /** All flows. None must be added or removed meanwhile. */
  *values(): Generator<T> {
    for (const flow of this.#slots) if (flow !== null) yield flow;
  }

  /** Slot by slot, whether it is taken: how well the hash spreads. */
  *occupancy(): Generator<boolean> {
    for (const flow of this.#slots) yield flow !== null;
  }

  /** The slot of a key's flow, or the free one where it would go. */
  #lookUp(key: Int32Array, hash: number): number {
    let slot = hash & this.#mask;
    for (; this.#slots[slot] !== null; slot = (slot + 1) & this.#mask) {
      if (this.#hashes[slot] === hash && hasKey(this.#slots[slot]!, key)) return slot;
    }
    return slot;
  }

  #hash(key: Int32Array): number {
    const k = this.#multipliers;
    let high = this.#seedHigh;
    let low = this.#seedLow;
    for (let word = 0, at = 0; word < FLOW_KEY_WORDS; word++, at += 4) {
      const front = key[word]! >>> 16;
      const back = key[word]! & 0xffff;
      high = (high + Math.imul(front, k[at]!) + Math.imul(back, k[at + 1]!)) | 0;
      low = (low + Math.imul(front, k[at + 2]!) + Math.imul(back, k[at + 3]!)) | 0;
    }
    // Only the upper halves of the sums are strongly universal.
    return (high & 0xffff_0000) | (low >>> 16);
  }

  #resize(capacity: number): void {
    const slots = this.#slots;
    const hashes = this.#hashes;
    const mask = capacity - 1;
    this.#slots = emptySlots<T>(capacity);
    this.#hashes = new Int32Array(capacity);
    this.#mask = mask;
    for (let i = 0; i < slots.length; i++) {
      const flow = slots[i]!;
      if (flow === null) continue;
      let slot = hashes[i]! & mask;
      while (this.#slots[slot] !== null) slot = (slot + 1) & mask;
      this.#slots[slot] = flow;
      this.#hashes[slot] = hashes[i]!;
    }
  }
}

function hasKey(flow: Flow, key: Int32Array): boolean {
  const { source: local, destination: remote } = flow.route;
  return (
    key[8] === ((flow.localPort << 16) | flow.remotePort) &&
    key[7] === remote.w3 &&
    key[6] === remote.w2 &&
    key[5] === remote.w1 &&
    key[4] === remote.w0 &&
    key[3] === local.w3 &&
    key[2] === local.w2 &&
    key[1] === local.w1 &&
    key[0] === local.w0
  );
}

function emptySlots<T>(length: number): (T | null)[] {
  // Array.from is six times slower, which a table that doubles makes everybody wait for.
  // oxlint-disable-next-line unicorn/no-new-array -- the length is meant
  return new Array<T | null>(length).fill(null);
}
