import type { Random } from '../core/random.ts';
import type { IpAddress } from '../wire/address.ts';

/** Words of one key: local address, remote address, both ports. */
export const FLOW_KEY_WORDS = 9;
const INITIAL_SLOTS = 64;
/** Grown above three quarters. */
const MAX_LOAD = 0.75;

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
 * From addresses and ports to what handles their segments: open addressing with linear probing, keys side by side in
 * one typed array, removal by shifting back, so there are no tombstones. The hash is multilinear with random keys: a peer
 * cannot choose addresses and ports that collide.
 */
export class FlowTable<T> {
  #slots: (T | null)[];
  #keys: Int32Array;
  #mask: number;
  #count = 0;
  readonly #multipliers = new Int32Array(FLOW_KEY_WORDS);
  readonly #seed: number;

  constructor(random: Random) {
    for (let i = 0; i < FLOW_KEY_WORDS; i++) this.#multipliers[i] = random.u32() | 1;
    this.#seed = random.u32() | 0;
    this.#slots = Array.from<T | null>({ length: INITIAL_SLOTS }).fill(null);
    this.#keys = new Int32Array(INITIAL_SLOTS * FLOW_KEY_WORDS);
    this.#mask = INITIAL_SLOTS - 1;
  }

  get size(): number {
    return this.#count;
  }

  find(key: Int32Array): T | null {
    for (let slot = this.#home(key, 0); this.#slots[slot] !== null; slot = (slot + 1) & this.#mask) {
      if (this.#equals(slot, key)) return this.#slots[slot]!;
    }
    return null;
  }

  /** Adds a flow. False: there is one with this key already. */
  add(key: Int32Array, value: T): boolean {
    if (this.#count + 1 > this.#slots.length * MAX_LOAD) this.#grow();
    let slot = this.#home(key, 0);
    for (; this.#slots[slot] !== null; slot = (slot + 1) & this.#mask) {
      if (this.#equals(slot, key)) return false;
    }
    this.#slots[slot] = value;
    this.#keys.set(key, slot * FLOW_KEY_WORDS);
    this.#count++;
    return true;
  }

  /** Removes a flow. False: there is none with this key. */
  remove(key: Int32Array): boolean {
    let slot = this.#home(key, 0);
    while (this.#slots[slot] !== null && !this.#equals(slot, key)) slot = (slot + 1) & this.#mask;
    if (this.#slots[slot] === null) return false;
    this.#count--;
    this.#slots[slot] = null;
    for (let next = (slot + 1) & this.#mask; this.#slots[next] !== null; next = (next + 1) & this.#mask) {
      const home = this.#home(this.#keys, next * FLOW_KEY_WORDS);
      // It may move back only if its home does not lie between the hole and itself.
      if (((next - home) & this.#mask) < ((next - slot) & this.#mask)) continue;
      this.#slots[slot] = this.#slots[next]!;
      this.#keys.copyWithin(slot * FLOW_KEY_WORDS, next * FLOW_KEY_WORDS, (next + 1) * FLOW_KEY_WORDS);
      this.#slots[next] = null;
      slot = next;
    }
    return true;
  }

  *values(): Generator<T> {
    for (const value of this.#slots) if (value !== null) yield value;
  }

  #home(words: Int32Array, at: number): number {
    const k = this.#multipliers;
    let hash = this.#seed;
    for (let i = 0; i < FLOW_KEY_WORDS; i++) hash = (hash + Math.imul(words[at + i]!, k[i]!)) | 0;
    hash ^= hash >>> 16;
    hash = Math.imul(hash, 0x45d9f3b);
    return (hash ^ (hash >>> 15)) & this.#mask;
  }

  #equals(slot: number, key: Int32Array): boolean {
    const at = slot * FLOW_KEY_WORDS;
    // The words that differ most often first: ports, then the last word of the remote address.
    for (let i = FLOW_KEY_WORDS - 1; i >= 0; i--) if (this.#keys[at + i] !== key[i]) return false;
    return true;
  }

  #grow(): void {
    const slots = this.#slots;
    const keys = this.#keys;
    this.#slots = Array.from<T | null>({ length: slots.length * 2 }).fill(null);
    this.#keys = new Int32Array(keys.length * 2);
    this.#mask = this.#slots.length - 1;
    for (let i = 0; i < slots.length; i++) {
      if (slots[i] === null) continue;
      let slot = this.#home(keys, i * FLOW_KEY_WORDS);
      while (this.#slots[slot] !== null) slot = (slot + 1) & this.#mask;
      this.#slots[slot] = slots[i]!;
      this.#keys.set(keys.subarray(i * FLOW_KEY_WORDS, (i + 1) * FLOW_KEY_WORDS), slot * FLOW_KEY_WORDS);
    }
  }
}
