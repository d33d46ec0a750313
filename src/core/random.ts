import { randomFillSync } from 'node:crypto';

/** Randomness as an input: seeded in tests and simulations, the system's in production. */
export interface Random {
  /** A uniformly distributed integer in [0, 2^32). */
  u32(): number;
}

/**
 * sfc32 (Chris Doty-Humphrey, PractRand): small, fast, and passes the usual statistical batteries. Not for secrets.
 */
export class SeededRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#a = 0x9e3779b9 | 0;
    this.#b = seed | 0;
    this.#c = Math.floor(seed / 0x1_0000_0000) | 0;
    for (let i = 0; i < 15; i++) this.u32();
  }

  u32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }
}

const SECURE_BATCH_WORDS = 256;

/** The operating system's generator, drawn in batches: one system call per 256 numbers. */
export class SecureRandom implements Random {
  readonly #words = new Uint32Array(SECURE_BATCH_WORDS);
  #next = SECURE_BATCH_WORDS;

  u32(): number {
    if (this.#next === SECURE_BATCH_WORDS) {
      randomFillSync(this.#words);
      this.#next = 0;
    }
    const word = this.#words[this.#next]!;
    this.#words[this.#next++] = 0;
    return word;
  }
}

/** An integer in [0, limit). The modulo bias is below limit / 2^32. */
export function randomBelow(random: Random, limit: number): number {
  return Math.floor((random.u32() / 0x1_0000_0000) * limit);
}

/** True with the given probability (0 to 1). */
export function randomChance(random: Random, probability: number): boolean {
  return probability > 0 && random.u32() / 0x1_0000_0000 < probability;
}
