import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  sequenceAdd,
  sequenceDifference,
  sequenceGreater,
  sequenceGreaterOrEqual,
  sequenceLess,
  sequenceLessOrEqual,
  sequenceMax,
  sequenceMin,
} from '../../src/wire/sequence.ts';
import { i32 } from '../../testing/codec-suite.ts';

const HALF = 0x7fff_ffff;

test('what lies up to half the space ahead is later, across every wrap', () => {
  fc.assert(
    fc.property(i32, fc.integer({ min: 1, max: HALF }), (a, distance) => {
      const b = sequenceAdd(a, distance);
      assert.equal(sequenceDifference(b, a), distance);
      assert.ok(sequenceLess(a, b) && sequenceLessOrEqual(a, b));
      assert.ok(sequenceGreater(b, a) && sequenceGreaterOrEqual(b, a));
      assert.ok(!sequenceLess(b, a) && !sequenceGreater(a, b));
      assert.equal(sequenceMax(a, b), b);
      assert.equal(sequenceMin(b, a), a);
    }),
  );
});

test('a number is equal to itself and neither before nor after it', () => {
  fc.assert(
    fc.property(i32, (a) => {
      assert.ok(sequenceLessOrEqual(a, a) && sequenceGreaterOrEqual(a, a));
      assert.ok(!sequenceLess(a, a) && !sequenceGreater(a, a));
    }),
  );
});

test('the wrap at 2^32 and the one of int32', () => {
  assert.ok(sequenceLess(0xffff_ffff | 0, 0));
  assert.ok(sequenceLess(0x7fff_ffff, 0x8000_0000 | 0));
  assert.equal(sequenceAdd(0x7fff_ffff, 1), -0x8000_0000);
});
