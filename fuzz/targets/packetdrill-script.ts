import { runScript } from '../../testing/packetdrill/run-script.ts';
import type { FuzzTarget } from '../target.ts';

/**
 * Text as a packetdrill script. It is refused with a message, or it is played, and then neither the runner nor the TCP
 * may throw whatever it says.
 */
export const target: FuzzTarget = {
  name: 'packetdrill-script',
  maxBytes: 1024,
  testMutants: 150,
  run(input) {
    const text = Buffer.from(input).toString('latin1');
    const { message } = runScript(text, 'fuzz.pkt', { mode: 'ipv4' });
    if (message.includes('the stack threw')) throw new Error(message);
  },
};
