import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { IpAddress } from '../../src/wire/address.ts';
import {
  checkIpv6,
  describeIpv6,
  emitIpv6,
  IPV6_HEADER_BYTES,
  IPV6_NEXT_HEADER_OFFSET,
  ipv6Destination,
  ipv6FlowLabel,
  ipv6HopLimit,
  ipv6IsMulticast,
  ipv6NextHeader,
  ipv6PayloadBytes,
  ipv6Source,
  ipv6TrafficClass,
} from '../../src/wire/ipv6.ts';
import {
  describeIpv6Extensions,
  emitIpv6Fragment,
  Ipv6Extensions,
  MAX_EXTENSION_HEADERS,
  MAX_EXTENSION_OPTIONS,
  OPTION_ACTION_DISCARD,
  OPTION_ACTION_DISCARD_REPORT,
  OPTION_ACTION_SKIP,
  walkIpv6Extensions,
} from '../../src/wire/ipv6-extension.ts';
import {
  PROTOCOL_AH,
  PROTOCOL_DESTINATION_OPTIONS,
  PROTOCOL_ESP,
  PROTOCOL_FRAGMENT,
  PROTOCOL_HOP_BY_HOP,
  PROTOCOL_ICMPV6,
  PROTOCOL_NO_NEXT_HEADER,
  PROTOCOL_ROUTING,
  PROTOCOL_TCP,
} from '../../src/wire/protocols.ts';
import { LIMIT_EXCEEDED, MALFORMED, TRUNCATED } from '../../src/wire/verdict.ts';
import { capturedFrames } from '../../testing/captured-frames.ts';
import { codecSuite, fromHex, i32, u16, u8 } from '../../testing/codec-suite.ts';

const words = fc.tuple(i32, i32, i32, i32);
const address = (w: readonly [number, number, number, number]): IpAddress => IpAddress.fromWords(6, ...w);
const wordsOf = (a: IpAddress): [number, number, number, number] => [a.w0, a.w1, a.w2, a.w3];

codecSuite({
  name: 'ipv6',
  fields: fc.record({
    source: words,
    destination: words,
    nextHeader: u8,
    payloadBytes: u16,
    hopLimit: u8,
    trafficClass: u8,
    flowLabel: fc.nat({ max: 0xf_ffff }),
  }),
  emit: (_bytes, view, offset, f) =>
    emitIpv6(
      view,
      offset,
      address(f.source),
      address(f.destination),
      f.nextHeader,
      f.payloadBytes,
      f.hopLimit,
      f.trafficClass,
      f.flowLabel,
    ),
  check: (bytes, _view, offset, end) => checkIpv6(bytes, offset, end),
  read: (_bytes, view, offset) => ({
    source: wordsOf(ipv6Source(view, offset)),
    destination: wordsOf(ipv6Destination(view, offset)),
    nextHeader: ipv6NextHeader(view, offset),
    payloadBytes: ipv6PayloadBytes(view, offset),
    hopLimit: ipv6HopLimit(view, offset),
    trafficClass: ipv6TrafficClass(view, offset),
    flowLabel: ipv6FlowLabel(view, offset),
  }),
  describe: (_bytes, view, offset) => describeIpv6(view, offset),
});

test('any version but 6 is malformed', () => {
  const { bytes } = fromHex(capturedFrames.tcpSyn6);
  bytes[14] = 0x45;
  assert.equal(checkIpv6(bytes, 14, bytes.length), MALFORMED);
});

/** Walks a chain given as the first Next Header value and the headers' bytes. */
function walk(first: number, content: readonly number[]): { verdict: number; found: Ipv6Extensions } {
  const bytes = Uint8Array.from([first, ...content]);
  const found = new Ipv6Extensions();
  const verdict = walkIpv6Extensions(bytes, new DataView(bytes.buffer), 0, 1, bytes.length, found);
  return { verdict, found };
}

/** `head` and zeros. */
function padTo(length: number, head: readonly number[]): number[] {
  return [...head, ...Array.from({ length: length - head.length }, () => 0)];
}

/** One options header of the least length that holds `options`, padded. */
function optionsHeader(nextHeader: number, options: readonly number[]): number[] {
  const bytes = [nextHeader, 0, ...options];
  const missing = (8 - (bytes.length % 8)) % 8;
  if (missing === 1) bytes.push(0);
  else if (missing > 1) bytes.push(1, missing - 2, ...Array.from({ length: missing - 2 }, () => 0));
  bytes[1] = bytes.length / 8 - 1;
  return bytes;
}

