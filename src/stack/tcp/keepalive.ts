import { ERRNO } from '../../core/errno.ts';
import type { TcpConnection } from './connection.ts';
import type { TcpLayer } from './layer.ts';
import { isSynchronized } from './state.ts';
import { TIMER_KEEPALIVE } from './timers.ts';

/** RFC 9293 §3.8.4: probes of an idle connection, if the application asks for them. */
export class Keepalive {
  isEnabled = false;
  /** Probes sent since something was last received. */
  probes = 0;
  /** Silence before the first probe; the layer's, until the application names one. */
  idleMicros: number;
  readonly #connection: TcpConnection;
  readonly #layer: TcpLayer;

  constructor(connection: TcpConnection, layer: TcpLayer) {
    this.#connection = connection;
    this.#layer = layer;
    this.idleMicros = layer.config.keepaliveIdleMicros;
  }

  /** @param idleMicros 0 leaves it as it is. */
  switch(enabled: boolean, idleMicros: number, nowMicros: number): void {
    this.isEnabled = enabled;
    if (idleMicros > 0) this.idleMicros = idleMicros;
    this.probes = 0;
    if (enabled) this.begin(nowMicros);
    else this.#connection.timers.stop(TIMER_KEEPALIVE);
  }

  /** The connection is established, or the application has just asked. */
  begin(nowMicros: number): void {
    if (this.isEnabled && isSynchronized(this.#connection.state)) this.#arm(nowMicros);
  }

  timeout(nowMicros: number): void {
    const connection = this.#connection;
    const { config, counters, writer } = this.#layer;
    if (!this.isEnabled || !isSynchronized(connection.state)) return;
    const idleUntil = connection.lastReceivedMicros + this.idleMicros;
    if (this.probes === 0 && connection.sender.scoreboard.count > 0) {
      this.#arm(nowMicros); // data in flight has its own timer
      return;
    }
    if (this.probes === 0 && idleUntil > nowMicros) {
      connection.timers.set(TIMER_KEEPALIVE, idleUntil);
      return;
    }
    if (this.probes >= config.keepaliveProbes) {
      connection.failWithReset(connection.softErrno || ERRNO.ETIMEDOUT, nowMicros);
      return;
    }
    this.probes++;
    counters.keepaliveProbes++;
    // One before the next sequence number, and empty: unacceptable, so it is answered.
    writer.write(connection, (connection.sender.sndNxt - 1) | 0, 0, 0, 0, nowMicros);
    this.#arm(nowMicros);
  }

  #arm(nowMicros: number): void {
    const wait = this.probes > 0 ? this.#layer.config.keepaliveIntervalMicros : this.idleMicros;
    this.#connection.timers.set(TIMER_KEEPALIVE, nowMicros + wait);
  }
}
