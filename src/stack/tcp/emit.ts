import type { TxFrame } from '../../nic/tx-frame.ts';
import { PROTOCOL_TCP } from '../../wire/protocols.ts';
import { sequenceLessOrEqual } from '../../wire/sequence.ts';
import { emitTcp, TCP_ACK, TCP_FIN, TCP_HEADER_BYTES, TCP_PSH, TCP_RST, TCP_SYN } from '../../wire/tcp.ts';
import {
  emitAccurateEcn,
  emitPadding,
  emitFastOpen,
  emitSack,
  emitSynOptions,
  emitTimestamps,
  KIND_ACCURATE_ECN_1,
  ACCURATE_ECN_BYTES,
  ACCURATE_ECN_COUNTER_BYTES,
  MAX_ACCURATE_ECN_COUNTERS,
  MAX_OPTION_BYTES,
  MAX_SACK_BLOCKS,
  TIMESTAMPS_OPTION_BYTES,
} from '../../wire/tcp-options.ts';
import { ECN_NOT_ECT } from '../../wire/traffic-class.ts';
import { INITIAL_ECT_BYTES } from './ecn-feedback.ts';
import type { IpOutput, Route } from '../route.ts';
import type { TcpConnection } from './connection.ts';
import type { TcpCounters } from './counters.ts';

/** Sent. */
export const EMIT_SENT = 1;
/** The next hop is being resolved or the link is full: try again at the next flush. */
export const EMIT_BLOCKED = 0;
/** Nobody answers for the next hop. */
export const EMIT_UNREACHABLE = -1;

/** Blocks that fit beside timestamps into 40 bytes of options (RFC 2018 §3). */
const SACK_BLOCKS_WITH_TIMESTAMPS = 3;
const SACK_BLOCK_BYTES = 8;
const SACK_OPTION_BYTES = 4;
/** SACK blocks that make room for nothing. */
const MIN_SACK_BLOCKS = 2;
/** The NOPs before SACK blocks, in which the end of another option may stand. */
const SACK_PADDING_BYTES = 2;

/** Builds segments in the NIC's frame and hands them to IP. One per layer. */
export class SegmentWriter {
  readonly #ip: IpOutput;
  readonly #counters: TcpCounters;
  readonly #sackLeft = new Int32Array(MAX_SACK_BLOCKS);
  readonly #sackRight = new Int32Array(MAX_SACK_BLOCKS);
  /** What `#planOptions` found room for: SACK blocks, and counters of an AccECN option (-1: no option). */
  #sackBlocks = 0;
  #ecnCounters = -1;

  /** The link has refused a segment: set here, cleared by who tries again. */
  isLinkFull = false;
  /** Payload bytes in the segment written last: fewer than asked if the frame ran out of fragments. */
  payloadBytes = 0;
  /** The next segment tests whether the path takes one as long: it is not to be split (RFC 8899). */
  isProbe = false;
  /** Whether that segment carried the FIN that was asked for. */
  carriedFin = false;

  constructor(ip: IpOutput, counters: TcpCounters) {
    this.#ip = ip;
    this.#counters = counters;
  }

  /** Bytes that SACK and AccECN options take from the payload of a connection's next segment. */
  optionBytes(connection: TcpConnection, nowMicros: number): number {
    return this.#planOptions(connection, nowMicros);
  }

  /**
   * Writes and sends one segment (or, with more payload than the MSS, one burst) with an acknowledgment.
   * @param streamOffset of the first payload byte in the send queue.
   */
  write(
    connection: TcpConnection,
    sequence: number,
    flags: number,
    streamOffset: number,
    length: number,
    nowMicros: number,
  ): number {
    const { route, sender, ecn } = connection;
    const isNew = length > 0 && sequence === sender.sndNxt;
    const trafficClass = connection.options.trafficClass | (ecn === null ? ECN_NOT_ECT : ecn.codepoint(isNew));
    const tx = this.#ip.begin(route, PROTOCOL_TCP, nowMicros, trafficClass);
    this.payloadBytes = 0;
    this.carriedFin = false;
    if (tx === null) return this.#refused(route);
    tx.hopLimit = connection.options.hopLimit;
    const l4 = tx.l4Offset;
    let at = l4 + TCP_HEADER_BYTES;
    if (connection.timestampsEnabled) {
      const { timestampRecent } = connection.receiver;
      at += emitTimestamps(tx.view, at, connection.timestamp(nowMicros), timestampRecent);
    }
    this.#planOptions(connection, nowMicros);
    at += this.#writeOptions(connection, tx, at);
    tx.headerBytes = at;

    let finalFlags = flags | TCP_ACK;
    if (length > 0) {
      this.payloadBytes = sender.queue.gather(tx, streamOffset, length);
      if (this.payloadBytes < length) finalFlags &= ~(TCP_FIN | TCP_PSH);
      const mss = connection.segmentBytes - (at - l4 - TCP_HEADER_BYTES - connection.optionBytes);
      if (this.payloadBytes > mss && !this.isProbe) tx.gsoSizeBytes = mss;
    }
    const isPure = length === 0 && (flags & TCP_FIN) === 0 && this.#sackBlocks === 0;
    if (ecn !== null) {
      finalFlags |= ecn.flags(connection, isNew, isPure);
      tx.repeatsCwr = ecn.accurate !== null;
    }
    const window = connection.receiver.window.field(connection.receiver.rcvNxt);
    emitTcp(
      tx.view,
      l4,
      connection.localPort,
      connection.remotePort,
      sequence,
      connection.receiver.rcvNxt,
      at - l4,
      finalFlags,
      window,
      0,
    );
    const verdict = this.#send(connection, route, tx);
    if (verdict === EMIT_SENT) {
      this.carriedFin = (finalFlags & TCP_FIN) !== 0;
      if (window === 0) this.#counters.zeroWindowsOffered++;
      if (ecn !== null) this.#noteEcn(connection, finalFlags, isPure, nowMicros);
      connection.receiver.acknowledged();
      connection.ackSent();
    }
    return verdict;
  }

