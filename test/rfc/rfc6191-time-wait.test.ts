import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN } from '../../src/wire/tcp.ts';
import { SegmentFlood } from '../../testing/segment-flood.ts';
import { PEER_ISS, PEER_PORT, WireScript, type PeerSegment } from '../../testing/wire-script.ts';

/** A connection that we have closed first, in TIME-WAIT: both sides have said nothing but SYN and FIN. */
function timeWait(syn: PeerSegment = {}): WireScript {
  const timestamps: PeerSegment = syn.timestamps === undefined ? {} : { timestamps: [syn.timestamps[0] + 5, 0] };
  const wire = new WireScript().established(syn).close().expect({ flags: 'FA', seq: 1 });
  wire.recv({ seq: 1, ack: 2, ...timestamps });
  wire.recv({ flags: 'FA', seq: 1, ack: 2, ...timestamps }).expect({ flags: 'A', seq: 2, ack: 2 });
  return wire.expectState('TIME-WAIT');
}

test('RFC 1122 §4.2.2.13: a SYN beyond the old numbers begins anew, above ours; one among them is answered', () => {
  const wire = timeWait();
  const oldIss = wire.ourIss;
  wire.recv({ flags: 'S', seq: 1, mss: 1460 }).expect({ flags: 'A', seq: 2, ack: 2 });
  wire.recv({ flags: 'S', seq: 10, mss: 1460 });
  const answer = wire.sent[0]!;
  assert.equal(answer.flags, 'SA');
  assert.equal(((answer.rawSeq - oldIss) | 0) > 65_535, true);
  assert.equal(wire.layer.counters.timeWaitReused, 1);
  assert.equal(wire.layer.timeWaitCount, 0);
  wire.skip().recv({ seq: 11, ack: 1 });
  assert.ok(wire.listener!.accept() !== null);
  // The old connection is over for whoever still holds it.
  wire.expectState('CLOSED');
});

test('§2: with timestamps, what counts is that they move on', () => {
  const wire = timeWait({ timestamps: [100, 0] });
  wire.recv({ flags: 'S', seq: -5000, mss: 1460, timestamps: [105, 0] }).expect({ flags: 'A', seq: 2, ack: 2 });
  wire
    .after(600)
    .recv({ flags: 'S', seq: 50, mss: 1460, timestamps: [104, 0] })
    .expect({ flags: 'A', ack: 2 });
  assert.equal(wire.layer.counters.dropPaws, 1);
  wire.recv({ flags: 'S', seq: -5000, mss: 1460, timestamps: [106, 0] }).expect({ flags: 'SA', ack: -4999 });
});

test('without a listener nothing takes over', () => {
  const wire = timeWait();
  wire.listener!.close(wire.nowMicros);
  wire.recv({ flags: 'S', seq: 1000, mss: 1460 }).expect({ flags: 'A', seq: 2, ack: 2 });
  assert.equal(wire.layer.timeWaitCount, 1);
});

test('RFC 9293 §3.10.7.4: a FIN again starts the wait anew; an acknowledgment does not', () => {
  const wire = timeWait();
  wire.after(50_000).recv({ flags: 'FA', seq: 1, ack: 2 }).expect({ flags: 'A', seq: 2, ack: 2 });
  wire.after(50_000).expectState('TIME-WAIT').recv({ seq: 2, ack: 2 }).expectNothing();
  wire.after(10_001).expectState('CLOSED');
  assert.equal(wire.layer.connectionCount, 0);
});

test('RFC 1337: resets and data end nothing', () => {
  const wire = timeWait();
  for (const flags of ['R', 'RA']) wire.recv({ flags, seq: 2, ack: 2 }).expectNothing();
  assert.equal(wire.layer.counters.dropTimeWaitReset, 2);
  wire.recv({ seq: 2, ack: 2, payload: 10 }).expect({ flags: 'A', seq: 2, ack: 2 });
  wire.expectState('TIME-WAIT');
});

test('empty segments outside the window are answered once in a while only', () => {
  const wire = timeWait();
  for (let i = 0; i < 100; i++) wire.recv({ seq: 50 + i, ack: 2 });
  assert.equal(wire.sent.length, 1);
  wire.skip().after(500).recv({ seq: 50, ack: 2 }).expect({ flags: 'A', seq: 2 });
});

test('timestamps go on in TIME-WAIT', () => {
  const wire = timeWait({ timestamps: [100, 0] });
  wire.after(250).recv({ flags: 'FA', seq: 1, ack: 2, timestamps: [300, 0] });
  const [value, echo] = wire.sent[0]!.timestamps!;
  assert.equal(echo, 105);
  assert.equal((value - wire.connection!.timestamp(wire.nowMicros)) | 0, 0);
});

test('thousands in TIME-WAIT: at the limit the oldest goes; nothing of the connections is held', () => {
  const limit = 4096;
  const wire = new WireScript({ config: { timeWaitLimit: limit, synCookies: 0 } }).listen(64);
  const flood = new SegmentFlood({ layer: wire.layer, ip: wire.ip, landing: wire.landing });
  const [peer] = flood.hosts;
  const weak: WeakRef<object>[] = [];
  for (let port = 1; port <= limit + 100; port++) {
    const send = (flags: number, seq: number, ack: number): void => {
      flood.send(peer!, port, 80, flags, (PEER_ISS + seq) | 0, (wire.ourIss + ack) | 0, wire.nowMicros);
      wire.flush();
    };
    send(TCP_SYN, 0, 0);
    send(TCP_ACK, 1, 1);
    const connection = wire.listener!.accept()!;
    weak.push(new WeakRef(connection));
    connection.close(wire.nowMicros);
    wire.flush();
    send(TCP_ACK, 1, 2);
    send(TCP_FIN | TCP_ACK, 1, 2);
    assert.equal(connection.state, 'TIME-WAIT');
    wire.skip().log.length = 0;
  }
  assert.equal(wire.layer.timeWaitCount, limit);
  assert.equal(wire.layer.connectionCount, limit);
  assert.equal(wire.layer.counters.timeWaitEvicted, 100);
  assert.deepEqual([...wire.layer.connections], []);
  assert.equal(wire.layer.timers.size, 0);
  assert.equal(wire.pool.sharers, 0);
  assert.equal(weak.length, limit + 100);
  flood.send(peer!, limit + 50, 80, TCP_RST, (PEER_ISS + 2) | 0, 0, wire.nowMicros);
  wire.after(60_000);
  assert.equal(wire.layer.connectionCount, 0);
  assert.equal(wire.layer.pollAt(), Number.POSITIVE_INFINITY);
});

test('the port of a connection in TIME-WAIT is not chosen for another one to the same end', () => {
  const wire = new WireScript({ config: { ephemeralFirst: 40_001, ephemeralLast: 40_001 } });
  const open = (): void => {
    wire.connection = wire.layer.connect({ remote: wire.peer, remotePort: PEER_PORT, pool: wire.pool }, wire.nowMicros);
    wire.flush().skip();
  };
  open();
  wire.ourIss = wire.connection!.sender.iss;
  wire.recv({ flags: 'SA', seq: 0, ack: 1, toPort: 40_001 }).close();
  wire.recv({ seq: 1, ack: 2, toPort: 40_001 }).recv({ flags: 'FA', seq: 1, ack: 2, toPort: 40_001 }).skip();
  wire.expectState('TIME-WAIT');
  assert.throws(open, { code: 'EADDRNOTAVAIL' });
  wire.after(60_000);
  open();
});
