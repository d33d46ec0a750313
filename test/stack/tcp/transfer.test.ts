import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pattern, readAll, TcpPair, type TcpPairOptions } from '../../../testing/tcp-pair.ts';

/** Both directions at once; ends with everything given back. */
function transfer(options: TcpPairOptions, bytes: number): TcpPair {
  const pair = new TcpPair(options);
  const { client, server, listener } = pair.connect();
  const up = pattern(bytes, 3);
  const down = pattern(bytes, 5);
  let sentUp = 0;
  let sentDown = 0;
  const gotUp: Uint8Array[] = [];
  const gotDown: Uint8Array[] = [];
  const pump = (): void => {
    const now = pair.nowMicros;
    if (sentUp < bytes) sentUp += client.send(up, sentUp, bytes - sentUp);
    else client.shutdown(now);
    if (sentDown < bytes) sentDown += server.send(down, sentDown, bytes - sentDown);
    else server.shutdown(now);
    gotUp.push(readAll(server, now));
    gotDown.push(readAll(client, now));
  };
  pump();
  pair.onStep = pump;
  pair.runUntil(
    () => client.finReceived && server.finReceived && client.receiveQueue.bytes + server.receiveQueue.bytes === 0,
  );
  assert.deepEqual(Buffer.concat(gotUp), Buffer.from(up.mapping));
  assert.deepEqual(Buffer.concat(gotDown), Buffer.from(down.mapping));
  pair.onStep = () => {};
  client.close(pair.nowMicros);
  server.close(pair.nowMicros);
  listener.close(pair.nowMicros);
  pair.runDry();
  for (const end of [pair.a, pair.b]) {
    assert.equal(end.layer.connectionCount, 0);
    assert.equal(end.layer.timers.size, 0);
    assert.equal(end.pool.promisedBytes, 0);
    assert.equal(end.pool.sharers, 0);
    assert.equal(end.landing.foreignReferences, 0);
    assert.equal(end.landing.droppedNoPage, 0);
  }
  assert.equal(client.completedOffset, bytes);
  assert.equal(server.completedOffset, bytes);
  return pair;
}

test('two layers exchange 1 MiB each way and close', () => {
  transfer({}, 1 << 20);
});

test('IPv6, bursts delivered whole', () => {
  transfer({ family: 6, wholeBursts: true }, 1 << 20);
});

test('without options', () => {
  const plain = { timestamps: false, selectiveAck: false, windowScaling: false };
  transfer({ configs: [plain, plain] }, 300_000);
});

test('memory of sixteen pages', () => {
  transfer({ pages: [16, 16] }, 1 << 20);
});

test('5 % loss, duplicates, reordering', () => {
  transfer({ seed: 7, loss: 0.05, duplicate: 0.02, reorder: 0.05 }, 300_000);
});

test('5 % loss without SACK', () => {
  transfer({ seed: 8, loss: 0.05, configs: [{ selectiveAck: false }, {}] }, 200_000);
});
