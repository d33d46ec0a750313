/** RFC 6298 §2.3: clock granularity G, in microseconds: our timestamps tick once a millisecond. */
const GRANULARITY_MICROS = 1000;
/** How long the shortest round trip is remembered (tcp_min_rtt_wlen): paths change. */
const MIN_RTT_WINDOW_MILLIS = 300_000;
/** Longer than any round trip that is remembered. */
const NO_RTT_MICROS = 0x7fff_ffff;

/**
 * RFC 6298: smoothed round-trip time and the retransmission timeout that follows from it.
 */
export class RttEstimator {
  /** In whole microseconds, as is what is made of it: a number with a fraction takes thrice the memory. */
  latestMicros = 0;
  samples = 0;
  /** Doublings since the last sample or new acknowledgment (RFC 6298 §5.5). */
  backoff = 0;

  /** RFC 6298 §2: SRTT and RTTVAR in the fractions that their smoothing has, so that both are whole. */
  #srttEighths = 0;
  #rttvarQuarters = 0;
  /** The shortest of this window of time and of the one before it. */
  #minMicros: number = NO_RTT_MICROS;
  #previousMinMicros: number = NO_RTT_MICROS;
  #windowStartMillis = 0;
  #rtoMicros: number;
  #minRtoMicros: number;
  #maxRtoMicros: number;

  constructor(initialRtoMicros: number, minRtoMicros: number, maxRtoMicros: number) {
    this.#rtoMicros = initialRtoMicros;
    this.#minRtoMicros = minRtoMicros;
    this.#maxRtoMicros = maxRtoMicros;
  }

  /** Smoothed; 0 before the first sample. */
  get srttMicros(): number {
    return this.#srttEighths / 8;
  }

  get rttvarMicros(): number {
    return this.#rttvarQuarters / 4;
  }

  /** The shortest round trip of the last five to ten minutes; Infinity before the first. */
  get minMicros(): number {
    const micros = Math.min(this.#minMicros, this.#previousMinMicros);
    return micros === NO_RTT_MICROS ? Number.POSITIVE_INFINITY : micros;
  }

  /** TCP_RTO_MIN_US, TCP_RTO_MAX_MS. */
  setLimits(minRtoMicros: number, maxRtoMicros: number): void {
    this.#minRtoMicros = minRtoMicros;
    this.#maxRtoMicros = maxRtoMicros;
  }

  /** The timeout without backoff, as an acknowledgment that measures starts it. */
  get plainRtoMicros(): number {
    return this.#rtoMicros;
  }

  /** The timeout now, with its backoff. */
  get rtoMicros(): number {
    return Math.min(this.#rtoMicros * 2 ** Math.min(this.backoff, 16), this.#maxRtoMicros);
  }

  /** The timeout has grown as far as it may. */
  get isAtLimit(): boolean {
    return this.rtoMicros >= this.#maxRtoMicros;
  }

  /**
   * @param rttMicros since the oldest segment newly acknowledged was sent: it includes the peer's delay.
   * @param latestMicros since the youngest was: closest to what the path takes.
   */
  sample(rttMicros: number, nowMicros = 0, latestMicros: number = rttMicros): void {
    const rtt = Math.max(Math.round(rttMicros), 1);
    this.latestMicros = Math.min(Math.max(Math.round(latestMicros), 1), NO_RTT_MICROS - 1);
    this.samples++;
    this.#noteMin(this.latestMicros, nowMicros);
    if (this.samples === 1) {
      this.#srttEighths = 8 * rtt; // RFC 6298 §2.2
      this.#rttvarQuarters = 2 * rtt;
    } else {
      this.#rttvarQuarters = Math.round(0.75 * this.#rttvarQuarters + Math.abs(this.srttMicros - rtt)); // §2.3
      this.#srttEighths = Math.round(0.875 * this.#srttEighths + rtt);
    }
    // The floor is on the variance, as Linux has it: a steady 300 ms path gets 500 ms, not 300.
    const slack = Math.max(GRANULARITY_MICROS, this.#rttvarQuarters, this.#minRtoMicros);
    this.#rtoMicros = Math.min(Math.round(this.srttMicros + slack), this.#maxRtoMicros);
    this.backoff = 0;
  }

  #noteMin(rttMicros: number, nowMicros: number): void {
    const nowMillis = Math.floor(nowMicros / 1000);
    if (nowMillis - this.#windowStartMillis > MIN_RTT_WINDOW_MILLIS) {
      this.#windowStartMillis = nowMillis;
      this.#previousMinMicros = this.#minMicros;
      this.#minMicros = rttMicros;
    } else if (rttMicros < this.#minMicros) {
      this.#minMicros = rttMicros;
    }
  }

  /** RFC 6298 §5.7: a SYN had to be sent again and no timestamp tells the round-trip time: start over at 3 s. */
  restartAfterSynLoss(rtoMicros: number): void {
    this.backoff = 0;
    if (this.samples === 0) this.#rtoMicros = rtoMicros;
  }
}
