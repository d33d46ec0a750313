import { channels } from '../../src/core/channels.ts';
import { NEVER } from '../../src/core/clock.ts';
import type { PagePool } from '../../src/memory/page-pool.ts';
import type { Nic } from '../../src/nic/nic.ts';
import type { TcpConnection } from '../../src/stack/tcp/connection.ts';
import type { TcpLayer } from '../../src/stack/tcp/layer.ts';
import type { TcpState } from '../../src/stack/tcp/state.ts';
import { MAX_BURST_BYTES } from '../../src/stack/tcp/config.ts';
import { TIMER_PACING, TIMER_PERSIST, TIMER_RETRANSMIT } from '../../src/stack/tcp/timers.ts';
import { sequenceDifference } from '../../src/wire/sequence.ts';

/** RFC 9293 §3.3.2, figure 5, with the ways out that the text adds: any state may end at once. */
const LEGAL: Readonly<Record<TcpState, readonly TcpState[]>> = {
  CLOSED: ['SYN-SENT', 'SYN-RECEIVED', 'LISTEN', 'ESTABLISHED'],
  LISTEN: ['SYN-RECEIVED', 'SYN-SENT', 'CLOSED'],
  'SYN-SENT': ['SYN-RECEIVED', 'ESTABLISHED', 'CLOSED'],
  'SYN-RECEIVED': ['ESTABLISHED', 'FIN-WAIT-1', 'CLOSE-WAIT', 'CLOSED'],
  ESTABLISHED: ['FIN-WAIT-1', 'CLOSE-WAIT', 'CLOSED'],
  'FIN-WAIT-1': ['FIN-WAIT-2', 'CLOSING', 'TIME-WAIT', 'CLOSED'],
  'FIN-WAIT-2': ['TIME-WAIT', 'CLOSED'],
  'CLOSE-WAIT': ['LAST-ACK', 'CLOSED'],
  CLOSING: ['TIME-WAIT', 'CLOSED'],
  'LAST-ACK': ['CLOSED'],
  'TIME-WAIT': ['CLOSED'],
};

/** Bits of `Scoreboard.verdicts`. */
const SACKED = 1;
const LOST = 2;
const RETRANSMITTED = 4;

/** However short the timeout: so long what may be sent waits at most, in microseconds. */
const MAX_WAIT_MICROS = 1_000_000;

