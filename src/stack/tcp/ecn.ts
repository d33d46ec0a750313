import { TCP_ACE, TCP_ACE_SHIFT, TCP_AE, TCP_CWR, TCP_ECE } from '../../wire/tcp.ts';
import { ECN_CE, ECN_ECT_0, ECN_ECT_1, ECN_NOT_ECT } from '../../wire/traffic-class.ts';
import { AccurateEcn } from './accurate-ecn.ts';
import type { TcpConfig } from './config.ts';
import type { TcpConnection } from './connection.ts';
import type { Segment } from './segment.ts';

/** Which feedback both ends have agreed on, as `tcpi_ecn_mode` says it. A connection without ECN has no `Ecn` at all. */
const ECN_CLASSIC = 1;
const ECN_ACCURATE = 2;
/** Our SYN asked for AccECN; the answer decides. */
const ECN_PENDING = 3;

/** The ACE field of a SYN: as a number AE CWR ECE. */
const ACE_ASKS_CLASSIC = 0b011;
/** Transmissions of our SYN or SYN-ACK beyond the first that still carry the flags of AccECN (RFC 9768 §3.1.4). */
const ACCURATE_SYN_REPEATS = 1;

/**
 * RFC 9768 §3.1.1, table 2, and §3.2.2.1, table 3: the ACE field that says with which IP-ECN codepoint (the index) a
 * SYN or a SYN-ACK has arrived.
 */
const HANDSHAKE_ACE: readonly number[] = [0b010, 0b011, 0b100, 0b110];

/** ECN of one connection: RFC 3168, or RFC 9768 behind `accurate`. Made when it is asked for or negotiated. */
export class Ecn {
  mode: number;
  /** RFC 9768's counters, once that was agreed on. */
  accurate: AccurateEcn | null = null;
  /** Segments that the peer has received marked, as far as it told (`tcpi_delivered_ce`). */
  deliveredCe = 0;
  /** Something ECN-capable has arrived (TCPI_OPT_ECN_SEEN). */
  isSeen = false;
  receivedCe = 0;
  receivedCeBytes = 0;
  receivedEct0Bytes = 0;
  receivedEct1Bytes = 0;
  /** RFC 3168 §6.1.3: every segment says ECE until the peer says CWR. */
  #echoes = false;
  #synAcksSent = 0;
  readonly #config: Readonly<TcpConfig>;

  constructor(mode: number, config: Readonly<TcpConfig>) {
    this.mode = mode;
    this.#config = config;
    if (mode === ECN_ACCURATE) this.accurate = new AccurateEcn(config);
  }

  /** The next pure acknowledgment says how the peer's SYN or SYN-ACK has arrived, and goes before any data. */
  get reflectsSyn(): boolean {
    return this.accurate !== null && this.accurate.reflectsSyn;
  }

  // ---- the handshake ----

