import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';

import { errnoText } from '../../src/linux/errno-text.ts';
import { loadLibc } from '../../src/linux/libc.ts';
import { NETLINK_ROUTE, NetlinkSocket } from '../../src/linux/netlink.ts';
import { NetlinkRequest, NLM_F_ACK } from '../../src/linux/netlink-message.ts';
import { inNetworkNamespace } from '../../src/linux/netns.ts';
import { IFF_UP, parseInterface, parseInterfaceAddress, RouteNetlink } from '../../src/linux/rtnetlink.ts';
import { formatPrefix, parsePrefix } from '../../src/wire/address.ts';
import { NetworkNamespace } from '../../testing/netns.ts';
import { requireInterop } from '../../testing/requirements.ts';

const linuxOnly = { skip: process.platform === 'linux' ? false : 'needs Linux' };

describe('rtnetlink payloads', () => {
  it('of random bytes are refused or read within their bounds', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        parseInterface(bytes);
        parseInterfaceAddress(bytes);
      }),
      { numRuns: 1000 },
    );
  });

  it('of an address say whose it is', () => {
    const payload = Buffer.from('0218000005000000080001000acb0001080002000acb0001', 'hex');
    const { interfaceIndex, prefix } = parseInterfaceAddress(payload)!;
    assert.deepEqual([interfaceIndex, formatPrefix(prefix)], [5, '10.203.0.1/24']);
    payload[1] = 33;
    assert.equal(parseInterfaceAddress(payload), null);
    payload[0] = 10;
    assert.equal(parseInterfaceAddress(payload), null);
    assert.equal(parseInterfaceAddress(payload.subarray(0, 7)), null);
  });
});

describe('error numbers', () => {
  it('have the words of libc', () => {
    assert.equal(errnoText(-1), 'operation not permitted (EPERM)');
    assert.equal(errnoText(22), 'invalid argument (EINVAL)');
    assert.equal(errnoText(4000), 'error 4000');
  });
});

describe('rtnetlink', linuxOnly, () => {
  it('describes the loopback interface, and knows no other by a name that is not there', async () => {
    const route = new RouteNetlink(await loadLibc());
    try {
      const lo = route.interfaceByName('lo')!;
      assert.equal(lo.name, 'lo');
      assert.ok(lo.index > 0 && lo.mtuBytes >= 65_536);
      assert.equal(lo.macAddress.length, 6);
      assert.equal(route.interfaceByName('dmt-none'), null);
      assert.ok(Array.isArray(route.addresses()));
    } finally {
      route.close();
      route.close();
    }
  });

  it('answers a refusal with errno and words, and goes on', async () => {
    const socket = new NetlinkSocket(await loadLibc(), NETLINK_ROUTE);
    try {
      const unknown = new NetlinkRequest(18, NLM_F_ACK).u32(0).u32(0x7fff_fff0).u32(0).u32(0);
      assert.equal(socket.request(unknown).errno, 19);
      const lo = new NetlinkRequest(18, NLM_F_ACK).u32(0).u32(1).u32(0).u32(0);
      const answer = socket.request(lo);
      assert.equal(answer.errno, 0);
      assert.deepEqual(
        answer.messages.map(({ type }) => type),
        [16],
      );
    } finally {
      socket.close();
    }
  });

  it('configures an interface, in another namespace', async (t) => {
    if (!requireInterop(t, { root: true, tools: ['ip'] })) return;
    const libc = await loadLibc();
    const namespace = new NetworkNamespace();
    try {
      namespace.ip('link', 'add', 'dmt-a', 'type', 'veth', 'peer', 'name', 'dmt-b');
      const route = inNetworkNamespace(libc, namespace.name, () => new RouteNetlink(libc));
      const before = route.interfaceByName('dmt-a')!;
      assert.equal(before.kind, 'veth');
      assert.equal(before.flags & IFF_UP, 0);
      route.changeInterface(before.index, { mtuBytes: 4321, txQueueLength: 77, up: true });
      const after = route.interfaceByName('dmt-a')!;
      assert.deepEqual([after.mtuBytes, after.txQueueLength, after.flags & IFF_UP], [4321, 77, IFF_UP]);

      const prefixes = ['10.203.1.1/24', '10.203.2.1/31', 'fd09::1/64', 'fe80::77/64'];
      for (const text of prefixes) route.addAddress(before.index, parsePrefix(text)!);
      const own = route.addresses().filter(({ interfaceIndex }) => interfaceIndex === before.index);
      assert.deepEqual(
        own
          .map(({ prefix }) => formatPrefix(prefix))
          .filter((text) => prefixes.includes(text))
          .toSorted(),
        prefixes.toSorted(),
      );
      const shown = JSON.parse(namespace.ip('-json', 'address', 'show', 'dmt-a')) as [{ addr_info: object[] }];
      const info = JSON.stringify(shown[0].addr_info);
      assert.match(info, /"broadcast":"10.203.1.255"/);
      assert.doesNotMatch(info, /10.203.2.\d+","scope":"link/);
      assert.match(info, /"fd09::1"[^}]*"nodad":true/);

      const twice = (): void => route.addAddress(before.index, parsePrefix('10.203.1.1/24')!);
      assert.throws(twice, { code: 'EEXIST', message: /10\.203\.1\.1\/24.*(exists|assigned)/i });
      assert.throws(() => route.changeInterface(before.index, { mtuBytes: 10_000_000 }), {
        code: 'EINVAL',
        message: /mtu greater than device maximum/,
      });
      route.removeAddress(before.index, parsePrefix('fd09::1/64')!);
      assert.throws(() => route.removeAddress(before.index, parsePrefix('fd09::1/64')!), { code: 'EADDRNOTAVAIL' });
      route.deleteInterface(before.index);
      assert.equal(route.interfaceByName('dmt-a'), null);
      assert.throws(() => route.deleteInterface(before.index), { code: 'ENODEV' });
      route.close();
    } finally {
      namespace.close();
    }
  });

  it('says which namespace is not there, and comes back to its own', async () => {
    const libc = await loadLibc();
    assert.throws(() => inNetworkNamespace(libc, 'dmt-none', () => 1), {
      code: 'ENOENT',
      message: /no network namespace dmt-none/,
    });
    const route = new RouteNetlink(libc);
    assert.notEqual(route.interfaceByName('lo'), null);
    route.close();
  });
});
