import type { AckSample } from './controller.ts';

const MICROS_PER_SECOND = 1_000_000;
/** BBR.RTpropFilterLen. */
const MIN_RTT_WINDOW_MICROS = 10 * MICROS_PER_SECOND;
/** How far acknowledgments may run ahead of the bandwidth. */
const EXTRA_LIMIT_MICROS = 100_000;

/**
 * The model of the path that all versions of BBR have (draft-cardwell-iccrg-bbr-congestion-control-00 §4.1): its
 * bandwidth, its round-trip time without queue, and how much its acknowledgments come in lumps.
 */
export class BbrModel {
  /** The largest delivery rate of the periods that are remembered, in bytes per second. */
  bytesPerSecond = 0;
  /** What the controller lets itself use of it. */
  limitBytesPerSecond: number = Number.POSITIVE_INFINITY;
  /** The delivery rate of this acknowledgment; 0: it had none. */
  sampleBytesPerSecond = 0;
  /** BBR.RTprop; infinite: not known. */
  minRttMicros: number = Number.POSITIVE_INFINITY;
  /** The last measurement of `minRttMicros` is older than its window (as of this acknowledgment). */
  isMinRttExpired = false;
  /** This acknowledgment is the first for something sent in the current round. */
  isRoundStart = false;
  roundCount = 0;
  /** Lumps, see above, in bytes. */
  extraAckedBytes = 0;
  #minRttAtMicros = 0;
  #roundEndBytes = 0;
  /** The largest delivery rate of each of the last periods; `#period` is the current one's place. */
  readonly #rates: Float64Array;
  #period = 0;
  /** What is sent before so much was delivered is sent by a sender that held itself back. */
  #limitedUntilBytes = -1;
  #epochMicros = 0;
  #epochBytes = 0;
  #extraBytes = 0;
  #lastExtraBytes = 0;
  #extraRounds = 0;

  /** @param periods over which the largest delivery rate counts: rounds in version 1, cycles in version 3. */
  constructor(nowMicros: number, periods: number) {
    this.#rates = new Float64Array(periods);
    this.#minRttAtMicros = nowMicros;
    this.#epochMicros = nowMicros;
  }

  /** Takes what an acknowledgment tells about bandwidth. */
  takeRate(sample: AckSample): void {
    this.isRoundStart = false;
    this.sampleBytesPerSecond = 0;
    if (sample.priorDeliveredBytes < 0) return;
    if (sample.priorDeliveredBytes >= this.#roundEndBytes) {
      this.restartRound(sample.totalDeliveredBytes);
      this.isRoundStart = true;
      this.roundCount++;
    }
    // Shorter than the path: the clock of the sample is not to be trusted (draft-ietf-ccwg-bbr §4.1.2.3).
    if (sample.intervalMicros <= 0 || sample.intervalMicros < this.minRttMicros) return;
    const delivered = sample.totalDeliveredBytes - sample.priorDeliveredBytes;
    this.sampleBytesPerSecond = (delivered * MICROS_PER_SECOND) / sample.intervalMicros;
  }

