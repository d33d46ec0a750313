import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { IpAddress } from '../../src/wire/address.ts';
import { emitIpv6, IPV6_HEADER_BYTES } from '../../src/wire/ipv6.ts';
import { formatMac } from '../../src/wire/mac.ts';
import {
  checkNeighborAdvertisement,
  checkNeighborSolicitation,
  checkRouterAdvertisement,
  checkRouterSolicitation,
  describeNeighbor,
  emitMtu,
  emitNeighborAdvertisement,
  emitNeighborSolicitation,
  emitPrefix,
  emitRouterAdvertisement,
  emitRouterSolicitation,
  MAX_NDP_OPTIONS,
  MAX_NDP_PREFIXES,
  NA_OVERRIDE,
  NA_ROUTER,
  NA_SOLICITED,
  naFlags,
  NdpOptions,
  ndpTarget,
  parseNdpOptions,
  PREFIX_AUTONOMOUS,
  PREFIX_ON_LINK,
  prefixAddress,
  prefixFlags,
  prefixLengthBits,
  prefixPreferredSeconds,
  prefixValidSeconds,
  raFlags,
  raHopLimit,
  raLifetimeSeconds,
  raReachableMs,
  raRetransMs,
} from '../../src/wire/ndp.ts';
import { LIMIT_EXCEEDED, MALFORMED, TRUNCATED } from '../../src/wire/verdict.ts';
import { capturedFrames } from '../../testing/captured-frames.ts';
import { buffer, codecSuite, fromHex, i32, macs, u16, u32, u8 } from '../../testing/codec-suite.ts';

const ip = (text: string): IpAddress => IpAddress.parse(text)!;
const LINK_LOCAL = ip('fe80::1');
const ALL_NODES = ip('ff02::1');

type Check = typeof checkRouterSolicitation;

/** A packet whose message is right behind an IPv6 header at 0, as the checks want it. */
function packet(
  check: Check,
  source: IpAddress,
  destination: IpAddress,
  emit: (bytes: Uint8Array, view: DataView, offset: number) => number,
  change?: (bytes: Uint8Array, view: DataView) => void,
): number {
  const { bytes, view } = buffer(400);
  const length = emit(bytes, view, IPV6_HEADER_BYTES);
  emitIpv6(view, 0, source, destination, 58, length, 255, 0, 0);
  change?.(bytes, view);
  return check(bytes, view, 0, IPV6_HEADER_BYTES, IPV6_HEADER_BYTES + length, new NdpOptions());
}

const MAC = Uint8Array.of(2, 0, 0, 0, 0, 0x0a);
const unicastTargets = fc
  .tuple(i32, i32, i32, i32)
  .map(([w0, ...rest]): [number, number, number, number] => [w0 & 0x7fff_ffff, ...rest]);

/** A suite for one message, its IPv6 header in front: the checks look at both. */
function messageSuite<Fields extends object>(
  name: string,
  check: Check,
  fields: fc.Arbitrary<Fields>,
  emit: (bytes: Uint8Array, view: DataView, offset: number, f: Fields) => number,
  read: (bytes: Uint8Array, view: DataView, offset: number, options: NdpOptions) => Fields,
): void {
  const verdictOf = (bytes: Uint8Array, view: DataView, offset: number, end: number, options: NdpOptions): number => {
    if (end - offset < IPV6_HEADER_BYTES) return TRUNCATED;
    const verdict = check(bytes, view, offset, offset + IPV6_HEADER_BYTES, end, options);
    return verdict < 0 ? verdict : end - offset;
  };
  codecSuite({
    name,
    fields,
    emit: (bytes, view, offset, f) => {
      const length = emit(bytes, view, offset + IPV6_HEADER_BYTES, f);
      emitIpv6(view, offset, LINK_LOCAL, ip('fe80::2'), 58, length, 255, 0, 0);
      return IPV6_HEADER_BYTES + length;
    },
    check: (bytes, view, offset, end) => verdictOf(bytes, view, offset, end, new NdpOptions()),
    read: (bytes, view, offset, end) => {
      const options = new NdpOptions();
      verdictOf(bytes, view, offset, end, options);
      return read(bytes, view, offset + IPV6_HEADER_BYTES, options);
    },
    describe: (_bytes, view, offset, end) =>
      end - offset < IPV6_HEADER_BYTES + 24 ? 'short' : describeNeighbor(view, offset + IPV6_HEADER_BYTES, true),
    // Cut between options, a message is a shorter, valid one.
    leastBytes: IPV6_HEADER_BYTES + 8,
  });
}

const macOrNull = (bytes: Uint8Array, at: number): Uint8Array | null => (at < 0 ? null : bytes.slice(at, at + 6));
const maybeMacs = fc.option(macs);
const wordsOf = (a: IpAddress): [number, number, number, number] => [a.w0, a.w1, a.w2, a.w3];

messageSuite(
  'router solicitation',
  checkRouterSolicitation,
  fc.record({ mac: maybeMacs }),
  (bytes, view, offset, f) => emitRouterSolicitation(bytes, view, offset, f.mac),
  (bytes, _view, _offset, options) => ({ mac: macOrNull(bytes, options.sourceMacOffset) }),
);

