import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { test } from 'node:test';
import {
  channels,
  DeviceMemory,
  ERRNO,
  KiB,
  Message,
  MiB,
  MSG_PEEK,
  MSG_SOCK_DEVMEM,
  type DevmemSocket,
} from '../../src/index.ts';
import { assertConserved, bytesOf, connectInto, openPair, pattern, queued } from '../../testing/hosts.ts';
import type { UserSocket } from '../../src/socket/user-socket.ts';
import { CutLink } from '../../testing/wrapped-link.ts';

test('a peer that falls silent: ETIMEDOUT for sender and reader, and the memory is free', async () => {
  let link: CutLink | null = null;
  await using source = await DeviceMemory.allocate({ sizeBytes: MiB });
  await using pair = await openPair({
    sender: {
      wrapLink: (inner) => (link = new CutLink(inner)),
      tcp: { retries: 2, minRtoMicros: 5000 },
    },
  });
  await using c = await connectInto(pair);
  await c.peer.write(pattern(100));
  await queued(c.socket, 100);
  link!.cut = true;
  const reading = c.peer.recvmsg();
  await Promise.all([
    assert.rejects(c.peer.sendFrom(source), { code: 'ETIMEDOUT' }),
    assert.rejects(reading, { code: 'ETIMEDOUT' }),
  ]);
  assert.equal(source.users.length, 0);
  link!.cut = false;
  c.socket.abort();
});

test('close() at its timeout: the bytes were acknowledged, the end was not', async () => {
  let link: CutLink | null = null;
  await using pair = await openPair({ sender: { wrapLink: (inner) => (link = new CutLink(inner)) } });
  await using c = await connectInto(pair);
  await using source = await DeviceMemory.allocate({ sizeBytes: 16 * KiB });
  await c.peer.sendFrom(source);
  link!.cut = true;
  await c.peer.close({ timeoutMs: 1 });
  assert.equal(c.peer.acknowledgedBytes, 16 * KiB);
  assert.equal(c.peer.endAcknowledged, false);
  c.peer.abort();
  assert.equal(c.peer.acknowledgedBytes, 16 * KiB, 'of a connection that is over, too');
  assert.equal(c.peer.endAcknowledged, false);
  link!.cut = false;
  c.socket.abort();
});

/** Lets what the peer sends from here on land in host pages: an exact rule goes before the listener's. */
function steerToHost(pair: Awaited<ReturnType<typeof openPair>>, socket: DevmemSocket): { remove(): void } {
  return pair.receiver.steer({
    source: socket.remoteAddress,
    destination: socket.localAddress,
    sourcePort: socket.remotePort,
    destinationPort: socket.localPort,
    queues: [0],
  });
}

test('payload that landed in host pages is linear, in front of the fragments that follow it', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  const rule = steerToHost(pair, c.socket);
  await c.peer.write(pattern(1000));
  await queued(c.socket, 1000);
  rule.remove();
  await c.peer.write(pattern(500, 1000));
  await queued(c.socket, 1500);

  const peeked = new Message();
  assert.equal(c.socket.recvmsgSync(peeked, MSG_PEEK | MSG_SOCK_DEVMEM), 1500);
  assert.equal(peeked.linear.length, 1000);
  assert.equal(c.socket.release(peeked.frags.map((frag) => frag.token)), peeked.frags.length);

  const message = await c.socket.recvmsg();
  assert.equal(message.ordinary, false);
  assert.equal(message.linear.length, 1000);
  assert.ok(message.frags.length > 0);
  assert.ok(bytesOf(message, c.memory).equals(pattern(1500)));
  message.release();
  assert.equal(c.socket.counters.linearBytes, 1000);
  assert.equal(c.socket.counters.dmabufBytes, 500);
});

test('a message ends where linear bytes follow fragments, for their order would be lost', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  await c.peer.write(pattern(500));
  await queued(c.socket, 500);
  const rule = steerToHost(pair, c.socket);
  await c.peer.write(pattern(700, 500));
  await queued(c.socket, 1200);
  rule.remove();
  const first = await c.socket.recvmsg();
  const second = await c.socket.recvmsg();
  assert.equal(first.linear.length, 0);
  assert.equal(first.bytes, 500);
  assert.equal(second.linear.length, 700);
  assert.ok(Buffer.concat([bytesOf(first, c.memory), bytesOf(second, c.memory)]).equals(pattern(1200)));
  first.release();
});

