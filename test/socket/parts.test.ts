import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRNO } from '../../src/core/errno.ts';
import type { DevmemError } from '../../src/core/errors.ts';
import { Gate } from '../../src/socket/gate.ts';
import { Message, type TokenOwner } from '../../src/socket/message.ts';
import { Mutex } from '../../src/socket/mutex.ts';
import { SendBuffer, SendMemory, type ByteSink } from '../../src/socket/send-buffer.ts';
import { MAX_ZEROCOPY_RECORDS, SendLedger } from '../../src/socket/send-ledger.ts';
import { SteeringLease } from '../../src/socket/steering-lease.ts';

test('a gate wakes all who wait, once', async () => {
  const gate = new Gate();
  let woken = 0;
  gate.once(() => woken++);
  const waiting = gate.wait();
  assert.equal(gate.isAwaited, true);
  gate.open();
  gate.open();
  await waiting;
  assert.equal(woken, 1);
  assert.equal(gate.isAwaited, false);
});

test('waiting at a gate ends with the signal, and leaves nothing behind', async () => {
  const gate = new Gate();
  const controller = new AbortController();
  const waiting = gate.wait(controller.signal);
  controller.abort(new Error('enough'));
  await assert.rejects(waiting, /enough/);
  assert.equal(gate.isAwaited, false);
  await assert.rejects(gate.wait(controller.signal), /enough/);
  assert.equal(gate.isAwaited, false);
});

test('a mutex is first come, first served, and a turn that was given up is skipped', async () => {
  const mutex = new Mutex();
  const order: string[] = [];
  const controller = new AbortController();
  await mutex.acquire();
  const b = mutex.acquire().then(() => order.push('b'));
  const c = mutex.acquire(controller.signal);
  const d = mutex.acquire().then(() => order.push('d'));
  controller.abort(new Error('not any more'));
  await assert.rejects(c, /not any more/);
  mutex.release();
  await b;
  mutex.release();
  await d;
  assert.deepEqual(order, ['b', 'd']);
  assert.equal(mutex.locked, true);
  mutex.release();
  assert.equal(mutex.locked, false);
});

test('a steering lease ends with its last holder', () => {
  const removed: number[] = [];
  const rules = { remove: (id: number) => removed.push(id) > 0 };
  const lease = new SteeringLease(rules, [7, 8]);
  lease.retain();
  lease.release();
  assert.deepEqual(removed, []);
  lease.release();
  assert.deepEqual(removed, [7, 8]);
});

test('the ledger settles in stream order and merges completions', async () => {
  const ledger = new SendLedger();
  const first = ledger.completed(100, 'test');
  const second = ledger.completed(200, 'test');
  ledger.recordZerocopy(100);
  ledger.recordZerocopy(150);
  ledger.recordZerocopy(200);
  assert.equal(ledger.take(), null);
  ledger.advance(99);
  assert.equal(ledger.take(), null);
  ledger.advance(150);
  await first;
  assert.equal(ledger.pendingPromises, 1);
  assert.deepEqual(ledger.take(), { lo: 0, hi: 1 });
  assert.equal(ledger.take(), null);
  ledger.advance(1000);
  await second;
  assert.deepEqual(ledger.take(), { lo: 2, hi: 2 });
});

test('a failed ledger rejects what was promised and completes every zero-copy send', async () => {
  const ledger = new SendLedger();
  const lost = ledger.completed(10, 'sendFrom to nowhere');
  ledger.recordZerocopy(10);
  ledger.fail(ERRNO.ECONNRESET);
  await assert.rejects(lost, (error: DevmemError) => error.code === 'ECONNRESET' && /nowhere/.test(error.message));
  assert.deepEqual(ledger.take(), { lo: 0, hi: 0 });
});

test('the ledger has a limit', () => {
  const ledger = new SendLedger();
  for (let i = 0; i < MAX_ZEROCOPY_RECORDS; i++) ledger.recordZerocopy(i + 1);
  assert.equal(ledger.hasRoom, false);
  ledger.advance(1);
  assert.equal(ledger.hasRoom, true);
});

class Sink implements ByteSink {
  queuedOffset = 0;
  sendSpaceBytes: number;
  readonly received: number[] = [];

  constructor(space: number) {
    this.sendSpaceBytes = space;
  }

