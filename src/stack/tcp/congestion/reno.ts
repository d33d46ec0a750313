import type { AckSample, CongestionController, CongestionSignal, CongestionState } from './controller.ts';
import {
  initialWindowBytes,
  MAX_CWND_BYTES,
  thresholdAfterIdle,
  UNLIMITED_SSTHRESH,
  windowAfterIdle,
} from './window.ts';

/** RFC 5681 with byte counting (RFC 3465). */
export class Reno implements CongestionController {
  readonly name = 'reno';
  readonly controlsRecovery = false;
  cwndBytes = 0;
  ssthreshBytes: number = UNLIMITED_SSTHRESH;
  pacingBytesPerSecond = 0;
  #mssBytes = 536;
  #initialBytes = 0;
  /** Bytes acknowledged in congestion avoidance that have not yet grown the window (RFC 3465 §2.1). */
  #ackedBytes = 0;
  #priorCwndBytes = 0;
  #priorSsthreshBytes = 0;

  onSegmentSize(mssBytes: number, windowSegments: number): void {
    this.#mssBytes = mssBytes;
    this.#initialBytes = initialWindowBytes(mssBytes, windowSegments);
    if (this.cwndBytes === 0) this.cwndBytes = this.#initialBytes;
    else this.cwndBytes = Math.max(this.cwndBytes, mssBytes);
  }

  onAck(sample: AckSample): void {
    if (!sample.isCongestionLimited) return;
    let bytes = sample.ackedBytes;
    if (this.cwndBytes < this.ssthreshBytes) {
      // One acknowledgment may stand for a whole burst (segmentation offload), so RFC 3465's L is not enforced: growth
      // is by what was acknowledged, as in Linux.
      const grown = Math.min(this.cwndBytes + bytes, this.ssthreshBytes, MAX_CWND_BYTES);
      bytes -= grown - this.cwndBytes;
      this.cwndBytes = grown;
      if (grown < this.ssthreshBytes) return;
    }
    this.#ackedBytes += bytes;
    while (this.#ackedBytes >= this.cwndBytes) {
      this.#ackedBytes -= this.cwndBytes;
      this.cwndBytes = Math.min(this.cwndBytes + this.#mssBytes, MAX_CWND_BYTES); // RFC 5681 §3.1 (2)
    }
  }

  onCongestion(_signal: CongestionSignal, inFlightBytes: number, isRepeated: boolean, _nowMicros: number): void {
    if (isRepeated) return; // RFC 5681 §3.1: held constant
    this.#priorCwndBytes = this.cwndBytes;
    this.#priorSsthreshBytes = this.ssthreshBytes;
    // RFC 5681 §3.1 (4); what limited transmit (RFC 3042) has sent beyond it does not count.
    const flightBytes = Math.min(inFlightBytes, this.cwndBytes);
    this.ssthreshBytes = Math.max(Math.floor(flightBytes / 2), 2 * this.#mssBytes);
    this.#ackedBytes = 0;
  }

  onState(_state: CongestionState, _inFlightBytes: number, _nowMicros: number): void {}

  onUndo(): void {
    this.cwndBytes = Math.max(this.cwndBytes, this.#priorCwndBytes);
    this.ssthreshBytes = Math.max(this.ssthreshBytes, this.#priorSsthreshBytes);
  }

  onIdleRestart(idleMicros: number, rtoMicros: number, _nowMicros: number): void {
    this.ssthreshBytes = thresholdAfterIdle(this.cwndBytes, this.ssthreshBytes);
    this.cwndBytes = windowAfterIdle(this.cwndBytes, this.#initialBytes, idleMicros, rtoMicros);
  }
}
