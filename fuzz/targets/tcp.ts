import { checkTcp, describeTcp, TCP_HEADER_BYTES, tcpFlags, tcpSequence } from '../../src/wire/tcp.ts';
import { describeTcpOptions, parseTcpOptions, TcpOptions } from '../../src/wire/tcp-options.ts';
import { assertVerdict, sameEverywhere } from '../placement.ts';
import type { FuzzTarget } from '../target.ts';

export const target: FuzzTarget = {
  name: 'tcp',
  run(input) {
    const options = new TcpOptions();
    sameEverywhere(input, ({ bytes, view, offset, end }) => {
      const verdict = checkTcp(bytes, offset, end);
      assertVerdict(verdict, input.length);
      if (verdict < 0) return verdict;
      const parsed = parseTcpOptions(bytes, view, offset + TCP_HEADER_BYTES, offset + verdict, options);
      assertVerdict(parsed, 0);
      const text = describeTcp(view, offset, end - offset);
      return [verdict, tcpFlags(view, offset), tcpSequence(view, offset), parsed, text, describeTcpOptions(options)];
    });
  },
};
