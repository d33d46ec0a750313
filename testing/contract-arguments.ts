import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connectInto, pattern, queued, type HostFactory } from './hosts.ts';

/** The part of the contract about callers' mistakes, and about what a socket says of its own sending. */
export function argumentTests(factory: HostFactory): void {
  test('what is no token: EINVAL, and nothing is freed, not even the good ones beside it', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    await c.peer.write(pattern(100));
    await queued(c.socket, 100);
    const message = await c.socket.recvmsg();
    const { token } = message.frags[0]!;
    for (const wrong of [1.5, -1, 2 ** 32, Number.NaN, Number.POSITIVE_INFINITY, '1' as unknown as number]) {
      assert.throws(() => c.socket.release([token, wrong]), { code: 'EINVAL' });
      assert.throws(() => c.socket.releaseTokens(wrong, 1), { code: 'EINVAL' });
      assert.throws(() => c.socket.releaseTokens(token, wrong), { code: 'EINVAL' });
    }
    assert.equal(c.socket.tokensHeld, 1);
    assert.equal(c.socket.counters.tokensUnknown, 0);
    assert.equal(message.release(), 1);
  });

  test('room for nothing is refused: it could not be told from the end of the stream', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    for (const wrong of [
      { maxFrags: -1 },
      { maxFrags: 1.5 },
      { maxBytes: 0 },
      { maxBytes: NaN },
      { maxLinearBytes: 0 },
    ]) {
      await assert.rejects(c.socket.recvmsg(wrong), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
      await assert.rejects(c.socket.messages(wrong).next(), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
    }
  });

  test('only bytes are sent: a string is refused with what to do', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    for (const wrong of ['hello', [1, 2], null, undefined] as unknown as Uint8Array[]) {
      await assert.rejects(c.peer.write(wrong), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
      await assert.rejects(c.peer.sendmsg(wrong), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
      assert.throws(() => c.peer.writeSync(wrong), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
    }
    assert.equal(c.peer.counters.sentCopiedBytes, 0);
  });

  test('acknowledgedBytes and endAcknowledged follow what the peer has acknowledged', async () => {
    await using pair = await factory.open();
    await using c = await connectInto(pair);
    assert.equal(c.peer.acknowledgedBytes, 0);
    await c.peer.write(pattern(50_000));
    await queued(c.socket, 50_000);
    (await c.socket.recvmsg({ maxFrags: 1000 })).release();
    assert.equal(c.peer.endAcknowledged, false);
    await c.peer.close();
    assert.equal(c.peer.acknowledgedBytes, 50_000);
    assert.equal(c.peer.endAcknowledged, true);
  });
}
