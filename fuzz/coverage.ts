import { Session, type Profiler } from 'node:inspector';

/**
 * Which blocks of the project's own code have run, from V8's precise coverage in this process. The profiler is started
 * once: stopped and started again, V8 reports nothing for functions that it has already seen.
 */
export class Coverage {
  readonly #session = new Session();
  readonly #isWatched: (url: string) => boolean;
  readonly #seen = new Set<string>();

  /** @param isWatched says of a module's URL whether its blocks count. */
  constructor(isWatched: (url: string) => boolean) {
    this.#isWatched = isWatched;
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** How much has been seen of what was kept so far: grows with every new way through the code. */
  get size(): number {
    return this.#seen.size;
  }

  /**
   * What has run, or been passed by, since the last call and is not among what was kept. A block that was passed by
   * counts as well: V8 leaves out a block that ran as often as the one around it, so an input that takes a branch
   * which all others have left may show only in what it did not run.
   */
  takeNew(): string[] {
    const found: string[] = [];
    for (const script of this.#scripts()) {
      if (!this.#isWatched(script.url)) continue;
      for (const { ranges } of script.functions) {
        for (const { startOffset, endOffset, count } of ranges) {
          const block = `${script.scriptId}:${startOffset}-${endOffset}${count === 0 ? '-' : '+'}`;
          if (!this.#seen.has(block)) found.push(block);
        }
      }
    }
    return found;
  }

  keep(blocks: readonly string[]): void {
    for (const block of blocks) this.#seen.add(block);
  }

  close(): void {
    this.#session.disconnect();
  }

  #scripts(): Profiler.ScriptCoverage[] {
    let scripts: Profiler.ScriptCoverage[] = [];
    // Within one thread the inspector answers before post() returns.
    this.#session.post('Profiler.takePreciseCoverage', (error, answer) => {
      if (error !== null) throw error;
      scripts = answer.result;
    });
    return scripts;
  }
}
