import { unwatchAbort, watchAbort } from '../socket/abort-watch.ts';

/** So long without progress, once it has been asked to end, and what is on its way is not waited for any more. */
export const STALL_MS = 1000;

/**
 * From the abort of `signal` on, looks every STALL_MS at `progress` and calls `giveUp`, once, when it has not grown:
 * what is on its way may arrive, but a transfer that stands still does not keep Ctrl-C from ending it.
 * @returns what ends the watch.
 */
export function giveUpWhenStalled(signal: AbortSignal, progress: () => number, giveUp: () => void): () => void {
  let timer: NodeJS.Timeout | null = null;
  const stop = (): void => {
    unwatchAbort(signal, begin);
    if (timer !== null) clearTimeout(timer);
  };
  const begin = (): void => {
    const seen = progress();
    timer = setTimeout(() => {
      if (progress() === seen) giveUp();
      else begin();
    }, STALL_MS);
  };
  if (signal.aborted) begin();
  else watchAbort(signal, begin);
  return stop;
}
