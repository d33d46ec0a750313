import assert from 'node:assert/strict';
import { describeIpv6Extensions, Ipv6Extensions, walkIpv6Extensions } from '../../src/wire/ipv6-extension.ts';
import { assertVerdict, sameEverywhere } from '../placement.ts';
import type { FuzzTarget } from '../target.ts';

/** The input: one byte, the first Next Header value; then the headers. */
export const target: FuzzTarget = {
  name: 'ipv6-extension',
  run(input) {
    if (input.length === 0) return;
    const out = new Ipv6Extensions();
    sameEverywhere(input, ({ bytes, view, offset, end }) => {
      const walked = walkIpv6Extensions(bytes, view, offset, offset + 1, end, out);
      assertVerdict(walked, input.length - 1);
      if (out.problemOffset >= 0) assert.ok(out.problemOffset >= offset && out.problemOffset < end);
      if (out.unknownOptionOffset >= 0) assert.ok(out.unknownOptionOffset > offset && out.unknownOptionOffset < end);
      if (walked < 0) return walked;
      assert.equal(out.upperOffset, offset + 1 + walked);
      assert.equal(bytes[out.nextHeaderOffset], out.protocol);
      assert.equal(walked % 4, 0);
      return [walked, out.count, out.protocol, out.unknownOptionAction, describeIpv6Extensions(out)];
    });
  },
};
