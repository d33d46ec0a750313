import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../../../src/core/random.ts';
import { RecordEnds } from '../../../src/stack/tcp/record-ends.ts';

test('RecordEnds finds the first end behind an offset, among those not released', () => {
  const random = new SeededRandom(11);
  const ends = new RecordEnds();
  let model: number[] = [];
  let last = 0;
  let released = 0;
  for (let step = 0; step < 5000; step++) {
    if (random.below(3) > 0) {
      last += 1 + random.below(50);
      ends.push(last);
      model.push(last);
    } else {
      released = Math.min(last, released + random.below(60));
      ends.release(released);
      model = model.filter((end) => end > released);
    }
    const offset = released + random.below(last - released + 20);
    assert.equal(ends.after(offset), model.find((end) => end > offset) ?? Number.POSITIVE_INFINITY);
    assert.equal(ends.count, model.length);
  }
  assert.ok(model.length > 500);
});

test('what is asked of RecordEnds reads as many of its numbers as they can be halved', () => {
  const offsets = new Float64Array(8);
  const ends = new RecordEnds();
  const read: number[] = [];
  // An end is compared with the offset asked for by `valueOf`, so that each comparison shows.
  const offset = { valueOf: (): number => (read.push(1), offsets.length * 1000) } as unknown as number;
  for (let i = 1; i <= 20_000; i++) ends.push(i);
  assert.equal(ends.after(offset), 8001);
  assert.ok(read.length <= 16, `${read.length} comparisons`);
});
