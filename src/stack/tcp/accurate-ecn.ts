import { sequenceGreater, sequenceLessOrEqual } from '../../wire/sequence.ts';
import { KIND_ACCURATE_ECN_1, type TcpOptions } from '../../wire/tcp-options.ts';
import { ECN_CE, ECN_ECT_0, ECN_ECT_1, ECN_NOT_ECT } from '../../wire/traffic-class.ts';
import type { TcpConfig } from './config.ts';
import type { TcpConnection } from './connection.ts';
import type { Ecn } from './ecn.ts';
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

/** RFC 9768 §3.2.1: where the counters begin, so that zero tells of a middlebox. ECEB begins at 0. */
const INITIAL_ACE = 5;
export const INITIAL_ECT_BYTES = 1;

const ACE_MASK = 7;
const COUNTER_BITS = 24;
/** Half of what a 24-bit counter can tell: more sent before the first option was seen, and its wraps are unknown. */
const MAX_BYTES_WITHOUT_OPTION = 2 ** 23 - 1;
/** RFC 9768 §3.2.3.3: an option at least this often. */
const OPTION_EVERY_BYTES = 2 ** 22;

/** RFC 9768 §3.2.2.5.1: marks that call for an acknowledgment, of data and of mere acknowledgments. */
const MARKS_OF_DATA = 2;
const MARKS_OF_ACKS = 3;
/** Marks after which not even the end of a batch can be waited for: at 8 the ACE field wraps. */
const MARKS_AT_ONCE = 6;

/** Where acknowledgments of more segments than this are the rule, losses of acknowledgments are not why. */
const USUAL_SEGMENTS_PER_ACK = 4;
const ACKED_SEGMENTS_WEIGHT = 8;
/** RFC 9768 A.2.2, SAFETY_FACTOR. */
const SAFETY_FACTOR = 2;

/** The IP-ECN codepoint that each counter of an option counts, in the order of kind 172; kind 174 reverses it. */
const COUNTER_CODEPOINTS: readonly number[] = [ECN_ECT_0, ECN_CE, ECN_ECT_1];

/**
 * RFC 9768, both directions of one connection: the receiver's part (when to send what feedback) and the sender's (what
 * the peer's feedback means). What arrived is counted in `Ecn`.
 */