  /** SYN, or SYN-ACK where the peer's SYN is here. */
  writeSyn(connection: TcpConnection, isAnswer: boolean, nowMicros: number): number {
    const { route, receiver, sender, ecn, handshake, fastOpen } = connection;
    this.payloadBytes = 0;
    const tx = this.#ip.begin(route, PROTOCOL_TCP, nowMicros, connection.options.trafficClass);
    if (tx === null) return this.#refused(route);
    tx.hopLimit = connection.options.hopLimit;
    const l4 = tx.l4Offset;
    let optionBytes = emitSynOptions(
      tx.bytes,
      tx.view,
      l4 + TCP_HEADER_BYTES,
      receiver.advertisedMss,
      connection.offersScaling ? receiver.window.offeredScale : -1,
      connection.sackEnabled,
      connection.timestampsEnabled,
      connection.timestamp(nowMicros),
      isAnswer ? receiver.timestampRecent : 0,
      isAnswer && ecn?.synAckHasOption === true ? MAX_ACCURATE_ECN_COUNTERS : -1,
    );
    const cookie = fastOpen?.cookie ?? null;
    if (cookie !== null) {
      const at = l4 + TCP_HEADER_BYTES + optionBytes;
      optionBytes += emitFastOpen(tx.bytes, tx.view, at, cookie, fastOpen!.isExperimental);
    }
    const headerBytes = TCP_HEADER_BYTES + optionBytes;
    tx.headerBytes = l4 + headerBytes;
    if (!isAnswer && fastOpen?.isDeferred === true) {
      this.payloadBytes = sender.queue.gather(tx, 0, Math.min(fastOpen.synSpaceBytes, sender.queue.endOffset));
    }
    let ecnFlags = 0;
    if (ecn !== null) ecnFlags = isAnswer ? ecn.synAckFlags(handshake.retries) : ecn.synFlags(handshake.retries);
    emitTcp(
      tx.view,
      l4,
      connection.localPort,
      connection.remotePort,
      sender.iss,
      isAnswer ? receiver.rcvNxt : 0,
      headerBytes,
      (isAnswer ? TCP_SYN | TCP_ACK : TCP_SYN) | ecnFlags,
      receiver.window.synField,
      0,
    );
    const verdict = this.#send(connection, route, tx);
    if (verdict === EMIT_SENT && isAnswer) ecn?.synAckSent();
    return verdict;
  }

  /** A reset without a connection's state: RFC 9293 §3.10.7.1. Unsent if the way is not free: it is nobody's loss. */
  writeReset(
    route: Route,
    localPort: number,
    remotePort: number,
    sequence: number,
    acknowledgment: number,
    withAck: boolean,
    nowMicros: number,
  ): number {
    const tx = this.#ip.begin(route, PROTOCOL_TCP, nowMicros);
    if (tx === null) return this.#refused(route);
    tx.headerBytes = tx.l4Offset + TCP_HEADER_BYTES;
    const flags = withAck ? TCP_RST | TCP_ACK : TCP_RST;
    emitTcp(tx.view, tx.l4Offset, localPort, remotePort, sequence, acknowledgment, TCP_HEADER_BYTES, flags, 0, 0);
    const sent = this.#ip.send(route, tx);
    if (sent <= 0) return EMIT_BLOCKED;
    this.#counters.segmentsOut++;
    this.#counters.resetsOut++;
    return EMIT_SENT;
  }

