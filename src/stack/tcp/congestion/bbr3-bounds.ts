import type { BbrModel } from './bbr-model.ts';
import type { AckSample } from './controller.ts';

/** BBR.Beta: no reaction to loss is stronger than CUBIC's. */
export const BETA = 0.7;

/**
 * What congestion has taught BBR version 3 (draft-ietf-ccwg-bbr): how much in flight the path has borne in the long run,
 * and what rate and flight it bore of late. Infinite: no limit is known.
 */
export class Bbr3Bounds {
  /** BBR.bw_shortterm, BBR.inflight_shortterm, BBR.inflight_longterm. */
  shortBytesPerSecond: number = Number.POSITIVE_INFINITY;
  shortInflightBytes: number = Number.POSITIVE_INFINITY;
  longInflightBytes: number = Number.POSITIVE_INFINITY;
  /** BBR.inflight_latest: the most delivered in a round trip, in this round. */
  latestInflightBytes = 0;
  isLossInRound = false;
  /** This acknowledgment ends a round for the purposes of loss. */
  isRoundStart = false;
  /** Acknowledgments in this round that told of losses. */
  lossEvents = 0;

  #latestBytesPerSecond = 0;
  #roundEndBytes = 0;
  #undoShortRate: number = Number.POSITIVE_INFINITY;
  #undoShortInflight: number = Number.POSITIVE_INFINITY;
  #undoLongInflight: number = Number.POSITIVE_INFINITY;

  /** Near the beginning of an acknowledgment ("Updating the Model Upon Packet Loss", UpdateLatestDeliverySignals). */
  begin(sample: AckSample, model: BbrModel): void {
    this.isRoundStart = false;
    if (sample.priorDeliveredBytes < 0) return;
    this.#latestBytesPerSecond = Math.max(this.#latestBytesPerSecond, model.sampleBytesPerSecond);
    this.latestInflightBytes = Math.max(
      this.latestInflightBytes,
      sample.totalDeliveredBytes - sample.priorDeliveredBytes,
    );
    if (sample.priorDeliveredBytes < this.#roundEndBytes) return;
    this.#roundEndBytes = sample.totalDeliveredBytes;
    this.isRoundStart = true;
  }

  /** Near its end (AdvanceLatestDeliverySignals). */
  end(sample: AckSample, model: BbrModel): void {
    if (!this.isRoundStart) return;
    this.#latestBytesPerSecond = model.sampleBytesPerSecond;
    this.latestInflightBytes = sample.totalDeliveredBytes - sample.priorDeliveredBytes;
    this.lossEvents = 0;
  }

  /** Something was lost, or marked (NoteLoss). */
  noteLoss(totalDeliveredBytes: number): void {
    if (!this.isLossInRound) this.#roundEndBytes = totalDeliveredBytes;
    this.isLossInRound = true;
  }

  /** At the end of a round that saw losses, while not asking for more (AdaptLowerBoundsFromCongestion). */
  adapt(model: BbrModel, cwndBytes: number): void {
    const rate = Math.min(this.shortBytesPerSecond, model.bytesPerSecond);
    const inflight = this.shortInflightBytes === Number.POSITIVE_INFINITY ? cwndBytes : this.shortInflightBytes;
    this.shortBytesPerSecond = Math.max(this.#latestBytesPerSecond, BETA * rate);
    this.shortInflightBytes = Math.max(this.latestInflightBytes, BETA * inflight);
  }

  /** A cycle begins (ResetCongestionSignals). */
  restart(): void {
    this.isLossInRound = false;
    this.#latestBytesPerSecond = 0;
    this.latestInflightBytes = 0;
  }

  /** What was learnt of late no longer holds (ResetShortTermModel). */
  forgetShort(): void {
    this.shortBytesPerSecond = Number.POSITIVE_INFINITY;
    this.shortInflightBytes = Number.POSITIVE_INFINITY;
  }

  /** A congestion event begins that may turn out to be none (SaveStateUponLoss). */
  save(): void {
    this.#undoShortRate = this.shortBytesPerSecond;
    this.#undoShortInflight = this.shortInflightBytes;
    this.#undoLongInflight = this.longInflightBytes;
  }

  /** It was none (HandleSpuriousLossDetection). */
  undo(): void {
    this.isLossInRound = false;
    this.shortBytesPerSecond = Math.max(this.shortBytesPerSecond, this.#undoShortRate);
    this.shortInflightBytes = Math.max(this.shortInflightBytes, this.#undoShortInflight);
    this.longInflightBytes = Math.max(this.longInflightBytes, this.#undoLongInflight);
  }
}
