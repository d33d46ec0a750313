import { Ring } from '../../core/ring.ts';
import type { PagePool } from '../../memory/page-pool.ts';
import type { IpAddress } from '../../wire/address.ts';
import type { TcpConnection } from './connection.ts';
import type { TcpLayer } from './layer.ts';

/** Half-open connections that even a listener with a small backlog holds: handshakes overlap. */
const MIN_SYN_QUEUE = 16;
const MAX_BACKLOG = 65_535;

/**
 * A port that accepts connections. Two limits: half-open connections (beyond it, SYNs are dropped) and established ones
 * that wait to be accepted (beyond it, SYNs and the last acknowledgment of handshakes are dropped; the peer repeats).
 */
export class TcpListener {
  readonly address: IpAddress | null;
  readonly port: number;
  readonly backlog: number;
  /** Whose pages the windows of connections to come follow. Another one's once the binding was closed. */
  pool: PagePool;
  /** Called when a connection can be accepted, from inside the stack: it must not call back into it. */
  onAcceptable: (() => void) | null = null;

  readonly #layer: TcpLayer;
  readonly #halfOpen = new Set<TcpConnection>();
  readonly #acceptable: Ring<TcpConnection>;
  #isClosed = false;

  constructor(layer: TcpLayer, address: IpAddress | null, port: number, backlog: number, pool: PagePool) {
    this.#layer = layer;
    this.address = address;
    this.port = port;
    this.backlog = Math.min(Math.max(1, backlog), MAX_BACKLOG);
    this.pool = pool;
    this.#acceptable = new Ring<TcpConnection>(this.backlog);
  }

  get halfOpenCount(): number {
    return this.#halfOpen.size;
  }

  get acceptableCount(): number {
    return this.#acceptable.length;
  }

  /** Whether a SYN may begin a connection. The seam for SYN cookies (RFC 4987): where it may not, they would answer. */
  get hasRoom(): boolean {
    return this.#acceptable.length < this.backlog && this.#halfOpen.size < Math.max(this.backlog, MIN_SYN_QUEUE);
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
