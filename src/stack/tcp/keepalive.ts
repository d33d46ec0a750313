import { ERRNO } from '../../core/errno.ts';
import type { TcpConnection } from './connection.ts';
import type { TcpLayer } from './layer.ts';
import { isSynchronized } from './state.ts';
import { TIMER_KEEPALIVE } from './timers.ts';

/** RFC 9293 §3.8.4: probes of an idle connection, if the application asks for them. */
export class Keepalive {
  /** Probes sent since something was last received. */
  probes = 0;
  readonly #connection: TcpConnection;
  readonly #layer: TcpLayer;

  constructor(connection: TcpConnection, layer: TcpLayer) {
    this.#connection = connection;
    this.#layer = layer;
  }

  get isEnabled(): boolean {
    return this.#connection.options.keepalive;
  }

  /** Silence before the first probe. */
  get idleMicros(): number {
    return this.#connection.options.keepaliveIdleMicros;
  }

  /** The application has switched it on or off, or changed the pause. */
  changed(nowMicros: number): void {
    this.probes = 0;
    if (this.isEnabled) this.begin(nowMicros);
    else this.#connection.timers.stop(TIMER_KEEPALIVE);
  }

  /** The connection is established, or the application has just asked. */
  begin(nowMicros: number): void {
    if (this.isEnabled && isSynchronized(this.#connection.state)) this.#arm(nowMicros);
  }

  timeout(nowMicros: number): void {
    const connection = this.#connection;
    const { counters, writer } = this.#layer;
    if (!this.isEnabled || !isSynchronized(connection.state)) return;
    const idleUntil = connection.lastReceivedMicros + this.idleMicros;
    const isBusy = connection.sender.scoreboard.count > 0 || connection.sender.unsentBytes > 0;
    if (this.probes === 0 && isBusy) {
      this.#arm(nowMicros); // data in flight has its own timer
      return;
    }
    if (this.probes === 0 && idleUntil > nowMicros) {
      connection.timers.set(TIMER_KEEPALIVE, idleUntil);
      return;
    }
    if (this.#isOver(nowMicros)) {
      connection.failWithReset(connection.softErrno || ERRNO.ETIMEDOUT, nowMicros);
      return;
    }
    this.probes++;
    counters.keepaliveProbes++;
    // One before the next sequence number, and empty: unacceptable, so it is answered.
    writer.write(connection, (connection.sender.sndNxt - 1) | 0, 0, 0, 0, nowMicros);
    this.#arm(nowMicros);
  }

  /** RFC 5482 §4.2: a user timeout takes the place of the number of probes. */
  #isOver(nowMicros: number): boolean {
    const { options, lastReceivedMicros } = this.#connection;
    const { userTimeoutMicros } = options;
    if (userTimeoutMicros === 0) return this.probes >= options.keepaliveProbes;
    return this.probes > 0 && nowMicros - lastReceivedMicros >= userTimeoutMicros;
  }

  #arm(nowMicros: number): void {
    const { options, timers } = this.#connection;
    const wait = this.probes > 0 ? options.keepaliveIntervalMicros : options.keepaliveIdleMicros;
    timers.set(TIMER_KEEPALIVE, nowMicros + wait);
  }
}
