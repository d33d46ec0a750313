import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DevmemError, ERRNO, KiB, Message, MSG_MORE } from '../../src/index.ts';
import type { Linger, SocketOptionInputs } from '../../src/index.ts';
import { makeOptions } from '../../src/socket/socket-options.ts';
import { DEFAULT_TCP_CONFIG } from '../../src/stack/tcp/config.ts';
import { bytesOf, connectInto, openPair, pattern, queued } from '../../testing/hosts.ts';

const NUMERIC_OPTIONS = [
  'TCP_NODELAY',
  'TCP_CORK',
  'TCP_MAXSEG',
  'TCP_KEEPIDLE',
  'TCP_KEEPINTVL',
  'TCP_KEEPCNT',
  'TCP_USER_TIMEOUT',
  'TCP_SYNCNT',
  'TCP_LINGER2',
  'TCP_DEFER_ACCEPT',
  'TCP_WINDOW_CLAMP',
  'TCP_QUICKACK',
  'TCP_NOTSENT_LOWAT',
  'TCP_INQ',
  'TCP_RTO_MAX_MS',
  'TCP_RTO_MIN_US',
  'TCP_DELACK_MAX_US',
  'TCP_THIN_LINEAR_TIMEOUTS',
  'TCP_THIN_DUPACK',
  'SO_KEEPALIVE',
  'SO_RCVBUF',
  'SO_SNDBUF',
  'SO_RCVLOWAT',
  'IP_TOS',
  'IPV6_TCLASS',
  'IP_TTL',
  'IPV6_UNICAST_HOPS',
] as const;

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
  assert.throws(() => socket.setOption('TCP_ULP' as 'TCP_CORK', 1), {
    code: 'ENOPROTOOPT',
    hint: /socket-options\.md/,
  });
  assert.throws(() => socket.option('TCP_ULP' as 'TCP_CORK'), { code: 'ENOPROTOOPT', syscall: 'getsockopt' });
  assert.throws(() => socket.setOption('TCP_CONGESTION', 'vegas' as 'bbr'), {
    code: 'ENOENT',
    hint: /cubic, reno, bbr, bbr3/,
  });
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

test('SO_RCVLOWAT above what memory lets in: a reader gets what there is', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair, 64 * KiB);
  c.socket.setOption('SO_RCVLOWAT', 200_000);
  const writing = c.peer.write(pattern(200_000));
  let bytes = 0;
  while (bytes < 200_000) {
    const message = await c.socket.recvmsg();
    bytes += message.bytes;
    message.release();
    if (bytes > 150_000) c.socket.setOption('SO_RCVLOWAT', 1);
  }
  await writing;
  assert.equal(bytes, 200_000);
});

test('SO_RCVLOWAT above the buffer is no more than the buffer: nobody waits for what cannot come', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  c.socket.setOption('SO_RCVBUF', 16 * KiB);
  c.socket.setOption('SO_RCVLOWAT', 2 ** 30);
  assert.equal(c.socket.option('SO_RCVLOWAT'), 16 * KiB);
  // Smaller than it was: what was asked for before fits no more, and is not waited for either.
  c.socket.setOption('SO_RCVBUF', 4 * KiB);
  const writing = c.peer.write(pattern(200_000));
  let bytes = 0;
  while (bytes < 200_000) {
    const message = await c.socket.recvmsg();
    bytes += message.bytes;
    message.release();
    if (bytes > 150_000) c.socket.setOption('SO_RCVLOWAT', 1);
  }
  await writing;
});

