import assert from 'node:assert/strict';
import { randomBelow, SeededRandom } from '../src/core/random.ts';
import type { PagePool } from '../src/memory/page-pool.ts';
import type { TcpConnection } from '../src/stack/tcp/connection.ts';
import { pattern, readAll, TcpPair, type TcpEnd, type TcpPairOptions } from './tcp-pair.ts';

export interface TransferOptions extends TcpPairOptions {
  bytesUp?: number;
  bytesDown?: number;
  /** How long a reader holds pages before it gives them back. */
  holdMicros?: number;
  maxSteps?: number;
  noDelay?: boolean;
  /** The most bytes given to one `send`. */
  writeBytes?: number;
}

interface Held {
  pool: PagePool;
  iov: number;
  untilMicros: number;
}

/** A reader that copies at once and returns its pages late and in random order. */
class LateReader {
  readonly parts: Uint8Array[] = [];
  received = 0;
  readonly #held: Held[] = [];
  readonly #random: SeededRandom;
  readonly #holdMicros: number;

  constructor(random: SeededRandom, holdMicros: number) {
    this.#random = random;
    this.#holdMicros = holdMicros;
  }

  poll(connection: TcpConnection, nowMicros: number): void {
    if (this.#holdMicros === 0) {
      const bytes = readAll(connection, nowMicros);
      this.received += bytes.length;
      this.parts.push(bytes);
      return;
    }
    const queue = connection.receiveQueue;
    const before = this.received;
    while (queue.count > 0) {
      const pool = queue.pool();
      const iov = queue.iov();
      const start = pool.offsetOf(iov) + queue.offset();
      this.parts.push(pool.region.mapping.slice(start, start + queue.size()));
      this.received += queue.size();
      queue.shift();
      this.#held.push({ pool, iov, untilMicros: nowMicros + randomBelow(this.#random, this.#holdMicros) });
    }
    if (this.received > before) connection.consumed(this.received - before, nowMicros);
    this.release(nowMicros);
  }

  release(nowMicros: number): void {
    for (let i = this.#held.length - 1; i >= 0; i--) {
      const { pool, iov, untilMicros } = this.#held[i]!;
      if (untilMicros > nowMicros) continue;
      pool.release(iov);
      this.#held[i] = this.#held[this.#held.length - 1]!;
      this.#held.pop();
    }
  }

  /** When the next page comes back. */
  nextMicros(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { untilMicros } of this.#held) next = Math.min(next, untilMicros);
    return next;
  }
}

/** What holds for one end at any moment. */
export function checkEnd(end: TcpEnd, where: string): void {
  const { pool } = end;
  assert.ok(
    pool.promisedBytes <= pool.availableBytes,
    `${where}: ${pool.promisedBytes} bytes are promised, ${pool.availableBytes} are there`,
  );
  assert.equal(end.landing.droppedNoPage, 0, `${where}: a segment was dropped for want of pages`);
  let promised = 0;
  for (const connection of end.layer.connections) promised += connection.receiver.window.promisedBytes;
  assert.equal(pool.promisedBytes, promised, `${where}: the pool's promises are those of its connections`);
}

/** What holds for one end when everything has ended. */
export function checkQuiet(end: TcpEnd, where: string): void {
  assert.equal(end.layer.connectionCount, 0, `${where}: connections left`);
  assert.equal(end.layer.timers.size, 0, `${where}: timers left`);
  assert.equal(end.layer.pollAt(), Number.POSITIVE_INFINITY, `${where}: work left`);
  assert.equal(end.pool.promisedBytes, 0, `${where}: bytes still promised`);
  assert.equal(end.pool.sharers, 0, `${where}: sharers left`);
  assert.equal(end.pool.waiters, 0, `${where}: waiters left`);
  assert.equal(end.landing.foreignReferences, 0, `${where}: pages not returned`);
  assert.equal(end.ip.framesOpen, 0, `${where}: frames open`);
}

/** Streams in both directions over one connection, closes it, waits it out; checks everything. */
export function transfer(options: TransferOptions): TcpPair {
  const pair = new TcpPair(options);
  const label = `seed ${options.seed ?? 1}`;
  const random = new SeededRandom((options.seed ?? 1) ^ 0x5eed);
  pair.onStep = () => {
    checkEnd(pair.a, `${label}, a`);
    checkEnd(pair.b, `${label}, b`);
  };
  const { client, server, listener } = pair.connect();
  client.noDelay = options.noDelay ?? false;
  server.noDelay = options.noDelay ?? false;
  const ways = [
    { from: client, to: server, data: pattern(options.bytesUp ?? 100_000, 3), sent: 0 },
    { from: server, to: client, data: pattern(options.bytesDown ?? 100_000, 5), sent: 0 },
  ].map((way) => ({ ...way, reader: new LateReader(random, options.holdMicros ?? 0) }));
  const pump = (): void => {
    const now = pair.nowMicros;
    for (const way of ways) {
      const left = way.data.sizeBytes - way.sent;
      if (left > 0) way.sent += way.from.send(way.data, way.sent, Math.min(left, options.writeBytes ?? left));
      else way.from.shutdown(now);
      way.reader.poll(way.to, now);
    }
  };
  const invariants = pair.onStep;
  pair.onStep = () => {
    pump();
    invariants();
  };
  pump();
  const isDone = (): boolean =>
    ways.every(({ to, reader, data }) => (to.finReceived || to.errno !== 0) && reader.received >= data.sizeBytes);
  const maxSteps = options.maxSteps ?? 200_000;
  let steps = 0;
  while (!isDone()) {
    const wake = Math.min(...ways.map(({ reader }) => reader.nextMicros()));
    if (wake < pair.nextMicros()) {
      pair.clock.advanceTo(wake);
      pump();
      // The host runs its stack after pages came back: that is the rule for whoever returns them.
      pair.a.layer.flush(pair.nowMicros);
      pair.b.layer.flush(pair.nowMicros);
    } else if (!pair.step()) {
      throw new Error(`${label}: stuck at ${pair.nowMicros} µs`);
    }
    if (++steps > maxSteps) throw new Error(`${label}: not done at ${pair.nowMicros} µs, ${describe(client, server)}`);
  }
  for (const { to, reader, data } of ways) {
    assert.equal(to.errno, 0, `${label}: errno`);
    assert.ok(Buffer.from(data.mapping).equals(Buffer.concat(reader.parts)), `${label}: the streams differ`);
    reader.release(Number.POSITIVE_INFINITY);
  }
  pair.onStep = invariants;
  client.close(pair.nowMicros);
  server.close(pair.nowMicros);
  listener.close(pair.nowMicros);
  pair.runDry();
  checkQuiet(pair.a, `${label}, a`);
  checkQuiet(pair.b, `${label}, b`);
  return pair;
}

function describe(client: TcpConnection, server: TcpConnection): string {
  return [client, server].map((c) => JSON.stringify({ state: c.state, ...c.info(0) })).join('\n');
}
