import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { FragQueue } from '../../src/memory/frag-queue.ts';
import { PagePool } from '../../src/memory/page-pool.ts';
import { HostRegion } from '../../src/memory/region.ts';

const CHUNK = 4096;

function poolOf(chunks: number): PagePool {
  return new PagePool({ region: new HostRegion(chunks * CHUNK) });
}

interface Fragment {
  pool: PagePool;
  iov: number;
  offset: number;
  size: number;
}

function contents(queue: FragQueue): Fragment[] {
  return Array.from({ length: queue.count }, (_, i) => ({
    pool: queue.pool(i),
    iov: queue.iov(i),
    offset: queue.offset(i),
    size: queue.size(i),
  }));
}

describe('FragQueue', () => {
  it('makes one entry, with one reference, of a page filled byte by byte', () => {
    const pool = poolOf(1);
    const queue = new FragQueue();
    const iov = pool.allocate();
    for (let offset = 0; offset < CHUNK; offset++) {
      pool.retain(iov);
      queue.push(pool, iov, offset, 1);
    }
    pool.release(iov);
    assert.equal(queue.count, 1);
    assert.equal(queue.bytes, CHUNK);
    assert.equal(queue.size(), CHUNK);
    assert.equal(pool.referenceTotal, 1);
    queue.clear();
    assert.equal(pool.freeCount, 1);
  });

  it('merges only what continues the tail: same pool, same chunk, next byte', () => {
    const one = poolOf(2);
    const other = poolOf(2);
    const queue = new FragQueue();
    const a = one.allocate();
    const b = one.allocate();
    const c = other.allocate();
    assert.equal(a, c);
    queue.push(one, a, 0, 10);
    one.retain(a);
    queue.push(one, a, 11, 10);
    queue.push(one, b, 21, 10);
    queue.push(other, c, 31, 10);
    assert.equal(queue.count, 4);
    assert.equal(queue.bytes, 40);
    queue.clear();
    assert.deepEqual([one.freeCount, other.freeCount], [2, 2]);
  });

  it('leaves the reference of a shifted entry with the caller', () => {
    const pool = poolOf(2);
    const queue = new FragQueue();
    const iov = pool.allocate();
    queue.push(pool, iov, 100, 50);
    queue.shift();
    assert.deepEqual([queue.count, queue.bytes, pool.references(iov)], [0, 0, 1]);
    queue.shift();
    assert.equal(queue.count, 0);
    pool.release(iov);
    assert.equal(pool.freeCount, 2);
  });

  it('gives the reference of an empty fragment back', () => {
    const pool = poolOf(1);
    const queue = new FragQueue();
    queue.push(pool, pool.allocate(), 0, 0);
    assert.deepEqual([queue.count, pool.freeCount], [0, 1]);
  });

  it('trims less than the front entry, and never more', () => {
    const pool = poolOf(1);
    const queue = new FragQueue();
    assert.equal(queue.trimFront(1), 0);
    queue.push(pool, pool.allocate(), 8, 100);
    assert.equal(queue.trimFront(100), 0);
    assert.equal(queue.trimFront(-1), 0);
    assert.equal(queue.trimFront(99), 99);
    assert.deepEqual([queue.offset(), queue.size(), queue.bytes], [107, 1, 1]);
    assert.equal(queue.discard(5), 1);
    assert.equal(pool.freeCount, 1);
  });

  it('is the list it stands for, and owns one reference an entry', () => {
    const operation = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          kind: fc.constant('push' as const),
          pool: fc.nat(1),
          contiguous: fc.boolean(),
          offset: fc.integer({ min: 0, max: 2000 }),
          size: fc.integer({ min: 0, max: 600 }),
        }),
      },
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('unshift' as const),
          pool: fc.nat(1),
          contiguous: fc.boolean(),
          offset: fc.integer({ min: 0, max: 2000 }),
          size: fc.integer({ min: 0, max: 600 }),
        }),
      },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('shift' as const) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('pop' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('become' as const) }) },
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant('trim' as const), bytes: fc.integer({ min: 0, max: 700 }) }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant('discard' as const), bytes: fc.integer({ min: 0, max: 2000 }) }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('clear' as const) }) },
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 300, size: 'max' }), (operations) => {
        const pools = [poolOf(400), poolOf(400)] as const;
        let queue = new FragQueue();
        const model: Fragment[] = [];
        for (const step of operations) {
          if (step.kind === 'push') {
            const tail = model.at(-1);
            if (step.contiguous && tail !== undefined && tail.offset + tail.size + step.size <= CHUNK) {
              tail.pool.retain(tail.iov);
              queue.push(tail.pool, tail.iov, tail.offset + tail.size, step.size);
              tail.size += step.size;
            } else {
              const pool = pools[step.pool]!;
              const iov = pool.allocate();
              queue.push(pool, iov, step.offset, step.size);
              if (step.size > 0) model.push({ pool, iov, offset: step.offset, size: step.size });
            }
          } else if (step.kind === 'unshift') {
            const front = model[0];
            if (step.contiguous && front !== undefined && front.offset >= step.size) {
              front.pool.retain(front.iov);
              queue.unshift(front.pool, front.iov, front.offset - step.size, step.size);
              front.offset -= step.size;
              front.size += step.size;
            } else {
              const pool = pools[step.pool]!;
              const iov = pool.allocate();
              queue.unshift(pool, iov, step.offset, step.size);
              if (step.size > 0) model.unshift({ pool, iov, offset: step.offset, size: step.size });
            }
          } else if (step.kind === 'pop') {
            const back = model.pop();
            queue.pop();
            back?.pool.release(back.iov);
          } else if (step.kind === 'become') {
            const from = queue;
            queue = new FragQueue();
            queue.become(from);
            assert.deepEqual([from.count, from.bytes], [0, 0]);
          } else if (step.kind === 'shift') {
            const front = model.shift();
            queue.shift();
            front?.pool.release(front.iov);
          } else if (step.kind === 'trim') {
            const front = model[0];
            const expected = front !== undefined && step.bytes < front.size ? step.bytes : 0;
            assert.equal(queue.trimFront(step.bytes), expected);
            if (front !== undefined) {
              front.offset += expected;
              front.size -= expected;
            }
          } else if (step.kind === 'discard') {
            const before = model.reduce((sum, { size }) => sum + size, 0);
            assert.equal(queue.discard(step.bytes), Math.min(step.bytes, before));
            let left = step.bytes;
            while (left > 0 && model.length > 0) {
              const front = model[0]!;
              const taken = Math.min(left, front.size);
              front.offset += taken;
              front.size -= taken;
              left -= taken;
              if (front.size === 0) model.shift();
            }
          } else {
            queue.clear();
            model.length = 0;
          }
          assert.deepEqual(
            contents(queue).map(({ iov, offset, size }) => [iov, offset, size]),
            model.map(({ iov, offset, size }) => [iov, offset, size]),
          );
          assert.ok(contents(queue).every(({ pool }, i) => pool === model[i]!.pool));
          assert.equal(
            queue.bytes,
            model.reduce((sum, { size }) => sum + size, 0),
          );
          for (const pool of pools) {
            assert.equal(pool.referenceTotal, model.filter((fragment) => fragment.pool === pool).length);
          }
        }
        queue.clear();
        for (const pool of pools) assert.equal(pool.freeCount, pool.chunkCount);
      }),
      { numRuns: 100 },
    );
  });
});
