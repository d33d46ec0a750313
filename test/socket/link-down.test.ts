import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cable, DeviceMemory, MiB, openHost, type DevmemError } from '../../src/index.ts';
import { bytesOf, connectInto, openPair, pattern, queued } from '../../testing/hosts.ts';
import { FrameLink } from '../../testing/frame-link.ts';
import { DeletableLink, GatedLink } from '../../testing/wrapped-link.ts';

function isLinkDown(error: DevmemError): boolean {
  assert.equal(error.code, 'ENETDOWN');
  assert.match(error.hint!, /interface was deleted/);
  return true;
}

test('a deleted interface ends listening and connecting, now and later', async () => {
  const link = new FrameLink();
  await using host = await openHost({ link, addresses: ['10.9.0.2/24'] });
  const listener = await host.listen({ port: 5201 });
  const iterating = (async () => {
    for await (const socket of listener) socket.abort();
  })();
  const accepting = listener.accept();
  const connecting = host.connect({ host: '10.9.0.1', port: 80 });
  // The iteration begins, the first ARP request goes out.
  await new Promise((resolve) => setImmediate(resolve));
  link.isDown = true;
  link.wake();
  await Promise.all([
    assert.rejects(iterating, isLinkDown),
    assert.rejects(accepting, isLinkDown),
    assert.rejects(connecting, isLinkDown),
  ]);
  assert.equal(listener.closed, true);
  await assert.rejects(listener.accept(), isLinkDown);
  await assert.rejects(host.connect({ host: '10.9.0.1', port: 80 }), isLinkDown);
  await assert.rejects(host.listen({ port: 5202 }), isLinkDown);
  assert.deepEqual(host.stats().listeners, []);
});

test('a listener that was closed before stays just closed', async () => {
  const link = new FrameLink();
  await using host = await openHost({ link, addresses: ['10.9.0.2/24'] });
  const listener = await host.listen({ port: 5201 });
  const other = await host.listen({ port: 5202 });
  listener.close();
  link.isDown = true;
  link.wake();
  await assert.rejects(other.accept(), isLinkDown);
  assert.equal(await listener.accept(), null);
});

test('what had arrived can still be read, then readers and writers are told', async () => {
  let link: DeletableLink | null = null;
  let gate: GatedLink | null = null;
  await using source = await DeviceMemory.allocate({ sizeBytes: MiB });
  await using pair = await openPair({
    // All of what is sent is accepted at once.
    receiver: { wrapLink: (inner) => (link = new DeletableLink(inner)), tcp: { sendBufferInitialBytes: MiB } },
    sender: { wrapLink: (inner) => (gate = new GatedLink(inner)), tcp: { retries: 1, minRtoMicros: 5000 } },
  });
  await using c = await connectInto(pair);
  await c.peer.write(pattern(1000));
  await queued(c.socket, 1000);
  // The receiver's own send is on its way: nobody reads it.
  gate!.allowedFrames = 0;
  const sending = c.socket.sendFrom(source);
  const waiting = pair.receiver.listen({ port: 5202 }).then((listener) => listener.accept());
  await new Promise((resolve) => setImmediate(resolve));
  link!.delete();
  await Promise.all([assert.rejects(waiting, isLinkDown), assert.rejects(sending, { code: 'ENETDOWN' })]);
  assert.equal(source.users.length, 0);
  const message = await c.socket.recvmsg();
  assert.ok(bytesOf(message, c.memory).equals(pattern(1000)));
  message.release();
  await assert.rejects(c.socket.recvmsg(), isLinkDown);
  await assert.rejects(c.socket.write(pattern(1)), isLinkDown);
  await assert.rejects(c.socket.write(pattern(1)), { code: 'EPIPE' });
  c.peer.abort();
});

test('a cable is down when this end closes it, not when the other end does', () => {
  const [one, other] = cable();
  one.close();
  assert.deepEqual([one.isDown, other.isDown], [true, false]);
  other.close();
  assert.equal(other.isDown, true);
});
