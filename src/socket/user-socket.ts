import { MAX_TIMER_MS, NEVER } from '../core/clock.ts';
import { ERRNO } from '../core/errno.ts';
import { errnoError, invalidArgument } from '../core/errors.ts';
import type { DeviceMemory } from '../memory/device-memory.ts';
import type { PagePool } from '../memory/page-pool.ts';
import type { TokenRange } from '../memory/tokens.ts';
import type { TcpConnection } from '../stack/tcp/connection.ts';
import type { TcpInfo } from '../stack/tcp/info.ts';
import type { SocketOptionName } from '../stack/tcp/options.ts';
import {
  EVENT_ACKED,
  EVENT_CLOSED,
  EVENT_CONNECTED,
  EVENT_ERROR,
  EVENT_READABLE,
  EVENT_WRITABLE,
} from '../stack/tcp/state.ts';
import {
  DevmemSocket,
  type CloseOptions,
  type SendFromOptions,
  type SendmsgRequest,
  type WriteOptions,
} from './devmem-socket.ts';
import type { Engine, Settling } from './engine.ts';
import { MSG_SOCK_DEVMEM } from './flags.ts';
import { Gate } from './gate.ts';
import { LINK_DOWN_HINT } from './link-down.ts';
import type { Message } from './message.ts';
import { Receiver, type ReceivingHost } from './receiver.ts';
import type { CompletionRange } from './send-ledger.ts';
import { Sender, type SendingHost } from './sender.ts';
import { snapshot } from './snapshot.ts';
import { checkReadable, checkSet, type ReadableSocketOptions, type SocketOptionInput } from './socket-options.ts';
import { SocketStatus } from './status.ts';
import type { SteeringLease } from './steering-lease.ts';

const DEFAULT_LINGER_MS = 5000;
/** What Linux takes for TCP_KEEPIDLE: MAX_TCP_KEEPIDLE seconds. */
const MAX_KEEPALIVE_MS = 32_767_000;

const CONNECT_HINTS = new Map<number, string>([
  [ERRNO.ECONNREFUSED, 'nothing listens on that port: start the other side first'],
  [ERRNO.EHOSTUNREACH, 'nobody on the link answers for that address: check it, and the peer address of the link'],
  [ERRNO.ENETDOWN, LINK_DOWN_HINT],
  [ERRNO.ETIMEDOUT, 'no answer: check the address and what filters packets on the way'],
]);

/** What a socket needs of the host that it belongs to. */
export interface SocketHost extends ReceivingHost, SendingHost {
  readonly engine: Engine;
  /** Calls back once the link has let go of everything sent before now, and the stack has looked again. */
  whenTransmitted(callback: () => void): void;
  /** The connection is over and nothing of it is left with the application. */
  forget(socket: UserSocket): void;
}

export interface UserSocketOptions {
  host: SocketHost;
  connection: TcpConnection;
  /** The rule that steers to it; given back when the connection ends. */
  lease: SteeringLease | null;
}

/** A socket of the user engine: a connection of our own TCP. */
export class UserSocket extends DevmemSocket implements Settling {
  readonly connection: TcpConnection;

  readonly #host: SocketHost;
  /** These are made when they are used: of many connections most are idle. */
  #status: SocketStatus | null = null;
  #receiver: Receiver | null = null;
  #sender: Sender | null = null;
  #readable: Gate | null = null;
  #writable: Gate | null = null;
  /** Opens at every event: who waits for a state of the connection waits here. */
  #progress: Gate | null = null;
  #lease: SteeringLease | null;
  #events = 0;
  #isListed = false;
  /** The connection is over: TIME-WAIT or gone. */
  #ended = false;
  #isRef = true;
  #holds = true;

  constructor(options: UserSocketOptions) {
    super();
    const { host, connection } = options;
    this.#host = host;
    this.connection = connection;
    this.#lease = options.lease;
    host.engine.hold();
    connection.observer = this;
    // It may have ended before anybody looked.
    if (connection.errno !== 0 || connection.state === 'CLOSED') this.tcpEvent(connection, EVENT_ERROR);
  }

