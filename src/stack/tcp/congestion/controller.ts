/** Linux's names, as `TCP_CONGESTION` takes them; `bbr` is version 1, as Linux's own. */
export type CongestionName = 'cubic' | 'reno' | 'bbr' | 'bbr3';

/** Linux's enum tcp_ca_state. */
export type CongestionState = 'open' | 'disorder' | 'cwr' | 'recovery' | 'loss';

/** Why the window has to shrink. */
export type CongestionSignal = 'loss' | 'ecn' | 'timeout';

/**
 * What one acknowledgment said, all together, with the delivery rate that follows from it
 * (draft-ietf-ccwg-bbr §4.1.1). One per sender, filled again for each acknowledgment. Bytes and microseconds.
 */
export class AckSample {
  nowMicros = 0;
  state: CongestionState = 'open';
  sndUna = 0;
  sndNxt = 0;
  /** Newly acknowledged cumulatively. */
  ackedBytes = 0;
  /** Newly out of the network: acknowledged cumulatively or selectively, each byte once. */
  deliveredBytes = 0;
  /** Newly found lost. */
  lostBytes = 0;
  /** Of what was delivered, what the peer received marked Congestion Experienced (AccECN), or all of it with ECE (RFC 3168). */
  congestionMarkedBytes = 0;
  /** Round-trip time that this acknowledgment measured, of what was sent last of all that it covers; or -1. */
  rttMicros = -1;
  inFlightBytes = 0;
  /** In flight before this acknowledgment. */
  priorInFlightBytes = 0;
  /** The congestion window was what held the sender back when it sent last (RFC 7661 §4): only then may it grow. */
  isCongestionLimited = false;

  /** All that was ever delivered, including this. */
  totalDeliveredBytes = 0;
  /** `totalDeliveredBytes` when the segment was sent that this acknowledgment newly delivers and that was sent last; -1: no sample. */
  priorDeliveredBytes = -1;
  /** Length of the sampling interval; -1: no sample. `totalDeliveredBytes - priorDeliveredBytes` were delivered in it. */
  intervalMicros = -1;
  /** The sample was taken while the application had too little to send. */
  isApplicationLimited = false;
  /** Bytes in flight, this segment included, when that segment was sent. */
  sentInFlightBytes = 0;
  /** Bytes lost since that segment was sent. */
  lostSinceSentBytes = 0;
}

/**
 * The seam of congestion control. Loss detection decides what was lost and when a congestion event begins and ends; the
 * controller only says how many bytes may be in flight, and how fast they may leave. All sizes in bytes, times in
 * microseconds.
 *
 * Unless `controlsRecovery`, the sender sets `cwndBytes` itself while the state is `cwr` or `recovery` (RFC 9937, PRR) and
 * to one segment more than is in flight when the retransmission timer expires; `onAck` is not called in `cwr` and
 * `recovery`. A controller with `controlsRecovery` is told of each acknowledgment and sets its window in every state.
 */
export interface CongestionController {
  readonly name: CongestionName;
  readonly controlsRecovery: boolean;
  cwndBytes: number;
  ssthreshBytes: number;
  /** The rate to send at, in bytes per second; 0: none of its own (the sender takes cwnd / srtt if it is to pace). */
  pacingBytesPerSecond: number;

  /** After each acknowledgment that delivers something (see above for the states). */
  onAck(sample: AckSample): void;
  /**
   * A congestion event begins: sets `ssthreshBytes` (and remembers what `onUndo` needs). The window follows by PRR, or by
   * the sender after a timeout.
   * @param inFlightBytes as of then.
   * @param isRepeated the same data timed out before: the threshold is not lowered again (RFC 5681 §3.1).
   */
  onCongestion(signal: CongestionSignal, inFlightBytes: number, isRepeated: boolean, nowMicros: number): void;
  /** The state has changed: after `onCongestion` where both happen, before the window is set to the threshold at the end. */
  onState(state: CongestionState, inFlightBytes: number, nowMicros: number): void;
  /** The event was none (DSACK, timestamps, F-RTO): restores window and threshold, never below what they are now. */
  onUndo(): void;
  /** About to send with nothing in flight: after a pause, `idleMicros` long. */
  onIdleRestart(idleMicros: number, rtoMicros: number, nowMicros: number): void;
  /** The segment size became known (first call: sets the initial window, RFC 6928) or changed. */
  onSegmentSize(mssBytes: number, windowSegments: number): void;
}
