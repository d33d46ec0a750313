import { DevmemError, invalidArgument } from '../core/errors.ts';
import type { Libc } from '../linux/libc.ts';
import type { InterfaceAddress, InterfaceChange, InterfaceInfo, RouteNetlink } from '../linux/rtnetlink.ts';
import { formatPrefix, type Prefix } from '../wire/address.ts';
import type { LinkOffloads } from './link.ts';
import { TapLink } from './tap-link.ts';

const DEFAULT_MTU_BYTES = 1500;
/** RFC 791 §3.1, and the most that the kernel allows a TAP (MAX_MTU less the Ethernet header, drivers/net/tun.c). */
const MIN_MTU_BYTES = 68;
const MAX_MTU_BYTES = 65_521;
/**
 * Frames that the kernel queues for us. Its default of 1000 is overrun by a single unsegmented TCP stream: the sender
 * then sits in retransmission timeouts at a hundredth of the speed.
 */
const DEFAULT_TX_QUEUE_FRAMES = 8192;
const MAX_TX_QUEUE_FRAMES = 65_536;
const SEND_BUFFER_BYTES: number = 16 * 1024 * 1024;

export interface TapOptions {
  /** Name of the interface (1 to 15 bytes). Made, and gone with `close()`, unless it exists. */
  name: string;
  /** Addresses that we shall answer to on this link. Not given to the kernel; refused where the kernel has them. */
  addresses?: readonly Prefix[];
  /** Addresses that the kernel's side of the link shall have. */
  peerAddresses?: readonly Prefix[];
  /** Default 1500. */
  mtuBytes?: number;
  /** Default: both on. Segmentation needs checksum. */
  offloads?: LinkOffloads;
  /** A network namespace, by the name that `ip netns` shows or by path. Default: that of the process. */
  netns?: string;
  /** Frames that the kernel holds for us before it drops (default 8192). */
  txQueueLength?: number;
  /** The interface stays when the link is closed (default false). */
  persist?: boolean;
}

/** `linux/` as far as a TAP needs it: loaded when one is opened, so that importing the package loads no FFI. */
interface LinuxModules {
  readonly libc: Libc;
  readonly tun: typeof import('../linux/tun.ts');
  readonly rtnetlink: typeof import('../linux/rtnetlink.ts');
  readonly poll: typeof import('../linux/poll.ts');
}

/**
 * Opens a TAP interface, gives the kernel's side its addresses, and brings it up. `close()` undoes it: an interface
 * that was made goes, one that was there before gets back what it had.
 *
 * @throws DevmemError ERR_DEVMEM_UNSUPPORTED (not Linux), ERR_DEVMEM_INVALID_ARGUMENT, ENOENT (no /dev/net/tun, no such
 *   namespace), EPERM, EACCES, EBUSY (the interface is open elsewhere), EEXIST (the name is another interface's),
 *   EADDRINUSE (an address is the kernel's on another interface), or what else the kernel answers, with its words.
 */
export async function openTap(options: TapOptions): Promise<TapLink> {
  checkOptions(options);
  const { loadLibc } = await import('../linux/libc.ts');
  const libc = await loadLibc();
  const tun = await import('../linux/tun.ts');
  const rtnetlink = await import('../linux/rtnetlink.ts');
  const poll = await import('../linux/poll.ts');
  tun.checkInterfaceName(options.name);
  const linux: LinuxModules = { libc, tun, rtnetlink, poll };
  if (options.netns === undefined) return openHere(linux, options);
  const { inNetworkNamespace } = await import('../linux/netns.ts');
  return inNetworkNamespace(libc, options.netns, () => openHere(linux, options));
}

function checkOptions(options: TapOptions): void {
  const { mtuBytes, txQueueLength, offloads } = options;
  if (mtuBytes !== undefined && !isIntegerWithin(mtuBytes, MIN_MTU_BYTES, MAX_MTU_BYTES)) {
    throw invalidArgument(`mtuBytes is ${mtuBytes}`, `a TAP takes ${MIN_MTU_BYTES} to ${MAX_MTU_BYTES}`);
  }
  if (txQueueLength !== undefined && !isIntegerWithin(txQueueLength, 1, MAX_TX_QUEUE_FRAMES)) {
    throw invalidArgument(`txQueueLength is ${txQueueLength}`, `give 1 to ${MAX_TX_QUEUE_FRAMES} frames`);
  }
  if (offloads !== undefined && offloads.tcpSegmentation && !offloads.checksum) {
    throw invalidArgument('offloads.tcpSegmentation is on and offloads.checksum off', 'segmentation needs checksum');
  }
}

