import { sequenceDifference, sequenceGreater, sequenceLess } from '../../wire/sequence.ts';
import type { AckFindings } from './ack-findings.ts';
import type { CongestionSignal, CongestionState } from './congestion/controller.ts';
import { UNLIMITED_SSTHRESH } from './congestion/window.ts';
import { ProportionalRate } from './prr.ts';
import { Rack } from './rack.ts';
import { blameProbe } from './path-mtu.ts';
import type { Sender } from './send.ts';
import { TIMER_REORDER, TIMER_RETRANSMIT } from './timers.ts';
import { UndoEvidence } from './undo.ts';

/** A reordering timer goes off that much after the time, as Linux's does: two of its ticks. */
const REORDER_SLACK_MICROS = 2000;
const RENEGING_WAIT_MICROS = 10_000;

/**
 * Loss detection and the recovery from it, in the states of Linux's sender: RACK (RFC 8985) where the peer sends SACK,
 * NewReno (RFC 6582) where it does not. Decides which records of the scoreboard are lost, when the congestion controller
 * is told, and when all of it was a mistake; the sender does the rest.
 */
export class LossRecovery {
  state: CongestionState = 'open';
  /** SND.NXT when the state began. */
  recoveryPoint = 0;
  /** One retransmission may go out beyond the window: the path takes smaller segments, and nothing is in flight. */
  forceRetransmit = false;
  /** What the acknowledgment in hand has acknowledged: it was in flight when the mark that it reports was made. */
  ackedBytes = 0;
  /** F-RTO tries new data first: what is marked lost waits for the next acknowledgment. */
  isHeld = false;
  /** RFC 6675's DupThresh, as far as reordering has pushed it. */
  reordering: number;
  reorderingSeen = 0;
  /** Segments that the peer reported as received twice. */
  duplicatesReported = 0;
  timeouts = 0;
  timeoutRecoveries = 0;
  timeoutMicros = 0;

  /** A tail loss probe is out: SND.NXT when it was sent, and whether it was a retransmission. */
  isProbing = false;
  isProbeRetransmission = false;
  probeEnd = 0;

  readonly rack: Rack = new Rack();
  readonly prr: ProportionalRate = new ProportionalRate();
  readonly undo: UndoEvidence = new UndoEvidence();

  /** F-RTO (RFC 5682) watches what a timeout brings about. */
  #isForwardRto = false;
  /** The receiver has dropped what it had acknowledged selectively. */
  #isReneging = false;
  #timeoutStartMicros = -1;
  readonly #sender: Sender;

  /** @param sender null for one that is only looked at. */
  constructor(sender: Sender | null, reorderingSegments: number) {
    this.#sender = sender!;
    this.reordering = reorderingSegments;
  }

  /** The window shrinks by proportional rate reduction. */
  get isReducing(): boolean {
    return this.state === 'cwr' || this.state === 'recovery';
  }

  get isReneging(): boolean {
    return this.#isReneging;
  }

  /** A state in which nothing was found lost: a tail loss probe makes sense (RFC 8985 §7.2). */
  get mayProbe(): boolean {
    return this.state === 'open' || this.state === 'cwr';
  }

  /** RFC 3168 §6.1.2: the peer says that a packet was marked on its way. Once a window of data. */
  congestionMarked(nowMicros: number): void {
    this.undo.mayRestore = false;
    if (this.state !== 'open' && this.state !== 'disorder') return;
    this.undo.end();
    this.#beginReduction('ecn', this.#sender.scoreboard.outstandingBytes + this.ackedBytes, nowMicros);
    this.#enter('cwr', nowMicros);
  }

