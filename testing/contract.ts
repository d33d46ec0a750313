import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  DeviceMemory,
  ERRNO,
  KiB,
  Message,
  MiB,
  MSG_PEEK,
  MSG_SOCK_DEVMEM,
  MSG_TRUNC,
  SeededRandom,
  type DevmemError,
  type DevmemSocket,
} from '../src/index.ts';
import { argumentTests } from './contract-arguments.ts';
import { bytesOf, connectInto, connectPlain, pattern, queued, type HostFactory } from './hosts.ts';

const isCode =
  (code: string) =>
  (error: DevmemError): boolean => {
    assert.equal(error.code, code, error.message);
    return true;
  };

/** What every engine's `Host` does, whoever implements it. */
export function contractSuite(factory: HostFactory): void {
  describe(`contract, engine ${factory.name}`, () => {
    receivingTests(factory);
    tokensTests(factory);
    sendingTests(factory);
    connectionsTests(factory);
    argumentTests(factory);
  });
}

function receivingTests(factory: HostFactory): void {
  test('payload lands in device memory, in order, and the iterator ends at the FIN', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    const sent = pattern(300_000);
    const done = c.peer.write(sent).then(() => c.peer.shutdown());
    const received: Buffer[] = [];
    for await (const message of c.socket.messages()) {
      assert.ok(message.frags.length <= 64);
      for (const frag of message.frags) {
        assert.equal(frag.dmabufId, c.binding.dmabufId);
        assert.ok(frag.token >= 1);
        assert.ok(Math.floor(frag.offset / 4096) === Math.floor((frag.offset + frag.size - 1) / 4096));
      }
      received.push(bytesOf(message, c.memory));
      assert.equal(message.release(), message.frags.length);
    }
    await done;
    assert.ok(Buffer.concat(received).equals(sent));
    assert.equal(c.socket.counters.dmabufBytes + c.socket.counters.linearBytes, sent.length);
    assert.equal(c.socket.counters.copiedBytes, 0);
    assert.equal(c.socket.tokensHeld, 0);
    const message = new Message();
    assert.equal(c.socket.recvmsgSync(message), 0);
    assert.equal(c.socket.recvmsgSync(message), 0);
  });

  test('EFAULT without the devmem flag; the data stays queued and a retry works', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    await c.peer.write(pattern(1000));
    await queued(c.socket, 1000);
    const message = new Message();
    assert.equal(c.socket.recvmsgSync(message, 0), -ERRNO.EFAULT);
    await assert.rejects(c.socket.recvmsg({ devmem: false }), isCode('EFAULT'));
    assert.equal(c.socket.recvmsgSync(message, MSG_SOCK_DEVMEM), 1000);
    assert.ok(bytesOf(message, c.memory).equals(pattern(1000)));
    assert.equal(message.ordinary, false);
    message.release();
  });

  test('EAGAIN when nothing is queued', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    assert.equal(c.socket.recvmsgSync(new Message()), -ERRNO.EAGAIN);
    await assert.rejects(c.socket.recvmsg({ dontWait: true }), isCode('EAGAIN'));
  });

  test('no room for the first fragment is ETOOSMALL; a full control buffer makes a short read', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    const sent = pattern(20_000);
    await c.peer.write(sent);
    await queued(c.socket, sent.length);
    assert.equal(c.socket.recvmsgSync(new Message({ maxFrags: 0 })), -ERRNO.ETOOSMALL);
    const received: Buffer[] = [];
    while (Buffer.concat(received).length < sent.length) {
      const message = await c.socket.recvmsg({ maxFrags: 1 });
      assert.equal(message.frags.length, 1);
      received.push(bytesOf(message, c.memory));
      message.release();
    }
    assert.ok(Buffer.concat(received).equals(sent));
  });

  test('maxBytes cuts a fragment in two, each part with a token of its own', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    await c.peer.write(pattern(1000));
    await queued(c.socket, 1000);
    const first = await c.socket.recvmsg({ maxBytes: 300 });
    const second = await c.socket.recvmsg();
    assert.deepEqual([first.bytes, second.bytes], [300, 700]);
    assert.notEqual(first.frags[0]!.token, second.frags[0]!.token);
    assert.ok(Buffer.concat([bytesOf(first, c.memory), bytesOf(second, c.memory)]).equals(pattern(1000)));
    assert.equal(c.socket.tokensHeld, first.frags.length + second.frags.length);
    first.release();
    second.release();
  });

  test('each peek mints new tokens, all to be returned, and leaves the data queued', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    await c.peer.write(pattern(6000));
    await queued(c.socket, 6000);
    const one = await c.socket.recvmsg({ peek: true });
    const two = await c.socket.recvmsg({ peek: true });
    const three = await c.socket.recvmsg();
    const seen = [one, two, three].flatMap((message) => message.frags.map((frag) => frag.token));
    assert.equal(new Set(seen).size, seen.length);
    assert.equal(c.socket.tokensHeld, seen.length);
    for (const message of [one, two, three]) assert.ok(bytesOf(message, c.memory).equals(pattern(6000)));
    assert.equal(c.socket.readableBytes, 0);
    assert.equal(c.socket.release(seen), seen.length);
  });

  test('MSG_TRUNC discards without tokens and without the flag', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    await c.peer.write(pattern(9000));
    await queued(c.socket, 9000);
    const message = new Message({ maxBytes: 5000 });
    assert.equal(c.socket.recvmsgSync(message, MSG_TRUNC), 5000);
    assert.equal(message.frags.length, 0);
    assert.equal(c.socket.tokensHeld, 0);
    assert.equal(c.socket.recvmsgSync(new Message(), MSG_TRUNC | MSG_PEEK), 4000);
    const rest = await c.socket.recvmsg();
    assert.ok(bytesOf(rest, c.memory).equals(pattern(4000, 5000)));
    rest.release();
  });

  test('a connection that is not received into a binding has ordinary data, with and without the flag', async () => {
    await using pair = await factory.open();
    const { socket, peer } = await connectPlain(pair);
    await peer.write(pattern(5000));
    await queued(socket, 5000);
    const message = new Message({ maxLinearBytes: 2000 });
    assert.equal(socket.recvmsgSync(message, 0), 2000);
    assert.equal(message.ordinary, true);
    assert.ok(Buffer.from(message.linear).equals(pattern(2000)));
    assert.equal(socket.recvmsgSync(message, MSG_SOCK_DEVMEM), 2000);
    assert.equal(message.ordinary, true);
    assert.ok(Buffer.from(message.linear).equals(pattern(2000, 2000)));
    assert.equal(message.frags.length, 0);
    assert.equal(socket.recvmsgSync(message, MSG_PEEK), 1000);
    assert.equal(socket.recvmsgSync(message, MSG_SOCK_DEVMEM), 1000);
    await Promise.all([socket.close(), peer.close()]);
  });

  test('messages() ends with the reason of its signal, and the socket goes on', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    const controller = new AbortController();
    const iterator = c.socket.messages({ signal: controller.signal });
    const next = iterator.next();
    controller.abort(new Error('had enough'));
    await assert.rejects(next, /had enough/);
    await assert.rejects(c.socket.messages({ signal: controller.signal }).next(), /had enough/);
    await c.peer.write(pattern(10));
    const message = await c.socket.recvmsg();
    assert.equal(message.bytes, 10);
    message.release();
  });
}

