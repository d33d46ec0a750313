import { errnoError } from '../core/errors.ts';
import { ERRNO } from '../core/errno.ts';
import { NO_NET_IOV, type NetIov, type PagePool } from './page-pool.ts';
import { FreeBitmap } from './token-bitmap.ts';

/** Token ranges in one call, as the kernel's MAX_DONTNEED_TOKENS (net/core/sock.c). */
export const MAX_DONTNEED_RANGES = 128;
/** Tokens tried in one call, found or not, as the kernel's MAX_DONTNEED_FRAGS. */
export const MAX_DONTNEED_FRAGS = 1024;
/** Tokens that one socket can hold. The kernel's limit is 2^31. */
export const MAX_TOKENS: number = 2 ** 24;
/** `mint()` at the limit; no token is 0. */
export const NO_TOKEN = 0;

const MAX_U32 = 0xffff_ffff;
const INITIAL_TOKENS = 32;

/** `count` tokens from `start` on: the kernel's `struct dmabuf_token`. */
export interface TokenRange {
  readonly start: number;
  readonly count: number;
}

/** What a socket's tokens have seen since it was made. */
export class TokenCounters {
  minted = 0;
  /** Tokens given back that were out: each gave one reference back. */
  returned = 0;
  /** Tokens given back that were not out: never minted, or given back before. They free nothing. */
  unknownReturned = 0;
  /** Calls cut short at MAX_DONTNEED_FRAGS. */
  limited = 0;
}

/**
 * One socket's tokens: each stands for one reference to a chunk that the application may still read. Numbers are the
 * lowest free ones from 1, as the kernel's, so that an application that returns in order returns in long ranges.
 */
export class TokenTable {
  readonly counters: TokenCounters = new TokenCounters();
  readonly #free = new FreeBitmap(INITIAL_TOKENS);
  /** By token - 1. NO_NET_IOV: the token is not out. */
  #iovs = new Int32Array(INITIAL_TOKENS).fill(NO_NET_IOV);
  readonly #pools: (PagePool | null)[] = Array.from<PagePool | null>({ length: INITIAL_TOKENS }).fill(null);
  #outstanding = 0;

  /** Tokens that are out. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** Tokens that are out for chunks of one pool. Looks at every token: for statistics. */
  outstandingIn(pool: PagePool): number {
    let count = 0;
    for (const other of this.#pools) if (other === pool) count++;
    return count;
  }

  /**
   * Takes over one reference to a chunk, which the caller held.
   * @returns the token; NO_TOKEN if MAX_TOKENS are out (the reference then stays the caller's).
   */
  mint(pool: PagePool, iov: NetIov): number {
    let index = this.#free.take();
    if (index < 0) {
      if (!this.#grow()) return NO_TOKEN;
      index = this.#free.take();
    }
    this.#iovs[index] = iov;
    this.#pools[index] = pool;
    this.#outstanding++;
    this.counters.minted++;
    return index + 1;
  }

  /** True while the token is out. */
  has(token: number): boolean {
    return token >= 1 && token <= this.#iovs.length && this.#iovs[token - 1] !== NO_NET_IOV;
  }

  /**
   * SO_DEVMEM_DONTNEED. At most MAX_DONTNEED_RANGES ranges; stops, without an error, after MAX_DONTNEED_FRAGS tokens.
   * Tokens that are not out are skipped, free nothing and count in `counters.unknownReturned`.
   * @returns how many references were given back: where it is less than was asked for, that is the only sign.
   * @throws DevmemError EINVAL, nothing freed: no range, too many, or one that is not two unsigned 32-bit integers.
   */
  dontneed(ranges: readonly TokenRange[]): number {
    checkRanges(ranges);
    let freed = 0;
    let tried = 0;
    for (const { start, count } of ranges) {
      const allowed = Math.min(count, MAX_DONTNEED_FRAGS - tried);
      freed += this.releaseRange(start, allowed);
      tried += allowed;
      if (allowed < count) {
        this.counters.limited++;
        break;
      }
    }
    return freed;
  }

  /**
   * Gives `count` tokens from `start` on back, with no limit on how many: what the package's own code uses. Takes time
   * for the tokens that there are, not for `count`.
   * @returns how many of them were out.
   * @throws DevmemError EINVAL, nothing freed, unless both are unsigned 32-bit integers.
   */
  releaseRange(start: number, count: number): number {
    checkRange(start, count);
    let freed = 0;
    const end = start + count;
    // Beyond 2^32 token numbers begin again, as the kernel's u32 sum does: that part is a range of its own.
    if (end > MAX_U32 + 1)
      return this.releaseRange(start, MAX_U32 + 1 - start) + this.releaseRange(0, end - MAX_U32 - 1);
    const last = Math.min(end - 1, this.#iovs.length);
    for (let token = Math.max(start, 1); token <= last; token++) {
      if (this.#release(token - 1)) freed++;
    }
    this.counters.returned += freed;
    this.counters.unknownReturned += count - freed;
    return freed;
  }

  /** Gives every token back that is still out: the socket closes. @returns how many that were. */
  releaseAll(): number {
    let freed = 0;
    for (let index = 0; this.#outstanding > 0; index++) {
      if (this.#release(index)) freed++;
    }
    this.counters.returned += freed;
    return freed;
  }

  #release(index: number): boolean {
    const iov = this.#iovs[index]!;
    if (iov === NO_NET_IOV) return false;
    const pool = this.#pools[index]!;
    this.#iovs[index] = NO_NET_IOV;
    this.#pools[index] = null;
    this.#free.give(index);
    this.#outstanding--;
    pool.release(iov);
    return true;
  }

  #grow(): boolean {
    const length = this.#iovs.length;
    if (length >= MAX_TOKENS) return false;
    const iovs = new Int32Array(length * 2).fill(NO_NET_IOV);
    iovs.set(this.#iovs);
    this.#iovs = iovs;
    for (let i = length; i < length * 2; i++) this.#pools.push(null);
    this.#free.grow(length * 2);
    return true;
  }
}

function checkRanges(ranges: readonly TokenRange[]): void {
  const where = 'SO_DEVMEM_DONTNEED';
  if (ranges.length === 0) throw errnoError(ERRNO.EINVAL, `${where} without a token range`, { syscall: 'setsockopt' });
  if (ranges.length > MAX_DONTNEED_RANGES) {
    throw errnoError(ERRNO.EINVAL, `${where} with ${ranges.length} token ranges`, {
      syscall: 'setsockopt',
      hint: `pass at most ${MAX_DONTNEED_RANGES} ranges a call; tokens in a row can share one`,
    });
  }
  for (const { start, count } of ranges) checkRange(start, count);
}

/** @throws DevmemError EINVAL unless both are unsigned 32-bit integers. */
export function checkRange(start: number, count: number): void {
  if (isU32(start) && isU32(count)) return;
  throw errnoError(ERRNO.EINVAL, `SO_DEVMEM_DONTNEED of range {start: ${start}, count: ${count}}`, {
    syscall: 'setsockopt',
    hint: 'start and count are unsigned 32-bit integers: pass the tokens of fragments as they came',
  });
}

function isU32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_U32;
}
