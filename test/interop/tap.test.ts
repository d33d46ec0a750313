import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';

import { FRAME_NEEDS_CHECKSUM, type FrameList, type Link } from '../../src/link/link.ts';
import { TapLink } from '../../src/link/tap-link.ts';
import { openTap, type TapOptions } from '../../src/link/tap.ts';
import { parsePrefix, type Prefix } from '../../src/wire/address.ts';
import { adjustChecksum, foldChecksum, pseudoHeaderSum4, sumBytes } from '../../src/wire/checksum.ts';
import { bytesOf, frameFrom, landingOf } from '../../testing/link-frames.ts';
import { finished } from '../../testing/finished.ts';
import { NetworkNamespace } from '../../testing/netns.ts';
import { buildRoot } from '../../testing/project.ts';
import { requireInterop } from '../../testing/requirements.ts';

const NAME = 'dmt-link0';
const OUR_MAC = Uint8Array.of(2, 0, 0, 0, 0, 2);
const prefixes = (...texts: string[]): Prefix[] => texts.map((text) => parsePrefix(text)!);

interface ShownInterface {
  mtu: number;
  txqlen: number;
  flags: string[];
  addr_info: { local: string; prefixlen: number; nodad?: boolean; tentative?: boolean }[];
}

/** The next frame that `accept` wants; everything else that the kernel sends is passed over. */
async function frameThat(link: Link, landing: FrameList, accept: (bytes: Buffer) => boolean): Promise<Buffer> {
  for (;;) {
    const length = link.readFrame(landing);
    assert.ok(length >= 0, `readFrame answered ${length}`);
    if (length === 0) await new Promise<void>((resolve) => link.armWake(resolve));
    else if (accept(bytesOf(landing, length))) return Buffer.from(bytesOf(landing, length));
  }
}

