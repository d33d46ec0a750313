import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { PagePool } from '../../../src/memory/page-pool.ts';
import { HostRegion } from '../../../src/memory/region.ts';
import { ReceiveWindow } from '../../../src/stack/tcp/window.ts';
import { pattern, readAll, TcpPair } from '../../../testing/tcp-pair.ts';

const MSS = 1460;
const LIMIT_BYTES = 4 * 1024 * 1024;

function pool(pages: number): PagePool {
  return new PagePool({ region: new HostRegion(pages * 4096) });
}

/** What all windows of a pool have promised and how many share it, counted by hand. */
function assertExact(pools: readonly PagePool[], windows: readonly { window: ReceiveWindow; joined: boolean }[]): void {
  for (const each of pools) {
    const mine = windows.filter(({ window }) => window.pool === each);
    assert.equal(
      each.promisedBytes,
      mine.reduce((sum, { window }) => sum + window.promisedBytes, 0),
    );
    assert.equal(each.sharers, mine.filter(({ joined }) => joined).length);
  }
}

test('windows take their promises and their shares along, exactly, whatever happens in between', () => {
  const step = fc.record({
    which: fc.nat(3),
    action: fc.constantFrom('open', 'join', 'begin', 'grow', 'arrive', 'field', 'move', 'close'),
    bytes: fc.nat(20_000),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const pools = [pool(256), pool(1024)];
      const windows = Array.from({ length: 4 }, () => ({
        window: new ReceiveWindow(pools[0]!, LIMIT_BYTES),
        joined: false,
        open: false,
        closed: false,
        rcvNxt: 0,
      }));
      for (const { which, action, bytes } of steps) {
        const one = windows[which]!;
        const { window } = one;
        if (action === 'open' && !one.open && !one.closed) {
          window.open(MSS, 10);
          window.begin(0);
          one.open = true;
        } else if (action === 'join' && one.open && !one.closed) {
          window.join();
          one.joined = true;
        } else if (action === 'grow') {
          window.advance(window.gain(one.rcvNxt, 0, 0, MSS), one.rcvNxt, 0);
        } else if (action === 'arrive' && one.open) {
          one.rcvNxt += Math.min(bytes, Math.max(0, window.edge - one.rcvNxt));
          window.settle(one.rcvNxt, 0);
        } else if (action === 'field') {
          window.field(one.rcvNxt);
        } else if (action === 'move') {
          const { edge } = window;
          window.moveTo(pools[bytes & 1]!);
          assert.equal(window.edge, edge, 'the edge stays where the peer was told it is');
        } else if (action === 'close') {
          window.close();
          one.joined = false;
          one.closed = true;
        }
        assertExact(pools, windows);
      }
      for (const one of windows) one.window.close();
      assert.deepEqual([pools[0]!.promisedBytes, pools[1]!.promisedBytes], [0, 0]);
      assert.deepEqual([pools[0]!.sharers, pools[1]!.sharers], [0, 0]);
    }),
  );
});

test('the shift count stays what the SYN said, however large the other pool is', () => {
  const window = new ReceiveWindow(pool(16), LIMIT_BYTES);
  const { offeredScale } = window;
  window.moveTo(pool(4096));
  assert.equal(window.limitBytes, LIMIT_BYTES);
  assert.equal(window.offeredScale, offeredScale);
});

test('a window that a detached pool had shut opens again in the other one', () => {
  const pair = new TcpPair({ pages: [64, 64] });
  const { client, server, listener } = pair.connect();
  const bytes = 1_000_000;
  const data = pattern(bytes);
  let sent = client.send(data, 0, bytes);
  pair.runFor(1_000_000);
  const parts = [readAll(server, pair.nowMicros)];
  const host = pool(256);
  const old = pair.b.pool;
  pair.b.landing.moveTo(host);
  old.detach(() => {});
  pair.b.layer.movePool(old, host);
  assert.equal(listener.pool, host);
  pair.onStep = () => {
    if (sent < bytes) sent += client.send(data, sent, bytes - sent);
    else client.shutdown(pair.nowMicros);
    parts.push(readAll(server, pair.nowMicros));
    assert.equal(host.promisedBytes, server.receiver.window.promisedBytes);
    assert.equal(old.promisedBytes, 0);
  };
  pair.runUntil(() => server.finReceived);
  assert.ok(Buffer.concat(parts).equals(data.mapping));
  assert.deepEqual([old.sharers, host.sharers], [0, 0], 'after the FIN the window is closed');
});
