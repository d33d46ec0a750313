/** Buckets a doubling: a percentile is exact to 4.4 %. */
const BUCKETS_PER_OCTAVE = 16;
const BUCKETS: number = 40 * BUCKETS_PER_OCTAVE;

/** Times, counted in buckets whose width grows with the value. */
export class Histogram {
  count = 0;
  sum = 0;
  max = 0;
  readonly #buckets = new Uint32Array(BUCKETS);

  add(value: number): void {
    this.count++;
    this.sum += value;
    if (value > this.max) this.max = value;
    const index = value < 1 ? 0 : 1 + Math.floor(Math.log2(value) * BUCKETS_PER_OCTAVE);
    this.#buckets[Math.min(index, BUCKETS - 1)]!++;
  }

  get mean(): number {
    return this.count === 0 ? 0 : this.sum / this.count;
  }

  /** The value that `part` (0 to 1) of all are not above. */
  percentile(part: number): number {
    let left = Math.ceil(this.count * part);
    for (let index = 0; index < BUCKETS; index++) {
      left -= this.#buckets[index]!;
      if (left <= 0) return index === 0 ? 0 : Math.min(this.max, 2 ** (index / BUCKETS_PER_OCTAVE));
    }
    return this.max;
  }
}
