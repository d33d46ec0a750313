import assert from 'node:assert/strict';
import { checkIpv6 } from '../../src/wire/ipv6.ts';
import {
  checkNeighborAdvertisement,
  checkNeighborSolicitation,
  checkRouterAdvertisement,
  checkRouterSolicitation,
  describeNeighbor,
  NEIGHBOR_MESSAGE_BYTES,
  NdpOptions,
  ndpTarget,
  prefixAddress,
  prefixLengthBits,
} from '../../src/wire/ndp.ts';
import { assertVerdict, sameEverywhere } from '../placement.ts';
import type { FuzzTarget } from '../target.ts';

const CHECKS = [
  checkRouterSolicitation,
  checkRouterAdvertisement,
  checkNeighborSolicitation,
  checkNeighborAdvertisement,
];

/** The input: an IPv6 header and the message right behind it. Each message is put to all four checks. */
export const target: FuzzTarget = {
  name: 'ndp',
  run(input) {
    const options = new NdpOptions();
    sameEverywhere(input, ({ bytes, view, offset, end }) => {
      const l3Bytes = checkIpv6(bytes, offset, end);
      if (l3Bytes < 0) return l3Bytes;
      const message = offset + l3Bytes;
      return CHECKS.map((check) => {
        const verdict = check(bytes, view, offset, message, end, options);
        assertVerdict(verdict, end - message);
        if (verdict < 0) return verdict;
        for (const macOffset of [options.sourceMacOffset, options.targetMacOffset]) {
          assert.ok(macOffset === -1 || (macOffset > message && macOffset + 6 <= end));
        }
        const prefixes = [...options.prefixOffsets.subarray(0, options.prefixCount)].map((at) => {
          assert.ok(at > message && at + 32 <= end);
          return [prefixLengthBits(view, at), prefixAddress(view, at).toString()];
        });
        if (verdict !== NEIGHBOR_MESSAGE_BYTES) return [options.mtuBytes, prefixes];
        return [ndpTarget(view, message).toString(), describeNeighbor(view, message, true)];
      });
    });
  },
};