  /** Flags of our SYN, which was sent `repeats` times before. */
  synFlags(repeats: number): number {
    const isAccurate = this.mode === ECN_PENDING;
    // RFC 3168 §6.1.1.1, RFC 9768 §3.1.4.1: something on the way may drop SYNs that ask.
    if (this.#config.ecnFallback && repeats > (isAccurate ? ACCURATE_SYN_REPEATS : 0)) return 0;
    return isAccurate ? TCP_ACE : TCP_CWR | TCP_ECE;
  }

  /** Flags of our SYN-ACK after `timeouts` retransmission timeouts. */
  synAckFlags(timeouts: number): number {
    if (timeouts > ACCURATE_SYN_REPEATS) return 0; // RFC 9768 §3.1.4.2
    if (this.accurate !== null) return handshakeFlags(this.accurate.synCodepoint);
    return this.mode === ECN_CLASSIC ? TCP_ECE : 0;
  }

  /** Whether our SYN-ACK carries an AccECN option: the first one (RFC 9768 §3.2.3.2.1). */
  get synAckHasOption(): boolean {
    return this.accurate !== null && this.#synAcksSent === 0 && this.#config.ecnOption > 0;
  }

  /**
   * The answer to our SYN (RFC 9768 §3.1.1, table 2; RFC 3168 §6.1.1).
   * @returns false: it is a connection without ECN.
   */
  takeSynAck(segment: Segment): boolean {
    const ace = aceOf(segment.flags);
    if (this.mode === ECN_CLASSIC) return (segment.flags & (TCP_ECE | TCP_CWR)) === TCP_ECE;
    switch (ace) {
      case 0b000:
      case 0b111: // a peer that reflects whatever flags it gets (RFC 3168 §6.1.1)
        return false;
      case 0b001:
        this.mode = ECN_CLASSIC;
        return true;
      default:
        this.mode = ECN_ACCURATE;
        this.accurate = new AccurateEcn(this.#config);
        this.accurate.begin(segment.codepoint, ECN_NOT_ECT);
        this.accurate.answersSynAck(segment, ace);
        if (segment.codepoint === ECN_CE) this.#countCe(1);
        return true;
    }
  }

  /** Both sides open at once: the peer's SYN. @returns false: it is a connection without ECN. */
  takeCrossedSyn(segment: Segment): boolean {
    const ace = aceOf(segment.flags);
    if (this.mode === ECN_PENDING && asksForAccurate(ace)) {
      this.mode = ECN_ACCURATE;
      this.accurate = new AccurateEcn(this.#config);
      this.accurate.begin(segment.codepoint, segment.codepoint);
      return true;
    }
    this.mode = ECN_CLASSIC;
    return (ace & ACE_ASKS_CLASSIC) === ACE_ASKS_CLASSIC;
  }

  /** The peer's SYN again, while ours is not acknowledged. */
  takeRepeatedSyn(segment: Segment): void {
    this.accurate?.takeRepeatedSyn(segment.codepoint, aceOf(segment.flags));
  }

  synAckSent(): void {
    this.#synAcksSent++;
    // RFC 9768 §3.1.4.2: our ECN may be what is dropped on the way.
    if (this.#synAcksSent > 1 + ACCURATE_SYN_REPEATS) this.accurate?.failToSend();
  }

  /** A SYN or SYN-ACK on an established connection: the challenge ACK says how it has arrived. */
  takeUnexpectedSyn(segment: Segment): void {
    this.accurate?.takeUnexpectedSyn(segment);
  }

  /** The acknowledgment of our SYN-ACK (RFC 9768 §3.2.2.1, table 4). */
  takeThirdAck(segment: Segment): void {
    if (this.accurate?.takeThirdAck(segment, aceOf(segment.flags)) === true) this.deliveredCe = 1;
  }

  // ---- what arrives ----

  /** Every acceptable segment passes here, before its acknowledgment is looked at. */
  received(connection: TcpConnection, segment: Segment, segments: number): void {
    const { receiver } = connection;
    const { codepoint, payloadBytes } = segment;
    this.#count(codepoint, payloadBytes, segments);
    if (this.accurate !== null) {
      this.accurate.received(connection, this, segment);
      return;
    }
    if ((segment.flags & TCP_CWR) !== 0) {
      this.#echoes = false;
      if (segment.lengthBytes > 0) receiver.ackNow = true; // the peer's window may be as small as one segment
    }
    if (payloadBytes === 0) return;
    if (codepoint === ECN_CE && !this.#echoes) {
      this.#echoes = true;
      receiver.ackNow = true;
    } else if (codepoint === ECN_NOT_ECT && this.isSeen) {
      receiver.ackNow = true; // most likely a retransmission: the peer waits
    }
    if (codepoint !== ECN_NOT_ECT) this.isSeen = true;
  }

  /**
   * What an acknowledgment says about congestion. To be called when the scoreboard has taken it in, before the
   * controller hears of it.
   * @param segments newly acknowledged or selectively acknowledged, with `bytes` of sequence space.
   * @param hadInFlight whether anything was unacknowledged before.
   */
  takeAck(
    connection: TcpConnection,
    segment: Segment,
    segments: number,
    bytes: number,
    hadInFlight: boolean,
    nowMicros: number,
  ): void {
    const { sender } = connection;
    if (this.accurate !== null) {
      const { feedback } = this.accurate;
      const marked = feedback.take(connection, this.accurate, segment, this.deliveredCe, segments, bytes);
      if (marked === 0) return;
      this.deliveredCe += marked;
      sender.markedBytes += feedback.markedBytes;
    } else {
      if ((segment.flags & TCP_ECE) === 0) return;
      this.deliveredCe += segments;
      sender.markedBytes += bytes;
    }
    if (hadInFlight) sender.ecnEcho(nowMicros);
  }

  /** So many marks wait that an acknowledgment must go out before anything else arrives. */
  get mustAcknowledge(): boolean {
    return this.accurate !== null && this.accurate.mustAcknowledge;
  }

  // ---- what leaves ----

  /** The IP-ECN codepoint of a segment; `isNew` for one with payload that was never sent before. */
  codepoint(isNew: boolean): number {
    if (this.accurate !== null) return this.accurate.isCapable ? ECN_ECT_0 : ECN_NOT_ECT;
    // RFC 3168 §6.1.4 to 6.1.6: neither acknowledgments nor retransmissions nor probes.
    return isNew ? ECN_ECT_0 : ECN_NOT_ECT;
  }

  /** The bits AE, CWR and ECE of a segment. */
  flags(connection: TcpConnection, isNew: boolean, isPure: boolean): number {
    if (this.accurate !== null) {
      // Like Linux's, our TIME-WAIT remembers no counters: nobody sends data any more who could care.
      if (connection.state === 'TIME-WAIT' && connection.isClosedByApplication) return 0;
      if (isPure && this.accurate.reflectsSyn) return handshakeFlags(this.accurate.synCodepoint);
      return aceFlags(this.accurate.ace(this.receivedCe));
    }
    const echo = this.#echoes ? TCP_ECE : 0;
    return isNew && connection.sender.cwrPending ? echo | TCP_CWR : echo; // RFC 3168 §6.1.2
  }

  /** A segment with these flags was sent. */
  sent(connection: TcpConnection, flags: number, isPure: boolean): void {
    if (this.accurate !== null) this.accurate.sent(isPure);
    else if ((flags & TCP_CWR) !== 0) connection.sender.cwrPending = false;
  }

  #count(codepoint: number, payloadBytes: number, segments: number): void {
    if (codepoint === ECN_CE) this.#countCe(segments);
    if (codepoint === ECN_CE) this.receivedCeBytes += payloadBytes;
    else if (codepoint === ECN_ECT_0) this.receivedEct0Bytes += payloadBytes;
    else if (codepoint === ECN_ECT_1) this.receivedEct1Bytes += payloadBytes;
    if (codepoint !== ECN_NOT_ECT && this.accurate !== null) this.isSeen = true;
  }

  #countCe(segments: number): void {
    this.receivedCe += segments;
    this.accurate?.addPendingCe(segments);
  }
}

/** For an active open; null: our SYN does not ask. */
export function askForEcn(config: Readonly<TcpConfig>): Ecn | null {
  if (config.ecn === 3) return new Ecn(ECN_PENDING, config);
  return config.ecn === 1 || config.ecn === 4 ? new Ecn(ECN_CLASSIC, config) : null;
}

/** For the SYN of a passive open; null: it does not ask, or for nothing that we would give. */
function answerEcn(config: Readonly<TcpConfig>, segment: Segment): Ecn | null {
  const ace = aceOf(segment.flags);
  if (config.ecn === 0) return null;
  if (config.ecn >= 3 && asksForAccurate(ace)) {
    const ecn = new Ecn(ECN_ACCURATE, config);
    ecn.accurate!.begin(segment.codepoint, segment.codepoint);
    return ecn;
  }
  if ((ace & ACE_ASKS_CLASSIC) !== ACE_ASKS_CLASSIC) return null;
  // RFC 3168 §6.1.1 has no ECT on a SYN: one that has it was mangled, unless it is of a later kind (RFC 8311 §4.3).
  if (segment.codepoint !== ECN_NOT_ECT && (segment.flags & TCP_AE) === 0) return null;
  return new Ecn(ECN_CLASSIC, config);
}

/** The peer's SYN or SYN-ACK is here: what both ends agree on. */
export function negotiateEcn(connection: TcpConnection, segment: Segment): void {
  const { ecn } = connection;
  if (connection.state === 'CLOSED') connection.ecn = answerEcn(connection.layer.config, segment);
  else if (ecn === null) return;
  else if (!(segment.isAck ? ecn.takeSynAck(segment) : ecn.takeCrossedSyn(segment))) connection.ecn = null;
}

/**
 * A segment that is not acceptable: one that ends where the last acknowledgment did counts all the same, for it is the
 * repetition of what was just taken.
 */
export function countRepetition(
  connection: TcpConnection,
  segment: Segment,
  segments: number,
  nowMicros: number,
): void {
  const { ecn, receiver } = connection;
  const end = (segment.sequence + segment.lengthBytes) | 0;
  if (ecn === null || segment.isReset || end !== receiver.lastAckSent) return;
  const { hasTimestamps, timestampValue } = segment.options;
  if (connection.timestampsEnabled && hasTimestamps && receiver.isOldTimestamp(timestampValue, nowMicros)) return;
  if (segment.isSyn) ecn.takeUnexpectedSyn(segment);
  else ecn.received(connection, segment, segments);
}

/** The flags of a SYN-ACK that keeps no state (RFC 4987 §3.6); 0: the SYN does not ask for ECN, or gets none. */
export function cookieEcnFlags(config: Readonly<TcpConfig>, segment: Segment): number {
  const ecn = answerEcn(config, segment);
  return ecn === null ? 0 : ecn.synAckFlags(0);
}

/**
 * For a connection that a SYN cookie brought back: all that is left of the SYN is that it asked for ECN.
 * RFC 9768 §5.1: the acknowledgment itself tells whether AccECN was agreed on.
 */
export function ecnFromCookie(config: Readonly<TcpConfig>, segment: Segment): Ecn {
  if (config.ecn < 3 || aceOf(segment.flags) <= 1) return new Ecn(ECN_CLASSIC, config);
  const ecn = new Ecn(ECN_ACCURATE, config);
  ecn.accurate!.begin(ECN_NOT_ECT, ECN_NOT_ECT);
  return ecn;
}

/** The ACE field as a number, AE CWR ECE. */
function aceOf(flags: number): number {
  return (flags & TCP_ACE) >>> TCP_ACE_SHIFT;
}

function aceFlags(ace: number): number {
  return ace << TCP_ACE_SHIFT;
}

/** RFC 9768 §3.1.2: all but 000 (no ECN) and 011 (RFC 3168) ask for AccECN, or for something that includes it. */
function asksForAccurate(ace: number): boolean {
  return ace !== 0 && ace !== ACE_ASKS_CLASSIC;
}

function handshakeFlags(codepoint: number): number {
  return aceFlags(HANDSHAKE_ACE[codepoint]!);
}
