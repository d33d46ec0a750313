import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../../src/core/random.ts';
import { ChallengeBudget } from '../../src/stack/tcp/challenge.ts';
import { TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN, TCP_URG } from '../../src/wire/tcp.ts';
import { SegmentFlood } from '../../testing/segment-flood.ts';
import { PEER_ISS, PEER_PORT, WireScript, type WireScriptOptions } from '../../testing/wire-script.ts';

const LOCAL_PORT = 80;
/** Everything from no flag at all to a Christmas tree, the usual ones more often. */
const FLAGS: readonly number[] = [
  ...[TCP_RST, TCP_RST | TCP_ACK, TCP_SYN, TCP_SYN | TCP_ACK, TCP_ACK, TCP_ACK | TCP_PSH, TCP_FIN | TCP_ACK],
  ...[0, TCP_FIN, TCP_SYN | TCP_FIN, TCP_SYN | TCP_RST, TCP_URG, TCP_PSH, 0x3f, 0x1ff],
];
const PAYLOAD = new Uint8Array(100).fill(0xee);

interface Victim {
  wire: WireScript;
  flood: SegmentFlood;
}

function victim(options: WireScriptOptions = {}): Victim {
  const wire = new WireScript({ pages: 128, ...options }).established({ sackPermitted: true });
  return { wire, flood: new SegmentFlood({ layer: wire.layer, ip: wire.ip, landing: wire.landing }) };
}

/** The connection works as if nothing had been: both directions, and only what its peer has sent. */
function assertUnharmed({ wire }: Victim): void {
  wire.expectState('ESTABLISHED').after(1000).skip();
  assert.equal(wire.connection!.receiveQueue.bytes, 0);
  wire.recv({ seq: 1, ack: 1, payload: 500 }).expectRead(0, 500);
  wire.send(700).skip().recv({ seq: 501, ack: 701 });
  assert.equal(wire.connection!.completedOffset, 700);
}

test('a million blind segments to a connection whose ports are known harm nothing', () => {
  const target = victim();
  const { wire, flood } = target;
  const random = new SeededRandom(11);
  for (let i = 0; i < 1_000_000; i++) {
    const flags = FLAGS[i % FLAGS.length]!;
    let sequence = random.u32() | 0;
    // A hit on RCV.NXT, or data in the window with a good acknowledgment, is not blind: its chance is 2^-32 and less.
    if ((sequence - PEER_ISS - 1) >>> 0 < 0x20_0000 && (flags & (TCP_RST | TCP_ACK)) !== 0) {
      sequence = (sequence + 0x4000_0000) | 0;
    }
    const hasPayload = (i & 3) === 0;
    flood.send(
      wire.peer,
      PEER_PORT,
      LOCAL_PORT,
      flags,
      sequence,
      random.u32() | 0,
      wire.nowMicros,
      hasPayload ? PAYLOAD : undefined,
    );
    if ((i & 0xff) === 0) {
      wire.flush();
      wire.clock.advanceTo(wire.nowMicros + 256);
      wire.sent.length = 0;
      wire.log.length = 0;
      assert.ok(wire.pool.promisedBytes <= wire.pool.availableBytes);
    }
  }
  assert.equal(wire.layer.connectionCount, 1);
  assertUnharmed(target);
  wire.abort();
  assert.equal(wire.landing.foreignReferences, 0);
});

test('§3: resets all over the window: each but the exact one is challenged, within the limits', () => {
  const target = victim({ config: { challengeAcksPerSecond: 20, invalidSegmentMicros: 0 } });
  const { wire, flood } = target;
  for (let i = 0; i < 10_000; i++) {
    flood.send(wire.peer, PEER_PORT, LOCAL_PORT, TCP_RST, (PEER_ISS + 2 + i) | 0, 0, wire.nowMicros);
  }
  wire.flush();
  assert.equal(wire.layer.counters.dropBlindReset, 10_000);
  assert.ok(wire.layer.counters.challengeAcks >= 10 && wire.layer.counters.challengeAcks <= 30);
  assertUnharmed(target);
});

