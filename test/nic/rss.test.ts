import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededRandom } from '../../src/core/random.ts';
import { INDIRECTION_ENTRIES, Rss } from '../../src/nic/rss.ts';
import { IpAddress } from '../../src/wire/address.ts';

/** Microsoft, "Verifying the RSS Hash Calculation": the published key and vectors. */
const KEY = Uint8Array.from(
  '6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa'.match(/../g)!,
  (byte) => Number.parseInt(byte, 16),
);
const VECTORS: [source: string, sourcePort: number, destination: string, port: number, ip: number, tcp: number][] = [
  ['66.9.149.187', 2794, '161.142.100.80', 1766, 0x323e8fc2, 0x51ccc178],
  ['199.92.111.2', 14230, '65.69.140.83', 4739, 0xd718262a, 0xc626b0ea],
  ['24.19.198.95', 12898, '12.22.207.184', 38024, 0xd2d0a5de, 0x5c2b394a],
  ['38.27.205.30', 48228, '209.142.163.6', 2217, 0x82989176, 0xafc7327f],
  ['153.39.163.191', 44251, '202.188.127.2', 1303, 0x5d1809c5, 0x10e828a2],
  ['3ffe:2501:200:1fff::7', 2794, '3ffe:2501:200:3::1', 1766, 0x2cc18cd5, 0x40207d3d],
  ['3ffe:501:8::260:97ff:fe40:efab', 14230, 'ff02::1', 4739, 0x0f0c461c, 0xdde51bbf],
  ['3ffe:1900:4545:3:200:f8ff:fe21:67cf', 44251, 'fe80::200:f8ff:fe21:67cf', 38024, 0x4b61e985, 0x02d1feef],
];

describe('Toeplitz hash', () => {
  const rss = new Rss(new SeededRandom(1));
  rss.setKey(KEY);
  for (const [source, sourcePort, destination, port, ip, tcp] of VECTORS) {
    test(`${source} > ${destination}`, () => {
      const input = new Uint8Array(36);
      const view = new DataView(input.buffer);
      const length = IpAddress.parse(source)!.write(view, 0) + IpAddress.parse(destination)!.write(view, 0);
      IpAddress.parse(source)!.write(view, 0);
      IpAddress.parse(destination)!.write(view, length / 2);
      view.setUint16(length, sourcePort);
      view.setUint16(length + 2, port);
      const addresses = rss.hash(input, 0, length);
      assert.equal((addresses >>> 0).toString(16), ip.toString(16));
      assert.equal((rss.hash(input, length, 4, length, addresses) >>> 0).toString(16), tcp.toString(16));
    });
  }
});

describe('indirection table', () => {
  test('spreads over the queues given, in turn', () => {
    const rss = new Rss(new SeededRandom(1));
    rss.spread([0, 2, 5]);
    const counts = new Map<number, number>();
    for (let hash = 0; hash < INDIRECTION_ENTRIES; hash++) {
      const queue = rss.queueFor(hash);
      counts.set(queue, (counts.get(queue) ?? 0) + 1);
    }
    assert.deepEqual(
      [...counts.keys()].toSorted((a, b) => a - b),
      [0, 2, 5],
    );
    for (const count of counts.values()) assert.ok(count === 42 || count === 43);
  });

  test('a row can be set; a row that is not there is refused', () => {
    const rss = new Rss(new SeededRandom(1));
    rss.spread([0]);
    rss.setIndirection(7, 3);
    assert.equal(rss.queueFor(7), 3);
    assert.equal(rss.queueFor(7 + INDIRECTION_ENTRIES), 3);
    assert.throws(() => rss.setIndirection(INDIRECTION_ENTRIES, 0), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
    assert.throws(() => rss.setKey(new Uint8Array(39)), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
  });
});
