import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBelow, SeededRandom } from '../../../src/core/random.ts';
import { FragQueue } from '../../../src/memory/frag-queue.ts';
import { PagePool } from '../../../src/memory/page-pool.ts';
import { HostRegion } from '../../../src/memory/region.ts';
import { PackingPage } from '../../../src/nic/packing.ts';
import { Reassembly } from '../../../src/stack/tcp/reassembly.ts';
import { IpAddress } from '../../../src/wire/address.ts';
import { FakeLanding } from '../../../testing/fake-ip.ts';
import { WireScript } from '../../../testing/wire-script.ts';

const LOCAL = IpAddress.parse('10.0.0.1')!;
const REMOTE = IpAddress.parse('10.0.0.2')!;
const HEADER = new Uint8Array(20);
const SEGMENT_BYTES = 8;
/** Wraps in the middle. */
const BASE = 0x7fff_f000;

const numbers = (count: number, at: (index: number) => number): number[] =>
  Array.from({ length: count }, (_, i) => at(i));

/** Orders in which segments 1 to `count` arrive; segment 0 is what is missing. Few islands at a time, so all are taken. */
const ORDERS: Record<string, (count: number) => number[]> = {
  'in order': (count) => numbers(count, (i) => i + 1),
  backwards: (count) => numbers(count, (i) => count - i),
  'from both ends': (count) => numbers(count, (i) => (i % 2 === 0 ? 1 + i / 2 : count - (i - 1) / 2)),
  'from the middle': (count) => numbers(count, (i) => count / 2 + (i % 2 === 0 ? -i / 2 : (i + 1) / 2)),
  // Every second of some, then what lies between them: each fills a gap between two islands.
  'gaps filled backwards': (count) => {
    const order: number[] = [];
    for (let first = 1; first <= count; first += 500) {
      const end = Math.min(count, first + 499);
      for (let i = first; i <= end; i += 2) order.push(i);
      for (let i = end; i >= first; i--) if ((i - first) % 2 === 1) order.push(i);
    }
    return order;
  },
  'pairs swapped, backwards': (count) => numbers(count, (i) => count - (i ^ 1)),
  random: (count) => {
    const random = new SeededRandom(7);
    const order: number[] = [];
    for (let first = 1; first <= count; first += 400) {
      const some = numbers(Math.min(400, count - first + 1), (i) => first + i);
      for (let i = some.length - 1; i > 0; i--) {
        const other = randomBelow(random, i + 1);
        [some[i], some[other]] = [some[other]!, some[i]!];
      }
      order.push(...some);
    }
    return order;
  },
};

/** Counts how many entries all queues are given, and by that how often fragments move. */
function countingMoves<T>(run: (moves: () => number) => T): T {
  let moves = 0;
  const restores = (['push', 'unshift'] as const).map((name) => {
    const descriptor = Object.getOwnPropertyDescriptor(FragQueue.prototype, name)!;
    const original = descriptor.value as FragQueue['push'];
    FragQueue.prototype[name] = function (...entry): void {
      moves++;
      Reflect.apply(original, this, entry);
    };
    return () => Object.defineProperty(FragQueue.prototype, name, descriptor);
  });
  try {
    return run(() => moves);
  } finally {
    for (const restore of restores) restore();
  }
}

interface Outcome {
  movesPerSegment: number;
  fragments: number;
  bytes: number;
  queued: number;
}

/** Lets `count` segments arrive, with the packing a receiver does or without, then the first: all must be right. */
function arrive(order: readonly number[], packs: boolean): Outcome {
  const pool = new PagePool({ region: new HostRegion(1024 * 4096) });
  const landing = new FakeLanding(pool);
  const reassembly = new Reassembly();
  const packing = new PackingPage();
  return countingMoves((moves) => {
    for (const index of order) {
      const payload = new Uint8Array(SEGMENT_BYTES).map((_, i) => (index * 31 + i) & 0xff);
      const packet = landing.packet(HEADER, payload, 4, REMOTE, LOCAL)!;
      assert.equal(reassembly.insert(packet, (BASE + index * SEGMENT_BYTES) | 0), SEGMENT_BYTES);
      landing.recycle(packet);
      if (packs && reassembly.isSparse) reassembly.pack(packing, pool);
    }
    assert.equal(reassembly.blockCount, 1);
    const fragments = reassembly.referencesTo(pool);
    const { bytes } = reassembly;
    const queue = new FragQueue();
    const end = reassembly.drain((BASE + SEGMENT_BYTES) | 0, queue);
    assert.equal(end, (BASE + (order.length + 1) * SEGMENT_BYTES) | 0);
    const queued = queue.count;
    const movesPerSegment = moves() / order.length;
    let at = SEGMENT_BYTES;
    while (queue.count > 0) {
      const from = pool.offsetOf(queue.iov()) + queue.offset();
      for (const byte of pool.region.mapping.subarray(from, from + queue.size())) {
        assert.equal(byte, (Math.floor(at / SEGMENT_BYTES) * 31 + (at % SEGMENT_BYTES)) & 0xff, `byte ${at}`);
        at++;
      }
      queue.discard(queue.size());
    }
    assert.equal(at, (order.length + 1) * SEGMENT_BYTES);
    packing.release();
    assert.equal(landing.foreignReferences, 0);
    return { movesPerSegment, fragments, bytes, queued };
  });
}

