import { ERRNO } from '../../src/core/errno.ts';
import { SeededRandom } from '../../src/core/random.ts';
import type { TcpConnection, TcpObserver } from '../../src/stack/tcp/connection.ts';
import type { SimHost, Task } from './host.ts';
import { Reader, type ReaderOptions } from './reader.ts';
import { PATTERN, PatternStream } from './stream.ts';
import type { World } from './world.ts';

/** One question and one answer. Bytes; either may be 0. */
export interface Exchange {
  upBytes: number;
  downBytes: number;
  /** How long the client thinks before it asks. */
  pauseMicros?: number;
}

/** How a conversation ends: both say so; the client closes; the server closes; the client tears it down. */
export type Ending = 'both' | 'client' | 'server' | 'abort';

export interface FlowPlan {
  id: number;
  client: SimHost;
  server: SimHost;
  family: 4 | 6;
  startMicros: number;
  exchanges: readonly Exchange[];
  /** Both sides say all they have without waiting for each other. */
  duplex?: boolean;
  ending?: Ending;
  noDelay?: boolean;
  keepaliveMicros?: number;
  /** The most bytes of one `send`. */
  writeBytes?: number;
  clientReader?: ReaderOptions;
  serverReader?: ReaderOptions;
}

/** Who hears of what becomes of a flow. */
export interface FlowOwner {
  readonly world: World;
  accepted(end: FlowEnd): void;
  progressed(flow: Flow, bytes: number): void;
  ended(flow: Flow, end: FlowEnd): void;
}

/** One attempt at a conversation. */
export class Flow {
  readonly plan: FlowPlan;
  readonly owner: FlowOwner;
  readonly client: FlowEnd;
  /** Null until the server has accepted. */
  server: FlowEnd | null = null;
  readonly startedMicros: number;
  readonly #streams: readonly [PatternStream, PatternStream];
  readonly #totals: readonly [number, number];
  #exchange = 0;
  /** Bytes of the exchanges that are over. */
  #upBefore = 0;
  #downBefore = 0;
  #isPausing = false;

  constructor(owner: FlowOwner, plan: FlowPlan, attempt: number, connection: TcpConnection) {
    this.owner = owner;
    this.plan = plan;
    this.startedMicros = owner.world.nowMicros;
    const id = (plan.id * 64 + attempt) * 2;
    this.#streams = [new PatternStream(id), new PatternStream(id + 1)];
    this.#totals = [sum(plan.exchanges, 'upBytes'), sum(plan.exchanges, 'downBytes')];
    this.client = this.#end('client', plan.client, connection);
  }

  accept(connection: TcpConnection): void {
    this.server = this.#end('server', this.plan.server, connection);
    this.owner.accepted(this.server);
    this.plan.server.wake(this.server);
  }

