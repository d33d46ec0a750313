import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storeOption } from '../../src/stack/tcp/options.ts';
import { LOCAL_PORT, PEER_PORT, type PeerSegment, WireScript } from '../../testing/wire-script.ts';

/** When the segments were sent that are in `sent`, in ms. */
function times(wire: WireScript): number[] {
  return wire.sent.map(({ atMs }) => atMs);
}

/** Sets options of the listener of a script. */
function listening(wire: WireScript, name: string, value: number): WireScript {
  wire.listen();
  wire.listener!.options = wire.layer.options.own(wire.layer.config);
  assert.equal(storeOption(wire.listener!.options, name, value, wire.layer.config), 0);
  return wire;
}

test('RFC 6298 §5.5: the timeout of a SYN doubles, up to its limit', () => {
  const wire = new WireScript({ config: { synRetries: 5, maxRtoMicros: 6_000_000 } }).connect().after(60_000);
  assert.deepEqual(times(wire), [0, 1000, 3000, 7000, 13_000, 19_000]);
  assert.equal(wire.connection!.errno, 110);
});

test('tcp_syn_linear_timeouts: the first of them do not double', () => {
  const wire = new WireScript({ config: { synRetries: 6, synLinearTimeouts: 4 } }).connect().after(60_000);
  assert.deepEqual(times(wire), [0, 1000, 2000, 3000, 4000, 5000, 7000]);
});

test('TCP_SYNCNT is of one connection', () => {
  const wire = new WireScript();
  const options = wire.layer.options.own(wire.layer.config);
  assert.equal(storeOption(options, 'TCP_SYNCNT', 2, wire.layer.config), 0);
  wire.connection = wire.layer.connect(
    { remote: wire.peer, remotePort: PEER_PORT, localPort: LOCAL_PORT, pool: wire.pool, options },
    wire.nowMicros,
  );
  wire.flush().after(60_000);
  assert.deepEqual(times(wire), [0, 1000, 3000]);
});

test('tcp_rto_max: a SYN-ACK too', () => {
  const wire = new WireScript({ config: { maxRtoMicros: 1_000_000, synAckRetries: 3 } }).listen();
  wire.recv({ flags: 'S', mss: 1460 }).after(10_000);
  assert.deepEqual(times(wire), [0, 1000, 2000, 3000]);
  assert.equal(wire.layer.connectionCount, 0);
});

test('TCP_DEFER_ACCEPT: an acknowledgment does not end the handshake, data does', () => {
  const wire = listening(new WireScript(), 'TCP_DEFER_ACCEPT', 10);
  wire.recv({ flags: 'S', mss: 1460 }).expect({ flags: 'SA' });
  wire.recv({ seq: 1, ack: 1 }).expectNothing();
  assert.equal(wire.listener!.acceptableCount, 0);
  wire.after(1500).expectNothing();
  wire.recv({ seq: 1, ack: 1, payload: 20 });
  wire.connection = wire.listener!.accept();
  wire.expectState('ESTABLISHED').expectRead(0, 20);
});

test('TCP_DEFER_ACCEPT: when its time is over, a repeated SYN-ACK gives the peer a last chance', () => {
  const wire = listening(new WireScript({ config: { synAckRetries: 2 } }), 'TCP_DEFER_ACCEPT', 10);
  wire.recv({ flags: 'S', mss: 1460 }).skip().recv({ seq: 1, ack: 1 });
  wire.after(14_900).expectNothing();
  wire.after(200).expect({ flags: 'SA' });
  wire.recv({ seq: 1, ack: 1 });
  assert.equal(wire.listener!.acceptableCount, 1);
});

test('RFC 9293 figure 8: both sides open at once, and their data follows', () => {
  const wire = new WireScript().connect().expect({ flags: 'S' });
  wire.recv({ flags: 'S', seq: 0, mss: 1460 }).expect({ flags: 'SA', seq: 0, ack: 1 }).expectState('SYN-RECEIVED');
  wire.recv({ flags: 'SA', seq: 0, ack: 1, mss: 1460 }).expectState('ESTABLISHED').skip();
  wire.recv({ seq: 1, ack: 1, payload: 30 }).expectRead(0, 30);
  wire.send(40).skip().recv({ seq: 31, ack: 41 });
  assert.equal(wire.connection!.completedOffset, 40);
});

test('RFC 7323 §5.3: a SYN-ACK that echoes what we never sent is not for our SYN', () => {
  const wire = new WireScript().connect();
  const sent = wire.sent.shift()!.timestamps![0];
  wire.after(20);
  for (const echo of [sent - 1, sent + 21]) {
    wire.recv({ flags: 'SA', seq: 0, ack: 1, mss: 1460, timestamps: [7, echo] }).expect({ flags: 'R', seq: 1 });
  }
  wire.expectState('SYN-SENT');
  wire.recv({ flags: 'SA', seq: 0, ack: 1, mss: 1460, timestamps: [7, sent] }).expectState('ESTABLISHED');
});

test('signed segments are dropped: no key was agreed on', () => {
  const wire = new WireScript().established();
  const signed = new Uint8Array([19, 18, ...Array.from({ length: 16 }, (_, i) => i), 1, 1]);
  wire.recv({ flags: 'R', seq: 1, options: signed }).expectNothing().expectState('ESTABLISHED');
  assert.equal(wire.layer.counters.dropSigned, 1);
});

test('tcp_invalid_ratelimit: a SYN again is answered again, but a flood of them twice a second', () => {
  const wire = new WireScript().listen();
  const syn: PeerSegment = { flags: 'S', seq: 0, mss: 1460, timestamps: [7, 0] };
  wire.recv(syn).expect({ flags: 'SA' });
  wire.recv(syn).expect({ flags: 'SA', seq: 0, ack: 1 }); // the first repetition: our SYN-ACK was lost
  for (let i = 0; i < 100; i++) wire.recv(syn).expectNothing();
  assert.equal(wire.layer.counters.challengeAcksSuppressed, 100);
  wire.after(499).recv(syn).expectNothing();
  wire.after(1).recv(syn).expect({ flags: 'SA' });
  // Suppressed or not, the handshake goes on; and what it used up of the limit does not hold for the connection.
  wire.recv({ seq: 1, ack: 1, timestamps: [8, 0] });
  wire.connection = wire.listener!.accept();
  wire.expectState('ESTABLISHED');
  wire.recv(syn).expect({ flags: 'A', seq: 1, ack: 1 });
  wire.recv(syn).expectNothing();
});

test('tcp_invalid_ratelimit 0: each SYN is answered', () => {
  const wire = new WireScript({ config: { invalidSegmentMicros: 0 } }).listen();
  for (let i = 0; i < 20; i++) wire.recv({ flags: 'S', mss: 1460 }).expect({ flags: 'SA' });
});
