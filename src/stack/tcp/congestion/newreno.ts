import type { CongestionController } from './controller.ts';

/** RFC 5681 §3.1: "arbitrarily high". */
const UNLIMITED_SSTHRESH = 0x7fff_ffff;
/** No window is of use beyond what a scaled receive window can offer (RFC 7323 §2.3). */
const MAX_CWND_BYTES = 0x4000_0000;

/** RFC 5681 with byte counting (RFC 3465, L = 2 segments); the recovery itself is RFC 6675's or RFC 6582's. */
export class NewReno implements CongestionController {
  readonly name = 'newreno';
  cwndBytes = 0;
  ssthreshBytes: number = UNLIMITED_SSTHRESH;
  #mssBytes = 536;
  #initialWindowBytes = 0;
  /** Bytes acknowledged in congestion avoidance that have not yet grown the window (RFC 3465 §2.1). */
  #bytesAcked = 0;

  onSegmentSize(mssBytes: number, windowSegments: number): void {
    this.#mssBytes = mssBytes;
    // RFC 6928 §2: min(10 * MSS, max(2 * MSS, 14600)).
    const bytes = Math.min(windowSegments * mssBytes, Math.max(2 * mssBytes, windowSegments * 1460));
    this.#initialWindowBytes = Math.max(bytes, mssBytes);
    if (this.cwndBytes === 0) this.cwndBytes = this.#initialWindowBytes;
    else this.cwndBytes = Math.max(this.cwndBytes, mssBytes);
  }

  onAck(ackedBytes: number, limited: boolean, _rttMicros: number, _nowMicros: number): void {
    if (!limited) return;
    if (this.cwndBytes < this.ssthreshBytes) {
      // One acknowledgment may stand for a whole burst (segmentation offload), so L is not enforced in slow start: growth
      // is by what was acknowledged, as in Linux.
      this.cwndBytes = Math.min(this.cwndBytes + ackedBytes, MAX_CWND_BYTES);
      return;
    }
    this.#bytesAcked += ackedBytes;
    while (this.#bytesAcked >= this.cwndBytes) {
      this.#bytesAcked -= this.cwndBytes;
      this.cwndBytes = Math.min(this.cwndBytes + this.#mssBytes, MAX_CWND_BYTES); // RFC 5681 §3.1 (2)
    }
  }

  onRecoveryStart(inFlightBytes: number, _nowMicros: number): void {
    this.ssthreshBytes = this.#halved(inFlightBytes);
    this.cwndBytes = this.ssthreshBytes; // RFC 6675 §5 (4.2)
    this.#bytesAcked = 0;
  }

  onRecoveryEnd(_inFlightBytes: number, _nowMicros: number): void {
    this.cwndBytes = Math.max(this.ssthreshBytes, this.#mssBytes); // RFC 6582 §3.2 (3), the second choice
  }

  onTimeout(inFlightBytes: number, first: boolean, _nowMicros: number): void {
    if (first) this.ssthreshBytes = this.#halved(inFlightBytes); // RFC 5681 §3.1: once for the same segment
    this.cwndBytes = this.#mssBytes;
    this.#bytesAcked = 0;
  }

  onIdleRestart(_nowMicros: number): void {
    this.cwndBytes = Math.min(this.cwndBytes, this.#initialWindowBytes); // RFC 5681 §4.1
  }

  /** RFC 5681 §3.1 (4). */
  #halved(inFlightBytes: number): number {
    return Math.max(Math.floor(inFlightBytes / 2), 2 * this.#mssBytes);
  }
}
