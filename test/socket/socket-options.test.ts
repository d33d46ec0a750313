import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRNO, KiB, Message, MSG_MORE } from '../../src/index.ts';
import type { SocketOptionInputs } from '../../src/index.ts';
import { makeOptions } from '../../src/socket/socket-options.ts';
import { DEFAULT_TCP_CONFIG } from '../../src/stack/tcp/config.ts';
import { bytesOf, connectInto, openPair, pattern, queued } from '../../testing/hosts.ts';

test('options by their usual names, on a socket, at connect and inherited from a listener', async () => {
  await using pair = await openPair();
  const listener = await pair.receiver.listen({ port: 80, options: { TCP_NODELAY: 1, TCP_KEEPIDLE: 42 } });
  listener.setOption('TCP_KEEPCNT', 4);
  assert.equal(listener.option('TCP_KEEPCNT'), 4);
  const accepting = listener.accept();
  const peer = await pair.sender.connect({ host: pair.receiverAddress, port: 80, options: { TCP_MAXSEG: 500 } });
  const socket = (await accepting)!;
  assert.deepEqual(
    [socket.option('TCP_NODELAY'), socket.option('TCP_KEEPIDLE'), socket.option('TCP_KEEPCNT'), socket.noDelay],
    [1, 42, 4, true],
  );
  assert.ok(peer.tcpInfo().tcpi_advmss === 500 && socket.tcpInfo().tcpi_snd_mss <= 500);
  socket.setOption('TCP_NODELAY', false);
  assert.equal(socket.option('TCP_NODELAY'), 0);
  socket.setOption('SO_LINGER', { enabled: true, seconds: 2 });
  assert.deepEqual(socket.option('SO_LINGER'), { enabled: true, seconds: 2 });
  assert.equal(socket.option('TCP_INFO').tcpi_state, 1);
  assert.equal(socket.option('SO_ERROR'), 0);
  listener.close();
  await Promise.all([socket.close(), peer.close()]);
});

test('what does not fit is an error with code, errno and hint, and changes nothing', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  const { socket } = c;
  assert.throws(() => socket.setOption('TCP_KEEPCNT', 1000), {
    code: 'EINVAL',
    errno: -ERRNO.EINVAL,
    syscall: 'setsockopt',
  });
  assert.throws(() => socket.setOption('TCP_ULP' as 'TCP_CORK', 1), { code: 'ENOPROTOOPT', hint: /table/ });
  assert.throws(() => socket.option('TCP_ULP' as 'TCP_CORK'), { code: 'ENOPROTOOPT', syscall: 'getsockopt' });
  assert.throws(() => socket.setOption('TCP_CONGESTION', 'vegas' as 'bbr'), { code: 'ENOENT', hint: /cubic/ });
  const wrong: SocketOptionInputs = { TCP_SYNCNT: 0 };
  await assert.rejects(pair.sender.connect({ host: pair.receiverAddress, port: 5201, options: wrong }), {
    code: 'EINVAL',
  });
  await assert.rejects(pair.receiver.listen({ port: 81, options: wrong }), { code: 'EINVAL' });
  assert.throws(() => makeOptions(wrong, DEFAULT_TCP_CONFIG, 'here'), /here: TCP_SYNCNT to 0/);
});

test('SO_RCVLOWAT: a reader waits for that much, or for the end', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  c.socket.setOption('SO_RCVLOWAT', 3000);
  await c.peer.write(pattern(1000));
  while (c.socket.readableBytes < 1000) await new Promise((resolve) => setImmediate(resolve));
  let bytes = 0;
  const reading = (async (): Promise<void> => {
    const message = await c.socket.recvmsg();
    bytes = message.bytes;
    message.release();
  })();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(bytes, 0);
  await c.peer.write(pattern(2500));
  await reading;
  assert.equal(bytes, 3500);
  await c.peer.write(pattern(10));
  c.peer.shutdown();
  const last = await c.socket.recvmsg();
  assert.equal(last.bytes, 10);
  last.release();
});

test('TCP_INQ: a message says what is left behind it, and the end', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  await c.peer.write(pattern(5000));
  await queued(c.socket, 5000);
  const message = new Message({ maxBytes: 1000 });
  assert.equal(c.socket.recvmsgSync(message), 1000);
  assert.equal(message.inq, -1);
  message.release();
  c.socket.setOption('TCP_INQ', 1);
  assert.equal(c.socket.recvmsgSync(message), 1000);
  assert.equal(message.inq, 3000);
  message.release();
  c.peer.shutdown();
  while (!(c.socket as unknown as { connection: { finReceived: boolean } }).connection.finReceived) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(c.socket.recvmsgSync(new Message({ maxFrags: 64 })) > 0, true);
  const rest = new Message();
  c.socket.recvmsgSync(rest);
  assert.equal(rest.inq, 1);
});

test('SO_LINGER of 0: close resets, and the peer hears it', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  c.peer.setOption('SO_LINGER', { enabled: true, seconds: 0 });
  await c.peer.close();
  await assert.rejects(c.socket.recvmsg(), { code: 'ECONNRESET' });
});

test('more: bytes wait for what follows and arrive as they are', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  c.peer.noDelay = true;
  const bytes = pattern(32 * KiB);
  const before = c.peer.tcpInfo().tcpi_data_segs_out;
  await c.peer.write(bytes.subarray(0, 100), { more: true });
  assert.equal(c.peer.writeSync(bytes.subarray(100, 200), 0, MSG_MORE), 100);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(c.peer.tcpInfo().tcpi_data_segs_out, before);
  await c.peer.write(bytes.subarray(200), { endOfRecord: true });
  await queued(c.socket, bytes.length);
  const message = await c.socket.recvmsg();
  assert.ok(bytesOf(message, c.memory).equals(bytes));
  message.release();
});
