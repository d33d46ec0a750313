import type { AckSample, CongestionController, CongestionSignal, CongestionState } from './controller.ts';
import { BETA_TENTHS, CubicCurve } from './cubic-curve.ts';
import { HyStart } from './hystart.ts';
import {
  initialWindowBytes,
  MAX_CWND_BYTES,
  thresholdAfterIdle,
  UNLIMITED_SSTHRESH,
  windowAfterIdle,
} from './window.ts';

/** CUBIC (RFC 9438), with HyStart++ (RFC 9406) in the first slow start. */
export class Cubic implements CongestionController {
  readonly name = 'cubic';
  readonly controlsRecovery = false;
  cwndBytes = 0;
  ssthreshBytes: number = UNLIMITED_SSTHRESH;
  pacingBytesPerSecond = 0;
  #mssBytes = 536;
  #initialBytes = 0;
  /** What follows is made when it is first needed: most connections end before. */
  #hystart: HyStart | null = null;
  #curve: CubicCurve | null = null;
  #priorCurve: CubicCurve | null = null;
  #priorCwndBytes = 0;
  #priorSsthreshBytes = 0;

  /** Whether slow start has seen a queue and grows carefully (CSS of RFC 9406). */
  get isConservative(): boolean {
    return this.#hystart !== null && this.#hystart.isConservative;
  }

  onSegmentSize(mssBytes: number, windowSegments: number): void {
    this.#mssBytes = mssBytes;
    this.#initialBytes = initialWindowBytes(mssBytes, windowSegments);
    if (this.cwndBytes === 0) this.cwndBytes = this.#initialBytes;
    else this.cwndBytes = Math.max(this.cwndBytes, mssBytes);
  }

  onAck(sample: AckSample): void {
    if (sample.rttMicros >= 0 && this.#curve !== null) this.#curve.measure(sample.rttMicros);
    let bytes = sample.ackedBytes;
    if (this.cwndBytes < this.ssthreshBytes) {
      bytes = this.#slowStart(sample);
      if (bytes <= 0) return;
    }
    const curve = this.#curve ?? this.#newCurve(sample);
    if (!sample.isCongestionLimited) {
      curve.pause(sample.nowMicros);
      return;
    }
    const grown = curve.grow(this.cwndBytes, bytes, this.#mssBytes, sample.nowMicros);
    this.cwndBytes = Math.min(grown, MAX_CWND_BYTES);
  }

  onCongestion(signal: CongestionSignal, _inFlightBytes: number, isRepeated: boolean, _nowMicros: number): void {
    this.#hystart = null; // RFC 9406 §4.2: loss or ECN ends it
    if (isRepeated) return;
    this.#priorCwndBytes = this.cwndBytes;
    this.#priorSsthreshBytes = this.ssthreshBytes;
    const curve = (this.#curve ??= new CubicCurve());
    this.#priorCurve ??= new CubicCurve();
    this.#priorCurve.copyFrom(curve);
    curve.onCongestion(this.cwndBytes, signal === 'timeout');
    // RFC 9438 §4.6: of cwnd, which does not grow while it is not used.
    this.ssthreshBytes = Math.max(Math.floor((this.cwndBytes * BETA_TENTHS) / 10), 2 * this.#mssBytes);
  }

  onState(_state: CongestionState, _inFlightBytes: number, _nowMicros: number): void {}

  onUndo(): void {
    if (this.#priorCwndBytes > this.cwndBytes) {
      // RFC 9438 §4.9.
      this.cwndBytes = this.#priorCwndBytes;
      if (this.#curve !== null && this.#priorCurve !== null) this.#curve.copyFrom(this.#priorCurve);
    }
    this.ssthreshBytes = Math.max(this.ssthreshBytes, this.#priorSsthreshBytes);
  }

  onIdleRestart(idleMicros: number, rtoMicros: number, nowMicros: number): void {
    this.#curve?.pause(nowMicros); // RFC 9438 §4.2: t stands still
    this.ssthreshBytes = thresholdAfterIdle(this.cwndBytes, this.ssthreshBytes);
    this.cwndBytes = windowAfterIdle(this.cwndBytes, this.#initialBytes, idleMicros, rtoMicros);
  }

  /**
   * Returns what of the acknowledged is left for congestion avoidance. RFC 9406's limit L of segments an acknowledgment
   * is not kept, as Linux does not: one may stand for a whole burst of segmentation offload.
   */
  #slowStart(sample: AckSample): number {
    let bytes = 0;
    let left = 0;
    if (sample.isCongestionLimited) {
      bytes = this.#hystart?.growthBytes(sample.ackedBytes) ?? sample.ackedBytes;
      const grown = Math.min(this.cwndBytes + Math.floor(bytes), this.ssthreshBytes, MAX_CWND_BYTES);
      left = bytes - (grown - this.cwndBytes);
      this.cwndBytes = grown;
    }
    if (this.ssthreshBytes !== UNLIMITED_SSTHRESH) return this.cwndBytes < this.ssthreshBytes ? 0 : left;
    // RFC 9406 §4.2: only as long as the threshold is at its first value.
    if (this.#hystart === null && sample.isCongestionLimited) this.#hystart = new HyStart(sample.sndNxt);
    const hystart = this.#hystart;
    hystart?.onAck(sample);
    if (hystart?.isOver) {
      this.ssthreshBytes = this.cwndBytes; // RFC 9406 §4.2
      this.#hystart = null;
    }
    return 0;
  }

  #newCurve(sample: AckSample): CubicCurve {
    const curve = new CubicCurve();
    this.#curve = curve;
    if (sample.rttMicros >= 0) curve.measure(sample.rttMicros);
    return curve;
  }
}
