import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { Ring } from '../../src/core/ring.ts';

describe('Ring', () => {
  test('behaves like an array with a limit', () => {
    const operation = fc.oneof(
      { weight: 5, arbitrary: fc.constant('push' as const) },
      { weight: 1, arbitrary: fc.constant('unshift' as const) },
      { weight: 3, arbitrary: fc.constant('shift' as const) },
      { weight: 1, arbitrary: fc.constant('clear' as const) },
    );
    fc.assert(
      fc.property(
        fc.array(operation, { maxLength: 200 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 8 }),
        (operations, limit, capacity) => {
          const ring = new Ring<number>(limit, capacity);
          let model: number[] = [];
          for (const [value, name] of operations.entries()) {
            if (name === 'push') {
              assert.equal(ring.push(value), model.length < limit);
              if (model.length < limit) model.push(value);
            } else if (name === 'unshift') {
              assert.equal(ring.unshift(value), model.length < limit);
              if (model.length < limit) model.unshift(value);
            } else if (name === 'shift') {
              assert.equal(ring.shift(), model.shift());
            } else {
              ring.clear();
              model = [];
            }
            assert.equal(ring.length, model.length);
            assert.deepEqual(
              Array.from({ length: ring.length }, (_, i) => ring.peek(i)),
              model,
            );
            assert.equal(ring.peek(ring.length), undefined);
          }
        },
      ),
    );
  });

  test('keeps the order when it grows while wrapped', () => {
    const ring = new Ring<number>(100, 4);
    for (let i = 0; i < 4; i++) ring.push(i);
    ring.shift();
    ring.shift();
    for (let i = 4; i < 20; i++) ring.push(i);
    assert.deepEqual(
      Array.from({ length: 18 }, () => ring.shift()),
      Array.from({ length: 18 }, (_, i) => i + 2),
    );
    assert.equal(ring.shift(), undefined);
  });
});
