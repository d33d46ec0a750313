import { Option, type Command } from 'commander';
import { addCommonOptions, integerArgument, setPage, subcommand, type Act } from '../command.ts';
import { addLinkOptions, addMemoryOptions } from '../link-options.ts';
import { DEFAULT_PATTERN, patternArgument } from '../pattern.ts';
import type { Style } from '../ui/style.ts';
import { MiB } from '../../core/units.ts';

export const DIGESTS: readonly string[] = ['sha256', 'sha512', 'sha1', 'md5', 'none'];
const DEFAULT_PORT = 5201;
const MAX_CONNECTIONS = 1_000_000;

/** `devmem-tcp recv`: connections land in device memory. */
export function recvCommand(style: Style, act: Act): Command {
  const command = subcommand('recv', 'receive TCP streams into device memory', style)
    .description(
      'Listens on a link with a TCP stack of its own and lets the payload of what connects land in device memory.',
    )
    .usage('--link tap:NAME --address PREFIX [options]')
    .addOption(
      new Option('-l, --listen', 'accepted, because ncdevmem has it: recv always listens').default(false).hideHelp(),
    )
    .addOption(
      new Option('-p, --port <port>', 'listen on this port')
        .argParser(integerArgument(1, 65_535))
        .default(DEFAULT_PORT),
    )
    .addOption(
      new Option('-n, --connections <count>', 'end when so many connections have ended')
        .argParser(integerArgument(1, MAX_CONNECTIONS))
        .default(1),
    )
    .addOption(
      new Option('-o, --output <file>', 'write the payload there; - is stdout, %n the number of the connection'),
    )
    .addOption(new Option('-d, --digest <algorithm>', 'digest of each stream').choices(DIGESTS).default('sha256'))
    .addOption(
      new Option(
        '--validate [period]',
        "check for ncdevmem's pattern: the bytes 1 to period-1 and a newline (7 if left out)",
      )
        .argParser(patternArgument)
        .preset(String(DEFAULT_PATTERN)),
    );
  addLinkOptions(command);
  addMemoryOptions(command, { bytes: 256 * MiB, text: '256MiB' }, true);
  addCommonOptions(command, false);
  setPage(command, {
    details: [
      'The digest is computed by the device memory over the references that arrive, not over a copy; payload that the header split left in host memory (linear) is hashed in its place in the stream.',
      'A slow --output slows the sender down: no page is given back before its bytes are written. When the disk is full, what was written stays, and the summary is still printed.',
      'With --output - the payload has stdout for itself, and the summary (or with --json the document) goes to stderr.',
      'A TAP device needs CAP_NET_ADMIN; "unshare -Urn" gives an ordinary user a network namespace where that is granted.',
    ],
    examples: [
      {
        command: 'sudo devmem-tcp recv --link tap:dm0 --address 10.77.0.2/24 --peer-address 10.77.0.1/24',
        comment: 'one stream; then, on the same machine: nc -N 10.77.0.2 5201 < file',
      },
      {
        command: 'sudo devmem-tcp recv -f dm0 -s 10.77.0.2/24 -c 10.77.0.1/24 --connections 4 --output part.%n --json',
        comment: 'four streams, a file each, the result as JSON',
      },
    ],
  });
  return command.action(act(command, async (context) => (await import('../receive.ts')).receive(context)));
}