test('waits of years: close waits for the peer, and no timer runs over', async (t) => {
  const timers = t.mock.method(globalThis, 'setTimeout');
  await using pair = await openPair();
  await using c = await connectInto(pair, 64 * KiB);
  for (const [socket, options, linger] of [
    [c.peer, { timeoutMs: Number.POSITIVE_INFINITY }, 1],
    [c.socket, {}, 0x7fff_ffff],
  ] as const) {
    socket.setOption('SO_LINGER', { enabled: true, seconds: linger });
    const closing = socket.close(options);
    await new Promise((resolve) => setImmediate(resolve));
    if (socket === c.peer) assert.equal((await c.socket.recvmsg()).bytes, 0);
    await closing;
    assert.ok(socket.endAcknowledged);
  }
  const waits = timers.mock.calls.map((call) => call.arguments[1] ?? 0);
  assert.equal(Math.max(...waits), 0x7fff_ffff);
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

const NUMBERS: readonly unknown[] = [Number.NaN, 0.5, Number.POSITIVE_INFINITY, 2 ** 40, -(2 ** 40), 10n];
const OTHERS: readonly unknown[] = ['1', null, undefined, {}, [], Symbol('one'), () => 1];

test('values that no int can say, and no numbers at all, are EINVAL with the value in the text', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  const { socket, listener } = c;
  const before = JSON.stringify(socket.option('TCP_INFO').tcpi_options);
  for (const name of NUMERIC_OPTIONS) {
    for (const value of [...NUMBERS, ...OTHERS]) {
      for (const target of [socket, listener]) {
        assert.throws(
          () => target.setOption(name, value as number),
          (error: DevmemError) => {
            assert.ok(error instanceof DevmemError, `${name} to ${String(value)}: ${String(error)}`);
            assert.equal(error.code, 'EINVAL');
            return error.message.includes(name) && error.hint !== undefined;
          },
          `${name} to ${String(value)}`,
        );
      }
    }
  }
  assert.throws(() => socket.setOption('TCP_KEEPCNT', Number.NaN), /TCP_KEEPCNT to NaN/);
  assert.equal(JSON.stringify(socket.option('TCP_INFO').tcpi_options), before);
});

test('the largest and the least that an int can say never break a connection', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  for (const name of NUMERIC_OPTIONS) {
    for (const value of [0x7fff_ffff, -0x8000_0000, -1, 0, 1, 0xffff_ffff]) {
      for (const target of [c.socket, c.peer]) {
        try {
          target.setOption(name, value);
        } catch (error) {
          assert.ok(error instanceof DevmemError && error.code === 'EINVAL', String(error));
        }
        assert.ok(Number.isFinite(target.option(name)), name);
      }
    }
    if (name === 'SO_RCVLOWAT') c.socket.setOption(name, 1);
  }
  const data = pattern(10_000);
  for (const socket of [c.socket, c.peer]) {
    socket.setOption('SO_RCVLOWAT', 1);
    socket.setOption('SO_MAX_PACING_RATE', 0xffff_ffff);
    socket.setOption('TCP_NOTSENT_LOWAT', 0xffff_ffff);
    socket.setOption('TCP_CORK', 0);
  }
  await c.peer.write(data);
  await queued(c.socket, data.length);
});

test('what is neither switch nor number: names, keys and structures', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  const { socket, listener } = c;
  const EINVAL = { code: 'EINVAL' };
  for (const seconds of [Number.NaN, -1, 2 ** 31, '5', undefined]) {
    assert.throws(() => socket.setOption('SO_LINGER', { enabled: true, seconds: seconds as number }), EINVAL);
  }
  for (const value of [null, 1, 'on', { enabled: 1, seconds: 1 }]) {
    assert.throws(() => socket.setOption('SO_LINGER', value as unknown as Linger), EINVAL);
  }
  assert.throws(() => socket.setOption('TCP_CONGESTION', 5 as unknown as 'bbr'), EINVAL);
  assert.throws(() => listener.setOption('TCP_FASTOPEN_KEY', new Uint8Array(15)), EINVAL);
  assert.throws(() => listener.setOption('TCP_FASTOPEN_KEY', 'key' as unknown as Uint8Array), EINVAL);
  assert.throws(() => socket.setOption('TCP_FASTOPEN_KEY', new Uint8Array(16)), EINVAL, 'a connection has none');
  assert.throws(() => socket.setOption('TCP_FASTOPEN', 5), EINVAL);
  for (const name of [undefined, null, 5, Symbol('name'), '__proto__', 'toString', '']) {
    assert.throws(() => socket.setOption(name as 'TCP_CORK', 1), { code: 'ENOPROTOOPT' });
    assert.throws(() => socket.option(name as 'TCP_CORK'), { code: 'ENOPROTOOPT' });
  }
  const wrong = { code: 'ERR_DEVMEM_INVALID_ARGUMENT' };
  for (const options of [null, 5, 'TCP_NODELAY', ['TCP_NODELAY']]) {
    const given = options as unknown as SocketOptionInputs;
    await assert.rejects(pair.receiver.listen({ port: 90, options: given }), wrong);
    await assert.rejects(pair.sender.connect({ host: pair.receiverAddress, port: 5201, options: given }), wrong);
  }
  assert.throws(() => socket.keepAlive(true, Number.NaN), wrong);
});

test('a socket that its application has closed takes no options; one that the peer has ended does, to no effect', async () => {
  await using pair = await openPair();
  const c = await connectInto(pair);
  c.peer.abort();
  await assert.rejects(c.socket.recvmsg(), { code: 'ECONNRESET' });
  for (const name of NUMERIC_OPTIONS) {
    try {
      c.socket.setOption(name, 1);
    } catch (error) {
      assert.ok(error instanceof DevmemError, String(error));
    }
  }
  c.socket.keepAlive(true, 1);
  assert.equal(c.socket.option('SO_ERROR'), ERRNO.ECONNRESET);
  await c.socket.close();
  assert.throws(() => c.socket.setOption('TCP_NODELAY', 1), { code: 'EBADF', syscall: 'setsockopt' });
  assert.throws(() => c.peer.setOption('TCP_NODELAY', 1), { code: 'EBADF' });
  assert.equal(c.socket.tcpInfo().tcpi_state, 7, 'what it was can still be read');
  await c[Symbol.asyncDispose]();
});
