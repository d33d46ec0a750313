const MICROS_PER_SECOND = 1_000_000;
/** RFC 9438 §5: C, in segments per second cubed. */
const SCALE_SEGMENTS = 0.4;
/** RFC 9438 §4.6: beta_cubic, as a fraction of ten to stay with integers. */
export const BETA_TENTHS = 7;
/** RFC 9438 §4.3: alpha_cubic, with which the window of the Reno-friendly region averages what Reno's does. */
const RENO_ALPHA = (3 * (1 - BETA_TENTHS / 10)) / (1 + BETA_TENTHS / 10);
/** RFC 9438 §4.2: the target is at most this much of the window. */
const MAX_TARGET_RATIO = 1.5;
/** Weight of a measurement in the round-trip time, as RFC 6298 §2.3. */
const RTT_WEIGHT = 1 / 8;

/** The state of CUBIC's congestion avoidance, in the terms of RFC 9438 §4.1.2. Made by the first need of it. */
export class CubicCurve {
  /** W_max: 0 when there has been no congestion, or the last was a timeout. */
  maxBytes = 0;
  /** cwnd_prior. */
  priorBytes = 0;
  /** t_epoch; -1: the next acknowledgment begins the stage. */
  epochMicros = -1;
  /** W_max of this stage: where the curve is flat. */
  originBytes = 0;
  /** K. */
  kSeconds = 0;
  /** W_est. */
  renoBytes = 0;
  srttMicros = 0;
  /** What the window has grown by beyond whole bytes. */
  #fraction = 0;
  #lastMicros = 0;

  copyFrom(other: CubicCurve): void {
    this.maxBytes = other.maxBytes;
    this.priorBytes = other.priorBytes;
    this.epochMicros = other.epochMicros;
    this.originBytes = other.originBytes;
    this.kSeconds = other.kSeconds;
    this.renoBytes = other.renoBytes;
  }

  measure(rttMicros: number): void {
    if (this.srttMicros === 0) this.srttMicros = rttMicros;
    else this.srttMicros += (rttMicros - this.srttMicros) * RTT_WEIGHT;
  }

  /** The window did not limit what was sent since the last acknowledgment: that time is none of the curve's (§5.8). */
  pause(nowMicros: number): void {
    if (this.epochMicros >= 0) this.epochMicros += Math.max(0, nowMicros - this.#lastMicros);
    this.#lastMicros = nowMicros;
  }

  /** The window is about to shrink from `cwndBytes`. */
  onCongestion(cwndBytes: number, isTimeout: boolean): void {
    this.priorBytes = cwndBytes;
    if (isTimeout) this.maxBytes = 0;
    // §4.7, fast convergence: a flow that did not reach its last maximum makes room for a newer one.
    else if (cwndBytes < this.maxBytes) this.maxBytes = (cwndBytes * (10 + BETA_TENTHS)) / 20;
    else this.maxBytes = cwndBytes;
    this.epochMicros = -1;
  }

  /** The window after `ackedBytes` were acknowledged in congestion avoidance. */
  grow(cwndBytes: number, ackedBytes: number, mssBytes: number, nowMicros: number): number {
    if (this.epochMicros < 0) this.#begin(cwndBytes, mssBytes, nowMicros);
    this.#lastMicros = nowMicros;
    const cwnd = cwndBytes + this.#fraction;
    const elapsedSeconds = (nowMicros - this.epochMicros) / MICROS_PER_SECOND;
    // One acknowledgment may stand for many segments, but for no more than a window of them.
    const share = Math.min(ackedBytes / cwnd, 1);
    const alpha = this.renoBytes >= this.priorBytes ? 1 : RENO_ALPHA; // §4.3
    this.renoBytes += alpha * share * mssBytes;

    let grown: number;
    if (this.cubicBytes(elapsedSeconds, mssBytes) < this.renoBytes) {
      grown = Math.max(cwnd, this.renoBytes); // §4.3, Reno-friendly region
    } else {
      const ahead = this.cubicBytes(elapsedSeconds + this.srttMicros / MICROS_PER_SECOND, mssBytes);
      const target = Math.min(Math.max(ahead, cwnd), MAX_TARGET_RATIO * cwnd); // §4.2
      grown = cwnd + (target - cwnd) * share; // §4.4, §4.5
    }
    const whole = Math.floor(grown);
    this.#fraction = grown - whole;
    return whole;
  }

  /** W_cubic(t), RFC 9438 §4.2 figure 1. */
  cubicBytes(seconds: number, mssBytes: number): number {
    const distance = seconds - this.kSeconds;
    return SCALE_SEGMENTS * mssBytes * distance * distance * distance + this.originBytes;
  }

  #begin(cwndBytes: number, mssBytes: number, nowMicros: number): void {
    this.epochMicros = nowMicros;
    this.#fraction = 0;
    this.renoBytes = cwndBytes;
    if (this.priorBytes === 0) this.priorBytes = cwndBytes; // §4.10: slow start ended without a loss
    if (this.maxBytes <= cwndBytes) {
      // §4.8, §4.10: after a timeout, and after slow start without loss, the curve begins where it is flat.
      this.kSeconds = 0;
      this.originBytes = cwndBytes;
      return;
    }
    this.originBytes = this.maxBytes;
    this.kSeconds = Math.cbrt((this.maxBytes - cwndBytes) / mssBytes / SCALE_SEGMENTS); // §4.2 figure 2
  }
}
