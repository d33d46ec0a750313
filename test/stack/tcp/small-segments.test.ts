import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireScript } from '../../../testing/wire-script.ts';

const ONE = Uint8Array.of(1);

test('100,000 segments of one byte in order, unread: pages for the bytes, not for the segments', () => {
  const wire = new WireScript({ config: { receiveBufferInitialBytes: 1 << 20 } }).established();
  for (let i = 0; i < 100_000; i++) {
    wire.input({ seq: 1 + i, ack: 1, payload: ONE });
    if (i % 500 === 0) wire.flush().skip();
  }
  const { queue } = wire.connection!.receiver;
  assert.equal(queue.bytes, 100_000);
  assert.ok(queue.count <= Math.ceil(queue.bytes / 4096) + 1, `${queue.count} entries`);
  assert.ok(wire.landing.foreignReferences <= Math.ceil(queue.bytes / 4096) + 1);
});

test('100,000 of them out of order, each an island: bounded islands, bounded pages, a bounded acknowledgment', () => {
  const wire = new WireScript({ config: { receiveBufferInitialBytes: 1 << 20 } }).established({ sackPermitted: true });
  const before = wire.pool.freeCount;
  const { connection } = wire;
  const room = connection!.info(0).tcpi_rcv_wnd;
  for (let i = 0; i < 100_000; i++) wire.input({ seq: 3 + ((2 * i) % (room - 4)), ack: 1, payload: ONE });
  wire.flush();
  const { reassembly } = connection!.receiver;
  assert.ok(reassembly.blockCount <= 512, `${reassembly.blockCount} islands`);
  assert.ok(before - wire.pool.freeCount <= 8, `${before - wire.pool.freeCount} pages gone`);
  assert.ok(wire.layer.counters.dropReassemblyFull > 0);
  // The connection is as good as before: what is missing still arrives and is delivered.
  wire.skip().recv({ seq: 1, ack: 1, payload: 2 });
  assert.ok(connection!.receiver.queue.bytes >= 3);
});

test('a byte that is here is never replaced, whatever overlaps it, in order or not', () => {
  let seed = 12_345;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  for (let round = 0; round < 40; round++) {
    const wire = new WireScript().established({ sackPermitted: true });
    const first = new Map<number, number>();
    const { receiver } = wire.connection!;
    let delivered = 0;
    for (let i = 0; i < 60; i++) {
      const start = Math.max(delivered, random(3000));
      const length = 1 + random(400);
      const from = Math.max(0, start - random(200));
      const bytes = new Uint8Array(length + start - from).fill(1 + random(255));
      const heldBefore = new Set<number>(first.keys());
      wire.recv({ seq: 1 + from, ack: 1, payload: bytes }).skip();
      for (let at = from; at < from + bytes.length; at++) {
        const isHeld =
          at < (receiver.rcvNxt - receiver.irs - 1) >>> 0 ||
          receiver.reassembly.covers((receiver.irs + 1 + at) | 0, (receiver.irs + 2 + at) | 0);
        if (isHeld && !heldBefore.has(at)) first.set(at, bytes[at - from]!);
      }
      const read = wire.read();
      for (const byte of read) {
        assert.equal(byte, first.get(delivered), `round ${round}: byte ${delivered}`);
        delivered++;
      }
    }
    wire.recv({ seq: 1 + delivered, ack: 1, payload: new Uint8Array(4000).fill(99) });
    for (const byte of wire.read()) {
      assert.equal(byte, first.get(delivered) ?? 99, `round ${round}: byte ${delivered}`);
      delivered++;
    }
  }
});

test('RFC 6093 §4: urgent data is data, and counted', () => {
  const wire = new WireScript().established();
  wire.recv({ seq: 1, ack: 1, flags: 'AU', payload: 10 }).expectRead(0, 10);
  wire.recv({ seq: 11, ack: 1, flags: 'A', payload: 10 }).expectRead(10, 10);
  assert.equal(wire.layer.counters.urgentSegments, 1);
});

test('what reaches beyond the window is taken whole if nothing waits and there is memory, else not at all', () => {
  const config = { receiveBufferBytes: 10_000, receiveBufferInitialBytes: 10_000 };
  const wire = new WireScript({ config }).established();
  const { connection, landing, layer } = wire;
  wire.recv({ seq: 1, ack: 1, payload: 30_000 });
  assert.equal(connection!.receiveQueue.bytes, 30_000);
  wire.after(300).skip();
  wire.recv({ seq: 30_001, ack: 1, payload: 1000 }).expect({ ack: 30_001, window: 0 });
  assert.equal(layer.counters.dropBeyondWindow, 1);
  wire.recv({ seq: 30_001, ack: 1, flags: 'FA' }).expect({ ack: 30_002, window: 0 });
  wire.expectRead(0, 30_000);
  assert.equal(landing.foreignReferences, 0);
  assert.equal(wire.pool.promisedBytes, 0);
});

test("MSS corner cases: a peer's MSS of 1 or 65535, or none", () => {
  for (const [mss, segment] of [
    [1, 48],
    [65_535, 1460],
    [0, 536],
  ] as const) {
    const wire = new WireScript().established({ mss });
    wire.send(5000).expect({ payload: segment });
    assert.equal(wire.connection!.info(0).tcpi_snd_mss, segment);
  }
});
