import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sequenceDifference } from '../../src/wire/sequence.ts';
import type { TcpConnection } from '../../src/stack/tcp/connection.ts';
import { pattern, readAll, TcpPair } from '../../testing/tcp-pair.ts';
import { checkEnd, checkQuiet } from '../../testing/tcp-transfer.ts';

const HOUR = 3_600_000_000;

interface Stream {
  client: TcpConnection;
  server: TcpConnection;
  toClient: number;
  toServer: number;
}

function connect(pair: TcpPair, port: number): Stream {
  const { client, server, listener } = pair.connect(port);
  listener.close(pair.nowMicros);
  return { client, server, toClient: 0, toServer: 0 };
}

function read(pair: TcpPair, stream: Stream): void {
  stream.toClient += readAll(stream.client, pair.nowMicros).length;
  stream.toServer += readAll(stream.server, pair.nowMicros).length;
}

function windowOf({ receiver }: TcpConnection): number {
  return sequenceDifference(receiver.window.edge, receiver.rcvNxt);
}

function check(pair: TcpPair): void {
  checkEnd(pair.a, 'a');
  checkEnd(pair.b, 'b');
}

function finish(pair: TcpPair, all: readonly Stream[]): void {
  pair.onStep = () => check(pair);
  for (const { client, server } of all) {
    client.abort(pair.nowMicros);
    server.abort(pair.nowMicros);
  }
  pair.runDry();
  checkQuiet(pair.a, 'a');
  checkQuiet(pair.b, 'b');
}

/** All send `bytes` from the server, one after the other is idle already. */
function sendAll(pair: TcpPair, all: readonly Stream[], bytes: number): void {
  const data = pattern(bytes, 3);
  const goals = all.map(({ toClient }) => toClient + bytes);
  const sent = all.map(() => 0);
  pair.onStep = () => {
    check(pair);
    for (const [i, stream] of all.entries()) {
      if (sent[i]! < bytes) sent[i]! += stream.server.send(data, sent[i]!, bytes - sent[i]!);
      read(pair, stream);
    }
  };
  pair.onStep();
  pair.runFor(HOUR);
  assert.deepEqual(
    all.map(({ toClient }) => toClient),
    goals,
  );
}

for (const [pages, count] of [
  [32, 12],
  [32, 24],
  [64, 46],
  [8, 6],
  [512, 490],
] as const) {
  test(`${count} idle connections share ${pages} pages, and all of them hear what is said`, () => {
    const pair = new TcpPair({ pages: [pages, 512] });
    const all = Array.from({ length: count }, (_, i) => connect(pair, 1000 + i));
    sendAll(pair, all, 100);
    assert.ok(all.every(({ client }) => windowOf(client) > 0));
    sendAll(pair, all, 5000);
    finish(pair, all);
  });
}

test('a bulk flow that went idle leaves enough for all that come after it', () => {
  const pair = new TcpPair({ pages: [32, 512] });
  const first = connect(pair, 999);
  sendAll(pair, [first], 1_000_000);
  // The idle one has nearly all of the memory, for ever.
  assert.ok(windowOf(first.client) > 60_000, `${windowOf(first.client)}`);
  const all = [first, ...Array.from({ length: 23 }, (_, i) => connect(pair, 1000 + i))];
  sendAll(pair, all.slice(1), 3000);
  // Once it is used, what it had is shared.
  sendAll(pair, all, 200_000);
  const fewest = Math.min(...all.map(({ client }) => windowOf(client)));
  assert.ok(fewest >= 512, `${fewest}`);
  finish(pair, all);
});

test('one flow alone gets nearly all of the memory', () => {
  const pair = new TcpPair({ pages: [512, 512], delayMicros: 20_000 });
  const stream = connect(pair, 1000);
  sendAll(pair, [stream], 20_000_000);
  const { client } = stream;
  const { tuning } = client.receiver;
  assert.ok(tuning!.spaceBytes > 0.8 * 512 * 4096, `${tuning!.spaceBytes} in a round trip`);
  finish(pair, [stream]);
});

test('memory is short on both sides: windows do not wait for each other', () => {
  for (const pages of [8, 16, 32]) {
    const pair = new TcpPair({ pages: [pages, pages], seed: pages });
    const count = Math.floor(pages * 0.7);
    const all = Array.from({ length: count }, (_, i) => connect(pair, 1000 + i));
    const data = pattern(30_000, 3);
    const echoed = all.map(() => 0);
    const sent = all.map(() => 0);
    pair.onStep = () => {
      check(pair);
      for (const [i, stream] of all.entries()) {
        sent[i]! += stream.client.send(data, sent[i]!, data.sizeBytes - sent[i]!);
        // An echo reads no further than it can answer.
        if (echoed[i]! === stream.toServer) stream.toServer += readAll(stream.server, pair.nowMicros).length;
        echoed[i]! += stream.server.send(data, echoed[i]!, stream.toServer - echoed[i]!);
        stream.toClient += readAll(stream.client, pair.nowMicros).length;
      }
    };
    pair.onStep();
    pair.runUntil(() => all.every(({ toClient }) => toClient === data.sizeBytes), 2_000_000);
    finish(pair, all);
  }
});

test('while somebody waits for a few, a busy flow gets no more than they', () => {
  const pair = new TcpPair({ pages: [32, 512] });
  const busy = connect(pair, 999);
  const late = Array.from({ length: 7 }, () => null as Stream | null);
  const data = pattern(40_000, 3);
  const flood = pattern(1 << 20, 5);
  const sent = late.map(() => 0);
  let busySent = 0;
  pair.onStep = () => {
    check(pair);
    busySent += busy.server.send(flood, busySent % 4096, 500_000);
    read(pair, busy);
    for (const [i, stream] of late.entries()) {
      if (stream === null) continue;
      sent[i]! += stream.server.send(data, sent[i]!, data.sizeBytes - sent[i]!);
      read(pair, stream);
    }
  };
  pair.onStep();
  pair.runUntil(() => busy.toClient > 1_000_000 && windowOf(busy.client) > 30_000);
  for (let i = 0; i < late.length; i++) late[i] = connect(pair, 1000 + i);
  const streams = late.map((stream) => stream!);
  const before = busy.toClient;
  pair.runUntil(() => streams.every(({ toClient }) => toClient === data.sizeBytes));
  // In fair turn, eight of them: the busy one has got the rest of the time, but not all of it.
  assert.ok(busy.toClient - before < 20 * data.sizeBytes, `${busy.toClient - before}`);
  assert.equal(pair.a.pool.waiters, 0);
  const all = [busy, ...streams];
  finish(pair, all);
});
