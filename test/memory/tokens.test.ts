import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { DevmemError } from '../../src/core/errors.ts';
import { PagePool } from '../../src/memory/page-pool.ts';
import { HostRegion } from '../../src/memory/region.ts';
import { MAX_DONTNEED_FRAGS, MAX_DONTNEED_RANGES, TokenTable, type TokenRange } from '../../src/memory/tokens.ts';

const CHUNK = 4096;

function poolOf(chunks: number): PagePool {
  return new PagePool({ region: new HostRegion(chunks * CHUNK) });
}

/** A table with tokens 1 to `count`, all on chunks of their own. */
function minted(count: number): { pool: PagePool; table: TokenTable } {
  const pool = poolOf(Math.max(1, count));
  const table = new TokenTable();
  for (let i = 1; i <= count; i++) assert.equal(table.mint(pool, pool.allocate()), i);
  return { pool, table };
}

function assertInvalid(table: TokenTable, ranges: TokenRange[]): void {
  assert.throws(
    () => table.dontneed(ranges),
    (error: unknown) =>
      error instanceof DevmemError && error.code === 'EINVAL' && error.errno === -22 && error.syscall === 'setsockopt',
  );
}

describe('TokenTable', () => {
  it('mints the lowest free integers from 1', () => {
    const { pool, table } = minted(100);
    assert.equal(table.releaseRange(40, 2), 2);
    assert.equal(table.releaseRange(7, 1), 1);
    const next = [1, 2, 3].map(() => table.mint(pool, pool.allocate()));
    assert.deepEqual(next, [7, 40, 41]);
    assert.equal(table.mint(pool, retained(pool, 0)), 101);
  });

  it('several tokens may share a chunk: it comes back with the last of them', () => {
    const pool = poolOf(1);
    const table = new TokenTable();
    const iov = pool.allocate();
    pool.retain(iov);
    table.mint(pool, iov);
    table.mint(pool, iov);
    assert.equal(table.dontneed([{ start: 1, count: 1 }]), 1);
    assert.equal(pool.freeCount, 0);
    assert.equal(table.dontneed([{ start: 2, count: 1 }]), 1);
    assert.equal(pool.freeCount, 1);
  });

  it('releaseRange of what is no range of u32s: EINVAL, nothing freed, nothing counted', () => {
    const { table } = minted(4);
    const wrong = [
      [1.5, 1],
      [1, 1.5],
      [-3, -3],
      [-1, 3],
      [1, Infinity],
      [NaN, 1],
      [2 ** 32, 1],
      [1, 2 ** 32],
    ] as const;
    for (const [start, count] of wrong) {
      assert.throws(() => table.releaseRange(start, count), { code: 'EINVAL', hint: /unsigned 32-bit/ });
    }
    assert.equal(table.outstanding, 4);
    assert.equal(table.counters.unknownReturned, 0);
    assert.equal(table.releaseRange(2 ** 32 - 1, 2 ** 32 - 1), 4, 'the largest range goes round, at once');
  });

  it('a token given back twice, or never minted, frees nothing and is counted', () => {
    const { pool, table } = minted(4);
    assert.equal(table.dontneed([{ start: 2, count: 1 }]), 1);
    assert.equal(table.dontneed([{ start: 2, count: 1 }]), 0);
    assert.equal(
      table.dontneed([
        { start: 0, count: 1 },
        { start: 99, count: 3 },
        { start: 4_294_967_295, count: 1 },
      ]),
      0,
    );
    assert.deepEqual(Object.assign({}, table.counters), { minted: 4, returned: 1, unknownReturned: 6, limited: 0 });
    assert.deepEqual([pool.inflight, table.outstanding], [3, 3]);
    assert.equal(table.dontneed([{ start: 0, count: 10 }]), 3);
    assert.equal(table.counters.unknownReturned, 13);
  });

  it('token numbers wrap at 2^32 within a range', () => {
    const { table } = minted(3);
    assert.equal(table.dontneed([{ start: 0xffff_fffe, count: 5 }]), 2);
    assert.deepEqual([table.has(1), table.has(2), table.has(3)], [false, false, true]);
    assert.equal(table.counters.unknownReturned, 3);
    assert.equal(table.releaseRange(1, 0xffff_ffff), 1);
  });

  it('takes 128 ranges and no more; nothing is freed by a refused call', () => {
    const { table } = minted(300);
    const ranges = (count: number): TokenRange[] =>
      Array.from({ length: count }, (_, i) => ({ start: i + 1, count: 1 }));
    assertInvalid(table, ranges(MAX_DONTNEED_RANGES + 1));
    assertInvalid(table, []);
    for (const bad of [-1, 1.5, Number.NaN, 2 ** 32]) {
      assertInvalid(table, [
        { start: 1, count: 1 },
        { start: bad, count: 1 },
      ]);
      assertInvalid(table, [
        { start: 1, count: 1 },
        { start: 1, count: bad },
      ]);
    }
    assert.equal(table.outstanding, 300);
    assert.equal(table.dontneed(ranges(MAX_DONTNEED_RANGES)), 128);
  });

  it('stops after 1024 tokens tried, known or not', () => {
    const { table } = minted(2000);
    assert.equal(table.dontneed([{ start: 1, count: 0 }]), 0);
    assert.equal(
      table.dontneed([
        { start: 5000, count: 1000 },
        { start: 1, count: 100 },
        { start: 101, count: 1 },
      ]),
      24,
    );
    assert.equal(table.dontneed([{ start: 25, count: MAX_DONTNEED_FRAGS }]), 1024);
    assert.equal(table.counters.limited, 1);
    assert.equal(table.dontneed([{ start: 1049, count: 0xffff_ffff }]), 952);
    assert.equal(table.counters.limited, 2);
    assert.equal(table.outstanding, 0);
  });

  it('gives everything back when the socket closes', () => {
    const { pool, table } = minted(5000);
    table.releaseRange(17, 1000);
    assert.equal(table.releaseAll(), 4000);
    assert.equal(table.releaseAll(), 0);
    assert.deepEqual([table.outstanding, pool.freeCount, table.counters.returned], [0, 5000, 5000]);
    assert.equal(table.mint(pool, pool.allocate()), 1);
  });

  it('drains a detached pool with its last token', () => {
    const { pool, table } = minted(3);
    let drained = 0;
    pool.detach(() => drained++);
    table.dontneed([{ start: 1, count: 2 }]);
    assert.equal(drained, 0);
    table.dontneed([{ start: 1, count: 3 }]);
    assert.equal(drained, 1);
  });

  it('is the map it stands for, and owns one reference a token', () => {
    const range = fc.record({ start: fc.oneof(fc.integer({ min: 0, max: 400 }), fc.nat()), count: fc.nat(40) });
    const operation = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          kind: fc.constant('mint' as const),
          burst: fc.integer({ min: 1, max: 40 }),
          pool: fc.nat(1),
        }),
      },
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('return' as const),
          ranges: fc.array(range, { minLength: 1, maxLength: 20 }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('close' as const) }) },
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60, size: 'max' }), (operations) => {
        const pools = [poolOf(4), poolOf(4)] as const;
        const table = new TokenTable();
        const model = new Map<number, readonly [PagePool, number]>();
        let unknown = 0;
        for (const step of operations) {
          if (step.kind === 'mint') {
            const pool = pools[step.pool]!;
            for (let i = 0; i < step.burst; i++) {
              let iov = pool.allocate();
              if (iov < 0) iov = retained(pool, i % pool.chunkCount);
              let lowest = 1;
              while (model.has(lowest)) lowest++;
              assert.equal(table.mint(pool, iov), lowest);
              model.set(lowest, [pool, iov]);
            }
          } else if (step.kind === 'return') {
            let expected = 0;
            let tried = 0;
            for (const { start, count } of step.ranges) {
              for (let i = 0; i < count && tried < MAX_DONTNEED_FRAGS; i++, tried++) {
                if (model.delete((start + i) >>> 0)) expected++;
                else unknown++;
              }
            }
            assert.equal(table.dontneed(step.ranges), expected);
          } else {
            assert.equal(table.releaseAll(), model.size);
            model.clear();
          }
          assert.equal(table.outstanding, model.size);
          assert.equal(table.counters.unknownReturned, unknown);
          assert.equal(table.counters.minted - table.counters.returned, model.size);
          for (const pool of pools) {
            const holders = [...model.values()].filter(([holder]) => holder === pool);
            assert.equal(pool.referenceTotal, holders.length);
            assert.equal(pool.freeCount + pool.inflight, pool.chunkCount);
            assert.equal(pool.inflight, new Set(holders.map(([, iov]) => iov)).size);
          }
        }
        table.releaseAll();
        for (const pool of pools) assert.equal(pool.freeCount, pool.chunkCount);
      }),
      { numRuns: 100 },
    );
  });
});

/** Another reference to a chunk that is in use. */
function retained(pool: PagePool, iov: number): number {
  pool.retain(iov);
  return iov;
}
