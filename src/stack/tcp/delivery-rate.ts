import { sequenceGreater } from '../../wire/sequence.ts';
import type { AckFindings } from './ack-findings.ts';

/**
 * Delivery rate estimation (draft-ietf-ccwg-bbr §4.1): how much the network delivered between the sending of a segment
 * and its acknowledgment. Totals of the connection; each record of the scoreboard carries a copy as of its sending.
 */
export class DeliveryRate {
  deliveredBytes = 0;
  /** In segments, with those that the peer says it got twice, as Linux counts. */
  deliveredSegments = 0;
  lostBytes = 0;
  lostSegments = 0;
  /** When something was delivered last, or sent with nothing in flight. */
  deliveredMicros = 0;
  /** When the segment was sent that was delivered last: the beginning of the sampling interval's send phase. */
  firstSentMicros = 0;
  /** The application had too little to send: true of samples until more than this was delivered. 0: no such bubble. */
  limitedUntilBytes = 0;

  /** The last sample that was not held back by the application, or a better one that was. */
  sampleBytes = 0;
  sampleMicros = 0;
  isSampleLimited = false;

  /** Bytes per second of the last valid sample, 0 if there was none. */
  get bytesPerSecond(): number {
    return this.sampleMicros > 0 ? (this.sampleBytes * 1e6) / this.sampleMicros : 0;
  }

  /** A segment is sent while nothing is in flight. */
  restart(nowMicros: number): void {
    this.firstSentMicros = nowMicros;
    this.deliveredMicros = nowMicros;
  }

  /** The sender has nothing more to send, with room in its window. */
  markLimited(inFlightBytes: number): void {
    this.limitedUntilBytes = Math.max(1, this.deliveredBytes + inFlightBytes);
  }

  /** A record is delivered: the one that was sent last is what the acknowledgment's sample is taken from. */
  sampleRecord(
    found: AckFindings,
    sentMicros: number,
    end: number,
    delivered: number,
    deliveredMicros: number,
    firstSentMicros: number,
    lost: number,
    inFlightBytes: number,
    isLimited: boolean,
  ): void {
    const isFirst = found.priorDeliveredBytes < 0;
    const isLater =
      sentMicros > found.sampledSentMicros ||
      (sentMicros === found.sampledSentMicros && sequenceGreater(end, found.sampledEnd));
    if (!isFirst && !isLater) return;
    found.priorDeliveredBytes = delivered;
    found.priorDeliveredMicros = deliveredMicros;
    found.sendPhaseMicros = sentMicros - firstSentMicros;
    found.priorLostBytes = lost;
    found.sentInFlightBytes = inFlightBytes;
    found.isApplicationLimited = isLimited;
    found.sampledSentMicros = sentMicros;
    found.sampledEnd = end;
    this.firstSentMicros = sentMicros;
  }

  /**
   * Ends the sample of an acknowledgment.
   * @returns the interval in microseconds, or -1: there is no sample, or none to be trusted.
   */
  finish(found: AckFindings, minRttMicros: number): number {
    if (this.limitedUntilBytes > 0 && this.deliveredBytes > this.limitedUntilBytes) this.limitedUntilBytes = 0;
    if (found.deliveredBytes > 0) this.deliveredMicros = found.nowMicros;
    if (found.priorDeliveredBytes < 0) return -1;
    const interval = Math.max(found.sendPhaseMicros, found.nowMicros - found.priorDeliveredMicros);
    // Less than the shortest round trip is the doing of a retransmission that was not needed.
    if (interval <= 0 || interval < minRttMicros) return -1;
    const bytes = this.deliveredBytes - found.priorDeliveredBytes;
    if (!found.isApplicationLimited || bytes * this.sampleMicros >= this.sampleBytes * interval) {
      this.sampleBytes = bytes;
      this.sampleMicros = interval;
      this.isSampleLimited = found.isApplicationLimited;
    }
    return interval;
  }
}
