import assert from 'node:assert/strict';
import { describeFrame, describePacket } from '../../src/wire/describe.ts';
import { sameEverywhere } from '../placement.ts';
import type { FuzzTarget } from '../target.ts';

/** A whole frame through every codec, by way of its description. */
export const target: FuzzTarget = {
  name: 'frame',
  run(input) {
    sameEverywhere(input, ({ bytes, offset, end }) => {
      const text = describeFrame(bytes, offset, end - offset);
      assert.match(text, /./);
      // A field read from beyond the bytes shows as one of these.
      assert.doesNotMatch(text, /undefined|NaN|null/);
      return [text, describePacket(bytes, offset, end - offset)];
    });
  },
};
