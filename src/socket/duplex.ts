import { Duplex } from 'node:stream';
import { MAX_TIMER_MS } from '../core/clock.ts';
import { ERRNO } from '../core/errno.ts';
import { KiB } from '../core/units.ts';
import type { Gate } from './gate.ts';

/** The most that is copied to one buffer. */
const READ_BYTES: number = 64 * KiB;
/** To ask what an empty queue means: end, error or nothing yet. */
const PROBE: Uint8Array = new Uint8Array(1);

/** What a stream needs of the socket under it. */
export interface DuplexSocket {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly family: 'IPv4' | 'IPv6';
  readonly readable: Gate;
  readonly writable: Gate;
  readonly closed: boolean;
  readonly readableBytes: number;
  noDelay: boolean;
  read(target: Uint8Array): number;
  writeSync(bytes: Uint8Array, start?: number): number;
  shutdown(): void;
  close(): Promise<void>;
  abort(): void;
  keepAlive(enable: boolean, initialDelayMs?: number): void;
  ref(): void;
  unref(): void;
  failure(errno: number, syscall: string): Error;
}

export interface DevmemDuplexOptions {
  /** False: the peer's FIN ends the writable side too, as node:net does by default. True if left out. */
  allowHalfOpen?: boolean;
}

/**
 * A connection as a Node stream, in the manner of `net.Socket`, for code that wants bytes: each is copied once, out of
 * the memory it landed in, or into memory that it is sent from.
 *
 * Not reading leaves the data where it landed, and the peer's window closes. Destroyed with an error, with bytes still
 * to be written, or while both sides are open, it resets the connection, so that the peer does not take a part for the
 * whole; otherwise it closes it.
 */
export class DevmemDuplex extends Duplex {
  readonly #socket: DuplexSocket;
  #awaitsData = false;
  #timer: NodeJS.Timeout | null = null;
  #timeoutMs = 0;
  #bytesRead = 0;
  #bytesWritten = 0;

  constructor(socket: DuplexSocket, options: DevmemDuplexOptions = {}) {
    super({ allowHalfOpen: options.allowHalfOpen ?? true });
    this.#socket = socket;
  }

  get localAddress(): string {
    return this.#socket.localAddress;
  }

  get localPort(): number {
    return this.#socket.localPort;
  }

  get localFamily(): string {
    return this.#socket.family;
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress;
  }

  get remotePort(): number {
    return this.#socket.remotePort;
  }

  get remoteFamily(): string {
    return this.#socket.family;
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  get connecting(): boolean {
    return false;
  }

  get pending(): boolean {
    return false;
  }

  /** Milliseconds of `setTimeout`; 0: none. */
  get timeout(): number {
    return this.#timeoutMs;
  }

  address(): { address: string; family: string; port: number } {
    return { address: this.localAddress, family: this.localFamily, port: this.localPort };
  }

  setNoDelay(enable = true): this {
    this.#socket.noDelay = enable;
    return this;
  }

  setKeepAlive(enable = false, initialDelayMs = 0): this {
    this.#socket.keepAlive(enable, initialDelayMs);
    return this;
  }

  /** Emits `timeout` after so many milliseconds without traffic; what to do then is the listener's matter. */
  setTimeout(timeoutMs: number, onTimeout?: () => void): this {
    this.#timeoutMs = timeoutMs;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (timeoutMs > 0) {
      this.#timer = setTimeout(() => this.emit('timeout'), Math.min(timeoutMs, MAX_TIMER_MS)).unref();
      if (onTimeout !== undefined) this.once('timeout', onTimeout);
    } else if (onTimeout !== undefined) {
      this.removeListener('timeout', onTimeout);
    }
    return this;
  }

  ref(): this {
    this.#socket.ref();
    return this;
  }

  unref(): this {
    this.#socket.unref();
    return this;
  }

  /** Destroys it as soon as what was written is on its way: what node:http calls after the last response. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** Resets the connection at once. */
  resetAndDestroy(): this {
    this.#socket.abort();
    return this.destroy();
  }

  override _read(): void {
    this.#fill();
  }

  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error | null) => void): void {
    this.#send(chunk, 0, callback);
  }

  override _writev(chunks: { chunk: Buffer }[], callback: (error?: Error | null) => void): void {
    let next = 0;
    const proceed = (error?: Error | null): void => {
      if (error !== undefined && error !== null) callback(error);
      else if (next === chunks.length) callback();
      else this.#send(chunks[next++]!.chunk, 0, proceed);
    };
    proceed();
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (!this.#socket.closed) this.#socket.shutdown();
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const isComplete = this.writableFinished || (this.readableEnded && this.writableLength === 0);
    // An async iterator that has read to the end destroys with an AbortError while the other side is open.
    if ((error === null || error.name === 'AbortError') && isComplete) void this.#socket.close();
    else this.#socket.abort();
    callback(error);
  }

  #fill(): void {
    while (!this.destroyed) {
      const available = this.#socket.readableBytes;
      if (available === 0) {
        this.#readNothing(this.#socket.read(PROBE));
        return;
      }
      const buffer = Buffer.allocUnsafe(Math.min(available, READ_BYTES));
      const length = this.#socket.read(buffer);
      if (length <= 0) {
        this.#readNothing(length);
        return;
      }
      this.#bytesRead += length;
      this.#active();
      if (!this.push(length === buffer.length ? buffer : buffer.subarray(0, length))) return;
    }
  }

  #readNothing(verdict: number): void {
    if (verdict === 0) this.push(null);
    else if (verdict === -ERRNO.EAGAIN) this.#awaitData();
    else if (this.#socket.closed) this.destroy();
    else this.destroy(this.#socket.failure(verdict, 'read'));
  }

  #awaitData(): void {
    if (this.#awaitsData) return;
    this.#awaitsData = true;
    this.#socket.readable.once(() => {
      this.#awaitsData = false;
      this.#fill();
    });
  }

  #send(chunk: Buffer, start: number, callback: (error?: Error | null) => void): void {
    let at = start;
    while (at < chunk.length) {
      const sent = this.#socket.writeSync(chunk, at);
      if (sent === -ERRNO.EAGAIN) {
        this.#socket.writable.once(() => this.#send(chunk, at, callback));
        return;
      }
      if (sent < 0) {
        callback(this.#socket.failure(sent, 'write'));
        return;
      }
      at += sent;
      this.#bytesWritten += sent;
    }
    this.#active();
    callback();
  }

  #active(): void {
    this.#timer?.refresh();
  }
}