  send(region: { mapping: Uint8Array }, offset: number, length: number): number {
    const accepted = Math.min(length, this.sendSpaceBytes);
    for (let i = 0; i < accepted; i++) this.received.push(region.mapping[offset + i]!);
    this.sendSpaceBytes -= accepted;
    this.queuedOffset += accepted;
    return accepted;
  }
}

test('the send buffer copies what the connection takes, and no more', () => {
  const memory = new SendMemory();
  const buffer = new SendBuffer(memory);
  const sink = new Sink(5);
  const source = Uint8Array.of(1, 2, 3, 4, 5, 6, 7);
  assert.equal(buffer.write(sink, source, 0), 5);
  assert.equal(buffer.write(sink, source, 5), 0);
  source.fill(0);
  sink.sendSpaceBytes = 10;
  assert.equal(buffer.write(sink, Uint8Array.of(6, 7), 0), 2);
  assert.deepEqual(sink.received, [1, 2, 3, 4, 5, 6, 7]);
  assert.equal(buffer.chunksHeld, 1);
  buffer.advance(6);
  assert.equal(buffer.chunksHeld, 1);
  buffer.advance(7);
  assert.equal(buffer.chunksHeld, 0);
  assert.equal(memory.pools[0]!.freeCount, memory.pools[0]!.chunkCount);
});

test('without send space, or with a connection that takes nothing, no chunk is lost', () => {
  const memory = new SendMemory();
  const buffer = new SendBuffer(memory);
  const sink = new Sink(0);
  assert.equal(buffer.write(sink, Uint8Array.of(1), 0), 0);
  assert.equal(buffer.chunksHeld, 0);
  sink.sendSpaceBytes = 10;
  sink.send = () => 0;
  assert.equal(buffer.write(sink, Uint8Array.of(1), 0), 0);
  buffer.advance(1000);
  buffer.clear();
  assert.equal(memory.pools[0]!.freeCount, memory.pools[0]!.chunkCount);
});

test('one socket cannot take all of the send memory, and is told when it may go on', () => {
  const memory = new SendMemory();
  const buffers = Array.from({ length: 40 }, () => new SendBuffer(memory));
  const sink = new Sink(Number.POSITIVE_INFINITY);
  const megabyte = new Uint8Array(1024 * 1024);
  sink.send = (_region, _offset, length) => {
    sink.queuedOffset += length;
    return length;
  };
  assert.equal(buffers[0]!.write(sink, megabyte, 0), megabyte.length);
  assert.equal(buffers[0]!.write(sink, megabyte, 0), megabyte.length);
  assert.equal(buffers[0]!.write(sink, megabyte, 0), 0);
  let total = 2;
  for (const buffer of buffers.slice(1)) {
    if (buffer.write(sink, megabyte, 0) === megabyte.length) total++;
    if (buffer.write(sink, megabyte, 0) === megabyte.length) total++;
  }
  assert.equal(total, 64);
  let freed = 0;
  memory.freed.once(() => freed++);
  buffers[0]!.clear();
  assert.equal(freed, 1);
  for (const buffer of buffers) buffer.clear();
  for (const pool of memory.pools) assert.equal(pool.freeCount, pool.chunkCount);
});

class Owner implements TokenOwner {
  readonly calls: [number, number][] = [];

  releaseTokens(start: number, count: number): number {
    this.calls.push([start, count]);
    return count;
  }
}

function fill(message: Message, owner: Owner, tokens: readonly number[]): void {
  message.begin(owner);
  for (const token of tokens) message.addFrag().token = token;
}

test('release() returns runs of tokens as ranges, and only once', () => {
  const owner = new Owner();
  const message = new Message();
  assert.equal(message.released, true);
  fill(message, owner, [1, 2, 3, 7, 8, 5]);
  assert.equal(message.released, false);
  assert.equal(message.release(), 6);
  assert.deepEqual(owner.calls, [
    [1, 3],
    [7, 2],
    [5, 1],
  ]);
  assert.equal(message.release(), 0);
  assert.equal(owner.calls.length, 3);
});

test('a message that is filled again reuses its fragments and its buffer', () => {
  const owner = new Owner();
  const message = new Message();
  fill(message, owner, [1, 2]);
  message.reserveLinear(10).fill(1);
  const seen = new Set(message.frags);
  message.release();
  fill(message, owner, [3, 4]);
  assert.equal(message.linear.length, 0);
  assert.deepEqual(new Set(message.frags), seen);
  assert.equal(message.reserveLinear(4).length, 4);
});
