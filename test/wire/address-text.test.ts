import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from '../../src/wire/address-text.ts';
import { i32 } from '../../testing/codec-suite.ts';

test('words are int32 in network order', () => {
  assert.equal(parseIpv4('192.0.2.1'), 0xc000_0201 | 0);
  assert.deepEqual(parseIpv6('2001:db8::ffff:1'), [0x2001_0db8, 0, 0, 0xffff_0001 | 0]);
  assert.equal(formatIpv4(-1), '255.255.255.255');
  assert.equal(formatIpv6([0x2001_0db8, 0, 0, -1]), '2001:db8::ffff:ffff');
});

test('every address has one text, without upper case, leading zeros or a long run of zero groups', () => {
  const words = fc.array(fc.oneof(i32, fc.constantFrom<number[]>(0, 1, 0xffff, 0x1_0000)), {
    minLength: 4,
    maxLength: 4,
  });
  fc.assert(
    fc.property(words, (list) => {
      const text = formatIpv6(list);
      assert.deepEqual(parseIpv6(text), list);
      assert.match(text, /^[0-9a-f:.]+$/);
      assert.doesNotMatch(text, /(^|:)0[0-9a-f]/);
      assert.doesNotMatch(text.includes('::') ? '' : text, /(^|:)0:0(:|$)/);
    }),
  );
});
