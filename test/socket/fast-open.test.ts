import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeviceMemory, ERRNO, KiB, MiB } from '../../src/index.ts';
import type { DevmemSocket, HostOptions, Listener, RxBinding } from '../../src/index.ts';
import type { FrameList } from '../../src/link/link.ts';
import { describeFrame } from '../../src/wire/describe.ts';
import { bytesOf, openPair, pattern, type HostPair } from '../../testing/hosts.ts';
import { WrappedLink } from '../../testing/wrapped-link.ts';

const SYN_DATA = 32;
const PORT = 5201;
/** `tcpi_fastopen_client_fail`. */
const SYN_REPEATED = 3;

/** Writes down what goes out, and loses what it is told to. */
class Watch extends WrappedLink {
  readonly tcpFrames: string[] = [];
  loses: (frame: string) => boolean = () => false;
  #lost = 0;

  override get framesWritten(): number {
    return this.inner.framesWritten + this.#lost;
  }

  override writeFrame(gather: FrameList): number {
    const frame = describeFrame(frameOf(gather));
    if (!this.loses(frame)) {
      const written = this.inner.writeFrame(gather);
      if (written > 0 && frame.includes('tcp ')) this.tcpFrames.push(frame);
      return written;
    }
    this.#lost++;
    return gather.totalBytes;
  }
}

function frameOf(list: FrameList): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let i = 0; i < list.count; i++) {
    const at = list.offsets[i]!;
    parts.push(list.regions[i]!.mapping.subarray(at, at + list.lengths[i]!));
  }
  return Buffer.concat(parts);
}

interface Scene extends AsyncDisposable {
  readonly pair: HostPair;
  readonly watch: Watch;
  readonly memory: DeviceMemory;
  readonly binding: RxBinding;
  listener: Listener;
}

/** A server that receives into device memory, and a client on the other end of the cable. */
async function openScene(
  options: { client?: Partial<HostOptions>; family?: 4 | 6; sizeBytes?: number } = {},
): Promise<Scene> {
  let watch: Watch | null = null;
  const pair = await openPair({
    family: options.family ?? 4,
    sender: { wrapLink: (link) => (watch = new Watch(link)), ...options.client },
  });
  const memory = await DeviceMemory.allocate({ sizeBytes: options.sizeBytes ?? MiB });
  const binding = await pair.receiver.bindRx(memory, { queues: [1] });
  const listener = await pair.receiver.listen({ port: PORT, into: binding, fastOpen: 8 });
  const scene: Scene = {
    pair,
    watch: watch!,
    memory,
    binding,
    listener,
    [Symbol.asyncDispose]: async () => {
      scene.listener.close();
      binding.close();
      await pair[Symbol.asyncDispose]();
      memory.dispose();
    },
  };
  return scene;
}

function connect({ pair }: Scene): Promise<DevmemSocket> {
  return pair.sender.connect({ host: pair.receiverAddress, port: PORT, fastOpen: true });
}

async function receive(socket: DevmemSocket, bytes: number): Promise<Buffer> {
  const target = Buffer.alloc(bytes);
  let at = 0;
  while (at < bytes) {
    const read = socket.read(target.subarray(at));
    if (read === 0) break;
    if (read > 0) at += read;
    else if (read === -ERRNO.EAGAIN) await socket.readable.wait();
    else throw socket.failure(read, 'recvmsg');
  }
  return target.subarray(0, at);
}

/** The first connection gets the cookie. */
async function getCookie(scene: Scene): Promise<void> {
  const accepting = scene.listener.accept();
  const client = await connect(scene);
  const server = (await accepting)!;
  assert.equal(client.tcpInfo().tcpi_options & SYN_DATA, 0);
  assert.equal(client.tcpInfo().tcpi_state, 1, 'without a cookie it resolves when connected');
  await Promise.all([client.close(), server.close()]);
}

async function closeBoth(...sockets: DevmemSocket[]): Promise<void> {
  await Promise.all(sockets.map((socket) => socket.close()));
}

