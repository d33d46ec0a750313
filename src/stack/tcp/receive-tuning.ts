import { sequenceDifference, sequenceLess } from '../../wire/sequence.ts';

/** Round trips shorter than this widen the window more carefully: there, it is not the window that limits. */
const SHORT_RTT_MICROS = 1000;
/** Weight of a new round-trip time: an eighth. */
const RTT_SHARE = 8;

/**
 * How large a receive buffer has to be (dynamic right-sizing, Fisk and Feng 2001, as Linux has it): twice of what the
 * application has read in one round trip, and more while that still grows. The receiver measures the round trip by the
 * timestamps that come back to it, or by how long a window of data takes. Made when the first data comes.
 */
export class ReceiveTuning {
  /** 0: not measured yet. */
  rttMicros = 0;
  /** Read in the last round trip that was more than any before. */
  spaceBytes: number;
  /** Where the reader was when the measurement began. */
  #readSequence: number;
  #readMicros: number;
  #echo = 0;
  /** Without timestamps: the round trip is over when this sequence number has come. */
  #windowSequence: number;
  #windowMicros: number;

  constructor(spaceBytes: number, readSequence: number, windowEdge: number, nowMicros: number) {
    this.spaceBytes = spaceBytes;
    this.#readSequence = readSequence;
    this.#readMicros = nowMicros;
    this.#windowSequence = windowEdge;
    this.#windowMicros = nowMicros;
  }

  /** A full segment brought back a timestamp of ours, sent `ageMicros` ago. */
  onEcho(echo: number, ageMicros: number): void {
    if (echo === this.#echo || ageMicros < 0) return;
    this.#echo = echo;
    this.rttMicros += this.rttMicros === 0 ? Math.max(ageMicros, 1) : (ageMicros - this.rttMicros) / RTT_SHARE;
  }

  /** Data came on a connection without timestamps. The shortest time counts: a slow sender only makes it longer. */
  onData(rcvNxt: number, windowEdge: number, nowMicros: number): void {
    if (sequenceLess(rcvNxt, this.#windowSequence)) return;
    const tookMicros = Math.max(1, nowMicros - this.#windowMicros);
    this.rttMicros = this.rttMicros === 0 ? tookMicros : Math.min(this.rttMicros, tookMicros);
    this.#windowSequence = windowEdge;
    this.#windowMicros = nowMicros;
  }

  /**
   * The application has read up to `readSequence`; `unreadBytes` lie behind it, of `aheadBytes` the first are missing.
   * @returns the buffer that this asks for, or 0 for no change.
   */
  onRead(readSequence: number, unreadBytes: number, aheadBytes: number, nowMicros: number): number {
    if (this.rttMicros === 0 || nowMicros - this.#readMicros < this.rttMicros) return 0;
    const bytes = sequenceDifference(readSequence, this.#readSequence) - unreadBytes;
    this.#readSequence = readSequence;
    this.#readMicros = nowMicros;
    if (bytes <= this.spaceBytes) return 0;
    const before = this.spaceBytes;
    this.spaceBytes = bytes;
    return this.#wantedBytes(before, aheadBytes);
  }

  /** Data lies out of order: what is missing needs its room beside it. */
  onGap(aheadBytes: number): number {
    return this.#wantedBytes(this.spaceBytes, aheadBytes);
  }

  #wantedBytes(before: number, aheadBytes: number): number {
    // What is read now was sent a round trip ago: the window has to be ahead by one.
    const windowBytes = 2 * this.spaceBytes;
    const isShort = this.rttMicros < SHORT_RTT_MICROS;
    const growthBytes = isShort
      ? (windowBytes * this.rttMicros) / SHORT_RTT_MICROS
      : (2 * windowBytes * (this.spaceBytes - before)) / before; // a sender in slow start doubles
    return Math.floor(windowBytes + growthBytes + aheadBytes);
  }
}
