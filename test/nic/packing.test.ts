import assert from 'node:assert/strict';
import { test } from 'node:test';
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
