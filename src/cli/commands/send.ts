import { Argument, Option, type Command } from 'commander';
import { addCommonOptions, setPage, sizeArgument, subcommand, type Act } from '../command.ts';
import { addLinkOptions, addMemoryOptions } from '../link-options.ts';
import { DIGESTS } from './recv.ts';
import type { Style } from '../ui/style.ts';
import { MiB } from '../../core/units.ts';

/** What the stack has (stack/tcp/congestion/make.ts): named here too, so that help loads no engine. */
const CONTROLLERS = ['cubic', 'reno', 'bbr', 'bbr3'];

/** `devmem-tcp send`: a file goes out of device memory. */
export function sendCommand(style: Style, act: Act): Command {
  const command = subcommand('send', 'send a file out of device memory', style)
    .description('Reads a file into device memory and sends it from there, in place, to any TCP receiver.')
    .usage('FILE HOST:PORT --link tap:NAME --address PREFIX [options]')
    .addArgument(new Argument('<file>', 'the file to send; - is stdin'))
    .addArgument(new Argument('<host:port>', 'where to: 10.77.0.1:5201 or [fd09::1]:5201'))
    .addOption(new Option('-d, --digest <algorithm>', 'digest of what was sent').choices(DIGESTS).default('sha256'))
    .addOption(
      new Option('-z, --max-chunk <size>', 'send so many bytes of device memory at a time')
        .argParser(sizeArgument)
        .default(4 * MiB, '4MiB'),
    )
    .addOption(new Option('-C, --congestion <name>', 'congestion controller').choices(CONTROLLERS).default('cubic'));
  addLinkOptions(command);
  addMemoryOptions(command, { bytes: 64 * MiB, text: '64MiB' }, false);
  addCommonOptions(command, false);
  setPage(command, {
    details: [
      'The memory is a ring of chunks: the next part of the file is read while earlier ones are on their way, and a chunk is used again when the peer has acknowledged it.',
      'HOST is an address, or a name that this machine can resolve; its address has to be reachable over the link.',
    ],
    examples: [
      {
        command:
          'sudo devmem-tcp send model.bin 10.77.0.1:5201 --link tap:dm0 --address 10.77.0.2/24 --peer-address 10.77.0.1/24',
        comment: 'to "nc -l 5201 > copy.bin" on this machine',
      },
      {
        command: 'tar c data | sudo devmem-tcp send - 10.77.0.1:5201 -f dm0 -s 10.77.0.2/24 -c 10.77.0.1/24',
        comment: 'from a pipe',
      },
    ],
  });
  return command.action(act(command, async (context) => (await import('../transmit.ts')).transmit(context)));
}
