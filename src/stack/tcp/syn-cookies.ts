import type { Random } from '../../core/random.ts';
import { FLOW_KEY_WORDS } from '../demux.ts';
import { KeyedHash } from './isn.ts';
import type { Segment } from './segment.ts';

/** The count of minutes lies above them, in the upper byte; the size of segments in them, hidden by the hash. */
const LOW_BITS = 24;
const LOW_MASK = 0xff_ffff;
const MINUTE_MICROS = 60_000_000;
/** A cookie is good in the minute that it was made in and in the next (as Linux). */
const VALID_MINUTES = 2;
/** After that long without a cookie sent, no acknowledgment is taken for one. */
export const COOKIE_VALID_MICROS: number = VALID_MINUTES * MINUTE_MICROS;

/**
 * Segment sizes that a cookie can name. From Alcock and Nelson, An Analysis of TCP Maximum Segment Sizes (2011): nearly
 * all hosts announce one of these or a little more.
 */
const SIZES4 = [536, 1300, 1440, 1460] as const;
const SIZES6 = [1220, 1420, 1440, 8940] as const;

/** In the lowest bits of the timestamp of a SYN-ACK: the options that the SYN had, as the peer will echo them. */
const STAMP_BITS = 6;
const STAMP_SCALE_MASK = 0x0f;
/** No shift count is as large: the SYN had no window scale option. */
const STAMP_NO_SCALE = 0x0f;
const STAMP_SACK = 0x10;
const STAMP_ECN = 0x20;

/**
 * SYN cookies (RFC 4987 §3.6, D. J. Bernstein): the initial sequence number of a SYN-ACK holds what there is to remember
 * of the SYN, and a keyed hash that proves it was we who sent it. What a SYN said in options goes into the timestamp;
 * from a peer without timestamps only its segment size is known.
 */
export class SynCookies {
  readonly #hash: KeyedHash;
  readonly #words = new Int32Array(FLOW_KEY_WORDS + 1);

  constructor(random: Random) {
    this.#hash = KeyedHash.random(random);
  }

  /** The initial sequence number of the answer to a SYN whose sender takes `mssBytes`. */
  make(segment: Segment, mssBytes: number, nowMicros: number): number {
    const sizes = segment.family === 4 ? SIZES4 : SIZES6;
    let index = sizes.length - 1;
    while (index > 0 && mssBytes < sizes[index]!) index--;
    const minute = Math.floor(nowMicros / MINUTE_MICROS) & 0xff;
    const low = (this.#lower(segment, minute) + index) & LOW_MASK;
    return (this.#upper(segment) + segment.sequence + (minute << LOW_BITS) + low) | 0;
  }

  /** The segment size in the cookie that a handshake's last segment acknowledges, or 0 if that is none of ours. */
  check(segment: Segment, nowMicros: number): number {
    const synSequence = (segment.sequence - 1) | 0;
    const cookie = (segment.acknowledgment - 1 - this.#upper(segment) - synSequence) | 0;
    const made = cookie >>> LOW_BITS;
    const minute = Math.floor(nowMicros / MINUTE_MICROS) & 0xff;
    if (((minute - made) & 0xff) >= VALID_MINUTES) return 0;
    const index = (cookie - this.#lower(segment, made)) & LOW_MASK;
    const sizes = segment.family === 4 ? SIZES4 : SIZES6;
    return index < sizes.length ? sizes[index]! : 0;
  }

  #upper(segment: Segment): number {
    this.#words.set(segment.key);
    this.#words[FLOW_KEY_WORDS] = -1;
    return this.#hash.hash(this.#words, FLOW_KEY_WORDS + 1);
  }

  #lower(segment: Segment, minute: number): number {
    this.#words.set(segment.key);
    this.#words[FLOW_KEY_WORDS] = minute;
    return this.#hash.hash(this.#words, FLOW_KEY_WORDS + 1);
  }
}

/**
 * The timestamp that holds a SYN's options: the latest one, before its offset is added, that is not after `ticks` (later
 * segments of the connection tell the true time and must not seem older).
 */
export function stampOptions(ticks: number, windowScale: number, sackPermitted: boolean, ecn: boolean): number {
  const bits =
    (windowScale >= 0 ? windowScale : STAMP_NO_SCALE) | (sackPermitted ? STAMP_SACK : 0) | (ecn ? STAMP_ECN : 0);
  const stamp = Math.floor(ticks / 2 ** STAMP_BITS) * 2 ** STAMP_BITS + bits;
  return (stamp > ticks ? stamp - 2 ** STAMP_BITS : stamp) | 0;
}

/** The shift count in a timestamp made by `stampOptions`, or -1. */
export function stampedScale(stamp: number): number {
  const scale = stamp & STAMP_SCALE_MASK;
  return scale === STAMP_NO_SCALE ? -1 : scale;
}

export function stampedSack(stamp: number): boolean {
  return (stamp & STAMP_SACK) !== 0;
}

export function stampedEcn(stamp: number): boolean {
  return (stamp & STAMP_ECN) !== 0;
}
