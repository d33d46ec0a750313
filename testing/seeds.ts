/**
 * The inputs that fuzzing begins with: one of each kind that a parser tells apart, well formed, by name. Written with
 * our own emitters where they can, by hand where the form is one that we only ever receive.
 */
import { LOCAL_MAC, patternBytes, PEER_MAC, tcpFrame, udpFrame } from './frames.ts';
import { operationSeeds } from './sim/operation-seeds.ts';
import { IpAddress } from '../src/wire/address.ts';
import { ARP_BYTES, ARP_REPLY, ARP_REQUEST, emitArp } from '../src/wire/arp.ts';
import {
  emitEthernet,
  ETHERNET_HEADER_BYTES,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
} from '../src/wire/ethernet.ts';
import { emitIcmp, emitIcmpEcho, fillIcmpChecksum, ICMP_HEADER_BYTES } from '../src/wire/icmp.ts';
import { emitIcmpv6, emitIcmpv6Echo, fillIcmpv6Checksum } from '../src/wire/icmpv6.ts';
import { emitIpv4 } from '../src/wire/ipv4.ts';
import { emitIpv6, IPV6_HEADER_BYTES } from '../src/wire/ipv6.ts';
import { MAC_BROADCAST, MAC_ZERO, multicastMac } from '../src/wire/mac.ts';
import {
  emitMtu,
  emitNeighborAdvertisement,
  emitNeighborSolicitation,
  emitPrefix,
  emitRouterAdvertisement,
  emitRouterSolicitation,
  NA_OVERRIDE,
  NA_SOLICITED,
  PREFIX_AUTONOMOUS,
  PREFIX_ON_LINK,
} from '../src/wire/ndp.ts';
import { PROTOCOL_ICMP, PROTOCOL_ICMPV6 } from '../src/wire/protocols.ts';
import { TCP_ACE, TCP_ACK, TCP_AE, TCP_CWR, TCP_ECE, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN } from '../src/wire/tcp.ts';
import {
  emitAccurateEcn,
  emitSack,
  emitSynOptions,
  emitTimestamps,
  KIND_ACCURATE_ECN_0,
} from '../src/wire/tcp-options.ts';

export type Seeds = Readonly<Record<string, Uint8Array>>;

const ROOM_BYTES = 1024;
const V4 = { local: IpAddress.parse('10.0.0.2')!, peer: IpAddress.parse('10.0.0.1')! };
const V6 = { local: IpAddress.parse('fd00::2')!, peer: IpAddress.parse('fd00::1')! };
const LINK_LOCAL = IpAddress.parse('fe80::1')!;
const ALL_NODES = IpAddress.parse('ff02::1')!;

