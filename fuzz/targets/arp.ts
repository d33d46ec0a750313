import { arpOperation, arpSenderWord, arpTargetWord, checkArp, describeArp } from '../../src/wire/arp.ts';
import { assertTight, assertVerdict, sameEverywhere } from '../placement.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  name: 'arp',
  run(input) {
    sameEverywhere(input, (place) => {
      const { bytes, view, offset, end } = place;
      const verdict = checkArp(bytes, offset, end);
      assertVerdict(verdict, input.length);
      assertTight(place, verdict, checkArp);
      if (verdict < 0) return verdict;
      const fields = [arpOperation(view, offset), arpSenderWord(view, offset), arpTargetWord(view, offset)];
      return [...fields, describeArp(bytes, view, offset)];
    });
  },
};