  /** Bytes of its stream that an end may have sent by now. */
  allowance(end: FlowEnd): number {
    const isClient = end === this.client;
    const total = this.#totals[isClient ? 0 : 1];
    if (this.plan.duplex === true) return total;
    this.#advance();
    const current = this.plan.exchanges[this.#exchange];
    if (current === undefined) return total;
    if (isClient) return this.#upBefore + (this.#isPausing ? 0 : current.upBytes);
    const isAsked = (this.server?.reader.received ?? 0) >= this.#upBefore + current.upBytes;
    return this.#downBefore + (isAsked && !this.#isPausing ? current.downBytes : 0);
  }

  /** An exchange is over when its answer has arrived whole; the next begins after the client's pause. */
  #advance(): void {
    const { exchanges } = this.plan;
    while (this.#exchange < exchanges.length && !this.#isPausing) {
      const { upBytes, downBytes } = exchanges[this.#exchange]!;
      if ((this.server?.reader.received ?? 0) < this.#upBefore + upBytes) return;
      if (this.client.reader.received < this.#downBefore + downBytes) return;
      this.#exchange++;
      this.#upBefore += upBytes;
      this.#downBefore += downBytes;
      const pauseMicros = exchanges[this.#exchange]?.pauseMicros ?? 0;
      // Whoever did not bring this about has to hear of it too.
      this.plan.client.wake(this.client);
      if (pauseMicros === 0) continue;
      this.#isPausing = true;
      this.owner.world.after(pauseMicros, () => {
        this.#isPausing = false;
        this.plan.client.wake(this.client);
      });
    }
  }

  #end(role: 'client' | 'server', host: SimHost, connection: TcpConnection): FlowEnd {
    const { plan } = this;
    const [out, into] = role === 'client' ? [0, 1] : [1, 0];
    const options = (role === 'client' ? plan.clientReader : plan.serverReader) ?? {};
    const random = new SeededRandom(this.owner.world.nextSeed());
    const reader = new Reader(this.owner.world, host, this.#streams[into]!, random, options);
    return new FlowEnd(
      this,
      role,
      host,
      connection,
      reader,
      this.#streams[out]!,
      this.#totals[out]!,
      this.#totals[into]!,
    );
  }
}

/** One end: an application that sends what it may, reads what it gets, and ends as planned. */
export class FlowEnd implements Task, TcpObserver {
  isListed = false;
  sent = 0;
  readonly flow: Flow;
  readonly role: 'client' | 'server';
  readonly host: SimHost;
  readonly connection: TcpConnection;
  readonly reader: Reader;
  readonly toSend: number;
  readonly toReceive: number;
  /** Its part of the conversation is over: rightly, or with an errno. */
  isOver = false;
  errno = 0;
  readonly #stream: PatternStream;
  #isClosing = false;

  constructor(
    flow: Flow,
    role: 'client' | 'server',
    host: SimHost,
    connection: TcpConnection,
    reader: Reader,
    stream: PatternStream,
    toSend: number,
    toReceive: number,
  ) {
    this.flow = flow;
    this.role = role;
    this.host = host;
    this.connection = connection;
    this.reader = reader;
    this.#stream = stream;
    this.toSend = toSend;
    this.toReceive = toReceive;
    const { noDelay, keepaliveMicros } = flow.plan;
    connection.observer = this;
    if (noDelay === true) connection.noDelay = true;
    if (keepaliveMicros !== undefined) connection.setKeepalive(true, host.nowMicros(), keepaliveMicros);
  }

  /** All was said and heard. */
  get isComplete(): boolean {
    return this.sent === this.toSend && this.reader.received === this.toReceive;
  }

  tcpEvent(_connection: TcpConnection, _events: number): void {
    this.host.wake(this);
  }

  serve(nowMicros: number): void {
    if (this.isOver) return;
    const { flow, connection, reader } = this;
    if (this.#isClosing) {
      this.#awaitAcknowledgment(nowMicros);
      return;
    }
    const taken = reader.read(connection, () => this.host.wake(this));
    if (reader.received > this.toReceive) throw new Error(`${this.describe()}: more arrived than was sent`);
    if (taken > 0) flow.owner.progressed(flow, taken);
    this.#send(flow.allowance(this));
    if (connection.receiveQueue.bytes > 0) return;
    if (this.isComplete && this.#endsRightly(nowMicros)) {
      this.#isClosing = true;
      this.#awaitAcknowledgment(nowMicros);
    } else if (connection.errno !== 0) {
      this.#fail(nowMicros);
    } else if (connection.finReceived && reader.received < this.toReceive) {
      throw new Error(`${this.describe()}: the stream ended early`);
    }
  }

  /** The host has crashed. */
  vanish(): void {
    if (!this.isOver) this.#over(ERRNO.EIO);
  }

  /** The application is ended from outside. */
  abort(): void {
    if (this.isOver) return;
    this.connection.abort(this.host.nowMicros());
    this.host.touch();
    this.#over(ERRNO.ECANCELED);
  }

  describe(): string {
    const { plan } = this.flow;
    const { connection, reader } = this;
    const where = `flow ${plan.id} ${this.role} (${plan.client.name} to ${plan.server.name})`;
    const counts = `sent ${this.sent}/${this.toSend}, received ${reader.received}/${this.toReceive}`;
    const { sender, receiver } = connection;
    const window = `cwnd ${sender.congestion.cwndBytes} wnd ${sender.sndWnd} una ${sender.unaOffset}`;
    const timers = [0, 1, 2, 3, 4, 5, 6, 7].map((row) => connection.timers.at(row)).join(',');
    return (
      `${where}: ${connection.state} errno ${connection.errno}, ${counts}, ${window}, rcv ${receiver.window.promisedBytes}, ` +
      `${sender.recovery.state} pipe ${sender.pipeBytes} of ${sender.scoreboard.outstandingBytes}, timers ${timers} at ${this.host.nowMicros()}`
    );
  }

  #send(allowed: number): void {
    const { connection } = this;
    const writeBytes = this.flow.plan.writeBytes ?? Number.POSITIVE_INFINITY;
    while (this.sent < allowed) {
      const length = this.#stream.run(this.sent, Math.min(allowed - this.sent, writeBytes));
      const accepted = connection.send(PATTERN, this.#stream.place(this.sent), length);
      if (accepted === 0) return;
      this.sent += accepted;
    }
  }

  /** Everything was said and heard: ends as planned. True: this end has nothing to do any more. */
  #endsRightly(nowMicros: number): boolean {
    const { connection } = this;
    const ending = this.flow.plan.ending ?? 'both';
    const begins = ending === 'both' || ending === this.role || (ending === 'abort' && this.role === 'client');
    if (ending === 'abort' && this.role === 'client') {
      if (connection.errno !== 0) return false;
      if (connection.completedOffset < this.toSend) return false;
      connection.abort(nowMicros);
      return true;
    }
    // A peer that tears down what is finished may do so before our last word has reached it.
    if (ending === 'abort' && connection.errno === ERRNO.ECONNRESET) {
      connection.close(nowMicros);
      return true;
    }
    if (connection.errno !== 0) return false;
    if (begins && ending === this.role) {
      connection.close(nowMicros);
      return true;
    }
    if (begins) connection.shutdown(nowMicros);
    if (!connection.finReceived) return false;
    connection.close(nowMicros);
    return true;
  }

  /** Closed is not yet delivered: the peer has to acknowledge what is under way. */
  #awaitAcknowledgment(nowMicros: number): void {
    const { connection } = this;
    const ending = this.flow.plan.ending ?? 'both';
    if (connection.completedOffset >= this.toSend || (ending === 'abort' && connection.errno === ERRNO.ECONNRESET)) {
      this.#over(0);
    } else if (connection.errno !== 0) {
      this.#fail(nowMicros);
    }
  }

  #fail(nowMicros: number): void {
    const { connection } = this;
    const { errno } = connection;
    connection.close(nowMicros);
    this.#over(errno);
  }

  #over(errno: number): void {
    this.isOver = true;
    this.errno = errno;
    this.reader.releaseAll();
    this.flow.owner.ended(this.flow, this);
  }
}

function sum(exchanges: readonly Exchange[], key: 'upBytes' | 'downBytes'): number {
  let total = 0;
  for (const exchange of exchanges) total += exchange[key];
  return total;
}