test('TCP_FASTOPEN_CONNECT: connect resolves, and from the second on before anything is sent', async () => {
  await using scene = await openScene();
  const { pair, watch } = scene;
  const options = { TCP_FASTOPEN_CONNECT: 1 };
  for (const state of [1, 2, 2]) {
    watch.tcpFrames.length = 0;
    const accepting = scene.listener.accept();
    const client = await pair.sender.connect({ host: pair.receiverAddress, port: PORT, options });
    assert.equal(client.tcpInfo().tcpi_state, state, state === 1 ? 'connected' : 'its SYN waits for data');
    if (state === 2) assert.deepEqual(watch.tcpFrames, []);
    await client.write(pattern(10));
    const server = (await accepting)!;
    assert.equal((await receive(server, 10)).length, 10);
    await closeBoth(client, server);
  }
});

for (const family of [4, 6] as const) {
  test(`the second connection brings data in its SYN, a round trip earlier (IPv${family})`, async () => {
    await using scene = await openScene({ family });
    await getCookie(scene);
    const { watch } = scene;
    watch.tcpFrames.length = 0;
    const accepting = scene.listener.accept();
    const client = await connect(scene);
    assert.equal(client.tcpInfo().tcpi_state, 2, 'the SYN waits for data');
    assert.deepEqual(watch.tcpFrames, []);
    const request = pattern(900);
    await client.write(request);
    const server = (await accepting)!;
    assert.equal(server.tcpInfo().tcpi_state, 3, 'accepted before the handshake is done');
    const message = await server.recvmsg();
    assert.equal(message.frags[0]!.dmabufId, scene.binding.dmabufId, 'it lies in device memory');
    assert.ok(bytesOf(message, scene.memory).equals(Buffer.from(request)));
    message.release();
    const syn = watch.tcpFrames[0]!;
    assert.match(syn, / S seq .* len 900 /);
    // The answer needs no acknowledgment of the SYN-ACK either.
    await server.write(pattern(500));
    assert.ok(Buffer.from(pattern(500)).equals(await receive(client, 500)));
    assert.equal(client.tcpInfo().tcpi_options & SYN_DATA, SYN_DATA);
    assert.equal(server.tcpInfo().tcpi_options & SYN_DATA, SYN_DATA);
    await closeBoth(client, server);
    const { tcp } = scene.pair.sender.stats();
    assert.deepEqual([tcp.fastOpenActive, tcp.fastOpenActiveFailed, tcp.retransmittedSegments], [1, 0, 0]);
  });
}

test('sendFrom: what fits goes with the SYN, out of device memory, and the rest behind it', async () => {
  await using scene = await openScene();
  await getCookie(scene);
  await using source = await DeviceMemory.allocate({ sizeBytes: 256 * KiB });
  const data = pattern(200_000);
  source.dmaWrite(0, data);
  scene.watch.tcpFrames.length = 0;
  const acceptingAll = scene.listener.accept();
  const second = await connect(scene);
  const all = second.sendFrom(source, { length: data.length });
  const other = (await acceptingAll)!;
  assert.ok((await receive(other, data.length)).equals(Buffer.from(data)));
  await all;
  assert.match(scene.watch.tcpFrames[0]!, / S seq .* len 1[34]\d\d /);
  assert.equal(second.tcpInfo().tcpi_options & SYN_DATA, SYN_DATA);
  await closeBoth(second, other);
});

test('write and close at once: the data arrives, and the end behind it', async () => {
  await using scene = await openScene();
  await getCookie(scene);
  const accepting = scene.listener.accept();
  const client = await connect(scene);
  await client.write(pattern(100));
  const closing = client.close();
  const server = (await accepting)!;
  assert.equal((await receive(server, 101)).length, 100);
  await server.close();
  await closing;
  assert.equal(client.endAcknowledged, true);
});

test('who reads first, or never writes, is connected all the same; close before the SYN leaves nothing', async () => {
  await using scene = await openScene();
  await getCookie(scene);
  const accepting = scene.listener.accept();
  const client = await connect(scene);
  const reading = receive(client, 10);
  const server = (await accepting)!;
  await server.write(pattern(10));
  assert.equal((await reading).length, 10);
  await closeBoth(client, server);
  scene.watch.tcpFrames.length = 0;
  const idle = await connect(scene);
  await idle.close();
  const gone = await connect(scene);
  gone.abort();
  assert.deepEqual(scene.watch.tcpFrames, []);
  while (scene.pair.sender.stats().sockets.length > 0) await new Promise((resolve) => setImmediate(resolve));
});

