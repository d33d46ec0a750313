import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { ErrnoName } from '../../src/core/errno.ts';
import { DevmemError, type DevmemCode } from '../../src/core/errors.ts';
import { BindingTable, type RxQueues } from '../../src/memory/binding.ts';
import { DeviceMemory } from '../../src/memory/device-memory.ts';
import type { PagePool } from '../../src/memory/page-pool.ts';
import { TokenTable } from '../../src/memory/tokens.ts';

const SIZE = 16 * 4096;

/** A NIC's queues: each holds two chunks of its pool, as a landing ring does. */
class FakeQueues implements RxQueues {
  readonly rxQueues: (PagePool | null)[];
  failsAt = -1;
  readonly #landing = new Map<number, number[]>();

  constructor(count: number) {
    this.rxQueues = Array.from<PagePool | null>({ length: count }).fill(null);
  }

  bindQueue(queueId: number, pool: PagePool): void {
    if (queueId === this.failsAt) throw new Error('the queue would not restart');
    assert.equal(this.rxQueues[queueId], null);
    this.rxQueues[queueId] = pool;
    this.#landing.set(queueId, [pool.allocate(), pool.allocate()]);
  }

  unbindQueue(queueId: number): void {
    const pool = this.rxQueues[queueId]!;
    assert.ok(pool);
    for (const iov of this.#landing.get(queueId)!) pool.release(iov);
    this.rxQueues[queueId] = null;
  }
}

function memoryOf(sizeBytes: number = SIZE): Promise<DeviceMemory> {
  return DeviceMemory.allocate({ sizeBytes });
}

function withCode(code: DevmemCode | ErrnoName, text?: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof DevmemError, String(error));
    assert.equal(error.code, code);
    if (text !== undefined) assert.match(`${error.message} ${error.hint}`, text);
    return true;
  };
}

