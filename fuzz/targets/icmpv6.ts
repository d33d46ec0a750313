import { checkIcmpv6, describeIcmpv6, icmpv6IsError, icmpv6Type } from '../../src/wire/icmpv6.ts';
import { parseQuoted, QuotedPacket } from '../../src/wire/quoted.ts';
import { assertVerdict, sameEverywhere } from '../placement.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  name: 'icmpv6',
  run(input) {
    const quoted = new QuotedPacket();
    sameEverywhere(input, ({ bytes, view, offset, end }) => {
      const verdict = checkIcmpv6(bytes, offset, end);
      assertVerdict(verdict, input.length);
      if (verdict < 0) return verdict;
      const type = icmpv6Type(view, offset);
      const text = describeIcmpv6(view, offset, end - offset);
      if (!icmpv6IsError(type)) return [type, text];
      const before = parseQuoted(bytes, view, offset + verdict, end, 6, quoted);
      assertVerdict(before, input.length - verdict);
      return [type, text, before, before < 0 ? 0 : quoted.protocol];
    });
  },
};