  /** Remembers the rate of this acknowledgment, if it tells of the path. */
  keepRate(sample: AckSample): void {
    const rate = this.sampleBytesPerSecond;
    // §4.1.1.3: what the application held back counts only if it says more than is known.
    if (this.isLimited(sample) && rate < this.bytesPerSecond) return;
    if (rate > this.#rates[this.#period]!) this.#rates[this.#period] = rate;
    if (rate > this.bytesPerSecond) this.bytesPerSecond = rate;
  }

  /** A new period begins: the oldest is forgotten. */
  forgetOldest(): void {
    this.#period = (this.#period + 1) % this.#rates.length;
    this.#rates[this.#period] = 0;
    let largest = 0;
    for (let i = 0; i < this.#rates.length; i++) largest = Math.max(largest, this.#rates[i]!);
    // Periods of nothing but held-back samples do not make the path forgotten.
    if (largest > 0) this.bytesPerSecond = largest;
    else this.#rates[this.#period] = this.bytesPerSecond;
  }

  isLimited(sample: AckSample): boolean {
    return sample.isApplicationLimited || sample.priorDeliveredBytes <= this.#limitedUntilBytes;
  }

  /** A round begins now, with what is sent from here on. */
  restartRound(totalDeliveredBytes: number): void {
    this.#roundEndBytes = totalDeliveredBytes;
  }

  /** What is in flight, and what will be sent until that is delivered, says nothing about bandwidth. */
  ignoreUntilDelivered(sample: AckSample): void {
    this.#limitedUntilBytes = sample.totalDeliveredBytes + sample.inFlightBytes;
  }

  /** Takes a round-trip time. */
  takeRtt(rttMicros: number, nowMicros: number): void {
    this.isMinRttExpired = nowMicros > this.#minRttAtMicros + MIN_RTT_WINDOW_MICROS;
    if (rttMicros < 0) return;
    const micros = Math.max(Math.round(rttMicros), 1);
    if (micros >= this.minRttMicros && !this.isMinRttExpired) return;
    this.minRttMicros = micros;
    this.#minRttAtMicros = nowMicros;
  }

  /** The round-trip time has been measured without a queue. */
  refreshMinRtt(nowMicros: number): void {
    this.#minRttAtMicros = nowMicros;
  }

  /**
   * How far acknowledgments are ahead of the bandwidth.
   * @param windowRounds how long the largest lead counts, at least; at most twice as long.
   */
  takeAggregation(sample: AckSample, cwndBytes: number, windowRounds: number): void {
    if (this.sampleBytesPerSecond === 0 || sample.deliveredBytes <= 0) return;
    if (this.isRoundStart && ++this.#extraRounds >= windowRounds) {
      this.#extraRounds = 0;
      this.#lastExtraBytes = this.#extraBytes;
      this.#extraBytes = 0;
    }
    let expected = (this.usedBytesPerSecond * (sample.nowMicros - this.#epochMicros)) / MICROS_PER_SECOND;
    if (this.#epochBytes <= expected) {
      this.restartAggregation(sample.nowMicros);
      expected = 0;
    }
    this.#epochBytes += sample.deliveredBytes;
    const extra = Math.min(this.#epochBytes - expected, cwndBytes);
    if (extra > this.#extraBytes) this.#extraBytes = extra;
    const limit = (this.usedBytesPerSecond * EXTRA_LIMIT_MICROS) / MICROS_PER_SECOND;
    this.extraAckedBytes = Math.min(Math.max(this.#extraBytes, this.#lastExtraBytes), limit);
  }

  restartAggregation(nowMicros: number): void {
    this.#epochMicros = nowMicros;
    this.#epochBytes = 0;
  }

  /** Bandwidth-delay product; 0: not known. */
  productBytes(): number {
    if (this.minRttMicros === Number.POSITIVE_INFINITY) return 0;
    return (this.usedBytesPerSecond * this.minRttMicros) / MICROS_PER_SECOND;
  }

  get usedBytesPerSecond(): number {
    return Math.min(this.bytesPerSecond, this.limitBytesPerSecond);
  }
}

/**
 * Bursts that end systems hold. The drafts, and Linux, say three: one in the sender's queueing discipline, one in its
 * segmentation offload, one in the receiver's coalescing. Of these we have the last only: what is sent is on its way. On
 * a short path the other two would be a queue at the bottleneck, many times what the path itself holds, that no phase
 * takes back.
 */
const HELD_BURSTS = 1;
const MAX_BURST_BYTES = 65_536;
/** A burst is what a millisecond sends. */
const BURSTS_PER_SECOND = 1000;

/** What is in flight and yet not on the path, in whole segments, if it is sent at this rate. */
export function heldBytes(pacingBytesPerSecond: number, mssBytes: number): number {
  const burst = Math.min(pacingBytesPerSecond / BURSTS_PER_SECOND, MAX_BURST_BYTES);
  return HELD_BURSTS * Math.max(Math.floor(burst / mssBytes), 2) * mssBytes;
}

/** The state after `state` (xorshift, Marsaglia): enough to keep flows apart. Its value is `state >>> 0`. */
export function nextRandom(state: number): number {
  let x = state === 0 ? 0x9e3779b9 : state;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  return x | 0;
}