  get readable(): Gate {
    return (this.#readable ??= new Gate());
  }

  get writable(): Gate {
    return (this.#writable ??= new Gate());
  }

  get localAddress(): string {
    return this.connection.localAddress.toString();
  }

  get localPort(): number {
    return this.connection.localPort;
  }

  get remoteAddress(): string {
    return this.connection.remoteAddress.toString();
  }

  get remotePort(): number {
    return this.connection.remotePort;
  }

  get family(): 'IPv4' | 'IPv6' {
    return this.connection.remoteAddress.family === 4 ? 'IPv4' : 'IPv6';
  }

  get closed(): boolean {
    return this.#status !== null && this.#status.closed;
  }

  /** Where payload of the connection is to land: a binding's pages, or the host's. */
  get pool(): PagePool {
    return this.connection.receiver.window.pool;
  }

  get tokensHeld(): number {
    return this.#receiver === null ? 0 : this.#receiver.tokensHeld;
  }

  get acknowledgedBytes(): number {
    const { sender } = this.connection;
    // Behind the last byte the acknowledgment counts the FIN; before the handshake it is -1.
    return Math.max(0, Math.min(sender.unaOffset, sender.queue.endOffset));
  }

  get endAcknowledged(): boolean {
    return this.connection.sender.finAcknowledged;
  }

  /** Tokens out for a pool's pages. */
  tokensOf(pool: PagePool): number {
    return this.#receiver === null ? 0 : this.#receiver.tokensOf(pool);
  }

  /** Chunks of the host's send memory that hold copies of ours. */
  get sendChunksHeld(): number {
    return this.#sender === null ? 0 : this.#sender.chunksHeld;
  }

  /** No memory is lent to the connection any more. */
  get isSendIdle(): boolean {
    return this.#sender === null || this.#sender.isIdle;
  }

  get readableBytes(): number {
    return this.connection.receiveQueue.bytes;
  }

  /** From inside the stack: notes what happened, for `settle`. */
  tcpEvent(_connection: TcpConnection, events: number): void {
    this.#events |= events;
    if (this.#isListed) return;
    this.#isListed = true;
    this.#host.engine.settleLater(this);
  }

  /** Tells the application what has happened. */
  settle(): void {
    const events = this.#events;
    this.#events = 0;
    this.#isListed = false;
    if ((events & (EVENT_CLOSED | EVENT_ERROR)) !== 0) this.#end(this.connection.errno);
    if ((events & EVENT_ACKED) !== 0) this.#sender?.advance();
    const isOver = (events & (EVENT_CLOSED | EVENT_ERROR)) !== 0 || this.#isReadOver();
    if (isOver || ((events & EVENT_READABLE) !== 0 && this.#isWorthReading())) this.#readable?.open();
    if ((events & (EVENT_WRITABLE | EVENT_ACKED | EVENT_CONNECTED | EVENT_CLOSED | EVENT_ERROR)) !== 0) {
      this.#writable?.open();
    }
    this.#progress?.open();
    if (this.#ended) this.#forgetIfEmpty();
  }

  /**
   * Resolves when the handshake is done, or waits for what is to go with it (Fast Open).
   * @throws DevmemError ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ...
   */
  async connected(signal?: AbortSignal): Promise<void> {
    const { connection } = this;
    if (connection.fastOpen?.isDeferred === true) return;
    while (connection.state === 'SYN-SENT' || connection.state === 'SYN-RECEIVED') await this.#changed(signal);
    if (connection.errno === 0 && connection.state !== 'CLOSED') return;
    const errno = connection.errno || ERRNO.ECONNABORTED;
    const hint = CONNECT_HINTS.get(errno);
    throw errnoError(errno, `connect ${this.remoteAddress}:${this.remotePort}`, {
      syscall: 'connect',
      ...(hint === undefined ? {} : { hint }),
    });
  }

  recvmsgSync(message: Message, flags: number = MSG_SOCK_DEVMEM): number {
    if (this.connection.state === 'SYN-SENT') this.#openNow();
    return this.#receiving().recvmsg(message, flags, this);
  }

  read(target: Uint8Array): number {
    if (this.connection.state === 'SYN-SENT') this.#openNow();
    return this.#receiving().read(target);
  }

  dontneed(ranges: readonly TokenRange[]): number {
    const freed = this.#receiving().dontneed(ranges);
    if (this.#ended) this.#forgetIfEmpty();
    return freed;
  }

  releaseTokens(start: number, count: number): number {
    const freed = this.#receiving().releaseTokens(start, count);
    if (this.#ended) this.#forgetIfEmpty();
    return freed;
  }

  sendmsgSync(request: SendmsgRequest): number {
    return this.#sending().sendmsg(request);
  }

  writeSync(bytes: Uint8Array, start = 0, flags = 0): number {
    return this.#sending().write(bytes, start, flags);
  }

  sendFrom(memory: DeviceMemory, options: SendFromOptions = {}): Promise<void> {
    return this.#sending().sendFrom(memory, options, (errno) => this.failure(errno, 'sendmsg'));
  }

  write(bytes: Uint8Array, options: WriteOptions = {}): Promise<void> {
    return this.#sending().writeAll(bytes, options, (errno) => this.failure(errno, 'sendmsg'));
  }

  completions(): CompletionRange | null {
    return this.#sender === null ? null : this.#sender.completions();
  }

  shutdown(): void {
    const status = this.#statusOf();
    if (status.closed || status.sendEnded) return;
    status.sendEnded = true;
    this.connection.shutdown(this.#host.nowMicros());
    this.#writable?.open();
    this.#host.kick();
  }

  async close(options: CloseOptions = {}): Promise<void> {
    const wasClosed = this.closed;
    this.#statusOf().closed = true;
    if (!wasClosed) {
      const isReset = this.readableBytes > 0 || this.connection.options.lingerSeconds === 0;
      this.connection.close(this.#host.nowMicros());
      this.#release();
      if (isReset) this.#end(ERRNO.ECONNABORTED);
    }
    await this.#finAcknowledged(options.timeoutMs ?? this.#lingerMs, options.signal);
    this.#unhold();
  }

  abort(): void {
    if (!this.#ended) this.connection.abort(this.#host.nowMicros());
    if (!this.closed) {
      this.#statusOf().closed = true;
      this.#release();
    }
    this.#end(ERRNO.ECONNABORTED);
    this.#progress?.open();
    this.#host.kick();
  }

  /** Ends with the host: silently if the peer has acknowledged everything, else by a reset. */
  leave(): void {
    if (!this.#ended && this.#isFinAcknowledged()) this.connection.abandon();
    this.abort();
  }

  info(): object {
    return {
      ...this.connection.info(this.#host.nowMicros()),
      tokensHeld: this.tokensHeld,
      counters: snapshot(this.counters),
    };
  }

  tcpInfo(): TcpInfo {
    return this.connection.info(this.#host.nowMicros());
  }

  setOption<Name extends SocketOptionName>(name: Name, value: SocketOptionInput<Name>): void {
    if (this.closed) throw this.failure(-ERRNO.EBADF, 'setsockopt');
    const verdict = this.connection.setOption(name, value, this.#host.nowMicros());
    checkSet(verdict, name, value, this.#where('setsockopt'));
    this.#host.kick();
  }

  option<Name extends keyof ReadableSocketOptions>(name: Name): ReadableSocketOptions[Name] {
    checkReadable(name, this.#where('getsockopt'));
    return this.connection.option(name, this.#host.nowMicros()) as ReadableSocketOptions[Name];
  }

  protected override awaitsMore(maxBytes: number): boolean {
    if (this.closed || this.#isReadOver()) return false;
    return this.readableBytes > 0 && this.readableBytes < maxBytes && !this.#isWorthReading();
  }

  get noDelay(): boolean {
    return this.connection.noDelay;
  }

  set noDelay(enable: boolean) {
    this.connection.noDelay = enable;
    this.#host.kick();
  }

  keepAlive(enable: boolean, initialDelayMs = 0): void {
    if (!(initialDelayMs >= 0 && initialDelayMs <= MAX_KEEPALIVE_MS)) {
      throw invalidArgument(`keepAlive after ${initialDelayMs} ms`, `give 0 to ${MAX_KEEPALIVE_MS}`);
    }
    this.connection.setKeepalive(enable, this.#host.nowMicros(), initialDelayMs * 1000);
    this.#host.kick();
  }

  ref(): void {
    if (this.#isRef) return;
    this.#isRef = true;
    if (this.#holds) this.#host.engine.hold();
  }

  unref(): void {
    if (!this.#isRef) return;
    this.#isRef = false;
    if (this.#holds) this.#host.engine.drop();
  }

  /** Who reads waits for the peer, which knows nothing of us while the SYN waits for data. */
  #openNow(): void {
    this.connection.openNow();
    this.#host.kick();
  }

  /** Resolves after the next event. */
  async #changed(signal: AbortSignal | undefined): Promise<void> {
    const gate = (this.#progress ??= new Gate());
    try {
      await gate.wait(signal);
    } finally {
      if (this.#progress === gate && !gate.isAwaited) this.#progress = null;
    }
  }

  #statusOf(): SocketStatus {
    return (this.#status ??= new SocketStatus(this.connection));
  }

  #receiving(): Receiver {
    return (this.#receiver ??= new Receiver(this.#statusOf(), this.#host, this.counters));
  }

  #sending(): Sender {
    if (this.#sender === null) {
      const peer = `${this.remoteAddress}:${this.remotePort}`;
      this.#sender = new Sender(this.#statusOf(), this.#host, this.counters, this.writable, peer);
    }
    return this.#sender;
  }

  #where(call: string): string {
    return `${call} ${this.localAddress}:${this.localPort} - ${this.remoteAddress}:${this.remotePort}`;
  }

  /** SO_RCVLOWAT; but who waits for more than the window lets in waits for ever. */
  #isWorthReading(): boolean {
    const { connection, readableBytes } = this;
    if (readableBytes >= connection.options.receiveLowatBytes) return true;
    return readableBytes > 0 && connection.receiver.isWindowUsed;
  }

  get #lingerMs(): number {
    const { lingerSeconds } = this.connection.options;
    return lingerSeconds < 0 ? DEFAULT_LINGER_MS : lingerSeconds * 1000;
  }

  /** Nothing more will come. */
  #isReadOver(): boolean {
    const { connection } = this;
    return connection.finReceived || connection.errno !== 0 || connection.state === 'CLOSED';
  }

  /** Returns what the application and the queue hold, and wakes everybody who waits. */
  #release(): void {
    this.#receiving().close();
    this.#readable?.open();
    this.#writable?.open();
    this.#forgetIfEmpty();
  }

  /** @param errno 0: in good order; otherwise why not. */
  #end(errno: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#endSending(errno);
    this.#lease?.release();
    this.#lease = null;
    this.#unhold();
    this.#forgetIfEmpty();
  }

  /** What is not complete yet is when the link has let go of it, or fails then: the stack will not say so any more. */
  #endSending(errno: number): void {
    const sender = this.#sender;
    if (sender === null) return;
    const finish = (): void => {
      if (errno === 0) sender.advance();
      else sender.fail(errno);
      this.#forgetIfEmpty();
    };
    sender.advance();
    if (sender.isIdle) return;
    if (errno !== 0 && this.connection.isMemoryReleased) sender.fail(errno);
    else this.#host.whenTransmitted(finish);
  }

  #unhold(): void {
    if (!this.#holds) return;
    this.#holds = false;
    if (this.#isRef) this.#host.engine.drop();
  }

  #forgetIfEmpty(): void {
    if (this.#ended && this.tokensHeld === 0 && this.readableBytes === 0 && this.isSendIdle) this.#host.forget(this);
  }

  async #finAcknowledged(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (timeoutMs <= 0 || this.#isFinAcknowledged()) return;
    const wait = { isOver: false };
    const expire = (): void => {
      wait.isOver = true;
      this.#progress?.open();
    };
    const timer = timeoutMs === NEVER ? null : setTimeout(expire, Math.min(timeoutMs, MAX_TIMER_MS));
    try {
      while (!wait.isOver && !this.#isFinAcknowledged()) await this.#changed(signal);
    } finally {
      if (timer !== null) clearTimeout(timer);
    }
  }

  #isFinAcknowledged(): boolean {
    if (this.#ended || this.connection.errno !== 0) return true;
    const { state } = this.connection;
    return state === 'FIN-WAIT-2' || state === 'TIME-WAIT' || state === 'CLOSED';
  }
}
