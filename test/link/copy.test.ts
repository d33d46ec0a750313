import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';

import { copyBytes, copyOffload, flattenFrame, scatterFrame } from '../../src/link/copy.ts';
import { FrameList } from '../../src/link/link.ts';
import { bytesOf, frameOf, landingOf, patterned } from '../../testing/link-frames.ts';

describe('copying frames', () => {
  it('copies exactly the bytes asked for, within one mapping too', () => {
    const lengths = fc.integer({ min: 0, max: 200 });
    fc.assert(
      fc.property(lengths, lengths, lengths, fc.boolean(), (from, to, length, same) => {
        const source = patterned(400, 1).mapping;
        const target = same ? source : patterned(400, 2).mapping;
        const expected = Buffer.from(target);
        expected.set(source.slice(from, from + length), to);
        // A loop cannot copy upwards within overlapping bytes; nothing here asks it to.
        if (same && from < to && to < from + length) return;
        copyBytes(source, from, target, to, length);
        assert.deepEqual(Buffer.from(target), expected);
      }),
    );
  });

  it('flattens up to a limit, and scatters up to the room there is', () => {
    const frame = frameOf(10, 50, 1, 33);
    const whole = bytesOf(frame);
    for (const limit of [0, 1, 10, 11, 60, 61, 94, 200]) {
      const flat = new Uint8Array(100).fill(0xee);
      const copied = flattenFrame(frame, flat, 3, limit);
      assert.equal(copied, Math.min(limit, 94));
      assert.deepEqual(Buffer.from(flat.subarray(3, 3 + copied)), whole.subarray(0, copied));
      assert.equal(flat[3 + copied], 0xee);

      const landing = landingOf(7, 40, 20);
      const scattered = scatterFrame(whole, 0, copied, landing);
      assert.equal(scattered, Math.min(copied, 67));
      assert.deepEqual(bytesOf(landing, scattered), whole.subarray(0, scattered));
    }
  });

  it('copies what the offload fields say', () => {
    const source = new FrameList();
    Object.assign(source, { flags: 1, gsoType: 4, headerBytes: 74, gsoSizeBytes: 1440, checksumStart: 54 });
    source.checksumOffset = 16;
    const target = new FrameList();
    copyOffload(source, target);
    assert.deepEqual(target, source);
  });
});
