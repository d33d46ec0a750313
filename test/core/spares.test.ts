import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Spares } from '../../src/core/spares.ts';

function made(): Spares<{ capacity: number }> {
  return new Spares((capacity) => ({ capacity }));
}

test('what was given back is taken again, by its size', () => {
  const spares = made();
  const small = spares.take(16);
  const large = spares.take(64);
  spares.keep(small);
  spares.keep(large);
  assert.equal(spares.take(64), large);
  assert.equal(spares.take(16), small);
  const next = spares.take(16);
  assert.notEqual(next, small);
  assert.equal(next.capacity, 16);
});

test('no more is kept than a limit for each size and one for all', () => {
  const spares = made();
  const stores = Array.from({ length: 300 }, () => spares.take(8));
  for (const store of stores) spares.keep(store);
  const known = new Set(stores);
  const again = Array.from({ length: 300 }, () => spares.take(8));
  assert.equal(again.filter((store) => known.has(store)).length, 256);
  const larger = [spares.take(32_768), spares.take(32_768), spares.take(32_768)];
  for (const store of larger) spares.keep(store);
  const kept = new Set(larger);
  assert.equal([1, 2, 3].filter(() => kept.has(spares.take(32_768))).length, 2);
  spares.keep({ capacity: 0 });
  assert.equal(spares.take(1).capacity, 1);
});