  /**
   * An acknowledgment that is not plain progress, or any in a state other than `open`; losses are looked for, and the
   * state follows.
   * @param duplicates duplicate acknowledgments that it stands for: 0 or more.
   */
  takeAck(found: AckFindings, duplicates: number): void {
    const { scoreboard, sndUna } = this.#sender;
    this.isHeld = false;
    if (scoreboard.headIsSacked && found.isAdvance) {
      found.keepsTimer = true;
      this.#awaitReneging(found.nowMicros);
      return;
    }
    if (this.state === 'open') this.undo.firstRetransmitMicros = -1;
    else if (sequenceDifference(sndUna, this.recoveryPoint) >= 0 && this.#endsAtPoint(found)) return;
    switch (this.state) {
      case 'recovery':
        this.#recover(found, duplicates);
        return;
      case 'loss':
        this.#recoverFromTimeout(found, duplicates);
        return;
      default:
        this.#watch(found, duplicates);
    }
  }

  /** RFC 6298 §5.4 to 5.6, RFC 6675 §5.1, RFC 8985 §6.3. */
  onTimeout(retries: number, nowMicros: number): void {
    const { scoreboard, congestion, connection, sndUna, sndNxt, config, counters } = this.#sender;
    const inFlight = scoreboard.outstandingBytes;
    const isNew = this.state !== 'recovery' && this.state !== 'loss';
    const wasQuiet = this.state === 'open' || this.state === 'disorder';
    const sacked = scoreboard.sackedRecords + scoreboard.duplicates;
    this.#isReneging ||= scoreboard.headIsSacked;
    scoreboard.duplicates = 0;
    scoreboard.markAllLost(scoreboard.headIsSacked, connection.sackEnabled ? this.rack : null, nowMicros);
    const isRepeated =
      !wasQuiet && sequenceGreater(this.recoveryPoint, sndUna) && !(this.state === 'loss' && retries === 0);
    if (!isRepeated) {
      this.undo.mayRestore = true;
      this.undo.begin(sndUna, scoreboard.retransmittedRecords + (this.isProbing && this.isProbeRetransmission ? 1 : 0));
    }
    congestion.onCongestion('timeout', inFlight, isRepeated, nowMicros);
    // What arrived out of order did not make a recovery begin: the threshold was too high.
    if (wasQuiet && sacked >= config.reorderingSegments) {
      this.reordering = Math.min(this.reordering, config.reorderingSegments);
    }
    this.#enter('loss', nowMicros);
    this.#sender.setCwndSegments(scoreboard.pipeSegments + 1);
    this.recoveryPoint = sndNxt;
    this.isProbing = false;
    this.isHeld = false;
    this.#sender.cwrPending = true;
    // RFC 5682 §2.1 step 1: not while another recovery is under way.
    this.#isForwardRto = config.forwardRto && (isNew || retries > 0);
    counters.timeouts++;
    this.timeouts++;
    if (retries > 0) return;
    this.timeoutRecoveries++;
    this.#timeoutStartMicros = nowMicros;
  }

  /** The reordering timer: RFC 8985 §6.2 step 5, when its time has come. */
  onReorderTimeout(nowMicros: number): void {
    const { scoreboard, congestion } = this.#sender;
    const before = scoreboard.rate.lostSegments;
    this.#detectByTime(nowMicros);
    const lost = scoreboard.rate.lostSegments - before;
    if (lost === 0) return;
    if (this.state === 'recovery') return;
    this.#beginRecovery(nowMicros);
    if (!congestion.controlsRecovery) this.reduce(1, lost, false);
  }

  /** The path takes smaller segments only: what was lost was lost to that, and is sent again without blame. */
  onSegmentSizeReduced(nowMicros: number): void {
    const { scoreboard, sndNxt } = this.#sender;
    if (!scoreboard.hasLostToSend) return;
    this.forceRetransmit = true;
    if (this.state === 'loss') return;
    this.recoveryPoint = sndNxt;
    this.undo.mayRestore = false;
    this.undo.end();
    this.#enter('loss', nowMicros);
  }

  /** RFC 9937 §6.2, for an acknowledgment that delivered so much. */
  reduce(deliveredSegments: number, lostSegments: number, isAdvance: boolean): void {
    if (deliveredSegments <= 0) return;
    const { scoreboard, congestion, connection } = this.#sender;
    const ssthresh = Math.floor(congestion.ssthreshBytes / connection.segmentBytes);
    const isSafe = isAdvance && lostSegments === 0;
    this.#sender.setCwndSegments(this.prr.window(deliveredSegments, isSafe, scoreboard.pipeSegments, ssthresh));
  }

  /** F-RTO has nothing to find out any more. */
  endForwardRto(): void {
    this.isHeld = false;
    this.#isForwardRto = false;
  }

  /** Segments went out, new ones or again. */
  noteSent(segments: number): void {
    if (this.isReducing) this.prr.sent(segments);
  }

  /** RFC 8985 §7.4: what an acknowledgment says of the tail loss probe. */
  takeProbeAck(found: AckFindings): void {
    const { sndUna } = this.#sender;
    if (!this.isProbing || sequenceLess(sndUna, this.probeEnd)) return;
    if (!this.isProbeRetransmission || found.isProbeReported) {
      this.isProbing = false; // new data, or both copies have arrived: no loss
    } else if (sequenceGreater(sndUna, this.probeEnd)) {
      // More than the probe's end is acknowledged and no duplicate reported: the probe has repaired a loss.
      this.#beginReduction('loss', this.#sender.congestion.cwndBytes, found.nowMicros);
      this.#enter('cwr', found.nowMicros);
      this.#endReduction();
      this.#keepOpen(found.nowMicros);
      this.#sender.counters.fastRecoveries++;
    } else if (!found.isAdvance && !found.isNews && found.sackedSegments === 0) {
      this.isProbing = false; // a duplicate: both copies have arrived
    }
  }

  /** Data was delivered behind data that had been sent after it: the path reorders (RFC 8985 §6.2 step 3). */
  noteReordering(from: number): void {
    const { scoreboard, sndUna, connection, config } = this.#sender;
    const distance = sequenceDifference(scoreboard.highestSacked(sndUna), from);
    if (distance <= 0) return;
    if (distance > this.reordering * connection.segmentBytes) {
      const segments = Math.ceil(distance / connection.segmentBytes);
      this.reordering = Math.min(segments, config.maxReorderingSegments);
    }
    this.reorderingSeen++;
  }

  #enter(state: CongestionState, nowMicros: number): void {
    if (this.state === 'loss' && state !== 'loss' && this.#timeoutStartMicros >= 0) {
      this.timeoutMicros += nowMicros - this.#timeoutStartMicros;
      this.#timeoutStartMicros = -1;
    }
    if (state === 'open') this.#isReneging = false;
    this.state = state;
    this.#sender.congestion.onState(state, this.#sender.pipeBytes, nowMicros);
  }

