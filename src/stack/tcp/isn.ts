import type { Random } from '../../core/random.ts';

/**
 * SipHash-2-4 (Aumasson and Bernstein, 2012) over 32-bit words, its 64-bit lanes held as pairs of int32 so that no
 * BigInt is made. Keyed: whoever lacks the key can neither predict initial sequence numbers nor aim for one bucket of
 * the connection table.
 */
export class KeyedHash {
  readonly #key0Low: number;
  readonly #key0High: number;
  readonly #key1Low: number;
  readonly #key1High: number;
  /** v0..v3, low word first. */
  readonly #lanes = new Int32Array(8);

  constructor(key0Low: number, key0High: number, key1Low: number, key1High: number) {
    this.#key0Low = key0Low | 0;
    this.#key0High = key0High | 0;
    this.#key1Low = key1Low | 0;
    this.#key1High = key1High | 0;
  }

  static random(random: Random): KeyedHash {
    return new KeyedHash(random.u32(), random.u32(), random.u32(), random.u32());
  }

  /** The upper 32 bits of the hash that `hash` computed last. */
  high = 0;

  /** Hashes `count` words, each as four little-endian bytes. Returns the lower 32 bits, as int32. */
  hash(words: Int32Array, count: number): number {
    const v = this.#lanes;
    v[0] = this.#key0Low ^ 0x70736575;
    v[1] = this.#key0High ^ 0x736f6d65;
    v[2] = this.#key1Low ^ 0x6e646f6d;
    v[3] = this.#key1High ^ 0x646f7261;
    v[4] = this.#key0Low ^ 0x6e657261;
    v[5] = this.#key0High ^ 0x6c796765;
    v[6] = this.#key1Low ^ 0x79746573;
    v[7] = this.#key1High ^ 0x74656462;
    let i = 0;
    for (; i + 1 < count; i += 2) this.#absorb(words[i]!, words[i + 1]!);
    this.#absorb(i < count ? words[i]! : 0, (count * 4) << 24);
    v[4] ^= 0xff;
    for (let round = 0; round < 4; round++) sipRound(v);
    this.high = v[1] ^ v[3] ^ v[5] ^ v[7];
    return v[0] ^ v[2] ^ v[4] ^ v[6];
  }

  #absorb(low: number, high: number): void {
    const v = this.#lanes;
    v[6]! ^= low;
    v[7]! ^= high;
    sipRound(v);
    sipRound(v);
    v[0]! ^= low;
    v[1]! ^= high;
  }
}

function sipRound(v: Int32Array): void {
  add(v, 0, 2);
  rotateAndXor(v, 2, 13, 0);
  swap(v, 0);
  add(v, 4, 6);
  rotateAndXor(v, 6, 16, 4);
  add(v, 0, 6);
  rotateAndXor(v, 6, 21, 0);
  add(v, 4, 2);
  rotateAndXor(v, 2, 17, 4);
  swap(v, 4);
}

function add(v: Int32Array, to: number, from: number): void {
  const low = (v[to]! >>> 0) + (v[from]! >>> 0);
  v[to] = low;
  v[to + 1] = v[to + 1]! + v[from + 1]! + (low > 0xffff_ffff ? 1 : 0);
}

/** Rotates a lane left by `bits` (below 32), then XORs another into it. */
function rotateAndXor(v: Int32Array, lane: number, bits: number, other: number): void {
  const low = v[lane]!;
  const high = v[lane + 1]!;
  v[lane] = ((low << bits) | (high >>> (32 - bits))) ^ v[other]!;
  v[lane + 1] = ((high << bits) | (low >>> (32 - bits))) ^ v[other + 1]!;
}

/** Rotates a lane by 32. */
function swap(v: Int32Array, lane: number): void {
  const low = v[lane]!;
  v[lane] = v[lane + 1]!;
  v[lane + 1] = low;
}

/** RFC 6528 §3: ISN = M + F(addresses, ports, secret), M a timer that ticks every 4 µs. */
export function initialSequence(hash: number, nowMicros: number): number {
  return (hash + Math.floor((nowMicros / 4) % 0x1_0000_0000)) | 0;
}
