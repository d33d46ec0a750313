import { checkIcmp, describeIcmp, icmpChecksumValid, icmpIsError, icmpType } from '../../src/wire/icmp.ts';
import { parseQuoted, QuotedPacket } from '../../src/wire/quoted.ts';
import { assertVerdict, sameEverywhere } from '../placement.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  name: 'icmp',
  run(input) {
    const quoted = new QuotedPacket();
    sameEverywhere(input, ({ bytes, view, offset, end }) => {
      const verdict = checkIcmp(bytes, offset, end);
      assertVerdict(verdict, input.length);
      if (verdict < 0) return verdict;
      const type = icmpType(view, offset);
      const text = describeIcmp(view, offset, end - offset);
      const isValid = icmpChecksumValid(bytes, view, offset, end - offset);
      if (!icmpIsError(type)) return [type, text, isValid];
      const before = parseQuoted(bytes, view, offset + verdict, end, 4, quoted);
      assertVerdict(before, input.length - verdict);
      return [type, text, isValid, before, before < 0 ? 0 : quoted.protocol];
    });
  },
};