  /** RFC 2018 §8: what SACK has acknowledged is not there any more, it seems. The next acknowledgments may know better. */
  #awaitReneging(nowMicros: number): void {
    const { connection, rtt } = this.#sender;
    const wait = Math.max(rtt.srttMicros / 2, RENEGING_WAIT_MICROS);
    connection.timers.set(TIMER_RETRANSMIT, nowMicros + wait);
  }

  /** All that was sent before the state began is acknowledged. Returns whether there is nothing more to do. */
  #endsAtPoint(found: AckFindings): boolean {
    const { scoreboard, connection, sndUna } = this.#sender;
    if (this.state === 'cwr') {
      // Held until something beyond is acknowledged, so that CWR has reached the peer.
      if (sndUna === this.recoveryPoint) return false;
      this.#endReduction();
      this.#enter('open', found.nowMicros);
    } else if (this.state === 'recovery') {
      if (!connection.sackEnabled) scoreboard.duplicates = 0;
      if (this.#endRecovery(found)) return true;
      this.#endReduction();
    }
    return false;
  }

  /** Open, disorder, cwr: looks whether a recovery has to begin. */
  #watch(found: AckFindings, duplicates: number): void {
    const { scoreboard, connection } = this.#sender;
    if (!connection.sackEnabled) {
      if (found.isAdvance) scoreboard.duplicates = 0;
      this.#addDuplicates(duplicates, found);
    }
    if (this.state !== 'cwr' && this.state !== 'loss') this.#undoByReports();
    this.#identifyLosses(found);
    if (scoreboard.lostRecords > 0) {
      this.#beginRecovery(found.nowMicros);
      return;
    }
    if (!this.#hasRetransmissions) this.undo.firstRetransmitMicros = -1;
    if (this.state !== 'cwr') this.#keepOpen(found.nowMicros);
  }

  #recover(found: AckFindings, duplicates: number): void {
    const { scoreboard, connection } = this.#sender;
    if (!found.isAdvance) {
      if (!connection.sackEnabled) this.#addDuplicates(duplicates, found);
    } else if (this.#undoPartially(found)) {
      this.isHeld = true;
      return;
    }
    if (this.#undoByReports()) this.#keepOpen(found.nowMicros);
    this.#identifyLosses(found);
    if (this.state !== 'recovery' && scoreboard.lostRecords > 0) this.#beginRecovery(found.nowMicros);
  }

  /** The state after a timeout: RFC 5682 §3.1 (SACK-enhanced F-RTO), then conventional recovery by slow start. */
  #recoverFromTimeout(found: AckFindings, duplicates: number): void {
    const { scoreboard, connection } = this.#sender;
    this.#watchTimeout(found, duplicates);
    this.#identifyLosses(found);
    const isOpen = this.state === 'open';
    if (!isOpen && !found.isRetransmissionLost) return;
    if (isOpen && !connection.sackEnabled && found.isAdvance) scoreboard.duplicates = 0;
    if (scoreboard.lostRecords > 0) this.#beginRecovery(found.nowMicros);
    else this.#keepOpen(found.nowMicros);
  }

  #watchTimeout(found: AckFindings, duplicates: number): void {
    const { scoreboard, connection, sndUna, sndNxt } = this.#sender;
    const isRecovered = sequenceDifference(sndUna, this.recoveryPoint) >= 0;
    if (found.isAdvance && this.#undoTimeout(found, false)) return;
    if (this.#isForwardRto) {
      // Step 3b: data arrives that was never sent again: not everything was lost, so the timeout was spurious.
      if (found.isOriginalDelivered && this.#undoTimeout(found, true)) return;
      if (sequenceGreater(sndNxt, this.recoveryPoint)) {
        if (found.sackedSegments > 0 || duplicates > 0) this.#isForwardRto = false; // step 3a: the loss was real
      } else if (found.isAdvance && !isRecovered) {
        this.recoveryPoint = sndNxt;
        if (this.#sender.maySendNew) {
          this.isHeld = true; // step 2b: new data, to see what is acknowledged then
          return;
        }
        this.#isForwardRto = false;
      }
    }
    if (isRecovered) {
      this.#endRecovery(found);
    } else if (!connection.sackEnabled) {
      if (sequenceGreater(sndNxt, this.recoveryPoint) && duplicates > 0) this.#addDuplicates(duplicates, found);
      else if (found.isAdvance) scoreboard.duplicates = 0;
    }
  }

  #identifyLosses(found: AckFindings): void {
    const { scoreboard, connection, config } = this.#sender;
    if (scoreboard.count === 0) return;
    const before = scoreboard.retransmittedRecords;
    if (!connection.sackEnabled) {
      // RFC 6582 §3.2: the threshold, and each partial acknowledgment, name the next hole.
      const isQuiet = this.state !== 'recovery' && this.state !== 'loss';
      if (isQuiet ? scoreboard.duplicates >= this.reordering : this.state === 'recovery' && found.isAdvance) {
        scoreboard.markHeadLost();
      }
    } else if (!config.rack) {
      scoreboard.markLostBySack(this.reordering);
    } else if (this.rack.hasAdvanced) {
      this.#detectByTime(found.nowMicros);
    }
    if (scoreboard.retransmittedRecords < before) found.isRetransmissionLost = true;
  }

  /** RFC 8985 §6.2 step 5. */
  #detectByTime(nowMicros: number): void {
    const { scoreboard, connection, rtt } = this.#sender;
    this.rack.hasAdvanced = false;
    // Step 4: no window while losses are being repaired, or with DupThresh segments behind a hole, on a path that keeps
    // the order.
    const isRepairing = this.state === 'recovery' || this.state === 'loss';
    const isAggressive = this.reorderingSeen === 0 && (isRepairing || scoreboard.sackedRecords >= this.reordering);
    const minRtt = Number.isFinite(rtt.minMicros) ? rtt.minMicros : 0;
    const wait = this.rack.detect(scoreboard, this.rack.windowMicros(isAggressive, minRtt, rtt.srttMicros), nowMicros);
    if (wait > 0) connection.timers.set(TIMER_REORDER, nowMicros + wait + REORDER_SLACK_MICROS);
    else connection.timers.stop(TIMER_REORDER);
  }

  #beginRecovery(nowMicros: number): void {
    if (blameProbe(this.#sender.connection, nowMicros)) return;
    const { scoreboard, sndUna, counters } = this.#sender;
    if (!this.#hasRetransmissions) this.undo.firstRetransmitMicros = -1;
    const wasReducing = this.isReducing;
    if (!wasReducing) this.undo.mayRestore = true;
    else this.undo.mayRestore = false;
    this.undo.begin(sndUna, scoreboard.retransmittedRecords + (this.isProbing && this.isProbeRetransmission ? 1 : 0));
    counters.fastRecoveries++;
    if (!wasReducing) this.#beginReduction('loss', scoreboard.outstandingBytes, nowMicros);
    this.#enter('recovery', nowMicros);
  }

  #beginReduction(signal: CongestionSignal, inFlightBytes: number, nowMicros: number): void {
    const { congestion, sndNxt } = this.#sender;
    this.recoveryPoint = sndNxt;
    this.isProbing = false;
    this.prr.begin(this.#sender.cwndSegments);
    congestion.onCongestion(signal, inFlightBytes, false, nowMicros);
    this.#sender.cwrPending = true;
  }

  #endReduction(): void {
    const { congestion } = this.#sender;
    if (congestion.controlsRecovery || congestion.ssthreshBytes >= UNLIMITED_SSTHRESH) return;
    if (this.state === 'cwr' || this.undo.isArmed) congestion.cwndBytes = congestion.ssthreshBytes;
  }

  /** A recovery is over. Returns whether the state is to be kept: RFC 6582 §3.2 without SACK. */
  #endRecovery(found: AckFindings): boolean {
    if (this.#mayUndo(found)) this.#restore(false);
    else this.rack.recovered(false);
    if (this.#isHeldAtPoint) return true;
    this.#enter('open', found.nowMicros);
    return false;
  }

  /** Without SACK, duplicates of before could begin a recovery again: hold until something beyond is acknowledged. */
  get #isHeldAtPoint(): boolean {
    const { connection, sndUna } = this.#sender;
    if (connection.sackEnabled || sndUna !== this.recoveryPoint) return false;
    if (!this.#hasRetransmissions) this.undo.firstRetransmitMicros = -1;
    return true;
  }

  get #hasRetransmissions(): boolean {
    const { scoreboard } = this.#sender;
    return scoreboard.retransmittedRecords > 0 || scoreboard.headIsAmbiguous;
  }

  #keepOpen(nowMicros: number): void {
    const state = this.#sender.scoreboard.leftRecords > 0 || this.#hasRetransmissions ? 'disorder' : 'open';
    if (this.state === state) return;
    this.#enter(state, nowMicros);
    this.recoveryPoint = this.#sender.sndNxt;
  }

  #isOriginalAnswered(found: AckFindings): boolean {
    const { connection, sndUna } = this.#sender;
    const isUnknown = !connection.sackEnabled && sequenceDifference(sndUna, this.recoveryPoint) >= 0;
    return this.undo.isOriginalAnswered(found, isUnknown);
  }

  #mayUndo(found: AckFindings): boolean {
    return this.undo.isArmed && (this.undo.allReported || this.#isOriginalAnswered(found));
  }

  /** RFC 4015: the reduction was a mistake. */
  #restore(unmarksLost: boolean): void {
    const { scoreboard, congestion } = this.#sender;
    if (unmarksLost) scoreboard.unmarkLost();
    if (this.undo.mayRestore) {
      congestion.onUndo();
      this.#sender.cwrPending = false;
    }
    this.undo.end();
    this.rack.hasAdvanced = true; // what is in flight is judged anew
  }

  #undoByReports(): boolean {
    if (!this.undo.allReported) return false;
    this.rack.recovered(true);
    this.#restore(false);
    return true;
  }

  /** After a timeout: by timestamps, by reports, or because F-RTO says so. */
  #undoTimeout(found: AckFindings, byForwardRto: boolean): boolean {
    const { connection } = this.#sender;
    if (!byForwardRto && !this.#mayUndo(found)) return false;
    this.#restore(true);
    this.#sender.retries = 0;
    this.#sender.counters.spuriousTimeouts++;
    if (this.#isHeldAtPoint) return true;
    if (byForwardRto || connection.sackEnabled) this.#enter('open', found.nowMicros);
    return true;
  }

  /**
   * RFC 3522: a hole was filled by the original. Returns whether to leave everything as it is, because retransmissions
   * are still under way.
   */
  #undoPartially(found: AckFindings): boolean {
    const { scoreboard } = this.#sender;
    if (!this.undo.isArmed || !this.#isOriginalAnswered(found)) return false;
    this.noteReordering(found.priorUna);
    if (scoreboard.retransmittedRecords > 0) return true;
    if (!this.#hasRetransmissions) this.undo.firstRetransmitMicros = -1;
    this.#restore(true);
    this.#keepOpen(found.nowMicros);
    return false;
  }

  /** Without SACK each duplicate says that a segment has arrived (RFC 5681 §3.2); not more than there can be. */
  #addDuplicates(duplicates: number, found: AckFindings): void {
    const { scoreboard } = this.#sender;
    if (duplicates === 0) return;
    const before = scoreboard.duplicates;
    scoreboard.duplicates += duplicates;
    this.#limitDuplicates(0);
    const delivered = Math.max(0, scoreboard.duplicates - before);
    scoreboard.rate.deliveredSegments += delivered;
    found.deliveredSegments += delivered;
  }

  /** `acked` segments left the scoreboard: one filled the hole, the others are what duplicates stood for. */
  removeDuplicates(acked: number, found: AckFindings): void {
    const { scoreboard } = this.#sender;
    if (scoreboard.duplicates === 0) return;
    // What a duplicate had announced was delivered then.
    const counted = Math.min(acked - 1, scoreboard.duplicates);
    scoreboard.rate.deliveredSegments -= counted;
    found.deliveredSegments -= counted;
    scoreboard.duplicates = Math.max(0, scoreboard.duplicates - Math.max(0, acked - 1));
    this.#limitDuplicates(acked);
  }

  /** More duplicates than segments outstanding: the path reorders. */
  #limitDuplicates(acked: number): void {
    const { scoreboard, config } = this.#sender;
    const holes = Math.min(Math.max(scoreboard.lostRecords, 1), scoreboard.count);
    if (scoreboard.duplicates + holes <= scoreboard.count) return;
    scoreboard.duplicates = Math.max(0, scoreboard.count - holes);
    this.reordering = Math.min(scoreboard.count + acked, config.maxReorderingSegments);
    this.reorderingSeen++;
  }
}