test('a SYN with data that gets lost is repeated without it, and the data comes behind', async () => {
  await using scene = await openScene({ client: { tcp: { initialRtoMicros: 20_000 } } });
  await getCookie(scene);
  scene.watch.loses = (frame) => / S seq .* len [1-9]/.test(frame);
  const accepting = scene.listener.accept();
  const client = await connect(scene);
  await client.write(pattern(700));
  const server = (await accepting)!;
  assert.ok((await receive(server, 700)).equals(Buffer.from(pattern(700))));
  assert.equal(client.tcpInfo().tcpi_options & SYN_DATA, 0);
  assert.equal(client.tcpInfo().tcpi_fastopen_client_fail, SYN_REPEATED);
  await closeBoth(client, server);
});

test('a cookie of an old key is refused: the data is sent again, and the next SYN has the new cookie', async () => {
  await using scene = await openScene();
  await getCookie(scene);
  scene.listener.setOption('TCP_FASTOPEN_KEY', pattern(16));
  assert.deepEqual([...scene.listener.option('TCP_FASTOPEN_KEY')], [...pattern(16)]);
  for (const expected of [0, SYN_DATA]) {
    const accepting = scene.listener.accept();
    const client = await connect(scene);
    await client.write(pattern(300));
    const server = (await accepting)!;
    assert.equal((await receive(server, 300)).length, 300);
    await closeBoth(client, server);
    assert.equal(client.tcpInfo().tcpi_options & SYN_DATA, expected);
  }
  assert.equal(scene.pair.receiver.stats().tcp.fastOpenPassiveFailed, 1);
});

test('nobody listens any more: the write has succeeded, the next call says so', async () => {
  await using scene = await openScene();
  await getCookie(scene);
  scene.listener.close();
  const client = await connect(scene);
  await client.write(pattern(100));
  await assert.rejects(client.recvmsg(), { code: 'ECONNREFUSED' });
  await client.close();
  await using source = await DeviceMemory.allocate({ sizeBytes: 64 * KiB });
  const other = await connect(scene);
  await assert.rejects(other.sendFrom(source), { code: 'ECONNREFUSED' });
  other.abort();
});

test('connections that came with data and were not accepted go with their listener', async () => {
  await using scene = await openScene();
  await getCookie(scene);
  const client = await connect(scene);
  await client.write(pattern(500));
  while (scene.pair.receiver.stats().tcp.fastOpenPassive === 0) await new Promise((resolve) => setImmediate(resolve));
  scene.listener.close();
  await assert.rejects(client.recvmsg(), { code: 'ECONNRESET' });
  await client.close();
});

test('no memory for the data: it is sent again when there is some', async () => {
  await using scene = await openScene({ sizeBytes: 64 * KiB, client: { tcp: { initialRtoMicros: 20_000 } } });
  await getCookie(scene);
  const accepting = scene.listener.accept();
  const hog = await scene.pair.sender.connect({ host: scene.pair.receiverAddress, port: PORT });
  const hogged = (await accepting)!;
  const filling = hog.write(pattern(MiB)).catch(() => {});
  while (hogged.readableBytes < 40_000) await new Promise((resolve) => setImmediate(resolve));
  const accepted = scene.listener.accept();
  const client = await connect(scene);
  await client.write(pattern(1200));
  const server = (await accepted)!;
  const reading = receive(server, 1200);
  hogged.abort();
  hog.abort();
  await filling;
  assert.ok((await reading).equals(Buffer.from(pattern(1200))));
  await closeBoth(client, server);
});

test('where Fast Open is switched off, asking for it is an error; so is what is no number of connections', async () => {
  await using pair = await openPair({ receiver: { tcp: { fastOpen: 1 } }, sender: { tcp: { fastOpen: 2 } } });
  await assert.rejects(pair.receiver.listen({ port: PORT, fastOpen: 4 }), { code: 'EOPNOTSUPP', hint: /fastOpen: 3/ });
  const plain = await pair.receiver.listen({ port: PORT, fastOpen: 0 });
  plain.close();
  await assert.rejects(pair.sender.connect({ host: pair.receiverAddress, port: PORT, fastOpen: true }), {
    code: 'EOPNOTSUPP',
    hint: /fastOpen: 3/,
  });
  for (const fastOpen of [-1, 1.5, Number.NaN, 2 ** 40]) {
    await assert.rejects(pair.sender.listen({ port: PORT, fastOpen }), { code: 'EINVAL' });
  }
});
