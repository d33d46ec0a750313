import type { Libc } from './libc.ts';

/** What koffi's poll handle really is: its own typings leave the status argument of the callback out (3.3.4). */
interface PollHandle {
  start(options: PollOptions, callback: PollCallback): void;
  stop(): void;
  close(): void;
}
interface PollOptions {
  readable: boolean;
  writable: boolean;
}
type PollCallback = (status: number) => void;
type PollFunction = (fd: number, options: PollOptions, callback: PollCallback) => PollHandle;

/**
 * Waits, in Node's event loop, for a file descriptor to become readable or writable. While it waits the process stays
 * alive; otherwise it holds nothing.
 *
 * koffi's handle (uv_poll_t) aborts the process for a descriptor that is closed, that is no socket, pipe or device, or
 * that is polled already, and it stops silently when garbage collected: so the owner of the descriptor has exactly one
 * waiter for it, keeps it, and closes it before the descriptor.
 */
export class FdWaiter {
  readonly #libc: Libc;
  readonly #fd: number;
  #handle: PollHandle | null = null;
  #waiting = false;
  #onReady: (() => void) | null = null;
  readonly #callback: PollCallback = () => this.#ready();

  constructor(libc: Libc, fd: number) {
    this.#libc = libc;
    this.#fd = fd;
  }

  /**
   * Calls `onReady` once, from the event loop, when the descriptor is readable, or writable if that is asked for too,
   * or in an error state.
   */
  arm(writable: boolean, onReady: () => void): void {
    this.#onReady = onReady;
    this.#waiting = true;
    const options = { readable: true, writable };
    if (this.#handle === null) {
      const poll = this.#libc.koffi.node.poll as unknown as PollFunction;
      this.#handle = poll(this.#fd, options, this.#callback);
    } else {
      this.#handle.start(options, this.#callback);
    }
  }

  disarm(): void {
    if (!this.#waiting) return;
    this.#waiting = false;
    this.#onReady = null;
    this.#handle!.stop();
  }

  /** Before the descriptor is closed. Idempotent; no other call may follow. */
  close(): void {
    this.disarm();
    this.#handle?.close();
    this.#handle = null;
  }

  #ready(): void {
    const onReady = this.#onReady;
    this.disarm();
    onReady?.();
  }
}
