import { ERRNO } from '../../core/errno.ts';
import type { Packet } from '../../nic/packet.ts';
import { sequenceGreater, sequenceLess, sequenceLessOrEqual } from '../../wire/sequence.ts';
import { TCP_SYN } from '../../wire/tcp.ts';
import type { TcpConnection } from './connection.ts';
import type { TcpLayer } from './layer.ts';
import type { Segment } from './segment.ts';
import { isAckInRange } from './send.ts';
import { canReceive, EVENT_READABLE } from './state.ts';

/**
 * RFC 9293 §3.10.7, SEGMENT ARRIVES, in its order, with the checks of RFC 5961 and RFC 7323 where they belong. What a
 * segment calls for in reply is noted and goes out with the flush; only resets are sent from here.
 */
export function segmentArrives(
  layer: TcpLayer,
  connection: TcpConnection,
  segment: Segment,
  packet: Packet,
  nowMicros: number,
): void {
  connection.touch();
  if (connection.state === 'SYN-SENT') {
    arriveInSynSent(layer, connection, segment, nowMicros);
    return;
  }
  if (connection.state === 'SYN-RECEIVED' && segment.isSyn && segment.sequence === connection.receiver.irs) {
    if (!takeRepeatedSyn(connection, segment)) return;
  }
  if (!isAcceptable(layer, connection, segment, nowMicros)) return;
  if (segment.isReset) {
    takeReset(layer, connection, segment, nowMicros);
    return;
  }
  if (segment.isSyn) {
    layer.counters.dropUnexpectedSyn++;
    layer.challenge(connection, nowMicros); // RFC 5961 §4.2
    return;
  }
  if (!segment.isAck) {
    layer.counters.dropNoAck++;
    return;
  }
  connection.noteReceived(segment, packet.segments, nowMicros);
  if (!takeAcknowledgment(layer, connection, segment, nowMicros)) return;
  if (connection.state === 'CLOSED') return;
  takeText(layer, connection, segment, packet, nowMicros);
}

/** §3.10.7.3. */
function arriveInSynSent(layer: TcpLayer, connection: TcpConnection, segment: Segment, nowMicros: number): void {
  const { sender } = connection;
  const { acknowledgment } = segment;
  if (
    segment.isAck &&
    (sequenceLessOrEqual(acknowledgment, sender.iss) || sequenceGreater(acknowledgment, sender.sndNxt))
  ) {
    layer.counters.dropBadHandshake++;
    if (!segment.isReset) layer.resetFor(connection.route, segment, nowMicros);
    return;
  }
  if (segment.isReset) {
    // Without an acknowledgment it is nobody's we know.
    if (segment.isAck) connection.fail(ERRNO.ECONNREFUSED);
    else layer.counters.dropBadHandshake++;
    return;
  }
  if (!segment.isSyn) {
    layer.counters.dropBadHandshake++;
    return;
  }
  if (!segment.isAck) {
    // Simultaneous open (RFC 9293 §3.5, figure 8).
    connection.handshake.answer(sender.iss, segment, nowMicros);
    return;
  }
  connection.handshake.takeSyn(segment, nowMicros);
  connection.handshake.establish(segment, nowMicros);
}

/**
 * The peer's SYN again in SYN-RECEIVED: our SYN-ACK was lost, or this is the SYN-ACK of a simultaneous open, which is to
 * be taken for its acknowledgment. Returns whether to go on with it.
 */
function takeRepeatedSyn(connection: TcpConnection, segment: Segment): boolean {
  if (!segment.isAck) {
    connection.handshake.repeat();
    return false;
  }
  segment.sequence = (segment.sequence + 1) | 0;
  segment.flags &= ~TCP_SYN;
  return true;
}

/** §3.10.7.4, first step: PAWS, then the sequence number. */
function isAcceptable(layer: TcpLayer, connection: TcpConnection, segment: Segment, nowMicros: number): boolean {
  const { receiver } = connection;
  const { options, sequence } = segment;
  if (connection.timestampsEnabled && options.hasTimestamps && !segment.isReset) {
    if (receiver.isOldTimestamp(options.timestampValue, nowMicros)) {
      layer.counters.dropPaws++;
      answerInvalid(layer, connection, segment, nowMicros); // RFC 7323 §5.3 R1
      return false;
    }
  }
  const end = (sequence + segment.lengthBytes) | 0;
  // The left edge is what was acknowledged, not what was received: acknowledgments overtaken by data still count.
  const isOld = sequenceLess(end, receiver.lastAckSent) || (end === receiver.lastAckSent && segment.lengthBytes > 0);
  const isBeyond = sequenceGreater(sequence, receiver.window.edge) || isAtClosedEdge(connection, segment);
  if (isOld || isBeyond) {
    if (isOld) layer.counters.dropDuplicate++;
    else layer.counters.dropBeyondWindow++;
    if (isOld && segment.payloadBytes > 0) receiver.noteOldSegment(sequence, end);
    if (!segment.isReset) answerInvalid(layer, connection, segment, nowMicros);
    if (connection.state === 'TIME-WAIT' && segment.isFin) connection.restartTimeWait(nowMicros);
    return false;
  }
  if (connection.timestampsEnabled && options.hasTimestamps) {
    receiver.noteTimestamp(options.timestampValue, sequence, nowMicros);
  }
  return true;
}

