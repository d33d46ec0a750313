import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  cable,
  DelayLink,
  DeviceMemory,
  FaultLink,
  MiB,
  openHost,
  SeededRandom,
  type DevmemError,
  type Host,
  type HostOptions,
} from '../src/index.ts';
import { bytesOf, connectInto, openPair, pattern } from '../testing/hosts.ts';
import { buildRoot } from '../testing/project.ts';

async function codeOf(options: Partial<HostOptions>): Promise<DevmemError> {
  const [near] = cable();
  try {
    await (await openHost({ link: near, addresses: ['10.9.0.1/24'], ...options })).close();
  } catch (error) {
    return error as DevmemError;
  }
  return assert.fail('it opened');
}

test('wrong options are refused with what is wrong and what to do', async () => {
  const wrong: [Partial<HostOptions>, RegExp][] = [
    [{ addresses: [] }, /without an address/],
    [{ addresses: ['10.9.0.1'] }, /10\.9\.0\.1 in addresses/],
    [{ link: 'dm0' }, /dm0 is not a link/],
    [{ link: 'tap:' }, /tap: is not a link/],
    [{ link: 'vlan:dm0' }, /vlan:dm0 is not a link/],
    [{ macAddress: 'nonsense' }, /nonsense is not a MAC address/],
    [{ gateway: 'router' }, /gateway router/],
    [{ queues: 0 }, /0 RX queues/],
    [{ link: null } as unknown as HostOptions, /link is null/],
    [{ link: undefined } as unknown as HostOptions, /without a link/],
    [{ link: {} } as unknown as HostOptions, /link is a object/],
    [{ addresses: undefined } as unknown as HostOptions, /without an address/],
    [{ addresses: '10.9.0.1/24' } as unknown as HostOptions, /not an array/],
    [{ addresses: [7] } as unknown as HostOptions, /7 in addresses/],
    [{ addresses: ['10.255.255.255/8'] }, /10\.255\.255\.255\/8 .*its prefix's broadcast address/],
    [{ addresses: ['10.9.0.0/24'] }, /network address/],
    [{ addresses: ['255.255.255.255/32'] }, /the broadcast address/],
    [{ addresses: ['224.0.0.1/4'] }, /multicast/],
    [{ addresses: ['ff02::1/64'] }, /multicast/],
    [{ addresses: ['0.0.0.0/8'] }, /unspecified/],
    [{ addresses: ['::/64'] }, /unspecified/],
    [{ addresses: ['127.0.0.1/8'] }, /loopback/],
    [{ addresses: ['::1/128'] }, /loopback/],
  ];
  for (const [options, message] of wrong) {
    const error = await codeOf(options);
    assert.equal(error.code, 'ERR_DEVMEM_INVALID_ARGUMENT', error.message);
    assert.match(error.message, message);
  }
});

test('no options at all are refused the same way', async () => {
  for (const options of [{}, undefined, null] as unknown as HostOptions[]) {
    await assert.rejects(openHost(options), { code: 'ERR_DEVMEM_INVALID_ARGUMENT', message: /without a link/ });
  }
});

test('addresses at the edge of a /31, a /32 and an IPv6 prefix are ordinary ones', async () => {
  for (const address of ['10.9.0.0/31', '10.9.0.1/31', '10.9.0.0/32', 'fd09::/64']) {
    const [near] = cable();
    await (await openHost({ link: near, addresses: [address] })).close();
  }
});

test('a host that is closed says so', async () => {
  const [near] = cable();
  const host = await openHost({ link: near, addresses: ['10.9.0.1/24'] });
  const memory = await DeviceMemory.allocate({ sizeBytes: MiB });
  await host.close();
  await host.close();
  await assert.rejects(host.listen({ port: 1 }), { code: 'ERR_DEVMEM_DISPOSED' });
  await assert.rejects(host.connect({ host: '10.9.0.2', port: 1 }), { code: 'ERR_DEVMEM_DISPOSED' });
  await assert.rejects(host.bindRx(memory, { queues: [1] }), { code: 'ERR_DEVMEM_DISPOSED' });
  assert.throws(() => host.steer({ queues: [0] }), { code: 'ERR_DEVMEM_DISPOSED' });
  memory.dispose();
});

test('binding: the kernel errnos', async () => {
  const [near] = cable();
  await using host: Host = await openHost({ link: near, addresses: ['10.9.0.1/24'], queues: 4 });
  const memory = await DeviceMemory.allocate({ sizeBytes: MiB });
  const other = await DeviceMemory.allocate({ sizeBytes: MiB });
  const binding = await host.bindRx(memory, { queues: [1, 2] });
  await assert.rejects(host.bindRx(other, { queues: [2] }), { code: 'EEXIST' });
  await assert.rejects(host.bindRx(other, { queues: [4] }), { code: 'EINVAL' });
  await assert.rejects(host.bindRx(other, { queues: [] }), { code: 'EINVAL' });
  const tx = await host.bindTx(memory);
  assert.notEqual(tx.dmabufId, binding.dmabufId);
  tx.close();
  binding.close();
  binding.close();
  assert.ok((await host.bindRx(other, { queues: [2] })).dmabufId > binding.dmabufId);
});

test('steering rules in text', async () => {
  const [near] = cable();
  await using host: Host = await openHost({ link: near, addresses: ['10.9.0.1/24'] });
  const rule = host.steer({ source: '10.0.0.0/8', destination: '10.9.0.1', destinationPort: 80, queues: [1] });
  rule.remove();
  rule.remove();
  for (const wrong of [
    { source: 'nowhere' },
    { destination: '10.9.0.0/33' },
    { sourcePort: 70_000 },
    { queues: [9] },
    { queues: [] },
  ]) {
    assert.throws(() => host.steer({ queues: [1], ...wrong }), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
  }
  assert.throws(() => host.steer({ source: '10.0.0.1', destination: 'fd09::1', queues: [1] }), {
    code: 'ERR_DEVMEM_INVALID_ARGUMENT',
  });
});

test('into a binding of another host is refused', async () => {
  const [near, far] = cable();
  await using one = await openHost({ link: near, addresses: ['10.9.0.1/24'] });
  await using two = await openHost({ link: far, addresses: ['10.9.0.2/24'] });
  const memory = await DeviceMemory.allocate({ sizeBytes: MiB });
  const into = await one.bindRx(memory, { queues: [1] });
  await assert.rejects(two.listen({ port: 1, into }), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
  await assert.rejects(two.connect({ host: '10.9.0.1', port: 1, into }), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
});

test('no route, and an aborted listener', async () => {
  const [near] = cable();
  await using host: Host = await openHost({ link: near, addresses: ['10.9.0.1/24'] });
  await assert.rejects(host.connect({ host: '192.0.2.1', port: 1 }), { code: 'ENETUNREACH' });
  await assert.rejects(host.connect({ host: '10.9.0.2', port: 0 }), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
  const controller = new AbortController();
  const listener = await host.listen({ port: 1, signal: controller.signal });
  const waiting = listener.accept();
  controller.abort();
  assert.equal(await waiting, null);
  assert.equal(listener.closed, true);
  await assert.rejects(host.listen({ port: 1, signal: controller.signal }), { name: 'AbortError' });
});

test('a capture has the frames, and of their payload only the length', async () => {
  const chunks: Uint8Array[] = [];
  const sink = { write: (bytes: Uint8Array) => chunks.push(bytes.slice()) };
  {
    await using pair = await openPair({ receiver: { capture: { sink } } });
    await using c = await connectInto(pair);
    await c.peer.write(Buffer.from('a secret that lies in device memory'.repeat(100)));
    (await c.socket.recvmsg()).release();
  }
  const capture = Buffer.concat(chunks);
  assert.equal(capture.readUInt32LE(0), 0x0a0d0d0a);
  assert.ok(capture.length > 1000);
  assert.equal(capture.includes('a secret'), false);
});

test('a stream survives a bad link', async () => {
  const seed = 20_260;
  const random = new SeededRandom(seed);
  await using pair = await openPair({
    // A link that corrupts takes whole frames only, so the other end has to send such.
    cable: { offloads: { checksum: false, tcpSegmentation: false } },
    receiver: {
      seed,
      wrapLink: (link, clock) =>
        new FaultLink(new DelayLink(link, clock, { delayMicros: 500 }), {
          random,
          lossRate: 0.02,
          duplicateRate: 0.02,
          reorderRate: 0.05,
          corruptRate: 0.01,
        }),
    },
    sender: { seed: seed + 1 },
  });
  await using c = await connectInto(pair);
  const writing = c.peer.write(pattern(300_000)).then(() => c.peer.shutdown());
  let at = 0;
  for await (const message of c.socket.messages()) {
    assert.ok(bytesOf(message, c.memory).equals(pattern(message.bytes, at)), `seed ${seed}: bytes from ${at}`);
    at += message.bytes;
    message.release();
  }
  await writing;
  assert.equal(at, 300_000, `seed ${seed}`);
});

/** Runs a script that imports the package; answers how it ended. */
function run(body: string): { status: number | null; signal: string | null; stdout: string; stderr: string } {
  const script = `import { cable, DeviceMemory, MiB, openHost } from ${JSON.stringify(join(buildRoot, 'src/index.js'))};
const [near, far] = cable();
const one = await openHost({ link: near, addresses: ['10.9.0.1/24', 'fd09::1/64'] });
const two = await openHost({ link: far, addresses: ['10.9.0.2/24', 'fd09::2/64'] });
${body}`;
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { status, signal, stdout, stderr };
}

test('a process whose hosts are disposed ends by itself', () => {
  const { status, stderr } = run(`
    const memory = await DeviceMemory.allocate({ sizeBytes: MiB });
    const into = await one.bindRx(memory, { queues: [1] });
    const listener = await one.listen({ port: 5201, into });
    const accepted = listener.accept();
    const peer = await two.connect({ host: 'fd09::1', port: 5201 });
    const socket = await accepted;
    await peer.write(new Uint8Array(100000));
    const message = await socket.recvmsg();
    await one.close();
    await two.close();
    memory.dispose();
  `);
  assert.equal(stderr, '');
  assert.equal(status, 0);
});

test('an open host alone does not keep the process alive; a listener does', () => {
  assert.equal(run('').status, 0);
  const held = run(`
    await one.listen({ port: 5201 });
    setTimeout(() => { console.log('still here'); process.exit(7); }, 50).unref();
  `);
  assert.equal(held.stdout, 'still here\n');
  assert.equal(held.status, 7);
  assert.equal(run(`(await one.listen({ port: 5201 })).unref();`).status, 0);
});

test('sockets keep the process alive until they are closed, unless unref()', () => {
  const connect = `
    const listener = await one.listen({ port: 5201 });
    const accepted = listener.accept();
    const peer = await two.connect({ host: '10.9.0.1', port: 5201 });
    const socket = await accepted;
    listener.close();
  `;
  assert.equal(run(`${connect} peer.unref(); socket.unref();`).status, 0);
  assert.equal(run(`${connect} await Promise.all([peer.close(), socket.close()]);`).status, 0);
  const held = run(`${connect} setTimeout(() => process.exit(7), 50).unref();`);
  assert.equal(held.status, 7);
});
