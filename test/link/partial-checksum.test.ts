import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FRAME_NEEDS_CHECKSUM, FrameList, GSO_TCPV4 } from '../../src/link/link.ts';
import { completeChecksum, completeFrame } from '../../src/link/partial-checksum.ts';
import { foldSum, pseudoHeaderSum4 } from '../../src/wire/checksum.ts';
import { tcpFrame } from '../../testing/frames.ts';

/** A frame whose checksum field holds the pseudo-header's sum only, and the same with its right checksum. */
function partial(payloadBytes: number): { bytes: Uint8Array; view: DataView; complete: Uint8Array } {
  const complete = tcpFrame({ payload: new Uint8Array(payloadBytes).fill(0x5a) });
  const bytes = complete.slice();
  const view = new DataView(bytes.buffer);
  view.setUint16(50, foldSum(pseudoHeaderSum4(view, 14, 6, bytes.length - 34)));
  return { bytes, view, complete };
}

describe('partial checksums', () => {
  it('are finished to what the sender would have written', () => {
    for (const payloadBytes of [0, 1, 7, 1000]) {
      const { bytes, view, complete } = partial(payloadBytes);
      assert.notDeepEqual(bytes, complete);
      assert.equal(completeChecksum(bytes, view, 0, bytes.length, 34, 16), true);
      assert.deepEqual(bytes, complete);
    }
  });

  it('are left alone where the field lies outside the frame', () => {
    const { bytes, view } = partial(0);
    const before = bytes.slice();
    for (const [start, field] of [
      [34, 19],
      [65_535, 16],
      [34, 65_535],
    ] as const) {
      assert.equal(completeChecksum(bytes, view, 0, bytes.length, start, field), false);
    }
    assert.deepEqual(bytes, before);
  });

  it('of a frame are finished when it asks for it and is not to be segmented', () => {
    const { bytes, view, complete } = partial(10);
    const before = bytes.slice();
    const frame = new FrameList();
    frame.checksumStart = 34;
    frame.checksumOffset = 16;
    completeFrame(frame, bytes, view, 0, bytes.length);
    assert.deepEqual(bytes, before);
    frame.flags = FRAME_NEEDS_CHECKSUM;
    frame.gsoType = GSO_TCPV4;
    completeFrame(frame, bytes, view, 0, bytes.length);
    assert.deepEqual(bytes, before);
    frame.gsoType = 0;
    completeFrame(frame, bytes, view, 0, bytes.length);
    assert.deepEqual(bytes, complete);
    assert.equal(frame.flags, 0);
  });
});
