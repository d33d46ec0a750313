import { DevmemError } from '../../core/errors.ts';
import type { PagePool } from '../../memory/page-pool.ts';
import type { IpAddress } from '../../wire/address.ts';
import type { TcpListener } from './listener.ts';
import type { Segment } from './segment.ts';

/** Who listens where, and whose accept queue has news. */
export class ListenerTable {
  readonly #byPort = new Map<number, TcpListener[]>();
  #acceptable: TcpListener[] = [];

  /** Whether an application is to be told of a connection that it can accept. */
  get hasNews(): boolean {
    return this.#acceptable.length > 0;
  }

  hasPort(port: number): boolean {
    return this.#byPort.has(port);
  }

  /** @throws EADDRINUSE if a listener has this port on an overlapping address. */
  assertFree(port: number, address: IpAddress | null): void {
    const clash = this.#byPort.get(port)?.some((other) => {
      if (other.address === null) return true;
      return address === null || other.address.equals(address);
    });
    if (clash !== true) return;
    throw new DevmemError('EADDRINUSE', `listen: port ${port} has a listener already`, {
      hint: 'close it, or choose another port',
      syscall: 'listen',
    });
  }

  add(listener: TcpListener): void {
    const others = this.#byPort.get(listener.port);
    if (others === undefined) this.#byPort.set(listener.port, [listener]);
    else others.push(listener);
  }

  remove(listener: TcpListener): void {
    const left = (this.#byPort.get(listener.port) ?? []).filter((other) => other !== listener);
    if (left.length > 0) this.#byPort.set(listener.port, left);
    else this.#byPort.delete(listener.port);
  }

  find(segment: Segment): TcpListener | null {
    const listeners = this.#byPort.get(segment.localPort);
    if (listeners === undefined) return null;
    const { key } = segment;
    for (let i = 0; i < listeners.length; i++) {
      const { address } = listeners[i]!;
      if (address === null) return listeners[i]!;
      if (address.w3 === key[3] && address.w2 === key[2] && address.w1 === key[1] && address.w0 === key[0]) {
        return listeners[i]!;
      }
    }
    return null;
  }

  /** Connections to come land in `to` instead of `from`. */
  movePool(from: PagePool, to: PagePool): void {
    for (const listeners of this.#byPort.values()) {
      for (const listener of listeners) if (listener.pool === from) listener.pool = to;
    }
  }

  notify(listener: TcpListener): void {
    if (listener.isAnnounced) return;
    listener.isAnnounced = true;
    this.#acceptable.push(listener);
  }

  /** Tells the applications. */
  announce(): void {
    if (this.#acceptable.length === 0) return;
    const listeners = this.#acceptable;
    this.#acceptable = [];
    for (const listener of listeners) {
      listener.isAnnounced = false;
      listener.onAcceptable?.();
    }
  }
}
