import { sequenceDifference } from '../../wire/sequence.ts';
import type { CongestionController } from './congestion/controller.ts';

/**
 * Whether the congestion window is what holds the sender back (RFC 7661 §4.1): only then may it grow, and a window that
 * has not been used for a while shrinks to what was.
 */
export class WindowUse {
  isLimited = false;
  /** The most segments outstanding in this window of data. */
  maxSegments = 0;
  #sequence = 0;
  #usedSegments = 0;
  #stampMicros = 0;

  /** Something was sent, or could not be for want of room in the window. */
  note(isLimited: boolean, outstanding: number, sndUna: number, sndNxt: number): void {
    const isPast = sequenceDifference(sndUna, this.#sequence) >= 0;
    if (!isPast && !isLimited && (this.isLimited || outstanding <= this.maxSegments)) return;
    this.isLimited = isLimited;
    this.maxSegments = outstanding;
    this.#sequence = sndNxt;
  }

  /** In slow start, what was used may double. */
  mayGrow(congestion: CongestionController, mssBytes: number): boolean {
    if (this.isLimited) return true;
    return congestion.cwndBytes < congestion.ssthreshBytes && congestion.cwndBytes < 2 * this.maxSegments * mssBytes;
  }

  /** RFC 7661 §4.4.2: a window that was not needed for a whole timeout comes half way down to what was. */
  decay(
    congestion: CongestionController,
    outstanding: number,
    mssBytes: number,
    initialSegments: number,
    rtoMicros: number,
    nowMicros: number,
  ): void {
    if (this.mayGrow(congestion, mssBytes)) {
      this.restart(nowMicros);
      return;
    }
    this.#usedSegments = Math.max(this.#usedSegments, outstanding);
    if (nowMicros - this.#stampMicros < rtoMicros) return;
    const usedBytes = Math.max(this.#usedSegments, initialSegments) * mssBytes;
    if (usedBytes < congestion.cwndBytes) {
      congestion.ssthreshBytes = Math.max(congestion.ssthreshBytes, Math.floor(congestion.cwndBytes * 0.75));
      congestion.cwndBytes = Math.floor((congestion.cwndBytes + usedBytes) / 2);
    }
    this.restart(nowMicros);
  }

  /** The window has just been set: what is known of its use is void. */
  restart(nowMicros: number): void {
    this.#usedSegments = 0;
    this.#stampMicros = nowMicros;
  }
}
