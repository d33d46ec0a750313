import { sequenceLessOrEqual } from '../../wire/sequence.ts';
import type { TcpOptions } from '../../wire/tcp-options.ts';
import { ECN_CE, ECN_ECT_0, ECN_NOT_ECT } from '../../wire/traffic-class.ts';
import type { TcpConfig } from './config.ts';
import type { TcpConnection } from './connection.ts';
import type { Ecn } from './ecn.ts';
import { ACE_MASK, COUNTER_CODEPOINTS, EcnFeedback, INITIAL_ACE } from './ecn-feedback.ts';
import type { Segment } from './segment.ts';

/** `tcpi_accecn_opt_seen` (include/uapi/linux/tcp.h): what came of the peer's AccECN options. */
const OPTION_NOT_SEEN = 0;
const OPTION_EMPTY_SEEN = 1;
const OPTION_COUNTERS_SEEN = 2;
const OPTION_FAIL_SEEN = 3;

/** Bits of `tcpi_accecn_fail_mode`: of the ACE field and of the option, which way does not work. */
const ACE_FAIL_SEND = 1;
const ACE_FAIL_RECEIVE = 2;
const OPTION_FAIL_SEND = 4;
const OPTION_FAIL_RECEIVE = 8;

/** RFC 9768 §3.2.3.3: an option at least this often. */
const OPTION_EVERY_BYTES = 2 ** 22;

/** RFC 9768 §3.2.2.5.1: marks that call for an acknowledgment, of data and of mere acknowledgments. */
const MARKS_OF_DATA = 2;
const MARKS_OF_ACKS = 3;
/** Marks after which not even the end of a batch can be waited for: at 8 the ACE field wraps. */
const MARKS_AT_ONCE = 6;

/**
 * RFC 9768 of one connection: what the handshake has shown, and when to send what feedback. What arrived is counted in
 * `Ecn`, what the peer's feedback means is for `EcnFeedback` to say.
 */
export class AccurateEcn {
  failMode = 0;
  optionSeen: number = OPTION_NOT_SEEN;
  /** How the peer's SYN or SYN-ACK has arrived. */
  synCodepoint: number = ECN_NOT_ECT;
  /** The next pure acknowledgment carries the handshake encoding (§3.2.2.1). */
  reflectsSyn = false;
  /** What the peer says of what we sent. */
  readonly feedback: EcnFeedback = new EcnFeedback();

  /** Marks received since the last segment was sent. */
  #pendingCe = 0;
  #previousCodepoint: number = ECN_NOT_ECT;
  /** Options to be sent even where they are not sent as a rule. */
  #optionDemand = 0;
  /** Counters that must be in the next option: those that have changed. */
  #requiredCounters = 0;
  #optionSentMicros: number = Number.NEGATIVE_INFINITY;
  /** The last segment had an option and reported a duplicate, which began at `#duplicateLeft`. */
  #hasReportedDuplicate = false;
  #duplicateLeft = 0;
  readonly #config: Readonly<TcpConfig>;

  constructor(config: Readonly<TcpConfig>) {
    this.#config = config;
  }

  /** Whether what we send is ECN-capable: nothing on the way seems to damage it. */
  get isCapable(): boolean {
    return (this.failMode & (ACE_FAIL_SEND | ACE_FAIL_RECEIVE)) === 0;
  }

  /** See `Ecn`. */
  get mustAcknowledge(): boolean {
    return this.#pendingCe >= MARKS_AT_ONCE;
  }

  // ---- the handshake ----

  begin(synCodepoint: number, previousCodepoint: number): void {
    this.synCodepoint = synCodepoint;
    this.#previousCodepoint = previousCodepoint;
  }

  /** We had sent the SYN. */
  answersSynAck(segment: Segment, ace: number): void {
    this.reflectsSyn = true;
    this.feedback.begin(segment, -1);
    this.#checkFeedback(ace);
    if (segment.options.accurateEcnKind === 0) return;
    this.noteOption(segment.options);
    this.#optionDemand = 2; // §3.2.3.2.1
  }