test('the linear part needs room for a control message and for its bytes', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  const rule = steerToHost(pair, c.socket);
  await c.peer.write(pattern(1000));
  await queued(c.socket, 1000);
  rule.remove();
  await c.peer.write(pattern(500, 1000));
  await queued(c.socket, 1500);
  assert.equal(c.socket.recvmsgSync(new Message({ maxFrags: 0 })), -ERRNO.ETOOSMALL);
  const small = new Message({ maxLinearBytes: 300 });
  assert.equal(c.socket.recvmsgSync(small), 300);
  assert.equal(small.frags.length, 0);
  const one = new Message({ maxFrags: 1 });
  assert.equal(c.socket.recvmsgSync(one), 700);
  assert.equal(one.frags.length, 0);
  // Without the flag what lies in device memory is out of reach, though linear bytes were not.
  assert.equal(c.socket.recvmsgSync(new Message(), 0), -ERRNO.EFAULT);
  assert.equal(c.socket.recvmsgSync(one), 500);
  one.release();
});

test('read() copies from either memory and gives the pages back', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  const rule = steerToHost(pair, c.socket);
  await c.peer.write(pattern(1000));
  await queued(c.socket, 1000);
  rule.remove();
  await c.peer.write(pattern(5000, 1000));
  await queued(c.socket, 6000);
  const target = new Uint8Array(7000);
  assert.equal(c.socket.read(target.subarray(0, 300)), 300);
  assert.equal(c.socket.read(target.subarray(300)), 5700);
  assert.deepEqual(target.subarray(0, 6000), pattern(6000));
  assert.equal(c.socket.read(target), -ERRNO.EAGAIN);
  assert.equal(c.socket.counters.copiedBytes, 6000);
  assert.equal(c.socket.tokensHeld, 0);
});

test('port 0 listens on a free port and steers it, and says which', async () => {
  await using pair = await openPair();
  await using memory = await DeviceMemory.allocate({ sizeBytes: MiB });
  await using binding = await pair.receiver.bindRx(memory, { queues: [1] });
  const listener = await pair.receiver.listen({ port: 0, into: binding });
  const other = await pair.receiver.listen({ port: 0 });
  assert.notEqual(listener.port, other.port);
  const accepted = listener.accept();
  const peer = await pair.sender.connect({ host: pair.receiverAddress, port: listener.port });
  const socket = (await accepted)!;
  assert.equal(socket.localPort, listener.port);
  await peer.write(pattern(100));
  const message = await socket.recvmsg();
  assert.deepEqual([message.linear.length, message.frags[0]!.size], [0, 100]);
  message.release();
  listener.close();
  other.close();
  await Promise.all([socket.close(), peer.close()]);
});

test('keepAlive takes its delay, as a socket and as a stream', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  const { keepalive } = (c.socket as UserSocket).connection;
  c.socket.keepAlive(true, 3000);
  assert.deepEqual([keepalive.isEnabled, keepalive.idleMicros], [true, 3_000_000]);
  c.socket.toDuplex().setKeepAlive(true, 5000);
  assert.equal(keepalive.idleMicros, 5_000_000);
  c.socket.keepAlive(false);
  assert.deepEqual([keepalive.isEnabled, keepalive.idleMicros], [false, 5_000_000]);
  for (const delay of [-1, Number.NaN, 40_000_000]) {
    assert.throws(() => c.socket.keepAlive(true, delay), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
  }
});

test('recvmsgSync fills the same objects again', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  const message = new Message();
  const seen = new Set<object>();
  for (let i = 0; i < 20; i++) {
    await c.peer.write(pattern(3000, i));
    await queued(c.socket, 3000);
    assert.equal(c.socket.recvmsgSync(message), 3000);
    for (const frag of message.frags) seen.add(frag);
    assert.ok(bytesOf(message, c.memory).equals(pattern(3000, i)));
    message.release();
  }
  assert.ok(seen.size <= 2, `${seen.size} fragment objects`);
});

test('larger chunks make fewer fragments', async () => {
  await using pair = await openPair({ receiver: { tcp: { receiveBufferInitialBytes: 4 * MiB } } });
  await using c = await connectInto(pair, 4 * MiB, 64 * KiB);
  await c.peer.write(pattern(MiB));
  await queued(c.socket, MiB);
  const message = await c.socket.recvmsg();
  assert.equal(message.bytes, MiB);
  assert.ok(message.frags.length <= 18, `${message.frags.length} fragments`);
  assert.ok(bytesOf(message, c.memory).equals(pattern(MiB)));
  message.release();
});

