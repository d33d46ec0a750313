import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KiB, MiB } from '../../src/index.ts';
import { connectInto, openPair } from '../../testing/hosts.ts';

test(
  'a connection of tiny segments that nobody reads does not starve one that is read',
  { timeout: 60_000 },
  async () => {
    await using pair = await openPair();
    await using slow = await connectInto(pair, 512 * KiB);
    const accepted = slow.listener.accept();
    const peer = await pair.sender.connect({ host: pair.receiverAddress, port: slow.listener.port });
    const quick = (await accepted)!;

    const drip = new Uint8Array(16);
    slow.peer.noDelay = true;
    let received = 0;
    const reading = (async () => {
      for await (const message of quick.messages()) {
        received += message.bytes;
        message.release();
      }
    })();
    // Until the reader that does not read has all it may have, tiny segments and the other's land in turns.
    const block = new Uint8Array(4 * KiB);
    let sent = 0;
    for (let refused = 0; refused < 100;) {
      refused = slow.peer.writeSync(drip) > 0 ? 0 : refused + 1;
      await peer.write(block);
      sent += block.length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const goal = sent + 4 * MiB; sent < goal; sent += block.length) await peer.write(block);
    peer.shutdown();
    await reading;
    assert.equal(received, sent);
    assert.ok(slow.socket.readableBytes > 10_000);
    assert.equal(pair.receiver.stats().nic['rxDropNoPage'], 0);
    await Promise.all([quick.close(), peer.close()]);
  },
);