function tokensTests(factory: HostFactory): void {
  test('a token returned twice, a wrong one, and a second release() free nothing and say so', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    await c.peer.write(pattern(100));
    await queued(c.socket, 100);
    const message = await c.socket.recvmsg();
    const { token } = message.frags[0]!;
    assert.equal(c.socket.dontneed([{ start: token, count: 1 }]), 1);
    assert.equal(c.socket.dontneed([{ start: token, count: 1 }]), 0);
    assert.equal(c.socket.dontneed([{ start: 4711, count: 5 }]), 0);
    assert.equal(message.release(), 0);
    assert.equal(message.release(), 0);
    assert.equal(c.socket.release([token, 0, 2 ** 32 - 1]), 0);
    assert.ok(c.socket.counters.tokensUnknown > 0);
  });

  test('dontneed: EINVAL without a range and for more than 128; ranges free what they hold', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    assert.throws(() => c.socket.dontneed([]), isCode('EINVAL'));
    const many = Array.from({ length: 129 }, () => ({ start: 1, count: 1 }));
    assert.throws(() => c.socket.dontneed(many), isCode('EINVAL'));
    await c.peer.write(pattern(40_000));
    await queued(c.socket, 40_000);
    const message = await c.socket.recvmsg();
    assert.ok(message.frags.length > 5);
    assert.equal(c.socket.dontneed([{ start: 1, count: 1000 }]), message.frags.length);
    assert.equal(c.socket.tokensHeld, 0);
  });

  test('closing returns every token that is still out', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    await c.peer.write(pattern(50_000));
    await queued(c.socket, 50_000);
    const message = await c.socket.recvmsg();
    assert.ok(c.socket.tokensHeld > 0);
    await Promise.all([c.socket.close(), c.peer.close()]);
    assert.equal(c.socket.tokensHeld, 0);
    assert.equal(message.release(), 0);
    assert.equal(c.socket.recvmsgSync(new Message()), -ERRNO.EBADF);
  });

  test('memory far smaller than the transfer, tokens returned late and in random order', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair, MiB);
    const total = 64 * MiB;
    const block = pattern(MiB);
    const sending = (async () => {
      for (let sent = 0; sent < total; sent += MiB) await c.peer.write(block);
      c.peer.shutdown();
    })();
    const random = new SeededRandom(1);
    const held: number[] = [];
    let at = 0;
    for await (const message of c.socket.messages({ maxFrags: 32 })) {
      checkPattern(message, c.memory, at);
      at += message.bytes;
      for (const frag of message.frags) held.push(frag.token);
      // Half of the memory, about, is always in the application's hands.
      while (held.length > 128) {
        const index = random.u32() % held.length;
        const [token] = held.splice(index, 1);
        assert.equal(c.socket.release([token!]), 1);
      }
    }
    await sending;
    assert.equal(at, total);
    assert.equal(c.socket.release(held), held.length);
  });

  test('tokens never returned: the sender stops when the memory is full, nothing is dropped, close frees it', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair, 256 * KiB);
    const controller = new AbortController();
    const sending = c.peer.write(pattern(8 * MiB), { signal: controller.signal });
    const hoard = [];
    let at = 0;
    for (;;) {
      const quiet = AbortSignal.timeout(400);
      try {
        const message = await c.socket.recvmsg({ signal: quiet });
        checkPattern(message, c.memory, at);
        at += message.bytes;
        hoard.push(message);
      } catch (error) {
        assert.equal((error as Error).name, 'TimeoutError');
        break;
      }
    }
    assert.ok(at <= 256 * KiB && at > 64 * KiB, `${at} bytes of 256 KiB`);
    assert.equal(drops(pair.receiver.stats()), 0);
    hoard[0]!.release();
    hoard[1]?.release();
    const message = await c.socket.recvmsg();
    checkPattern(message, c.memory, at);
    controller.abort(new Error('the test is over'));
    await assert.rejects(sending, /the test is over/);
    c.peer.abort();
    await c.socket.close();
    assert.equal(c.socket.tokensHeld, 0);
  });
}

