import { invalidArgument } from '../core/errors.ts';
import { KiB, MiB } from '../core/units.ts';

/** Where in device memory a piece of the stream lies, and the token that keeps it there. Never across a chunk. */
export class Frag {
  /** The binding (`SO_DEVMEM_DMABUF`'s dmabuf_id). */
  dmabufId = 0;
  /** From the start of the memory, in bytes. */
  offset = 0;
  size = 0;
  /** Valid on the socket that delivered it, until it is returned there. */
  token = 0;
}

/** Whoever tokens are returned to. */
export interface TokenOwner {
  /** Returns tokens `start` to `start + count - 1`; answers how many of them were out. */
  releaseTokens(start: number, count: number): number;
}

export interface MessageOptions {
  /** Fragments at most: the control buffer's room. 64 by default; 0 is a call without a control buffer. */
  maxFrags?: number;
  /** Bytes at most, wherever they lie: the sum of the kernel's iov_len. At least 1; 1 MiB by default. */
  maxBytes?: number;
  /** Of those, bytes in host memory at most. At least 1; 64 KiB by default. */
  maxLinearBytes?: number;
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

/**
 * What one `recvmsg` delivered: bytes that lie in host memory, then references to those in device memory; in this
 * order they are the stream. Once released, its fragments may be overwritten by what arrives next.
 *
 * A message that is passed to `recvmsgSync` again is filled anew; tokens that it still held stay with the socket then
 * and have to be returned by number.
 */
export class Message {
  readonly maxFrags: number;
  readonly maxBytes: number;
  readonly maxLinearBytes: number;

  /** Of the stream, in this message. 0: the peer has sent its FIN and everything was delivered. */
  bytes = 0;
  /** The part that lies in host memory, first in the stream. Valid until the message is filled anew. */
  linear: Uint8Array = NO_BYTES;
  /** The part that lies in device memory. */
  readonly frags: Frag[] = [];
  /** No control message at all: an ordinary connection's bytes, all of them in `linear`. */
  ordinary = false;
  /** Whoever peeked is to return these tokens too, and the bytes come again. */
  peeked = false;

  /** Bytes that were left to read behind these, if the socket's TCP_INQ is on; 1 for the end alone; else -1. */
  inq = -1;

  #owner: TokenOwner | null = null;
  #buffer: Uint8Array = NO_BYTES;
  readonly #spare: Frag[] = [];

  /** @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT: with no room for a byte, no delivery differs from the end. */
  constructor(options: MessageOptions = {}) {
    this.maxFrags = limit('maxFrags', options.maxFrags ?? 64, 0);
    this.maxBytes = limit('maxBytes', options.maxBytes ?? MiB, 1);
    this.maxLinearBytes = Math.min(limit('maxLinearBytes', options.maxLinearBytes ?? 64 * KiB, 1), this.maxBytes);
  }

  /** True once released, and before it is filled. */
  get released(): boolean {
    return this.#owner === null;
  }

  /**
   * Returns the message's tokens, runs of them as ranges (SO_DEVMEM_DONTNEED). The pages they kept may be written again
   * at once. A second call does nothing.
   * @returns how many tokens were returned; fewer than `frags.length` if some had been returned by number.
   */
  release(): number {
    const owner = this.#owner;
    if (owner === null) return 0;
    this.#owner = null;
    const { frags } = this;
    let freed = 0;
    let first = 0;
    while (first < frags.length) {
      const start = frags[first]!.token;
      let end = first + 1;
      while (end < frags.length && frags[end]!.token === start + end - first) end++;
      freed += owner.releaseTokens(start, end - first);
      first = end;
    }
    return freed;
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** Empties it for the next delivery. For engines. */
  begin(owner: TokenOwner): void {
    this.bytes = 0;
    this.linear = NO_BYTES;
    this.ordinary = false;
    this.peeked = false;
    this.inq = -1;
    this.#owner = owner;
    const { frags } = this;
    while (frags.length > 0) this.#spare.push(frags.pop()!);
  }

  /** Room for `size` bytes of host memory, as `linear`. For engines. */
  reserveLinear(size: number): Uint8Array {
    if (this.#buffer.length < size) this.#buffer = new Uint8Array(size);
    this.linear = this.#buffer.length === size ? this.#buffer : this.#buffer.subarray(0, size);
    return this.linear;
  }

  /** One more fragment, to be filled in. For engines. */
  addFrag(): Frag {
    const frag = this.#spare.pop() ?? new Frag();
    this.frags.push(frag);
    return frag;
  }
}

function limit(name: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw invalidArgument(`${name} is ${String(value)}`, `give an integer of at least ${least}, or leave it out`);
}
