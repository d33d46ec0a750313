import { ERRNO } from '../../core/errno.ts';
import type { Packet } from '../../nic/packet.ts';
import { sequenceGreater, sequenceLess, sequenceLessOrEqual } from '../../wire/sequence.ts';
import { TCP_SYN, TCP_URG } from '../../wire/tcp.ts';
import { flushAck, flushDuplicate } from './acknowledge.ts';
import { finAcknowledged, peerFinished } from './closing.ts';
import { NO_CHALLENGE_MILLIS } from './challenge.ts';
import type { TcpConnection } from './connection.ts';
import { countRepetition } from './ecn.ts';
import type { TcpLayer } from './layer.ts';
import type { Segment } from './segment.ts';
import { isAckInRange } from './send.ts';
import { canReceive, EVENT_READABLE, isSynchronized } from './state.ts';
import type { TimeWait } from './time-wait.ts';

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
    arriveInSynSent(layer, connection, segment, packet, nowMicros);
    return;
  }
  if (connection.state === 'SYN-RECEIVED' && segment.isSyn && segment.sequence === connection.receiver.irs) {
    if (!takeRepeatedSyn(layer, connection, segment, nowMicros)) return;
  }
  if (segment.payloadBytes > 0) flushDuplicate(connection, nowMicros);
  if (!isAcceptable(layer, connection, segment, nowMicros)) {
    countRepetition(connection, segment, packet.segments, nowMicros);
    return;
  }
  if (segment.isReset) {
    takeReset(layer, connection, segment, nowMicros);
    return;
  }
  if (segment.isSyn) {
    layer.counters.dropUnexpectedSyn++;
    connection.ecn?.takeUnexpectedSyn(segment);
    layer.challenge(connection, nowMicros); // RFC 5961 §4.2
    return;
  }
  if (!segment.isAck) {
    layer.counters.dropNoAck++;
    return;
  }
  connection.noteReceived(segment, packet.segments, nowMicros);
  connection.ecn?.received(connection, segment, packet.segments);
  if (!takeAcknowledgment(layer, connection, segment, nowMicros)) return;
  if (connection.state === 'CLOSED') return;
  if (connection.timestampsEnabled && segment.options.hasTimestamps) {
    // Behind the acknowledgment: a forged segment must not spoil what the next ones are compared with.
    connection.receiver.noteTimestamp(segment.options.timestampValue, segment.sequence, nowMicros);
  }
  takeText(layer, connection, segment, packet, nowMicros);
  if (connection.ecn?.mustAcknowledge === true && isSynchronized(connection.state)) flushAck(connection, nowMicros);
}

