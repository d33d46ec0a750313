/**
 * IP addresses: strict parsing (RFC 4291 §2.2, RFC 6943 §3.1.1: no octal, no short forms, no zones), canonical text
 * (RFC 5952), prefixes and endpoints.
 */
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from './address-text.ts';

const MAPPED = 0xffff;

/**
 * An address of either family as four int32 words in network order; IPv4 is held as ::ffff:a.b.c.d, so that one
 * comparison of words serves both. Immutable. Reading one allocates: hot code compares words, or asks `matches`.
 */
export class IpAddress {
  readonly family: 4 | 6;
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;

  private constructor(family: 4 | 6, w0: number, w1: number, w2: number, w3: number) {
    this.family = family;
    this.w0 = w0 | 0;
    this.w1 = w1 | 0;
    this.w2 = w2 | 0;
    this.w3 = w3 | 0;
  }

  /** `null` unless the text is exactly one IPv4 or IPv6 address. */
  static parse(text: string): IpAddress | null {
    const v4 = parseIpv4(text);
    if (v4 !== null) return IpAddress.fromWord4(v4);
    const v6 = parseIpv6(text);
    return v6 === null ? null : new IpAddress(6, v6[0]!, v6[1]!, v6[2]!, v6[3]!);
  }

  static fromWords(family: 4 | 6, w0: number, w1: number, w2: number, w3: number): IpAddress {
    return new IpAddress(family, w0, w1, w2, w3);
  }

  /** An IPv4 address from its 32 bits. */
  static fromWord4(word: number): IpAddress {
    return new IpAddress(4, 0, 0, MAPPED, word);
  }

  static read4(view: DataView, offset: number): IpAddress {
    return IpAddress.fromWord4(view.getInt32(offset));
  }

  static read6(view: DataView, offset: number): IpAddress {
    return new IpAddress(
      6,
      view.getInt32(offset),
      view.getInt32(offset + 4),
      view.getInt32(offset + 8),
      view.getInt32(offset + 12),
    );
  }

  /** Writes the address as it stands in its family's header; returns the bytes written, 4 or 16. */
  write(view: DataView, offset: number): number {
    if (this.family === 4) {
      view.setInt32(offset, this.w3);
      return 4;
    }
    view.setInt32(offset, this.w0);
    view.setInt32(offset + 4, this.w1);
    view.setInt32(offset + 8, this.w2);
    view.setInt32(offset + 12, this.w3);
    return 16;
  }

  /** Whether the bytes at `offset` are this address (4 or 16 of them, by this address's family). */
  matches(view: DataView, offset: number): boolean {
    if (this.family === 4) return view.getInt32(offset) === this.w3;
    return (
      view.getInt32(offset + 12) === this.w3 &&
      view.getInt32(offset + 8) === this.w2 &&
      view.getInt32(offset + 4) === this.w1 &&
      view.getInt32(offset) === this.w0
    );
  }

  equals(other: IpAddress): boolean {
    return (
      this.w3 === other.w3 &&
      this.w2 === other.w2 &&
      this.w1 === other.w1 &&
      this.w0 === other.w0 &&
      this.family === other.family
    );
  }

  toString(): string {
    return this.family === 4 ? formatIpv4(this.w3) : formatIpv6([this.w0, this.w1, this.w2, this.w3]);
  }

  toJSON(): string {
    return this.toString();
  }

  get isUnspecified(): boolean {
    return this.w3 === 0 && this.w1 === 0 && this.w0 === 0 && this.w2 === (this.family === 4 ? MAPPED : 0);
  }

  get isMulticast(): boolean {
    return this.family === 4 ? this.w3 >>> 28 === 0xe : this.w0 >>> 24 === 0xff;
  }

  /** RFC 3927 §2.1, RFC 4291 §2.5.6. */
  get isLinkLocal(): boolean {
    return this.family === 4 ? this.w3 >>> 16 === 0xa9fe : this.w0 >>> 22 === 0xfe80 >>> 6;
  }

