import { sequenceGreater } from '../../wire/sequence.ts';
import type { AckFindings } from './ack-findings.ts';
import type { Scoreboard } from './sack.ts';

/** RFC 8985 §6.2 step 4: recoveries for which a window that DSACK widened is kept. */
const PERSISTENT_RECOVERIES = 16;
const MAX_STEPS = 0xff;

/**
 * RFC 8985: a segment is lost if one that was sent enough later has arrived. What "later" means is known by the time of
 * the last transmission, so that lost retransmissions are found too.
 */
export class Rack {
  /** RACK.xmit_ts and RACK.end_seq: the segment that was sent last among those delivered. */
  sentMicros: number = -1;
  endSequence = 0;
  rttMicros = 0;
  /** Something was delivered since losses were looked for last. */
  hasAdvanced = false;
  /** RACK.reo_wnd_mult, in quarters of the shortest round trip. */
  windowSteps = 1;
  windowPersist = 0;
  hasDuplicateSack = false;
  /** All that was delivered when the window was widened last: it is not done again in the same round trip. */
  widenedAtBytes = 0;

  /** RFC 8985 §6.2 steps 1 and 2: a segment is newly delivered. */
  advance(found: AckFindings, isRetransmission: boolean, end: number, sentMicros: number): void {
    const rtt = found.nowMicros - sentMicros;
    // Step 2: answered too soon, or to an older timestamp: it was the original that arrived.
    if (isRetransmission && (rtt < found.minRttMicros || sentMicros >= found.echoEndMicros)) return;
    this.hasAdvanced = true;
    this.rttMicros = rtt;
    if (sentMicros > this.sentMicros || (sentMicros === this.sentMicros && sequenceGreater(end, this.endSequence))) {
      this.sentMicros = sentMicros;
      this.endSequence = end;
    }
  }

  /** Step 4: DSACK says that segments were sent again for nothing: wait longer, but not for ever. */
  adaptWindow(found: AckFindings, deliveredBytes: number): void {
    if (found.priorDeliveredBytes < 0) return;
    if (found.priorDeliveredBytes < this.widenedAtBytes) this.hasDuplicateSack = false;
    if (this.hasDuplicateSack) {
      this.windowSteps = Math.min(this.windowSteps + 1, MAX_STEPS);
      this.hasDuplicateSack = false;
      this.widenedAtBytes = deliveredBytes;
      this.windowPersist = PERSISTENT_RECOVERIES;
    } else if (this.windowPersist === 0) {
      this.windowSteps = 1;
    }
  }

  /** A recovery has ended; `isUndone` by DSACKs. */
  recovered(isUndone: boolean): void {
    if (isUndone) this.windowPersist = Math.min(PERSISTENT_RECOVERIES, this.windowPersist + 1);
    else if (this.windowPersist > 0) this.windowPersist--;
  }

  /** RACK_update_reo_wnd: how long a segment may be late before it is lost. */
  windowMicros(isAggressive: boolean, minRttMicros: number, srttMicros: number): number {
    if (isAggressive) return 0;
    return Math.min((minRttMicros / 4) * this.windowSteps, srttMicros);
  }

  /** How much longer a segment may be on its way. */
  remainingMicros(sentMicros: number, windowMicros: number, nowMicros: number): number {
    return this.rttMicros + windowMicros - (nowMicros - sentMicros);
  }

  /**
   * RACK_detect_loss: goes through what is in flight in the order of sending, as far as the segment that was sent last
   * among those delivered. All before the first that is not overdue are lost and leave the order, so each is met once.
   * @returns how long to wait for the next one, or 0.
   */
  detect(scoreboard: Scoreboard, windowMicros: number, nowMicros: number): number {
    while (scoreboard.hasListed) {
      const record = scoreboard.oldestSent;
      const sentMicros = scoreboard.sentMicros(record);
      const isBefore =
        sentMicros < this.sentMicros ||
        (sentMicros === this.sentMicros && sequenceGreater(this.endSequence, scoreboard.end(record)));
      if (!isBefore) return 0;
      const remaining = this.remainingMicros(sentMicros, windowMicros, nowMicros);
      if (remaining > 0) return remaining;
      scoreboard.markLost(record);
    }
    return 0;
  }
}
