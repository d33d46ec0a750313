import { randomChance, type Random } from '../../src/core/random.ts';

/** Independent losses, or bursts of them: the two-state channel of Gilbert and Elliott (Elliott 1963). */
export interface LossOptions {
  /** Probability that a frame is lost in the good state; default 0. */
  rate?: number;
  /** Probability, a frame, that the channel turns bad; default 0: it never does. */
  badRate?: number;
  /** Probability, a frame, that it turns good again. */
  recoveryRate?: number;
  /** Probability that a frame is lost in the bad state. */
  lossInBad?: number;
}

export class LossModel {
  readonly #options: Required<LossOptions>;
  #isBad = false;

  constructor(options: LossOptions = {}) {
    this.#options = {
      rate: options.rate ?? 0,
      badRate: options.badRate ?? 0,
      recoveryRate: options.recoveryRate ?? 1,
      lossInBad: options.lossInBad ?? 0.5,
    };
  }

  /** Whether the next frame is lost. */
  loses(random: Random): boolean {
    const { rate, badRate, recoveryRate, lossInBad } = this.#options;
    if (badRate > 0) this.#isBad = this.#isBad ? !randomChance(random, recoveryRate) : randomChance(random, badRate);
    return randomChance(random, this.#isBad ? lossInBad : rate);
  }
}
