import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBelow, SeededRandom } from '../../../src/core/random.ts';
import { RecordEnds } from '../../../src/stack/tcp/record-ends.ts';

test('RecordEnds finds the first end behind an offset, among those not released', () => {
  const random = new SeededRandom(11);
  const ends = new RecordEnds();
  let model: number[] = [];
  let last = 0;
  let released = 0;
  for (let step = 0; step < 5000; step++) {
    if (randomBelow(random, 3) > 0) {
      last += 1 + randomBelow(random, 50);
      ends.push(last);
      model.push(last);
    } else {
      released = Math.min(last, released + randomBelow(random, 60));
      ends.release(released);
      model = model.filter((end) => end > released);
    }
    const offset = released + randomBelow(random, last - released + 20);
    assert.equal(ends.after(offset), model.find((end) => end > offset) ?? Number.POSITIVE_INFINITY);
    assert.equal(ends.count, model.length);
  }
  assert.ok(model.length > 500);
});

test('what is asked of RecordEnds is compared with as many of them as they can be halved', () => {
  const ends = new RecordEnds();
  for (let i = 1; i <= 20_000; i++) ends.push(i);
  let comparisons = 0;
  const offset: unknown = {
    valueOf(): number {
      comparisons++;
      return 15_000;
    },
  };
  assert.equal(ends.after(offset as number), 15_001);
  assert.ok(comparisons <= 16, `${comparisons} comparisons`);
});
