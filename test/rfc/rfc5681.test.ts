import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireScript } from '../../testing/wire-script.ts';

const MSS = 1460;
const RENO = { config: { congestion: 'reno' } } as const;

test('RFC 6928: the first flight is ten segments', () => {
  const wire = new WireScript().established();
  wire.send(100 * MSS);
  assert.equal(wire.sent.length, 10);
});

test('RFC 6928 §2: ten segments after a SYN that was lost once, one if more than once', () => {
  for (const [ms, segments] of [
    [1500, 10],
    [3500, 1],
  ] as const) {
    const wire = new WireScript({ config: { synLinearTimeouts: 0 } }).connect().at(ms).skip();
    wire
      .recv({ flags: 'SA', seq: 0, ack: 1, mss: MSS })
      .skip()
      .send(20 * MSS);
    assert.equal(wire.sent.length, segments);
  }
});

test('RFC 4015: ten all the same if the answer was to the first SYN', () => {
  const wire = new WireScript({ config: { synLinearTimeouts: 0 } }).connect();
  const [first] = wire.sent[0]!.timestamps!;
  wire.at(3500).skip();
  wire
    .recv({ flags: 'SA', seq: 0, ack: 1, mss: MSS, timestamps: [7, first] })
    .skip()
    .send(20 * MSS);
  assert.equal(wire.sent.length, 10);
});

test('§3.1: slow start doubles', () => {
  const wire = new WireScript().established();
  wire.send(100 * MSS).skip();
  wire.recv({ seq: 1, ack: 1 + 10 * MSS });
  assert.equal(wire.sent.length, 20);
});

test('§3.1: a window that is not used does not grow', () => {
  const wire = new WireScript().established();
  const before = wire.connection!.info(0).tcpi_snd_cwnd;
  for (let i = 0; i < 50; i++) wire.send(100).recv({ seq: 1, ack: 1 + 100 * (i + 1) });
  assert.equal(wire.connection!.info(0).tcpi_snd_cwnd, before);
});

test('§3.2: the third duplicate sends the first segment again; recovery ends with a halved window', () => {
  const wire = new WireScript(RENO).established();
  wire.send(10 * MSS).skip();
  for (let i = 0; i < 2; i++) wire.recv({ seq: 1, ack: 1 }).expectNothing();
  wire.recv({ seq: 1, ack: 1 }).expect({ seq: 1, payload: MSS }).expectNothing();
  wire.recv({ seq: 1, ack: 1 + 10 * MSS });
  // Without SACK the state is held until something beyond is acknowledged (RFC 6582 §4).
  wire.send(MSS).recv({ seq: 1, ack: 1 + 11 * MSS });
  const info = wire.connection!.info(0);
  assert.equal(info.tcpi_snd_cwnd, 5);
  assert.equal(info.tcpi_ca_state, 0);
});

test('§2: a changed window, or data, is no duplicate', () => {
  const wire = new WireScript().established();
  wire.send(10 * MSS).skip();
  for (let i = 0; i < 5; i++) wire.recv({ seq: 1, ack: 1, window: 30_000 + i });
  for (let i = 0; i < 5; i++) wire.recv({ seq: 1 + i, ack: 1, payload: 1, window: 30_004 });
  assert.equal(wire.connection!.info(0).tcpi_total_retrans, 0);
});

test('RFC 6582 §3.2 (3): a partial acknowledgment names the next hole', () => {
  const wire = new WireScript().established();
  wire.send(10 * MSS).skip();
  for (let i = 0; i < 3; i++) wire.recv({ seq: 1, ack: 1 });
  wire.expect({ seq: 1, payload: MSS });
  wire
    .recv({ seq: 1, ack: 1 + 3 * MSS })
    .expect({ seq: 1 + 3 * MSS, payload: MSS })
    .expectNothing();
  assert.equal(wire.connection!.info(0).tcpi_ca_state, 3);
});

test('RFC 3042: the first two duplicates let new data go', () => {
  const wire = new WireScript().established();
  wire.send(30 * MSS).skip();
  wire
    .recv({ seq: 1, ack: 1 })
    .expect({ seq: 1 + 10 * MSS, payload: MSS })
    .expectNothing();
  wire
    .recv({ seq: 1, ack: 1 })
    .expect({ seq: 1 + 11 * MSS, payload: MSS })
    .expectNothing();
});

test('§3.1: after a timeout the window is one segment, then slow start up to half the flight', () => {
  const wire = new WireScript(RENO).established();
  wire.send(20 * MSS).skip();
  wire.after(350).expect({ seq: 1, payload: MSS }).expectNothing();
  assert.equal(wire.connection!.info(0).tcpi_snd_cwnd, 1);
  assert.equal(wire.connection!.info(0).tcpi_snd_ssthresh, 5);
  wire.recv({ seq: 1, ack: 1 + MSS });
  assert.equal(wire.sent.length, 2);
});

test('§4.1: after idling the window starts over', () => {
  const wire = new WireScript().established();
  let acked = 1;
  for (let i = 0; i < 5; i++) {
    wire.send(40 * MSS);
    while (acked < wire.connection!.queuedOffset + 1) {
      acked += Math.min(10 * MSS, wire.connection!.queuedOffset + 1 - acked);
      wire.recv({ seq: 1, ack: acked });
    }
  }
  assert.ok(wire.connection!.info(0).tcpi_snd_cwnd > 10);
  wire
    .after(5000)
    .skip()
    .send(100 * MSS);
  assert.equal(wire.sent.length, 10);
});

test('§4.2: every second full segment is acknowledged, a single one within the delay', () => {
  const wire = new WireScript().established();
  let seq = 1;
  for (let i = 0; i < 20; i++, seq += MSS) wire.recv({ seq, ack: 1, payload: MSS });
  wire.skip();
  wire.recv({ seq, ack: 1, payload: MSS }).expectNothing();
  wire.recv({ seq: seq + MSS, ack: 1, payload: MSS }).expect({ ack: seq + 2 * MSS });
  const start = wire.nowMicros;
  wire.recv({ seq: seq + 2 * MSS, ack: 1, payload: MSS }).expectNothing();
  wire.after(500).expect({ ack: seq + 3 * MSS, atMs: (start - 1_000_000) / 1000 + 40 });
});

test('a batch of arrivals gives one acknowledgment', () => {
  const wire = new WireScript().established();
  for (let i = 0; i < 10; i++) wire.input({ seq: 1 + i * MSS, ack: 1, payload: MSS });
  wire
    .flush()
    .expect({ ack: 1 + 10 * MSS })
    .expectNothing();
});

test('an acknowledgment rides on data', () => {
  const wire = new WireScript().established();
  wire.input({ seq: 1, ack: 1, payload: 10 }).send(5).expect({ flags: 'PA', ack: 11, payload: 5 }).expectNothing();
});