test('§5: data in the window with an acknowledgment that cannot be is not taken', () => {
  const target = victim();
  const { wire, flood } = target;
  const random = new SeededRandom(3);
  for (let i = 0; i < 50_000; i++) {
    // Of 2^32 acknowledgment numbers only those of one window's size are good.
    const acknowledgment = (wire.ourIss + 2 + (random.u32() % 0xf000_0000)) | 0;
    flood.send(wire.peer, PEER_PORT, LOCAL_PORT, TCP_ACK, (PEER_ISS + 1) | 0, acknowledgment, wire.nowMicros, PAYLOAD);
  }
  wire.flush().skip();
  assert.equal(wire.layer.counters.dropBadAck, 50_000);
  assertUnharmed(target);
});

test('an on-path attacker outside the window: nothing is taken, answers are few where they could loop', () => {
  const target = victim();
  const { wire, flood } = target;
  for (let i = 0; i < 100_000; i++) {
    const flags = FLAGS[i % FLAGS.length]!;
    const outside = (i & 1) === 0 ? PEER_ISS - 1000 - (i % 5000) : PEER_ISS + 3_000_000 + i;
    flood.send(wire.peer, PEER_PORT, LOCAL_PORT, flags, outside | 0, (wire.ourIss + 1) | 0, wire.nowMicros);
  }
  const before = wire.sent.length;
  wire.flush();
  assert.ok(wire.sent.length - before <= 1);
  assertUnharmed(target);
});

test('flags that make no sense are dropped: none at all, SYN with FIN, SYN with RST', () => {
  const target = victim();
  const { wire } = target;
  wire.recv({ flags: '', seq: 1, payload: 10 }).expectNothing();
  assert.equal(wire.layer.counters.dropNoAck, 1);
  wire.recv({ flags: 'SF', seq: 1, payload: 10 }).expect({ flags: 'A', seq: 1, ack: 1 });
  wire.after(1000).recv({ flags: 'SR', seq: 2 }).expect({ flags: 'A' });
  wire.recv({ flags: 'SF', seq: 0, port: 77 }).expectNothing();
  wire.recv({ flags: 'SR', seq: 0, port: 77 }).expectNothing();
  wire.recv({ flags: '', seq: 0, port: 77 }).expectNothing();
  assertUnharmed(target);
});

test('§3.2: a reset that answers data held out of order fits where that ends', () => {
  const wire = new WireScript().established({ sackPermitted: true });
  wire.recv({ seq: 1001, ack: 1, payload: 500 }).skip();
  wire.recv({ flags: 'R', seq: 1501 }).expectState('CLOSED');
});

test('a reset where the FIN was, as some send it, ends a connection that only waits to close', () => {
  const wire = new WireScript().established();
  wire.recv({ flags: 'FA', seq: 1, ack: 1 }).expectState('CLOSE-WAIT').skip();
  wire.recv({ flags: 'R', seq: 1 }).expectState('CLOSED');
});

test('§3.2, §4.2 in SYN-RECEIVED: challenges, and the exact reset', () => {
  const wire = new WireScript().listen().recv({ flags: 'S', seq: 0, mss: 1460 }).expect({ flags: 'SA' });
  wire.recv({ flags: 'R', seq: 2 }).expect({ flags: 'A', seq: 1, ack: 1 });
  wire.after(600).recv({ flags: 'RA', seq: 2, ack: 99 }).expect({ flags: 'A', seq: 1, ack: 1 });
  wire.recv({ flags: 'R', seq: 100_001 }).expectNothing();
  wire.after(100).recv({ flags: 'S', seq: 1, mss: 1460 }).expectNothing();
  wire.recv({ flags: 'R', seq: 1 }).expectNothing();
  assert.equal(wire.layer.connectionCount, 0);
});

test('§7: the budget of each second is another one, and what it is on average', () => {
  const budget = new ChallengeBudget(100, new SeededRandom(2));
  const counts = Array.from({ length: 400 }, (_, second) => {
    let count = 0;
    while (budget.take(second * 1_000_000)) count++;
    return count;
  });
  assert.ok(counts.every((count) => count >= 50 && count < 150));
  assert.ok(new Set(counts).size > 50);
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  assert.ok(Math.abs(mean - 100) < 10, `${mean}`);
});
