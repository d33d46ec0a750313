import { sequenceDifference } from '../../wire/sequence.ts';
import type { AckFindings } from './ack-findings.ts';

/**
 * What is needed to find out that a reduction of the window was a mistake: by timestamps (Eifel, RFC 3522) or because
 * DSACK reports every retransmission as received twice (RFC 3708).
 */
export class UndoEvidence {
  /** There is a reduction that may turn out to be one. */
  isArmed = false;
  /** The window may be restored; not after a congestion mark, which is proof. */
  mayRestore = false;
  /** When the first retransmission since was sent; -1: none yet. */
  firstRetransmitMicros = -1;
  /** `sndUna` when the reduction began. */
  #marker = 0;
  /** Retransmissions since that were not reported as received twice; -1: none were sent. */
  #unreported = -1;

  /** A reduction begins with so many retransmissions under way. */
  begin(sndUna: number, retransmissions: number): void {
    this.isArmed = true;
    this.#marker = sndUna;
    this.#unreported = retransmissions === 0 ? -1 : retransmissions;
  }

  end(): void {
    this.isArmed = false;
  }

  noteRetransmitted(segments: number, nowMicros: number): void {
    if (this.firstRetransmitMicros < 0) this.firstRetransmitMicros = nowMicros;
    this.#unreported = Math.max(0, this.#unreported) + segments;
  }

  /** The peer has `segments` up to `end` twice. */
  noteReported(segments: number, end: number): void {
    if (!this.isArmed || this.#unreported <= 0 || sequenceDifference(end, this.#marker) <= 0) return;
    this.#unreported = Math.max(0, this.#unreported - segments);
  }

  /** A report of [left, right), all of it acknowledged, is about what was sent in this recovery (RFC 2883 §5). */
  isReportPlausible(left: number, right: number, maxWindowBytes: number): boolean {
    if (!this.isArmed) return false;
    if (sequenceDifference(left, this.#marker) >= 0) return true;
    return sequenceDifference(right, this.#marker) > 0 && sequenceDifference(right, left) <= maxWindowBytes;
  }

  /** RFC 3708 §2: each retransmission was one too many. */
  get allReported(): boolean {
    return this.isArmed && this.#unreported === 0;
  }

  /** RFC 3522 §3.2: what came answers something sent before the first retransmission, or there was none. */
  isOriginalAnswered(found: AckFindings, isUnknown: boolean): boolean {
    if (this.firstRetransmitMicros >= 0) return this.firstRetransmitMicros >= found.echoEndMicros;
    return !isUnknown;
  }
}
