/**
 * Time as an input. Everything below `socket/` is told the time by its caller, in microseconds on a monotonic scale
 * whose zero means nothing; only what stands at the edge holds a `Clock`.
 */
export interface Clock {
  /** Monotonic time in microseconds, with a fraction where the source has one. */
  nowMicros(): number;
}

/** The process's monotonic clock. */
export class RealClock implements Clock {
  nowMicros(): number {
    return performance.now() * 1000;
  }
}

/** A clock that moves only when told to: tests and simulations run in its time. */
export class SimulatedClock implements Clock {
  #nowMicros: number;

  constructor(startMicros = 0) {
    this.#nowMicros = startMicros;
  }

  nowMicros(): number {
    return this.#nowMicros;
  }

  /** Moves to `micros`; a time in the past leaves the clock where it is, for it is monotonic. */
  advanceTo(micros: number): void {
    if (micros > this.#nowMicros) this.#nowMicros = micros;
  }

  advanceBy(micros: number): void {
    this.advanceTo(this.#nowMicros + micros);
  }
}

/** "Nothing is due": the answer of every `pollAt()` that has no timer running. */
export const NEVER: number = Number.POSITIVE_INFINITY;

/** What `setTimeout` takes at most: more would be over at once. */
export const MAX_TIMER_MS = 0x7fff_ffff;
