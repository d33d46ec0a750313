import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NEVER } from '../../src/core/clock.ts';
import { PagePool } from '../../src/memory/page-pool.ts';
import { HostRegion } from '../../src/memory/region.ts';
import { Packet } from '../../src/nic/packet.ts';
import { TxFrame } from '../../src/nic/tx-frame.ts';
import type { NetDevice } from '../../src/stack/device.ts';
import { Driver } from '../../src/stack/driver.ts';

/** A NIC that answers `receive` from a list and notes the order of events. */
function scriptedNic(verdicts: number[], events: string[]): NetDevice {
  const region = new HostRegion(4096);
  return {
    link: { pollAt: () => NEVER },
    macAddress: new Uint8Array(6),
    mtuBytes: 1500,
    packet: new Packet(region, 0),
    tx: new TxFrame(),
    hostPool: new PagePool({ region }),
    receive: () => verdicts.shift() ?? 0,
    recycle: () => void events.push('recycle'),
    transmit: () => 0,
    txMark: () => 0,
    txDone: () => true,
    joinMulticast: () => undefined,
  };
}

test('every packet goes up and is recycled right after, dropped frames count but do not go up', () => {
  const events: string[] = [];
  const driver = new Driver(scriptedNic([1, -1, 1, -1], events), { input: () => void events.push('input') });
  assert.equal(driver.poll(64, 0), 4);
  assert.deepEqual(events, ['input', 'recycle', 'input', 'recycle']);
  assert.equal(driver.poll(64, 0), 0);
});

test('the budget bounds frames of all kinds', () => {
  const events: string[] = [];
  const driver = new Driver(scriptedNic([-1, -1, 1, 1], events), { input: () => void events.push('input') });
  assert.equal(driver.poll(3, 0), 3);
  assert.deepEqual(events, ['input', 'recycle']);
});
