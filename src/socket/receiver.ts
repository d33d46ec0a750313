import { ERRNO } from '../core/errno.ts';
import type { FragQueue } from '../memory/frag-queue.ts';
import type { PagePool } from '../memory/page-pool.ts';
import { NO_TOKEN, TokenTable, type TokenRange } from '../memory/tokens.ts';
import type { SocketCounters } from './devmem-socket.ts';
import { MSG_PEEK, MSG_SOCK_DEVMEM, MSG_TRUNC } from './flags.ts';
import type { Message, TokenOwner } from './message.ts';
import type { SocketStatus } from './status.ts';

/** What receiving needs of the host. */
export interface ReceivingHost {
  readonly hostPool: PagePool;
  /** The id of the binding that a pool belongs to. */
  dmabufIdOf(pool: PagePool): number;
  nowMicros(): number;
  /** Something was taken or returned: the window may open. */
  kick(): void;
}

/**
 * The receiving half of a socket: turns the connection's queue of references into messages, and references into tokens.
 * Payload that landed in host pages becomes linear bytes: on a connection that receives into a binding that is a part
 * of the stream which the split left on the host (SO_DEVMEM_LINEAR), on any other it is ordinary data.
 */
export class Receiver {
  /** Made with the first token. */
  #tokens: TokenTable | null = null;
  readonly #status: SocketStatus;
  readonly #queue: FragQueue;
  readonly #host: ReceivingHost;
  readonly #hostPool: PagePool;
  readonly #counters: SocketCounters;
  /** The pool last looked up. */
  #pool: PagePool | null = null;
  #dmabufId = 0;

  constructor(status: SocketStatus, host: ReceivingHost, counters: SocketCounters) {
    this.#status = status;
    this.#queue = status.connection.receiveQueue;
    this.#host = host;
    this.#hostPool = host.hostPool;
    this.#counters = counters;
  }

  /** See `DevmemSocket.recvmsgSync`. `owner` is whom the message returns its tokens to. */
  recvmsg(message: Message, flags: number, owner: TokenOwner): number {
    message.begin(owner);
    const bytes = this.#receive(message, flags);
    if (bytes >= 0) message.inq = this.#leftBytes();
    return bytes;
  }

