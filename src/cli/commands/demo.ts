import { Option, type Command } from 'commander';
import { addCommonOptions, integerArgument, setPage, sizeArgument, subcommand, type Act } from '../command.ts';
import type { Style } from '../ui/style.ts';
import { GiB, MiB } from '../../core/units.ts';

/** `devmem-tcp demo`: two hosts and a cable in one process. */
export function demoCommand(style: Style, act: Act): Command {
  const command = subcommand('demo', 'see it work: two hosts and a cable in this process', style)
    .description(
      'Sends a stream from one device memory to another, through two complete TCP/IP stacks and a cable that exist only in this process, and shows where every byte went. Needs no root, no network and no Linux.',
    )
    .usage('[options]')
    .addOption(new Option('-n, --size <size>', 'how much to send').argParser(sizeArgument).default(GiB, '1GiB'))
    .addOption(
      new Option('--memory-size <size>', "the receiver's device memory")
        .argParser(sizeArgument)
        .default(64 * MiB, '64MiB'),
    )
    .addOption(
      new Option('--mtu <bytes>', 'largest IP packet on the cable')
        .argParser(integerArgument(576, 65_535))
        .default(9000),
    )
    .addOption(new Option('--ipv6', 'over IPv6').default(false));
  addCommonOptions(command);
  setPage(command, {
    details: [
      "Both ends compute SHA-256, each over its own device memory and by references: the sender of what it sent, the receiver of what arrived. The receiver's memory is smaller than the transfer, so that its pages are used again and again; at the end all of them are free.",
    ],
    examples: [
      { command: 'devmem-tcp demo', comment: '1 GiB through 64 MiB of device memory' },
      { command: 'devmem-tcp demo --size 256MiB --json', comment: 'the figures for a program' },
    ],
  });
  return command.action(act(command, async (context) => (await import('../demonstrate.ts')).demonstrate(context)));
}
