import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Nic, RX_PACKET } from '../../src/nic/nic.ts';
import { MAX_STEERING_RULES, NO_RULE, SteeringTable, type SteeringRule } from '../../src/nic/steering.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { IpAddress } from '../../src/wire/address.ts';
import { FrameLink } from '../../testing/frame-link.ts';
import { LOCAL_MAC, tcpFrame, udpFrame, type TcpFrameFields } from '../../testing/frames.ts';

const ip = (text: string): IpAddress => IpAddress.parse(text)!;

/** The queue that `table` gives a packet, as a NIC parsed it. */
function lookup(table: SteeringTable, fields: TcpFrameFields, protocol: 'tcp' | 'udp' = 'tcp'): number {
  const link = new FrameLink();
  const nic = new Nic({ link, macAddress: LOCAL_MAC, random: new SeededRandom(1) });
  link.incoming.push({ bytes: protocol === 'tcp' ? tcpFrame(fields) : udpFrame(fields) });
  assert.equal(nic.receive(), RX_PACKET);
  const queue = table.lookup(nic.packet);
  nic.recycle();
  return queue;
}

function tableOf(...rules: SteeringRule[]): SteeringTable {
  const table = new SteeringTable();
  for (const rule of rules) table.add(rule, 16);
  return table;
}

describe('steering', () => {
  test('a rule for a destination port serves both families and only its protocol', () => {
    const table = tableOf({ protocol: 'tcp', destinationPort: 5201, queues: [3] });
    assert.equal(lookup(table, {}), 3);
    assert.equal(lookup(table, { source: 'fd00::1', destination: 'fd00::2' }), 3);
    assert.equal(lookup(table, { destinationPort: 5202 }), NO_RULE);
    assert.equal(lookup(table, { destinationPort: 5201 }, 'udp'), NO_RULE);
  });

  test('an exact rule wins over a masked one that was there before', () => {
    const table = tableOf(
      { protocol: 'tcp', destinationPort: 5201, queues: [3] },
      {
        protocol: 'tcp',
        source: ip('10.0.0.1'),
        destination: ip('10.0.0.2'),
        sourcePort: 40_000,
        destinationPort: 5201,
        queues: [5],
      },
    );
    assert.equal(lookup(table, {}), 5);
    assert.equal(lookup(table, { sourcePort: 40_001 }), 3);
  });

  test('masks: prefixes of addresses and bits of ports', () => {
    const table = tableOf(
      { protocol: 'tcp', source: ip('10.1.0.0'), sourcePrefixBits: 16, queues: [1] },
      { protocol: 'tcp', source: ip('fd00:1::'), sourcePrefixBits: 32, queues: [2] },
      { protocol: 'tcp', destinationPort: 0x1400, destinationPortMask: 0xff00, queues: [4] },
    );
    assert.equal(lookup(table, { source: '10.1.255.9' }), 1);
    assert.equal(lookup(table, { source: 'fd00:1::9', destination: 'fd00::2' }), 2);
    assert.equal(lookup(table, { source: '10.2.0.1', destinationPort: 0x14fe }), 4);
    assert.equal(lookup(table, { source: '10.2.0.1', destinationPort: 0x15fe }), NO_RULE);
    // An IPv4 rule matches no IPv6 packet, were its words the mapped address's.
    assert.equal(lookup(table, { source: '::ffff:10.1.0.1', destination: 'fd00::2', destinationPort: 80 }), NO_RULE);
  });

  test('several queues: the hash chooses, one flow stays on one', () => {
    const table = tableOf({ protocol: 'tcp', destinationPort: 5201, queues: [2, 7, 9] });
    const seen = new Set<number>();
    for (let port = 1024; port < 1124; port++) {
      const queue = lookup(table, { sourcePort: port });
      assert.equal(lookup(table, { sourcePort: port }), queue);
      seen.add(queue);
    }
    assert.deepEqual(
      [...seen].toSorted((a, b) => a - b),
      [2, 7, 9],
    );
  });

  test('a removed rule no longer matches, and is removed once', () => {
    const table = new SteeringTable();
    const flow = { source: ip('10.0.0.1'), destination: ip('10.0.0.2'), sourcePort: 40_000, destinationPort: 5201 };
    const exact = table.add({ protocol: 'tcp', ...flow, queues: [5] }, 16);
    const masked = table.add({ protocol: 'tcp', destinationPort: 5201, queues: [3] }, 16);
    assert.throws(() => table.add({ protocol: 'tcp', ...flow, queues: [6] }, 16), { code: 'EEXIST' });
    assert.equal(table.remove(exact), true);
    assert.equal(table.remove(exact), false);
    assert.equal(lookup(table, {}), 3);
    assert.equal(table.remove(masked), true);
    assert.equal(lookup(table, {}), NO_RULE);
    assert.equal(table.size, 0);
  });

  test('limits and mistakes are refused', () => {
    const table = new SteeringTable();
    const bad: SteeringRule[] = [
      { protocol: 'tcp', queues: [] },
      { protocol: 'tcp', queues: [16] },
      { protocol: 'tcp', destinationPort: 70_000, queues: [1] },
      { protocol: 'tcp', source: ip('10.0.0.1'), sourcePrefixBits: 33, queues: [1] },
      { protocol: 'tcp', source: ip('10.0.0.1'), destination: ip('fd00::1'), queues: [1] },
    ];
    for (const rule of bad) assert.throws(() => table.add(rule, 16), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
    for (let i = 0; i < MAX_STEERING_RULES; i++) {
      const flow = { source: ip('10.0.0.1'), destination: ip('10.0.0.2'), destinationPort: 5201 };
      table.add({ protocol: 'tcp', ...flow, sourcePort: i, queues: [1] }, 16);
    }
    assert.throws(() => table.add({ protocol: 'tcp', queues: [1] }, 16), { code: 'ENOSPC' });
    assert.equal(lookup(table, { sourcePort: 1234 }), 1);
  });
});