/** §3.10.7.3. */
function arriveInSynSent(
  layer: TcpLayer,
  connection: TcpConnection,
  segment: Segment,
  packet: Packet,
  nowMicros: number,
): void {
  const { sender } = connection;
  const { acknowledgment } = segment;
  if (
    segment.isAck &&
    (sequenceLessOrEqual(acknowledgment, sender.iss) ||
      sequenceGreater(acknowledgment, sender.sndNxt) ||
      isForeignEcho(connection, segment, nowMicros))
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
  if (connection.fastOpen === null) return;
  // RFC 7413 §4.2.2 lets the server's data come with its SYN-ACK.
  segment.sequence = (segment.sequence + 1) | 0;
  segment.flags &= ~TCP_SYN;
  takeText(layer, connection, segment, packet, nowMicros);
}

/** RFC 7323 §5.3: what a SYN-ACK echoes is a timestamp that one of our SYNs has had. */
function isForeignEcho(connection: TcpConnection, segment: Segment, nowMicros: number): boolean {
  const { options } = segment;
  if (!connection.timestampsEnabled || !options.hasTimestamps || options.timestampEcho === 0) return false;
  const first = connection.timestamp(connection.handshake.firstSentMicros);
  const last = connection.timestamp(nowMicros);
  return ((options.timestampEcho - first) | 0) < 0 || ((last - options.timestampEcho) | 0) < 0;
}

/**
 * The peer's SYN again in SYN-RECEIVED: our SYN-ACK was lost, or this is the SYN-ACK of a simultaneous open, which is to
 * be taken for its acknowledgment. Returns whether to go on with it.
 */
function takeRepeatedSyn(layer: TcpLayer, connection: TcpConnection, segment: Segment, nowMicros: number): boolean {
  if (!segment.isAck) {
    connection.ecn?.takeRepeatedSyn(segment);
    if (mayAnswerInvalid(layer, connection, nowMicros)) connection.handshake.repeat();
    return false;
  }
  if (connection.sackEnabled) connection.receiver.noteOldSegment(segment.sequence, (segment.sequence + 1) | 0);
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
  if ((isOld || isBeyond) && !isResetAtFin(connection, segment)) {
    if (isOld) layer.counters.dropDuplicate++;
    else layer.counters.dropBeyondWindow++;
    if (isOld && segment.payloadBytes > 0) receiver.noteOldSegment(sequence, end);
    if (!segment.isReset) answerInvalid(layer, connection, segment, nowMicros);
    return false;
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
  if (mayAnswerInvalid(layer, connection, nowMicros)) connection.receiver.ackNow = true;
}

/** Notes the answer; one that may not be is counted. */
function mayAnswerInvalid(layer: TcpLayer, connection: TcpConnection, nowMicros: number): boolean {
  if (nowMicros - connection.lastChallengeMillis * 1000 < layer.config.invalidSegmentMicros) {
    layer.counters.challengeAcksSuppressed++;
    return false;
  }
  connection.lastChallengeMillis = Math.floor(nowMicros / 1000);
  return true;
}

/** Second step, as RFC 5961 §3.2 has it. */
function takeReset(layer: TcpLayer, connection: TcpConnection, segment: Segment, nowMicros: number): void {
  const { counters } = layer;
  if (!isExactReset(connection, segment)) {
    counters.dropBlindReset++;
    if (connection.fastOpen !== null) layer.fastOpenClient.heardLittle(connection, nowMicros);
    layer.challenge(connection, nowMicros);
    return;
  }
  switch (connection.state) {
    case 'SYN-RECEIVED':
      if (connection.fastOpen === null) {
        connection.fail(ERRNO.ECONNREFUSED);
      } else {
        connection.fastOpen.wasReset = true;
        connection.handshake.endFast(nowMicros);
        connection.fail(ERRNO.ECONNRESET);
      }
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

/**
 * At RCV.NXT. Or, as Linux has it, behind what is held out of order, which is where a peer is that got our SACK; or, of
 * a peer that has sent its FIN, at that.
 */
function isExactReset(connection: TcpConnection, segment: Segment): boolean {
  const { receiver } = connection;
  if (segment.sequence === receiver.rcvNxt || isResetAtFin(connection, segment)) return true;
  return connection.sackEnabled && segment.sequence === receiver.reassembly.highestEnd(receiver.rcvNxt);
}

function isResetAtFin(connection: TcpConnection, segment: Segment): boolean {
  const { state, receiver } = connection;
  if (!segment.isReset || segment.sequence !== ((receiver.rcvNxt - 1) | 0)) return false;
  return state === 'CLOSE-WAIT' || state === 'LAST-ACK' || state === 'CLOSING';
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
    if (isAwaitingData(connection, segment)) {
      connection.handshake.isDeferred = true;
      return false;
    }
    if (connection.listener !== null && !connection.listener.admit(connection)) {
      layer.counters.dropAcceptQueueFull++;
      return false;
    }
    connection.ecn?.takeThirdAck(segment);
    connection.handshake.establish(segment, nowMicros);
    connection.lastChallengeMillis = NO_CHALLENGE_MILLIS; // what the handshake used up does not count any more
    if (connection.fastOpen === null || sender.scoreboard.count === 0) return true;
    // Data was sent before the handshake was done: the acknowledgment may be for some of it.
  }
  if (!isAckInRange(sender, acknowledgment)) {
    layer.counters.dropBadAck++;
    layer.challenge(connection, nowMicros); // RFC 5961 §5.2
    return false;
  }
  if (sequenceLess(acknowledgment, sender.sndUna)) {
    sender.takeOldAck(segment, nowMicros);
    return true; // an old duplicate: its text may be new
  }
  sender.takeAck(segment, nowMicros);
  if (sender.finAcknowledged) finAcknowledged(connection, nowMicros);
  return true;
}

/** TCP_DEFER_ACCEPT: the handshake's last acknowledgment does not end it, only data does, or time. */
function isAwaitingData(connection: TcpConnection, segment: Segment): boolean {
  const { listener, handshake, receiver } = connection;
  if (listener === null || handshake.retries >= listener.options.deferAcceptRetries) return false;
  return segment.lengthBytes === 0 && segment.sequence === receiver.rcvNxt;
}

/** Sixth to eighth step: urgent data is data like any other (RFC 6093 §4), then payload and FIN. */
export function takeText(
  layer: TcpLayer,
  connection: TcpConnection,
  segment: Segment,
  packet: Packet,
  nowMicros: number,
): void {
  const { receiver } = connection;
  if (segment.payloadBytes === 0 && !segment.isFin) return;
  if (!canReceive(connection.state) && connection.state !== 'SYN-RECEIVED') {
    layer.counters.dropAfterFin++;
    receiver.ackNow = true;
    return;
  }
  if (connection.isClosedByApplication && hasNewPayload(connection, segment)) {
    layer.counters.dropAfterClose++;
    layer.resetFor(connection.route, segment, nowMicros); // RFC 9293 §3.6.1, RFC 2525 §2.17
    connection.fail(0);
    return;
  }
  layer.counters.bytesIn += segment.payloadBytes;
  if ((segment.flags & TCP_URG) !== 0) layer.counters.urgentSegments++; // RFC 6093 §4: no out-of-band data
  if (receiver.takeSegment(packet, segment.sequence, segment.isFin)) {
    connection.hasProgress = true;
    connection.raise(EVENT_READABLE);
    if (connection.fastOpen !== null) layer.fastOpenClient.succeeded(connection);
  } else if (segment.isFin && connection.fastOpen !== null) {
    layer.fastOpenClient.heardLittle(connection, nowMicros);
  }
  if (receiver.finReceived) peerFinished(connection, nowMicros);
}

function hasNewPayload(connection: TcpConnection, segment: Segment): boolean {
  return (
    segment.payloadBytes > 0 &&
    sequenceGreater((segment.sequence + segment.payloadBytes) | 0, connection.receiver.rcvNxt)
  );
}

/** A segment for what is left of a connection in TIME-WAIT (RFC 9293 §3.10.7.4). */
export function timeWaitArrives(layer: TcpLayer, entry: TimeWait, segment: Segment, nowMicros: number): void {
  const { counters, config } = layer;
  if (segment.isReset) {
    counters.dropTimeWaitReset++; // RFC 1337 §3, fix (F1)
    return;
  }
  if (entry.isOldTimestamp(segment)) {
    counters.dropPaws++; // RFC 7323 §5.3 R1
  } else if (entry.isOutside(segment)) {
    if (sequenceGreater(segment.sequence, entry.rcvNxt)) counters.dropBeyondWindow++;
    else counters.dropDuplicate++;
  } else {
    return; // a bare acknowledgment calls for nothing
  }
  if (segment.isFin && segment.isAck) layer.restartTimeWait(entry, nowMicros);
  const mayLoop = segment.lengthBytes === 0 || segment.isSyn;
  if (mayLoop && nowMicros - entry.lastAnswerMicros < config.invalidSegmentMicros) {
    counters.challengeAcksSuppressed++;
    return;
  }
  entry.lastAnswerMicros = nowMicros;
  layer.bare.writeAcknowledgment(entry, nowMicros);
}
