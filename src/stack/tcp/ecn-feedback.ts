import { sequenceGreater } from '../../wire/sequence.ts';
import { TCP_ACE, TCP_ACE_SHIFT } from '../../wire/tcp.ts';
import { KIND_ACCURATE_ECN_1, type TcpOptions } from '../../wire/tcp-options.ts';
import { ECN_CE, ECN_ECT_0, ECN_ECT_1, ECN_NOT_ECT } from '../../wire/traffic-class.ts';
import type { AccurateEcn } from './accurate-ecn.ts';
import type { TcpConnection } from './connection.ts';
import type { Segment } from './segment.ts';

/** RFC 9768 §3.2.1: where the counters begin, so that zero tells of a middlebox. ECEB begins at 0. */
export const INITIAL_ACE = 5;
export const INITIAL_ECT_BYTES = 1;

export const ACE_MASK = 7;
const COUNTER_BITS = 24;
/** Half of what a 24-bit counter can tell: more sent before the first option was seen, and its wraps are unknown. */
const MAX_BYTES_WITHOUT_OPTION = 2 ** 23 - 1;

/** Where acknowledgments of more segments than this are the rule, losses of acknowledgments are not why. */
const USUAL_SEGMENTS_PER_ACK = 4;
const ACKED_SEGMENTS_WEIGHT = 8;
/** RFC 9768 A.2.2, SAFETY_FACTOR. */
const SAFETY_FACTOR = 2;

/** The IP-ECN codepoint that each counter of an option counts, in the order of kind 172; kind 174 reverses it. */
export const COUNTER_CODEPOINTS: readonly number[] = [ECN_ECT_0, ECN_CE, ECN_ECT_1];

/** What the peer's ACE fields and AccECN options say about what we sent (RFC 9768 §3.2.2.5.2, §3.2.3.1, appendix A). */
export class EcnFeedback {
  /** `tcpi_delivered_..._bytes`. */
  deliveredCeBytes = 0;
  deliveredEct0Bytes = 0;
  deliveredEct1Bytes = 0;
  /** Payload that the last acknowledgment taken said was marked, or an estimate of it. */
  markedBytes = 0;
  /** The segment in hand is the acknowledgment of our SYN-ACK, whose ACE field is no counter. */
  isThirdAck = false;

  /** That field, or -1 where it was ours to acknowledge. */
  #thirdAce = -1;
  /** The counter that has been the only one to grow (§A.3): bytes of acknowledgments without option are added to it. */
  #growingCodepoint: number = ECN_NOT_ECT;
  /** Segments that an acknowledgment acknowledges, smoothed; 0: none yet. */
  #ackedSegments = 0;
  #timestampSeen = 0;

  /** The handshake ends with this segment. @param thirdAce see above. */
  begin(segment: Segment, thirdAce: number): void {
    this.#timestampSeen = segment.options.timestampValue;
    this.#thirdAce = thirdAce;
    this.isThirdAck = thirdAce >= 0;
  }

  /**
   * What an acknowledgment says of marks.
   * @param deliveredCe the marks known before.
   * @returns segments newly known to have arrived marked; their payload is in `markedBytes`.
   */
  take(
    connection: TcpConnection,
    accurate: AccurateEcn,
    segment: Segment,
    deliveredCe: number,
    segments: number,
    bytes: number,
  ): number {
    this.markedBytes = 0;
    // An acknowledgment that tells nothing new may be an old one, with old counters.
    if (!this.#hasNewTimestamp(connection, segment) && segments === 0 && bytes === 0) return 0;
    const bytesBefore = this.deliveredCeBytes;
    const areBytesKnown = this.#takeOption(connection, accurate, segment.options, bytes);
    if (segments > 0) {
      const known = this.#ackedSegments;
      this.#ackedSegments = known === 0 ? segments : known + (segments - known) / ACKED_SEGMENTS_WEIGHT;
    }
    const ace = (segment.flags & TCP_ACE) >>> TCP_ACE_SHIFT;
    if (this.isThirdAck || this.#isThirdAckAgain(connection, ace)) return 0;
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

  /** Sent twice, or once for each SYN-ACK, it may arrive late; that it is none of those shows only once we have sent. */
  #isThirdAckAgain({ sender }: TcpConnection, ace: number): boolean {
    return ace === this.#thirdAce && sender.sndNxt === ((sender.iss + 1) | 0);
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

  /** Takes the byte counters over. @returns whether by that the growth of the one of marked bytes is known. */
  #takeOption(connection: TcpConnection, accurate: AccurateEcn, options: TcpOptions, bytes: number): boolean {
    if (!accurate.readsOptions) return false;
    if (options.accurateEcnKind === 0) return this.#goWithoutOption(connection, accurate, bytes);
    accurate.noteOption(options);
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

  #goWithoutOption(connection: TcpConnection, accurate: AccurateEcn, bytes: number): boolean {
    const { sender } = connection;
    if (!accurate.hasSeenOption) {
      if (sender.nxtOffset + sender.retransmittedBytes >= MAX_BYTES_WITHOUT_OPTION) accurate.giveUpOptions();
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
  #decode(connection: TcpConnection, least: number, segments: number, bytes: number, markedBytes: number): number {
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
}
