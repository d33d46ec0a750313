import {
  checkIpv6,
  describeIpv6,
  ipv6FlowLabel,
  ipv6HopLimit,
  ipv6IsMulticast,
  ipv6NextHeader,
  ipv6PayloadBytes,
  ipv6TrafficClass,
} from '../../src/wire/ipv6.ts';
import { assertTight, assertVerdict, sameEverywhere } from '../placement.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  name: 'ipv6',
  run(input) {
    sameEverywhere(input, (place) => {
      const { bytes, view, offset, end } = place;
      const verdict = checkIpv6(bytes, offset, end);
      assertVerdict(verdict, input.length);
      assertTight(place, verdict, checkIpv6);
      if (verdict < 0) return verdict;
      return [
        ipv6TrafficClass(view, offset),
        ipv6FlowLabel(view, offset),
        ipv6PayloadBytes(view, offset),
        ipv6NextHeader(view, offset),
        ipv6HopLimit(view, offset),
        ipv6IsMulticast(view, offset),
        describeIpv6(view, offset),
      ];
    });
  },
};