for (const [name, order] of Object.entries(ORDERS)) {
  test(`8,000 segments of 8 bytes, ${name}: each fragment moves a few times, however many there are`, () => {
    const { movesPerSegment, fragments, bytes, queued } = arrive(order(8000), true);
    assert.ok(movesPerSegment < 8, `${movesPerSegment} moves a segment`);
    assert.ok(fragments <= 16 + bytes / 64, `${fragments} fragments for ${bytes} bytes`);
    assert.ok(queued <= fragments);
  });

  test(`2,000 segments of 8 bytes, ${name}, with no page to pack them: no more moves than islands double`, () => {
    const { movesPerSegment } = arrive(order(2000), false);
    assert.ok(movesPerSegment <= 2 + Math.log2(2000), `${movesPerSegment} moves a segment`);
  });
}

test('without a page to pack them short fragments are bounded, and what was taken stays', () => {
  const pool = new PagePool({ region: new HostRegion(1024 * 4096) });
  const landing = new FakeLanding(pool);
  const reassembly = new Reassembly();
  let taken = 0;
  for (let index = 8000; index > 0; index--) {
    const packet = landing.packet(HEADER, new Uint8Array(SEGMENT_BYTES), 4, REMOTE, LOCAL)!;
    if (reassembly.insert(packet, index * SEGMENT_BYTES) > 0) taken++;
    landing.recycle(packet);
  }
  assert.equal(taken, 2048);
  assert.equal(reassembly.bytes, taken * SEGMENT_BYTES);
  assert.ok(reassembly.referencesTo(pool) <= 2048);
  const queue = new FragQueue();
  reassembly.drain(reassembly.lowestStart(0), queue);
  assert.equal(queue.bytes, taken * SEGMENT_BYTES);
  const packet = landing.packet(HEADER, new Uint8Array(SEGMENT_BYTES), 4, REMOTE, LOCAL)!;
  assert.equal(reassembly.insert(packet, 8), SEGMENT_BYTES, 'there is room again');
  landing.recycle(packet);
  reassembly.clear();
  queue.clear();
  assert.equal(landing.foreignReferences, 0);
});

test('fragments that make good use of their memory have no such limit', () => {
  const pool = new PagePool({ region: new HostRegion(1024 * 4096) });
  const landing = new FakeLanding(pool);
  const reassembly = new Reassembly();
  for (let index = 3000; index > 0; index--) {
    const packet = landing.packet(HEADER, new Uint8Array(100), 4, REMOTE, LOCAL)!;
    assert.equal(reassembly.insert(packet, index * 100), 100);
    landing.recycle(packet);
    assert.equal(reassembly.isSparse, false);
  }
  reassembly.clear();
  assert.equal(landing.foreignReferences, 0);
});

test('with as many islands as may be, what only joins two is still taken', () => {
  const pool = new PagePool({ region: new HostRegion(64 * 4096) });
  const landing = new FakeLanding(pool);
  const reassembly = new Reassembly();
  const insert = (start: number, bytes: number): number => {
    const packet = landing.packet(HEADER, new Uint8Array(bytes), 4, REMOTE, LOCAL)!;
    const taken = reassembly.insert(packet, start);
    landing.recycle(packet);
    return taken;
  };
  for (let i = 0; i < 512; i++) assert.equal(insert(100 + 4 * i, 1), 1);
  assert.equal(insert(90, 1), -1);
  assert.equal(insert(99, 1), 1); // touches the first from below
  assert.equal(insert(101, 3), 3); // joins the first two
  assert.equal(reassembly.blockCount, 511);
  assert.equal(insert(90, 1), 1);
  reassembly.clear();
  assert.equal(landing.foreignReferences, 0);
});

