import { errnoError } from '../core/errors.ts';
import { Ring } from '../core/ring.ts';
import { unwatchAbort, watchAbort } from './abort-watch.ts';

/** Zero-copy sends of one socket whose completion nobody has asked for yet; one more answers ENOBUFS. */
export const MAX_ZEROCOPY_RECORDS = 65_536;

/** Zero-copy sends `lo` to `hi`, both included, are complete: ee_info and ee_data of MSG_ERRQUEUE. */
export interface CompletionRange {
  readonly lo: number;
  readonly hi: number;
}

interface Pending {
  readonly endOffset: number;
  readonly settle: (errno: number) => void;
}

/**
 * What is still on its way, by stream offset: whose memory may change once the peer has acknowledged up to there and
 * the NIC has let go. Completion is in stream order, so both lists are queues.
 */
export class SendLedger {
  readonly #promises: Ring<Pending> = new Ring(Number.MAX_SAFE_INTEGER);
  readonly #zerocopyEnds: Ring<number> = new Ring(MAX_ZEROCOPY_RECORDS);
  /** Ids, as the kernel's sk_zckey: one for each zero-copy send that took at least one byte. */
  #completedIds = 0;
  #reportedIds = 0;

  /** Room for one more zero-copy send. */
  get hasRoom(): boolean {
    return this.#zerocopyEnds.length < MAX_ZEROCOPY_RECORDS;
  }

  get pendingPromises(): number {
    return this.#promises.length;
  }

  /** A zero-copy send ends at stream offset `endOffset`. */
  recordZerocopy(endOffset: number): void {
    this.#zerocopyEnds.push(endOffset);
  }

  /** Resolves when everything before `endOffset` is complete; rejects with the connection's error if it never is. */
  completed(endOffset: number, where: string, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const aborted = (): void => reject(signal!.reason as Error);
      if (signal !== undefined) watchAbort(signal, aborted);
      const settle = (errno: number): void => {
        if (signal !== undefined) unwatchAbort(signal, aborted);
        if (errno === 0) resolve();
        else reject(errnoError(errno, where, { syscall: 'sendmsg' }));
      };
      this.#promises.push({ endOffset, settle });
    });
  }

  /** The stream is complete up to `completedOffset`. */
  advance(completedOffset: number): void {
    for (let end = this.#zerocopyEnds.peek(); end !== undefined && end <= completedOffset;) {
      this.#zerocopyEnds.shift();
      this.#completedIds++;
      end = this.#zerocopyEnds.peek();
    }
    for (let next = this.#promises.peek(); next !== undefined && next.endOffset <= completedOffset;) {
      this.#promises.shift();
      next.settle(0);
      next = this.#promises.peek();
    }
  }

  /** Nothing more will be acknowledged. As in the kernel, zero-copy sends that were cut off complete none the less. */
  fail(errno: number): void {
    this.#completedIds += this.#zerocopyEnds.length;
    this.#zerocopyEnds.clear();
    for (let next = this.#promises.shift(); next !== undefined; next = this.#promises.shift()) next.settle(errno);
  }

  /** What completed since the last call, as one range (completions come in order); `null`: nothing (EAGAIN). */
  take(): CompletionRange | null {
    if (this.#completedIds === this.#reportedIds) return null;
    const range = { lo: this.#reportedIds >>> 0, hi: (this.#completedIds - 1) >>> 0 };
    this.#reportedIds = this.#completedIds;
    return range;
  }
}
