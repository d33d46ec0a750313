import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import {
  checkIcmp,
  describeIcmp,
  emitIcmp,
  emitIcmpEcho,
  fillIcmpChecksum,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMP_FRAGMENTATION_NEEDED,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  icmpChecksumValid,
  icmpCode,
  icmpEchoId,
  icmpEchoSequence,
  icmpIsError,
  icmpMtuBytes,
  icmpPointer,
  icmpType,
} from '../../src/wire/icmp.ts';
import {
  checkIcmpv6,
  describeIcmpv6,
  emitIcmpv6,
  emitIcmpv6Echo,
  fillIcmpv6Checksum,
  ICMPV6_CHECKSUM_OFFSET,
  ICMPV6_ECHO_REPLY,
  ICMPV6_ECHO_REQUEST,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_PORT_UNREACHABLE,
  ICMPV6_UNREACHABLE,
  icmpv6ChecksumValid,
  icmpv6Code,
  icmpv6EchoId,
  icmpv6EchoSequence,
  icmpv6IsError,
  icmpv6MtuBytes,
  icmpv6Pointer,
  icmpv6Type,
} from '../../src/wire/icmpv6.ts';
import { parseQuoted, QUOTED_L4_BYTES, QuotedPacket } from '../../src/wire/quoted.ts';
import { udpDestinationPort } from '../../src/wire/udp.ts';
import { MALFORMED, TRUNCATED } from '../../src/wire/verdict.ts';
import { capturedFrames } from '../../testing/captured-frames.ts';
import { buffer, codecSuite, fromHex, u16, u32, u8 } from '../../testing/codec-suite.ts';

const errorFields = fc.record({ type: u8, code: u8, rest: u32 });
const echoFields = fc.record({ isReply: fc.boolean(), id: u16, sequence: u16 });

codecSuite({
  name: 'icmp',
  fields: errorFields,
  emit: (_bytes, view, offset, f) => emitIcmp(view, offset, f.type, f.code, f.rest),
  check: (bytes, _view, offset, end) => checkIcmp(bytes, offset, end),
  read: (_bytes, view, offset) => ({
    type: icmpType(view, offset),
    code: icmpCode(view, offset),
    rest: icmpPointer(view, offset) * 2 ** 24 + view.getUint8(offset + 5) * 2 ** 16 + icmpMtuBytes(view, offset),
  }),
  describe: (_bytes, view, offset, end) => describeIcmp(view, offset, end - offset),
});

codecSuite({
  name: 'icmp echo',
  fields: echoFields,
  emit: (_bytes, view, offset, f) =>
    emitIcmpEcho(view, offset, f.isReply ? ICMP_ECHO_REPLY : ICMP_ECHO_REQUEST, f.id, f.sequence),
  check: (bytes, _view, offset, end) => checkIcmp(bytes, offset, end),
  read: (_bytes, view, offset) => ({
    isReply: icmpType(view, offset) === ICMP_ECHO_REPLY,
    id: icmpEchoId(view, offset),
    sequence: icmpEchoSequence(view, offset),
  }),
  describe: (_bytes, view, offset, end) => describeIcmp(view, offset, end - offset),
});

codecSuite({
  name: 'icmp6',
  fields: errorFields,
  emit: (_bytes, view, offset, f) => emitIcmpv6(view, offset, f.type, f.code, f.rest),
  check: (bytes, _view, offset, end) => checkIcmpv6(bytes, offset, end),
  read: (_bytes, view, offset) => ({
    type: icmpv6Type(view, offset),
    code: icmpv6Code(view, offset),
    rest: icmpv6MtuBytes(view, offset),
  }),
  describe: (_bytes, view, offset, end) => describeIcmpv6(view, offset, end - offset),
});

codecSuite({
  name: 'icmp6 echo',
  fields: echoFields,
  emit: (_bytes, view, offset, f) =>
    emitIcmpv6Echo(view, offset, f.isReply ? ICMPV6_ECHO_REPLY : ICMPV6_ECHO_REQUEST, f.id, f.sequence),
  check: (bytes, _view, offset, end) => checkIcmpv6(bytes, offset, end),
  read: (_bytes, view, offset) => ({
    isReply: icmpv6Type(view, offset) === ICMPV6_ECHO_REPLY,
    id: icmpv6EchoId(view, offset),
    sequence: icmpv6EchoSequence(view, offset),
  }),
  describe: (_bytes, view, offset, end) => describeIcmpv6(view, offset, end - offset),
});

describe("the kernel's messages", () => {
  for (const name of ['echoRequest', 'echoReply', 'portUnreachable'] as const) {
    test(`${name}: checksum`, () => {
      const { bytes, view } = fromHex(capturedFrames[name]);
      const length = bytes.length - 34;
      assert.ok(icmpChecksumValid(bytes, view, 34, length));
      const sent = view.getUint16(36);
      fillIcmpChecksum(bytes, view, 34, length);
      assert.equal(view.getUint16(36), sent);
      bytes[bytes.length - 1]! ^= 1;
      assert.ok(!icmpChecksumValid(bytes, view, 34, length));
    });
  }
  for (const name of ['echoRequest6', 'echoReply6', 'portUnreachable6', 'neighborAdvertisement'] as const) {
    test(`${name}: checksum`, () => {
      const { bytes, view } = fromHex(capturedFrames[name]);
      const length = bytes.length - 54;
      assert.ok(icmpv6ChecksumValid(bytes, view, 14, 54, length));
      const sent = view.getUint16(54 + ICMPV6_CHECKSUM_OFFSET);
      fillIcmpv6Checksum(bytes, view, 14, 54, length);
      assert.equal(view.getUint16(54 + ICMPV6_CHECKSUM_OFFSET), sent);
      // The pseudo-header is part of it.
      bytes[14 + 39]! ^= 1;
      assert.ok(!icmpv6ChecksumValid(bytes, view, 14, 54, length));
    });
  }
});

