import { sequenceGreaterOrEqual, sequenceLess } from '../../wire/sequence.ts';
import type { TcpConnection } from './connection.ts';
import type { TcpCounters } from './counters.ts';
import { isSynchronized } from './state.ts';

/**
 * RFC 5927 §4.1: an ICMP error counts only if it quotes a segment that is in flight; a forger would have to guess it.
 */
export function isInFlight(connection: TcpConnection, sequence: number): boolean {
  const { sender } = connection;
  return sequenceGreaterOrEqual(sequence, sender.sndUna) && sequenceLess(sequence, sender.sndNxt);
}

/**
 * RFC 1191 §6.4, RFC 8201 §5.4: a router on the path takes smaller packets only. The route has checked the figure; the
 * connection cuts its segments to it and sends again what was too large.
 */
export function reducePathMtu(
  connection: TcpConnection,
  mtuBytes: number,
  counters: TcpCounters,
  nowMicros: number,
): void {
  const { route } = connection;
  route.lowerMtu(mtuBytes, nowMicros);
  if (route.mtuBytes >= connection.pathMtuBytes) {
    counters.icmpIgnored++;
    return;
  }
  counters.pathMtuReductions++;
  followPathMtu(connection, nowMicros);
  connection.touch();
}

/**
 * The route's MTU is another than the connection's: lowered by a message that another connection of the route got, or
 * given up as old (RFC 8201 §5.3), so that segments grow again.
 */
export function followPathMtu(connection: TcpConnection, nowMicros: number): void {
  const before = connection.segmentBytes;
  connection.pathMtuBytes = connection.route.mtuBytes;
  connection.updateSegmentBytes();
  if (!isSynchronized(connection.state)) return;
  if (connection.segmentBytes < before) connection.sender.onSegmentSizeReduced(nowMicros);
  else if (connection.segmentBytes > before) connection.sender.onSegmentSizeRaised();
}
