import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NEVER } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { IpCounters } from '../../src/stack/counters.ts';
import {
  MAX_INCOMPLETE,
  MAX_NEIGHBORS,
  NeighborCache,
  type NeighborEntry,
  REACHABLE_TIME_MICROS,
} from '../../src/stack/neighbor.ts';
import { IpAddress } from '../../src/wire/address.ts';

const MAC = Uint8Array.of(2, 0, 0, 0, 0, 1);
const ROUTER = IpAddress.fromWord4(0x0a00_0001);

class Fixture {
  readonly counters = new IpCounters();
  readonly cache = new NeighborCache(this.counters, new SeededRandom(1));
  readonly asked: string[] = [];

  constructor() {
    this.cache.solicitor = {
      solicit: (entry: NeighborEntry, unicast: boolean) => {
        this.asked.push(`${entry.address.toString()}${unicast ? ' unicast' : ''}`);
      },
    };
  }
}

function host(index: number): IpAddress {
  return IpAddress.fromWord4(0x0a01_0000 + index);
}

test('a reachable neighbour goes stale within half to one and a half times the base time, and is used without asking', () => {
  const { cache, asked } = new Fixture();
  const entry = cache.resolve(ROUTER, 0)!;
  cache.confirmReply(ROUTER, MAC, 0, 1000);
  assert.equal(entry.state, 'REACHABLE');
  assert.ok(entry.freshUntilMicros >= 1000 + REACHABLE_TIME_MICROS / 2);
  assert.ok(entry.freshUntilMicros <= 1000 + REACHABLE_TIME_MICROS * 1.5);
  cache.use(entry, entry.freshUntilMicros - 1);
  assert.equal(entry.state, 'REACHABLE');
  cache.use(entry, entry.freshUntilMicros);
  assert.equal(entry.state, 'DELAY');
  assert.deepEqual(asked, ['10.0.0.1']);
});

test('confirmation by a transport ends the doubt, but not for another row in the same place', () => {
  const { cache } = new Fixture();
  const entry = cache.learn(ROUTER, MAC, 0, 0);
  cache.use(entry, 0);
  assert.equal(entry.state, 'DELAY');
  cache.confirm(entry, entry.version + 1, 10);
  assert.equal(entry.state, 'DELAY');
  cache.confirm(entry, entry.version, 10);
  assert.equal(entry.state, 'REACHABLE');
  assert.equal(cache.pollTimers(20_000_000), 0);
  assert.equal(cache.pollAt(), NEVER);
});

test('the cache never grows beyond its limit, and unused neighbours make room before those in use', () => {
  const { cache, counters } = new Fixture();
  cache.resolve(ROUTER, 0);
  cache.confirmReply(ROUTER, MAC, 0, 0);
  for (let i = 0; i < 3 * MAX_NEIGHBORS; i++) cache.learn(host(i), MAC, 0, 10 + i);
  assert.equal(cache.size, MAX_NEIGHBORS);
  assert.equal(counters.neighborEvictions, 2 * MAX_NEIGHBORS + 1);
  assert.equal(cache.find(ROUTER)?.state, 'REACHABLE');
  assert.equal(cache.find(host(0)), null);
  assert.notEqual(cache.find(host(3 * MAX_NEIGHBORS - 1)), null);
});

test('every evicted row has a version that none had before', () => {
  const { cache } = new Fixture();
  const entry = cache.learn(host(0), MAC, 0, 0);
  const { version } = entry;
  for (let i = 1; i <= MAX_NEIGHBORS; i++) cache.learn(host(i), MAC, 0, i);
  assert.ok(entry.version > version);
  assert.equal([...cache].length, MAX_NEIGHBORS);
});

test('resolutions under way are limited, and places come back', () => {
  const { cache, counters } = new Fixture();
  for (let i = 0; i < MAX_INCOMPLETE; i++) assert.notEqual(cache.resolve(host(i), 0), null);
  assert.equal(cache.resolve(host(9999), 0), null);
  assert.equal(counters.neighborTableFull, 1);
  cache.confirmReply(host(0), MAC, 0, 1);
  assert.notEqual(cache.resolve(host(9999), 1), null);
  for (let i = 1; i <= 4; i++) cache.pollTimers(i * 1_000_001);
  assert.equal(counters.neighborFailures, MAX_INCOMPLETE);
  for (let i = 0; i < MAX_INCOMPLETE; i++) assert.notEqual(cache.resolve(host(20_000 + i), 5_000_000), null);
});

test('an advertisement without a link-layer address does not end a resolution', () => {
  const { cache } = new Fixture();
  const entry = cache.resolve(ROUTER, 0)!;
  cache.advertise(ROUTER, MAC, -1, false, true, true, 1);
  assert.equal(entry.state, 'INCOMPLETE');
  const epoch = cache.resolvedEpoch;
  cache.advertise(ROUTER, MAC, 0, true, false, false, 1);
  assert.equal(entry.state, 'STALE');
  assert.equal(entry.isRouter, true);
  assert.ok(cache.resolvedEpoch > epoch);
});

test('pollAt says when, and pollTimers before that does nothing', () => {
  const { cache, asked } = new Fixture();
  assert.equal(cache.pollAt(), NEVER);
  cache.resolve(ROUTER, 500);
  assert.equal(cache.pollAt(), 1_000_500);
  assert.equal(cache.pollTimers(1_000_499), 0);
  assert.equal(cache.pollTimers(1_000_500), 1);
  assert.deepEqual(asked, ['10.0.0.1', '10.0.0.1']);
});
