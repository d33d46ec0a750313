import { checkUdp, describeUdp, udpLengthBytes } from '../../src/wire/udp.ts';
import { assertVerdict, sameEverywhere } from '../placement.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  name: 'udp',
  run(input) {
    sameEverywhere(input, ({ bytes, view, offset, end }) => {
      const verdict = checkUdp(bytes, offset, end);
      assertVerdict(verdict, input.length);
      return verdict < 0 ? verdict : [verdict, udpLengthBytes(view, offset), describeUdp(view, offset)];
    });
  },
};
