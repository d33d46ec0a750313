import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FragQueue } from '../../src/memory/frag-queue.ts';
import { PagePool } from '../../src/memory/page-pool.ts';
import { HostRegion } from '../../src/memory/region.ts';
import { Packet } from '../../src/nic/packet.ts';
import { PackingPage } from '../../src/nic/packing.ts';

const PAGE = 4096;

/** A packet whose payload lies in a page of its own, filled with `value`. */
function packetOf(pool: PagePool, size: number, value: number): Packet {
  const packet = new Packet(new HostRegion(2048), 0);
  const iov = pool.allocate();
  packet.pool = pool;
  packet.fragCount = 1;
  packet.fragIov[0] = iov;
  packet.fragOffset[0] = 100;
  packet.fragSize[0] = size;
  packet.payloadBytes = size;
  packet.landedBytes = size;
  pool.region.mapping.fill(value, iov * PAGE + 100, iov * PAGE + 100 + size);
  return packet;
}

test('small payloads end up behind each other in one page, and the pages they came in are free', () => {
  const pool = new PagePool({ region: new HostRegion(16 * PAGE) });
  const packing = new PackingPage();
  const packets = [30, 500, 1, 1024].map((size, i) => {
    const packet = packetOf(pool, size, i + 1);
    assert.ok(PackingPage.isSmall(packet));
    assert.equal(packing.take(packet), size);
    assert.equal(packet.landedBytes, 0);
    return packet;
  });
  assert.equal(pool.inflight, 1);
  assert.equal(packing.referencesTo(pool), 1);
  assert.equal(pool.referenceTotal, 5);
  let end = 0;
  for (const [i, packet] of packets.entries()) {
    assert.equal(packet.fragOffset[0], end);
    const start = packet.fragIov[0]! * PAGE + end;
    const bytes = pool.region.mapping.subarray(start, start + packet.payloadBytes);
    assert.ok(bytes.every((byte) => byte === i + 1));
    end += packet.payloadBytes;
  }
  packing.release();
  for (const packet of packets) pool.release(packet.fragIov[0]!);
  assert.equal(pool.freeCount, 16);
});

test('a full page is followed by another; without a page the payload stays', () => {
  const pool = new PagePool({ region: new HostRegion(6 * PAGE) });
  const packing = new PackingPage();
  const packets = Array.from({ length: 5 }, (_, i) => {
    const packet = packetOf(pool, 1000, i);
    packing.take(packet);
    return packet;
  });
  assert.equal(new Set(packets.map((packet) => packet.fragIov[0])).size, 2);
  const inPlace = [packetOf(pool, 1000, 9), packetOf(pool, 1000, 9), packetOf(pool, 1000, 9)];
  packing.release();
  const last = packetOf(pool, 1000, 9);
  assert.equal(packing.take(last), 0);
  assert.equal(last.landedBytes, 1000);
  assert.equal(packing.referencesTo(pool), 0);
  for (const packet of [...packets, ...inPlace, last]) pool.release(packet.fragIov[0]!);
  assert.equal(pool.referenceTotal, 0);
});

test('what is worth its page is not small', () => {
  const pool = new PagePool({ region: new HostRegion(2 * PAGE) });
  assert.equal(PackingPage.isSmall(packetOf(pool, 1025, 1)), false);
  assert.equal(PackingPage.isSmall(packetOf(pool, 1024, 1)), true);
});

test('a queue is packed in its order: short fragments become one, long and foreign ones stay where they are', () => {
  const pool = new PagePool({ region: new HostRegion(32 * PAGE) });
  const other = new PagePool({ region: new HostRegion(4 * PAGE) });
  const packing = new PackingPage();
  const queue = new FragQueue();
  const expected: number[] = [];
  const add = (from: PagePool, size: number, value: number): void => {
    const packet = packetOf(from, size, value);
    queue.push(from, packet.fragIov[0]!, packet.fragOffset[0]!, size);
    for (let i = 0; i < size; i++) expected.push(value);
  };
  for (let i = 0; i < 5; i++) add(pool, 10 + i, i);
  add(pool, 2000, 5);
  for (let i = 6; i < 9; i++) add(pool, 700, i);
  add(other, 20, 9);
  add(pool, 30, 10);
  add(pool, 40, 11);
  assert.equal(packing.takeQueue(queue, pool), 60 + 2100 + 70);
  assert.equal(queue.bytes, expected.length);
  assert.deepEqual(
    Array.from({ length: queue.count }, (_, i) => queue.size(i)),
    [60, 2000, 2100, 20, 70],
  );
  packing.release();
  assert.equal(pool.inflight, 2);
  const read: number[] = [];
  while (queue.count > 0) {
    const from = queue.pool().offsetOf(queue.iov()) + queue.offset();
    read.push(...queue.pool().region.mapping.subarray(from, from + queue.size()));
    queue.discard(queue.size());
  }
  assert.deepEqual(read, expected);
  assert.deepEqual([pool.freeCount, other.freeCount], [32, 4]);
});

test('a queue for which the pages end is packed as far as they go, and loses nothing', () => {
  const pool = new PagePool({ region: new HostRegion(9 * PAGE) });
  const packing = new PackingPage();
  const queue = new FragQueue();
  for (let i = 0; i < 8; i++) {
    const packet = packetOf(pool, 1000, i);
    queue.push(pool, packet.fragIov[0]!, packet.fragOffset[0]!, 1000);
  }
  const reserved = [pool.allocate()];
  assert.equal(packing.takeQueue(queue, pool), 0);
  assert.deepEqual([queue.count, queue.bytes, pool.freeCount], [8, 8000, 0]);
  pool.release(reserved.pop()!);
  assert.equal(packing.takeQueue(queue, pool), 8000, 'the pages that packing frees are enough for the rest');
  packing.release();
  assert.equal(pool.inflight, 2);
  queue.clear();
  assert.equal(pool.freeCount, 9);
});
