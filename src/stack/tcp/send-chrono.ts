/** Nothing is to be sent or unacknowledged. */
export const CHRONO_IDLE = 0;
/** Something is, and neither of the below holds it up. */
export const CHRONO_BUSY = 1;
/** The peer's receive window does. */
export const CHRONO_WINDOW = 2;
/** The application would give more, but our send buffer is full of what is in flight. */
export const CHRONO_BUFFER = 3;

/** What a sender's time is spent on: tcp_info's busy time, and what of it was spent waiting. Made with the first data. */
export class SendChrono {
  busyMicros = 0;
  windowLimitedMicros = 0;
  bufferLimitedMicros = 0;
  #phase: number = CHRONO_IDLE;
  #sinceMicros = 0;

  /** From now on it is `phase`. */
  enter(phase: number, nowMicros: number): void {
    if (phase === this.#phase) return;
    this.advance(nowMicros);
    this.#phase = phase;
  }

  /** Adds the time up to now. */
  advance(nowMicros: number): void {
    const passed = nowMicros - this.#sinceMicros;
    this.#sinceMicros = nowMicros;
    if (this.#phase === CHRONO_IDLE) return;
    this.busyMicros += passed;
    if (this.#phase === CHRONO_WINDOW) this.windowLimitedMicros += passed;
    else if (this.#phase === CHRONO_BUFFER) this.bufferLimitedMicros += passed;
  }
}
