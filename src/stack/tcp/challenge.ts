import { randomBelow, type Random } from '../../core/random.ts';

const SECOND_MICROS = 1_000_000;
/** When a connection that has sent none sent its last: before all time, and as small a number as takes no memory. */
export const NO_CHALLENGE_MILLIS: number = -(2 ** 31);

/**
 * RFC 5961 §7: how many challenge ACKs all connections together may send in one second. A fixed number could be counted
 * from outside, and an off-path attacker learns from what is missing which sequence numbers were right (CVE-2016-5696).
 * So each second has a number of its own, between half of the limit and one and a half times of it.
 */
export class ChallengeBudget {
  readonly #perSecond: number;
  readonly #random: Random;
  #second = -1;
  #left = 0;

  constructor(perSecond: number, random: Random) {
    this.#perSecond = perSecond;
    this.#random = random;
  }

  /** Takes one. False: this second has none left. */
  take(nowMicros: number): boolean {
    const second = Math.floor(nowMicros / SECOND_MICROS);
    if (second !== this.#second) {
      this.#second = second;
      const half = Math.ceil(this.#perSecond / 2);
      this.#left = half + randomBelow(this.#random, this.#perSecond);
    }
    if (this.#left <= 0) return false;
    this.#left--;
    return true;
  }
}
