import { ERRNO } from '../core/errno.ts';
import { errnoError, type DevmemError } from '../core/errors.ts';
import type { DeviceMemory } from '../memory/device-memory.ts';
import { checkRange, type TokenRange } from '../memory/tokens.ts';
import type { TcpInfo } from '../stack/tcp/info.ts';
import type { SocketOptionName } from '../stack/tcp/options.ts';
import { DevmemDuplex, type DevmemDuplexOptions } from './duplex.ts';
import { MSG_PEEK, MSG_SOCK_DEVMEM, MSG_TRUNC } from './flags.ts';
import type { Gate } from './gate.ts';
import { LINK_DOWN_HINT } from './link-down.ts';
import { Message, type MessageOptions } from './message.ts';
import type { ReadableSocketOptions, SocketOptionInput } from './socket-options.ts';
import type { CompletionRange } from './send-ledger.ts';

/** What a socket has done since it was connected. */
export class SocketCounters {
  /** Delivered as references to device memory. */
  dmabufBytes = 0;
  /** Delivered as bytes in host memory: what the header split left there, or an ordinary connection's. */
  linearBytes = 0;
  /** Copied by `read()` and `toDuplex()` for ordinary code, wherever the bytes lay. */
  copiedBytes = 0;
  /** Discarded with MSG_TRUNC. */
  discardedBytes = 0;
  frags = 0;
  tokensReturned = 0;
  /** Tokens returned that were not out. */
  tokensUnknown = 0;
  /** Accepted for sending: in place out of device memory, and copied from host bytes. */
  sentDmabufBytes = 0;
  sentCopiedBytes = 0;
}

export interface SignalOptions {
  /** Aborting rejects with `signal.reason`. */
  signal?: AbortSignal;
}

export interface MessagesOptions extends MessageOptions, SignalOptions {}

export interface RecvmsgOptions extends MessageOptions, SignalOptions {
  /** MSG_SOCK_DEVMEM. On by default; without it data in device memory answers EFAULT and stays queued. */
  devmem?: boolean;
  /** MSG_PEEK: the data stays queued. Each peek mints tokens of its own. */
  peek?: boolean;
  /** MSG_TRUNC: discards up to `maxBytes` of the data, with no tokens. */
  truncate?: boolean;
  /** MSG_DONTWAIT: rejects with EAGAIN instead of waiting. */
  dontWait?: boolean;
}

/** A piece of the memory that is sent. */
export interface SendPiece {
  /** From the start of the memory, in bytes: the kernel's iov_base. */
  readonly offset: number;
  readonly length: number;
}

export interface RecordOptions {
  /** MSG_MORE: more follows at once; a segment that is not full waits for it, for 200 ms at most. */
  more?: boolean;
  /** MSG_EOR: a record ends here; what follows does not share a segment with it. */
  endOfRecord?: boolean;
}

export interface WriteOptions extends SignalOptions, RecordOptions {}

export interface SendmsgRequest extends RecordOptions {
  /** The memory to send from, or the id that `bindTx` gave it. */
  memory?: DeviceMemory;
  dmabufId?: number;
  iov: readonly SendPiece[];
  /** MSG_ZEROCOPY, which device memory needs: EINVAL without. On by default. */
  zerocopy?: boolean;
}

export interface SendFromOptions extends SignalOptions, RecordOptions {
  /** First byte to send; 0 by default. */
  offset?: number;
  /** Bytes to send; to the end of the memory by default. */
  length?: number;
}

export interface CloseOptions extends SignalOptions {
  /**
   * Longest wait for the peer to acknowledge what was sent, FIN included; 0: do not wait. SO_LINGER's by default, or
   * 5000 ms.
   */
  timeoutMs?: number;
}

const HINTS = new Map<number, string>([
  [ERRNO.EFAULT, 'the data lies in device memory: receive with devmem: true; it is still queued'],
  [ERRNO.ETOOSMALL, 'leave room for at least one fragment (maxFrags)'],
  [ERRNO.EAGAIN, 'nothing is queued: wait for it by leaving dontWait out'],
  [ERRNO.EBADF, 'the socket is closed'],
  [ERRNO.ENETDOWN, LINK_DOWN_HINT],
]);

/**
 * One TCP connection whose payload lies in device memory. The low level (`recvmsgSync`, `sendmsgSync`, `dontneed`) has
 * the kernel's semantics to the errno; the rest is built on it, the same for every engine.
 */
export abstract class DevmemSocket {
  abstract readonly localAddress: string;
  abstract readonly localPort: number;
  abstract readonly remoteAddress: string;
  abstract readonly remotePort: number;
  /** `IPv4` or `IPv6`, as node:net says it. */
  abstract readonly family: 'IPv4' | 'IPv6';
  #counters: SocketCounters | null = null;
  #duplex: DevmemDuplex | null = null;