test('conservation is looked at while data is queued, tokens are out and sends are under way', async () => {
  await using pair = await openPair({ receiver: { tcp: { receiveBufferInitialBytes: MiB } } });
  await using c = await connectInto(pair, 256 * KiB);
  const writing = c.peer.write(pattern(2 * MiB)).catch(() => {});
  await queued(c.socket, 100_000);
  const message = await c.socket.recvmsg();
  assertConserved(pair.receiver, 'receiver');
  assertConserved(pair.sender, 'sender');
  const [row] = pair.receiver.stats().memory;
  assert.equal(row!.dmabufId, c.binding.dmabufId);
  assert.equal(row!.tokensHeld, message.frags.length);
  assert.equal(row!.pagesBound, 64);
  assert.ok(row!.pagesFree < 64);
  message.release();
  c.peer.abort();
  await writing;
});

test('closing a binding with tokens out: they stay valid until returned, and so does the memory', async () => {
  await using pair = await openPair();
  const memory = await DeviceMemory.allocate({ sizeBytes: MiB });
  const binding = await pair.receiver.bindRx(memory, { queues: [1] });
  const listener = await pair.receiver.listen({ port: 5201, into: binding });
  const accepted = listener.accept();
  const peer = await pair.sender.connect({ host: pair.receiverAddress, port: 5201 });
  const socket = (await accepted)!;
  await peer.write(pattern(5000));
  await queued(socket, 5000);
  const message = await socket.recvmsg();
  listener.close();
  binding.close();
  assert.equal(binding.closed, true);
  assert.throws(() => memory.dispose(), /not yet returned/);
  assert.ok(bytesOf(message, memory).equals(pattern(5000)));
  message.release();
  memory.dispose();
  await Promise.all([socket.close(), peer.close()]);
});

test('stats() is plain JSON', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  await c.peer.write(pattern(5000));
  await queued(c.socket, 5000);
  const stats = pair.receiver.stats();
  assert.deepEqual(JSON.parse(JSON.stringify(stats)), stats);
  assert.equal(stats.engine, 'user');
  assert.deepEqual(stats.listeners, [5201]);
  assert.equal(stats.sockets.length, 1);
  assert.equal(stats.sockets[0]!.queuedBytes, 5000);
  assert.equal(stats.sockets[0]!.dmabufId, c.binding.dmabufId);
  assert.equal(stats.queues[1]!.dmabufId, c.binding.dmabufId);
  assert.ok(JSON.stringify(c.socket.info()).includes('tcpi_state'));
});

test('a socket whose connection is over is forgotten when its last token is returned', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  await c.peer.write(pattern(5000));
  await queued(c.socket, 5000);
  const message = await c.socket.recvmsg();
  c.peer.abort();
  await assert.rejects(c.socket.recvmsg(), { code: 'ECONNRESET' });
  assert.equal(pair.receiver.stats().sockets.length, 1);
  assertConserved(pair.receiver, 'receiver');
  message.release();
  assert.equal(pair.receiver.stats().sockets.length, 0);
});

test('the connected channel tells of both ends', async () => {
  const sockets: unknown[] = [];
  const onConnected = (message: unknown): void => void sockets.push((message as { socket: unknown }).socket);
  subscribe(channels.socketConnected.name, onConnected);
  try {
    await using pair = await openPair();
    await using c = await connectInto(pair);
    assert.deepEqual(new Set(sockets), new Set([c.socket, c.peer]));
  } finally {
    unsubscribe(channels.socketConnected.name, onConnected);
  }
});

test('over IPv6, and without the help of the link', async () => {
  await using pair = await openPair({
    family: 6,
    cable: { mtuBytes: 1280, offloads: { checksum: false, tcpSegmentation: false } },
  });
  await using c = await connectInto(pair);
  const writing = c.peer.write(pattern(3 * MiB)).then(() => c.peer.shutdown());
  let at = 0;
  for await (const message of c.socket.messages()) {
    assert.ok(bytesOf(message, c.memory).equals(pattern(message.bytes, at)));
    at += message.bytes;
    message.release();
  }
  await writing;
  assert.equal(at, 3 * MiB);
  assert.equal(c.socket.family, 'IPv6');
});