  /**
   * Shares what timestamps leave of the option space between SACK blocks and the counters of an AccECN option. Blocks go
   * first, but for counters that have changed all blocks but two give way (RFC 9768 §3.2.3.3).
   * @returns the bytes of both.
   */
  #planOptions(connection: TcpConnection, nowMicros: number): number {
    const room = MAX_OPTION_BYTES - (connection.timestampsEnabled ? TIMESTAMPS_OPTION_BYTES : 0);
    this.#sackBlocks = 0;
    this.#ecnCounters = -1;
    if (connection.sackEnabled && connection.receiver.hasSack) {
      const limit = connection.timestampsEnabled ? SACK_BLOCKS_WITH_TIMESTAMPS : MAX_SACK_BLOCKS;
      this.#sackBlocks = connection.receiver.writeSack(this.#sackLeft, this.#sackRight, limit);
    }
    const accurate = connection.ecn === null ? null : connection.ecn.accurate;
    if (accurate === null || !accurate.wantsOption(connection, nowMicros)) return sackBytes(this.#sackBlocks);
    const required = accurate.requiredCounters;
    const fewest = required > 0 ? Math.min(MIN_SACK_BLOCKS, this.#sackBlocks) : this.#sackBlocks;
    for (let blocks = this.#sackBlocks; blocks >= fewest; blocks--) {
      for (let counters = MAX_ACCURATE_ECN_COUNTERS; counters >= required; counters--) {
        const bytes = sackBytes(blocks) + ecnBytes(counters, blocks);
        if (bytes > room) continue;
        this.#sackBlocks = blocks;
        this.#ecnCounters = counters;
        return bytes;
      }
    }
    return sackBytes(this.#sackBlocks);
  }

  /** Writes what was planned: the AccECN option, and SACK behind it, whose padding it may use. */
  #writeOptions(connection: TcpConnection, tx: TxFrame, start: number): number {
    if (this.#ecnCounters < 0) return emitSack(tx.view, start, this.#sackLeft, this.#sackRight, this.#sackBlocks);
    const { receivedEct1Bytes, receivedCeBytes, receivedEct0Bytes } = connection.ecn!;
    const ect1 = receivedEct1Bytes + INITIAL_ECT_BYTES;
    const ect0 = receivedEct0Bytes + INITIAL_ECT_BYTES;
    const end = start + ecnBytes(this.#ecnCounters, this.#sackBlocks);
    const sackLength = emitSack(tx.view, end, this.#sackLeft, this.#sackRight, this.#sackBlocks);
    const counters = this.#ecnCounters;
    const ecnEnd = start + emitAccurateEcn(tx.view, start, KIND_ACCURATE_ECN_1, counters, ect1, receivedCeBytes, ect0);
    if (ecnEnd < end) emitPadding(tx.bytes, ecnEnd, end);
    return end + sackLength - start;
  }

  #noteEcn(connection: TcpConnection, flags: number, isPure: boolean, nowMicros: number): void {
    const ecn = connection.ecn!;
    ecn.sent(connection, flags, isPure);
    if (this.#ecnCounters < 0) return;
    // RFC 2883 §4: a first block below the acknowledgment, or within the second, reports a duplicate.
    const left = this.#sackLeft[0]!;
    const right = this.#sackRight[0]!;
    const isBelow = this.#sackBlocks > 0 && sequenceLessOrEqual(right, connection.receiver.rcvNxt);
    const isWithin =
      this.#sackBlocks > 1 &&
      sequenceLessOrEqual(this.#sackLeft[1]!, left) &&
      sequenceLessOrEqual(right, this.#sackRight[1]!);
    ecn.accurate!.optionSent(isBelow || isWithin, left, nowMicros);
  }

  #send(connection: TcpConnection, route: Route, tx: TxFrame): number {
    const { payloadBytes, gsoSizeBytes } = tx;
    const sent = this.#ip.send(route, tx);
    if (sent === 0) {
      this.#counters.transmitBlocked++;
      this.isLinkFull = true;
      return EMIT_BLOCKED;
    }
    // A frame that failed is a frame lost on the way: retransmission is the remedy for both.
    if (sent < 0) this.#counters.transmitErrors++;
    const segments = gsoSizeBytes > 0 ? Math.ceil(payloadBytes / gsoSizeBytes) : 1;
    this.#counters.segmentsOut += segments;
    this.#counters.bytesOut += payloadBytes;
    connection.segmentsOut += segments;
    if (payloadBytes > 0) connection.dataSegmentsOut += segments;
    return EMIT_SENT;
  }

  #refused(route: Route): number {
    this.#counters.transmitBlocked++;
    return route.state === 'failed' ? EMIT_UNREACHABLE : EMIT_BLOCKED;
  }
}

function sackBytes(blocks: number): number {
  return blocks === 0 ? 0 : SACK_OPTION_BYTES + blocks * SACK_BLOCK_BYTES;
}

/** Of an AccECN option, padded to a multiple of 4: what is too much may stand in the padding of the SACK option. */
function ecnBytes(counters: number, sackBlocks: number): number {
  const bytes = ACCURATE_ECN_BYTES + counters * ACCURATE_ECN_COUNTER_BYTES;
  const excess = bytes & 3;
  return sackBlocks > 0 && excess <= SACK_PADDING_BYTES ? bytes - excess : (bytes + 3) & ~3;
}
