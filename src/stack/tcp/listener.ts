import { ERRNO } from '../../core/errno.ts';
import { Ring } from '../../core/ring.ts';
import type { PagePool } from '../../memory/page-pool.ts';
import type { IpAddress } from '../../wire/address.ts';
import type { TcpConnection } from './connection.ts';
import { FastOpenKeys } from './fast-open.ts';
import type { TcpLayer } from './layer.ts';
import { isSocketOption, storedOption, type SocketOptions } from './options.ts';
import { setListenerOption } from './set-option.ts';

/** Half-open connections that even a listener with a small backlog holds: handshakes overlap. */
const MIN_SYN_QUEUE = 16;
const MAX_BACKLOG = 65_535;
/** A Fast Open handshake that its peer reset counts that long as one under way: it may be a forger's (RFC 7413 §5.1). */
const FAST_OPEN_RESET_MICROS = 60_000_000;

/**
 * A port that accepts connections. Two limits: half-open connections (beyond it, SYNs are answered by cookies) and
 * established ones that wait to be accepted (beyond it, SYNs and the last acknowledgment of handshakes are dropped; the
 * peer repeats).
 */
export class TcpListener {
  readonly address: IpAddress | null;
  readonly port: number;
  readonly backlog: number;
  /** Whose pages the windows of connections to come follow. Another one's once the binding was closed. */
  pool: PagePool;
  /** Called when a connection can be accepted, from inside the stack: it must not call back into it. */
  onAcceptable: (() => void) | null = null;
  /** Its own, and what the connections that it accepts begin with. */
  options: SocketOptions;
  /** Keys of its own (TCP_FASTOPEN_KEY), or null for the layer's. */
  fastOpenKeys: FastOpenKeys | null = null;

  /** When a SYN was answered by a cookie last. */
  lastCookieMicros: number = Number.NEGATIVE_INFINITY;
  /** In the layer's list of those that have news for their application. */
  isAnnounced = false;

  readonly #layer: TcpLayer;
  readonly #halfOpen = new Set<TcpConnection>();
  readonly #acceptable: Ring<TcpConnection>;
  #fastOpenCount = 0;
  /** When Fast Open handshakes that were reset stop counting, the first of them first. */
  #fastOpenResets: number[] = [];
  #isClosed = false;

  constructor(
    layer: TcpLayer,
    address: IpAddress | null,
    port: number,
    backlog: number,
    pool: PagePool,
    options: SocketOptions,
  ) {
    this.#layer = layer;
    this.address = address;
    this.port = port;
    this.backlog = Math.min(Math.max(1, backlog), MAX_BACKLOG);
    this.pool = pool;
    this.options = options;
    this.#acceptable = new Ring<TcpConnection>(this.backlog);
    if (options.fastOpenKey !== null) this.useFastOpenKey(options.fastOpenKey);
  }

  /** @param key see `FastOpenKeys.of`; null: the layer's keys. */
  useFastOpenKey(key: Uint8Array | null): void {
    this.fastOpenKeys = key === null ? null : FastOpenKeys.of(key);
  }

  /**
   * Sets a socket option of the listener: connections that begin from now on inherit it.
   * @returns 0, or a negative errno: see `storeOption`.
   */
  setOption(name: string, value: unknown): number {
    return setListenerOption(this, this.#layer.config, name, value);
  }

  /** The value of an option, or a negative errno: ENOPROTOOPT. */
  option(name: string): unknown {
    return isSocketOption(name) ? storedOption(this.options, name) : -ERRNO.ENOPROTOOPT;
  }

  get halfOpenCount(): number {
    return this.#halfOpen.size;
  }

  get acceptableCount(): number {
    return this.#acceptable.length;
  }

  /** The connection that is `index` places from being accepted. */
  acceptable(index: number): TcpConnection | undefined {
    return this.#acceptable.peek(index);
  }

  /** Fast Open handshakes under way, and those that were reset lately. */
  get fastOpenCount(): number {
    return this.#fastOpenCount;
  }

  get isAcceptQueueFull(): boolean {
    return this.#acceptable.length >= this.backlog;
  }

  /** Whether a SYN may begin a connection that is remembered. */
  get hasRoom(): boolean {
    return !this.isAcceptQueueFull && this.#halfOpen.size < Math.max(this.backlog, MIN_SYN_QUEUE);
  }

  /** The connection accepted next, or null. It may have failed since; its `errno` says so. */
  accept(): TcpConnection | null {
    const connection = this.#acceptable.shift() ?? null;
    if (connection !== null) connection.listener = null;
    return connection;
  }

  /** Ends listening and resets what was not accepted (RFC 9293 §3.10.4). */
  close(nowMicros: number): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.onAcceptable = null;
    for (const connection of [...this.#halfOpen]) connection.abort(nowMicros);
    for (let next = this.accept(); next !== null; next = this.accept()) next.abort(nowMicros);
    this.#layer.unlisten(this);
  }

  // ---- for the rest of the TCP ----

  begin(connection: TcpConnection): void {
    connection.listener = this;
    this.#halfOpen.add(connection);
  }

  /** Whether one more SYN with data may begin a connection. */
  hasFastOpenRoom(limit: number, nowMicros: number): boolean {
    while (this.#fastOpenResets.length > 0 && this.#fastOpenResets[0]! <= nowMicros) {
      this.#fastOpenResets.shift();
      this.#fastOpenCount--;
    }
    return this.#fastOpenCount < limit;
  }

  /** A connection that can be accepted before its handshake is done (RFC 7413 §4.2.2). */
  beginFast(connection: TcpConnection): void {
    connection.listener = this;
    connection.fastOpen!.listener = this;
    this.#fastOpenCount++;
    this.#acceptable.push(connection);
    this.#layer.notifyAcceptable(this);
  }

  /** The handshake of such a connection is done or has failed. */
  endFast(wasReset: boolean, nowMicros: number): void {
    if (wasReset) this.#fastOpenResets.push(nowMicros + FAST_OPEN_RESET_MICROS);
    else this.#fastOpenCount--;
  }

  /** The handshake is done: moves the connection to the accept queue. False: that is full. */
  admit(connection: TcpConnection): boolean {
    if (!this.#halfOpen.has(connection)) return true;
    if (!this.#acceptable.push(connection)) return false;
    this.#halfOpen.delete(connection);
    this.#layer.notifyAcceptable(this);
    return true;
  }

  /** The connection ended before it was accepted. An established one stays in the queue, as in Linux: accept tells. */
  lost(connection: TcpConnection): void {
    this.#halfOpen.delete(connection);
  }
}
