import { checkEthernet, describeEthernet, etherType } from '../../src/wire/ethernet.ts';
import { assertTight, assertVerdict, sameEverywhere } from '../placement.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  name: 'ethernet',
  run(input) {
    sameEverywhere(input, (place) => {
      const { bytes, view, offset, end } = place;
      const verdict = checkEthernet(bytes, offset, end);
      assertVerdict(verdict, input.length);
      assertTight(place, verdict, checkEthernet);
      return verdict < 0 ? verdict : [verdict, etherType(view, offset), describeEthernet(bytes, view, offset)];
    });
  },
};
