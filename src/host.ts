import { RealClock, type Clock } from './core/clock.ts';
import { invalidArgument } from './core/errors.ts';
import { SecureRandom, SeededRandom, type Random } from './core/random.ts';
import type { Link, LinkOffloads } from './link/link.ts';
import { CaptureLink, type CaptureSink } from './link/wrap/capture.ts';
import { Nic } from './nic/nic.ts';
import type { Host } from './socket/host-api.ts';
import { UserHost } from './socket/user-host.ts';
import type { DuplicateDetection } from './stack/addresses.ts';
import type { RouterAdvertisements } from './stack/router.ts';
import { Stack } from './stack/stack.ts';
import type { TcpConfig } from './stack/tcp/config.ts';
import { formatPrefix, IpAddress, parsePrefix, UNSPECIFIED4, UNSPECIFIED6, type Prefix } from './wire/address.ts';
import { parseMac, randomMac } from './wire/mac.ts';

export interface HostOptions {
  /** `tap:NAME` (Linux), or a link: one end of `cable()`. The host owns it and closes it. */
  link: string | Link;
  /** The host's addresses with their prefix lengths: `10.9.0.2/24`, `fd09::2/64`. */
  addresses: readonly string[];
  /** Of a TAP: addresses that the kernel's side of the link gets. */
  peerAddresses?: readonly string[];
  /** Router for everything outside the prefixes of `addresses`; one a family. */
  gateway?: string | readonly string[];
  /** Of a TAP: the largest IP packet, 1500 by default. */
  mtuBytes?: number;
  /** Of a TAP: what the kernel does of checksums and segmentation; both by default. */
  offloads?: LinkOffloads;
  /** Of a TAP: a network namespace, by name or path. */
  netns?: string;
  /** RX queues, 1 to 64; 2 by default. One has to be left unbound. */
  queues?: number;
  /** Random if left out. */
  macAddress?: string;
  /** Host memory for payload that is not steered to a binding, 16 MiB by default. */
  hostPoolBytes?: number;
  /** Makes everything that is random repeatable. Not for production: it makes sequence numbers guessable. */
  seed?: number;
  random?: Random;
  clock?: Clock;
  /** Writes every frame to `sink` as pcapng; of TCP payload only its length, unless `payload` is set. */
  capture?: { sink: CaptureSink; payload?: boolean };
  /**
   * Puts something around the link: `FaultLink`, `DelayLink`, one's own. Where that has fewer offloads than the link (a
   * link that corrupts has none), the other end must not use them either: make the cable without.
   */
  wrapLink?: (link: Link, clock: Clock) => Link;
  /** Whether addresses are used at once (`optimistic`, default), after their probes (`wait`), or unprobed (`off`). */
  duplicateDetection?: DuplicateDetection;
  /** Whether routers may configure the host (IPv6): `ignore` by default. */
  routerAdvertisements?: RouterAdvertisements;
  /** Knobs of the TCP; Linux's defaults. */
  tcp?: Partial<TcpConfig>;
}

/**
 * Opens a host: link, NIC, TCP/IP stack and the loop that drives them. `await using` or `close()` undoes everything.
 *
 * @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT; for a TAP: ERR_DEVMEM_UNSUPPORTED (not Linux), EPERM, EBUSY, ENOENT.
 */
export async function openHost(options: HostOptions): Promise<Host> {
  checkLink((options as HostOptions | null | undefined)?.link);
  const addresses = parsePrefixes(options.addresses ?? [], 'addresses');
  if (addresses.length === 0)
    throw invalidArgument('a host without an address', "give it one: addresses: ['10.9.0.2/24']");
  for (const prefix of addresses) checkHostAddress(prefix);
  const gateways = parseGateways(options.gateway);
  const clock = options.clock ?? new RealClock();
  const random = options.random ?? (options.seed === undefined ? new SecureRandom() : new SeededRandom(options.seed));
  const macAddress = options.macAddress === undefined ? randomMac(random) : parseMac(options.macAddress);
  if (macAddress === null)
    throw invalidArgument(`${options.macAddress} is not a MAC address`, 'write 02:00:00:00:00:01');

  const opened = typeof options.link === 'string' ? await openLink(options.link, addresses, options) : options.link;
  try {
    const link = wrap(opened, clock, options);
    const nic = new Nic({
      link,
      macAddress,
      random,
      ...(options.queues === undefined ? {} : { rxQueueCount: options.queues }),
      ...(options.hostPoolBytes === undefined ? {} : { hostPoolBytes: options.hostPoolBytes }),
    });
    const { tcp, duplicateDetection, routerAdvertisements } = options;
    const stack = new Stack({
      nic,
      random,
      ...(tcp === undefined ? {} : { tcp }),
      ...(duplicateDetection === undefined ? {} : { duplicateDetection }),
      ...(routerAdvertisements === undefined ? {} : { routerAdvertisements }),
    });
    const now = clock.nowMicros();
    for (const prefix of addresses) stack.addAddress(prefix, now);
    for (const gateway of gateways) stack.addRoute(defaultPrefix(gateway), gateway);
    return new UserHost({ nic, stack, clock });
  } catch (error) {
    opened.close();
    throw error;
  }
}

