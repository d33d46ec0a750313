import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireScript, type PeerSegment } from '../../testing/wire-script.ts';

const MSS = 1000;

/** Ten segments sent, and the first sent again by timeout. */
function timedOut(syn: PeerSegment, unsent = 10, forwardRto = true): WireScript {
  const config = { congestion: 'reno', tailLossProbe: false, forwardRto } as const;
  const wire = new WireScript({ config }).established({ mss: MSS, ...syn });
  wire.send((10 + unsent) * MSS).skip();
  wire.after(250).expect({ seq: 1, payload: MSS }).expectNothing();
  const info = wire.connection!.info(0);
  assert.equal(info.tcpi_ca_state, 4);
  assert.equal(info.tcpi_snd_cwnd, 1);
  assert.equal(info.tcpi_snd_ssthresh, 5);
  return wire;
}

test('§3.1 steps 2b and 3b: new data goes out first; when more of the originals are acknowledged the timeout was spurious', () => {
  const wire = timedOut({ sackPermitted: true });
  wire.recv({ seq: 1, ack: 1 + MSS });
  assert.deepEqual(
    wire.sent.map(({ seq }) => seq),
    [1 + 10 * MSS, 1 + 11 * MSS],
    'new data and nothing again',
  );
  wire.skip().recv({ seq: 1, ack: 1 + 3 * MSS });
  const info = wire.connection!.info(0);
  assert.equal(info.tcpi_ca_state, 0);
  assert.ok(info.tcpi_snd_cwnd >= 10, `${info.tcpi_snd_cwnd}`);
  assert.ok(info.tcpi_snd_ssthresh > 5);
  assert.equal(info.tcpi_total_retrans, 1);
  assert.equal(wire.layer.counters.spuriousTimeouts, 1);
});

test('§3.1 step 3a: a duplicate for the new data, and the loss was real', () => {
  const wire = timedOut({ sackPermitted: true });
  wire.recv({ seq: 1, ack: 1 + MSS }).skip();
  wire.recv({ seq: 1, ack: 1 + MSS, sack: [[1 + 10 * MSS, 1 + 11 * MSS]] });
  assert.equal(wire.sent[0]!.seq, 1 + MSS, 'what was lost is sent again');
  assert.equal(wire.connection!.info(0).tcpi_ca_state, 4);
  assert.equal(wire.connection!.info(0).tcpi_snd_ssthresh, 5);
});

test('§2.1 step 2b: without new data the conventional recovery goes on', () => {
  const wire = timedOut({ sackPermitted: true }, 0);
  wire.recv({ seq: 1, ack: 1 + MSS });
  wire
    .expect({ seq: 1 + MSS, payload: MSS })
    .expect({ seq: 1 + 2 * MSS, payload: MSS })
    .expectNothing();
});

test('§2.1: without SACK too', () => {
  const wire = timedOut({});
  wire.recv({ seq: 1, ack: 1 + MSS }).skip();
  wire.recv({ seq: 1, ack: 1 + 3 * MSS });
  assert.equal(wire.connection!.info(0).tcpi_ca_state, 0);
  assert.ok(wire.connection!.info(0).tcpi_snd_cwnd >= 10);
  const real = timedOut({});
  real
    .recv({ seq: 1, ack: 1 + MSS })
    .skip()
    .recv({ seq: 1, ack: 1 + MSS });
  assert.equal(real.connection!.info(0).tcpi_ca_state, 4);
  assert.equal(real.sent[0]!.seq, 1 + MSS);
});

test('switched off, everything not acknowledged is sent again', () => {
  const wire = timedOut({ sackPermitted: true }, 10, false);
  wire.recv({ seq: 1, ack: 1 + MSS });
  wire
    .expect({ seq: 1 + MSS })
    .expect({ seq: 1 + 2 * MSS })
    .expectNothing();
});

test('SACK of an original, right after the timeout, is proof enough', () => {
  const wire = timedOut({ sackPermitted: true });
  wire.recv({ seq: 1, ack: 1, sack: [[1 + MSS, 1 + 2 * MSS]] });
  assert.notEqual(wire.connection!.info(0).tcpi_ca_state, 4);
  assert.ok(wire.connection!.info(0).tcpi_snd_cwnd >= 10);
});