  get isLoopback(): boolean {
    if (this.family === 4) return this.w3 >>> 24 === 127;
    return this.w3 === 1 && this.w2 === 0 && this.w1 === 0 && this.w0 === 0;
  }

  /** The limited broadcast address, 255.255.255.255. */
  get isBroadcast(): boolean {
    return this.family === 4 && this.w3 === -1;
  }

  /** The multicast group that neighbour solicitations for this IPv6 address go to (RFC 4291 §2.7.1). */
  solicitedNode(): IpAddress {
    return new IpAddress(6, 0xff02_0000, 0, 1, 0xff00_0000 | (this.w3 & 0xff_ffff));
  }
}

export const UNSPECIFIED4: IpAddress = IpAddress.fromWord4(0);
export const UNSPECIFIED6: IpAddress = IpAddress.fromWords(6, 0, 0, 0, 0);
/** ff02::1 and ff02::2 (RFC 4291 §2.7.1). */
export const ALL_NODES6: IpAddress = IpAddress.fromWords(6, 0xff02_0000, 0, 0, 1);
export const ALL_ROUTERS6: IpAddress = IpAddress.fromWords(6, 0xff02_0000, 0, 0, 2);

/** An address with the length of its subnet's prefix: `10.0.0.2/24` keeps its host bits. */
export interface Prefix {
  readonly address: IpAddress;
  /** 0 to 32 or 0 to 128, by family. */
  readonly lengthBits: number;
}

/** `null` unless the text is ADDRESS/LENGTH with a length that the family has. */
export function parsePrefix(text: string): Prefix | null {
  const match = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text);
  if (match === null) return null;
  const address = IpAddress.parse(match[1]!);
  const lengthBits = Number(match[2]);
  if (address === null || lengthBits > (address.family === 4 ? 32 : 128)) return null;
  return { address, lengthBits };
}

export function formatPrefix(prefix: Prefix): string {
  return `${prefix.address.toString()}/${prefix.lengthBits}`;
}

/** Whether `address` is of the prefix's family and agrees with it in its first `lengthBits` bits. */
export function prefixContains(prefix: Prefix, address: IpAddress): boolean {
  const own = prefix.address;
  if (own.family !== address.family) return false;
  const bits = own.family === 4 ? prefix.lengthBits + 96 : prefix.lengthBits;
  return (
    sameHead(own.w0, address.w0, bits) &&
    sameHead(own.w1, address.w1, bits - 32) &&
    sameHead(own.w2, address.w2, bits - 64) &&
    sameHead(own.w3, address.w3, bits - 96)
  );
}

/** The IPv6 link-local address of an interface (RFC 4291 §2.5.6 with the modified EUI-64 of its appendix A). */
export function linkLocalFromMac(mac: Uint8Array): IpAddress {
  const high = ((mac[0]! ^ 0x02) << 24) | (mac[1]! << 16) | (mac[2]! << 8) | 0xff;
  const low = 0xfe00_0000 | (mac[3]! << 16) | (mac[4]! << 8) | mac[5]!;
  return IpAddress.fromWords(6, 0xfe80_0000, 0, high, low);
}

export interface Endpoint {
  readonly address: IpAddress;
  readonly port: number;
}

/** `1.2.3.4:80` or `[::1]:80`; `null` for anything else, names included. */
export function parseEndpoint(text: string): Endpoint | null {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(0|[1-9]\d{0,4})$/.exec(text);
  if (match === null) return null;
  const address = IpAddress.parse(match[1] ?? match[2]!);
  const port = Number(match[3]);
  if (address === null || port > 65_535 || (address.family === 6) !== (match[1] !== undefined)) return null;
  return { address, port };
}

export function formatEndpoint(address: IpAddress, port: number): string {
  return address.family === 4 ? `${address.toString()}:${port}` : `[${address.toString()}]:${port}`;
}

/** Whether two words agree in their first `bits` bits; nothing to compare where `bits` is not positive. */
function sameHead(a: number, b: number, bits: number): boolean {
  if (bits <= 0) return true;
  return bits >= 32 ? a === b : (a ^ b) >>> (32 - bits) === 0;
}