function wrap(opened: Link, clock: Clock, options: HostOptions): Link {
  const link = options.wrapLink?.(opened, clock) ?? opened;
  if (options.capture === undefined) return link;
  const { sink, payload } = options.capture;
  const epochMicros = Date.now() * 1000 - clock.nowMicros();
  return new CaptureLink(link, clock, sink, { payload: payload ?? false, epochMicros });
}

async function openLink(name: string, addresses: readonly Prefix[], options: HostOptions): Promise<Link> {
  const { peerAddresses, mtuBytes, offloads, netns } = options;
  const colon = name.indexOf(':');
  const kind = colon < 0 ? name : name.slice(0, colon);
  if (kind !== 'tap' || colon < 0 || colon === name.length - 1) {
    throw invalidArgument(`${name} is not a link`, "write 'tap:NAME', or pass an end of cable()");
  }
  const { openTap } = await import('./link/tap.ts');
  return openTap({
    name: name.slice(colon + 1),
    addresses,
    ...(peerAddresses === undefined ? {} : { peerAddresses: parsePrefixes(peerAddresses, 'peerAddresses') }),
    ...(mtuBytes === undefined ? {} : { mtuBytes }),
    ...(offloads === undefined ? {} : { offloads }),
    ...(netns === undefined ? {} : { netns }),
  });
}

/** What JavaScript passes is not what the types say. */
function checkLink(link: unknown): void {
  if (typeof link === 'string') return;
  if (typeof link === 'object' && link !== null && 'readFrame' in link && 'writeFrame' in link) return;
  const what = link === undefined ? 'a host without a link' : `link is ${link === null ? 'null' : `a ${typeof link}`}`;
  throw invalidArgument(what, "give it one: link: 'tap:NAME', or an end of cable()");
}

function parsePrefixes(texts: readonly string[], where: string): Prefix[] {
  if (!Array.isArray(texts)) throw invalidArgument(`${where} is not an array`, `write ${where}: ['10.9.0.2/24']`);
  return texts.map((text: unknown) => {
    const prefix = typeof text === 'string' ? parsePrefix(text) : null;
    if (prefix !== null) return prefix;
    throw invalidArgument(
      `${String(text)} in ${where} is not an address with a prefix length`,
      'write 10.9.0.2/24 or fd09::2/64',
    );
  });
}

/** RFC 1122 §3.2.1.3, RFC 4291 §2: addresses that no single host may have; refused before a link is made. */
function checkHostAddress(prefix: Prefix): void {
  const { address, lengthBits } = prefix;
  const reason = groupReason(address) ?? (address.family === 4 ? edgeReason(address, lengthBits) : null);
  if (reason === null) return;
  throw invalidArgument(
    `${formatPrefix(prefix)} in addresses cannot be a host's: it is ${reason}`,
    "give a host's address with its prefix length, such as 10.9.0.2/24 or fd09::2/64",
  );
}

function groupReason(address: IpAddress): string | null {
  if (address.isMulticast) return 'a multicast address';
  if (address.isUnspecified) return 'the unspecified address';
  if (address.isLoopback) return 'a loopback address';
  return address.isBroadcast ? 'the broadcast address' : null;
}

/** The first and the last address of an IPv4 prefix; RFC 3021: a /31 has neither. */
function edgeReason(address: IpAddress, lengthBits: number): string | null {
  if (lengthBits >= 31) return null;
  const hostMask = lengthBits === 0 ? -1 : (1 << (32 - lengthBits)) - 1;
  const host = address.w3 & hostMask;
  if (host === 0) return "its prefix's network address";
  return host === hostMask ? "its prefix's broadcast address" : null;
}

function parseGateways(gateway: string | readonly string[] | undefined): IpAddress[] {
  const texts = gateway === undefined ? [] : typeof gateway === 'string' ? [gateway] : gateway;
  return texts.map((text) => {
    const address = IpAddress.parse(text);
    if (address !== null) return address;
    throw invalidArgument(`gateway ${text} is not an IP address`);
  });
}

function defaultPrefix(gateway: IpAddress): Prefix {
  return { address: gateway.family === 4 ? UNSPECIFIED4 : UNSPECIFIED6, lengthBits: 0 };
}
