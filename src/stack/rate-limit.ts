/**
 * A token bucket: `burst` at once, then `perSecond`. For answers that strangers can provoke (RFC 4443 §2.4 f).
 */
export class TokenBucket {
  readonly #perMicro: number;
  readonly #burst: number;
  #tokens: number;
  #lastMicros = 0;

  constructor(perSecond: number, burst: number) {
    this.#perMicro = perSecond / 1_000_000;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** Takes one token. False: none is left. */
  take(nowMicros: number): boolean {
    const grown = this.#tokens + Math.max(0, nowMicros - this.#lastMicros) * this.#perMicro;
    this.#tokens = Math.min(this.#burst, grown);
    this.#lastMicros = nowMicros;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