export class AccurateEcn {
  failMode = 0;
  optionSeen: number = OPTION_NOT_SEEN;
  /** What the peer says of our payload (`tcpi_delivered_..._bytes`). */
  deliveredCeBytes = 0;
  deliveredEct0Bytes = 0;
  deliveredEct1Bytes = 0;
  /** How the peer's SYN or SYN-ACK has arrived. */
  synCodepoint: number = ECN_NOT_ECT;
  /** The next pure acknowledgment carries the handshake encoding (§3.2.2.1). */
  reflectsSyn = false;
  /** Payload that the last acknowledgment taken said was marked, or an estimate of it. */
  markedBytes = 0;

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
  /** The segment in hand is the acknowledgment of our SYN-ACK, whose ACE field is no counter. */
  #isThirdAck = false;
  /** The counter that has been the only one to grow (§A.3): bytes of acknowledgments without option are added to it. */
  #growingCodepoint: number = ECN_NOT_ECT;
  /** Segments that an acknowledgment acknowledges, smoothed; 0: none yet. */
  #ackedSegments = 0;
  #timestampSeen = 0;
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
    this.#timestampSeen = segment.options.timestampValue;
    this.#checkFeedback(ace);
    if (segment.options.accurateEcnKind === 0) return;
    this.#noteFirstOption(segment.options);
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
    this.#noteFirstOption(segment.options);
    this.#optionDemand = Math.max(this.#optionDemand, 1);
  }

  /** @returns whether our SYN-ACK has arrived marked. */
  takeThirdAck(segment: Segment, ace: number): boolean {
    const { options } = segment;
    this.#isThirdAck = true;
    this.#timestampSeen = options.timestampValue;
    this.#optionDemand = Math.max(this.#optionDemand, 1);
    if (options.accurateEcnKind !== 0) this.#noteFirstOption(options);
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
  received(connection: TcpConnection, ecn: Ecn, segment: Segment, segments: number): void {
    const { receiver } = connection;
    const { codepoint, payloadBytes } = segment;
    this.#isThirdAck = false;
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
    } else if (codepoint === ECN_CE && segments > 0 && connection.sackEnabled && this.#pendingCe >= MARKS_OF_ACKS) {
      // Without SACK the peer could take it for a duplicate.
      receiver.ackNow = true;
    }
  }

  /**
   * What an acknowledgment says of marks.
   * @param deliveredCe the marks known before.
   * @returns segments newly known to have arrived marked; their payload is in `markedBytes`.
   */
  takeAck(
    connection: TcpConnection,
    segment: Segment,
    deliveredCe: number,
    segments: number,
    bytes: number,
  ): number {
    this.markedBytes = 0;
    // An acknowledgment that tells nothing new may be an old one, with old counters.
    if (!this.#hasNewTimestamp(connection, segment) && segments === 0 && bytes === 0) return 0;
    const bytesBefore = this.deliveredCeBytes;
    const areBytesKnown = this.#takeOption(connection, segment.options, bytes);
    if (segments > 0) {
      const known = this.#ackedSegments;
      this.#ackedSegments = known === 0 ? segments : known + (segments - known) / ACKED_SEGMENTS_WEIGHT;
    }
    if (this.#isThirdAck || connection.sender.sndNxt === ((connection.sender.iss + 1) | 0)) return 0;
    const ace = (segment.flags >>> 6) & ACE_MASK;
    const marked = this.#decode(
      connection,
      (ace - INITIAL_ACE - deliveredCe) & ACE_MASK,
      segments,
      bytes,
      areBytesKnown ? this.deliveredCeBytes - bytesBefore : -1,
    );
    const markedBytes = areBytesKnown ? this.deliveredCeBytes - bytesBefore : marked * connection.segmentBytes;
    this.markedBytes = marked === 0 ? 0 : Math.max(0, markedBytes);
    return marked;
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

  /** The segment is younger than all before it, by its timestamp, so its counters are too. */
  #hasNewTimestamp(connection: TcpConnection, segment: Segment): boolean {
    const { hasTimestamps, timestampValue } = segment.options;
    if (!connection.timestampsEnabled || !hasTimestamps) return false;
    if (((timestampValue - this.#timestampSeen) | 0) <= 0) return false;
    if (sequenceGreater(segment.sequence, connection.receiver.lastAckSent)) return false;
    this.#timestampSeen = timestampValue;
    return true;
  }

  /** §3.2.3.2.1: the first option: a middlebox that zeroes what it does not know shows here. */
  #noteFirstOption(options: TcpOptions): void {
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

  /** Takes the byte counters over. @returns whether by that the growth of the one of marked bytes is known. */
  #takeOption(connection: TcpConnection, options: TcpOptions, bytes: number): boolean {
    if ((this.failMode & OPTION_FAIL_RECEIVE) !== 0) return false;
    if (options.accurateEcnKind === 0) return this.#goWithoutOption(connection, bytes);
    this.#noteFirstOption(options);
    const wasGrowing = this.#growingCodepoint;
    let isKnown = wasGrowing !== ECN_NOT_ECT;
    let isAmbiguous = false;
    let newlyGrowing = ECN_NOT_ECT;
    for (let i = 0; i < options.accurateEcnCount; i++) {
      const codepoint = COUNTER_CODEPOINTS[options.accurateEcnKind === KIND_ACCURATE_ECN_1 ? 2 - i : i]!;
      const growth = this.#takeCounter(codepoint, options.accurateEcnCounters[i]!);
      if (growth < 0) isAmbiguous = true;
      // A counter is a sum: what it says of the marks is exact, whatever the others do. It is below what was known where
      // that was an estimate.
      if (codepoint === ECN_CE) isKnown = growth >= 0;
      if (growth === 0 || codepoint === wasGrowing) continue;
      if (newlyGrowing === ECN_NOT_ECT) newlyGrowing = codepoint;
      else isAmbiguous = true;
    }
    if (newlyGrowing !== ECN_NOT_ECT) this.#growingCodepoint = newlyGrowing;
    if (isAmbiguous) this.#growingCodepoint = ECN_NOT_ECT;
    return isKnown;
  }

  #goWithoutOption(connection: TcpConnection, bytes: number): boolean {
    const { sender } = connection;
    if (this.optionSeen === OPTION_NOT_SEEN) {
      if (sender.nxtOffset + sender.retransmittedBytes >= MAX_BYTES_WITHOUT_OPTION) {
        this.optionSeen = OPTION_FAIL_SEEN;
        this.failMode |= OPTION_FAIL_RECEIVE;
      }
      return false;
    }
    if (this.#growingCodepoint === ECN_NOT_ECT) return false;
    this.#addDelivered(this.#growingCodepoint, bytes);
    return true;
  }

  /** §3.2.3.1, §A.1: the difference, by the sign of 24 bits. */
  #takeCounter(codepoint: number, field: number): number {
    const initial = codepoint === ECN_CE ? 0 : INITIAL_ECT_BYTES;
    const difference = field - initial - this.#delivered(codepoint);
    const growth = (difference << (32 - COUNTER_BITS)) >> (32 - COUNTER_BITS);
    this.#addDelivered(codepoint, growth);
    return growth;
  }

  #delivered(codepoint: number): number {
    if (codepoint === ECN_CE) return this.deliveredCeBytes;
    return codepoint === ECN_ECT_0 ? this.deliveredEct0Bytes : this.deliveredEct1Bytes;
  }

  #addDelivered(codepoint: number, bytes: number): void {
    if (codepoint === ECN_CE) this.deliveredCeBytes += bytes;
    else if (codepoint === ECN_ECT_0) this.deliveredEct0Bytes += bytes;
    else this.deliveredEct1Bytes += bytes;
  }

  /**
   * §3.2.2.5.2, §A.2: how many of the newly acknowledged segments were marked, when all that is known is that number
   * modulo 8 (`least`), and perhaps how many bytes they had (`markedBytes`, else -1).
   */
  #decode(
    connection: TcpConnection,
    least: number,
    segments: number,
    bytes: number,
    markedBytes: number,
  ): number {
    if (segments <= ACE_MASK) return least;
    const most = segments - ((segments - least) & ACE_MASK);
    if (markedBytes < 0) return this.#ackedSegments > USUAL_SEGMENTS_PER_ACK ? least : most;
    if (markedBytes === 0) return least;
    if (markedBytes >= bytes) return most;
    const { state } = connection.sender.recovery;
    if (connection.sackEnabled || state === 'open' || state === 'cwr') {
      // Segments and bytes belong together: the number next to the ratio, of those that ACE allows.
      const likely = (markedBytes * segments) / bytes;
      return Math.min(most, least + 8 * Math.max(0, Math.round((likely - least) / 8)));
    }
    if (markedBytes > least * connection.segmentBytes) return most;
    return markedBytes * SAFETY_FACTOR < most * connection.segmentBytes ? least : most;
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