/** What `write` wrote; it returns how much. */
function built(write: (bytes: Uint8Array, view: DataView) => number): Uint8Array {
  const bytes = new Uint8Array(ROOM_BYTES);
  return bytes.slice(0, write(bytes, new DataView(bytes.buffer)));
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.replaceAll(/\s/g, '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

const v6Tcp = { source: 'fd00::1', destination: 'fd00::2' };

const synOptions: Uint8Array = built((bytes, view) => emitSynOptions(bytes, view, 0, 1460, 7, true, true, 0x1000, 0));
const timestamps: Uint8Array = built((_, view) => emitTimestamps(view, 0, 0x2000, 0x1000));
const sackOptions: Uint8Array = built((_, view) => {
  const length = emitTimestamps(view, 0, 0x2000, 0x1000);
  return length + emitSack(view, length, Int32Array.of(3000, 6000, -9), Int32Array.of(4000, 7000, 9), 3);
});

const ecnSynOptions: Uint8Array = built((bytes, view) =>
  emitSynOptions(bytes, view, 0, 1460, 7, true, true, 0x2000, 0x1000, 3),
);
const ecnOptions: Uint8Array = built((bytes, view) => {
  const length = emitAccurateEcn(view, 0, KIND_ACCURATE_ECN_0, 3, 1001, 2000, 0xff_ffff);
  bytes[length] = 1;
  return length + 1 + emitSack(view, length + 1, Int32Array.of(3000), Int32Array.of(4000), 1);
});

function arpFrame(operation: number, targetMac: Uint8Array): Uint8Array {
  return built((bytes, view) => {
    emitEthernet(bytes, view, 0, operation === ARP_REQUEST ? MAC_BROADCAST : LOCAL_MAC, PEER_MAC, ETHERTYPE_ARP);
    emitArp(bytes, view, ETHERNET_HEADER_BYTES, operation, PEER_MAC, V4.peer, targetMac, V4.local);
    return ETHERNET_HEADER_BYTES + ARP_BYTES;
  });
}

function icmpFrame(write: (bytes: Uint8Array, view: DataView, offset: number) => number): Uint8Array {
  return built((bytes, view) => {
    const l4 = ETHERNET_HEADER_BYTES + 20;
    const l4Bytes = write(bytes, view, l4);
    emitEthernet(bytes, view, 0, LOCAL_MAC, PEER_MAC, ETHERTYPE_IPV4);
    emitIpv4(view, ETHERNET_HEADER_BYTES, V4.peer, V4.local, PROTOCOL_ICMP, 20 + l4Bytes, 64, 7, false, 0);
    fillIcmpChecksum(bytes, view, l4, l4Bytes);
    return l4 + l4Bytes;
  });
}

function icmpv6Frame(
  source: IpAddress,
  destination: IpAddress,
  hopLimit: number,
  write: (bytes: Uint8Array, view: DataView, offset: number) => number,
): Uint8Array {
  return built((bytes, view) => {
    const l4 = ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES;
    const l4Bytes = write(bytes, view, l4);
    const mac = destination.isMulticast ? multicastMac(destination) : LOCAL_MAC;
    emitEthernet(bytes, view, 0, mac, PEER_MAC, ETHERTYPE_IPV6);
    emitIpv6(view, ETHERNET_HEADER_BYTES, source, destination, PROTOCOL_ICMPV6, l4Bytes, hopLimit, 0, 0);
    fillIcmpv6Checksum(bytes, view, ETHERNET_HEADER_BYTES, l4, l4Bytes);
    return l4 + l4Bytes;
  });
}

/** An error message about `packet` (an IP packet), as far as it is quoted. */
function quoting(packet: Uint8Array, write: (view: DataView, offset: number) => number) {
  return (bytes: Uint8Array, view: DataView, offset: number): number => {
    const headerBytes = write(view, offset);
    bytes.set(packet, offset + headerBytes);
    return headerBytes + packet.length;
  };
}

const sentTcp4 = tcpFrame({ source: '10.0.0.2', destination: '10.0.0.1' }).slice(ETHERNET_HEADER_BYTES);
const sentTcp6 = tcpFrame({ source: 'fd00::2', destination: 'fd00::1' }).slice(ETHERNET_HEADER_BYTES);

/** `frame`, which is IPv6, with extension headers between its header and what follows. */
function extended(frame: Uint8Array, firstHeader: number, headers: Uint8Array): Uint8Array {
  const at = ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES;
  const result = joined(frame.subarray(0, at), headers, frame.subarray(at));
  const view = new DataView(result.buffer);
  view.setUint16(ETHERNET_HEADER_BYTES + 4, view.getUint16(ETHERNET_HEADER_BYTES + 4) + headers.length);
  view.setUint8(ETHERNET_HEADER_BYTES + 6, firstHeader);
  return result;
}

function tagged(frame: Uint8Array, tags: string): Uint8Array {
  return joined(frame.subarray(0, 12), fromHex(tags), frame.subarray(12));
}

function withIpv4Options(options: string): Uint8Array {
  const extra = fromHex(options);
  const frame = tcpFrame();
  const at = ETHERNET_HEADER_BYTES;
  const result = joined(frame.subarray(0, at + 20), extra, frame.subarray(at + 20));
  result[at] = 0x45 + extra.length / 4;
  result[at + 3] = result[at + 3]! + extra.length;
  result[at + 10] = 0;
  result[at + 11] = 0;
  let sum = 0;
  for (let i = at; i < at + 20 + extra.length; i += 2) sum += (result[i]! << 8) | result[i + 1]!;
  sum = (sum & 0xffff) + (sum >>> 16);
  result[at + 10] = ~sum >>> 8;
  result[at + 11] = ~sum;
  return result;
}

/** One fragment of a UDP datagram over IPv4. */
function fragment4(flagsOffset: number): Uint8Array {
  const frame = udpFrame({ payload: patternBytes(64) });
  const view = new DataView(frame.buffer);
  const sum = view.getUint16(ETHERNET_HEADER_BYTES + 6) - flagsOffset;
  view.setUint16(ETHERNET_HEADER_BYTES + 6, flagsOffset);
  const changed = view.getUint16(ETHERNET_HEADER_BYTES + 10) + sum;
  view.setUint16(ETHERNET_HEADER_BYTES + 10, (changed & 0xffff) + (changed >>> 16));
  return frame;
}

// Each: next header, length, body. 0 hop-by-hop, 43 routing, 44 fragment, 51 authentication, 60 destination options.
const EXTENSIONS = {
  'hop-by-hop': { first: 0, headers: '06 00 05 02 00 00 01 00' },
  'destination-options': { first: 60, headers: '06 01 3e 04 01020304 01 06 000000000000' },
  'unknown-option-report': { first: 60, headers: '06 00 9e 04 01020304' },
  routing: { first: 43, headers: '06 02 04 00 00000000 fd000000000000000000000000000003' },
  fragment: { first: 44, headers: '06 00 0001 00000042' },
  'atomic-fragment': { first: 44, headers: '06 00 0000 00000042' },
  authentication: { first: 51, headers: '06 04 0000 00000100 00000001 000000000000000000000000' },
  chain: { first: 0, headers: '3c 00 01 04 00000000  2b 00 01 04 00000000  2c 00 00 00 00000000  06 00 0000 00000007' },
} as const;

const frameSeeds: Seeds = {
  'tcp4-syn': tcpFrame({ flags: TCP_SYN, options: synOptions }),
  'tcp4-syn-ack': tcpFrame({ flags: TCP_SYN | TCP_ACK, options: synOptions }),
  'tcp4-data': tcpFrame({ flags: TCP_ACK | TCP_PSH, options: timestamps, payload: patternBytes(100) }),
  'tcp4-sack': tcpFrame({ options: sackOptions }),
  'tcp4-ecn-syn': tcpFrame({ flags: TCP_SYN | TCP_ACE, options: synOptions }),
  'tcp4-ecn-syn-ack': tcpFrame({ flags: TCP_SYN | TCP_ACK | TCP_AE | TCP_CWR, options: ecnSynOptions }),
  'tcp4-ecn-data': tcpFrame({ flags: TCP_ACK | TCP_AE | TCP_ECE, options: ecnOptions, payload: patternBytes(20) }),
  'tcp4-fin': tcpFrame({ flags: TCP_FIN | TCP_ACK }),
  'tcp4-rst': tcpFrame({ flags: TCP_RST }),
  'tcp4-ip-options': withIpv4Options('94040000 01010100'),
  'tcp4-source-route': withIpv4Options('83070400000000 00'),
  'tcp6-syn': tcpFrame({ ...v6Tcp, flags: TCP_SYN, options: synOptions }),
  'tcp6-data': tcpFrame({ ...v6Tcp, flags: TCP_ACK | TCP_PSH, options: timestamps, payload: patternBytes(100) }),
  udp4: udpFrame({ payload: patternBytes(20) }),
  udp6: udpFrame({ ...v6Tcp, payload: patternBytes(20) }),
  'udp4-first-fragment': fragment4(0x2000),
  'udp4-last-fragment': fragment4(0x0008),
  'arp-request': arpFrame(ARP_REQUEST, MAC_ZERO),
  'arp-reply': arpFrame(ARP_REPLY, LOCAL_MAC),
  'vlan-priority-tcp4': tagged(tcpFrame(), '8100 2000'),
  'vlan-foreign-tcp4': tagged(tcpFrame(), '8100 0064'),
  'vlan-double-tcp4': tagged(tcpFrame(), '88a8 0000 8100 0000'),
  'icmp-echo': icmpFrame((bytes, view, offset) => {
    bytes.set(patternBytes(32), offset + ICMP_HEADER_BYTES);
    return emitIcmpEcho(view, offset, 8, 1, 2) + 32;
  }),
  'icmp-port-unreachable': icmpFrame(quoting(sentTcp4, (view, offset) => emitIcmp(view, offset, 3, 3, 0))),
  'icmp-fragmentation-needed': icmpFrame(quoting(sentTcp4, (view, offset) => emitIcmp(view, offset, 3, 4, 1400))),
  'icmp-time-exceeded': icmpFrame(quoting(sentTcp4.slice(0, 28), (view, offset) => emitIcmp(view, offset, 11, 0, 0))),
  'icmpv6-echo': icmpv6Frame(V6.peer, V6.local, 64, (bytes, view, offset) => {
    bytes.set(patternBytes(32), offset + 8);
    return emitIcmpv6Echo(view, offset, 128, 1, 2) + 32;
  }),
  'icmpv6-packet-too-big': icmpv6Frame(
    V6.peer,
    V6.local,
    64,
    quoting(sentTcp6, (view, offset) => emitIcmpv6(view, offset, 2, 0, 1400)),
  ),
  'icmpv6-unreachable': icmpv6Frame(
    V6.peer,
    V6.local,
    64,
    quoting(sentTcp6, (view, offset) => emitIcmpv6(view, offset, 1, 4, 0)),
  ),
  'router-solicitation': icmpv6Frame(LINK_LOCAL, IpAddress.parse('ff02::2')!, 255, (bytes, view, offset) =>
    emitRouterSolicitation(bytes, view, offset, PEER_MAC),
  ),
  'router-advertisement': icmpv6Frame(LINK_LOCAL, ALL_NODES, 255, (_, view, offset) => {
    let length = emitRouterAdvertisement(view, offset, 64, 0, 1800, 30_000, 1000);
    length += emitMtu(view, offset + length, 1500);
    const flags = PREFIX_ON_LINK | PREFIX_AUTONOMOUS;
    return length + emitPrefix(view, offset + length, IpAddress.parse('fd00::')!, 64, flags, 86_400, 14_400);
  }),
  'neighbor-solicitation': icmpv6Frame(V6.peer, V6.local.solicitedNode(), 255, (bytes, view, offset) =>
    emitNeighborSolicitation(bytes, view, offset, V6.local, PEER_MAC),
  ),
  'neighbor-duplicate-detection': icmpv6Frame(
    IpAddress.parse('::')!,
    V6.local.solicitedNode(),
    255,
    (bytes, view, offset) => emitNeighborSolicitation(bytes, view, offset, V6.local, null),
  ),
  'neighbor-advertisement': icmpv6Frame(V6.peer, V6.local, 255, (bytes, view, offset) =>
    emitNeighborAdvertisement(bytes, view, offset, V6.peer, NA_SOLICITED | NA_OVERRIDE, PEER_MAC),
  ),
  ...Object.fromEntries(
    Object.entries(EXTENSIONS).map(([name, { first, headers }]) => [
      `tcp6-${name}`,
      extended(tcpFrame(v6Tcp), first, fromHex(headers)),
    ]),
  ),
};

/** The seeds whose names match, cut `skip` bytes short at the front. */
function cut(pattern: RegExp, skip: number): Seeds {
  const chosen = Object.entries(frameSeeds).filter(([name]) => pattern.test(name));
  return Object.fromEntries(chosen.map(([name, bytes]) => [name, bytes.slice(skip)]));
}

const L4_OF_V4: number = ETHERNET_HEADER_BYTES + 20;
const L4_OF_V6: number = ETHERNET_HEADER_BYTES + IPV6_HEADER_BYTES;

function texts(...list: readonly string[]): Seeds {
  return Object.fromEntries(list.map((text, index) => [`text-${index}`, new TextEncoder().encode(text)]));
}

// Little-endian, as netlink is on the machines we run on. Two bytes in front: how much of the buffer is filled.
const NETLINK: Seeds = {
  acknowledgement: fromHex('0024 24000000 0200 0001 01000000 34120000  00000000 20000000 1000 0500 01000000 00000000'),
  'refusal-with-text': fromHex(
    '003c 3c000000 0200 0003 01000000 34120000  eaffffff 20000000 1000 0500 01000000 00000000 ' +
      '0900 0100 62616421 00000000 0800 0200 20000000 00000000',
  ),
  'link-and-done': fromHex(
    '0048 34000000 1000 0200 02000000 34120000  00 00 0100 02000000 43100100 00000000 ' +
      '0800 0300 646d3000 0800 0400 dc050000 ' +
      '14000000 0300 0200 02000000 34120000 00000000',
  ),
};

/** Frames as the targets of the stack take them: what to repair, the length, the frame. */
function delivered(...frames: readonly Uint8Array[]): Uint8Array {
  return joined(...frames.flatMap((frame) => [Uint8Array.of(7, frame.length >> 8, frame.length), frame]));
}

const stackSeeds: Seeds = {
  ...Object.fromEntries(Object.entries(frameSeeds).map(([name, bytes]) => [name, delivered(bytes)])),
  fragments: delivered(fragment4(0x2000), fragment4(0x0008)),
  'resolve-and-ping': delivered(frameSeeds['arp-request']!, frameSeeds['icmp-echo']!, frameSeeds['tcp4-syn']!),
};

const u16 = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff];

/**
 * Operations of the target tcp-session. Sequence numbers begin at 64 for the peer's SYN, acknowledgments at 0 for ours;
 * the SYN has been sent when an input begins.
 */
const SESSION = {
  segment: (flags: number, sequence: number, ack: number, length: number, options = new Uint8Array(0)): number[] => [
    8,
    flags,
    ...u16(sequence),
    ...u16(ack),
    ...u16(0xffff),
    ...u16(length),
    options.length / 4,
    ...options,
  ],
  closedWindow: [8, TCP_ACK, 0, 65, 0, 1, 0, 0, 0, 0, 0],
  pass: (milliseconds: number): number[] => [0, Math.round(Math.sqrt(milliseconds))],
  read: [1],
  keep: [2],
  release: [3],
  send: (length: number): number[] => [4, ...u16(length)],
  shutdown: [5, 0],
  close: [5, 1],
  connect: [6],
} as const;

const established = SESSION.segment(TCP_ACK, 65, 1, 0);
const sessionSeeds: Seeds = {
  handshake: Uint8Array.from([...established, ...SESSION.read]),
  'data-in-order': Uint8Array.from([
    ...established,
    ...SESSION.read,
    ...SESSION.segment(TCP_ACK, 65, 1, 1000),
    ...SESSION.segment(TCP_ACK | TCP_PSH, 1065, 1, 1460),
    ...SESSION.keep,
    ...SESSION.release,
    ...SESSION.segment(TCP_ACK | TCP_FIN, 2525, 1, 10),
    ...SESSION.read,
    ...SESSION.close,
    ...SESSION.segment(TCP_ACK, 2536, 2, 0),
  ]),
  'data-out-of-order': Uint8Array.from([
    ...established,
    ...SESSION.segment(TCP_ACK, 2065, 1, 1000),
    ...SESSION.segment(TCP_ACK, 4065, 1, 500),
    ...SESSION.segment(TCP_ACK, 1065, 1, 1400),
    ...SESSION.segment(TCP_ACK, 65, 1, 1200),
    ...SESSION.pass(50),
    ...SESSION.read,
    ...SESSION.segment(TCP_ACK, 3065, 1, 1000),
    ...SESSION.keep,
  ]),
  'send-and-lose': Uint8Array.from([
    ...established,
    ...SESSION.read,
    ...SESSION.send(4096),
    ...SESSION.segment(TCP_ACK, 65, 1, 0, sackOptions.slice(0, 12)),
    ...SESSION.segment(TCP_ACK, 65, 1, 0),
    ...SESSION.segment(TCP_ACK, 65, 1, 0),
    ...SESSION.pass(1000),
    ...SESSION.segment(TCP_ACK, 65, 1461, 0),
    ...SESSION.pass(3000),
    ...SESSION.segment(TCP_ACK, 65, 4097, 0),
    ...SESSION.shutdown,
    ...SESSION.segment(TCP_ACK | TCP_FIN, 65, 4098, 0),
    ...SESSION.pass(60_000),
  ]),
  'zero-window': Uint8Array.from([
    ...established,
    ...SESSION.read,
    ...SESSION.closedWindow,
    ...SESSION.send(100),
    ...SESSION.pass(2000),
    ...SESSION.pass(5000),
    ...SESSION.segment(TCP_ACK, 65, 101, 0),
  ]),
  'connect-and-refuse': Uint8Array.from([
    ...SESSION.connect,
    ...SESSION.pass(1000),
    ...SESSION.segment(TCP_RST, 65, 1, 0),
  ]),
  'reset-in-window': Uint8Array.from([...established, ...SESSION.read, ...SESSION.segment(TCP_RST, 100, 1, 0)]),
};

/** By target, by name: what `npm run corpus` writes to `fuzz/corpus/`. */
export const seeds: Readonly<Record<string, Seeds>> = {
  ethernet: cut(/^(arp-request|tcp4-syn|vlan-priority-tcp4)$/, 0),
  vlan: cut(/^vlan-/, ETHERNET_HEADER_BYTES),
  arp: cut(/^arp-/, ETHERNET_HEADER_BYTES),
  ipv4: cut(/^(tcp4|udp4)/, ETHERNET_HEADER_BYTES),
  ipv6: cut(/^(tcp6|udp6)/, ETHERNET_HEADER_BYTES),
  'ipv6-extension': Object.fromEntries(
    Object.entries(EXTENSIONS).map(([name, { first, headers }]) => [
      name,
      joined(Uint8Array.of(first), fromHex(headers), sentTcp6.subarray(IPV6_HEADER_BYTES)),
    ]),
  ),
  icmp: cut(/^icmp-/, L4_OF_V4),
  icmpv6: cut(/^(icmpv6|router|neighbor)-/, L4_OF_V6),
  ndp: cut(/^(router|neighbor)-/, ETHERNET_HEADER_BYTES),
  udp: cut(/^udp4$/, L4_OF_V4),
  tcp: cut(/^tcp4-(syn|syn-ack|data|sack|fin|rst|ecn-syn-ack|ecn-data)$/, L4_OF_V4),
  'tcp-options': {
    syn: synOptions,
    timestamps,
    sack: sackOptions,
    end: fromHex('0101 1304 abcd 00 ff'),
    'accurate-ecn-syn-ack': ecnSynOptions,
    'accurate-ecn': ecnOptions,
    'accurate-ecn-odd': fromHex('ac04 0001 ae02 ae0d 000001 000002 000003 0405 ac07 000009 0a0b'),
  },
  frame: frameSeeds,
  // A byte in front says what the link vouches for.
  'nic-receive': Object.fromEntries(
    Object.entries(frameSeeds).map(([name, bytes]) => [name, joined(Uint8Array.of(0), bytes)]),
  ),
  'stack-input': stackSeeds,
  'tcp-session': sessionSeeds,
  'tcp-operations': operationSeeds,
  'address-text': texts(
    '10.9.0.2/24',
    'fd09::2/64',
    '::ffff:1.2.3.4',
    '1.2.3.4:80',
    '[fe80::1]:5201',
    '1:2:3:4:5:6:7:8',
    '02:00:00:00:00:01',
    '02-00-00-00-00-01',
    '::',
  ),
  netlink: NETLINK,
};

/** A frame of the corpus by its name. */
export function frameSeed(name: string): Uint8Array {
  const bytes = frameSeeds[name];
  if (bytes === undefined) throw new Error(`no seed frame is called ${name}: ${Object.keys(frameSeeds).join(' ')}`);
  return Uint8Array.from(bytes);
}
