import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NEVER } from '../../src/core/clock.ts';
import { MAX_ROUTES, MIN_PATH_MTU4, PATH_MTU_TIMEOUT_MICROS, Route, RouteTable } from '../../src/stack/route.ts';
import { IpAddress, parsePrefix, type Prefix } from '../../src/wire/address.ts';
import { address, LOCAL4, LOCAL6, PEER4 } from '../../testing/ip-frames.ts';

function prefix(text: string): Prefix {
  return parsePrefix(text)!;
}

test('the longest matching prefix wins, whatever the order of adding', () => {
  const table = new RouteTable();
  table.add(prefix('0.0.0.0/0'), address('10.0.0.254'), 'static');
  table.add(prefix('10.1.0.0/16'), address('10.0.0.1'), 'static');
  table.add(prefix('10.1.2.0/24'), address('10.0.0.2'), 'static');
  table.add(prefix('::/0'), address('fe80::1'), 'static');
  assert.equal(table.lookup(address('10.1.2.3'))!.gateway!.toString(), '10.0.0.2');
  assert.equal(table.lookup(address('10.1.3.3'))!.gateway!.toString(), '10.0.0.1');
  assert.equal(table.lookup(address('8.8.8.8'))!.gateway!.toString(), '10.0.0.254');
  assert.equal(table.lookup(address('2001:db8::1'))!.gateway!.toString(), 'fe80::1');
  assert.equal(table.remove(prefix('10.1.2.0/24'), address('10.0.0.2')), true);
  assert.equal(table.remove(prefix('10.1.2.0/24'), address('10.0.0.2')), false);
  assert.equal(table.lookup(address('10.1.2.3'))!.gateway!.toString(), '10.0.0.1');
});

test('a gateway of the other IP version is refused', () => {
  assert.throws(() => new RouteTable().add(prefix('10.0.0.0/8'), address('fe80::1'), 'static'), {
    code: 'ERR_DEVMEM_INVALID_ARGUMENT',
  });
});

test('the table is bounded', () => {
  const table = new RouteTable();
  for (let i = 0; i < MAX_ROUTES; i++) {
    assert.equal(table.add({ address: IpAddress.fromWord4(i << 8), lengthBits: 24 }, null, 'static'), true);
  }
  assert.equal(table.add(prefix('192.168.0.0/24'), null, 'static'), false);
  assert.equal(table.add(prefix('0.0.0.0/24'), null, 'static'), true);
});

test("a router's row lapses, a configured one does not", () => {
  const table = new RouteTable();
  table.add(prefix('::/0'), address('fe80::1'), 'router', 1000);
  table.add(prefix('fd00::/64'), null, 'connected');
  table.add(prefix('fd00::/64'), null, 'router', 500);
  assert.equal(table.pollAt(), 1000);
  assert.equal(table.pollTimers(1000), true);
  assert.deepEqual(
    table.entries.map((entry) => entry.origin),
    ['connected'],
  );
  assert.equal(table.pollAt(), NEVER);
});

test('an IPv4 path MTU is lowered, not below 552, not raised, and comes back after ten minutes', () => {
  const table = new RouteTable();
  const route = new Route(address(LOCAL4), address(PEER4), address(PEER4), 1500);
  table.remember(route);
  assert.equal(route.lowerMtu(1400, 0), true);
  assert.equal(route.lowerMtu(1450, 0), false);
  assert.equal(route.mtuBytes, 1400);
  assert.equal(route.lowerMtu(68, 0), true);
  assert.equal(route.mtuBytes, MIN_PATH_MTU4);
  table.noteExpiry(route);
  table.pollTimers(PATH_MTU_TIMEOUT_MICROS - 1);
  assert.equal(route.mtuBytes, MIN_PATH_MTU4);
  table.pollTimers(PATH_MTU_TIMEOUT_MICROS);
  assert.equal(route.mtuBytes, 1500);
});

test('an IPv6 path MTU below 1280 is not believed', () => {
  const route = new Route(address(LOCAL6), address('fd00::1'), address('fd00::1'), 1500);
  assert.equal(route.lowerMtu(1279, 0), false);
  assert.equal(route.lowerMtu(1280, 0), true);
  assert.equal(route.mtuBytes, 1280);
});
