import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeviceMemory, KiB, MiB, type DevmemSocket } from '../../src/index.ts';
import { bytesOf, connectInto, openPair, pattern } from '../../testing/hosts.ts';

const TOTAL_BYTES: number = 2 * MiB;

/** Takes the stream to its end, releasing each message; `onBytes` hears how many have come. */
async function takeStream(
  socket: DevmemSocket,
  memory: DeviceMemory,
  onBytes: (bytes: number) => void,
): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const message of socket.messages({ signal: AbortSignal.timeout(20_000) })) {
    parts.push(bytesOf(message, memory));
    bytes += message.bytes;
    message.release();
    onBytes(bytes);
  }
  return Buffer.concat(parts);
}

test('a stream whose binding is closed in the middle goes on in host memory, complete and in order', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair, 256 * KiB);
  const sending = c.peer.write(pattern(TOTAL_BYTES)).then(() => c.peer.shutdown());
  let linearBefore = -1;
  const received = await takeStream(c.socket, c.memory, (bytes) => {
    if (bytes < TOTAL_BYTES / 4 || c.binding.closed) return;
    linearBefore = c.socket.counters.linearBytes;
    c.binding.close();
  });
  await sending;
  assert.equal(linearBefore, 0);
  assert.ok(received.equals(pattern(TOTAL_BYTES)));
  const { dmabufBytes, linearBytes } = c.socket.counters;
  assert.equal(dmabufBytes + linearBytes, TOTAL_BYTES);
  assert.ok(linearBytes > TOTAL_BYTES / 4, `${linearBytes} bytes came in host memory`);
  const stats = pair.receiver.stats();
  assert.equal(stats.sockets[0]!.dmabufId, 0);
  assert.equal(stats.nic['rxDropNoPage'], 0);
});

test('a window that device memory had shut opens when the binding is closed, and what follows is ordinary data', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair, 128 * KiB);
  const sending = c.peer.write(pattern(MiB));
  // Nothing is returned: the window shuts.
  const held = [];
  for (let bytes = 0; bytes < 32 * KiB;) {
    const message = await c.socket.recvmsg();
    held.push(message);
    bytes += message.bytes;
  }
  c.binding.close();
  let bytes = held.reduce((sum, message) => sum + message.bytes, 0);
  let ordinary = 0;
  while (bytes < MiB) {
    const message = await c.socket.recvmsg({ signal: AbortSignal.timeout(20_000) });
    const expected = pattern(message.bytes, bytes);
    assert.ok(bytesOf(message, c.memory).equals(expected), `bytes from ${bytes} on`);
    bytes += message.bytes;
    if (message.ordinary) ordinary += message.bytes;
    held.push(message);
  }
  await sending;
  assert.ok(ordinary > MiB / 2, `${ordinary} bytes came as ordinary data`);
  for (const message of held) message.release();
});

test('who connects to a listener of a closed binding is received into host memory', async () => {
  await using pair = await openPair();
  await using c = await connectInto(pair);
  c.binding.close();
  const accepted = c.listener.accept();
  await using peer = await pair.sender.connect({ host: pair.receiverAddress, port: c.listener.port });
  await using socket = (await accepted)!;
  const sending = peer.write(pattern(MiB)).then(() => peer.shutdown());
  assert.ok((await takeStream(socket, c.memory, () => {})).equals(pattern(MiB)));
  await sending;
});
