import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { DevmemError } from '../../src/core/errors.ts';
import { NO_NET_IOV, PagePool } from '../../src/memory/page-pool.ts';
import { HostRegion } from '../../src/memory/region.ts';

const CHUNK = 4096;

function poolOf(chunks: number): PagePool {
  return new PagePool({ region: new HostRegion(chunks * CHUNK) });
}

function assertConserved(pool: PagePool, held: readonly number[]): void {
  const holders = new Map<number, number>();
  for (const iov of held) holders.set(iov, (holders.get(iov) ?? 0) + 1);
  assert.equal(pool.freeCount + pool.inflight, pool.chunkCount);
  assert.equal(pool.inflight, holders.size);
  assert.equal(pool.referenceTotal, held.length);
  for (const [iov, count] of holders) assert.equal(pool.references(iov), count);
}

describe('PagePool', () => {
  it('hands out each chunk once, then none', () => {
    const pool = poolOf(200);
    const seen = new Set<number>();
    for (let i = 0; i < 200; i++) seen.add(pool.allocate());
    assert.deepEqual(
      [...seen].toSorted((a, b) => a - b),
      [...Array(200).keys()],
    );
    assert.equal(pool.allocate(), NO_NET_IOV);
    assert.equal(pool.stats().alloc_empty, 1);
    assert.equal(pool.stats().inflight, 200);
    assert.equal(pool.availableBytes, 0);
  });

  it('keeps a chunk until its last reference has gone', () => {
    const pool = poolOf(1);
    const iov = pool.allocate();
    pool.retain(iov);
    pool.retain(iov);
    pool.release(iov);
    assert.equal(pool.releaseEpoch, 0, 'two holders are left: nothing is free for anybody');
    pool.release(iov);
    assert.equal(pool.releaseEpoch, 1, 'one holder is left, which may be a landing ring');
    assert.equal(pool.allocate(), NO_NET_IOV);
    pool.release(iov);
    assert.equal(pool.releaseEpoch, 2);
    assert.equal(pool.allocate(), iov);
  });

  it('counts as the kernel does: fast from the cache, slow through a refill, recycled where they went', () => {
    const pool = poolOf(256);
    const held = Array.from({ length: 256 }, () => pool.allocate());
    const { alloc_fast, alloc_slow, alloc_refill } = pool.stats();
    assert.deepEqual({ alloc_fast, alloc_slow, alloc_refill }, { alloc_fast: 252, alloc_slow: 4, alloc_refill: 4 });
    for (const iov of held) pool.release(iov);
    assert.equal(pool.stats().recycle_cached, 128);
    assert.equal(pool.stats().recycle_cache_full, 128);
    assert.equal(pool.freeCount, 256);
  });

  it('drains after detach: at once when nothing is out, else with the last reference, and only once', () => {
    let drained = 0;
    const empty = poolOf(2);
    empty.detach(() => drained++);
    assert.equal(drained, 1);

    const pool = poolOf(2);
    const iov = pool.allocate();
    pool.retain(iov);
    pool.detach(() => drained++);
    assert.equal(pool.allocate(), NO_NET_IOV);
    assert.equal(pool.availableBytes, 0);
    pool.release(iov);
    assert.equal(drained, 1);
    pool.release(iov);
    assert.equal(drained, 2);
    pool.detach(() => drained++);
    assert.equal(drained, 2);
  });

  it('refuses chunks and regions that do not fit', () => {
    const refused = (sizeBytes: number, chunkBytes: number): void => {
      assert.throws(
        () => new PagePool({ region: new HostRegion(sizeBytes), chunkBytes }),
        (error: unknown) => error instanceof DevmemError && error.code === 'ERR_DEVMEM_INVALID_ARGUMENT',
        `${sizeBytes} bytes in chunks of ${chunkBytes}`,
      );
    };
    refused(CHUNK, 2048);
    refused(3 * CHUNK, 3 * CHUNK);
    refused(CHUNK * 64, 128 * 1024);
    refused(CHUNK * 3, CHUNK * 2);
    refused(0, CHUNK);
    assert.equal(new PagePool({ region: new HostRegion(128 * 1024), chunkBytes: 64 * 1024 }).chunkCount, 2);
  });

  it('conserves chunks and references whatever is done to it', () => {
    const operation = fc.oneof(
      { weight: 4, arbitrary: fc.constant({ kind: 'allocate' as const, pick: 0 }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('retain' as const), pick: fc.nat() }) },
      { weight: 4, arbitrary: fc.record({ kind: fc.constant('release' as const), pick: fc.nat() }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('drain' as const), pick: fc.nat() }) },
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.array(operation, { maxLength: 400 }),
        fc.boolean(),
        (chunks, operations, detach) => {
          const pool = poolOf(chunks);
          const held: number[] = [];
          let drained = 0;
          for (const [step, { kind, pick }] of operations.entries()) {
            if (detach && step === operations.length >> 1) pool.detach(() => drained++);
            if (kind === 'allocate') {
              const iov = pool.allocate();
              const possible = !pool.detached && new Set(held).size < chunks;
              assert.equal(iov !== NO_NET_IOV, possible);
              if (iov !== NO_NET_IOV) {
                assert.ok(!held.includes(iov), `chunk ${iov} was handed out while it was held`);
                held.push(iov);
              }
            } else if (held.length > 0) {
              const at = pick % held.length;
              if (kind === 'retain') {
                pool.retain(held[at]!);
                held.push(held[at]!);
              } else {
                const count = kind === 'drain' ? held.length - at : 1;
                for (const iov of held.splice(at, count)) pool.release(iov);
              }
            }
            assertConserved(pool, held);
            assert.equal(drained, pool.detached && held.length === 0 ? 1 : 0);
          }
          for (const iov of held.splice(0)) pool.release(iov);
          assertConserved(pool, held);
          assert.equal(pool.freeCount, chunks);
        },
      ),
      { numRuns: 150 },
    );
  });
});
