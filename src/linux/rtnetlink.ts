import { ERRNO, errnoName } from '../core/errno.ts';
import { DevmemError } from '../core/errors.ts';
import { formatPrefix, IpAddress, type Prefix } from '../wire/address.ts';
import { errnoText } from './errno-text.ts';
import type { Libc } from './libc.ts';
import { NETLINK_ROUTE, NetlinkSocket, type NetlinkAnswer } from './netlink.ts';
import {
  attributeText,
  attributeU32,
  NetlinkRequest,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  parseAttributes,
} from './netlink-message.ts';

// include/uapi/linux/rtnetlink.h
const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;

const AF_UNSPEC = 0;
const AF_INET = 2;
const AF_INET6 = 10;

/** struct ifinfomsg: family u8, type u16 at 2, index s32 at 4, flags u32 at 8, change u32 at 12. */
const IFINFOMSG_BYTES = 16;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_TXQLEN = 13;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;

/** struct ifaddrmsg: family u8, prefix length u8, flags u8, scope u8, index u32. */
const IFADDRMSG_BYTES = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_FLAGS = 8;
const IFA_F_NODAD = 0x02;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;

export const IFF_UP = 0x1;
/**
 * Set while the interface can carry frames: up, and its carrier is on.
 * @public read from the lazily imported module, which knip does not follow
 */
export const IFF_LOWER_UP = 0x10000;

export interface InterfaceInfo {
  readonly index: number;
  readonly name: string;
  /** What made it: `tun` for TUN and TAP, `veth`, '' for a physical card. */
  readonly kind: string;
  readonly flags: number;
  readonly mtuBytes: number;
  readonly txQueueLength: number;
  /** Empty where the interface has none. */
  readonly macAddress: Uint8Array;
}

export interface InterfaceAddress {
  readonly interfaceIndex: number;
  readonly prefix: Prefix;
}

export interface InterfaceChange {
  mtuBytes?: number;
  txQueueLength?: number;
  up?: boolean;
}

/**
 * Network interfaces and their addresses, in the network namespace that the thread was in when this was made. Every
 * refusal is a DevmemError with the kernel's errno and, where it gave one, its sentence.
 */
export class RouteNetlink {
  readonly #socket: NetlinkSocket;

  constructor(libc: Libc) {
    this.#socket = new NetlinkSocket(libc, NETLINK_ROUTE);
  }

  close(): void {
    this.#socket.close();
  }

  /** Null: no interface has that name. */
  interfaceByName(name: string): InterfaceInfo | null {
    const request = linkRequest(RTM_GETLINK, NLM_F_ACK, 0, 0, 0).attributeText(IFLA_IFNAME, name);
    const answer = this.#socket.request(request);
    if (answer.errno === ERRNO.ENODEV) return null;
    check(answer, `cannot look up interface ${name}`);
    for (const message of answer.messages) {
      const info = message.type === RTM_NEWLINK ? parseInterface(message.payload) : null;
      if (info !== null) return info;
    }
    throw new DevmemError('EPROTO', `the kernel's description of interface ${name} is malformed`);
  }