describe('fields of errors', () => {
  test('next-hop MTU and pointer', () => {
    const { view } = buffer(8);
    emitIcmp(view, 0, ICMP_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED, 1400);
    assert.equal(icmpMtuBytes(view, 0), 1400);
    assert.match(describeIcmp(view, 0, 8), /unreachable code 4 mtu 1400/);
    emitIcmp(view, 0, ICMP_PARAMETER_PROBLEM, 0, 20 << 24);
    assert.equal(icmpPointer(view, 0), 20);
    emitIcmpv6(view, 0, ICMPV6_PACKET_TOO_BIG, 0, 1280);
    assert.equal(icmpv6MtuBytes(view, 0), 1280);
    assert.match(describeIcmpv6(view, 0, 8), /packet too big mtu 1280/);
    emitIcmpv6(view, 0, ICMPV6_PARAMETER_PROBLEM, 1, 0xffff_ffff);
    assert.equal(icmpv6Pointer(view, 0), 0xffff_ffff);
  });

  test('which types are errors', () => {
    const errors = Array.from({ length: 256 }, (_, type) => type).filter((type) => icmpIsError(type));
    assert.deepEqual(errors, [ICMP_UNREACHABLE, 4, ICMP_REDIRECT, ICMP_TIME_EXCEEDED, ICMP_PARAMETER_PROBLEM]);
    assert.ok(icmpv6IsError(ICMPV6_UNREACHABLE) && icmpv6IsError(127));
    assert.ok(!icmpv6IsError(ICMPV6_ECHO_REQUEST) && !icmpv6IsError(255));
  });
});

describe('the quoted packet', () => {
  test('of a port unreachable', () => {
    const { bytes, view } = fromHex(capturedFrames.portUnreachable);
    const quoted = new QuotedPacket();
    assert.equal(parseQuoted(bytes, view, 42, bytes.length, 4, quoted), 20);
    assert.deepEqual([quoted.family, quoted.l3Offset, quoted.l4Offset, quoted.protocol], [4, 42, 62, 17]);
    assert.equal(udpDestinationPort(view, quoted.l4Offset), 9);
  });

  test('of a port unreachable over IPv6', () => {
    const { bytes, view } = fromHex(capturedFrames.portUnreachable6);
    assert.equal(icmpv6Code(view, 54), ICMPV6_PORT_UNREACHABLE);
    const quoted = new QuotedPacket();
    assert.equal(parseQuoted(bytes, view, 62, bytes.length, 6, quoted), 40);
    assert.deepEqual([quoted.family, quoted.l4Offset, quoted.protocol], [6, 102, 17]);
    assert.equal(udpDestinationPort(view, quoted.l4Offset), 9);
  });

  test('behind a destination options header', () => {
    const { bytes, view } = fromHex(`6000000000103c40 ${'00'.repeat(32)} 0600010400000000 1451 0050 00000001`);
    const quoted = new QuotedPacket();
    assert.equal(parseQuoted(bytes, view, 0, bytes.length, 6, quoted), 48);
    assert.equal(quoted.protocol, 6);
  });

  for (const [name, family, at] of [
    ['portUnreachable', 4, 42],
    ['portUnreachable6', 6, 62],
  ] as const) {
    test(`${name}: cut before its eighth transport byte it is truncated`, () => {
      const { bytes, view } = fromHex(capturedFrames[name]);
      const quoted = new QuotedPacket();
      const least = at + (family === 4 ? 20 : 40) + QUOTED_L4_BYTES;
      for (let end = at; end < least; end++) assert.equal(parseQuoted(bytes, view, at, end, family, quoted), TRUNCATED);
      assert.ok(parseQuoted(bytes, view, at, least, family, quoted) > 0);
    });
  }

  test('a later fragment has no ports; a first one has', () => {
    const { bytes, view } = fromHex(capturedFrames.portUnreachable);
    const quoted = new QuotedPacket();
    view.setUint16(42 + 6, 0x2000);
    assert.equal(parseQuoted(bytes, view, 42, bytes.length, 4, quoted), 20);
    view.setUint16(42 + 6, 0x0001);
    assert.equal(parseQuoted(bytes, view, 42, bytes.length, 4, quoted), MALFORMED);
  });

  test('of the other family is malformed', () => {
    const { bytes, view } = fromHex(capturedFrames.portUnreachable6);
    assert.equal(parseQuoted(bytes, view, 62, bytes.length, 4, new QuotedPacket()), MALFORMED);
  });

  test('any bytes end in a verdict that no byte outside can change', () => {
    const real = fromHex(capturedFrames.portUnreachable6).bytes.slice(62);
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 90 }),
      fc.tuple(fc.nat({ max: 55 }), u8).map(([at, value]) => real.with(at, value)),
    );
    fc.assert(
      fc.property(content, fc.constantFrom<(4 | 6)[]>(4, 6), (inside, family) => {
        const outcomes = [0, 0xff].map((filler) => {
          const { bytes, view } = buffer(inside.length + 100, filler);
          bytes.set(inside);
          const quoted = new QuotedPacket();
          return { verdict: parseQuoted(bytes, view, 0, inside.length, family, quoted), quoted };
        });
        assert.deepEqual(outcomes[0], outcomes[1]);
        const { verdict } = outcomes[0]!;
        assert.ok(verdict < 0 || verdict <= inside.length - QUOTED_L4_BYTES);
      }),
      { numRuns: 400 },
    );
  });
});