/** What does not hold. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

function check(holds: boolean, message: () => string): void {
  if (!holds) throw new InvariantError(message());
}

/** Watches every change of state in the process; `take` answers the illegal ones since the last call. */
export class TransitionWatch {
  #illegal: string[] = [];
  readonly #listener = (message: unknown): void => {
    const { from, to } = message as { from: TcpState; to: TcpState };
    if (!LEGAL[from].includes(to)) this.#illegal.push(`${from} to ${to}`);
  };

  constructor() {
    channels.tcpState.subscribe(this.#listener);
  }

  check(): void {
    check(this.#illegal.length === 0, () => `illegal change of state: ${this.#illegal.splice(0).join(', ')}`);
  }

  close(): void {
    channels.tcpState.unsubscribe(this.#listener);
  }
}

/** What a connection was like when it was looked at last. */
class Past {
  unaOffset = -1;
  queuedOffset = 0;
  completedOffset = 0;
  received = 0;
  rcvNxt = 0;
  edge = 0;
  hasReceived = false;
}

/** Everything that must hold of one TCP layer at any moment between two calls of it. Keeps what it saw last. */
export class LayerInvariants {
  readonly #layer: TcpLayer;
  readonly #pools: readonly PagePool[];
  readonly #past = new WeakMap<TcpConnection, Past>();

  /** @param pools all those that windows of the layer follow. */
  constructor(layer: TcpLayer, pools: readonly PagePool[]) {
    this.#layer = layer;
    this.#pools = pools;
  }

  /** @param thorough recount what is kept as sums. */
  check(nowMicros: number, thorough: boolean): void {
    const layer = this.#layer;
    let connections = 0;
    let timers = 0;
    let earliest = NEVER;
    for (const connection of layer.connections) {
      connections++;
      check(connection.state !== 'CLOSED', () => `a connection in CLOSED is in the table: ${nameOf(connection)}`);
      this.#checkConnection(connection, nowMicros, thorough);
      const deadline = earliestDeadline(connection);
      if (deadline !== NEVER) timers++;
      if (deadline < earliest) earliest = deadline;
    }
    const counted = layer.connectionCount - layer.timeWaitCount;
    check(connections === counted, () => `${connections} connections, counted ${counted}`);
    check(layer.timers.size >= timers, () => `${timers} connections have timers, ${layer.timers.size} are filed`);
    check(!Number.isNaN(layer.pollAt()), () => 'pollAt is no time');
    check(layer.pollAt() <= Math.ceil(earliest), () => `a timer due at ${earliest} is not filed: ${layer.pollAt()}`);
    for (const pool of this.#pools) this.#checkPool(pool);
  }

  #checkPool(pool: PagePool): void {
    let promised = 0;
    let sharers = 0;
    for (const { receiver } of this.#layer.connections) {
      if (receiver.window.pool === pool) promised += receiver.window.promisedBytes;
      if (receiver.window.pool === pool) sharers++;
    }
    check(
      pool.promisedBytes === promised,
      () => `the pool has promised ${pool.promisedBytes}, its windows ${promised}`,
    );
    check(
      promised <= pool.availableBytes,
      () => `${promised} bytes are promised, ${pool.availableBytes} are there (${sharers} windows)`,
    );
    check(pool.sharers >= 0 && pool.sharers <= sharers, () => `${pool.sharers} sharers of ${sharers} connections`);
    check(pool.waiters >= 0 && pool.waiters <= pool.sharers, () => `${pool.waiters} wait of ${pool.sharers} sharers`);
  }

  #checkConnection(connection: TcpConnection, nowMicros: number, thorough: boolean): void {
    const { sender, receiver } = connection;
    const { scoreboard } = sender;
    const { window } = receiver;
    const where = (what: string) => (): string => `${what}: ${nameOf(connection)} at ${nowMicros} µs`;
    const past = this.#pastOf(connection);

    check(sender.unaOffset >= past.unaOffset, where(`unaOffset fell to ${sender.unaOffset}`));
    check(connection.queuedOffset >= past.queuedOffset, where('queuedOffset fell'));
    check(connection.completedOffset >= past.completedOffset, where('completedOffset fell'));
    check(connection.completedOffset <= connection.queuedOffset, where('more is completed than was queued'));
    if (sender.unaOffset >= 0) {
      check(sender.unaOffset <= connection.queuedOffset + 1, where('more is acknowledged than was queued'));
      check(connection.completedOffset <= sender.unaOffset, where('more is completed than is acknowledged'));
    }
    check(sequenceDifference(sender.sndNxt, sender.sndUna) >= 0, where('SND.NXT is before SND.UNA'));
    check(sender.sndWnd >= 0, where(`SND.WND is ${sender.sndWnd}`));
    // The window is set when the segment size is known.
    check(sender.unaOffset < 0 || sender.congestion.cwndBytes > 0, where(`cwnd is ${sender.congestion.cwndBytes}`));
    check(sender.pipeBytes >= 0, where(`pipe is ${sender.pipeBytes}`));
    check(
      scoreboard.outstandingBytes >= 0 && scoreboard.sackedBytes >= 0 && scoreboard.lostBytes >= 0,
      where('a sum of the scoreboard is below zero'),
    );
    check(
      scoreboard.sackedBytes + scoreboard.lostBytes <= scoreboard.outstandingBytes,
      where('more is sacked and lost than outstanding'),
    );

    check(receiver.bytesReceived >= past.received, where('bytesReceived fell'));
    check(window.promisedBytes >= 0, where(`${window.promisedBytes} bytes are promised`));
    if (past.hasReceived) {
      check(sequenceDifference(receiver.rcvNxt, past.rcvNxt) >= 0, where('RCV.NXT went back'));
      check(sequenceDifference(window.edge, past.edge) >= 0, where('the edge of the window went back'));
    }
    if (receiver.irs !== 0 || receiver.rcvNxt !== 0) {
      check(
        receiver.finReceived || sequenceDifference(window.edge, receiver.rcvNxt) >= 0,
        where('RCV.NXT has passed the edge of the window'),
      );
    }
    check(receiver.queue.bytes >= 0 && receiver.reassembly.bytes >= 0, where('a queue holds less than nothing'));
    if (this.#layer.pollAt() > nowMicros) checkProgress(connection, nowMicros, where);
    if (thorough) this.#recount(connection, where);

    past.unaOffset = sender.unaOffset;
    past.queuedOffset = connection.queuedOffset;
    past.completedOffset = connection.completedOffset;
    past.received = receiver.bytesReceived;
    past.rcvNxt = receiver.rcvNxt;
    past.edge = window.edge;
    past.hasReceived = receiver.rcvNxt !== 0 && connection.state !== 'SYN-SENT';
  }

  #recount(connection: TcpConnection, where: (what: string) => () => string): void {
    const { sender, receiver } = connection;
    const { scoreboard } = sender;
    const sums = { outstanding: 0, sacked: 0, lost: 0, retransmitted: 0 };
    for (let record = scoreboard.first; record < scoreboard.first + scoreboard.count; record++) {
      const bytes = sequenceDifference(scoreboard.end(record), scoreboard.start(record));
      const verdicts = scoreboard.verdicts(record);
      check(bytes > 0, where('an empty record on the scoreboard'));
      const isFirst = record === scoreboard.first;
      check(isFirst || scoreboard.start(record) === scoreboard.end(record - 1), where('a gap on the scoreboard'));
      check((verdicts & SACKED) === 0 || verdicts === SACKED, where('a record that has arrived and is lost'));
      sums.outstanding += bytes;
      if ((verdicts & SACKED) !== 0) sums.sacked += bytes;
      if ((verdicts & LOST) !== 0) sums.lost += bytes;
      if ((verdicts & RETRANSMITTED) !== 0) sums.retransmitted += bytes;
    }
    check(
      sums.outstanding === scoreboard.outstandingBytes,
      where(`outstanding ${scoreboard.outstandingBytes}, not ${sums.outstanding}`),
    );
    check(sums.sacked === scoreboard.sackedBytes, where(`sacked ${scoreboard.sackedBytes}, not ${sums.sacked}`));
    check(sums.lost === scoreboard.lostBytes, where(`lost ${scoreboard.lostBytes}, not ${sums.lost}`));
    check(
      sums.retransmitted === scoreboard.retransmittedBytes,
      where(`sent again ${scoreboard.retransmittedBytes}, not ${sums.retransmitted}`),
    );
    if (scoreboard.count > 0) {
      const last = scoreboard.first + scoreboard.count - 1;
      check(scoreboard.start(scoreboard.first) === sender.sndUna, where('the scoreboard does not begin at SND.UNA'));
      check(scoreboard.end(last) === sender.sndNxt, where('the scoreboard does not end at SND.NXT'));
    }
    let stored = 0;
    for (let i = 0; i < receiver.reassembly.blockCount; i++) {
      const [start, end] = [receiver.reassembly.blockStart(i), receiver.reassembly.blockEnd(i)];
      check(sequenceDifference(end, start) > 0, where('an empty island'));
      check(sequenceDifference(start, receiver.rcvNxt) > 0, where('an island that is in order'));
      if (i > 0) check(sequenceDifference(start, receiver.reassembly.blockEnd(i - 1)) > 0, where('islands that touch'));
      stored += sequenceDifference(end, start);
    }
    check(stored === receiver.reassembly.bytes, where(`islands hold ${stored}, not ${receiver.reassembly.bytes}`));
    let queued = 0;
    for (let i = 0; i < receiver.queue.count; i++) queued += receiver.queue.size(i);
    check(queued === receiver.queue.bytes, where(`the queue holds ${queued}, not ${receiver.queue.bytes}`));
  }

  #pastOf(connection: TcpConnection): Past {
    let past = this.#past.get(connection);
    if (past === undefined) {
      past = new Past();
      this.#past.set(connection, past);
    }
    return past;
  }
}