const fragment = (nextHeader: number, field: number, id: number): number[] => [
  nextHeader,
  0,
  field >>> 8,
  field & 0xff,
  0,
  0,
  0,
  id,
];

describe('the walk', () => {
  test('over no extension header stays where it is', () => {
    const { verdict, found } = walk(PROTOCOL_TCP, [1, 2, 3]);
    assert.equal(verdict, 0);
    assert.equal(found.protocol, PROTOCOL_TCP);
    assert.equal(found.upperOffset, 1);
    assert.equal(found.nextHeaderOffset, 0);
    assert.equal(found.count, 0);
  });

  test('finds every kind in the order of RFC 8200 section 4.1', () => {
    const content = [
      ...optionsHeader(PROTOCOL_DESTINATION_OPTIONS, [5, 2, 0, 0]),
      ...optionsHeader(PROTOCOL_ROUTING, []),
      ...padTo(24, [PROTOCOL_FRAGMENT, 2, 4, 1]),
      ...fragment(PROTOCOL_AH, 0, 9),
      ...padTo(24, [PROTOCOL_DESTINATION_OPTIONS, 4]),
      ...optionsHeader(PROTOCOL_TCP, [0x1e, 0]),
    ];
    const { verdict, found } = walk(PROTOCOL_HOP_BY_HOP, content);
    assert.equal(verdict, content.length);
    assert.equal(found.protocol, PROTOCOL_TCP);
    assert.equal(found.upperOffset, 1 + content.length);
    assert.equal(found.nextHeaderOffset, 1 + content.length - 8);
    assert.equal(found.count, 6);
    assert.equal(found.hopByHopOffset, 1);
    assert.ok(found.routerAlert);
    assert.equal(found.routingOffset, 17);
    assert.deepEqual([found.routingType, found.segmentsLeft], [4, 1]);
    assert.equal(found.fragmentHeaderOffset, 41);
    assert.ok(!found.isFragment, 'an atomic fragment is whole');
    assert.equal(found.destinationOptionsOffset, 1 + content.length - 8);
    assert.equal(describeIpv6Extensions(found), 'hbh(router-alert) routing type 4 left 1 frag 0 id 0x9 dstopt');
  });

  test('hop-by-hop anywhere but first ends it, as a Next Header that is not recognised', () => {
    const content = [...optionsHeader(PROTOCOL_HOP_BY_HOP, []), ...optionsHeader(PROTOCOL_TCP, [])];
    const { verdict, found } = walk(PROTOCOL_DESTINATION_OPTIONS, content);
    assert.equal(verdict, 8);
    assert.equal(found.protocol, PROTOCOL_HOP_BY_HOP);
    assert.equal(found.nextHeaderOffset, 1);
  });

  test('ESP, "no next header" and unknown protocols end it', () => {
    for (const protocol of [PROTOCOL_ESP, PROTOCOL_NO_NEXT_HEADER, 200]) {
      const { verdict, found } = walk(PROTOCOL_DESTINATION_OPTIONS, optionsHeader(protocol, []));
      assert.equal(verdict, 8);
      assert.equal(found.protocol, protocol);
    }
  });

  test('a fragment ends it, the first and a later one alike', () => {
    const first = walk(PROTOCOL_FRAGMENT, [
      ...fragment(PROTOCOL_DESTINATION_OPTIONS, 1, 7),
      ...optionsHeader(PROTOCOL_TCP, []),
    ]);
    assert.equal(first.verdict, 8);
    assert.ok(first.found.isFragment && first.found.moreFragments);
    assert.equal(first.found.fragmentOffsetBytes, 0);
    assert.equal(first.found.protocol, PROTOCOL_DESTINATION_OPTIONS);
    const last = walk(PROTOCOL_FRAGMENT, fragment(PROTOCOL_TCP, 1480, 7));
    assert.equal(last.verdict, 8);
    assert.ok(last.found.isFragment && !last.found.moreFragments);
    assert.equal(last.found.fragmentOffsetBytes, 1480);
    assert.equal(last.found.fragmentId, 7);
  });

  test('a fragment that ends beyond the largest payload is a problem at its offset field (section 4.5)', () => {
    const { verdict, found } = walk(PROTOCOL_FRAGMENT, [
      ...fragment(PROTOCOL_TCP, 0xfff8, 7),
      ...Array.from({ length: 8 }, () => 0),
    ]);
    assert.equal(verdict, MALFORMED);
    assert.equal(found.problemOffset, 3);
  });

  test('a header cut anywhere is truncated', () => {
    const content = optionsHeader(PROTOCOL_TCP, [0x1e, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (let length = 0; length < content.length; length++) {
      assert.equal(walk(PROTOCOL_DESTINATION_OPTIONS, content.slice(0, length)).verdict, TRUNCATED);
    }
    assert.equal(walk(PROTOCOL_DESTINATION_OPTIONS, content).verdict, content.length);
    assert.equal(walk(PROTOCOL_AH, [PROTOCOL_TCP, 4, ...Array.from({ length: 21 }, () => 0)]).verdict, TRUNCATED);
  });

  test('too many headers', () => {
    const chain = (count: number): number[] =>
      Array.from({ length: count }, (_, i) =>
        optionsHeader(i === count - 1 ? PROTOCOL_TCP : PROTOCOL_DESTINATION_OPTIONS, []),
      ).flat();
    assert.equal(walk(PROTOCOL_DESTINATION_OPTIONS, chain(MAX_EXTENSION_HEADERS)).verdict, 8 * MAX_EXTENSION_HEADERS);
    assert.equal(walk(PROTOCOL_DESTINATION_OPTIONS, chain(MAX_EXTENSION_HEADERS + 1)).verdict, LIMIT_EXCEEDED);
  });
});

describe('options', () => {
  test('the first that may not be skipped is reported with its action', () => {
    const content = optionsHeader(PROTOCOL_TCP, [0x3e, 0, 0x9e, 1, 7, 0x5e, 0]);
    const { verdict, found } = walk(PROTOCOL_DESTINATION_OPTIONS, content);
    assert.equal(verdict, content.length);
    assert.equal(found.unknownOptionAction, OPTION_ACTION_DISCARD_REPORT);
    assert.equal(found.unknownOptionOffset, 1 + 4);
  });

  test('the order of headers counts, not the gravity', () => {
    const content = [
      ...optionsHeader(PROTOCOL_DESTINATION_OPTIONS, [0x5e, 0]),
      ...optionsHeader(PROTOCOL_TCP, [0xde, 0]),
    ];
    assert.equal(walk(PROTOCOL_HOP_BY_HOP, content).found.unknownOptionAction, OPTION_ACTION_DISCARD);
  });

  test('an unknown one with the bits 00 is skipped', () => {
    const { found } = walk(PROTOCOL_DESTINATION_OPTIONS, optionsHeader(PROTOCOL_TCP, [0x31, 3, 1, 2, 3]));
    assert.equal(found.unknownOptionAction, OPTION_ACTION_SKIP);
    assert.equal(found.unknownOptionOffset, -1);
  });

  test('a length beyond the header is malformed, and pointed at', () => {
    for (const options of [
      [0x1e, 5, 0, 0, 0, 0],
      [0x1e, 255, 0, 0, 0, 0],
      [0x1e, 3, 0, 0, 0, 0x1e],
      [1, 5, 0, 0, 0, 0],
    ]) {
      const { verdict, found } = walk(PROTOCOL_DESTINATION_OPTIONS, [PROTOCOL_TCP, 0, ...options]);
      assert.equal(verdict, MALFORMED, options.join(' '));
      assert.ok(found.problemOffset >= 3);
    }
  });

  test('too many, and too much padding', () => {
    const options = (count: number): number[] => Array.from({ length: count }, () => [0x1e, 0]).flat();
    const most = optionsHeader(PROTOCOL_TCP, options(MAX_EXTENSION_OPTIONS));
    assert.equal(walk(PROTOCOL_DESTINATION_OPTIONS, most).verdict, most.length);
    const more = optionsHeader(PROTOCOL_TCP, options(MAX_EXTENSION_OPTIONS + 1));
    assert.equal(walk(PROTOCOL_DESTINATION_OPTIONS, more).verdict, LIMIT_EXCEEDED);
    const spread = [PROTOCOL_TCP, 1, 1, 3, 0, 0, 0, 0x1e, 0, 1, 2, 0, 0, 0x1e, 1, 0];
    assert.equal(walk(PROTOCOL_DESTINATION_OPTIONS, spread).verdict, 16);
    const padding = [PROTOCOL_TCP, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x1e, 4, 0, 0, 0, 0];
    assert.equal(walk(PROTOCOL_DESTINATION_OPTIONS, padding).verdict, LIMIT_EXCEEDED);
  });
});

describe("the kernel's packets", () => {
  const walkFrame = (text: string): { verdict: number; found: Ipv6Extensions } => {
    const { bytes, view } = fromHex(text);
    const found = new Ipv6Extensions();
    const at = 14 + IPV6_HEADER_BYTES;
    return { verdict: walkIpv6Extensions(bytes, view, 14 + IPV6_NEXT_HEADER_OFFSET, at, bytes.length, found), found };
  };

  test('a multicast listener report with its router alert', () => {
    const { verdict, found } = walkFrame(capturedFrames.mldReport);
    assert.equal(verdict, 8);
    assert.ok(found.routerAlert);
    assert.equal(found.protocol, PROTOCOL_ICMPV6);
    assert.ok(ipv6IsMulticast(fromHex(capturedFrames.mldReport).view, 14));
  });

  test('the last fragment of an echo request', () => {
    const { verdict, found } = walkFrame(capturedFrames.fragment6);
    assert.equal(verdict, 8);
    assert.equal(describeIpv6Extensions(found), 'frag 1448 id 0x592f4e16');
    assert.ok(found.isFragment);
  });
});

codecSuite({
  name: 'ipv6 fragment header',
  fields: fc.record({
    protocol: fc.constantFrom<number[]>(PROTOCOL_TCP, PROTOCOL_ICMPV6, 200),
    offsetBytes: fc.nat({ max: 4000 }).map((units) => units * 8),
    moreFragments: fc.boolean(),
    id: i32,
  }),
  // The walk wants a Next Header value in front.
  emit: (bytes, view, offset, f) => {
    bytes[offset] = PROTOCOL_FRAGMENT;
    return 1 + emitIpv6Fragment(view, offset + 1, f.protocol, f.offsetBytes, f.moreFragments, f.id);
  },
  check: (bytes, view, offset, end) => {
    if (end <= offset) return TRUNCATED;
    const verdict = walkIpv6Extensions(bytes, view, offset, offset + 1, end, new Ipv6Extensions());
    return verdict < 0 ? verdict : verdict + 1;
  },
  read: (bytes, view, offset, end) => {
    const found = new Ipv6Extensions();
    walkIpv6Extensions(bytes, view, offset, offset + 1, end, found);
    return {
      protocol: found.protocol,
      offsetBytes: found.fragmentOffsetBytes,
      moreFragments: found.moreFragments,
      id: found.fragmentId,
    };
  },
  describe: (bytes, view, offset, end) => {
    const found = new Ipv6Extensions();
    walkIpv6Extensions(bytes, view, offset, offset + 1, end, found);
    return `x${describeIpv6Extensions(found)}`;
  },
});

codecSuite({
  name: 'ipv6 options headers',
  fields: fc.record({
    hopByHop: fc.array(
      u8.filter((type) => type > 1),
      { maxLength: MAX_EXTENSION_OPTIONS },
    ),
    destination: fc.array(
      u8.filter((type) => type > 1),
      { maxLength: MAX_EXTENSION_OPTIONS },
    ),
  }),
  emit: (bytes, _view, offset, f) => {
    const header = (next: number, types: readonly number[]): number[] =>
      optionsHeader(
        next,
        types.flatMap((type) => [type, 1, type]),
      );
    const content = [
      PROTOCOL_HOP_BY_HOP,
      ...header(PROTOCOL_DESTINATION_OPTIONS, f.hopByHop),
      ...header(PROTOCOL_TCP, f.destination),
    ];
    bytes.set(content, offset);
    return content.length;
  },
  check: (bytes, view, offset, end) => {
    if (end <= offset) return TRUNCATED;
    const verdict = walkIpv6Extensions(bytes, view, offset, offset + 1, end, new Ipv6Extensions());
    return verdict < 0 ? verdict : verdict + 1;
  },
  read: (bytes, view, offset, end) => {
    const found = new Ipv6Extensions();
    walkIpv6Extensions(bytes, view, offset, offset + 1, end, found);
    return {
      hopByHop: typesIn(bytes, found.hopByHopOffset),
      destination: typesIn(bytes, found.destinationOptionsOffset),
    };
  },
  describe: () => 'x',
});

/** The option types of a header that the walk has accepted. */
function typesIn(bytes: Uint8Array, header: number): number[] {
  const types: number[] = [];
  if (header < 0) return types;
  const end = header + (bytes[header + 1]! + 1) * 8;
  for (let at = header + 2; at < end; at += bytes[at] === 0 ? 1 : 2 + bytes[at + 1]!) {
    if (bytes[at]! > 1) types.push(bytes[at]!);
  }
  return types;
}
