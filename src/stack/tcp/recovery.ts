import {
  sequenceDifference,
  sequenceGreater,
  sequenceGreaterOrEqual,
  sequenceLess,
  sequenceLessOrEqual,
} from '../../wire/sequence.ts';
import type { TcpOptions } from '../../wire/tcp-options.ts';
import type { CongestionController } from './congestion/controller.ts';
import type { TcpCounters } from './counters.ts';
import { DUPLICATE_THRESHOLD, type Scoreboard } from './sack.ts';

/** `open`: no loss known; `recovery`: found by acknowledgments; `loss`: the retransmission timer has expired. */
export type RecoveryState = 'open' | 'recovery' | 'loss';

/**
 * Loss detection and the recovery from it: RFC 6675 where the peer sends SACK, RFC 6582 (NewReno) where it does not.
 * Decides which records of the scoreboard are lost and when the congestion controller is told; the sender does the rest.
 */
export class LossRecovery {
  state: RecoveryState = 'open';
  /** RecoveryPoint: SND.NXT when the recovery began. */
  recoveryPoint = 0;
  /** RFC 6675 §5 (4.3): the first retransmission of a recovery does not wait for room in the window. */
  forceRetransmit = false;
  duplicateAcks = 0;
  duplicatesReported = 0;

  readonly #scoreboard: Scoreboard;
  readonly #congestion: CongestionController;
  readonly #counters: TcpCounters;

  constructor(scoreboard: Scoreboard, congestion: CongestionController, counters: TcpCounters) {
    this.#scoreboard = scoreboard;
    this.#congestion = congestion;
    this.#counters = counters;
  }

  /** RFC 6675 §4, pipe. Without SACK each duplicate acknowledgment says that one segment has left the network. */
  pipeBytes(mssBytes: number): number {
    const { pipeBytes, outstandingBytes } = this.#scoreboard;
    if (this.duplicateAcks === 0) return pipeBytes;
    return Math.max(0, pipeBytes - Math.min(this.duplicateAcks * mssBytes, Math.max(0, outstandingBytes - mssBytes)));
  }

  /** Takes the SACK blocks of an acknowledgment into the scoreboard. Returns the bytes newly acknowledged by them. */
  takeSack(options: TcpOptions, sndUna: number, acknowledgment: number, sndNxt: number): number {
    let marked = 0;
    for (let i = 0; i < options.sackCount; i++) {
      const left = options.sackLeft[i]!;
      const right = options.sackRight[i]!;
      if (sequenceLessOrEqual(right, left) || sequenceGreater(right, sndNxt)) continue;
      if (sequenceLess(left, acknowledgment)) {
        if (i === 0) this.duplicatesReported++; // RFC 2883 §4
        continue;
      }
      if (sequenceLess(left, sndUna)) continue;
      marked += this.#scoreboard.markSacked(left, right);
    }
    return marked;
  }

  /** New data was acknowledged, up to `sndUna`; `bytes` of it. */
  onNewAck(sndUna: number, bytes: number, mssBytes: number, hasSack: boolean, nowMicros: number): void {
    if (!hasSack) this.#deflate(bytes, mssBytes);
    if (this.state === 'open') return;
    if (sequenceGreaterOrEqual(sndUna, this.recoveryPoint)) {
      const wasRecovery = this.state === 'recovery';
      this.state = 'open';
      this.duplicateAcks = 0;
      this.forceRetransmit = false;
      if (wasRecovery) this.#congestion.onRecoveryEnd(this.#scoreboard.pipeBytes, nowMicros);
      return;
    }
    if (this.state === 'recovery' && !hasSack) {
      // RFC 6582 §3.2 (3): a partial acknowledgment names the next hole.
      if (this.#scoreboard.markHeadLost() > 0) this.forceRetransmit = true;
    }
  }

  /** RFC 5681 §2: an acknowledgment that is a duplicate. */
  onDuplicateAck(hasSack: boolean): void {
    if (!hasSack && this.#scoreboard.count > 0) this.duplicateAcks++;
  }

  /** After each acknowledgment: looks for losses and begins a recovery if there are any. */
  detect(sndUna: number, sndNxt: number, mssBytes: number, hasSack: boolean, nowMicros: number): void {
    if (hasSack) this.#scoreboard.markLostBySack(mssBytes);
    // RFC 6582 §3.2 (2) wants `sndUna` past the last recovery point; in `loss` it is not, and nothing begins.
    if (this.state !== 'open') return;
    if (!hasSack && this.duplicateAcks >= DUPLICATE_THRESHOLD) this.#scoreboard.markHeadLost();
    if (this.#scoreboard.unsentLostBytes <= 0) return;
    this.state = 'recovery';
    this.recoveryPoint = sndNxt;
    this.forceRetransmit = true;
    this.#counters.fastRecoveries++;
    this.#congestion.onRecoveryStart(sequenceDifference(sndNxt, sndUna), nowMicros);
  }

  /** RFC 6298 §5.4 to 5.6, RFC 6675 §5.1. */
  onTimeout(sndNxt: number, isFirst: boolean, nowMicros: number): void {
    const flightBytes = this.#scoreboard.outstandingBytes;
    this.#scoreboard.markAllLost(this.#scoreboard.headIsSacked);
    this.state = 'loss';
    this.recoveryPoint = sndNxt;
    this.duplicateAcks = 0;
    this.forceRetransmit = true;
    this.#counters.timeouts++;
    this.#congestion.onTimeout(flightBytes, isFirst, nowMicros);
  }

  /** Of the segments that duplicates stood for, those now acknowledged cumulatively are no longer counted twice. */
  #deflate(bytes: number, mssBytes: number): void {
    if (this.state !== 'recovery') {
      this.duplicateAcks = 0;
      return;
    }
    const segments = Math.max(0, Math.ceil(bytes / mssBytes) - 1);
    this.duplicateAcks = Math.max(0, this.duplicateAcks - segments);
  }
}
