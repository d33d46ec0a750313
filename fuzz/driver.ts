import type { Random } from '../src/core/random.ts';
import { Coverage } from './coverage.ts';
import { mutate } from './mutate.ts';
import { DEFAULT_MAX_BYTES, type FuzzTarget } from './target.ts';

/** Inputs run between two looks at the coverage: asking costs as much as running a few hundred inputs. */
const BATCH_INPUTS = 128;
/** Inputs kept in memory because they reached something new. */
const MAX_CORPUS_INPUTS = 20_000;

export interface Finding {
  bytes: Uint8Array;
  error: unknown;
}

export interface FuzzProgress {
  executions: number;
  blocks: number;
  corpusInputs: number;
}

export interface DriverOptions {
  target: FuzzTarget;
  corpus: readonly Uint8Array[];
  random: Random;
  /** Called with each input before it runs, so that one that never ends can be named. */
  onInput?: (bytes: Uint8Array) => void;
  /** Which modules' coverage guides, by URL; all of `src/` by default. */
  isWatched?: (url: string) => boolean;
}

/**
 * Coverage-guided fuzzing of one target: mutates inputs of the corpus, and adds to the corpus what reached code that
 * nothing before it has reached.
 */
export class FuzzDriver {
  readonly #target: FuzzTarget;
  readonly #random: Random;
  readonly #onInput: ((bytes: Uint8Array) => void) | undefined;
  readonly #coverage: Coverage;
  readonly #corpus: Uint8Array[];
  #executions = 0;

  constructor(options: DriverOptions) {
    this.#target = options.target;
    this.#random = options.random;
    this.#onInput = options.onInput;
    this.#coverage = new Coverage(options.isWatched ?? ((url) => url.includes('/src/')));
    this.#corpus = options.corpus.length > 0 ? [...options.corpus] : [new Uint8Array(64)];
  }

  get progress(): FuzzProgress {
    return { executions: this.#executions, blocks: this.#coverage.size, corpusInputs: this.#corpus.length };
  }

  /** Inputs of the corpus that were found on the way, after the given ones. */
  found(given: number): readonly Uint8Array[] {
    return this.#corpus.slice(given);
  }

  /** Runs the corpus as it is. The first input that fails, or null. */
  replayCorpus(): Finding | null {
    for (const bytes of this.#corpus) {
      const finding = this.#execute(bytes);
      if (finding !== null) return finding;
    }
    this.#coverage.keep(this.#coverage.takeNew());
    return null;
  }

  /** Runs one batch of mutants. The first that fails, or null. */
  step(): Finding | null {
    const maxBytes = this.#target.maxBytes ?? DEFAULT_MAX_BYTES;
    const batch: Uint8Array[] = [];
    for (let i = 0; i < BATCH_INPUTS; i++) {
      const bytes = mutate(this.#random, this.#corpus, maxBytes);
      batch.push(bytes);
      const finding = this.#execute(bytes);
      if (finding !== null) return finding;
    }
    const news = this.#coverage.takeNew();
    if (news.length > 0) {
      this.#sift(batch);
      // Code that runs once only (a lazily filled table) has no single input to blame: do not look for it again.
      this.#coverage.keep(news);
    }
    return null;
  }

  close(): void {
    this.#coverage.close();
  }

  /** Runs a batch again one by one, to keep the inputs that the news came from. */
  #sift(batch: readonly Uint8Array[]): void {
    for (const bytes of batch) {
      this.#execute(bytes);
      const news = this.#coverage.takeNew();
      if (news.length === 0) continue;
      this.#coverage.keep(news);
      if (this.#corpus.length < MAX_CORPUS_INPUTS) this.#corpus.push(bytes);
    }
  }

  #execute(bytes: Uint8Array): Finding | null {
    this.#executions++;
    this.#onInput?.(bytes);
    try {
      // A copy: a target that writes into its input must not change what is reported or kept.
      this.#target.run(Uint8Array.from(bytes));
      return null;
    } catch (error) {
      return { bytes, error };
    }
  }
}
