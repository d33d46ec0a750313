import { sequenceDifference, sequenceGreaterOrEqual, sequenceLess } from '../../wire/sequence.ts';
import type { TcpConnection } from './connection.ts';
import type { TcpCounters } from './counters.ts';

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
  connection.route.lowerMtu(mtuBytes, nowMicros);
  const bounded = connection.route.mtuBytes;
  if (bounded >= connection.pathMtuBytes) {
    counters.icmpIgnored++;
    return;
  }
  counters.pathMtuReductions++;
  connection.pathMtuBytes = bounded;
  const before = connection.segmentBytes;
  connection.updateSegmentBytes();
  if (connection.segmentBytes < before && sequenceDifference(connection.sender.sndNxt, connection.sender.sndUna) > 0) {
    connection.sender.onSegmentSizeReduced(nowMicros);
  }
  connection.touch();
}
