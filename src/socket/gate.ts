import { unwatchAbort, watchAbort } from './abort-watch.ts';

/** Most gates have nobody before them: they share this. */
const NOBODY: readonly (() => void)[] = [];

/**
 * Where code above the stack waits for something to change: readable, writable, accepted. Opening wakes all who wait,
 * once; each looks again at what it waits for, so a wake-up too many does no harm. Callbacks and promises alike.
 */
export class Gate {
  #waiting: readonly (() => void)[] = NOBODY;

  get isAwaited(): boolean {
    return this.#waiting.length > 0;
  }

  /** Calls back at the next opening. */
  once(callback: () => void): void {
    if (this.#waiting === NOBODY) this.#waiting = [callback];
    else (this.#waiting as (() => void)[]).push(callback);
  }

  cancel(callback: () => void): void {
    const index = this.#waiting.indexOf(callback);
    if (index >= 0) (this.#waiting as (() => void)[]).splice(index, 1);
  }

  open(): void {
    if (this.#waiting.length === 0) return;
    const woken = this.#waiting;
    this.#waiting = NOBODY;
    for (const callback of woken) callback();
  }

  /** Resolves at the next opening. Rejects with the signal's reason, at once if it is aborted already. */
  wait(signal?: AbortSignal): Promise<void> {
    if (signal === undefined) return new Promise((resolve) => this.once(resolve));
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const opened = (): void => {
        unwatchAbort(signal, aborted);
        resolve();
      };
      const aborted = (): void => {
        this.cancel(opened);
        reject(signal.reason as Error);
      };
      watchAbort(signal, aborted);
      this.once(opened);
    });
  }
}