/** No payload was ever dropped for want of a page: what windows promise is there. */
export function checkNoPageDrops(nic: Nic): void {
  check(nic.counters.rxDropNoPage === 0, () => `${nic.counters.rxDropNoPage} frames were dropped for want of pages`);
}

/** References to unread pages of connections that their layer knows no more: their applications may still read them. */
export function unreadReferences(connections: Iterable<TcpConnection>, pool: PagePool): number {
  let references = 0;
  for (const { state, receiveQueue, receiver } of connections) {
    if (state !== 'CLOSED' && state !== 'TIME-WAIT') continue;
    references += receiver.packing?.referencesTo(pool) ?? 0;
    for (let i = 0; i < receiveQueue.count; i++) if (receiveQueue.pool(i) === pool) references++;
  }
  return references;
}

/** Every reference is one that somebody known holds. @param held references that applications keep. */
export function checkPages(nic: Nic, pool: PagePool, layer: TcpLayer, held: number): void {
  let queued = 0;
  for (const { receiver } of layer.connections) {
    for (let i = 0; i < receiver.queue.count; i++) if (receiver.queue.pool(i) === pool) queued++;
    queued += receiver.reassembly.referencesTo(pool);
    queued += receiver.packing?.referencesTo(pool) ?? 0;
  }
  const known = queued + held + nic.ringReferences(pool);
  check(pool.referenceTotal === known, () => `${pool.referenceTotal} references to pages, ${known} of them known`);
}

