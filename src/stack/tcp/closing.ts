import { ERRNO } from '../../core/errno.ts';
import { TCP_RST } from '../../wire/tcp.ts';
import type { TcpConnection } from './connection.ts';
import { EMIT_SENT } from './emit.ts';
import { EVENT_ACKED, EVENT_CLOSED, EVENT_ERROR, EVENT_READABLE, isSynchronized } from './state.ts';
import { TIMER_LINGER } from './timers.ts';

/** The application is done with both directions: FIN behind what is queued, or a reset if it leaves data unread. */
export function close(connection: TcpConnection, nowMicros: number): void {
  if (connection.isClosedByApplication) return;
  const { receiver, state } = connection;
  const hasUnread = receiver.queue.count > 0 || !receiver.reassembly.isEmpty;
  connection.isClosedByApplication = true;
  if (state === 'SYN-SENT' && !keepsSynData(connection)) {
    finish(connection, 0);
  } else if (hasUnread && (isSynchronized(state) || state === 'SYN-RECEIVED') && state !== 'TIME-WAIT') {
    abort(connection, nowMicros); // RFC 2525 §2.17
  } else if (connection.options.lingerSeconds === 0) {
    abort(connection, nowMicros); // SO_LINGER without a wait
  } else {
    connection.shutdown(nowMicros);
    if (state === 'FIN-WAIT-2') awaitPeer(connection, nowMicros);
    limitOrphans(connection, nowMicros);
  }
  // The peer's FIN will need a window: what the SYN says of it holds until that is answered.
  if (connection.state === 'SYN-SENT') return;
  receiver.end();
}

/** RFC 7413 §4.2.1: what went with the SYN was accepted as any data: the connection ends behind it. */
function keepsSynData({ fastOpen, queuedOffset, options }: TcpConnection): boolean {
  return fastOpen !== null && queuedOffset > 0 && options.lingerSeconds !== 0;
}

/** RFC 9293 §3.10.5: a reset to the peer where something could still be said, and the end. */
export function abort(connection: TcpConnection, nowMicros: number): void {
  const { state } = connection;
  const isOver = state === 'CLOSING' || state === 'LAST-ACK' || state === 'TIME-WAIT';
  if (!isOver && (isSynchronized(state) || state === 'SYN-RECEIVED')) sendReset(connection, nowMicros);
  abandon(connection);
}

/** Ends the connection at once and silently. */
export function abandon(connection: TcpConnection): void {
  connection.isClosedByApplication = true;
  const { state } = connection;
  if (state !== 'CLOSED') finish(connection, state === 'TIME-WAIT' ? 0 : ERRNO.ECONNABORTED);
  connection.receiver.clear();
}

/** Our FIN was sent for the first time. */
export function finSent(connection: TcpConnection): void {
  connection.enter(connection.state === 'CLOSE-WAIT' ? 'LAST-ACK' : 'FIN-WAIT-1');
}

/** Our FIN is acknowledged (RFC 9293 §3.10.7.4, fifth step). */
export function finAcknowledged(connection: TcpConnection, nowMicros: number): void {
  const { state } = connection;
  if (state === 'FIN-WAIT-1') {
    connection.enter('FIN-WAIT-2');
    connection.raise(EVENT_ACKED);
    if (connection.isClosedByApplication) awaitPeer(connection, nowMicros);
  } else if (state === 'CLOSING') {
    enterTimeWait(connection, nowMicros);
  } else if (state === 'LAST-ACK') {
    finish(connection, 0);
  }
}

/** The peer's FIN has its turn (eighth step). */
export function peerFinished(connection: TcpConnection, nowMicros: number): void {
  connection.raise(EVENT_READABLE);
  const { state } = connection;
  if (state === 'FIN-WAIT-1' || state === 'FIN-WAIT-2') connection.receiver.ackNow = true;
  if (state === 'ESTABLISHED' || state === 'SYN-RECEIVED') connection.enter('CLOSE-WAIT');
  else if (state === 'FIN-WAIT-1') connection.enter('CLOSING');
  else if (state === 'FIN-WAIT-2') enterTimeWait(connection, nowMicros);
}

export function sendReset(connection: TcpConnection, nowMicros: number): void {
  const { writer, counters } = connection.layer;
  // With the connection's timestamps and window, as every segment of it.
  if (writer.write(connection, connection.sender.sndNxt, TCP_RST, 0, 0, nowMicros) === EMIT_SENT) counters.resetsOut++;
}

/** The last step of every connection. Its unread data stays readable until the application closes. */
export function finish(connection: TcpConnection, errno: number): void {
  const { state, sender, receiver, layer } = connection;
  if (state === 'CLOSED') return;
  forgetOrphan(connection);
  layer.forget(connection, errno);
  connection.enter('CLOSED');
  connection.timers.stopAll();
  connection.releaseMark = Math.max(sender.lastMark(), connection.fastOpen?.synMark ?? 0, 0);
  sender.clear();
  receiver.window.close();
  receiver.reassembly.clear();
  receiver.packing?.release();
  // What was not accepted yet keeps its data: whoever accepts it reads that, and then the error.
  if (connection.isClosedByApplication) receiver.clear();
  if (errno !== 0) {
    connection.errno = errno;
    connection.raise(EVENT_ERROR | EVENT_READABLE);
  }
  if (state !== 'TIME-WAIT') connection.raise(EVENT_CLOSED);
  const { listener } = connection;
  connection.listener = null;
  listener?.lost(connection);
  connection.touch();
}

function enterTimeWait(connection: TcpConnection, nowMicros: number): void {
  const { layer, sender, listener } = connection;
  forgetOrphan(connection);
  connection.timers.stopAll();
  connection.enter('TIME-WAIT');
  connection.timeWait = layer.enteredTimeWait(connection, nowMicros);
  connection.releaseMark = Math.max(sender.lastMark(), 0);
  sender.clear();
  connection.receiver.window.close();
  connection.listener = null;
  listener?.lost(connection);
  connection.raise(EVENT_CLOSED);
}

/** FIN-WAIT-2 of a connection that nobody holds any more does not wait for ever (tcp_fin_timeout, TCP_LINGER2). */
function awaitPeer(connection: TcpConnection, nowMicros: number): void {
  const { finWait2Micros } = connection.options;
  if (finWait2Micros < 0) connection.failWithReset(0, nowMicros);
  else connection.timers.set(TIMER_LINGER, nowMicros + finWait2Micros);
}

/** Closed connections are nobody's: an application that makes many of them does not fill the memory with them. */
function limitOrphans(connection: TcpConnection, nowMicros: number): void {
  const { layer } = connection;
  if (connection.state === 'CLOSED' || connection.state === 'TIME-WAIT') return;
  connection.isOrphan = true;
  layer.orphanCount++;
  if (layer.orphanCount <= layer.config.orphanLimit) return;
  layer.counters.orphansReset++;
  connection.failWithReset(0, nowMicros);
}

/** The connection has ended, or its TIME-WAIT begins. */
function forgetOrphan(connection: TcpConnection): void {
  if (!connection.isOrphan) return;
  connection.isOrphan = false;
  connection.layer.orphanCount--;
}
