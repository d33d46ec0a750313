import type { CongestionController } from './congestion/controller.ts';
import { MAX_BURST_BYTES } from './config.ts';

/** The first segments of a connection leave together. */
const UNPACED_SEGMENTS = 10;
const MIN_BURST_SEGMENTS = 2;
/** A burst takes about a millisecond of the rate. */
const BURSTS_PER_SECOND = 1024;
/** For short round trips a burst may be larger: the largest one, halved for each 512 µs of the shortest. */
const MICROS_PER_HALVING = 512;
/** Timers of an event loop come late, by a millisecond or two, more under load: so much is made up for. */
const MAX_LATE_MICROS = 5000;

/** Spreads what is sent over the round trip. Made only for connections that pace. */
export class Pacer {
  /** SO_MAX_PACING_RATE, in bytes per second. */
  maxBytesPerSecond: number = Number.POSITIVE_INFINITY;
  /** Before this nothing is sent. */
  nextMicros = 0;
  /** Something waits for `nextMicros`. */
  #isHolding = false;
  /** How much later than it should have been what waited is let go, and when that is. */
  #lateMicros = 0;
  #lateAtMicros = -1;

  /** Whether what is to be sent has to wait. */
  holds(nowMicros: number): boolean {
    if (this.nextMicros > nowMicros) {
      this.#isHolding = true;
      return true;
    }
    if (this.#isHolding) {
      this.#isHolding = false;
      this.#lateMicros = Math.min(nowMicros - this.nextMicros, MAX_LATE_MICROS);
      this.#lateAtMicros = nowMicros;
    }
    return false;
  }

  /**
   * A frame was sent: the next may go when the rate allows. Time that has passed since this one might have gone counts,
   * up to half of what the frame takes; all of it where the pacer's own timer was late, or the rate would never be
   * reached.
   */
  sent(bytes: number, bytesPerSecond: number, segmentsOut: number, nowMicros: number): void {
    const before = this.nextMicros;
    this.nextMicros = Math.max(before, nowMicros);
    if (!Number.isFinite(bytesPerSecond) || bytesPerSecond <= 0 || segmentsOut < UNPACED_SEGMENTS) return;
    const takes = (bytes * 1e6) / bytesPerSecond;
    const late = this.#lateAtMicros === nowMicros ? this.#lateMicros : 0;
    this.nextMicros += takes - Math.min(Math.max(takes / 2, late), this.nextMicros - before);
  }
}

/**
 * The rate to send at, in bytes per second: the controller's own, or a percentage of the window in a round trip (more
 * in slow start, so that it can grow), within the limit. Infinity while there is no round-trip time yet.
 */
export function pacingRate(
  congestion: CongestionController,
  outstandingBytes: number,
  srttMicros: number,
  slowStartPercent: number,
  avoidancePercent: number,
  maxBytesPerSecond: number,
): number {
  if (congestion.pacingBytesPerSecond > 0) return Math.min(congestion.pacingBytesPerSecond, maxBytesPerSecond);
  if (srttMicros <= 0) return maxBytesPerSecond;
  const isSlowStart = congestion.cwndBytes < congestion.ssthreshBytes / 2;
  const percent = isSlowStart ? slowStartPercent : avoidancePercent;
  const bytes = Math.max(congestion.cwndBytes, outstandingBytes);
  return Math.min((bytes * 1e4 * percent) / srttMicros, maxBytesPerSecond);
}

/** Segments of one burst at a rate: as many as leave within about a millisecond, at least two. */
export function burstSegments(bytesPerSecond: number, mssBytes: number, minRttMicros: number): number {
  const byRate = bytesPerSecond / BURSTS_PER_SECOND;
  const byRtt = MAX_BURST_BYTES / 2 ** Math.min(60, Math.floor(minRttMicros / MICROS_PER_HALVING));
  const bytes = Math.min(byRate + byRtt, MAX_BURST_BYTES);
  return Math.max(MIN_BURST_SEGMENTS, Math.floor(bytes / mssBytes));
}