messageSuite(
  'neighbour solicitation',
  checkNeighborSolicitation,
  fc.record({ target: unicastTargets, mac: maybeMacs }),
  (bytes, view, offset, f) => emitNeighborSolicitation(bytes, view, offset, IpAddress.fromWords(6, ...f.target), f.mac),
  (bytes, view, offset, options) => ({
    target: wordsOf(ndpTarget(view, offset)),
    mac: macOrNull(bytes, options.sourceMacOffset),
  }),
);

messageSuite(
  'neighbour advertisement',
  checkNeighborAdvertisement,
  fc.record({ target: unicastTargets, flags: u8, mac: macs }),
  (bytes, view, offset, f) =>
    emitNeighborAdvertisement(bytes, view, offset, IpAddress.fromWords(6, ...f.target), f.flags, f.mac),
  (bytes, view, offset, options) => ({
    target: wordsOf(ndpTarget(view, offset)),
    flags: naFlags(view, offset),
    mac: macOrNull(bytes, options.targetMacOffset) ?? MAC,
  }),
);

messageSuite(
  'router advertisement',
  checkRouterAdvertisement,
  fc.record({
    hopLimit: u8,
    flags: u8,
    lifetime: u16,
    reachable: u32,
    retrans: u32,
    mtuBytes: u32,
    prefixes: fc.array(fc.tuple(unicastTargets, u8, u8, u32, u32), { maxLength: 3 }),
  }),
  (_bytes, view, offset, f) => {
    let at = offset + emitRouterAdvertisement(view, offset, f.hopLimit, f.flags, f.lifetime, f.reachable, f.retrans);
    at += emitMtu(view, at, f.mtuBytes);
    for (const [words, lengthBits, flags, valid, preferred] of f.prefixes) {
      at += emitPrefix(view, at, IpAddress.fromWords(6, ...words), lengthBits, flags, valid, preferred);
    }
    return at - offset;
  },
  (_bytes, view, offset, options) => ({
    hopLimit: raHopLimit(view, offset),
    flags: raFlags(view, offset),
    lifetime: raLifetimeSeconds(view, offset),
    reachable: raReachableMs(view, offset),
    retrans: raRetransMs(view, offset),
    mtuBytes: options.mtuBytes,
    prefixes: Array.from(
      options.prefixOffsets.subarray(0, options.prefixCount),
      (at): [[number, number, number, number], number, number, number, number] => [
        wordsOf(prefixAddress(view, at)),
        prefixLengthBits(view, at),
        prefixFlags(view, at),
        prefixValidSeconds(view, at),
        prefixPreferredSeconds(view, at),
      ],
    ),
  }),
);

