import { sequenceDifference } from '../../wire/sequence.ts';
import type { CongestionController } from './congestion/controller.ts';

/**
 * Whether the congestion window is what holds the sender back (RFC 7661 §4.1): only then may it grow. One that is not
 * filled stays as it is for as long as something is sent (§4.4).
 */
export class WindowUse {
  isLimited = false;
  /** The most segments outstanding in this window of data. */
  maxSegments = 0;
  /** The largest window that the connection has had. */
  largestBytes = 0;
  #sequence = 0;

  /** Something was sent, or could not be for want of room in the window. */
  note(isLimited: boolean, outstanding: number, sndUna: number, sndNxt: number): void {
    const isPast = sequenceDifference(sndUna, this.#sequence) >= 0;
    if (!isPast && !isLimited && (this.isLimited || outstanding <= this.maxSegments)) return;
    this.isLimited = isLimited;
    this.maxSegments = outstanding;
    this.#sequence = sndNxt;
  }

  noteWindow(cwndBytes: number): void {
    if (cwndBytes > this.largestBytes) this.largestBytes = cwndBytes;
  }

  /** In slow start, what was used may double. */
  mayGrow(congestion: CongestionController, mssBytes: number): boolean {
    if (this.isLimited) return true;
    return congestion.cwndBytes < congestion.ssthreshBytes && congestion.cwndBytes < 2 * this.maxSegments * mssBytes;
  }
}
