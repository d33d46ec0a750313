import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { FreeBitmap } from '../../src/memory/token-bitmap.ts';

describe('FreeBitmap', () => {
  it('takes every number in order, then none', () => {
    for (const capacity of [32, 64, 1024, 1056, 32_768, 65_536]) {
      const bitmap = new FreeBitmap(capacity);
      for (let i = 0; i < capacity; i++) assert.equal(bitmap.take(), i);
      assert.equal(bitmap.take(), -1);
      bitmap.give(capacity - 1);
      bitmap.give(5);
      assert.deepEqual([bitmap.take(), bitmap.take(), bitmap.take()], [5, capacity - 1, -1]);
    }
  });

  it('keeps what is taken when it grows', () => {
    const bitmap = new FreeBitmap(32);
    for (let i = 0; i < 32; i++) bitmap.take();
    bitmap.give(7);
    bitmap.grow(64);
    bitmap.grow(4096);
    assert.equal(bitmap.capacity, 4096);
    assert.equal(bitmap.take(), 7);
    for (let i = 32; i < 4096; i++) assert.equal(bitmap.take(), i);
    assert.equal(bitmap.take(), -1);
  });

  it('answers the lowest free number, as a sorted set would', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat(), { freq: 3 }), { maxLength: 3000, size: 'max' }), (steps) => {
        const bitmap = new FreeBitmap(2048);
        const taken = new Set<number>();
        const order: number[] = [];
        let lowest = 0;
        for (const pick of steps) {
          if (pick === null || order.length === 0) {
            while (taken.has(lowest)) lowest++;
            assert.equal(bitmap.take(), lowest < 2048 ? lowest : -1);
            if (lowest === 2048) continue;
            taken.add(lowest);
            order.push(lowest);
          } else {
            const at = pick % order.length;
            const [given] = order.splice(at, 1);
            taken.delete(given!);
            bitmap.give(given!);
            lowest = Math.min(lowest, given!);
          }
        }
      }),
      { numRuns: 50 },
    );
  });
});
