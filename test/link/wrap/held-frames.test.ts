import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { HeldFrames } from '../../../src/link/wrap/held-frames.ts';
import { bytesOf, frameOf } from '../../../testing/link-frames.ts';

describe('held frames', () => {
  const frame = frameOf(5000);
  const bytes = frame.regions[0]!.mapping;

  it('come out in the order of their times, whole', () => {
    const held = new HeldFrames(4);
    assert.equal(held.dueAt(), Number.POSITIVE_INFINITY);
    assert.equal(held.due(1e9), null);
    held.hold(frame, bytes, 100, 30, 0);
    held.hold(frame, bytes, 5000, 10, 0);
    held.hold(frame, bytes, 60, 20, 0);
    assert.equal(held.dueAt(), 10);
    assert.equal(held.due(9), null);
    const lengths = [];
    for (let next = held.due(100); next !== null; next = held.due(100)) {
      assert.deepEqual(bytesOf(next.frame), Buffer.from(bytes.subarray(0, next.length)));
      lengths.push(next.length);
      held.release(next);
    }
    assert.deepEqual(lengths, [5000, 60, 100]);
    assert.equal(held.count, 0);
  });

  it('are due when enough others have gone past, or when nothing else comes', () => {
    const held = new HeldFrames(4);
    held.hold(frame, bytes, 60, Number.POSITIVE_INFINITY, 2);
    held.overtake(5);
    assert.equal(held.due(5), null);
    held.overtake(6);
    held.release(held.due(6)!);
    held.hold(frame, bytes, 61, Number.POSITIVE_INFINITY, 2);
    held.expire(7);
    assert.equal(held.due(7)!.length, 61);
  });

  it('are no more than the limit', () => {
    const held = new HeldFrames(2);
    assert.equal(held.hold(frame, bytes, 60, 1, 0), true);
    assert.equal(held.hold(frame, bytes, 60, 1, 0), true);
    assert.equal(held.hold(frame, bytes, 60, 1, 0), false);
    held.release(held.due(1)!);
    assert.equal(held.hold(frame, bytes, 60, 1, 0), true);
  });
});
