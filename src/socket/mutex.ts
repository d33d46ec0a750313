import { unwatchAbort, watchAbort } from './abort-watch.ts';

/** Lets one asynchronous sender at a time onto a stream, in the order in which they came. */
export class Mutex {
  #locked = false;
  readonly #queue: (() => void)[] = [];

  get locked(): boolean {
    return this.#locked;
  }

  /** Resolves when it is the caller's turn: `release()` must follow. Rejects with the signal's reason. */
  acquire(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (!this.#locked) {
      this.#locked = true;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const turn = (): void => {
        if (signal !== undefined) unwatchAbort(signal, aborted);
        resolve();
      };
      const aborted = (): void => {
        this.#queue.splice(this.#queue.indexOf(turn), 1);
        reject(signal!.reason as Error);
      };
      if (signal !== undefined) watchAbort(signal, aborted);
      this.#queue.push(turn);
    });
  }

  release(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#locked = false;
    else next();
  }
}
