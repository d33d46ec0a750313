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
    // v0 to v3 in locals: this runs several times for each SYN of a flood, and arrays cost ten times as much.
    let v0Low = this.#key0Low ^ 0x70736575;
    let v0High = this.#key0High ^ 0x736f6d65;
    let v1Low = this.#key1Low ^ 0x6e646f6d;
    let v1High = this.#key1High ^ 0x646f7261;
    let v2Low = this.#key0Low ^ 0x6e657261;
    let v2High = this.#key0High ^ 0x6c796765;
    let v3Low = this.#key1Low ^ 0x79746573;
    let v3High = this.#key1High ^ 0x74656462;
    const compressions = 2 * ((count >> 1) + 1);
    let low = 0;
    let high = 0;
    for (let round = 0; round < compressions + 4; round++) {
      if (round < compressions && (round & 1) === 0) {
        low = round < count ? words[round]! : 0;
        high = round + 1 < count ? words[round + 1]! : (count * 4) << 24;
        v3Low ^= low;
        v3High ^= high;
      } else if (round === compressions) {
        v2Low ^= 0xff;
      }
      let sum = (v0Low + v1Low) | 0;
      v0High = (v0High + v1High + carry(v0Low, v1Low, sum)) | 0;
      v0Low = sum;
      sum = (v2Low + v3Low) | 0;
      v2High = (v2High + v3High + carry(v2Low, v3Low, sum)) | 0;
      v2Low = sum;
      let rotated = (v1Low << 13) | (v1High >>> 19);
      v1High = ((v1High << 13) | (v1Low >>> 19)) ^ v0High;
      v1Low = rotated ^ v0Low;
      rotated = (v3Low << 16) | (v3High >>> 16);
      v3High = ((v3High << 16) | (v3Low >>> 16)) ^ v2High;
      v3Low = rotated ^ v2Low;
      // v0 rotated by 32 bits, then v3 added; v2 and v1 likewise.
      sum = (v0High + v3Low) | 0;
      v0High = (v0Low + v3High + carry(v0High, v3Low, sum)) | 0;
      v0Low = sum;
      sum = (v2Low + v1Low) | 0;
      v2High = (v2High + v1High + carry(v2Low, v1Low, sum)) | 0;
      v2Low = sum;
      rotated = (v3Low << 21) | (v3High >>> 11);
      v3High = ((v3High << 21) | (v3Low >>> 11)) ^ v0High;
      v3Low = rotated ^ v0Low;
      rotated = (v1Low << 17) | (v1High >>> 15);
      v1High = ((v1High << 17) | (v1Low >>> 15)) ^ v2High;
      v1Low = rotated ^ v2Low;
      rotated = v2Low;
      v2Low = v2High;
      v2High = rotated;
      if (round < compressions && (round & 1) === 1) {
        v0Low ^= low;
        v0High ^= high;
      }
    }
    this.high = v0High ^ v1High ^ v2High ^ v3High;
    return v0Low ^ v1Low ^ v2Low ^ v3Low;
  }
}

/** What is carried when `sum`, of 32 bits, is that of `a` and `b`. Without unsigned comparison, which makes doubles. */
function carry(a: number, b: number, sum: number): number {
  return ((a & b) | ((a | b) & ~sum)) >>> 31;
}

/** RFC 6528 §3: ISN = M + F(addresses, ports, secret), M a timer that ticks every 4 µs. */
export function initialSequence(hash: number, nowMicros: number): number {
  return (hash + Math.floor((nowMicros / 4) % 0x1_0000_0000)) | 0;
}