  /** Sets only what is given. */
  changeInterface(index: number, change: InterfaceChange): void {
    const flags = change.up === undefined ? 0 : change.up ? IFF_UP : 0;
    const request = linkRequest(RTM_NEWLINK, NLM_F_ACK, index, flags, change.up === undefined ? 0 : IFF_UP);
    if (change.mtuBytes !== undefined) request.attributeU32(IFLA_MTU, change.mtuBytes);
    if (change.txQueueLength !== undefined) request.attributeU32(IFLA_TXQLEN, change.txQueueLength);
    check(this.#socket.request(request), `cannot set ${Object.keys(change).join(', ')} of interface ${index}`);
  }

  deleteInterface(index: number): void {
    const request = linkRequest(RTM_DELLINK, NLM_F_ACK, index, 0, 0);
    check(this.#socket.request(request), `cannot delete interface ${index}`);
  }

  /** The addresses of all interfaces. */
  addresses(): InterfaceAddress[] {
    const request = addressRequest(RTM_GETADDR, NLM_F_DUMP, AF_UNSPEC, 0, RT_SCOPE_UNIVERSE, 0);
    const answer = this.#socket.request(request);
    check(answer, 'cannot list addresses');
    const addresses: InterfaceAddress[] = [];
    for (const message of answer.messages) {
      const address = message.type === RTM_NEWADDR ? parseInterfaceAddress(message.payload) : null;
      if (address !== null) addresses.push(address);
    }
    return addresses;
  }

  /** Adds an address, at once usable: duplicate address detection (RFC 4862 §5.4) is left out for IPv6. */
  addAddress(index: number, prefix: Prefix): void {
    const request = this.#addressChange(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, index, prefix);
    check(this.#socket.request(request), `cannot add address ${formatPrefix(prefix)} to interface ${index}`);
  }

  removeAddress(index: number, prefix: Prefix): void {
    const request = this.#addressChange(RTM_DELADDR, NLM_F_ACK, index, prefix);
    check(this.#socket.request(request), `cannot remove address ${formatPrefix(prefix)} from interface ${index}`);
  }

  #addressChange(type: number, flags: number, index: number, prefix: Prefix): NetlinkRequest {
    const { address, lengthBits } = prefix;
    const family = address.family === 4 ? AF_INET : AF_INET6;
    const scope = address.isLinkLocal ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    const request = addressRequest(type, flags, family, lengthBits, scope, index);
    const bytes = new Uint8Array(address.family === 4 ? 4 : 16);
    const view = new DataView(bytes.buffer);
    address.write(view, 0);
    request.attribute(IFA_LOCAL, bytes).attribute(IFA_ADDRESS, bytes);
    if (type !== RTM_NEWADDR) return request;
    if (address.family === 6) {
      request.attributeU32(IFA_FLAGS, IFA_F_NODAD);
    } else if (lengthBits < 31) {
      // RFC 3021 §2.2: a /31 has no broadcast address; a /32 has no neighbours at all.
      const broadcast = new Uint8Array(4);
      new DataView(broadcast.buffer).setInt32(0, address.w3 | (0xffff_ffff >>> lengthBits));
      request.attribute(IFA_BROADCAST, broadcast);
    }
    return request;
  }
}

/** An RTM_NEWLINK payload; null if it is malformed. */
export function parseInterface(payload: Uint8Array): InterfaceInfo | null {
  if (payload.length < IFINFOMSG_BYTES) return null;
  const attributes = parseAttributes(payload, IFINFOMSG_BYTES, payload.length);
  if (attributes === null) return null;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const mac = attributes.get(IFLA_ADDRESS);
  const linkInfo = attributes.get(IFLA_LINKINFO);
  const nested = linkInfo && parseAttributes(payload, linkInfo.offset, linkInfo.offset + linkInfo.bytes);
  return {
    index: view.getInt32(4, true),
    flags: view.getUint32(8, true),
    name: attributeText(payload, attributes, IFLA_IFNAME),
    kind: nested ? attributeText(payload, nested, IFLA_INFO_KIND) : '',
    mtuBytes: attributeU32(payload, attributes, IFLA_MTU, 0),
    txQueueLength: attributeU32(payload, attributes, IFLA_TXQLEN, 0),
    macAddress: mac === undefined ? new Uint8Array(0) : payload.slice(mac.offset, mac.offset + mac.bytes),
  };
}

/** An RTM_NEWADDR payload; null if it is malformed or of a family other than IPv4 and IPv6. */
export function parseInterfaceAddress(payload: Uint8Array): InterfaceAddress | null {
  if (payload.length < IFADDRMSG_BYTES) return null;
  const attributes = parseAttributes(payload, IFADDRMSG_BYTES, payload.length);
  // IFA_LOCAL is the interface's own where the link is point-to-point and IFA_ADDRESS the peer's.
  const span = attributes?.get(IFA_LOCAL) ?? attributes?.get(IFA_ADDRESS);
  if (span === undefined) return null;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const family = payload[0];
  const lengthBits = payload[1]!;
  const interfaceIndex = view.getUint32(4, true);
  if (family === AF_INET && span.bytes === 4 && lengthBits <= 32) {
    return { interfaceIndex, prefix: { address: IpAddress.read4(view, span.offset), lengthBits } };
  }
  if (family === AF_INET6 && span.bytes === 16 && lengthBits <= 128) {
    return { interfaceIndex, prefix: { address: IpAddress.read6(view, span.offset), lengthBits } };
  }
  return null;
}

function linkRequest(type: number, flags: number, index: number, setFlags: number, change: number): NetlinkRequest {
  const request = new NetlinkRequest(type, flags);
  return request.u8(AF_UNSPEC).u8(0).u16(0).u32(index).u32(setFlags).u32(change);
}

function addressRequest(
  type: number,
  flags: number,
  family: number,
  lengthBits: number,
  scope: number,
  index: number,
): NetlinkRequest {
  return new NetlinkRequest(type, flags).u8(family).u8(lengthBits).u8(0).u8(scope).u32(index);
}

function check(answer: NetlinkAnswer, where: string): void {
  if (answer.errno === 0) return;
  const words = answer.text === '' ? errnoText(answer.errno) : `${answer.text} (${errnoText(answer.errno)})`;
  const name = errnoName(answer.errno) ?? 'EIO';
  throw new DevmemError(name, `${where}: ${words}`, {
    syscall: 'rtnetlink',
    ...(answer.errno === ERRNO.EPERM ? { hint: CAPABILITY_HINT } : {}),
  });
}

/** Shared by everything that configures an interface. */
export const CAPABILITY_HINT =
  'this needs CAP_NET_ADMIN: run as root, or in a network namespace of your own (`unshare --user --map-root-user --net`)';