function checkPattern(message: Message, memory: DeviceMemory, start: number): void {
  const bytes = bytesOf(message, memory);
  const block = 65_536;
  for (let i = 0; i < bytes.length; i += block) {
    const piece = bytes.subarray(i, i + block);
    // The sender repeats one mebibyte.
    const from = (start + i) % MiB;
    const head = Math.min(piece.length, MiB - from);
    assert.ok(piece.subarray(0, head).equals(pattern(head, from)), `bytes at ${start + i}`);
    assert.ok(piece.subarray(head).equals(pattern(piece.length - head, 0)), `bytes at ${start + i + head}`);
  }
}

function drops(stats: { nic: Record<string, number> }): number {
  return stats.nic['rxDropNoPage'] ?? 0;
}

async function drain(socket: DevmemSocket, count: number): Promise<number> {
  let total = 0;
  while (total < count) {
    const message = await socket.recvmsg();
    if (message.bytes === 0) break;
    total += message.bytes;
    message.release();
  }
  return total;
}

function sendingTests(factory: HostFactory): void {
  test('sendFrom resolves when the pages may be reused, and the memory can be freed then', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    const source = await DeviceMemory.allocate({ sizeBytes: 8 * MiB });
    source.dmaWrite(0, pattern(8 * MiB));
    const sent = c.peer.sendFrom(source, { offset: 4096, length: 4 * MiB });
    assert.throws(() => source.dispose(), isCode('EBUSY'));
    let at = 4096;
    while (at < 4096 + 4 * MiB) {
      const message = await c.socket.recvmsg();
      assert.ok(bytesOf(message, c.memory).equals(source.mapping.subarray(at, at + message.bytes)));
      at += message.bytes;
      message.release();
    }
    await sent;
    assert.equal(c.peer.counters.sentDmabufBytes, 4 * MiB);
    source.dispose();
  });

  test('sendFrom refuses a range outside the memory', async () => {
    await using pair = await factory.open();
    await using source = await DeviceMemory.allocate({ sizeBytes: 4096 });
    await using c = await connectInto(pair);
    await assert.rejects(c.peer.sendFrom(source, { offset: 1, length: 4096 }), isCode('ERR_DEVMEM_INVALID_ARGUMENT'));
    await assert.rejects(c.peer.sendFrom(source, { offset: -1 }), isCode('ERR_DEVMEM_INVALID_ARGUMENT'));
  });

  test('sendmsg: EINVAL for an unknown id and without zerocopy, EFAULT behind the end', async () => {
    await using pair = await factory.open();
    await using source = await DeviceMemory.allocate({ sizeBytes: 8192 });
    await using c = await connectInto(pair);
    await using binding = await pair.sender.bindTx(source);
    const { dmabufId } = binding;
    const iov = [{ offset: 0, length: 100 }];
    assert.equal(c.peer.sendmsgSync({ dmabufId: 4711, iov }), -ERRNO.EINVAL);
    assert.equal(c.peer.sendmsgSync({ dmabufId, iov, zerocopy: false }), -ERRNO.EINVAL);
    assert.equal(c.peer.sendmsgSync({ dmabufId, iov: [{ offset: 8192, length: 1 }] }), -ERRNO.EFAULT);
    await assert.rejects(c.peer.sendmsg({ dmabufId: 1, iov }), isCode('EINVAL'));
    assert.equal(c.peer.sendmsgSync({ dmabufId, iov }), 100);
    assert.equal(await drain(c.socket, 100), 100);
  });

  test('sendmsg gathers pieces in order, and sends a piece that reaches too far up to the end', async () => {
    await using pair = await factory.open();
    await using source = await DeviceMemory.allocate({ sizeBytes: 8192 });
    await using c = await connectInto(pair);
    source.dmaWrite(0, pattern(8192));
    await using binding = await pair.sender.bindTx(source);
    const { dmabufId } = binding;
    const iov = [
      { offset: 5000, length: 10 },
      { offset: 0, length: 20 },
      { offset: 8182, length: 100 },
      { offset: 0, length: 1 },
    ];
    assert.equal(c.peer.sendmsgSync({ dmabufId, iov }), 40);
    await queued(c.socket, 40);
    const message = await c.socket.recvmsg();
    const expected = Buffer.concat([pattern(10, 5000), pattern(20), pattern(10, 8182)]);
    assert.ok(bytesOf(message, c.memory).equals(expected));
    message.release();
  });

  test('completions count the zero-copy sends that succeeded, and merge', async () => {
    await using pair = await factory.open();
    await using source = await DeviceMemory.allocate({ sizeBytes: 4096 });
    await using c = await connectInto(pair);
    await using binding = await pair.sender.bindTx(source);
    const { dmabufId } = binding;
    assert.equal(c.peer.completions(), null);
    for (let i = 0; i < 3; i++)
      assert.equal(c.peer.sendmsgSync({ dmabufId, iov: [{ offset: i, length: 1000 }] }), 1000);
    assert.equal(c.peer.sendmsgSync({ dmabufId, iov: [{ offset: 9999, length: 1 }] }), -ERRNO.EFAULT);
    assert.equal(await drain(c.socket, 3000), 3000);
    let next = 0;
    while (next < 3) {
      const range = c.peer.completions();
      if (range === null) {
        await c.peer.writable.wait(AbortSignal.timeout(10_000));
        continue;
      }
      assert.equal(range.lo, next);
      next = range.hi + 1;
    }
    assert.equal(next, 3);
    assert.equal(c.peer.completions(), null);
  });

  test('write() and sendFrom() keep the order of their calls', async () => {
    await using pair = await factory.open();
    await using source = await DeviceMemory.allocate({ sizeBytes: 16 * MiB });
    await using c = await connectInto(pair);
    source.dmaWrite(0, pattern(16 * MiB, 7));
    const sent = Promise.all([
      c.peer.write(pattern(7)),
      c.peer.sendFrom(source, { length: 9 * MiB }),
      c.peer.write(pattern(3, 1)),
    ]);
    const received: Buffer[] = [];
    for (let at = 0; at < 9 * MiB + 10;) {
      const message = await c.socket.recvmsg();
      received.push(bytesOf(message, c.memory));
      at += message.bytes;
      message.release();
    }
    await sent;
    const expected = Buffer.concat([pattern(7), pattern(9 * MiB, 7), pattern(3, 1)]);
    assert.ok(Buffer.concat(received).equals(expected));
  });

  test('after shutdown(): EPIPE for sending, receiving goes on', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    c.socket.shutdown();
    assert.equal((await c.peer.recvmsg()).bytes, 0);
    assert.equal(c.socket.writeSync(pattern(1)), -ERRNO.EPIPE);
    await assert.rejects(c.socket.write(pattern(1)), isCode('EPIPE'));
    await c.peer.write(pattern(100));
    assert.equal(await drain(c.socket, 100), 100);
  });
}

