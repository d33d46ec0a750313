import type { TxFrame } from '../../nic/tx-frame.ts';
import { PROTOCOL_TCP } from '../../wire/protocols.ts';
import { emitTcp, TCP_ACK, TCP_FIN, TCP_HEADER_BYTES, TCP_PSH, TCP_RST, TCP_SYN } from '../../wire/tcp.ts';
import { emitSack, emitSynOptions, emitTimestamps, MAX_SACK_BLOCKS } from '../../wire/tcp-options.ts';
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

/** Builds segments in the NIC's frame and hands them to IP. One per layer. */
export class SegmentWriter {
  readonly #ip: IpOutput;
  readonly #counters: TcpCounters;
  readonly #sackLeft = new Int32Array(MAX_SACK_BLOCKS);
  readonly #sackRight = new Int32Array(MAX_SACK_BLOCKS);

  /** Payload bytes in the segment written last: fewer than asked if the frame ran out of fragments. */
  payloadBytes = 0;
  /** Whether that segment carried the FIN that was asked for. */
  carriedFin = false;

  constructor(ip: IpOutput, counters: TcpCounters) {
    this.#ip = ip;
    this.#counters = counters;
  }

  /** Bytes that the SACK option takes from the payload of a connection's next segment. */
  sackBytes(connection: TcpConnection): number {
    if (!connection.sackEnabled || !connection.receiver.hasSack) return 0;
    const count = connection.receiver.writeSack(this.#sackLeft, this.#sackRight, this.#sackLimit(connection));
    return count === 0 ? 0 : SACK_OPTION_BYTES + count * SACK_BLOCK_BYTES;
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
    const { route, sender } = connection;
    const tx = this.#ip.begin(route, PROTOCOL_TCP, nowMicros);
    this.payloadBytes = 0;
    this.carriedFin = false;
    if (tx === null) return this.#refused(route);
    const l4 = tx.l4Offset;
    let at = l4 + TCP_HEADER_BYTES;
    if (connection.timestampsEnabled) {
      const { timestampRecent } = connection.receiver;
      at += emitTimestamps(tx.view, at, connection.timestamp(nowMicros), timestampRecent);
    }
    at += this.#writeSack(connection, tx, at);
    tx.headerBytes = at;

    let finalFlags = flags | TCP_ACK;
    if (length > 0) {
      this.payloadBytes = sender.queue.gather(tx, streamOffset, length);
      if (this.payloadBytes < length) finalFlags &= ~(TCP_FIN | TCP_PSH);
      const mss = connection.segmentBytes - (at - l4 - TCP_HEADER_BYTES - connection.optionBytes);
      if (this.payloadBytes > mss) tx.gsoSizeBytes = mss;
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
      connection.receiver.acknowledged();
      connection.ackSent();
    }
    return verdict;
  }

  /** SYN, or SYN-ACK where the peer's SYN is here. */
  writeSyn(connection: TcpConnection, isAnswer: boolean, nowMicros: number): number {
    const { route, receiver, sender } = connection;
    const tx = this.#ip.begin(route, PROTOCOL_TCP, nowMicros);
    if (tx === null) return this.#refused(route);
    const l4 = tx.l4Offset;
    const optionBytes = emitSynOptions(
      tx.bytes,
      tx.view,
      l4 + TCP_HEADER_BYTES,
      receiver.advertisedMss,
      connection.offersScaling ? receiver.window.offeredScale : -1,
      connection.sackEnabled,
      connection.timestampsEnabled,
      connection.timestamp(nowMicros),
      isAnswer ? receiver.timestampRecent : 0,
    );
    const headerBytes = TCP_HEADER_BYTES + optionBytes;
    tx.headerBytes = l4 + headerBytes;
    emitTcp(
      tx.view,
      l4,
      connection.localPort,
      connection.remotePort,
      sender.iss,
      isAnswer ? receiver.rcvNxt : 0,
      headerBytes,
      isAnswer ? TCP_SYN | TCP_ACK : TCP_SYN,
      receiver.window.synField,
      0,
    );
    return this.#send(connection, route, tx);
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

  #writeSack(connection: TcpConnection, tx: TxFrame, at: number): number {
    if (!connection.sackEnabled || !connection.receiver.hasSack) return 0;
    const count = connection.receiver.writeSack(this.#sackLeft, this.#sackRight, this.#sackLimit(connection));
    return emitSack(tx.view, at, this.#sackLeft, this.#sackRight, count);
  }

  #sackLimit(connection: TcpConnection): number {
    return connection.timestampsEnabled ? SACK_BLOCKS_WITH_TIMESTAMPS : MAX_SACK_BLOCKS;
  }

  #send(connection: TcpConnection, route: Route, tx: TxFrame): number {
    const { payloadBytes, gsoSizeBytes } = tx;
    const sent = this.#ip.send(route, tx);
    if (sent === 0) {
      this.#counters.transmitBlocked++;
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