  takeRepeatedSyn(codepoint: number, ace: number): void {
    this.synCodepoint = codepoint;
    // §3.1.4.1: the flags may be what is dropped on the way.
    if (ace === 0) this.failMode |= ACE_FAIL_RECEIVE;
  }

  failToSend(): void {
    this.failMode |= ACE_FAIL_SEND;
  }

  takeUnexpectedSyn(segment: Segment): void {
    this.synCodepoint = segment.codepoint;
    this.reflectsSyn = true;
    if (segment.options.accurateEcnKind === 0 || this.optionSeen >= OPTION_COUNTERS_SEEN) return;
    this.noteOption(segment.options);
    this.#optionDemand = Math.max(this.#optionDemand, 1);
  }

  /** @returns whether our SYN-ACK has arrived marked. */
  takeThirdAck(segment: Segment, ace: number): boolean {
    const { options } = segment;
    this.feedback.begin(segment, ace);
    this.#optionDemand = Math.max(this.#optionDemand, 1);
    if (options.accurateEcnKind !== 0) this.noteOption(options);
    if (options.sackCount > 0) return false;
    if (ace === 0) {
      this.failMode |= ACE_FAIL_RECEIVE | OPTION_FAIL_RECEIVE; // table 4, note 1
      return false;
    }
    // Only a pure acknowledgment speaks this encoding; 001, 101 and 111 are not used.
    if (segment.lengthBytes > 0 || ace === 0b001 || ace === 0b101 || ace === 0b111) return false;
    return this.#checkFeedback(ace) && ace === 0b110;
  }

  // ---- what arrives ----

  addPendingCe(segments: number): void {
    this.#pendingCe += segments;
  }

