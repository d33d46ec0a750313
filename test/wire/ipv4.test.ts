import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { IpAddress } from '../../src/wire/address.ts';
import {
  checkIpv4,
  checkIpv4Options,
  describeIpv4,
  emitIpv4,
  fillIpv4Checksum,
  IPV4_CHECKSUM_OFFSET,
  IPV4_DONT_FRAGMENT,
  IPV4_MORE_FRAGMENTS,
  IPV4_OPTION_LOOSE_SOURCE_ROUTE,
  ipv4Checksum,
  ipv4ChecksumValid,
  ipv4DestinationWord,
  ipv4FlagsOffset,
  ipv4FragmentOffsetBytes,
  ipv4HeaderBytes,
  ipv4Id,
  ipv4IsFragment,
  ipv4Protocol,
  ipv4SourceWord,
  ipv4TotalBytes,
  ipv4TrafficClass,
  ipv4Ttl,
  ipVersion,
} from '../../src/wire/ipv4.ts';
import { MALFORMED, TRUNCATED } from '../../src/wire/verdict.ts';
import { capturedFrames } from '../../testing/captured-frames.ts';
import { buffer, codecSuite, fromHex, i32, u16, u8 } from '../../testing/codec-suite.ts';

codecSuite({
  name: 'ipv4',
  fields: fc.record({
    source: i32,
    destination: i32,
    protocol: u8,
    totalBytes: fc.integer({ min: 20, max: 0xffff }),
    ttl: u8,
    id: u16,
    dontFragment: fc.boolean(),
    trafficClass: u8,
    checksumValid: fc.constant<boolean>(true),
  }),
  emit: (_bytes, view, offset, f) =>
    emitIpv4(
      view,
      offset,
      IpAddress.fromWord4(f.source),
      IpAddress.fromWord4(f.destination),
      f.protocol,
      f.totalBytes,
      f.ttl,
      f.id,
      f.dontFragment,
      f.trafficClass,
    ),
  check: (bytes, _view, offset, end) => checkIpv4(bytes, offset, end),
  read: (bytes, view, offset) => ({
    source: ipv4SourceWord(view, offset),
    destination: ipv4DestinationWord(view, offset),
    protocol: ipv4Protocol(view, offset),
    totalBytes: ipv4TotalBytes(view, offset),
    ttl: ipv4Ttl(view, offset),
    id: ipv4Id(view, offset),
    dontFragment: ipv4FlagsOffset(view, offset) === IPV4_DONT_FRAGMENT,
    trafficClass: ipv4TrafficClass(view, offset),
    checksumValid: ipv4ChecksumValid(bytes, view, offset),
  }),
  describe: (_bytes, view, offset) => describeIpv4(view, offset),
});

/** A header with options, its lengths set; the options begin at 20. */
function withOptions(options: readonly number[]): { bytes: Uint8Array; view: DataView; headerBytes: number } {
  const headerBytes = 20 + options.length;
  const { bytes, view } = buffer(headerBytes);
  const any = IpAddress.fromWord4(0x0a00_0001);
  emitIpv4(view, 0, any, any, 6, headerBytes, 64, 1, false, 0);
  bytes[0] = 0x40 | (headerBytes >>> 2);
  bytes.set(options, 20);
  fillIpv4Checksum(bytes, view, 0);
  return { bytes, view, headerBytes };
}

describe('header', () => {
  test("the kernel's checksum is right, and one flipped bit makes it wrong", () => {
    const { bytes, view } = fromHex(capturedFrames.tcpData);
    assert.equal(checkIpv4(bytes, 14, bytes.length), 20);
    assert.ok(ipv4ChecksumValid(bytes, view, 14));
    for (let bit = 0; bit < 160; bit++) {
      bytes[14 + (bit >>> 3)]! ^= 1 << (bit & 7);
      // The version and the header length are the check's part: they say what is summed.
      if (bit >= 8) assert.ok(!ipv4ChecksumValid(bytes, view, 14), `bit ${bit}`);
      bytes[14 + (bit >>> 3)]! ^= 1 << (bit & 7);
    }
    const checksum = ipv4Checksum(view, 14);
    view.setUint16(14 + IPV4_CHECKSUM_OFFSET, 0xdead);
    fillIpv4Checksum(bytes, view, 14);
    assert.equal(ipv4Checksum(view, 14), checksum);
  });

  test('lengths that contradict each other', () => {
    const { bytes, view } = fromHex(capturedFrames.tcpSyn);
    assert.equal(ipVersion(view, 14), 4);
    bytes[14] = 0x44;
    assert.equal(checkIpv4(bytes, 14, bytes.length), MALFORMED);
    bytes[14] = 0x65;
    assert.equal(checkIpv4(bytes, 14, bytes.length), MALFORMED);
    bytes[14] = 0x4f;
    assert.equal(checkIpv4(bytes, 14, 14 + 59), TRUNCATED);
    bytes[14] = 0x45;
    view.setUint16(16, 19);
    assert.equal(checkIpv4(bytes, 14, bytes.length), MALFORMED);
  });

  test('a total length beyond the bytes at hand is not its business', () => {
    const { bytes, view } = fromHex(capturedFrames.tcpSyn);
    view.setUint16(16, 9000);
    assert.equal(checkIpv4(bytes, 14, bytes.length), 20);
  });

  test('fragments', () => {
    const { view } = withOptions([]);
    assert.ok(!ipv4IsFragment(view, 0));
    view.setUint16(6, IPV4_DONT_FRAGMENT);
    assert.ok(!ipv4IsFragment(view, 0));
    view.setUint16(6, IPV4_MORE_FRAGMENTS);
    assert.ok(ipv4IsFragment(view, 0));
    assert.equal(ipv4FragmentOffsetBytes(view, 0), 0);
    view.setUint16(6, 0x1fff);
    assert.ok(ipv4IsFragment(view, 0));
    assert.equal(ipv4FragmentOffsetBytes(view, 0), 65_528);
  });
});

describe('options', () => {
  test('are skipped, padding and all', () => {
    const { bytes, view, headerBytes } = withOptions([1, 148, 4, 0, 0, 7, 3, 4, 0, 9, 9, 9]);
    assert.equal(checkIpv4(bytes, 0, bytes.length), headerBytes);
    assert.equal(ipv4HeaderBytes(view, 0), headerBytes);
    assert.ok(ipv4ChecksumValid(bytes, view, 0));
    assert.equal(checkIpv4Options(bytes, 0, headerBytes), 0);
  });

  test('a source route is reported', () => {
    const { bytes, headerBytes } = withOptions([1, IPV4_OPTION_LOOSE_SOURCE_ROUTE, 7, 4, 10, 0, 0, 1]);
    assert.equal(checkIpv4Options(bytes, 0, headerBytes), IPV4_OPTION_LOOSE_SOURCE_ROUTE);
  });

  for (const [name, options] of [
    ['length 0', [7, 0, 0, 0]],
    ['length 1', [7, 1, 0, 0]],
    ['length beyond the header', [7, 5, 0, 0]],
    ['no room for a length', [1, 1, 1, 7]],
  ] as const) {
    test(`${name} is malformed`, () => {
      const { bytes, headerBytes } = withOptions(options);
      assert.equal(checkIpv4Options(bytes, 0, headerBytes), MALFORMED);
    });
  }

  test('any bytes end in a verdict', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 40, maxLength: 40 }), (options) => {
        const { bytes, headerBytes } = withOptions([...options]);
        assert.ok([0, MALFORMED, 131, 137].includes(checkIpv4Options(bytes, 0, headerBytes)));
      }),
    );
  });
});