function isIntegerWithin(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

function openHere(linux: LinuxModules, options: TapOptions): TapLink {
  const route = new linux.rtnetlink.RouteNetlink(linux.libc);
  try {
    const before = route.interfaceByName(options.name);
    if (before !== null && before.kind !== 'tun') {
      throw new DevmemError('EEXIST', `interface ${options.name} exists and is not a TAP interface`, {
        hint: 'choose another name',
      });
    }
    const known = route.addresses();
    checkAddresses(known, before, options);
    return openDevice(linux, route, before, known, options);
  } catch (error) {
    route.close();
    throw error;
  }
}

/** An address of ours on the kernel's side means that the kernel answers itself and no frame ever comes here. */
function checkAddresses(known: InterfaceAddress[], before: InterfaceInfo | null, options: TapOptions): void {
  for (const { address } of options.addresses ?? []) {
    if (known.some((entry) => entry.prefix.address.equals(address))) {
      throw new DevmemError('EADDRINUSE', `address ${address.toString()} is one of this machine's own`, {
        hint: 'give the link an address that the kernel does not have, and the kernel one as peer address',
      });
    }
    if (options.peerAddresses?.some((prefix) => prefix.address.equals(address))) {
      throw invalidArgument(`address ${address.toString()} is given to both sides of the link`, 'give each its own');
    }
  }
  for (const { address } of options.peerAddresses ?? []) {
    const taken = known.find((entry) => entry.prefix.address.equals(address));
    if (taken !== undefined && taken.interfaceIndex !== before?.index) {
      throw new DevmemError('EADDRINUSE', `address ${address.toString()} is on another interface already`, {
        hint: 'choose another subnet for this link; `ip address` shows which are taken',
      });
    }
  }
}

function openDevice(
  linux: LinuxModules,
  route: RouteNetlink,
  before: InterfaceInfo | null,
  known: readonly InterfaceAddress[],
  options: TapOptions,
): TapLink {
  const { libc, tun } = linux;
  const offloads = options.offloads ?? { checksum: true, tcpSegmentation: true };
  const fd = tun.openTun(libc, {
    name: options.name,
    checksumOffload: offloads.checksum,
    segmentationOffload: offloads.tcpSegmentation,
    sendBufferBytes: SEND_BUFFER_BYTES,
  });
  const undo: (() => void)[] = [];
  const restore = (): void => {
    for (const step of undo.toReversed()) attempt(step);
    route.close();
  };
  try {
    const info = configure(linux, route, before !== null, known, undo, options);
    if (options.persist === true) tun.persistTun(libc, fd, options.name);
    return new TapLink({
      libc,
      fd,
      waiter: new linux.poll.FdWaiter(libc, fd),
      name: options.name,
      ifindex: info.index,
      kernelMac: info.macAddress,
      mtuBytes: info.mtuBytes,
      offloads,
      restore,
    });
  } catch (error) {
    for (const step of undo.toReversed()) attempt(step);
    libc.close(fd);
    throw error;
  }
}

/** Changes only what differs: an interface that root has prepared needs no capability to be used. */
function configure(
  linux: LinuxModules,
  route: RouteNetlink,
  existed: boolean,
  known: readonly InterfaceAddress[],
  undo: (() => void)[],
  options: TapOptions,
): InterfaceInfo {
  const { IFF_UP, IFF_LOWER_UP } = linux.rtnetlink;
  const info = requireInterface(route, options.name);
  const mtuBytes = options.mtuBytes ?? DEFAULT_MTU_BYTES;
  const txQueueLength = options.txQueueLength ?? DEFAULT_TX_QUEUE_FRAMES;
  const change: InterfaceChange = {};
  const back: InterfaceChange = {};
  if (info.mtuBytes !== mtuBytes) [change.mtuBytes, back.mtuBytes] = [mtuBytes, info.mtuBytes];
  if (info.txQueueLength !== txQueueLength) {
    [change.txQueueLength, back.txQueueLength] = [txQueueLength, info.txQueueLength];
  }
  if ((info.flags & IFF_UP) === 0) [change.up, back.up] = [true, false];
  if (Object.keys(change).length > 0) {
    route.changeInterface(info.index, change);
    if (existed) undo.push(() => route.changeInterface(info.index, back));
  }
  for (const prefix of options.peerAddresses ?? []) {
    if (known.some((entry) => entry.interfaceIndex === info.index && samePrefix(entry.prefix, prefix))) continue;
    route.addAddress(info.index, prefix);
    if (existed) undo.push(() => route.removeAddress(info.index, prefix));
  }
  const now = requireInterface(route, options.name);
  if ((now.flags & IFF_LOWER_UP) === 0) {
    throw new DevmemError('ENETDOWN', `TAP interface ${options.name} did not come up`, {
      hint: `something else manages it; see \`ip link show ${options.name}\``,
    });
  }
  return now;
}

function requireInterface(route: RouteNetlink, name: string): InterfaceInfo {
  const info = route.interfaceByName(name);
  if (info === null) throw new DevmemError('ENODEV', `TAP interface ${name} vanished while it was being set up`);
  return info;
}

function samePrefix(one: Prefix, other: Prefix): boolean {
  return formatPrefix(one) === formatPrefix(other);
}

/** Undoing must not stop half-way: what was deleted meanwhile is as good as undone. */
function attempt(step: () => void): void {
  try {
    step();
  } catch (error) {
    if (!(error instanceof DevmemError)) throw error;
  }
}