/** Begins at the right edge: only something empty may, or, if the window is closed, what brings an acknowledgment. */
function isAtClosedEdge(connection: TcpConnection, segment: Segment): boolean {
  const { receiver } = connection;
  return (
    segment.sequence === receiver.window.edge && segment.lengthBytes > 0 && receiver.rcvNxt !== receiver.window.edge
  );
}

/** An unacceptable segment is answered with an acknowledgment; an empty one or a SYN, at most every so often. */
function answerInvalid(layer: TcpLayer, connection: TcpConnection, segment: Segment, nowMicros: number): void {
  if (segment.lengthBytes > 0 && !segment.isSyn) {
    connection.receiver.ackNow = true;
    return;
  }
  if (nowMicros - connection.lastChallengeMicros < layer.config.invalidSegmentMicros) {
    layer.counters.challengeAcksSuppressed++;
    return;
  }
  connection.lastChallengeMicros = nowMicros;
  connection.receiver.ackNow = true;
}

/** Second step, as RFC 5961 §3.2 has it. */
function takeReset(layer: TcpLayer, connection: TcpConnection, segment: Segment, nowMicros: number): void {
  const { counters } = layer;
  if (connection.state === 'TIME-WAIT') {
    counters.dropTimeWaitReset++; // RFC 1337 §3, fix (F1)
    return;
  }
  if (segment.sequence !== connection.receiver.rcvNxt) {
    counters.dropBlindReset++;
    layer.challenge(connection, nowMicros);
    return;
  }
  switch (connection.state) {
    case 'SYN-RECEIVED':
      connection.fail(ERRNO.ECONNREFUSED);
      return;
    case 'CLOSE-WAIT':
      connection.fail(ERRNO.EPIPE); // as Linux's tcp_reset
      return;
    case 'CLOSING':
    case 'LAST-ACK':
      connection.fail(connection.isClosedByApplication ? 0 : ERRNO.ECONNRESET);
      return;
    default:
      connection.fail(ERRNO.ECONNRESET);
  }
}

/** Fifth step. Returns whether to go on. */
function takeAcknowledgment(layer: TcpLayer, connection: TcpConnection, segment: Segment, nowMicros: number): boolean {
  const { sender } = connection;
  const { acknowledgment } = segment;
  if (connection.state === 'SYN-RECEIVED') {
    if (sequenceLessOrEqual(acknowledgment, sender.sndUna) || sequenceGreater(acknowledgment, sender.sndNxt)) {
      layer.counters.dropBadHandshake++;
      layer.resetFor(connection.route, segment, nowMicros);
      return false;
    }
    if (connection.listener !== null && !connection.listener.admit(connection)) {
      layer.counters.dropAcceptQueueFull++;
      return false;
    }
    connection.handshake.establish(segment, nowMicros);
    return true;
  }
  if (!isAckInRange(sender, acknowledgment)) {
    layer.counters.dropBadAck++;
    layer.challenge(connection, nowMicros); // RFC 5961 §5.2
    return false;
  }
  if (connection.state === 'TIME-WAIT') return true;
  if (sequenceLess(acknowledgment, sender.sndUna)) return true; // an old duplicate: its text may be new
  sender.takeAck(segment, nowMicros);
  if (sender.finAcknowledged) connection.finAcknowledged(nowMicros);
  return true;
}

/** Sixth to eighth step: urgent data is data like any other (RFC 6093 §4), then payload and FIN. */
function takeText(
  layer: TcpLayer,
  connection: TcpConnection,
  segment: Segment,
  packet: Packet,
  nowMicros: number,
): void {
  const { receiver } = connection;
  if (segment.payloadBytes === 0 && !segment.isFin) return;
  if (!canReceive(connection.state)) {
    layer.counters.dropAfterFin++;
    receiver.ackNow = true;
    if (connection.state === 'TIME-WAIT' && segment.isFin) connection.restartTimeWait(nowMicros);
    return;
  }
  if (connection.isClosedByApplication && hasNewPayload(connection, segment)) {
    layer.counters.dropAfterClose++;
    connection.failWithReset(0, nowMicros); // RFC 9293 §3.6.1, RFC 2525 §2.17
    return;
  }
  layer.counters.bytesIn += segment.payloadBytes;
  if (receiver.takeSegment(packet, segment.sequence, segment.isFin)) {
    connection.hasProgress = true;
    connection.raise(EVENT_READABLE);
  }
  if (receiver.finReceived) connection.peerFinished(nowMicros);
}

function hasNewPayload(connection: TcpConnection, segment: Segment): boolean {
  return (
    segment.payloadBytes > 0 &&
    sequenceGreater((segment.sequence + segment.payloadBytes) | 0, connection.receiver.rcvNxt)
  );
}
