import { unwatchAbort, watchAbort } from '../socket/abort-watch.ts';

/**
 * `promise`, or the signal's reason as soon as it is aborted: for what cannot be cancelled, such as a read from a pipe
 * into which nobody writes. What the promise does later is nobody's business any more.
 */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  signal.throwIfAborted();
  let onAbort = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    watchAbort(signal, onAbort);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    unwatchAbort(signal, onAbort);
  }
}
