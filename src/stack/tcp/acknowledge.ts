import { sequenceDifference } from '../../wire/sequence.ts';
import type { TcpConnection } from './connection.ts';
import { EMIT_BLOCKED, EMIT_SENT } from './emit.ts';
import { canReceive } from './state.ts';
import { TIMER_DELAYED_ACK } from './timers.ts';

/** Part of the delay that is left when an acknowledgment is not worth waiting for any more. */
const NEARLY_DUE = 4;

/** Before anything is sent: opens the receive window as far as it may, so that whatever goes out next says so. */
export function openWindow(connection: TcpConnection): void {
  if (!canReceive(connection.state) || connection.isClosedByApplication) return;
  const { receiver, layer } = connection;
  const { window, queue, reassembly, rcvNxt } = receiver;
  const before = Math.max(0, sequenceDifference(window.edge, rcvNxt));
  const mss = Math.min(receiver.segmentBytes, receiver.advertisedMss);
  const gain = window.gain(rcvNxt, queue.bytes, reassembly.bytes, mss);
  if (window.isStarved) layer.listStarved(connection);
  if (gain === 0) return;
  // Worth a segment of its own when it was closed or at least doubles, as Linux has it; the first window of all is
  // not: it grows with the first acknowledgment.
  const isNews = before < 2 * mss || (gain >= before && connection.dataSegmentsIn > 0);
  if (!receiver.ackNow && !receiver.ackDelayed && !isNews) return;
  window.advance(gain, rcvNxt, reassembly.bytes);
  if (!receiver.ackNow && isNews) {
    receiver.ackNow = true;
    layer.counters.windowUpdates++;
  }
}

/** After everything else was sent: the acknowledgment that is still due, or its timer. False: the way is blocked. */
export function flushAck(connection: TcpConnection, nowMicros: number): boolean {
  const { receiver } = connection;
  if (!receiver.ackNow && receiver.ackDelayed) delayAck(connection, nowMicros);
  if (!receiver.ackNow) return true;
  // A sender without SACK counts duplicates: each segment out of order is one (RFC 5681 §4.2).
  let copies = 1;
  if (!connection.sackEnabled && receiver.duplicateAcks > 0) {
    copies = receiver.duplicateAcks + (receiver.lastAckSent === receiver.rcvNxt ? 0 : 1);
  }
  while (copies-- > 0) {
    const verdict = connection.layer.writer.write(connection, connection.sender.sndNxt, 0, 0, 0, nowMicros);
    if (verdict === EMIT_SENT) connection.layer.counters.pureAcksOut++;
    if (verdict === EMIT_BLOCKED) return false;
  }
  return true;
}

/** What is to be said before a segment that would overwrite it: each duplicate is reported (RFC 2883 §4). */
export function flushDuplicate(connection: TcpConnection, nowMicros: number): void {
  if (connection.receiver.hasDuplicate && connection.receiver.ackNow) flushAck(connection, nowMicros);
}

/** Sets the timer, or moves it, unless the acknowledgment would come so soon that it may as well go out now. */
function delayAck(connection: TcpConnection, nowMicros: number): void {
  const { receiver, timers, sender, options, layer } = connection;
  const { ackTiming } = receiver;
  const delay = ackTiming?.delayMicros(sender.rtt.srttMicros, options) ?? layer.config.delayedAckMicros;
  if (!timers.runs(TIMER_DELAYED_ACK)) {
    timers.set(TIMER_DELAYED_ACK, nowMicros + delay);
    receiver.hasNewDelay = false;
    return;
  }
  if (!receiver.hasNewDelay) return;
  receiver.hasNewDelay = false;
  const deadline = timers.at(TIMER_DELAYED_ACK);
  if (deadline <= nowMicros + delay / NEARLY_DUE) receiver.ackNow = true;
  else if (nowMicros + delay < deadline) timers.set(TIMER_DELAYED_ACK, nowMicros + delay);
}
