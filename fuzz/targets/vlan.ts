import { checkVlan, describeVlan, vlanId, vlanInnerType, vlanPriority } from '../../src/wire/vlan.ts';
import { assertTight, assertVerdict, sameEverywhere } from '../placement.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  name: 'vlan',
  run(input) {
    sameEverywhere(input, (place) => {
      const { bytes, view, offset, end } = place;
      const verdict = checkVlan(bytes, offset, end);
      assertVerdict(verdict, input.length);
      assertTight(place, verdict, checkVlan);
      if (verdict < 0) return verdict;
      return [
        vlanId(view, offset),
        vlanPriority(view, offset),
        vlanInnerType(view, offset),
        describeVlan(view, offset),
      ];
    });
  },
};
