import { invalidArgument } from '../core/errors.ts';
import type { Random } from '../core/random.ts';

/** Key length for IPv6 with ports: 36 bytes of input and 4 more of key (Microsoft, "RSS hashing types"). */
export const RSS_KEY_BYTES = 40;
/** Rows of the indirection table, as most NICs have. */
export const INDIRECTION_ENTRIES = 128;

const INPUT_BYTES_MAX = 36;

/**
 * Receive side scaling: the Toeplitz hash (Microsoft, "RSS Hashing Functions") of a flow's addresses and ports, and the
 * table that turns it into a queue.
 *
 * The hash XORs, for every set bit of the input, the 32 key bits that begin at that bit's position. It is linear, so one
 * table of 256 words for each input byte replaces the bit loop: 12 lookups for TCP over IPv4.
 */
export class Rss {
  readonly #tables = new Int32Array(INPUT_BYTES_MAX * 256);
  readonly #key = new Uint8Array(RSS_KEY_BYTES);
  readonly #indirection = new Int32Array(INDIRECTION_ENTRIES);

  /** @param random source of the initial key: a known key lets a sender aim all flows at one queue. */
  constructor(random: Random) {
    const key = new Uint8Array(RSS_KEY_BYTES);
    for (let i = 0; i < RSS_KEY_BYTES; i++) key[i] = random.u32();
    this.setKey(key);
  }

  /** A copy of the hash key. */
  key(): Uint8Array {
    return this.#key.slice();
  }

  /** @throws ERR_DEVMEM_INVALID_ARGUMENT unless `key` has 40 bytes. */
  setKey(key: Uint8Array): void {
    if (key.length !== RSS_KEY_BYTES) {
      throw invalidArgument(`RSS key of ${key.length} bytes`, `give ${RSS_KEY_BYTES} bytes`);
    }
    this.#key.set(key);
    const tables = this.#tables;
    for (let position = 0; position < INPUT_BYTES_MAX; position++) {
      const row = position * 256;
      for (let value = 1; value < 256; value++) {
        const lowest = value & -value;
        // Linear: a byte's word is the sum of its bits' words, and bit 7 of a byte comes first on the wire.
        tables[row + value] =
          value === lowest
            ? keyWindow(key, position * 8 + Math.clz32(lowest) - 24)
            : tables[row + (value ^ lowest)]! ^ tables[row + lowest]!;
      }
    }
  }

  /** The queue of each row of the table: a copy. */
  indirection(): Int32Array {
    return this.#indirection.slice();
  }

  /** Spreads `queueIds` over the table in turn: `ethtool -X IF equal N` for any set of queues. */
  spread(queueIds: readonly number[]): void {
    for (let i = 0; i < INDIRECTION_ENTRIES; i++) this.#indirection[i] = queueIds[i % queueIds.length]!;
  }

  setIndirection(row: number, queueId: number): void {
    if (!Number.isInteger(row) || row < 0 || row >= INDIRECTION_ENTRIES) {
      throw invalidArgument(`indirection row ${row}`, `rows go from 0 to ${INDIRECTION_ENTRIES - 1}`);
    }
    this.#indirection[row] = queueId;
  }

  /** The queue for a hash: its low bits choose the row. */
  queueFor(hash: number): number {
    return this.#indirection[hash & (INDIRECTION_ENTRIES - 1)]!;
  }

  /**
   * The hash of `length` input bytes at `offset`, begun at input byte `position` and XORed to `seed`: a flow's
   * addresses and its ports lie apart where a header has options, so they are hashed in two calls.
   * @returns the hash as an int32.
   */
  hash(bytes: Uint8Array, offset: number, length: number, position = 0, seed = 0): number {
    const tables = this.#tables;
    let hash = seed;
    for (let i = 0; i < length; i++) hash ^= tables[(position + i) * 256 + bytes[offset + i]!]!;
    return hash;
  }
}

/** The 32 key bits that begin at bit `start`. */
function keyWindow(key: Uint8Array, start: number): number {
  let window = 0;
  for (let i = 0; i < 32; i++) {
    const bit = start + i;
    window = (window << 1) | ((key[bit >> 3]! >> (7 - (bit & 7))) & 1);
  }
  return window;
}
