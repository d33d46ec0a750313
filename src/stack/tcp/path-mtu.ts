import { sequenceGreaterOrEqual, sequenceLess } from '../../wire/sequence.ts';
import type { TcpConnection } from './connection.ts';
import type { TcpCounters } from './counters.ts';
import { PathSearch } from './path-search.ts';
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
  connection.pathMtuBytes = connection.route.mtuBytes;
  connection.pathSearch?.limit(connection.pathMtuBytes);
  if (connection.state === 'SYN-SENT') connection.handshake.pathChanged();
  changeSegmentSize(connection, nowMicros);
}

/** Something that the size of segments follows from has changed. */
export function changeSegmentSize(connection: TcpConnection, nowMicros: number): void {
  const before = connection.segmentBytes;
  connection.updateSegmentBytes();
  if (!isSynchronized(connection.state)) return;
  if (connection.segmentBytes < before) connection.sender.onSegmentSizeReduced(nowMicros);
  else if (connection.segmentBytes > before) connection.sender.onSegmentSizeRaised();
}

/** The connection is established: with `mtuProbing` 2 it does not trust the link's MTU but begins small and searches. */
export function beginPathSearch(connection: TcpConnection, nowMicros: number): void {
  const { config } = connection.layer;
  if (config.mtuProbing !== 2) return;
  connection.pathSearch = makeSearch(connection, nowMicros);
  connection.updateSegmentBytes();
}

/**
 * RFC 8899 §4.3, RFC 4821 §7.7: repeated timeouts may mean that large packets vanish without a word (a black hole). The
 * first time, searching begins where the configuration allows it; from then on segments are halved.
 */
export function shrinkAfterTimeouts(connection: TcpConnection, nowMicros: number): void {
  const { config, counters } = connection.layer;
  if (config.mtuProbing === 0) return;
  if (connection.pathSearch === null) connection.pathSearch = makeSearch(connection, nowMicros);
  else connection.pathSearch.fallBack(config, nowMicros);
  counters.pathBlackHoles++;
  changeSegmentSize(connection, nowMicros);
}

/** Payload of the probe to send now, or 0. The congestion window has room for `quotaBytes`. */
export function probePayload(connection: TcpConnection, quotaBytes: number, nowMicros: number): number {
  const { pathSearch, sender, receiver, layer } = connection;
  if (pathSearch === null || sender.recovery.state !== 'open' || receiver.hasSack) return 0;
  const { unsentBytes, usableWindow, cwndSegments } = sender;
  const bytes = pathSearch.next(unsentBytes, usableWindow, cwndSegments, layer.config, nowMicros);
  const payloadBytes = bytes - connection.optionBytes;
  return payloadBytes > connection.segmentBytes && payloadBytes <= quotaBytes ? payloadBytes : 0;
}

/** The probe has gone out: [start, end) are its sequence numbers. */
export function probeSent(connection: TcpConnection, payloadBytes: number, start: number, end: number): void {
  connection.pathSearch?.sent(payloadBytes + connection.optionBytes, start, end);
  connection.layer.counters.pathProbes++;
}

/** Something was acknowledged: perhaps the probe. */
export function takeProbe(connection: TcpConnection, nowMicros: number): void {
  const { pathSearch, sender, layer } = connection;
  if (pathSearch === null || pathSearch.probeBytes === 0 || sequenceLess(sender.sndUna, pathSearch.probeEnd)) return;
  pathSearch.arrived(nowMicros);
  layer.counters.pathProbesArrived++;
  changeSegmentSize(connection, nowMicros);
}

/**
 * A loss was found. If it is the probe's alone, its size is to blame and not the network's load (RFC 8899 §4.4, RFC 4821
 * §7.4): it goes out again in pieces, and the congestion window stays as it is.
 */
export function blameProbe(connection: TcpConnection, nowMicros: number): boolean {
  const { pathSearch, sender } = connection;
  if (pathSearch === null || pathSearch.probeBytes === 0) return false;
  if (sender.sndUna !== pathSearch.probeStart || sender.scoreboard.lostRecords !== 1) return false;
  pathSearch.lost(nowMicros);
  sender.onSegmentSizeReduced(nowMicros);
  return true;
}

function makeSearch(connection: TcpConnection, nowMicros: number): PathSearch {
  const { config } = connection.layer;
  const baseBytes = Math.min(config.baseMssBytes + connection.headerBytes, connection.pathMtuBytes);
  return new PathSearch(baseBytes, connection.pathMtuBytes, connection.headerBytes, nowMicros);
}
