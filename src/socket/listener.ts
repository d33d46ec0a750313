import type { TcpListener } from '../stack/tcp/listener.ts';
import type { TcpConnection } from '../stack/tcp/connection.ts';
import type { SocketOptionName, SocketOptionValues } from '../stack/tcp/options.ts';
import type { DevmemSocket, SignalOptions } from './devmem-socket.ts';
import type { Engine, Settling } from './engine.ts';
import { Gate } from './gate.ts';
import { checkReadable, checkSet, type SocketOptionInput } from './socket-options.ts';
import type { SteeringLease } from './steering-lease.ts';

/** Accepts connections, one after another: `for await (const socket of listener)`. */
export interface Listener extends AsyncIterable<DevmemSocket>, AsyncDisposable {
  readonly port: number;
  readonly closed: boolean;
  /**
   * The next connection; `null` once the listener is closed.
   * @throws DevmemError ENETDOWN when the link is gone; the signal's reason.
   */
  accept(options?: SignalOptions): Promise<DevmemSocket | null>;
  /**
   * Sets a socket option that connections accepted from now on inherit.
   * @throws DevmemError as `DevmemSocket.setOption`.
   */
  setOption<Name extends SocketOptionName>(name: Name, value: SocketOptionInput<Name>): void;
  /** @throws DevmemError ENOPROTOOPT: no such option. */
  option<Name extends SocketOptionName>(name: Name): SocketOptionValues[Name];
  /** Ends listening: connections that nobody accepted are reset, those accepted go on. Idempotent. */
  close(): void;
  ref(): void;
  unref(): void;
}

/** What a listener needs of its host. */
export interface ListeningHost {
  readonly engine: Engine;
  adopt(connection: TcpConnection, lease: SteeringLease | null): DevmemSocket;
  forgetListener(listener: UserListener): void;
}

/** A listener of the user engine. */
export class UserListener implements Listener, Settling {
  readonly port: number;
  readonly #host: ListeningHost;
  readonly #listener: TcpListener;
  readonly #acceptable = new Gate();
  #lease: SteeringLease | null;
  #isListed = false;
  #closed = false;
  #failure: Error | null = null;
  #isRef = true;

  constructor(host: ListeningHost, listener: TcpListener, lease: SteeringLease | null) {
    this.#host = host;
    this.#listener = listener;
    this.port = listener.port;
    this.#lease = lease;
    host.engine.hold();
    listener.onAcceptable = () => this.#notice();
  }

  get closed(): boolean {
    return this.#closed;
  }

  async accept(options: SignalOptions = {}): Promise<DevmemSocket | null> {
    for (;;) {
      options.signal?.throwIfAborted();
      if (this.#failure !== null) throw this.#failure;
      if (this.#closed) return null;
      const connection = this.#listener.accept();
      if (connection !== null) return this.#host.adopt(connection, this.#lease?.retain() ?? null);
      await this.#acceptable.wait(options.signal);
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<DevmemSocket, void, undefined> {
    for (;;) {
      const socket = await this.accept();
      if (socket === null) return;
      yield socket;
    }
  }

  setOption<Name extends SocketOptionName>(name: Name, value: SocketOptionInput<Name>): void {
    checkSet(this.#listener.setOption(name, value), name, value, `setsockopt of port ${this.port}`);
  }

  option<Name extends SocketOptionName>(name: Name): SocketOptionValues[Name] {
    checkReadable(name, `getsockopt of port ${this.port}`);
    return this.#listener.option(name) as SocketOptionValues[Name];
  }

  settle(): void {
    this.#isListed = false;
    this.#acceptable.open();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const { engine } = this.#host;
    this.#listener.onAcceptable = null;
    this.#listener.close(engine.nowMicros());
    this.#lease?.release();
    this.#lease = null;
    this.#host.forgetListener(this);
    this.#acceptable.open();
    engine.kick();
    if (this.#isRef) engine.drop();
  }

  /** Nobody can connect any more: tells who waits, and whoever asks later. */
  fail(error: Error): void {
    if (this.#closed) return;
    this.#failure = error;
    this.close();
  }

  ref(): void {
    if (this.#isRef) return;
    this.#isRef = true;
    if (!this.#closed) this.#host.engine.hold();
  }

  unref(): void {
    if (!this.#isRef) return;
    this.#isRef = false;
    if (!this.#closed) this.#host.engine.drop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /** From inside the stack. */
  #notice(): void {
    if (this.#isListed) return;
    this.#isListed = true;
    this.#host.engine.settleLater(this);
  }
}