/** What must be left when everything has ended: nothing. */
export function checkQuiet(nic: Nic, layer: TcpLayer, pools: readonly PagePool[]): void {
  check(layer.connectionCount === 0, () => {
    const left = [...layer.connections].map(nameOf).join('; ');
    return `${layer.connectionCount} connections are left: ${left}`;
  });
  check(layer.timeWaitCount === 0, () => `${layer.timeWaitCount} connections are left in TIME-WAIT`);
  check(layer.timers.size === 0, () => `${layer.timers.size} timers are left`);
  check(layer.pollAt() === NEVER, () => 'there is work left');
  for (const pool of pools) {
    check(pool.promisedBytes === 0, () => `${pool.promisedBytes} bytes are still promised`);
    check(pool.sharers === 0, () => `${pool.sharers} sharers are left`);
    check(pool.waiters === 0, () => `${pool.waiters} waiters are left`);
    const lost = pool.referenceTotal - nic.ringReferences(pool);
    check(lost === 0, () => `${lost} references to pages are left`);
  }
}

/** Something is to be sent, the window is open, and nothing is in flight that would be answered: soon a timer asks. */
function checkProgress(connection: TcpConnection, nowMicros: number, where: (what: string) => () => string): void {
  const { sender, timers, options, isWayBlocked } = connection;
  const hasWork = sender.unsentBytes > 0 || (sender.finQueued && !sender.finSent);
  if (!hasWork || isWayBlocked || sender.unaOffset < 0 || sender.scoreboard.count > 0 || sender.usableWindow <= 0)
    return;
  const next = Math.min(timers.at(TIMER_RETRANSMIT), timers.at(TIMER_PERSIST), timers.at(TIMER_PACING));
  const pacedMicros = (MAX_BURST_BYTES * 1e6) / options.maxPacingBytesPerSecond;
  const most = Math.max(sender.rtt.rtoMicros, MAX_WAIT_MICROS, pacedMicros);
  check(next <= nowMicros + most, where(`what may be sent waits ${next - nowMicros} µs, with nothing in flight`));
}

function earliestDeadline({ timers }: TcpConnection): number {
  let earliest = NEVER;
  for (let row = TIMER_RETRANSMIT; row <= TIMER_PACING; row++) earliest = Math.min(earliest, timers.at(row));
  return earliest;
}

function nameOf(connection: TcpConnection): string {
  const { localPort, remotePort, state } = connection;
  return `${localPort} to ${remotePort} in ${state}`;
}
