import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isIPv4, isIPv6 } from 'node:net';
import * as fc from 'fast-check';
import {
  formatEndpoint,
  formatPrefix,
  IpAddress,
  linkLocalFromMac,
  parseEndpoint,
  parsePrefix,
  prefixContains,
  UNSPECIFIED4,
  UNSPECIFIED6,
} from '../../src/wire/address.ts';
import { buffer, i32 } from '../../testing/codec-suite.ts';

const ipv6 = fc.tuple(i32, i32, i32, i32).map((words) => IpAddress.fromWords(6, ...words));
const ipv4 = i32.map((word) => IpAddress.fromWord4(word));
const addresses = fc.oneof(ipv4, ipv6);

/** An address that must exist. */
function ip(text: string): IpAddress {
  const address = IpAddress.parse(text);
  assert.ok(address, text);
  return address;
}

describe('canonical text (RFC 5952)', () => {
  const vectors: readonly (readonly [string, string, string])[] = [
    ['§1 leading zeros', '2001:0db8:0000:0000:0001:0000:0000:0001', '2001:db8::1:0:0:1'],
    ['§2.1 no leading zeros', '2001:db8:aaaa:bbbb:cccc:dddd:eeee:0001', '2001:db8:aaaa:bbbb:cccc:dddd:eeee:1'],
    ['§2.2 compression', '2001:db8:0:0:0::1', '2001:db8::1'],
    ['§2.2 compression of all', '0:0:0:0:0:0:0:0', '::'],
    ['§2.3 upper case', '2001:DB8:AAAA:BBBB:CCCC:DDDD:EEEE:AAAA', '2001:db8:aaaa:bbbb:cccc:dddd:eeee:aaaa'],
    ['§4.2.2 one group is not shortened', '2001:db8::1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['§4.2.3 the longest run', '2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['§4.2.3 the first of equal runs', '2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['§5 mapped IPv4', '::ffff:c000:201', '::ffff:192.0.2.1'],
    ['embedded IPv4 read', '64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['run at the end', 'fe80:0:0:0:0:0:0:0', 'fe80::'],
    ['run at the start', '0:0:0:0:0:0:0:1', '::1'],
    ['IPv4', '192.0.2.255', '192.0.2.255'],
  ];
  for (const [name, input, expected] of vectors) {
    test(`${name}: ${input}`, () => assert.equal(ip(input).toString(), expected));
  }

  test('reads back what it writes', () => {
    fc.assert(fc.property(addresses, (address) => assert.ok(address.equals(ip(address.toString())))));
  });
});

describe('parsing', () => {
  const refused = [
    '',
    ' ',
    '1',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.04',
    '0x1.2.3.4',
    '1.2.3.4 ',
    '1.2.3.-4',
    '1..2.3',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '::1:2:3:4:5:6:7:8',
    '12345::',
    'g::',
    '::1%eth0',
    'fe80::1%1',
    '[::1]',
    '::1/64',
    '1.2.3.4::',
    '::1.2.3',
    '::1.2.3.4:5',
    ':1::2',
    '1:',
    '1:2:3:4:5:6:7:',
    '::01.2.3.4',
    '1:2:3:4:5:6:7:1.2.3.4',
    'localhost',
  ];
  for (const text of refused) test(`refuses ${JSON.stringify(text)}`, () => assert.equal(IpAddress.parse(text), null));

  test('agrees with Node on what is an address', () => {
    const characters = fc.constantFrom('0', '1', '9', 'a', 'F', ':', '::', '.', '25', '1.2.3.4', 'ffff');
    const texts = fc.oneof(
      fc.array(characters, { maxLength: 16 }).map((parts) => parts.join('')),
      fc.ipV6(),
      fc.ipV4(),
    );
    fc.assert(
      fc.property(texts, (text) => {
        assert.equal(IpAddress.parse(text) !== null, isIPv4(text) || isIPv6(text), text);
      }),
      { numRuns: 2000 },
    );
  });

  test('tells the families apart even where the words are equal', () => {
    const mapped = ip('::ffff:1.2.3.4');
    const plain = ip('1.2.3.4');
    assert.equal(mapped.family, 6);
    assert.equal(mapped.w3, plain.w3);
    assert.ok(!mapped.equals(plain));
  });
});

describe('bytes', () => {
  test('are written as they are read, and matched in place', () => {
    fc.assert(
      fc.property(addresses, addresses, (address, other) => {
        const { view } = buffer(20, 0xee);
        const length = address.write(view, 3);
        assert.equal(length, address.family === 4 ? 4 : 16);
        const back = address.family === 4 ? IpAddress.read4(view, 3) : IpAddress.read6(view, 3);
        assert.ok(back.equals(address));
        assert.ok(address.matches(view, 3));
        if (other.family === address.family) assert.equal(other.matches(view, 3), other.equals(address));
      }),
    );
  });
});

describe('kinds', () => {
  const kinds: readonly (readonly [
    string,
    'isMulticast' | 'isLinkLocal' | 'isLoopback' | 'isUnspecified' | 'isBroadcast' | null,
  ])[] = [
    ['224.0.0.1', 'isMulticast'],
    ['239.255.255.255', 'isMulticast'],
    ['ff02::1', 'isMulticast'],
    ['169.254.0.1', 'isLinkLocal'],
    ['fe80::1', 'isLinkLocal'],
    ['febf::1', 'isLinkLocal'],
    ['127.1.2.3', 'isLoopback'],
    ['::1', 'isLoopback'],
    ['0.0.0.0', 'isUnspecified'],
    ['::', 'isUnspecified'],
    ['255.255.255.255', 'isBroadcast'],
    ['192.0.2.1', null],
    ['223.255.255.255', null],
    ['240.0.0.1', null],
    ['fec0::1', null],
    ['fe00::1', null],
    ['2001:db8::1', null],
    ['::2', null],
    ['::ffff:0.0.0.0', null],
    ['0.0.0.1', null],
  ];
  for (const [text, kind] of kinds) {
    test(`${text} is ${kind ?? 'an ordinary address'}`, () => {
      const address = ip(text);
      for (const name of ['isMulticast', 'isLinkLocal', 'isLoopback', 'isUnspecified', 'isBroadcast'] as const) {
        assert.equal(address[name], name === kind, name);
      }
    });
  }

  test('the unspecified constants are what they say', () => {
    assert.equal(UNSPECIFIED4.toString(), '0.0.0.0');
    assert.equal(UNSPECIFIED6.toString(), '::');
  });

  test('the solicited-node group of RFC 4291 section 2.7.1', () => {
    assert.equal(ip('4037::1:800:200e:8c6c').solicitedNode().toString(), 'ff02::1:ff0e:8c6c');
  });

  test('the link-local address of RFC 2464 section 5', () => {
    assert.equal(
      linkLocalFromMac(Uint8Array.of(0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde)).toString(),
      'fe80::3656:78ff:fe9a:bcde',
    );
  });
});

describe('prefixes', () => {
  test('contain what agrees with their first bits', () => {
    const bits = fc.nat({ max: 128 });
    fc.assert(
      fc.property(addresses, bits, bits, (address, length, flipped) => {
        const width = address.family === 4 ? 32 : 128;
        const lengthBits = length % (width + 1);
        const bit = flipped % width;
        const words = [address.w0, address.w1, address.w2, address.w3];
        const at = bit + (128 - width);
        words[at >>> 5]! ^= 1 << (31 - (at & 31));
        const other = IpAddress.fromWords(address.family, words[0]!, words[1]!, words[2]!, words[3]!);
        assert.ok(prefixContains({ address, lengthBits }, address));
        assert.equal(prefixContains({ address, lengthBits }, other), bit >= lengthBits);
      }),
    );
  });

  test('never contain the other family', () => {
    assert.ok(!prefixContains({ address: UNSPECIFIED6, lengthBits: 0 }, ip('1.2.3.4')));
    assert.ok(!prefixContains({ address: UNSPECIFIED4, lengthBits: 0 }, ip('::ffff:1.2.3.4')));
  });

  test('are read with their host bits and written back', () => {
    for (const text of ['10.0.0.2/24', '0.0.0.0/0', '192.0.2.1/32', 'fd00::2/64', '::/0', '::1/128']) {
      const prefix = parsePrefix(text);
      assert.ok(prefix);
      assert.equal(formatPrefix(prefix), text);
    }
  });

  for (const text of [
    '10.0.0.2',
    '10.0.0.2/',
    '10.0.0.2/33',
    '10.0.0.2/024',
    '10.0.0.2/-1',
    '::/129',
    '::/64/64',
    '/8',
    'x/8',
  ]) {
    test(`refuses ${text}`, () => assert.equal(parsePrefix(text), null));
  }
});

describe('endpoints', () => {
  test('are read back as they are written', () => {
    fc.assert(
      fc.property(addresses, fc.nat({ max: 65_535 }), (address, port) => {
        const endpoint = parseEndpoint(formatEndpoint(address, port));
        assert.ok(endpoint);
        assert.ok(endpoint.address.equals(address));
        assert.equal(endpoint.port, port);
      }),
    );
  });

  for (const text of [
    '1.2.3.4',
    '1.2.3.4:',
    '1.2.3.4:65536',
    '1.2.3.4:080',
    '::1:80',
    '[1.2.3.4]:80',
    '[::1]',
    '[::1]80',
    ':80',
    'host:80',
    '[]:80',
  ]) {
    test(`refuses ${text}`, () => assert.equal(parseEndpoint(text), null));
  }
});
