import {
  checkIpv4,
  checkIpv4Options,
  describeIpv4,
  ipv4ChecksumValid,
  ipv4FragmentOffsetBytes,
  ipv4HeaderBytes,
  ipv4IsFragment,
  ipv4TotalBytes,
} from '../../src/wire/ipv4.ts';
import { assertVerdict, sameEverywhere } from '../placement.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  name: 'ipv4',
  run(input) {
    sameEverywhere(input, ({ bytes, view, offset, end }) => {
      const verdict = checkIpv4(bytes, offset, end);
      assertVerdict(verdict, input.length);
      if (verdict < 0) return verdict;
      return [
        verdict,
        ipv4HeaderBytes(view, offset),
        ipv4TotalBytes(view, offset),
        checkIpv4Options(bytes, offset, verdict),
        ipv4ChecksumValid(bytes, view, offset),
        ipv4IsFragment(view, offset),
        ipv4FragmentOffsetBytes(view, offset),
        describeIpv4(view, offset),
      ];
    });
  },
};
