import { Option, type Command } from 'commander';
import { integerArgument, listArgument, sizeArgument } from './command.ts';
import { UsageError } from './exit.ts';
import type { CongestionName } from '../stack/tcp/congestion/controller.ts';

/** Where the stream comes from or goes to, and the memory it lives in: shared by `recv` and `send`. */
export interface LinkOptions {
  readonly link?: string;
  readonly address?: readonly string[];
  readonly peerAddress?: readonly string[];
  readonly mtu?: number;
  readonly offload: boolean;
  readonly queues: number;
  readonly firstQueue: number;
  readonly memory: string;
  readonly size: number;
  /** Of `send` only. */
  readonly congestion?: CongestionName;
}

const OPTIONS_LINK = 'Link:';
const OPTIONS_MEMORY = 'Device memory:';
const EXPORTERS = ['memfd', 'udmabuf', 'shared'];
/** What a NIC has at most; one of them stays unbound. */
export const MAX_QUEUES = 64;
/** What a TAP takes: link/tap.ts has the same, but loads the engine. */
const MIN_MTU_BYTES = 68;
const MAX_MTU_BYTES = 65_521;

/** Adds them, with ncdevmem's letters where it has one. */
export function addLinkOptions(command: Command): void {
  command.optionsGroup(OPTIONS_LINK);
  command
    .addOption(new Option('-f, --link <link>', 'the link to use, such as tap:dm0; a bare name is a TAP device'))
    .addOption(new Option('--iface <name>', 'the same as --link').hideHelp())
    .addOption(
      new Option(
        '-s, --address <prefix>',
        'our address with its prefix length, 10.77.0.2/24; repeat it for IPv6',
      ).argParser(listArgument),
    )
    .addOption(
      new Option(
        '-c, --peer-address <prefix>',
        "the address to give this machine's side of the link; repeat it for IPv6",
      ).argParser(listArgument),
    )
    .addOption(
      new Option('--mtu <bytes>', 'largest IP packet on the link').argParser(
        integerArgument(MIN_MTU_BYTES, MAX_MTU_BYTES),
      ),
    )
    .addOption(new Option('--no-offload', 'no checksum and segmentation offload on the link'));
}

export function addMemoryOptions(command: Command, size: { bytes: number; text: string }, queues: boolean): void {
  command.optionsGroup(OPTIONS_MEMORY);
  command
    .addOption(
      new Option('-m, --memory <exporter>', 'where device memory comes from').choices(EXPORTERS).default('memfd'),
    )
    .addOption(
      new Option('--size <size>', 'how much of it: 64K, 256MiB; a multiple of 4096, not the size of the transfer')
        .argParser(sizeArgument)
        .default(size.bytes, size.text),
    );
  if (!queues) return;
  command
    .addOption(
      new Option('-q, --queues <count>', 'bind it to so many receive queues')
        .argParser(integerArgument(1, MAX_QUEUES - 1))
        .default(1),
    )
    .addOption(
      new Option('-t, --first-queue <number>', 'from this queue on')
        .argParser(integerArgument(0, MAX_QUEUES - 1))
        .default(1),
    );
}

/** `dm0` is `tap:dm0`. */
export function linkName(options: LinkOptions & { readonly iface?: string }): string {
  const name = options.link ?? options.iface;
  if (name === undefined) {
    throw new UsageError('--link is missing', '--link tap:dm0 makes a TAP device; "devmem-tcp demo" needs no link');
  }
  return name.includes(':') ? name : `tap:${name}`;
}

export function ownAddresses(options: LinkOptions): readonly string[] {
  if (options.address === undefined) {
    throw new UsageError('--address is missing', 'give our side of the link an address: --address 10.77.0.2/24');
  }
  return options.address;
}
