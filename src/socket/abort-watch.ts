/** One listener on a signal, however many wait for it. */
interface Watch {
  readonly callbacks: Set<() => void>;
  readonly listener: () => void;
}

const watches = new WeakMap<AbortSignal, Watch>();

/**
 * Calls back once when the signal is aborted, unless `unwatchAbort` comes first. For one of many: a signal is given to
 * every send and every socket of a program, and Node takes more than ten listeners on it for a leak.
 */
export function watchAbort(signal: AbortSignal, callback: () => void): void {
  const known = watches.get(signal);
  if (known !== undefined) {
    known.callbacks.add(callback);
    return;
  }
  const callbacks = new Set([callback]);
  const listener = (): void => {
    for (const called of callbacks) called();
    watches.delete(signal);
  };
  watches.set(signal, { callbacks, listener });
  signal.addEventListener('abort', listener, { once: true });
}

/** The last one to go takes the listener along: a signal that outlives the program's sockets holds none of them. */
export function unwatchAbort(signal: AbortSignal, callback: () => void): void {
  const watch = watches.get(signal);
  if (watch === undefined || !watch.callbacks.delete(callback) || watch.callbacks.size > 0) return;
  watches.delete(signal);
  signal.removeEventListener('abort', watch.listener);
}