describe('validity (RFC 4861 sections 6.1 and 7.1)', () => {
  const target = ip('fd00::5');
  const unspecified = ip('::');
  const group = target.solicitedNode();
  const solicit = (mac: Uint8Array | null) => (bytes: Uint8Array, view: DataView, offset: number) =>
    emitNeighborSolicitation(bytes, view, offset, target, mac);
  const advertise =
    (flags: number, of = target) =>
    (bytes: Uint8Array, view: DataView, offset: number) =>
      emitNeighborAdvertisement(bytes, view, offset, of, flags, MAC);
  const routerSolicit = (mac: Uint8Array | null) => (bytes: Uint8Array, view: DataView, offset: number) =>
    emitRouterSolicitation(bytes, view, offset, mac);
  const routerAdvertise = (_bytes: Uint8Array, view: DataView, offset: number): number =>
    emitRouterAdvertisement(view, offset, 64, 0, 1800, 0, 0);
  const notLocal = (_bytes: Uint8Array, view: DataView): void => view.setUint8(7, 254);
  const codeOne = (_bytes: Uint8Array, view: DataView): void => view.setUint8(IPV6_HEADER_BYTES + 1, 1);

  test('what the kernel sends is valid', () => {
    const messages = [
      ['routerSolicitation', checkRouterSolicitation, 8],
      ['neighborSolicitation', checkNeighborSolicitation, 24],
      ['duplicateAddressDetection', checkNeighborSolicitation, 24],
      ['neighborAdvertisement', checkNeighborAdvertisement, 24],
    ] as const;
    for (const [name, check, fixedBytes] of messages) {
      const { bytes, view } = fromHex(capturedFrames[name]);
      assert.equal(check(bytes, view, 14, 54, bytes.length, new NdpOptions()), fixedBytes, name);
    }
    const { bytes, view } = fromHex(capturedFrames.neighborAdvertisement);
    const options = new NdpOptions();
    checkNeighborAdvertisement(bytes, view, 14, 54, bytes.length, options);
    assert.equal(formatMac(bytes, options.targetMacOffset), '02:00:00:00:00:0b');
    assert.equal(describeNeighbor(view, 54, true), 'target fd77::2 [solicited override]');
  });

  test('a hop limit below 255 or a code other than 0', () => {
    for (const change of [notLocal, codeOne]) {
      assert.equal(packet(checkRouterSolicitation, LINK_LOCAL, ALL_NODES, routerSolicit(MAC), change), MALFORMED);
      assert.equal(packet(checkRouterAdvertisement, LINK_LOCAL, ALL_NODES, routerAdvertise, change), MALFORMED);
      assert.equal(packet(checkNeighborSolicitation, LINK_LOCAL, group, solicit(MAC), change), MALFORMED);
      assert.equal(packet(checkNeighborAdvertisement, LINK_LOCAL, ALL_NODES, advertise(0), change), MALFORMED);
    }
  });

  test('a solicitation from nowhere carries no link-layer address', () => {
    assert.equal(packet(checkRouterSolicitation, unspecified, ALL_NODES, routerSolicit(null)), 8);
    assert.equal(packet(checkRouterSolicitation, unspecified, ALL_NODES, routerSolicit(MAC)), MALFORMED);
    assert.equal(packet(checkNeighborSolicitation, unspecified, group, solicit(null)), 24);
    assert.equal(packet(checkNeighborSolicitation, unspecified, group, solicit(MAC)), MALFORMED);
  });

  test('duplicate address detection goes to a solicited-node group', () => {
    for (const other of ['fd00::5', 'ff02::1', 'ff02::1:fe00:5', 'ff05::1:ff00:5']) {
      assert.equal(packet(checkNeighborSolicitation, unspecified, ip(other), solicit(null)), MALFORMED, other);
    }
  });

  test('a router speaks from a link-local address', () => {
    assert.equal(packet(checkRouterAdvertisement, LINK_LOCAL, ALL_NODES, routerAdvertise), 16);
    for (const source of ['fd00::1', '::', 'fec0::1', 'fe00::1']) {
      assert.equal(packet(checkRouterAdvertisement, ip(source), ALL_NODES, routerAdvertise), MALFORMED, source);
    }
  });

  test('a target is never a group', () => {
    assert.equal(packet(checkNeighborAdvertisement, LINK_LOCAL, ALL_NODES, advertise(0, ALL_NODES)), MALFORMED);
    const change = (bytes: Uint8Array): void => void (bytes[IPV6_HEADER_BYTES + 8] = 0xff);
    assert.equal(packet(checkNeighborSolicitation, LINK_LOCAL, group, solicit(MAC), change), MALFORMED);
  });

  test('an advertisement to all is not solicited', () => {
    const flags = NA_SOLICITED | NA_OVERRIDE | NA_ROUTER;
    assert.equal(packet(checkNeighborAdvertisement, LINK_LOCAL, ALL_NODES, advertise(flags)), MALFORMED);
    assert.equal(packet(checkNeighborAdvertisement, LINK_LOCAL, ALL_NODES, advertise(NA_OVERRIDE)), 24);
    assert.equal(packet(checkNeighborAdvertisement, LINK_LOCAL, ip('fe80::9'), advertise(flags)), 24);
  });
});

describe('options', () => {
  const parse = (text: string): { verdict: number; options: NdpOptions } => {
    const { bytes, view } = fromHex(text);
    const options = new NdpOptions();
    return { verdict: parseNdpOptions(bytes, view, 0, bytes.length, options), options };
  };

  test('unknown ones are skipped by their length; known ones of a wrong length do not count', () => {
    const { verdict, options } = parse(`0e02 ${'00'.repeat(14)} 0102 ${'00'.repeat(14)} 0501 0000 000005dc`);
    assert.equal(verdict, 0);
    assert.equal(options.sourceMacOffset, -1);
    assert.equal(options.mtuBytes, 1500);
  });

  test('length 0 is malformed, a length beyond the end truncated', () => {
    assert.equal(parse('0501 0000 000005dc 0e00 0000 0000 0000').verdict, MALFORMED);
    assert.equal(parse('0e02 0000 0000 0000').verdict, TRUNCATED);
    assert.equal(parse('0501 0000 000005dc 0e').verdict, TRUNCATED);
  });

  test('more than the limit', () => {
    assert.equal(parse('0e01000000000000'.repeat(MAX_NDP_OPTIONS)).verdict, 0);
    assert.equal(parse('0e01000000000000'.repeat(MAX_NDP_OPTIONS + 1)).verdict, LIMIT_EXCEEDED);
  });

  test('prefixes beyond the limit are ignored', () => {
    const { view, bytes } = buffer(32 * (MAX_NDP_PREFIXES + 2));
    for (let at = 0; at < bytes.length; at += 32) {
      emitPrefix(view, at, ip('fd00::'), 64, PREFIX_ON_LINK | PREFIX_AUTONOMOUS, 0xffff_ffff, 14_400);
    }
    const options = new NdpOptions();
    assert.equal(parseNdpOptions(bytes, view, 0, bytes.length, options), 0);
    assert.equal(options.prefixCount, MAX_NDP_PREFIXES);
    assert.equal(prefixValidSeconds(view, options.prefixOffsets[0]!), 0xffff_ffff);
  });
});
