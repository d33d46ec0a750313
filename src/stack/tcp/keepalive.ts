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
  readonly #connection: TcpConnection;
  readonly #layer: TcpLayer;

  constructor(connection: TcpConnection, layer: TcpLayer) {
    this.#connection = connection;
    this.#layer = layer;
  }

  switch(enabled: boolean, nowMicros: number): void {
    this.isEnabled = enabled;
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
    const idleUntil = connection.lastReceivedMicros + config.keepaliveIdleMicros;
    // Data in flight has its own timer.
    if (this.probes === 0 && (idleUntil > nowMicros || connection.sender.scoreboard.count > 0)) {
      const next = Math.max(idleUntil, nowMicros + config.keepaliveIntervalMicros);
      connection.timers.set(TIMER_KEEPALIVE, next);
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
    const { config } = this.#layer;
    const wait = this.probes > 0 ? config.keepaliveIntervalMicros : config.keepaliveIdleMicros;
    this.#connection.timers.set(TIMER_KEEPALIVE, nowMicros + wait);
  }
}
