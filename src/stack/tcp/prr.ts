/**
 * Proportional rate reduction (RFC 9937): how many segments may leave while the window shrinks. Counts segments, as
 * Linux does; the window is in bytes everywhere else.
 */
export class ProportionalRate {
  /** RecoverFS: the window when the reduction began. */
  #priorSegments = 1;
  #deliveredSegments = 0;
  #outSegments = 0;

  begin(cwndSegments: number): void {
    this.#priorSegments = Math.max(1, cwndSegments);
    this.#deliveredSegments = 0;
    this.#outSegments = 0;
  }

  sent(segments: number): void {
    this.#outSegments += segments;
  }

  /**
   * RFC 9937 §6.2: an acknowledgment delivered so much.
   * @param isSafe `sndUna` moved and nothing new was found lost (SafeACK).
   * @returns the window, in segments.
   */
  window(delivered: number, isSafe: boolean, pipeSegments: number, ssthreshSegments: number): number {
    this.#deliveredSegments += delivered;
    let send: number;
    if (pipeSegments > ssthreshSegments) {
      send = Math.ceil((this.#deliveredSegments * ssthreshSegments) / this.#priorSegments) - this.#outSegments;
    } else {
      // Conservative reduction bound, and slow start where the recovery goes well.
      send = Math.max(this.#deliveredSegments - this.#outSegments, delivered) + (isSafe ? 1 : 0);
      send = Math.min(ssthreshSegments - pipeSegments, send);
    }
    // The first retransmission does not wait.
    return pipeSegments + Math.max(send, this.#outSegments === 0 ? 1 : 0);
  }
}
