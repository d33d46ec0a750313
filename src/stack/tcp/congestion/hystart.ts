import { sequenceGreaterOrEqual } from '../../../wire/sequence.ts';
import type { AckSample } from './controller.ts';

// RFC 9406 §4.3.
const MIN_RTT_THRESHOLD_MICROS = 4000;
const MAX_RTT_THRESHOLD_MICROS = 16_000;
const MIN_RTT_DIVISOR = 8;
const RTT_SAMPLES = 8;
const CONSERVATIVE_GROWTH_DIVISOR = 4;
const CONSERVATIVE_ROUNDS = 5;

/** HyStart++ (RFC 9406): ends slow start when the round trips of a round show that a queue is growing. */
export class HyStart {
  /** Conservative slow start: a queue was seen, and it is not yet sure. */
  isConservative = false;
  /** Conservative slow start has lasted long enough: congestion avoidance begins here. */
  isOver = false;
  /** The sequence number that ends the round. */
  #roundEnd: number;
  #lastRoundMicros: number = Number.POSITIVE_INFINITY;
  #roundMicros: number = Number.POSITIVE_INFINITY;
  #samples = 0;
  #baselineMicros: number = Number.POSITIVE_INFINITY;
  #conservativeRounds = 0;

  /** @param sndNxt the first round ends with what has been sent now. */
  constructor(sndNxt: number) {
    this.#roundEnd = sndNxt;
  }

  /** What `ackedBytes` let the window grow by (RFC 9406 §4.2; without its limit L, see `CubicController`). */
  growthBytes(ackedBytes: number): number {
    return this.isConservative ? ackedBytes / CONSERVATIVE_GROWTH_DIVISOR : ackedBytes;
  }

  /** After the growth: takes the round-trip time of an acknowledgment, and ends the round if it is over. */
  onAck(sample: AckSample): void {
    if (sample.rttMicros >= 0) {
      this.#roundMicros = Math.min(this.#roundMicros, sample.rttMicros);
      this.#samples++;
      if (this.#samples >= RTT_SAMPLES) this.#judge();
    }
    if (sequenceGreaterOrEqual(sample.sndUna, this.#roundEnd)) this.#endRound(sample.sndNxt);
  }

  #judge(): void {
    if (this.isConservative) {
      if (this.#roundMicros >= this.#baselineMicros) return;
      // The delay has gone again: slow start goes on.
      this.#baselineMicros = Number.POSITIVE_INFINITY;
      this.isConservative = false;
      return;
    }
    if (this.#lastRoundMicros === Number.POSITIVE_INFINITY) return;
    const threshold = Math.max(
      MIN_RTT_THRESHOLD_MICROS,
      Math.min(this.#lastRoundMicros / MIN_RTT_DIVISOR, MAX_RTT_THRESHOLD_MICROS),
    );
    if (this.#roundMicros < this.#lastRoundMicros + threshold) return;
    this.#baselineMicros = this.#roundMicros;
    this.#conservativeRounds = 0;
    this.isConservative = true;
  }

  #endRound(sndNxt: number): void {
    this.#roundEnd = sndNxt;
    // A round without any measurement leaves the last one to compare with.
    if (this.#samples > 0) this.#lastRoundMicros = this.#roundMicros;
    this.#roundMicros = Number.POSITIVE_INFINITY;
    this.#samples = 0;
    if (this.isConservative && ++this.#conservativeRounds >= CONSERVATIVE_ROUNDS) this.isOver = true;
  }
}