  get counters(): SocketCounters {
    return (this.#counters ??= new SocketCounters());
  }

  /** Opens when data, FIN or an error has arrived. */
  abstract readonly readable: Gate;
  /** Opens when there is room to send, or never will be. */
  abstract readonly writable: Gate;
  /** After `close()` or `abort()`. */
  abstract readonly closed: boolean;
  /** Tokens that the application holds. */
  abstract readonly tokensHeld: number;
  /** Bytes of ours that the peer has acknowledged; also of a connection that is over. */
  abstract readonly acknowledgedBytes: number;
  /** The peer has acknowledged everything, the end of the stream (our FIN) included. */
  abstract readonly endAcknowledged: boolean;

  /**
   * Fills `message` with what is queued; allocates nothing for data in device memory. `flags` are MSG_SOCK_DEVMEM (the
   * default), MSG_PEEK and MSG_TRUNC.
   * @returns bytes; 0 at the end of the stream; or a negative errno: EAGAIN nothing queued, EFAULT device memory without
   *   MSG_SOCK_DEVMEM, ETOOSMALL no room for the first fragment, ECONNRESET and the like once, EBADF closed here.
   *   Source: tcp_recvmsg_locked and tcp_recvmsg_dmabuf (Linux, net/ipv4/tcp.c).
   */
  abstract recvmsgSync(message: Message, flags?: number): number;

  /**
   * SO_DEVMEM_DONTNEED: returns tokens, at most 128 ranges and 1024 tokens a call.
   * @returns how many were out and are returned now: a token returned twice, or never given, does not count.
   * @throws DevmemError EINVAL, nothing freed: no range, more than 128, or not unsigned 32-bit integers.
   */
  abstract dontneed(ranges: readonly TokenRange[]): number;

  /** As `dontneed` for one range, with no limit. @throws DevmemError EINVAL, nothing freed: not unsigned 32-bit integers */
  abstract releaseTokens(start: number, count: number): number;

  /** Copies what is queued to `target`, wherever it lies. @returns bytes; 0 at the end; or a negative errno. */
  abstract read(target: Uint8Array): number;
  /** Bytes that could be read without waiting. */
  abstract readonly readableBytes: number;

  /**
   * Sends out of device memory, in place, as far as there is room.
   * @returns bytes accepted, perhaps fewer than asked; or a negative errno: EINVAL unknown id or no zerocopy, EFAULT
   *   offset behind the end, EAGAIN no room, EPIPE shut down. Source: tcp_sendmsg_locked, net/core/devmem.c.
   */
  abstract sendmsgSync(request: SendmsgRequest): number;

  /**
   * Copies bytes of `bytes` from `start` on. `flags` are MSG_MORE and MSG_EOR.
   * @returns how many were accepted, or a negative errno.
   * @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT for anything but bytes, such as a string.
   */
  abstract writeSync(bytes: Uint8Array, start?: number, flags?: number): number;

  /**
   * Sends a range of device memory, in place. Resolves when its pages may be reused: the peer has acknowledged all of
   * it and no link reads it any more. Sends queue up in the order of the calls.
   *
   * Aborted in the middle, part of the range is in the stream: `abort()` the socket unless the peer can tell.
   * @throws ERR_DEVMEM_INVALID_ARGUMENT for a range outside the memory; ECONNRESET, ETIMEDOUT, EPIPE.
   */
  abstract sendFrom(memory: DeviceMemory, options?: SendFromOptions): Promise<void>;

  /**
   * Copies `bytes`. Resolves when all of them are accepted: that is the backpressure.
   * @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT for anything but bytes; ECONNRESET, ETIMEDOUT, EPIPE.
   */
  abstract write(bytes: Uint8Array, options?: WriteOptions): Promise<void>;

  /** What MSG_ERRQUEUE says: the zero-copy `sendmsg` calls, counted from 0, that completed since last asked. */
  abstract completions(): CompletionRange | null;

  /** Ends sending: FIN behind what is queued. Receiving goes on. */
  abstract shutdown(): void;

  /**
   * Ends the connection: FIN behind what is queued (a reset if received data is unread, RFC 2525 §2.17), all tokens
   * returned. Resolves when the peer has acknowledged everything, at the timeout, or when the connection fails:
   * `endAcknowledged` tells which.
   */
  abstract close(options?: CloseOptions): Promise<void>;

  /** Resets the connection and returns all tokens. */
  abstract abort(): void;

  /** State and figures of the connection, under Linux's tcp_info names, and of the socket. */
  abstract info(): object;

  /** Linux's struct tcp_info, every field by its name and in its unit (TCP_INFO). */
  abstract tcpInfo(): TcpInfo;

  /**
   * setsockopt, by the usual name: `socket.setOption('TCP_NODELAY', 1)`. Takes effect at once. Switches take booleans too.
   * @throws DevmemError ENOPROTOOPT: no such option; EINVAL: out of range, or too late for this connection; ENOENT: no
   *   such congestion control; EOPNOTSUPP: switched off in the configuration. Nothing is changed then.
   *   Source: do_tcp_setsockopt (Linux, net/ipv4/tcp.c), sk_setsockopt (net/core/sock.c).
   */
  abstract setOption<Name extends SocketOptionName>(name: Name, value: SocketOptionInput<Name>): void;

  /**
   * getsockopt: the value as it is now, or as it was set. `SO_ERROR` takes the error with it, as Linux does.
   * @throws DevmemError ENOPROTOOPT: no such option.
   */
  abstract option<Name extends keyof ReadableSocketOptions>(name: Name): ReadableSocketOptions[Name];

  /** TCP_NODELAY. */
  abstract noDelay: boolean;
  /**
   * Keepalive probes after `initialDelayMs` of silence; 0 or left out: as before, which at first is two hours.
   * @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT for a delay that is negative or above 32767 s.
   */
  abstract keepAlive(enable: boolean, initialDelayMs?: number): void;

  /** An open socket keeps the process alive, unless `unref()`. */
  abstract ref(): void;
  abstract unref(): void;

  /**
   * What arrives, in batches, until the peer's FIN. Each message is the caller's until its `release()`; while messages
   * are held, the memory they lie in is not offered to the peer, which slows it down.
   * @throws DevmemError ECONNRESET, ETIMEDOUT, ENETDOWN (the link is gone), ...; the signal's reason.
   */
  async *messages(options: MessagesOptions = {}): AsyncGenerator<Message, void, undefined> {
    for (;;) {
      const message = new Message(options);
      const received = await this.#receive(message, MSG_SOCK_DEVMEM, options.signal);
      if (received === 0) return;
      yield message;
    }
  }

  /**
   * One `recvmsg`, waiting for data. At the end of the stream `bytes` is 0.
   * @throws DevmemError EFAULT, ETOOSMALL, EAGAIN (with `dontWait`), ECONNRESET, ...
   */
  async recvmsg(options: RecvmsgOptions = {}): Promise<Message> {
    const flags =
      (options.devmem === false ? 0 : MSG_SOCK_DEVMEM) |
      (options.peek === true ? MSG_PEEK : 0) |
      (options.truncate === true ? MSG_TRUNC : 0);
    const message = new Message(options);
    await this.#receive(message, flags, options.signal, options.dontWait);
    return message;
  }

  /**
   * One `sendmsg`, waiting for room. A plain array is copied, as far as there is room.
   * @returns bytes accepted, perhaps fewer than asked.
   * @throws DevmemError as `sendmsgSync`.
   */
  async sendmsg(request: SendmsgRequest | Uint8Array, options: SignalOptions = {}): Promise<number> {
    for (;;) {
      options.signal?.throwIfAborted();
      const sent = request instanceof Uint8Array ? this.writeSync(request) : this.sendmsgSync(request);
      if (sent >= 0) return sent;
      if (sent !== -ERRNO.EAGAIN) throw this.failure(sent, 'sendmsg');
      await this.writable.wait(options.signal);
    }
  }

  /**
   * Returns single tokens, in any order.
   * @returns how many were out.
   * @throws DevmemError EINVAL, nothing freed: one is not an unsigned 32-bit integer.
   */
  release(tokens: Iterable<number>): number {
    const list = [...tokens];
    for (const token of list) checkRange(token, 1);
    let freed = 0;
    let start = 0;
    let count = 0;
    for (const token of list) {
      if (count > 0 && token === start + count) {
        count++;
        continue;
      }
      if (count > 0) freed += this.releaseTokens(start, count);
      start = token;
      count = 1;
    }
    return count > 0 ? freed + this.releaseTokens(start, count) : freed;
  }

  /**
   * The connection as a plain Node stream, payload copied out of wherever it lies (`counters.copiedBytes`). It has what
   * node:http asks of a socket: `http.createServer().emit('connection', socket.toDuplex())`. There is one stream to a
   * socket: a second call answers the same.
   */
  toDuplex(options: DevmemDuplexOptions = {}): DevmemDuplex {
    this.#duplex ??= new DevmemDuplex(this, options);
    return this.#duplex;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Less is queued than a call for up to `maxBytes` bytes waits for (SO_RCVLOWAT), and more may come. For engines. */
  protected awaitsMore(_maxBytes: number): boolean {
    return false;
  }

  /** The error for a negative errno of the low-level calls. */
  failure(errno: number, syscall: string): DevmemError {
    const hint = HINTS.get(Math.abs(errno));
    const where = `${syscall} ${this.localAddress}:${this.localPort} - ${this.remoteAddress}:${this.remotePort}`;
    return errnoError(errno, where, hint === undefined ? { syscall } : { syscall, hint });
  }

  async #receive(message: Message, flags: number, signal?: AbortSignal, dontWait = false): Promise<number> {
    for (;;) {
      signal?.throwIfAborted();
      const isShort = !dontWait && this.awaitsMore(message.maxBytes);
      const received = isShort ? -ERRNO.EAGAIN : this.recvmsgSync(message, flags);
      if (received >= 0) return received;
      if (received !== -ERRNO.EAGAIN || dontWait) throw this.failure(received, 'recvmsg');
      await this.readable.wait(signal);
    }
  }
}
