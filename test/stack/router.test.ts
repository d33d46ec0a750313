import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_ADDRESSES } from '../../src/stack/addresses.ts';
import { MAX_ROUTER_ROWS } from '../../src/stack/router.ts';
import { emitMtu, emitPrefix, PREFIX_AUTONOMOUS, PREFIX_ON_LINK } from '../../src/wire/ndp.ts';
import { PEER_MAC } from '../../testing/frames.ts';
import { address, icmpv6Frame, LOCAL6 } from '../../testing/ip-frames.ts';
import { StackHost, type StackHostOptions } from '../../testing/stack-host.ts';

const ROUTER = 'fe80::1';
const AUTOCONFIGURED = '2001:db8::ff:fe00:2';

interface Advertisement {
  lifetimeSeconds?: number;
  hopLimit?: number;
  mtuBytes?: number;
  prefix?: string;
  prefixBits?: number;
  flags?: number;
  validSeconds?: number;
  preferredSeconds?: number;
  source?: string;
  hopLimitOfFrame?: number;
}

function advertisement(fields: Advertisement = {}): Uint8Array {
  const body = new Uint8Array(8 + 8 + 8 + 32);
  const view = new DataView(body.buffer);
  body.set([1, 1, ...PEER_MAC], 8);
  emitMtu(view, 16, fields.mtuBytes ?? 1500);
  emitPrefix(
    view,
    24,
    address(fields.prefix ?? '2001:db8::'),
    fields.prefixBits ?? 64,
    fields.flags ?? PREFIX_ON_LINK | PREFIX_AUTONOMOUS,
    fields.validSeconds ?? 86_400,
    fields.preferredSeconds ?? Math.min(3600, fields.validSeconds ?? 3600),
  );
  const rest = ((fields.hopLimit ?? 64) << 24) | (fields.lifetimeSeconds ?? 1800);
  const source = fields.source ?? ROUTER;
  const destination = 'ff02::1';
  return icmpv6Frame(134, 0, rest, body, { source, destination, hopLimit: fields.hopLimitOfFrame ?? 255 });
}

function listening(options: StackHostOptions = {}): StackHost {
  return new StackHost({ addresses: [`${LOCAL6}/64`], routerAdvertisements: 'autoconfigure', ...options });
}

function rows(host: StackHost): string[] {
  return host.stack.routes.entries
    .filter((entry) => entry.origin === 'router')
    .map(
      (entry) => `${entry.prefix.address.toString()}/${entry.prefix.lengthBits} ${entry.gateway?.toString() ?? 'link'}`,
    );
}

function addresses(host: StackHost): string[] {
  return host.stack.addresses.list.map((own) => own.address.toString());
}

test('by default advertisements are ignored', () => {
  const host = new StackHost({ addresses: [`${LOCAL6}/64`] });
  host.receive(advertisement()).advance(10_000_000);
  assert.equal(host.stack.counters.rxDropRouterAdvertisement, 1);
  assert.deepEqual(rows(host), []);
  assert.deepEqual(host.sent(), []);
});

test('routers are solicited up to three times, four seconds apart, until one speaks (RFC 4861 §6.3.7)', () => {
  const silent = listening().advance(60_000_000);
  const sent = silent.sent();
  assert.equal(sent.length, 3);
  assert.match(sent[0]!, /^to 33:33:00:00:00:02: .*fe80::ff:fe00:2 > ff02::2 .*router solicitation/);
  const answered = listening().advance(2_000_000);
  answered.receive(advertisement()).advance(60_000_000);
  assert.equal(answered.sent().length, 1);
});

test('an advertisement brings a default router, a prefix and an address', () => {
  const host = listening().receive(advertisement());
  assert.deepEqual(rows(host), ['2001:db8::/64 link', '::/0 fe80::1']);
  assert.ok(addresses(host).includes(AUTOCONFIGURED));
  const route = host.stack.output.route(address('2606::1'), null)!;
  assert.equal(route.nextHop.toString(), ROUTER);
  assert.equal(route.source.toString(), AUTOCONFIGURED);
  assert.notEqual(host.stack.output.begin(route, 6, host.nowMicros), null);
});

test('with "routes" no address is made', () => {
  const host = listening({ routerAdvertisements: 'routes' }).receive(advertisement());
  assert.equal(rows(host).length, 2);
  assert.equal(addresses(host).includes(AUTOCONFIGURED), false);
});

test('everything lapses with its lifetime', () => {
  const host = listening().receive(advertisement({ lifetimeSeconds: 30, validSeconds: 60 }));
  host.advance(31_000_000);
  assert.deepEqual(rows(host), ['2001:db8::/64 link']);
  host.advance(30_000_000);
  assert.deepEqual(rows(host), []);
  assert.equal(addresses(host).includes(AUTOCONFIGURED), false);
});

test('a lifetime of zero takes the router and the prefix away at once', () => {
  const host = listening().receive(advertisement());
  host.receive(advertisement({ lifetimeSeconds: 0, validSeconds: 0 }));
  assert.deepEqual(rows(host), []);
});

test('an advertisement cannot shorten the life of an address below two hours (RFC 4862 §5.5.3 e)', () => {
  const host = listening().receive(advertisement({ validSeconds: 86_400 }));
  host.receive(advertisement({ validSeconds: 10 }));
  host.advance(7_100_000_000);
  assert.ok(addresses(host).includes(AUTOCONFIGURED));
  host.advance(200_000_000);
  assert.equal(addresses(host).includes(AUTOCONFIGURED), false);
});

test('what was configured is left alone', () => {
  const host = listening();
  const before = host.stack.routes.entries.length;
  host.receive(advertisement({ prefix: 'fd00::', validSeconds: 0, lifetimeSeconds: 0 }));
  assert.equal(host.stack.routes.entries.length, before);
});

test('the MTU of the link is lowered for IPv6, within bounds', () => {
  for (const [said, expected] of [
    [1400, 1400],
    [1279, 1500],
    [9000, 1500],
  ] as const) {
    const host = listening().receive(advertisement({ mtuBytes: said }));
    assert.equal(host.stack.output.route(address('2001:db8::9'), null)!.mtuBytes, expected);
  }
});

test('advertisements not from a link-local address, or from afar, are invalid (RFC 4861 §6.1.2)', () => {
  const host = listening().receive(advertisement({ source: 'fd00::1' }), advertisement({ hopLimitOfFrame: 64 }));
  assert.equal(host.stack.counters.rxDropNdInvalid, 2);
  assert.deepEqual(rows(host), []);
});

test('prefixes of nonsense make neither routes nor addresses', () => {
  const host = listening();
  host.receive(
    advertisement({ lifetimeSeconds: 0, prefixBits: 129 }),
    advertisement({ lifetimeSeconds: 0, prefix: 'fe80::' }),
    advertisement({ lifetimeSeconds: 0, prefix: 'ff05::' }),
  );
  assert.deepEqual(rows(host), []);
  host.receive(
    advertisement({ prefixBits: 48 }),
    advertisement({ prefix: '2001:db8:1::', validSeconds: 5, preferredSeconds: 6 }),
  );
  assert.equal(addresses(host).length, 2);
});

test('routers cannot fill the table', () => {
  const host = listening();
  for (let i = 1; i < 40; i++) {
    host.receive(advertisement({ prefix: `2001:db8:${i.toString(16)}::`, source: `fe80::${i.toString(16)}` }));
  }
  assert.equal(rows(host).length, MAX_ROUTER_ROWS);
  assert.equal(addresses(host).length, MAX_ADDRESSES);
});
