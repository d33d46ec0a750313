import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TcpConnection } from '../../src/stack/tcp/connection.ts';
import { pattern, readAll, TcpPair } from '../../testing/tcp-pair.ts';
import { checkEnd, checkQuiet } from '../../testing/tcp-transfer.ts';

interface Stream {
  client: TcpConnection;
  server: TcpConnection;
  sent: number;
  parts: Uint8Array[];
  received: number;
}

function streams(pair: TcpPair, count: number): Stream[] {
  return Array.from({ length: count }, (_, i) => {
    const { client, server, listener } = pair.connect(1000 + i);
    listener.close(pair.nowMicros);
    return { client, server, sent: 0, parts: [], received: 0 };
  });
}

function finish(pair: TcpPair, all: readonly Stream[]): void {
  for (const { client, server } of all) {
    client.close(pair.nowMicros);
    server.close(pair.nowMicros);
  }
  pair.runDry();
  checkQuiet(pair.a, 'a');
  checkQuiet(pair.b, 'b');
}

function check(pair: TcpPair): void {
  checkEnd(pair.a, 'a');
  checkEnd(pair.b, 'b');
}

for (const [count, pages, loss] of [
  [64, 64, 0],
  [64, 32, 0.02],
  [8, 16, 0.02],
] as const) {
  test(`${count} streams share ${pages} pages, ${loss * 100} % loss`, () => {
    const pair = new TcpPair({ seed: 3, pages: [512, pages], loss });
    const all = streams(pair, count);
    const data = pattern(20_000, 9);
    pair.onStep = () => {
      check(pair);
      for (const stream of all) {
        const left = data.sizeBytes - stream.sent;
        if (left > 0) stream.sent += stream.client.send(data, stream.sent, left);
        else stream.client.shutdown(pair.nowMicros);
        const part = readAll(stream.server, pair.nowMicros);
        stream.parts.push(part);
        stream.received += part.length;
      }
    };
    pair.onStep();
    pair.runUntil(() => all.every(({ server }) => server.finReceived && server.receiveQueue.bytes === 0), 400_000);
    for (const stream of all) assert.ok(Buffer.concat(stream.parts).equals(Buffer.from(data.mapping)));
    pair.onStep = () => check(pair);
    finish(pair, all);
  });
}

test('readers that never read do not starve one that does', () => {
  const pair = new TcpPair({ pages: [512, 64] });
  const all = streams(pair, 9);
  const lazy = all.slice(0, 8);
  const reader = all[8]!;
  const data = pattern(400_000, 9);
  pair.onStep = () => {
    check(pair);
    for (const stream of all) {
      const left = data.sizeBytes - stream.sent;
      if (left > 0) stream.sent += stream.client.send(data, stream.sent, left);
    }
    reader.received += readAll(reader.server, pair.nowMicros).length;
  };
  pair.onStep();
  pair.runUntil(() => reader.received === data.sizeBytes);
  assert.ok(lazy.every(({ server }) => server.receiveQueue.bytes < 200_000));
  pair.onStep = () => check(pair);
  for (const { client, server } of all) {
    server.abort(pair.nowMicros);
    client.abort(pair.nowMicros);
  }
  finish(pair, all);
});

test('pages that come back open the window at once, without a probe', () => {
  const pair = new TcpPair({ pages: [512, 16] });
  const { client, server, listener } = pair.connect();
  const data = pattern(300_000, 9);
  client.send(data, 0, data.sizeBytes);
  pair.runFor(100_000);
  assert.ok(client.sender.sndWnd < client.segmentBytes);
  const held: number[] = [];
  const queue = server.receiveQueue;
  while (queue.count > 0) {
    held.push(queue.iov());
    queue.shift();
  }
  server.consumed(1, pair.nowMicros);
  pair.runFor(1000);
  assert.ok(client.sender.sndWnd < client.segmentBytes, 'reading alone frees nothing');
  for (const iov of held) pair.b.pool.release(iov);
  assert.equal(pair.b.layer.pollAt(), 0, 'the layer wants to be called');
  const before = pair.a.layer.counters.windowProbes;
  pair.runFor(5000);
  assert.ok(client.sender.unaOffset > 20_000);
  assert.equal(pair.a.layer.counters.windowProbes, before);
  listener.close(pair.nowMicros);
  server.abort(pair.nowMicros);
  client.abort(pair.nowMicros);
  pair.runDry();
});
