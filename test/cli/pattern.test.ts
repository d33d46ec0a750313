import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { MAX_PATTERN, MIN_PATTERN, PatternCheck, patternArgument, patternBytes } from '../../src/cli/pattern.ts';

test('the pattern is what `yes $(echo -e \\\\x01\\\\x02...)` prints', () => {
  assert.deepEqual([...patternBytes(7, 9)], [1, 2, 3, 4, 5, 6, 0x0a, 1, 2]);
  assert.deepEqual([...patternBytes(2, 4)], [1, 0x0a, 1, 0x0a]);
  assert.equal(patternBytes(256, 256)[254], 255);
  assert.equal(patternBytes(256, 256)[255], 0x0a);
});

const periods = fc.integer({ min: MIN_PATTERN, max: MAX_PATTERN });

test('a right stream passes however it is cut', () => {
  fc.assert(
    fc.property(periods, fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 20 }), (period, cuts) => {
      const total = cuts.reduce((sum, cut) => sum + cut, 0);
      const stream = Buffer.from(patternBytes(period, total));
      const check = new PatternCheck(period);
      let at = 0;
      for (const cut of cuts) {
        assert.equal(check.update(stream, at, cut), true);
        at += cut;
      }
      assert.equal(check.checkedBytes, total);
    }),
    { numRuns: 100 },
  );
});

test('pieces larger than a block pass, and a wrong byte behind the block is found', () => {
  const stream = Buffer.from(patternBytes(7, 300_000));
  assert.equal(new PatternCheck(7).update(stream, 0, stream.length), true);
  stream[299_999]! ^= 1;
  const check = new PatternCheck(7);
  assert.equal(check.update(stream, 0, stream.length), false);
  assert.equal(check.mismatchOffset, 299_999);
});

test('one wrong byte is found at its offset, with what was expected there', () => {
  fc.assert(
    fc.property(periods, fc.nat(9999), fc.integer({ min: 1, max: 255 }), fc.nat(9999), (period, wrongAt, flip, cut) => {
      const stream = Buffer.from(patternBytes(period, 10_000));
      const expected = stream[wrongAt]!;
      stream[wrongAt] = expected ^ flip;
      const check = new PatternCheck(period);
      const first = check.update(stream, 0, cut);
      const second = check.update(stream, cut, stream.length - cut);
      assert.equal(first && second, false);
      assert.deepEqual(
        [check.mismatchOffset, check.expectedByte, check.actualByte],
        [wrongAt, expected, expected ^ flip],
      );
    }),
    { numRuns: 100 },
  );
});

test('--validate takes a period from 2 to 256', () => {
  assert.equal(patternArgument('7'), 7);
  for (const text of ['1', '257', '', 'x', '-3', '7.5'])
    assert.throws(() => patternArgument(text), /period from 2 to 256/);
});