function connectionsTests(factory: HostFactory): void {
  test('connecting to a port where nobody listens is ECONNREFUSED', async () => {
    await using pair = await factory.open();
    await assert.rejects(pair.sender.connect({ host: pair.receiverAddress, port: 9 }), isCode('ECONNREFUSED'));
  });

  test('connecting ends with the reason of the signal', async () => {
    await using pair = await factory.open();
    const signal = AbortSignal.timeout(20);
    const silent = pair.receiverAddress.includes(':') ? 'fd09::77' : '10.9.0.77';
    await assert.rejects(pair.sender.connect({ host: silent, port: 9, signal }), { name: 'TimeoutError' });
    const aborted = AbortSignal.abort(new Error('not at all'));
    await assert.rejects(pair.sender.connect({ host: silent, port: 9, signal: aborted }), /not at all/);
  });

  test('one port, one listener: EADDRINUSE; free again after close', async () => {
    await using pair = await factory.open();
    const listener = await pair.receiver.listen({ port: 5201 });
    await assert.rejects(pair.receiver.listen({ port: 5201 }), isCode('EADDRINUSE'));
    listener.close();
    (await pair.receiver.listen({ port: 5201 })).close();
  });

  test('an address that is not ours is EADDRNOTAVAIL, a bad port an invalid argument', async () => {
    await using pair = await factory.open();
    await assert.rejects(pair.receiver.listen({ port: 1, address: '192.0.2.1' }), isCode('EADDRNOTAVAIL'));
    await assert.rejects(pair.receiver.listen({ port: 70_000 }), isCode('ERR_DEVMEM_INVALID_ARGUMENT'));
  });

  test('a reset is ECONNRESET for reader and writer, after what was received before it', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    await c.peer.write(pattern(100));
    await queued(c.socket, 100);
    const waiting = c.peer.recvmsg();
    c.socket.abort();
    await assert.rejects(waiting, isCode('ECONNRESET'));
    await assert.rejects(c.peer.write(pattern(1)), isCode('ECONNRESET'));
    await assert.rejects(c.peer.write(pattern(1)), isCode('EPIPE'));
    assert.equal(c.peer.recvmsgSync(new Message()), 0);
    assert.equal(c.socket.recvmsgSync(new Message()), -ERRNO.EBADF);
  });

  test('sendFrom rejects when the peer resets, and lets go of the memory', async () => {
    await using pair = await factory.open();
    await using source = await DeviceMemory.allocate({ sizeBytes: 8 * MiB });
    await using c = await connectInto(pair, 64 * KiB);
    const sending = c.peer.sendFrom(source);
    await queued(c.socket, 1);
    c.socket.abort();
    await assert.rejects(sending, isCode('ECONNRESET'));
    while (source.users.length > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  });

  test('closing with unread data resets the peer (RFC 2525 §2.17)', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    await c.peer.write(pattern(100));
    await queued(c.socket, 100);
    const waiting = c.peer.recvmsg();
    await c.socket.close();
    await assert.rejects(waiting, isCode('ECONNRESET'));
  });

  test('closing a listener ends its iteration and leaves accepted connections alone', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    const waiting = c.listener.accept();
    c.listener.close();
    assert.equal(await waiting, null);
    assert.equal(await c.listener.accept(), null);
    for await (const socket of c.listener) assert.fail(`accepted ${socket.remotePort}`);
    await c.peer.write(pattern(10_000));
    await queued(c.socket, 10_000);
    const message = await c.socket.recvmsg();
    assert.equal(message.linear.length, 0, 'the steering rule outlives the listener');
    message.release();
    await assert.rejects(pair.sender.connect({ host: pair.receiverAddress, port: 5201 }), isCode('ECONNREFUSED'));
  });

  test('connect({ into }) receives into device memory on the connecting side', async () => {
    await using pair = await factory.open();
    const memory = await DeviceMemory.allocate({ sizeBytes: MiB });
    const binding = await pair.receiver.bindRx(memory, { queues: [1] });
    const listener = await pair.sender.listen({ port: 5201 });
    const accepted = listener.accept();
    const socket = await pair.receiver.connect({ host: pair.senderAddress, port: 5201, into: binding });
    const peer = (await accepted)!;
    await peer.write(pattern(100_000));
    peer.shutdown();
    let at = 0;
    for await (const message of socket.messages()) {
      assert.equal(message.linear.length, 0);
      assert.ok(bytesOf(message, memory).equals(pattern(message.bytes, at)));
      at += message.bytes;
      message.release();
    }
    assert.equal(at, 100_000);
    await Promise.all([socket.close(), peer.close()]);
    listener.close();
    binding.close();
    memory.dispose();
  });

  test('many connections at once share one memory', async () => {
    await using pair = await factory.open();
    const memory = await DeviceMemory.allocate({ sizeBytes: 2 * MiB });
    const binding = await pair.receiver.bindRx(memory, { queues: [1] });
    const listener = await pair.receiver.listen({ port: 5201, into: binding });
    const count = 32;
    const serve = async (socket: DevmemSocket): Promise<number> => {
      let total = 0;
      for await (const message of socket.messages()) {
        total += message.bytes;
        message.release();
      }
      await socket.close();
      return total;
    };
    const served: Promise<number>[] = [];
    const accepting = (async () => {
      for await (const socket of listener) {
        served.push(serve(socket));
        if (served.length === count) return;
      }
    })();
    const send = async (): Promise<void> => {
      const socket = await pair.sender.connect({ host: pair.receiverAddress, port: 5201 });
      await socket.write(pattern(500_000));
      await socket.close();
    };
    await Promise.all(Array.from({ length: count }, send));
    await accepting;
    assert.deepEqual(
      await Promise.all(served),
      Array.from({ length: count }, () => 500_000),
    );
    listener.close();
    binding.close();
    memory.dispose();
  });
}
