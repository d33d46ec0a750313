/** What one acknowledgment says, gathered while it is taken: there is one, filled again for each. */
export class AckFindings {
  nowMicros = 0;
  /** Data up to here was sent before the last congestion event: what of it is delivered was not lost. */
  recoveryPoint = 0;
  /** The peer's echo proves that what was sent at or after this time did not cause the acknowledgment. */
  echoEndMicros: number = Number.POSITIVE_INFINITY;
  /** `sndUna` before. */
  priorUna = 0;
  /** End of the highest record that was selectively acknowledged before: what is delivered below it now was overtaken. */
  priorHighest = 0;
  /** The shortest round trip seen: a retransmission that is answered sooner was not what is answered. */
  minRttMicros = 0;

  /** `sndUna` has moved. */
  isAdvance = false;
  /** It carries data, moves the window or acknowledges: not a duplicate. */
  isNews = false;
  isDuplicateSack = false;
  /** The duplicate reported is the tail loss probe. */
  isProbeReported = false;
  ackedSegments = 0;
  deliveredSegments = 0;
  deliveredBytes = 0;
  sackedSegments = 0;
  /** Records sent once only that were delivered, from below `recoveryPoint` (RFC 5682). */
  isOriginalDelivered = false;
  isRetransmissionAcked = false;
  /** The retransmission timer was set to something else than usual. */
  keepsTimer = false;
  /** Retransmissions were found lost. */
  isRetransmissionLost = false;

  /** When the oldest and the youngest record were sent that are acknowledged, by sequence number and by SACK; -1: none. */
  firstSentMicros = -1;
  lastSentMicros = -1;
  firstSackedMicros = -1;
  lastSackedMicros = -1;

  /** The lowest sequence number that was delivered later than one above it without ever having been sent again. */
  hasReordering = false;
  reorderedFrom = 0;

  priorDeliveredBytes = -1;
  priorDeliveredMicros = 0;
  sendPhaseMicros = 0;
  priorLostBytes = 0;
  sentInFlightBytes = 0;
  isApplicationLimited = false;
  sampledSentMicros = 0;
  sampledEnd = 0;

  begin(nowMicros: number, recoveryPoint: number, minRttMicros: number): void {
    this.nowMicros = nowMicros;
    this.recoveryPoint = recoveryPoint;
    this.minRttMicros = minRttMicros;
    this.echoEndMicros = Number.POSITIVE_INFINITY;
    this.isAdvance = false;
    this.isNews = false;
    this.isDuplicateSack = false;
    this.isProbeReported = false;
    this.ackedSegments = 0;
    this.deliveredSegments = 0;
    this.deliveredBytes = 0;
    this.sackedSegments = 0;
    this.isOriginalDelivered = false;
    this.isRetransmissionAcked = false;
    this.isRetransmissionLost = false;
    this.keepsTimer = false;
    this.firstSentMicros = -1;
    this.lastSentMicros = -1;
    this.firstSackedMicros = -1;
    this.lastSackedMicros = -1;
    this.hasReordering = false;
    this.priorDeliveredBytes = -1;
    this.isApplicationLimited = false;
  }

  noteReordered(start: number): void {
    if (this.hasReordering && ((this.reorderedFrom - start) | 0) <= 0) return;
    this.hasReordering = true;
    this.reorderedFrom = start;
  }
}
