import type { Random } from '../../core/random.ts';
import type { TcpOptions } from '../../wire/tcp-options.ts';
import { KeyedHash } from './isn.ts';
import type { TcpListener } from './listener.ts';
import type { Segment } from './segment.ts';

/** Bits of `TcpConfig.fastOpen`, as in Linux's tcp_fastopen. */
export const FAST_OPEN_CLIENT = 1;
export const FAST_OPEN_SERVER = 2;
/** Data in the SYN though no cookie is at hand. */
export const FAST_OPEN_CLIENT_NO_COOKIE = 4;
/** Data in a SYN is taken without a cookie. */
export const FAST_OPEN_SERVER_NO_COOKIE = 0x200;
/** Each listener takes part, as far as its backlog goes. */
export const FAST_OPEN_ALL_LISTENERS = 0x400;

/** `tcpi_fastopen_client_fail` (include/uapi/linux/tcp.h). */
export const FAST_OPEN_FAIL_NONE = 0;
export const FAST_OPEN_FAIL_NO_COOKIE = 1;
export const FAST_OPEN_FAIL_NOT_ACKNOWLEDGED = 2;
export const FAST_OPEN_FAIL_SYN_REPEATED = 3;

/** Of the cookies that we make (RFC 7413 §4.1.1 allows 4 to 16). */
export const FAST_OPEN_COOKIE_BYTES = 8;
export const FAST_OPEN_KEY_BYTES = 16;

/** What Fast Open means to one connection: made only for those that have to do with it. */
export class FastOpen {
  /** In the option of our SYN or SYN-ACK: null for no option, empty to ask for a cookie. */
  cookie: Uint8Array | null = null;
  /** In the form that came before RFC 7413: kind 254, magic number 0xf989. */
  isExperimental = false;
  isClient = false;
  /** Client: the SYN waits for `send`, to take data along. */
  isDeferred = false;
  /** Client: our SYN asked for a cookie or had one. */
  hasAsked = false;
  /** Client: payload bytes that went with the SYN, and the NIC's mark behind them. */
  synBytes = 0;
  synMark = 0;
  /** Payload bytes that the SYN may take. */
  synSpaceBytes = 0;
  /** Client: this connection came after a pause because of a black hole; its success ends the back-off. */
  isTrial = false;
  /** Data in the SYN was taken: TCPI_OPT_SYN_DATA. */
  dataAcknowledged = false;
  clientFail: number = FAST_OPEN_FAIL_NONE;
  /** Server: who counts this connection as one whose peer has not proved its address. */
  listener: TcpListener | null = null;
  /** Server: it was the peer that ended the handshake. */
  wasReset = false;
}

/**
 * The keys of a server's cookies (RFC 7413 §4.1.2): a cookie is the SipHash of both addresses, as Linux makes it, so
 * that hosts with the same key can stand in for each other. Cookies of the backup key are still taken.
 */
export class FastOpenKeys {
  readonly #primary: KeyedHash;
  readonly #backup: KeyedHash | null;
  readonly #words = new Int32Array(8);
  readonly #scratch = new Uint8Array(FAST_OPEN_COOKIE_BYTES);

  /** @param primary, backup 16 bytes each. */
  constructor(primary: Uint8Array, backup: Uint8Array | null = null) {
    this.#primary = keyedHash(primary);
    this.#backup = backup === null ? null : keyedHash(backup);
  }

  /** @param key 16 bytes, or 32: the second half is the backup. */
  static of(key: Uint8Array): FastOpenKeys {
    const backup = key.length > FAST_OPEN_KEY_BYTES ? key.subarray(FAST_OPEN_KEY_BYTES) : null;
    return new FastOpenKeys(key.subarray(0, FAST_OPEN_KEY_BYTES), backup);
  }

  static random(random: Random): FastOpenKeys {
    const key = new Uint8Array(FAST_OPEN_KEY_BYTES);
    const view = new DataView(key.buffer);
    for (let at = 0; at < FAST_OPEN_KEY_BYTES; at += 4) view.setUint32(at, random.u32());
    return new FastOpenKeys(key);
  }

  /** The cookie for the sender of a SYN. */
  cookieFor(segment: Segment): Uint8Array {
    const cookie = new Uint8Array(FAST_OPEN_COOKIE_BYTES);
    this.#write(this.#primary, segment, cookie);
    return cookie;
  }

  /** 0: the cookie in a SYN is none of ours; 1: it is made with the primary key, 2: with the backup. */
  check(segment: Segment): 0 | 1 | 2 {
    const { options } = segment;
    if (this.#matches(this.#primary, segment, options)) return 1;
    return this.#backup !== null && this.#matches(this.#backup, segment, options) ? 2 : 0;
  }

  #matches(key: KeyedHash, segment: Segment, options: TcpOptions): boolean {
    if (options.fastOpenBytes !== FAST_OPEN_COOKIE_BYTES) return false;
    this.#write(key, segment, this.#scratch);
    let difference = 0;
    for (let i = 0; i < FAST_OPEN_COOKIE_BYTES; i++) difference |= this.#scratch[i]! ^ options.fastOpenCookie[i]!;
    return difference === 0;
  }

  /** Remote address, then ours, as they stand in the IP header. */
  #write(hash: KeyedHash, segment: Segment, cookie: Uint8Array): void {
    const { key, family } = segment;
    const words = family === 4 ? 1 : 4;
    for (let i = 0; i < words; i++) {
      const at = family === 4 ? 3 : i;
      this.#words[i] = swapBytes(key[4 + at]!);
      this.#words[words + i] = swapBytes(key[at]!);
    }
    const low = hash.hash(this.#words, 2 * words);
    for (let i = 0; i < 4; i++) {
      cookie[i] = low >>> (8 * i);
      cookie[4 + i] = hash.high >>> (8 * i);
    }
  }
}

function keyedHash(key: Uint8Array): KeyedHash {
  const view = new DataView(key.buffer, key.byteOffset, FAST_OPEN_KEY_BYTES);
  return new KeyedHash(view.getInt32(0, true), view.getInt32(4, true), view.getInt32(8, true), view.getInt32(12, true));
}

function swapBytes(word: number): number {
  return ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}
