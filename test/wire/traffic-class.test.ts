import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddress } from '../../src/wire/address.ts';
import { emitIpv4, ipv4ChecksumValid, ipv4TrafficClass } from '../../src/wire/ipv4.ts';
import { emitIpv6, ipv6FlowLabel, ipv6TrafficClass } from '../../src/wire/ipv6.ts';
import {
  ECN_CE,
  ECN_ECT_0,
  ECN_ECT_1,
  ECN_NOT_ECT,
  ecnName,
  trafficClass,
  writeTrafficClass,
} from '../../src/wire/traffic-class.ts';
import { buffer } from '../../testing/codec-suite.ts';

test('every value is read as it was written, in both versions, and nothing beside it changes', () => {
  const four = buffer(40);
  emitIpv4(four.view, 3, IpAddress.parse('10.0.0.1')!, IpAddress.parse('10.0.0.2')!, 6, 40, 64, 7, true, 0);
  const six = buffer(60);
  emitIpv6(six.view, 3, IpAddress.parse('fd00::1')!, IpAddress.parse('fd00::2')!, 6, 20, 64, 0, 0xabcde);
  const before = { four: four.bytes.slice(), six: six.bytes.slice() };
  for (let value = 0; value < 256; value++) {
    writeTrafficClass(four.bytes, 3, value);
    writeTrafficClass(six.bytes, 3, value);
    assert.equal(trafficClass(four.bytes, 3), value);
    assert.equal(trafficClass(six.bytes, 3), value);
    assert.equal(ipv4TrafficClass(four.view, 3), value);
    assert.equal(ipv6TrafficClass(six.view, 3), value);
    assert.equal(ipv6FlowLabel(six.view, 3), 0xabcde);
    assert.equal(ipv4ChecksumValid(four.bytes, four.view, 3), value === 0);
  }
  writeTrafficClass(four.bytes, 3, 0);
  writeTrafficClass(six.bytes, 3, 0);
  assert.deepEqual({ four: four.bytes, six: six.bytes }, before);
});

test('the codepoints have the values of RFC 3168 section 5, whatever the DSCP', () => {
  for (const [value, name] of [
    [ECN_NOT_ECT, 'noecn'],
    [ECN_ECT_1, 'ect1'],
    [ECN_ECT_0, 'ect0'],
    [ECN_CE, 'ce'],
  ] as const) {
    assert.equal(ecnName(value), name);
    assert.equal(ecnName(0xb8 | value), name);
  }
  assert.deepEqual([ECN_NOT_ECT, ECN_ECT_1, ECN_ECT_0, ECN_CE], [0, 1, 2, 3]);
});