  /** A segment has arrived and is in the counters of `ecn`. */
  received(connection: TcpConnection, ecn: Ecn, segment: Segment): void {
    const { receiver } = connection;
    const { codepoint, payloadBytes } = segment;
    this.feedback.isThirdAck = false;
    if (segment.options.accurateEcnIsOdd) connection.layer.counters.oddAccurateEcnOptions++;
    if (codepoint !== ECN_NOT_ECT && payloadBytes > 0) this.#requireCounter(ecn, codepoint, payloadBytes);
    const isChange = codepoint !== this.#previousCodepoint;
    if (isChange || codepoint === ECN_CE) {
      this.#previousCodepoint = codepoint;
      this.#optionDemand = 2;
    }
    if (payloadBytes > 0) {
      this.#lookForLostOptions(connection, segment);
      // §3.2.2.5.1: change-triggered and increment-triggered ACKs.
      if (isChange || this.#pendingCe >= MARKS_OF_DATA) receiver.ackNow = true;
    } else if (codepoint === ECN_CE && connection.sackEnabled && this.#pendingCe >= MARKS_OF_ACKS) {
      // Without SACK the peer could take it for a duplicate.
      receiver.ackNow = true;
    }
  }

  get hasSeenOption(): boolean {
    return this.optionSeen !== OPTION_NOT_SEEN;
  }

  /** Whether the peer's options are to be read. */
  get readsOptions(): boolean {
    return (this.failMode & OPTION_FAIL_RECEIVE) === 0;
  }

  /** §3.2.3.2.1: the first option: a middlebox that zeroes what it does not know shows here. */
  noteOption(options: TcpOptions): void {
    if (this.optionSeen >= OPTION_COUNTERS_SEEN) return;
    const { accurateEcnCount: count, accurateEcnCounters: counters } = options;
    if (count === 0) {
      this.optionSeen = OPTION_EMPTY_SEEN;
    } else if (counters[0] === 0 || (count > 2 && counters[2] === 0)) {
      this.optionSeen = OPTION_FAIL_SEEN;
      this.failMode |= OPTION_FAIL_RECEIVE;
    } else {
      this.optionSeen = OPTION_COUNTERS_SEEN;
    }
  }

  /** So much was sent without an option that the counters of one could have wrapped. */
  giveUpOptions(): void {
    this.optionSeen = OPTION_FAIL_SEEN;
    this.failMode |= OPTION_FAIL_RECEIVE;
  }

  // ---- what leaves ----

  /** The ACE field of everything but the handshake (§3.2.2.2). */
  ace(receivedCe: number): number {
    return (receivedCe + INITIAL_ACE) & ACE_MASK;
  }

  /** Whether the next segment carries an option, if there is room (§3.2.3.3). */
  wantsOption(connection: TcpConnection, nowMicros: number): boolean {
    const { ecnOption } = this.#config;
    if (ecnOption === 0 || this.optionSeen === OPTION_NOT_SEEN) return false;
    if (ecnOption < 3 && (this.failMode & OPTION_FAIL_SEND) !== 0) return false;
    return ecnOption >= 2 || this.#optionDemand > 0 || this.#isBeaconDue(connection, nowMicros);
  }

  /** Counters that an option must have room for; else it is not sent. */
  get requiredCounters(): number {
    return this.#requiredCounters;
  }

  /** A segment was sent; `isPure` for an acknowledgment alone. */
  sent(isPure: boolean): void {
    this.#pendingCe = 0;
    if (isPure) this.reflectsSyn = false;
    this.#hasReportedDuplicate = false;
  }

  /** It had an option, and perhaps reported a duplicate. */
  optionSent(hasDuplicate: boolean, duplicateLeft: number, nowMicros: number): void {
    this.#requiredCounters = 0;
    this.#optionSentMicros = nowMicros;
    this.#hasReportedDuplicate = hasDuplicate;
    this.#duplicateLeft = duplicateLeft;
    if (this.#optionDemand > 0) this.#optionDemand--;
  }

  /**
   * §3.2.2.3: our SYN and SYN-ACK are not ECN-capable; if the peer has seen anything else, something on the way rewrites
   * the field.
   */
  #checkFeedback(ace: number): boolean {
    if (!this.#config.ecnFallback || ace === 0b010 || ace === 0b101) return true;
    this.failMode |= ACE_FAIL_RECEIVE;
    return false;
  }

  #requireCounter(ecn: Ecn, codepoint: number, payloadBytes: number): void {
    const index = COUNTER_CODEPOINTS.indexOf(codepoint);
    // In the order that we send, kind 174's.
    this.#requiredCounters = Math.max(this.#requiredCounters, COUNTER_CODEPOINTS.length - index);
    const total = receivedBytes(ecn, codepoint);
    if (Math.floor(total / OPTION_EVERY_BYTES) !== Math.floor((total - payloadBytes) / OPTION_EVERY_BYTES)) {
      this.#optionDemand = Math.max(this.#optionDemand, 1);
    }
  }

  /**
   * §3.2.3.2.2: the same data a third time, though an acknowledgment with an option has reported the second: options are
   * what is dropped on the way.
   */
  #lookForLostOptions(connection: TcpConnection, segment: Segment): void {
    if (!this.#hasReportedDuplicate || segment.sequence !== this.#duplicateLeft) return;
    const end = (segment.sequence + segment.payloadBytes) | 0;
    if (sequenceLessOrEqual(end, connection.receiver.rcvNxt)) this.failMode |= OPTION_FAIL_SEND;
  }

  #isBeaconDue(connection: TcpConnection, nowMicros: number): boolean {
    const { ecnOptionBeacon } = this.#config;
    if (ecnOptionBeacon === 0) return false;
    return (nowMicros - this.#optionSentMicros) * ecnOptionBeacon >= connection.sender.rtt.srttMicros;
  }
}

function receivedBytes(ecn: Ecn, codepoint: number): number {
  if (codepoint === ECN_CE) return ecn.receivedCeBytes;
  return codepoint === ECN_ECT_0 ? ecn.receivedEct0Bytes : ecn.receivedEct1Bytes;
}