describe('BindingTable', () => {
  it('binds one memory to several queues, one pool for all; closing gives it all back', async () => {
    const queues = new FakeQueues(4);
    const table = new BindingTable(queues);
    const memory = await memoryOf();
    const binding = table.bind({ memory, queueIds: [1, 3, 1] });
    assert.deepEqual(binding.queueIds, [1, 3]);
    assert.equal(binding.dmabufId, 1);
    assert.deepEqual(queues.rxQueues, [null, binding.pool, null, binding.pool]);
    assert.equal(binding.pool.inflight, 4);
    assert.equal(table.ofQueue(3), binding);
    assert.equal(table.ofQueue(0), undefined);
    assert.equal(table.find(1), binding);
    binding.close();
    binding.close();
    assert.deepEqual(queues.rxQueues, [null, null, null, null]);
    assert.ok(binding.drained);
    assert.equal(table.find(1), undefined);
    memory.dispose();
  });

  it('answers as the kernel does to what cannot be bound, and binds nothing then', async () => {
    const queues = new FakeQueues(2);
    const table = new BindingTable(queues);
    await using memory = await memoryOf();
    await using other = await memoryOf();
    const refuses = (queueIds: number[], code: ErrnoName, text: RegExp): void => {
      assert.throws(() => table.bind({ memory, queueIds }), withCode(code, text), String(queueIds));
    };
    refuses([], 'EINVAL', /without a queue/);
    refuses([0, 2], 'EINVAL', /queue 2 .*2 receive queues: 0 to 1/);
    refuses([-1], 'EINVAL', /queue -1/);
    refuses([0.5], 'EINVAL', /queue 0.5/);
    const binding = table.bind({ memory: other, queueIds: [1] });
    refuses([0, 1], 'EEXIST', /queue 1 already has a memory provider: binding 1/);
    assert.throws(
      () => table.bind({ memory: other, queueIds: [0] }),
      withCode('EBUSY', /in use by binding 1 \(queue 1\)/),
    );
    assert.equal(queues.rxQueues[0], null);
    binding.close();
    table.bind({ memory, queueIds: [0, 1] }).close();
  });

  it('wants whole chunks and a memory that is still there', async () => {
    const table = new BindingTable(new FakeQueues(1));
    const memory = await memoryOf(17 * 4096);
    assert.throws(
      () => table.bind({ memory, queueIds: [0], chunkBytes: 65_536 }),
      withCode('EINVAL', /not whole pages of 65536.*allocate 131072 bytes/),
    );
    assert.throws(
      () => table.bind({ memory, queueIds: [0], chunkBytes: 4352 }),
      withCode('ERR_DEVMEM_INVALID_ARGUMENT', /power of two/),
    );
    memory.dispose();
    assert.throws(() => table.bind({ memory, queueIds: [0] }), withCode('ERR_DEVMEM_DISPOSED'));
    assert.equal(table.size, 0);
  });

  it('undoes the queues it had bound when a later one fails', async () => {
    const queues = new FakeQueues(3);
    queues.failsAt = 2;
    const table = new BindingTable(queues);
    const memory = await memoryOf();
    assert.throws(() => table.bind({ memory, queueIds: [0, 1, 2] }), /would not restart/);
    assert.deepEqual(queues.rxQueues, [null, null, null]);
    assert.equal(table.size, 0);
    memory.dispose();
  });

  it('numbers go round from 1, never 0, and pass over those in use', async () => {
    const table = new BindingTable(new FakeQueues(3), 3);
    const memories = await Promise.all([memoryOf(), memoryOf(), memoryOf(), memoryOf()]);
    const bind = (memory: number, queue: number): ReturnType<BindingTable['bind']> =>
      table.bind({ memory: memories[memory]!, queueIds: [queue] });
    const kept = bind(0, 0);
    const second = bind(1, 1);
    second.close();
    const third = bind(1, 1);
    third.close();
    const fourth = bind(1, 1);
    assert.deepEqual(
      [kept, second, third, fourth].map(({ dmabufId }) => dmabufId),
      [1, 2, 3, 2],
    );
    assert.equal(bind(2, 2).dmabufId, 3);
    fourth.pool.allocate();
    fourth.close();
    assert.throws(() => bind(3, 1), withCode('ENOSPC'));
    table.close();
    assert.deepEqual([...table], [fourth]);
  });

  it('keeps the memory alive while tokens are out after the close', async () => {
    const queues = new FakeQueues(1);
    const table = new BindingTable(queues);
    const memory = await memoryOf();
    const binding = table.bind({ memory, queueIds: [0] });
    const tokens = new TokenTable();
    tokens.mint(binding.pool, binding.pool.allocate());
    tokens.mint(binding.pool, binding.pool.allocate());
    assert.throws(() => memory.dispose(), withCode('EBUSY', /binding 1 \(queue 0\)/));
    binding.close();
    assert.throws(() => memory.dispose(), withCode('EBUSY', /2 pages not yet returned to closed binding 1/));
    assert.throws(() => table.bind({ memory, queueIds: [0] }), withCode('EBUSY', /2 pages not yet returned/));
    assert.equal(table.find(1), binding);
    memory.dmaWrite(0, Uint8Array.of(1));
    tokens.dontneed([{ start: 1, count: 1 }]);
    assert.throws(() => memory.dispose(), withCode('EBUSY', /1 pages/));
    tokens.releaseAll();
    assert.equal(table.find(1), undefined);
    assert.equal(table.bind({ memory, queueIds: [0] }).dmabufId, 2);
    table.close();
    memory.dispose();
  });

  it('conserves queues, ids and memories whatever is bound, closed and returned', async () => {
    const memories = await Promise.all(Array.from({ length: 4 }, () => memoryOf(8 * 4096)));
    const operation = fc.oneof(
      fc.record({
        kind: fc.constant('bind' as const),
        memory: fc.nat(3),
        queueIds: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
      }),
      fc.record({ kind: fc.constant('close' as const), pick: fc.nat() }),
      fc.record({ kind: fc.constant('token' as const), pick: fc.nat() }),
      fc.record({ kind: fc.constant('return' as const), token: fc.integer({ min: 1, max: 8 }) }),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60, size: 'max' }), (operations) => {
        const queues = new FakeQueues(4);
        const table = new BindingTable(queues, 5);
        const tokens = new TokenTable();
        const open = new Set<ReturnType<BindingTable['bind']>>();
        for (const step of operations) {
          const bindings = [...open];
          if (step.kind === 'bind') {
            const possible =
              step.queueIds.length > 0 &&
              step.queueIds.every((queueId) => queueId < 4 && queues.rxQueues[queueId] === null) &&
              memories[step.memory]!.users.length === 0;
            try {
              open.add(table.bind({ memory: memories[step.memory]!, queueIds: step.queueIds }));
              assert.ok(possible);
            } catch (error) {
              assert.ok(error instanceof DevmemError && !possible, String(error));
            }
          } else if (step.kind === 'return') {
            tokens.releaseRange(step.token, 1);
          } else if (bindings.length > 0) {
            const binding = bindings[step.pick % bindings.length]!;
            if (step.kind === 'close') {
              binding.close();
              open.delete(binding);
            } else {
              const iov = binding.pool.allocate();
              if (iov >= 0) tokens.mint(binding.pool, iov);
            }
          }
          for (const binding of open) {
            assert.ok(
              binding.queueIds.every((id) => queues.rxQueues[id] === binding.pool && table.ofQueue(id) === binding),
            );
          }
          const ids = [...table].map(({ dmabufId }) => dmabufId);
          assert.ok(ids.every((id) => id >= 1 && id <= 5) && new Set(ids).size === ids.length);
          const users = memories.reduce((sum, memory) => sum + memory.users.length, 0);
          assert.equal(users, table.size);
          const held = [...table].reduce((sum, { pool }) => sum + pool.referenceTotal, 0);
          const landing = queues.rxQueues.filter((pool) => pool !== null).length * 2;
          assert.equal(held, landing + tokens.outstanding);
        }
        tokens.releaseAll();
        table.close();
        assert.equal(table.size, 0);
        assert.ok(memories.every(({ users }) => users.length === 0));
      }),
      { numRuns: 100 },
    );
    for (const memory of memories) memory.dispose();
  });
});
