import { AckSample, type CongestionController } from '../src/stack/tcp/congestion/controller.ts';

const MSS_BYTES = 1000;

/**
 * Tells a controller of acknowledgments as they come on a path without queue, where the window is always full: a window
 * of them in each round trip, evenly spaced. For expectations that follow from the equations of an RFC.
 */
export class SteadyAcks {
  readonly controller: CongestionController;
  readonly mssBytes: number = MSS_BYTES;
  readonly sample: AckSample = new AckSample();
  rttMicros: number;
  nowMicros = 0;
  ackedSegments = 0;
  /** Segments that one acknowledgment stands for. */
  segmentsPerAck = 1;
  isCongestionLimited = true;

  /** @param windowSegments to start from, in congestion avoidance if `ssthreshBytes` is set to no more. */
  constructor(controller: CongestionController, rttMicros: number, windowSegments: number) {
    this.controller = controller;
    this.rttMicros = rttMicros;
    controller.onSegmentSize(MSS_BYTES, 10);
    controller.cwndBytes = windowSegments * MSS_BYTES;
  }

  get windowSegments(): number {
    return this.controller.cwndBytes / MSS_BYTES;
  }

  /** One acknowledgment, after the time that the window takes for it. */
  acknowledge(): void {
    const { controller, sample } = this;
    const bytes = Math.min(this.segmentsPerAck * MSS_BYTES, controller.cwndBytes);
    this.nowMicros += (this.rttMicros * bytes) / controller.cwndBytes;
    this.ackedSegments += bytes / MSS_BYTES;
    sample.nowMicros = this.nowMicros;
    sample.state = 'open';
    sample.ackedBytes = bytes;
    sample.deliveredBytes = bytes;
    sample.totalDeliveredBytes += bytes;
    sample.rttMicros = this.rttMicros;
    sample.inFlightBytes = controller.cwndBytes - bytes;
    sample.priorInFlightBytes = controller.cwndBytes;
    sample.isCongestionLimited = this.isCongestionLimited;
    sample.sndUna = sample.totalDeliveredBytes | 0;
    sample.sndNxt = (sample.totalDeliveredBytes + sample.inFlightBytes) | 0;
    controller.onAck(sample);
  }

  /** Acknowledgments for so long. */
  run(micros: number): void {
    const endMicros = this.nowMicros + micros;
    while (this.nowMicros < endMicros) this.acknowledge();
  }

  /** A loss, and the recovery from it in no time. */
  lose(): void {
    const { controller } = this;
    controller.onCongestion('loss', controller.cwndBytes, false, this.nowMicros);
    controller.onState('recovery', controller.cwndBytes, this.nowMicros);
    controller.onState('open', controller.cwndBytes, this.nowMicros);
    controller.cwndBytes = controller.ssthreshBytes;
  }

  /** The retransmission timer has expired, and what it sent again is acknowledged. */
  timeout(): void {
    const { controller } = this;
    controller.onCongestion('timeout', controller.cwndBytes, false, this.nowMicros);
    controller.onState('loss', 0, this.nowMicros);
    controller.cwndBytes = MSS_BYTES;
    controller.onState('open', 0, this.nowMicros);
  }

  /** The average window, weighted by time, over `cycles` losses, one in every `segments`. */
  averageWindow(segments: number, cycles: number): number {
    const startMicros = this.nowMicros;
    let windowMicros = 0;
    for (let cycle = 0; cycle < cycles; cycle++) {
      const end = this.ackedSegments + segments;
      while (this.ackedSegments < end) {
        const window = this.windowSegments;
        const before = this.nowMicros;
        this.acknowledge();
        windowMicros += window * (this.nowMicros - before);
      }
      this.lose();
    }
    return windowMicros / (this.nowMicros - startMicros);
  }
}