  /** TCP_INQ: bytes left to read, or one that stands for the end of the stream; -1 unless it was asked for. */
  #leftBytes(): number {
    const { connection } = this.#status;
    if (!connection.options.inq) return -1;
    return this.#queue.bytes === 0 && connection.finReceived ? 1 : this.#queue.bytes;
  }

  #receive(message: Message, flags: number): number {
    const queue = this.#queue;
    if (queue.count === 0) return this.#status.receiveVerdict();
    if ((flags & MSG_TRUNC) !== 0) return this.#discard(message, flags);
    const peek = (flags & MSG_PEEK) !== 0;
    const devmem = (flags & MSG_SOCK_DEVMEM) !== 0;
    message.peeked = peek;

    let next = 0;
    let slots = message.maxFrags;
    if (queue.pool() === this.#hostPool) {
      // Once its binding is closed, a connection is one like any other.
      const isPart = this.#status.connection.receiver.window.pool !== this.#hostPool && devmem;
      // The kernel says where linear bytes are with a control message of its own: it needs room too.
      if (isPart && slots-- === 0) return -ERRNO.ETOOSMALL;
      message.ordinary = !isPart;
      next = this.#takeLinear(message, peek);
      if (!isPart || next < 0) return message.bytes;
    } else if (!devmem) {
      return -ERRNO.EFAULT;
    } else if (slots === 0) {
      return -ERRNO.ETOOSMALL;
    }
    const verdict = this.#takeFrags(message, peek, next, slots);
    return verdict < 0 && message.bytes === 0 ? verdict : message.bytes;
  }

  /** See `DevmemSocket.read`. */
  read(target: Uint8Array): number {
    const queue = this.#queue;
    if (queue.count === 0) return this.#status.receiveVerdict();
    let at = 0;
    while (at < target.length && queue.count > 0) {
      const pool = queue.pool();
      const iov = queue.iov();
      const take = Math.min(queue.size(), target.length - at);
      const from = pool.offsetOf(iov) + queue.offset();
      target.set(pool.region.mapping.subarray(from, from + take), at);
      at += take;
      if (queue.trimFront(take) === 0) {
        queue.shift();
        pool.release(iov);
      }
    }
    this.#counters.copiedBytes += at;
    this.#consumed(at);
    return at;
  }

  /** Tokens that are out. */
  get tokensHeld(): number {
    return this.#tokens === null ? 0 : this.#tokens.outstanding;
  }

  dontneed(ranges: readonly TokenRange[]): number {
    const tokens = this.#tokenTable();
    const { unknownReturned } = tokens.counters;
    return this.#returned(tokens.dontneed(ranges), tokens.counters.unknownReturned - unknownReturned);
  }

  releaseTokens(start: number, count: number): number {
    const tokens = this.#tokenTable();
    const { unknownReturned } = tokens.counters;
    return this.#returned(tokens.releaseRange(start, count), tokens.counters.unknownReturned - unknownReturned);
  }

  tokensOf(pool: PagePool): number {
    return this.tokensHeld === 0 ? 0 : this.#tokenTable().outstandingIn(pool);
  }

  /** Returns everything: queued references and tokens. */
  close(): void {
    this.#queue.clear();
    if (this.tokensHeld > 0) this.#counters.tokensReturned += this.#tokenTable().releaseAll();
    this.#host.kick();
  }

  #tokenTable(): TokenTable {
    return (this.#tokens ??= new TokenTable());
  }

  #returned(freed: number, unknown: number): number {
    this.#counters.tokensReturned += freed;
    this.#counters.tokensUnknown += unknown;
    if (freed > 0) this.#host.kick();
    return freed;
  }

  /**
   * Copies host bytes from the front. @returns the index of the entry behind them, which is the front one unless
   * peeking; -1 when the message is full before they end.
   */
  #takeLinear(message: Message, peek: boolean): number {
    const queue = this.#queue;
    const limit = message.maxLinearBytes;
    let length = 0;
    let count = 0;
    while (count < queue.count && length < limit && queue.pool(count) === this.#hostPool) length += queue.size(count++);
    const isCut = length > limit;
    if (isCut) length = limit;
    const target = message.reserveLinear(length);
    let at = 0;
    for (let i = 0; i < count; i++) {
      const entry = peek ? i : 0;
      const iov = queue.iov(entry);
      const take = Math.min(queue.size(entry), length - at);
      const from = this.#hostPool.offsetOf(iov) + queue.offset(entry);
      target.set(this.#hostPool.region.mapping.subarray(from, from + take), at);
      at += take;
      if (peek || queue.trimFront(take) > 0) continue;
      queue.shift();
      this.#hostPool.release(iov);
    }
    message.bytes = length;
    if (!peek) {
      this.#counters.linearBytes += length;
      this.#consumed(length);
    }
    const front = peek ? count : 0;
    const hasMore = front < queue.count && queue.pool(front) === this.#hostPool;
    return isCut || hasMore ? -1 : front;
  }

  /** Hands out references from entry `first` on, one token each. */
  #takeFrags(message: Message, peek: boolean, first: number, slots: number): number {
    const queue = this.#queue;
    const before = message.bytes;
    let room = message.maxBytes - before;
    let index = first;
    let left = slots;
    while (left > 0 && room > 0 && index < queue.count) {
      const pool = queue.pool(index);
      if (pool === this.#hostPool) break;
      const iov = queue.iov(index);
      const offset = queue.offset(index);
      const size = queue.size(index);
      const take = size < room ? size : room;
      const isWhole = take === size && !peek;
      if (!isWhole) pool.retain(iov);
      const token = this.#tokenTable().mint(pool, iov);
      if (token === NO_TOKEN) {
        if (!isWhole) pool.release(iov);
        this.#finish(message, peek, before);
        return -ERRNO.ENOMEM;
      }
      if (peek) index++;
      else if (isWhole) queue.shift();
      else queue.trimFront(take);
      const frag = message.addFrag();
      frag.dmabufId = this.#idOf(pool);
      frag.offset = pool.offsetOf(iov) + offset;
      frag.size = take;
      frag.token = token;
      message.bytes += take;
      room -= take;
      left--;
    }
    this.#finish(message, peek, before);
    return 0;
  }

  #finish(message: Message, peek: boolean, before: number): void {
    this.#counters.frags += message.frags.length;
    if (peek) return;
    this.#counters.dmabufBytes += message.bytes - before;
    this.#consumed(message.bytes - before);
  }

  #discard(message: Message, flags: number): number {
    const queue = this.#queue;
    if ((flags & MSG_PEEK) !== 0) {
      message.bytes = Math.min(queue.bytes, message.maxBytes);
      return message.bytes;
    }
    message.bytes = queue.discard(message.maxBytes);
    this.#counters.discardedBytes += message.bytes;
    this.#consumed(message.bytes);
    return message.bytes;
  }

  #consumed(bytes: number): void {
    if (bytes === 0) return;
    this.#status.connection.consumed(bytes, this.#host.nowMicros());
    this.#host.kick();
  }

  #idOf(pool: PagePool): number {
    if (pool !== this.#pool) {
      this.#pool = pool;
      this.#dmabufId = this.#host.dmabufIdOf(pool);
    }
    return this.#dmabufId;
  }
}