describe('TAP link', () => {
  let namespace: NetworkNamespace | null = null;
  const possible = (t: TestContext): boolean =>
    requireInterop(t, { root: true, tun: true, tools: ['ip', 'ping', 'bash'] });
  const inside = (): NetworkNamespace => (namespace ??= new NetworkNamespace());
  const open = (options: Partial<TapOptions> = {}): Promise<TapLink> =>
    openTap({
      name: NAME,
      netns: inside().name,
      addresses: prefixes('10.203.0.2/24', 'fd09:203::2/64'),
      peerAddresses: prefixes('10.203.0.1/24', 'fd09:203::1/64'),
      ...options,
    });
  const shown = (): ShownInterface =>
    (JSON.parse(inside().ip('-json', 'address', 'show', 'dev', NAME)) as [ShownInterface])[0];
  const exists = (): boolean => inside().ip('-oneline', 'link').includes(`${NAME}:`);

  before(() => {
    // The interface must not end up where the tests run: everything happens in a namespace of their own.
    assert.ok(process.platform !== 'linux' || !execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' }).includes(NAME));
  });
  after(() => namespace?.close());

  it('gives the kernel its addresses, MTU and queue, is up at once, and goes with close()', async (t) => {
    if (!possible(t)) return;
    const link = await open({ mtuBytes: 9000, txQueueLength: 4321 });
    const info = shown();
    assert.deepEqual([info.mtu, info.txqlen, link.mtuBytes], [9000, 4321, 9000]);
    assert.ok(info.flags.includes('UP') && info.flags.includes('LOWER_UP'));
    const addresses = info.addr_info.map(({ local, prefixlen }) => `${local}/${prefixlen}`);
    assert.ok(addresses.includes('10.203.0.1/24') && addresses.includes('fd09:203::1/64'), addresses.join(' '));
    assert.ok(info.addr_info.every(({ local, tentative }) => local.startsWith('fe80') || tentative !== true));
    assert.equal(link.name, `tap:${NAME}`);
    const mac = inside().ip('-oneline', 'link', 'show', NAME);
    assert.match(mac, new RegExp(Array.from(link.kernelMac, (b) => b.toString(16).padStart(2, '0')).join(':')));
    link.close();
    link.close();
    assert.equal(exists(), false);
  });

  it('carries a ping of the kernel, woken by the event loop', async (t) => {
    if (!possible(t)) return;
    const link = await open();
    const landing = landingOf(128, 70_000);
    const ping = inside().start('ping', ['-c', '1', '-W', '10', '-s', '1000', '10.203.0.2'], { stdio: 'ignore' });
    const ended = finished(ping);
    const request = await frameThat(link, landing, (bytes) => bytes.readUInt16BE(12) === 0x0806 && bytes[41] === 2);
    const reply = Buffer.from(request);
    request.copy(reply, 0, 6, 12);
    reply.set(OUR_MAC, 6);
    reply.writeUInt16BE(2, 20);
    reply.set(OUR_MAC, 22);
    request.copy(reply, 28, 38, 42);
    request.copy(reply, 32, 22, 32);
    assert.equal(link.writeFrame(frameFrom(reply)), 42);

    const isEcho = (bytes: Buffer): boolean => bytes.readUInt16BE(12) === 0x0800 && bytes[23] === 1 && bytes[34] === 8;
    const echo = await frameThat(link, landing, isEcho);
    assert.equal(echo.length, 14 + 20 + 8 + 1000);
    const answer = Buffer.from(echo);
    echo.copy(answer, 0, 6, 12);
    echo.copy(answer, 6, 0, 6);
    echo.copy(answer, 26, 30, 34);
    echo.copy(answer, 30, 26, 30);
    answer[34] = 0;
    answer.writeUInt16BE(adjustChecksum(answer.readUInt16BE(36), 0x0800, 0), 36);
    assert.equal(link.writeFrame(frameFrom(answer)), answer.length);
    assert.equal((await ended).code, 0);
    assert.equal(link.counters.rxErrors + link.counters.txErrors + link.counters.rxBadOffload, 0);
    link.close();
  });

  it('leaves checksums to us where that was agreed, and else not', async (t) => {
    if (!possible(t)) return;
    for (const offload of [true, false]) {
      const link = await open({ offloads: { checksum: offload, tcpSegmentation: offload } });
      assert.deepEqual(link.offloads, { checksum: offload, tcpSegmentation: offload });
      inside().ip('neigh', 'replace', '10.203.0.2', 'lladdr', '02:00:00:00:00:02', 'dev', NAME);
      const client = inside().start('bash', ['-c', 'exec 3<>/dev/tcp/10.203.0.2/9'], { stdio: 'ignore' });
      const ended = finished(client);
      const landing = landingOf(54, 4096);
      const syn = await frameThat(link, landing, (bytes) => bytes.readUInt16BE(12) === 0x0800 && bytes[23] === 6);
      const view = new DataView(syn.buffer, syn.byteOffset, syn.byteLength);
      const bytes = new Uint8Array(syn.buffer, syn.byteOffset, syn.byteLength);
      const l4Bytes = syn.length - 34;
      const right = foldChecksum(sumBytes(bytes, view, 34, l4Bytes, pseudoHeaderSum4(view, 14, 6, l4Bytes))) === 0;
      assert.equal(right, !offload);
      assert.equal(landing.flags & FRAME_NEEDS_CHECKSUM, offload ? FRAME_NEEDS_CHECKSUM : 0);
      if (offload) assert.deepEqual([landing.checksumStart, landing.checksumOffset], [34, 16]);
      client.kill();
      link.close();
      await ended;
    }
  });

  it('gives an interface that was there before back as it was', async (t) => {
    if (!possible(t)) return;
    inside().ip('tuntap', 'add', 'dev', NAME, 'mode', 'tap');
    inside().ip('address', 'add', '10.203.7.1/24', 'dev', NAME);
    const earlier = shown();
    const link = await open({ mtuBytes: 1400 });
    assert.equal(shown().mtu, 1400);
    link.close();
    const back = shown();
    assert.deepEqual([back.mtu, back.txqlen], [earlier.mtu, earlier.txqlen]);
    assert.ok(!back.flags.includes('UP'));
    assert.deepEqual(
      back.addr_info.map(({ local }) => local).filter((local) => !local.startsWith('fe80')),
      ['10.203.7.1'],
    );
    inside().ip('link', 'del', NAME);
  });

  it('leaves the interface there if asked to', async (t) => {
    if (!possible(t)) return;
    (await open({ persist: true })).close();
    assert.equal(exists(), true);
    inside().ip('link', 'del', NAME);
  });

  it('notices, armed or not, that its interface was deleted', async (t) => {
    if (!possible(t)) return;
    const link = await open();
    const landing = landingOf(2048);
    while (link.readFrame(landing) > 0);
    const woken = new Promise<void>((resolve) => link.armWake(resolve));
    inside().ip('link', 'del', NAME);
    await woken;
    let answer = link.readFrame(landing);
    while (answer > 0) answer = link.readFrame(landing);
    assert.equal(answer, -100);
    assert.equal(link.readFrame(landing), 0);
    assert.equal(link.writeFrame(frameFrom(new Uint8Array(60))), -100);
    assert.equal(link.isDown, true);
    link.armWake(() => assert.fail('woken for nothing'));
    link.close();
  });

  it('says what is wrong, and leaves nothing behind', async (t) => {
    if (!possible(t)) return;
    const link = await open();
    await assert.rejects(open({ peerAddresses: [], addresses: [] }), { code: 'EBUSY', message: /dmt-link0 is in use/ });
    await assert.rejects(open({ name: 'dmt-link1', addresses: prefixes('10.203.0.1/24'), peerAddresses: [] }), {
      code: 'EADDRINUSE',
      message: /10\.203\.0\.1 is one of this machine's own/,
    });
    await assert.rejects(open({ name: 'dmt-link1', addresses: [], peerAddresses: prefixes('10.203.0.1/24') }), {
      code: 'EADDRINUSE',
      message: /on another interface/,
    });
    link.close();
    await assert.rejects(open({ peerAddresses: prefixes('10.203.0.2/24') }), {
      code: 'ERR_DEVMEM_INVALID_ARGUMENT',
      message: /given to both sides/,
    });
    inside().ip('link', 'add', NAME, 'type', 'veth', 'peer', 'name', 'dmt-peer');
    await assert.rejects(open(), { code: 'EEXIST', message: /is not a TAP interface/ });
    inside().ip('link', 'del', NAME);
    inside().ip('tuntap', 'add', 'dev', NAME, 'mode', 'tun');
    await assert.rejects(open(), { code: 'EEXIST', message: /is not a TAP interface/ });
    inside().ip('link', 'del', NAME);
    await assert.rejects(open({ peerAddresses: prefixes('10.203.0.1/24', '10.203.0.1/24') }), { code: 'EEXIST' });
    await assert.rejects(open({ mtuBytes: 70_000 }), {
      code: 'ERR_DEVMEM_INVALID_ARGUMENT',
      message: 'mtuBytes is 70000',
    });
    await assert.rejects(open({ txQueueLength: 0 }), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
    await assert.rejects(open({ name: 'sixteen_bytes_16' }), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
    await assert.rejects(open({ offloads: { checksum: false, tcpSegmentation: true } }), /offloads/);
    await assert.rejects(open({ netns: 'dmt-none' }), { code: 'ENOENT' });
    assert.equal(exists(), false);
  });

  describe('without what it needs', () => {
    const script = `
      const { openTap } = await import('${pathToFileURL(join(buildRoot, 'src', 'link', 'tap.js')).href}');
      await openTap({ name: 'dmt-link9' }).then((link) => link.close(), ({ code, message, hint }) =>
        console.log(JSON.stringify({ code, message, hint })));`;

    function failureUnder(...command: string[]): { code: string; message: string; hint: string } {
      const [program, ...args] = [...command, process.execPath, '--input-type=module', '--eval', script];
      const { stdout, stderr } = spawnSync('ip', ['netns', 'exec', inside().name, program, ...args], {
        encoding: 'utf8',
        timeout: 20_000,
      });
      assert.notEqual(stdout, '', stderr || 'the link opened');
      return JSON.parse(stdout) as { code: string; message: string; hint: string };
    }

    it('names the capability', (t) => {
      if (!requireInterop(t, { root: true, tun: true, tools: ['ip', 'setpriv'] })) return;
      const { code, message, hint } = failureUnder('setpriv', '--bounding-set=-net_admin');
      assert.deepEqual([code, message], ['EPERM', 'no permission to open TAP interface dmt-link9']);
      assert.match(hint, /CAP_NET_ADMIN.*ip tuntap add dev dmt-link9/);
    });

    it('names the module', (t) => {
      if (!requireInterop(t, { root: true, tun: true, tools: ['ip', 'unshare', 'mount', 'sh'] })) return;
      const { code, message, hint } = failureUnder(
        'unshare',
        '--mount',
        'sh',
        '-c',
        'mount -t tmpfs none /dev/net && exec "$@"',
        'sh',
      );
      assert.equal(code, 'ENOENT');
      assert.match(message, /\/dev\/net\/tun is not there/);
      assert.match(hint, /modprobe tun/);
    });
  });
});
