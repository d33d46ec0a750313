/** Numbers of include/uapi/linux/errqueue.h and net_tstamp.h. */
const ENOMSG = 42;
export const ORIGIN_TIMESTAMPING = 4;
export const ORIGIN_ZEROCOPY = 5;
export const CODE_ZEROCOPY_COPIED = 1;
export const TIMESTAMP_SENT = 0;
export const TIMESTAMP_SCHEDULED = 1;
export const TIMESTAMP_ACKNOWLEDGED = 2;

/** One message of a socket's error queue (struct sock_extended_err, and when). */
export interface QueuedError {
  errno: number;
  origin: number;
  code: number;
  info: number;
  data: number;
  /** Null: not a timestamp. */
  micros: number | null;
}

interface Mark {
  offset: number;
  key: number;
  isScheduled: boolean;
  isAcknowledged: boolean;
}

/** What a socket learns later of bytes that it has sent: MSG_ZEROCOPY completions and transmit timestamps. */
export class ErrorQueue {
  readonly errors: QueuedError[] = [];
  /** SOF_TIMESTAMPING_...: what is to be reported. */
  reportsScheduled = false;
  reportsSent = false;
  reportsAcknowledged = false;
  /** Stream offset that timestamps count from. */
  timestampBase = 0;
  readonly #marks: Mark[] = [];
  readonly #zeroCopies: { id: number; endOffset: number }[] = [];
  #nextZeroCopy = 0;
  /** Messages ever queued, those joined to others included. */
  messages = 0;

  /** A write with MSG_ZEROCOPY was accepted up to `endOffset`. */
  addZeroCopy(endOffset: number): void {
    this.#zeroCopies.push({ id: this.#nextZeroCopy++, endOffset });
  }

  /** A write whose last byte lies before `endOffset` is to be timestamped. */
  addTimestamp(endOffset: number): void {
    if (!this.reportsScheduled && !this.reportsSent && !this.reportsAcknowledged) return;
    const key = endOffset - 1 - this.timestampBase;
    this.#marks.push({ offset: endOffset, key, isScheduled: false, isAcknowledged: false });
  }

  /** Everything before `completedOffset` may change again. Completions in a row are one message. */
  completed(completedOffset: number): void {
    for (;;) {
      const next = this.#zeroCopies[0];
      if (next === undefined || next.endOffset > completedOffset) return;
      this.#zeroCopies.shift();
      this.messages++;
      const last = this.errors.at(-1);
      if (last?.origin === ORIGIN_ZEROCOPY && last.data + 1 === next.id) {
        last.data = next.id;
      } else {
        const code = CODE_ZEROCOPY_COPIED;
        this.errors.push({ errno: 0, origin: ORIGIN_ZEROCOPY, code, info: next.id, data: next.id, micros: null });
      }
    }
  }

  /** Bytes before `endOffset` were sent. */
  sent(endOffset: number, micros: number): void {
    for (const mark of this.#marks) {
      if (mark.isScheduled || mark.offset > endOffset) continue;
      mark.isScheduled = true;
      if (this.reportsScheduled) this.#timestamp(TIMESTAMP_SCHEDULED, mark.key, micros);
      if (this.reportsSent) this.#timestamp(TIMESTAMP_SENT, mark.key, micros);
    }
  }

  /** Bytes before `endOffset` were acknowledged. */
  acknowledged(endOffset: number, micros: number): void {
    for (const mark of this.#marks) {
      if (mark.isAcknowledged || mark.offset > endOffset) continue;
      mark.isAcknowledged = true;
      if (this.reportsAcknowledged) this.#timestamp(TIMESTAMP_ACKNOWLEDGED, mark.key, micros);
    }
  }

  #timestamp(info: number, data: number, micros: number): void {
    this.messages++;
    this.errors.push({ errno: ENOMSG, origin: ORIGIN_TIMESTAMPING, code: 0, info, data, micros });
  }
}
