/**
 * The seam of congestion control. Loss detection (recovery.ts) decides what was lost and when a recovery begins and
 * ends; the controller only says how many bytes may be in flight. All sizes in bytes, times in microseconds.
 */
export interface CongestionController {
  readonly name: string;
  cwndBytes: number;
  ssthreshBytes: number;

  /**
   * New data was acknowledged outside of fast recovery.
   * @param limited whether the window was what held the sender back: only then may it grow (RFC 7661 §1).
   */
  onAck(ackedBytes: number, limited: boolean, rttMicros: number, nowMicros: number): void;
  /** Loss was found by acknowledgments; `inFlightBytes` as of then. */
  onRecoveryStart(inFlightBytes: number, nowMicros: number): void;
  /** Everything sent before the recovery began is acknowledged. */
  onRecoveryEnd(inFlightBytes: number, nowMicros: number): void;
  /** The retransmission timer expired; `first` unless it did so for the same data before. */
  onTimeout(inFlightBytes: number, first: boolean, nowMicros: number): void;
  /** About to send after a pause longer than the RTO with nothing in flight. */
  onIdleRestart(nowMicros: number): void;
  /** The segment size became known or changed. */
  onSegmentSize(mssBytes: number, windowSegments: number): void;
}