test('RFC 2018 §4: the islands that grew last come first, whichever were swallowed since', () => {
  const pool = new PagePool({ region: new HostRegion(64 * 4096) });
  const landing = new FakeLanding(pool);
  const reassembly = new Reassembly();
  const random = new SeededRandom(3);
  let model: [number, number][] = []; // the youngest first
  const lefts = new Int32Array(8);
  const rights = new Int32Array(8);
  const queue = new FragQueue();
  let next = 0;
  for (let step = 0; step < 3000; step++) {
    const start = next + 1 + randomBelow(random, 300);
    const end = start + 1 + randomBelow(random, 12);
    const packet = landing.packet(HEADER, new Uint8Array(end - start), 4, REMOTE, LOCAL)!;
    const isNew = reassembly.insert(packet, (BASE + start) | 0) > 0;
    landing.recycle(packet);
    if (isNew) {
      const met = model.filter(([left, right]) => left <= end && start <= right);
      const left = Math.min(start, ...met.map(([first]) => first));
      const right = Math.max(end, ...met.map(([, last]) => last));
      model = [[left, right], ...model.filter((island) => !met.includes(island))];
    }
    if (step % 40 === 39) {
      next = Math.min(...model.map(([left]) => left));
      next = (reassembly.drain((BASE + next) | 0, queue) - BASE) | 0;
      model = model.filter(([left]) => left > next);
    }
    const count = reassembly.writeSack(lefts, rights, 1, 4);
    assert.equal(count, 1 + Math.min(3, model.length));
    for (let i = 1; i < count; i++) {
      assert.deepEqual([(lefts[i]! - BASE) | 0, (rights[i]! - BASE) | 0], model[i - 1]);
    }
    assert.equal(reassembly.blockCount, model.length);
    for (const [left, right] of model) {
      assert.ok(reassembly.covers((BASE + left) | 0, (BASE + right) | 0));
      assert.equal(reassembly.covers((BASE + left - 1) | 0, (BASE + right) | 0), false);
      assert.equal(reassembly.covers((BASE + left) | 0, (BASE + right + 1) | 0), false);
    }
  }
  reassembly.clear();
  queue.clear();
  assert.equal(landing.foreignReferences, 0);
});

test('a peer that sends backwards: what it sent is read, from a few fragments, with few moves', () => {
  const wire = new WireScript({ pages: 1024, config: { receiveBufferInitialBytes: 1 << 20 } });
  wire.established({ sackPermitted: true });
  const { receiver } = wire.connection!;
  const count = 1500; // within the first window
  const bytes = new Uint8Array(count * SEGMENT_BYTES).map((_, i) => (i * 7 + (i >> 8)) & 0xff);
  countingMoves((moves) => {
    for (let i = count - 1; i >= 0; i--) {
      const at = i * SEGMENT_BYTES;
      wire.input({ seq: 1 + at, ack: 1, payload: bytes.subarray(at, at + SEGMENT_BYTES) });
      if (i % 100 === 0) wire.flush().skip();
      assert.ok(receiver.reassembly.blockCount <= 1);
    }
    assert.ok(moves() < 8 * count, `${moves()} moves`);
  });
  assert.ok(receiver.queue.count <= 16 + bytes.length / 64, `${receiver.queue.count} entries`);
  assert.ok(wire.layer.counters.packedBytes >= bytes.length / 2);
  assert.deepEqual(wire.read(), bytes);
  assert.equal(wire.landing.foreignReferences, 0);
});

test('short runs sent backwards, their gap filled each time: the queue that nobody reads stays short too', () => {
  const wire = new WireScript({ pages: 1024, config: { receiveBufferInitialBytes: 1 << 20 } });
  wire.established({ sackPermitted: true });
  const { queue } = wire.connection!.receiver;
  const bytes = new Uint8Array(20_000).map((_, i) => (i * 11 + (i >> 8)) & 0xff);
  let most = 0;
  for (let first = 0; first < bytes.length; first += 10) {
    for (let at = first + 9; at >= first; at--)
      wire.input({ seq: 1 + at, ack: 1, payload: bytes.subarray(at, at + 1) });
    wire.flush().skip();
    most = Math.max(most, queue.count);
  }
  assert.equal(queue.bytes, bytes.length);
  assert.ok(most <= 256 + bytes.length / 64, `${most} entries`);
  assert.deepEqual(wire.read(), bytes);
  assert.equal(wire.landing.foreignReferences, 0);
});
