import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { PagePool } from '../../../src/memory/page-pool.ts';
import { FragQueue } from '../../../src/memory/frag-queue.ts';
import { HostRegion } from '../../../src/memory/region.ts';
import { TxFrame } from '../../../src/nic/tx-frame.ts';
import { CompletionQueue } from '../../../src/stack/tcp/completion.ts';
import { KeyedHash, initialSequence } from '../../../src/stack/tcp/isn.ts';
import { Reassembly } from '../../../src/stack/tcp/reassembly.ts';
import { SendQueue } from '../../../src/stack/tcp/send-queue.ts';
import { IpAddress } from '../../../src/wire/address.ts';
import { FakeLanding } from '../../../testing/fake-ip.ts';

const LOCAL = IpAddress.parse('10.0.0.1')!;
const REMOTE = IpAddress.parse('10.0.0.2')!;

test('KeyedHash is SipHash-2-4: the vectors of its reference implementation', () => {
  const hash = new KeyedHash(0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c);
  const words = Int32Array.of(0x03020100, 0x07060504, 0x0b0a0908);
  const answers = [
    ['31 0e 0e dd 47 db 6f 72', 0],
    ['b7 87 71 27 e0 94 27 cf', 1],
    ['62 24 93 9a 79 f5 f5 93', 2],
  ] as const;
  for (const [expected, count] of answers) {
    const bytes = new DataView(new ArrayBuffer(8));
    bytes.setInt32(0, hash.hash(words, count), true);
    bytes.setInt32(4, hash.high, true);
    assert.equal(Buffer.from(bytes.buffer).toString('hex'), expected.replaceAll(' ', ''));
  }
});

test('initial sequence numbers: 4 µs steps, across the wrap', () => {
  assert.equal(initialSequence(0, 4000), 1000);
  assert.equal(initialSequence(-1, 4), 0);
  assert.equal(initialSequence(5, 4 * 2 ** 32 + 8), 7);
});

test('SendQueue gathers any range of what was queued', () => {
  const region = new HostRegion(4096);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(3000), fc.integer({ min: 1, max: 300 })), { minLength: 1, maxLength: 40 }),
      fc.array(fc.tuple(fc.nat(12_000), fc.nat(500)), { maxLength: 20 }),
      (extents, reads) => {
        const queue = new SendQueue();
        const bytes: number[] = [];
        for (const [offset, length] of extents) {
          assert.ok(queue.push(region, offset, length));
          for (let i = 0; i < length; i++) bytes.push(offset + i);
        }
        let released = 0;
        for (const [at, length] of reads) {
          const from = Math.min(released + (at % (bytes.length - released + 1)), bytes.length);
          const wanted = Math.min(length, bytes.length - from);
          const tx = new TxFrame();
          const taken = queue.gather(tx, from, wanted);
          const got: number[] = [];
          for (let i = 1; i < tx.frame.count; i++) {
            for (let j = 0; j < tx.frame.lengths[i]!; j++) got.push(tx.frame.offsets[i]! + j);
          }
          assert.ok(taken === wanted || tx.frame.count > 60);
          assert.deepEqual(got, bytes.slice(from, from + taken));
          if (at % 3 === 0) queue.release((released = from));
        }
        queue.clear();
        assert.equal(queue.extents, 0);
      },
    ),
    { numRuns: 60 },
  );
});

test('Reassembly keeps the first of every byte, and every reference', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(400), fc.integer({ min: 1, max: 120 })), { maxLength: 60 }), (segments) => {
      const base = 0x7fff_ff00;
      const pool = new PagePool({ region: new HostRegion(64 * 4096) });
      const landing = new FakeLanding(pool);
      const reassembly = new Reassembly();
      const model = new Map<number, number>();
      segments.forEach(([start, length], index) => {
        const payload = new Uint8Array(length).fill(index + 1);
        const packet = landing.packet(new Uint8Array(20), payload, 4, REMOTE, LOCAL)!;
        let fresh = 0;
        for (let i = start; i < start + length; i++) {
          if (model.has(i)) continue;
          model.set(i, index + 1);
          fresh++;
        }
        assert.equal(reassembly.insert(packet, (base + 10 + start) | 0), fresh);
        landing.recycle(packet);
        assert.equal(reassembly.bytes, model.size);
      });
      const queue = new FragQueue();
      for (let at = 0; at < 600; at++) {
        const next = reassembly.drain((base + 10 + at) | 0, queue);
        const got: number[] = [];
        while (queue.count > 0) {
          const from = pool.offsetOf(queue.iov()) + queue.offset();
          got.push(...pool.region.mapping.subarray(from, from + queue.size()));
          pool.release(queue.iov());
          queue.shift();
        }
        assert.deepEqual(
          got,
          got.map((_, i) => model.get(at + i)),
        );
        if (got.length > 0) assert.equal((next - base - 10) | 0, at + got.length);
      }
      assert.ok(reassembly.isEmpty);
      assert.equal(landing.foreignReferences, 0);
    }),
    { numRuns: 80 },
  );
});

test('Reassembly has a limit', () => {
  const pool = new PagePool({ region: new HostRegion(64 * 4096) });
  const landing = new FakeLanding(pool);
  const reassembly = new Reassembly();
  let refused = 0;
  for (let i = 0; i < 1000; i++) {
    const packet = landing.packet(new Uint8Array(20), new Uint8Array(1), 4, REMOTE, LOCAL)!;
    if (reassembly.insert(packet, 10 + 2 * i) < 0) refused++;
    landing.recycle(packet);
  }
  assert.equal(refused, 1000 - 512);
  reassembly.clear();
  assert.equal(landing.foreignReferences, 0);
});

test('CompletionQueue waits for the NIC, in order', () => {
  const queue = new CompletionQueue();
  let done = 0;
  const nic = { txDone: (mark: number): boolean => mark <= done };
  for (let i = 1; i <= 2000; i++) queue.push(i * 10, i);
  assert.equal(queue.poll(nic), false);
  done = 500;
  assert.equal(queue.poll(nic), true);
  assert.equal(queue.completedOffset, 5000);
  done = 2000;
  queue.poll(nic);
  assert.equal(queue.completedOffset, 20_000);
  assert.ok(queue.isEmpty);
});
