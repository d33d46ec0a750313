import { ERRNO } from '../../core/errno.ts';
import { finish } from './closing.ts';
import type { TcpConnection } from './connection.ts';
import { shrinkAfterTimeouts } from './path-mtu.ts';
import { isSynchronized } from './state.ts';
import {
  TIMER_DELAYED_ACK,
  TIMER_KEEPALIVE,
  TIMER_LINGER,
  TIMER_PERSIST,
  TIMER_REORDER,
  TIMER_RETRANSMIT,
  TIMER_TAIL_LOSS,
} from './timers.ts';

/** TCP_THIN_LINEAR_TIMEOUTS: for that many segments in flight at most, and that many timeouts. */
const THIN_SEGMENTS = 4;
const THIN_RETRIES = 6;
/** Between two looks at a link that is full (TCP_RESOURCE_PROBE_INTERVAL). */
const BLOCKED_RETRY_MICROS = 500_000;

/** What each timer of a connection means. What it brings about goes out with the next flush. */
export function timerExpired(connection: TcpConnection, row: number, nowMicros: number): void {
  switch (row) {
    case TIMER_RETRANSMIT:
      retransmitTimeout(connection, nowMicros);
      return;
    case TIMER_REORDER:
      connection.sender.onReorderTimeout(nowMicros);
      return;
    case TIMER_TAIL_LOSS:
      connection.sender.onTailLossTimeout();
      return;
    case TIMER_PERSIST:
      persistTimeout(connection, nowMicros);
      return;
    case TIMER_DELAYED_ACK:
      connection.receiver.ackTiming?.onTimeout(connection.sender.rtt.rtoMicros);
      connection.receiver.ackNow = true;
      connection.layer.counters.delayedAcks++;
      return;
    case TIMER_KEEPALIVE:
      connection.keepalive.timeout(nowMicros);
      return;
    case TIMER_LINGER:
      finish(connection, 0);
      return;
    default:
  }
}

function retransmitTimeout(connection: TcpConnection, nowMicros: number): void {
  if (connection.handshake.isUnderWay) {
    connection.handshake.timeout(nowMicros);
    return;
  }
  const { sender, options, layer } = connection;
  if (sender.yieldsToProbe(nowMicros)) return;
  const stalled = sender.stalledSinceMicros >= 0 ? nowMicros - sender.stalledSinceMicros : 0;
  const isOverdue = options.userTimeoutMicros > 0 && stalled >= options.userTimeoutMicros; // RFC 5482
  if (isOverdue || sender.retries >= retryLimit(connection)) {
    giveUp(connection);
    return;
  }
  if (sender.retries + 1 >= layer.config.doubtfulRetries) shrinkAfterTimeouts(connection, nowMicros); // RFC 8899 §4.3
  sender.onRetransmitTimeout(nowMicros);
  if (options.thinLinearTimeouts && sender.retries <= THIN_RETRIES && isThin(connection)) {
    sender.rtt.backoff = 0;
    sender.armRetransmit(nowMicros);
  }
  if (connection.fastOpen?.isClient === true) layer.fastOpenClient.timedOut(connection, sender.retries, nowMicros);
}

/** So little in flight that fast retransmission can hardly work (tcp_stream_is_thin). */
function isThin({ sender }: TcpConnection): boolean {
  return sender.scoreboard.count < THIN_SEGMENTS && Number.isFinite(sender.congestion.ssthreshBytes);
}

function persistTimeout(connection: TcpConnection, nowMicros: number): void {
  const { sender, options } = connection;
  if (connection.probingSinceMicros < 0) connection.probingSinceMicros = nowMicros;
  // RFC 9293 §3.8.6.1: a peer that acknowledges probes may keep its window shut; one that is silent is gone. The user's
  // own timeout makes no difference between them (RFC 5482 §1).
  const { userTimeoutMicros } = options;
  const isOverdue = userTimeoutMicros > 0 && nowMicros - connection.probingSinceMicros >= userTimeoutMicros;
  if (isOverdue || (sender.probes >= retryLimit(connection) && !connection.isWayBlocked)) {
    giveUp(connection);
    return;
  }
  // Nobody holds it any more: a peer that answers and takes nothing does not keep it for ever (tcp_probe_timer), nor
  // its memory.
  if (connection.isClosedByApplication && sender.rtt.isAtLimit && sender.rtt.backoff >= retryLimit(connection)) {
    connection.failWithReset(ERRNO.ETIMEDOUT, nowMicros);
    return;
  }
  if (connection.isWayBlocked) {
    sender.probes++;
    connection.timers.set(TIMER_PERSIST, nowMicros + BLOCKED_RETRY_MICROS);
    return;
  }
  sender.onPersistTimeout(nowMicros);
}

/**
 * The link takes nothing, and nothing is in flight whose timer would notice how long that has been so: only a user
 * timeout minds.
 */
export function awaitWay(connection: TcpConnection, nowMicros: number): void {
  const { timers, sender, options } = connection;
  if (options.userTimeoutMicros === 0 || sender.scoreboard.count > 0 || !isSynchronized(connection.state)) return;
  if (!timers.runs(TIMER_PERSIST)) timers.set(TIMER_PERSIST, nowMicros + BLOCKED_RETRY_MICROS);
}

/** RFC 9293 §3.8.3, R2. */
function retryLimit(connection: TcpConnection): number {
  const { config } = connection.layer;
  return connection.isClosedByApplication ? Math.min(config.orphanRetries, config.retries) : config.retries;
}

/** Silently, as in Linux: nothing has come through to this peer for long. If it still asks, it is told then. */
function giveUp(connection: TcpConnection): void {
  connection.fail(connection.softErrno || ERRNO.ETIMEDOUT);
}
