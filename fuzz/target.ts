/**
 * What is fuzzed: code that takes bytes from outside. One file of `fuzz/targets/` each, exporting `target`; the bytes to
 * begin with lie in `fuzz/corpus/NAME/`.
 */
export interface FuzzTarget {
  /** The name of its file and of its corpus folder. */
  readonly name: string;
  /**
   * Takes one input. Must not depend on the inputs before it, and must throw for whatever should never happen: an
   * exception out of the code under test, an answer outside of its range, a broken invariant.
   */
  run(bytes: Uint8Array): void;
  /** The longest input worth trying, in bytes (default 2048). */
  readonly maxBytes?: number;
  /** Mutants that `npm test` tries, where the usual number would take long. */
  readonly testMutants?: number;
}

export const DEFAULT_MAX_BYTES = 2048;
