import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireScript } from '../../testing/wire-script.ts';

const MSS = 1000;
const SEGMENT = MSS - 12;

function at(segment: number): number {
  return 1 + segment * SEGMENT;
}

/** Ten segments sent with timestamps, 50 ms ago. */
function stamped(): { wire: WireScript; stamp: number } {
  const wire = new WireScript({ config: { congestion: 'reno', tailLossProbe: false } }).established({
    mss: MSS,
    sackPermitted: true,
    timestamps: [1, 0],
  });
  wire.send(40 * SEGMENT);
  const [stamp] = wire.sent[0]!.timestamps!;
  wire.skip().after(50);
  return { wire, stamp };
}

test('RFC 3522 §3.2: an echo from before the retransmission: the original has arrived, and the window comes back', () => {
  const { wire, stamp } = stamped();
  for (let i = 2; i <= 4; i++) {
    wire.recv({ seq: 1, ack: 1, sack: [[at(1), at(i)]], timestamps: [2, stamp] });
  }
  assert.equal(wire.connection!.info(0).tcpi_ca_state, 3);
  assert.equal(wire.connection!.info(0).tcpi_snd_ssthresh, 5);
  wire.after(10).recv({ seq: 1, ack: at(10), timestamps: [3, stamp] });
  const info = wire.connection!.info(0);
  assert.ok(info.tcpi_snd_cwnd >= 10, `${info.tcpi_snd_cwnd}`);
  assert.ok(info.tcpi_snd_ssthresh > 10);
});

test('RFC 3522: an echo of the retransmission: the window stays as it is', () => {
  const { wire, stamp } = stamped();
  for (let i = 2; i <= 4; i++) wire.recv({ seq: 1, ack: 1, sack: [[at(1), at(i)]], timestamps: [2, stamp] });
  const resent = wire.sent.find(({ seq }) => seq === 1)!;
  wire.after(50).recv({ seq: 1, ack: at(10), timestamps: [3, resent.timestamps![0]] });
  const info = wire.connection!.info(0);
  assert.equal(info.tcpi_snd_cwnd, 5);
  assert.equal(info.tcpi_snd_ssthresh, 5);
});

test('RFC 4015: after a timeout as well', () => {
  const { wire, stamp } = stamped();
  wire.after(250);
  assert.equal(wire.connection!.info(0).tcpi_ca_state, 4);
  wire.recv({ seq: 1, ack: at(1), timestamps: [3, stamp] });
  const info = wire.connection!.info(0);
  assert.equal(info.tcpi_ca_state, 0);
  assert.equal(info.tcpi_lost, 0);
  assert.ok(info.tcpi_snd_cwnd >= 10);
  assert.equal(info.tcpi_total_rto, 1);
  assert.equal(info.tcpi_retransmits, 0);
});

test('RFC 3708 §2: every retransmission is reported as received twice', () => {
  const wire = new WireScript({ config: { congestion: 'reno', tailLossProbe: false } }).established({
    mss: MSS,
    sackPermitted: true,
  });
  wire.send(40 * MSS).skip();
  const seq = (segment: number): number => 1 + segment * MSS;
  for (let i = 2; i <= 4; i++) wire.recv({ seq: 1, ack: 1, sack: [[seq(1), seq(i)]] });
  assert.equal(wire.sent.at(-1)!.seq, 1);
  assert.equal(wire.connection!.info(0).tcpi_snd_ssthresh, 5);
  wire.recv({ seq: 1, ack: seq(4) });
  wire.recv({ seq: 1, ack: seq(4), sack: [[1, seq(1)]] });
  const info = wire.connection!.info(0);
  assert.equal(info.tcpi_ca_state, 0);
  assert.ok(info.tcpi_snd_cwnd >= 10, `${info.tcpi_snd_cwnd}`);
  assert.equal(info.tcpi_dsack_dups, 1);
});

test('RFC 3708: a report of what we have sent once only says nothing about us', () => {
  const wire = new WireScript({ config: { congestion: 'reno', tailLossProbe: false } }).established({
    mss: MSS,
    sackPermitted: true,
  });
  wire.send(40 * MSS).skip();
  wire.recv({ seq: 1, ack: 1 + 2 * MSS });
  for (let i = 0; i < 5; i++) wire.recv({ seq: 1, ack: 1 + 2 * MSS, sack: [[1, 1 + MSS]] });
  const { recovery } = wire.connection!.sender;
  assert.equal(recovery.rack.windowSteps, 1);
  assert.equal(wire.connection!.info(0).tcpi_ca_state, 0);
  assert.equal(wire.connection!.info(0).tcpi_total_retrans, 0);
});

test('a mark of congestion is proof: nothing is undone', () => {
  const wire = new WireScript({ config: { congestion: 'reno', tailLossProbe: false } }).established({
    mss: MSS,
    sackPermitted: true,
  });
  wire.send(40 * MSS).skip();
  const seq = (segment: number): number => 1 + segment * MSS;
  for (let i = 2; i <= 4; i++) wire.recv({ seq: 1, ack: 1, sack: [[seq(1), seq(i)]] });
  wire.connection!.sender.ecnEcho(wire.nowMicros);
  wire.recv({ seq: 1, ack: seq(4) });
  wire.recv({ seq: 1, ack: seq(4), sack: [[1, seq(1)]] });
  assert.ok(wire.connection!.info(0).tcpi_snd_cwnd < 10, `${wire.connection!.info(0).tcpi_snd_cwnd}`);
  assert.equal(wire.connection!.info(0).tcpi_snd_ssthresh, 5);
});
