import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TokenBucket } from '../../src/stack/rate-limit.ts';

function takeAll(bucket: TokenBucket, nowMicros: number): number {
  let taken = 0;
  while (bucket.take(nowMicros)) taken++;
  return taken;
}

test('a burst at once, then the rate, and never more than a burst saved up', () => {
  const bucket = new TokenBucket(100, 50);
  assert.equal(takeAll(bucket, 5_000_000), 50);
  assert.equal(takeAll(bucket, 5_009_999), 0);
  assert.equal(takeAll(bucket, 5_010_001), 1);
  assert.equal(takeAll(bucket, 5_210_001), 20);
  assert.equal(takeAll(bucket, 500_000_000), 50);
});

test('time that stands still or runs backwards fills nothing', () => {
  const bucket = new TokenBucket(1000, 1);
  assert.equal(takeAll(bucket, 1_000_000), 1);
  assert.equal(takeAll(bucket, 1_000_000), 0);
  assert.equal(takeAll(bucket, 500_000), 0);
});
