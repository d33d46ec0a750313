import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { SeededRandom } from '../../src/core/random.ts';
import { IpAddress } from '../../src/wire/address.ts';
import {
  copyMac,
  formatMac,
  isMulticastMac,
  MAC_BROADCAST,
  MAC_ZERO,
  matchesMac,
  multicastMac,
  parseMac,
  randomMac,
} from '../../src/wire/mac.ts';
import { macs } from '../../testing/codec-suite.ts';

describe('text', () => {
  test('is read back as it is written, with either separator and case', () => {
    fc.assert(
      fc.property(macs, (mac) => {
        const text = formatMac(mac);
        for (const form of [text, text.toUpperCase(), text.replaceAll(':', '-')]) assert.deepEqual(parseMac(form), mac);
      }),
    );
    assert.equal(formatMac(Uint8Array.of(9, 9, 0, 1, 2, 3, 4, 0xff), 2), '00:01:02:03:04:ff');
  });

  const refused = [
    '',
    '00:00:00:00:00',
    '00:00:00:00:00:00:00',
    '0:0:0:0:0:0',
    '00:00:00:00:00:0g',
    '00:00-00:00:00:00',
    '000000000000',
    ' 00:00:00:00:00:00',
  ];
  for (const text of refused) test(`refuses ${JSON.stringify(text)}`, () => assert.equal(parseMac(text), null));
});

describe('kinds', () => {
  test('the group bit', () => {
    assert.ok(isMulticastMac(MAC_BROADCAST, 0));
    assert.ok(isMulticastMac(Uint8Array.of(2, 0x33, 0x33), 1));
    assert.ok(!isMulticastMac(MAC_ZERO, 0));
  });

  test('the group addresses of RFC 1112 and RFC 2464', () => {
    const of = (text: string): string => formatMac(multicastMac(IpAddress.parse(text)!));
    assert.equal(of('224.0.0.1'), '01:00:5e:00:00:01');
    assert.equal(of('239.255.255.250'), '01:00:5e:7f:ff:fa');
    assert.equal(of('ff02::1:ff28:9c5a'), '33:33:ff:28:9c:5a');
  });

  test('random ones are unicast, locally administered and differ', () => {
    const random = new SeededRandom(5);
    const drawn = Array.from({ length: 200 }, () => randomMac(random));
    for (const mac of drawn) {
      assert.equal(mac.length, 6);
      assert.equal(mac[0]! & 3, 2, formatMac(mac));
    }
    assert.equal(new Set(drawn.map((mac) => formatMac(mac))).size, 200);
    for (let byte = 0; byte < 6; byte++) assert.ok(new Set(drawn.map((mac) => mac[byte])).size > 30, `byte ${byte}`);
  });
});

test('matchesMac sees every byte; copyMac writes six', () => {
  fc.assert(
    fc.property(macs, fc.nat({ max: 5 }), fc.integer({ min: 1, max: 255 }), (mac, byte, change) => {
      const bytes = new Uint8Array(10).fill(0x77);
      copyMac(bytes, 2, mac);
      assert.ok(matchesMac(bytes, 2, mac));
      assert.deepEqual([bytes[1], bytes[8]], [0x77, 0x77]);
      bytes[2 + byte]! ^= change;
      assert.ok(!matchesMac(bytes, 2, mac));
    }),
  );
});
