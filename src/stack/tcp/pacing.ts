import type { CongestionController } from './congestion/controller.ts';
import { MAX_BURST_BYTES } from './config.ts';

/** The first segments of a connection leave together. */
const UNPACED_SEGMENTS = 10;
const MIN_BURST_SEGMENTS = 2;
/** A burst takes about a millisecond of the rate. */
const BURSTS_PER_SECOND = 1024;
/** For short round trips a burst may be larger: the largest one, halved for each 512 µs of the shortest. */
const MICROS_PER_HALVING = 512;
/** Timers of an event loop come late, by a millisecond or two: so much is made up for, whatever the path. */
const MAX_LATE_MICROS = 5000;
/**
 * And so much of the shortest round trip: on a busy machine a process stands still for tens of milliseconds. What it
 * would have sent meanwhile finds the queue emptier by as much.
 */
const MAX_LATE_ROUND_TRIPS = 0.5;

/** Spreads what is sent over the round trip. Made only for connections that pace. */
export class Pacer {
  /** SO_MAX_PACING_RATE, in bytes per second. */
  maxBytesPerSecond: number = Number.POSITIVE_INFINITY;
  /** Before this nothing is sent. */
  nextMicros = 0;
  /** What `nextMicros` was reckoned by. */
  #bytesPerSecond: number = Number.POSITIVE_INFINITY;
  /** Something waits for `nextMicros`. */
  #isHolding = false;
  /** How much later than it should have been what waited is let go, and when that is. */
  #lateMicros = 0;
  #lateAtMicros = -1;

  /**
   * Whether what is to be sent has to wait.
   * @param minRttMicros the shortest round trip; infinite: not known.
   */
  holds(nowMicros: number, minRttMicros: number): boolean {
    if (this.nextMicros > nowMicros) {
      this.#isHolding = true;
      return true;
    }
    if (this.#isHolding) {
      this.#isHolding = false;
      const pathMicros = Number.isFinite(minRttMicros) ? minRttMicros * MAX_LATE_ROUND_TRIPS : 0;
      this.#lateMicros = Math.min(nowMicros - this.nextMicros, Math.max(MAX_LATE_MICROS, pathMicros));
      this.#lateAtMicros = nowMicros;
    }
    return false;
  }

  /** What is left of the wait gets shorter where the rate has risen since. */
  hasten(bytesPerSecond: number, nowMicros: number): void {
    if (this.nextMicros <= nowMicros || !(bytesPerSecond > this.#bytesPerSecond)) return;
    this.nextMicros = nowMicros + ((this.nextMicros - nowMicros) * this.#bytesPerSecond) / bytesPerSecond;
    this.#bytesPerSecond = bytesPerSecond;
  }

  /**
   * A frame was sent: the next may go when the rate allows. Time that has passed since this one might have gone counts,
   * up to half of what the frame takes; all of it where the pacer's own timer was late, or the rate would never be
   * reached.
   */
  sent(bytes: number, bytesPerSecond: number, segmentsOut: number, nowMicros: number): void {
    this.hasten(bytesPerSecond, nowMicros);
    this.#bytesPerSecond = bytesPerSecond;
    const before = this.nextMicros;
    this.nextMicros = Math.max(before, nowMicros);
    if (!Number.isFinite(bytesPerSecond) || bytesPerSecond <= 0 || segmentsOut < UNPACED_SEGMENTS) return;
    const takes = (bytes * 1e6) / bytesPerSecond;
    const late = this.#lateAtMicros === nowMicros ? this.#lateMicros : 0;
    this.nextMicros += takes - Math.min(Math.max(takes / 2, late), this.nextMicros - before);
  }
}

/**
 * The rate to send at, in bytes per second: the controller's own, but at least a burst a round trip, or a percentage of
 * the window in a round trip (more in slow start, so that it can grow), within the limit. Infinity while there is no
 * round-trip time yet.
 */
export function pacingRate(
  congestion: CongestionController,
  mssBytes: number,
  outstandingBytes: number,
  srttMicros: number,
  slowStartPercent: number,
  avoidancePercent: number,
  maxBytesPerSecond: number,
): number {
  if (congestion.pacingBytesPerSecond > 0) {
    // What was measured while little was sent may be next to nothing: such a pace would never be found wrong.
    const least = srttMicros > 0 ? (MIN_BURST_SEGMENTS * mssBytes * 1e6) / srttMicros : 0;
    return Math.min(Math.max(congestion.pacingBytesPerSecond, least), maxBytesPerSecond);
  }
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
