/** RFC 6298 §2.3: clock granularity G, in microseconds: our timestamps tick once a millisecond. */
const GRANULARITY_MICROS = 1000;

/**
 * RFC 6298: smoothed round-trip time and the retransmission timeout that follows from it.
 */
export class RttEstimator {
  srttMicros = 0;
  rttvarMicros = 0;
  latestMicros = 0;
  minMicros: number = Number.POSITIVE_INFINITY;
  samples = 0;
  /** Doublings since the last sample or new acknowledgment (RFC 6298 §5.5). */
  backoff = 0;

  #rtoMicros: number;
  readonly #minRtoMicros: number;
  readonly #maxRtoMicros: number;

  constructor(initialRtoMicros: number, minRtoMicros: number, maxRtoMicros: number) {
    this.#rtoMicros = initialRtoMicros;
    this.#minRtoMicros = minRtoMicros;
    this.#maxRtoMicros = maxRtoMicros;
  }

  /** The timeout now, with its backoff. */
  get rtoMicros(): number {
    return Math.min(this.#rtoMicros * 2 ** Math.min(this.backoff, 16), this.#maxRtoMicros);
  }

  sample(rttMicros: number): void {
    const rtt = Math.max(rttMicros, 1);
    this.latestMicros = rtt;
    this.samples++;
    if (rtt < this.minMicros) this.minMicros = rtt;
    if (this.samples === 1) {
      this.srttMicros = rtt; // RFC 6298 §2.2
      this.rttvarMicros = rtt / 2;
    } else {
      this.rttvarMicros = 0.75 * this.rttvarMicros + 0.25 * Math.abs(this.srttMicros - rtt); // §2.3
      this.srttMicros = 0.875 * this.srttMicros + 0.125 * rtt;
    }
    // The floor is on the variance, as Linux has it: a steady 300 ms path gets 500 ms, not 300.
    const slack = Math.max(GRANULARITY_MICROS, 4 * this.rttvarMicros, this.#minRtoMicros);
    this.#rtoMicros = Math.min(this.srttMicros + slack, this.#maxRtoMicros);
    this.backoff = 0;
  }

  /** RFC 6298 §5.7: a SYN had to be sent again and no timestamp tells the round-trip time: start over at 3 s. */
  restartAfterSynLoss(rtoMicros: number): void {
    this.backoff = 0;
    if (this.samples === 0) this.#rtoMicros = rtoMicros;
  }
}
