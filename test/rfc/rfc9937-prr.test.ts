import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProportionalRate } from '../../src/stack/tcp/prr.ts';
import { WireScript } from '../../testing/wire-script.ts';

const MSS = 1000;

/** Acknowledgments of one segment each; `pipe` shrinks by it and grows by what is sent. */
function rounds(prr: ProportionalRate, pipe: number, ssthresh: number, acks: number, isSafe: boolean): number[] {
  const sent: number[] = [];
  let inFlight = pipe;
  for (let i = 0; i < acks; i++) {
    inFlight--;
    const window = prr.window(1, isSafe, inFlight, ssthresh);
    const segments = Math.max(0, window - inFlight);
    prr.sent(segments);
    inFlight += segments;
    sent.push(segments);
  }
  return sent;
}

test('§6.2: above the threshold, sending is spread over the round trip in its proportion', () => {
  const prr = new ProportionalRate();
  prr.begin(20);
  const sent = rounds(prr, 20, 10, 20, false);
  assert.equal(
    sent.reduce((sum, n) => sum + n, 0),
    10,
  );
  assert.ok(Math.max(...sent) === 1, 'never two for one');
  // Every other acknowledgment, from the first.
  assert.deepEqual(sent.slice(0, 6), [1, 0, 1, 0, 1, 0]);
});

test('§6.2: below it, one for one while losses are found, two for one when all goes well', () => {
  const careful = new ProportionalRate();
  careful.begin(20);
  assert.deepEqual(rounds(careful, 4, 10, 5, false), [1, 1, 1, 1, 1]);
  const safe = new ProportionalRate();
  safe.begin(20);
  assert.deepEqual(rounds(safe, 4, 10, 5, true), [2, 2, 2, 2, 2]);
  // Up to the threshold, and not above.
  assert.deepEqual(rounds(safe, 9, 10, 4, true), [2, 1, 1, 1]);
});

test('§6.2: the first retransmission is not held back', () => {
  const prr = new ProportionalRate();
  prr.begin(20);
  assert.equal(prr.window(0, false, 20, 10), 21);
});

test('§5: the window ends at the threshold, also after many losses', () => {
  const wire = new WireScript({ config: { congestion: 'reno', initialWindowSegments: 20 } }).established({
    sackPermitted: true,
    mss: MSS,
  });
  wire.send(100 * MSS).skip();
  // The first ten of twenty are lost; the others arrive one by one.
  for (let i = 11; i <= 20; i++) wire.recv({ seq: 1, ack: 1, sack: [[10 * MSS + 1, i * MSS + 1]] });
  const resent = wire.sent.filter(({ seq }) => seq < 10 * MSS);
  assert.ok(resent.length >= 8, `${resent.length}`);
  assert.ok(wire.connection!.info(0).tcpi_snd_cwnd <= 10);
  const next = wire.connection!.sender.nxtOffset;
  wire.skip().recv({ seq: 1, ack: 1 + next });
  const info = wire.connection!.info(0);
  assert.equal(info.tcpi_ca_state, 0);
  // The threshold, and what this acknowledgment's segments add in congestion avoidance.
  assert.equal(info.tcpi_snd_ssthresh, 10);
  assert.equal(info.tcpi_snd_cwnd, 11);
});

test('a mark of congestion reduces the same way, once in a round trip (RFC 3168 §6.1.2)', () => {
  const wire = new WireScript({ config: { congestion: 'reno' } }).established({ sackPermitted: true, mss: MSS });
  wire.send(100 * MSS).skip();
  const { sender } = wire.connection!;
  sender.ecnEcho(wire.nowMicros);
  assert.equal(wire.connection!.info(0).tcpi_ca_state, 2);
  assert.equal(wire.connection!.info(0).tcpi_snd_ssthresh, 5);
  assert.ok(sender.cwrPending);
  sender.ecnEcho(wire.nowMicros);
  assert.equal(wire.connection!.info(0).tcpi_snd_ssthresh, 5);
  for (let i = 1; i <= 10; i++) wire.recv({ seq: 1, ack: 1 + i * MSS });
  assert.equal(wire.sent.length, 5);
  // Held until something beyond is acknowledged, then at the threshold.
  assert.equal(wire.connection!.info(0).tcpi_ca_state, 2);
  wire.recv({ seq: 1, ack: 1 + 11 * MSS });
  assert.equal(wire.connection!.info(0).tcpi_ca_state, 0);
  assert.equal(wire.connection!.info(0).tcpi_snd_cwnd, 5);
});
