import type { SocketOptions } from './options.ts';

/** Acknowledgments sent at once when data begins to flow: the sender is in slow start and waits for each. */
const MAX_QUICK_ACKS = 16;
const MIN_QUICK_ACKS = 2;
/** An answer that goes out this often within the delay makes the exchange interactive (tcp_pingpong_thresh). */
const INTERACTIVE_REPLIES = 1;
/** Most wait for a reply that would carry the acknowledgment, if the exchange is not interactive: RFC 1122 §4.2.3.2. */
const MAX_BULK_DELAY_MICROS = 500_000;

/**
 * When to acknowledge what needs no answer at once, as Linux does it: at first every segment, then every second one or
 * after a delay that follows the pace of arrival; and once the application answers what it is sent, as late as the delay
 * allows, for the answer carries the acknowledgment. Made when the first data comes.
 */
export class AckTiming {
  /** The delay, as learnt from the time between segments. */
  atoMicros: number;
  lastDataMicros: number;
  /** Acknowledgments that are still to go out at once. */
  quickAcks = 0;
  /** Replies sent within the delay. */
  replies = 0;
  /** Ends of the peer's writes since the last acknowledgment: 0, 1, or 2 for more. */
  pushes = 0;
  /** Payload of the last segment that was not as long as the longest: two of a size make that the usual size. */
  lastShortBytes = 0;
  readonly #minMicros: number;

  constructor(minMicros: number, windowBytes: number, segmentBytes: number, nowMicros: number) {
    this.#minMicros = minMicros;
    this.atoMicros = minMicros;
    this.lastDataMicros = nowMicros;
    this.quicken(windowBytes, segmentBytes);
  }

  /** Data is answered with data: acknowledgments wait for a ride. */
  get isInteractive(): boolean {
    return this.replies >= INTERACTIVE_REPLIES;
  }

  /** The next acknowledgment is not to wait. */
  get isQuick(): boolean {
    return this.quickAcks > 0 && !this.isInteractive;
  }

  /** A segment with payload was taken, not the first. */
  onData(windowBytes: number, segmentBytes: number, rtoMicros: number, nowMicros: number): void {
    const gapMicros = nowMicros - this.lastDataMicros;
    this.lastDataMicros = nowMicros;
    if (gapMicros <= this.#minMicros / 2) {
      this.atoMicros = this.atoMicros / 2 + this.#minMicros / 2;
    } else if (gapMicros < this.atoMicros) {
      this.atoMicros = Math.min(this.atoMicros / 2 + gapMicros, rtoMicros);
    } else if (gapMicros > rtoMicros) {
      // The sender has paused and starts over with a small window (RFC 5681 §4.1).
      this.quicken(windowBytes, segmentBytes);
    }
  }

  /** A segment that was as long as the peer's segments get, or not; `push` is its flag. */
  onSize(isFull: boolean, isPush: boolean): void {
    if (!isFull) this.pushes = Math.min(2, this.pushes + 1);
    else if (isPush) this.pushes = Math.max(1, this.pushes);
  }

  /** Data of ours has gone out. */
  onReply(nowMicros: number): void {
    if (nowMicros - this.lastDataMicros < this.atoMicros && this.replies < 0xff) this.replies++;
  }

  /** An acknowledgment has gone out, with data or without. */
  onAck(): void {
    this.pushes = 0;
    if (this.quickAcks === 0) return;
    this.quickAcks--;
    if (this.quickAcks === 0) this.atoMicros = this.#minMicros;
  }

  /** Something is wrong on the path (a gap, a duplicate): the sender needs every acknowledgment now. */
  hurry(windowBytes: number, segmentBytes: number): void {
    this.quicken(windowBytes, segmentBytes);
    this.replies = 0;
    this.atoMicros = this.#minMicros;
  }

  quicken(windowBytes: number, segmentBytes: number): void {
    const segments = Math.floor(windowBytes / (2 * Math.max(1, segmentBytes))) || MIN_QUICK_ACKS;
    this.quickAcks = Math.max(this.quickAcks, Math.min(segments, MAX_QUICK_ACKS));
  }

  /** TCP_QUICKACK. */
  setQuick(isQuick: boolean): void {
    this.replies = isQuick ? 0 : INTERACTIVE_REPLIES;
  }

  /** How long an acknowledgment may wait from now. */
  delayMicros(srttMicros: number, options: SocketOptions): number {
    let delay = this.atoMicros;
    if (delay > this.#minMicros) {
      let most = this.isInteractive || this.pushes > 0 ? options.maxDelayedAckMicros : MAX_BULK_DELAY_MICROS;
      // Less than a round trip, for a sender with little in flight waits for each of them.
      if (srttMicros > 0) most = Math.min(most, Math.max(srttMicros, this.#minMicros));
      delay = Math.min(delay, most);
    }
    return Math.min(delay, options.maxDelayedAckMicros);
  }

  /** The delay has passed without a ride. */
  onTimeout(rtoMicros: number): void {
    if (this.isInteractive) {
      this.replies = 0;
      this.atoMicros = this.#minMicros;
    } else {
      this.atoMicros = Math.min(this.atoMicros * 2, rtoMicros);
    }
  }

  /** The application has read all there was: whether the peer, which may wait for that, should hear of it now. */
  get isReadNews(): boolean {
    return this.pushes === 2 || (this.pushes === 1 && !this.isInteractive);
  }
}
