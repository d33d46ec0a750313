import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireScript } from '../../testing/wire-script.ts';

const SYN = { sackPermitted: true };

test('§4: the first block is the youngest, then the others by age; three beside timestamps', () => {
  const wire = new WireScript().established(SYN);
  wire.recv({ seq: 11, ack: 1, payload: 10 }).expect({ ack: 1, sack: [[11, 21]] });
  wire.recv({ seq: 31, ack: 1, payload: 10 }).expect({
    sack: [
      [31, 41],
      [11, 21],
    ],
  });
  wire.recv({ seq: 51, ack: 1, payload: 10 }).expect({
    sack: [
      [51, 61],
      [31, 41],
      [11, 21],
    ],
  });
  wire.recv({ seq: 21, ack: 1, payload: 5 }).expect({
    sack: [
      [11, 26],
      [51, 61],
      [31, 41],
    ],
  });
  wire.recv({ seq: 71, ack: 1, payload: 5 }).expect({
    sack: [
      [71, 76],
      [11, 26],
      [51, 61],
      [31, 41],
    ],
  });
  wire.recv({ seq: 26, ack: 1, payload: 5 }).expect({
    sack: [
      [11, 41],
      [71, 76],
      [51, 61],
    ],
  });
  wire.recv({ seq: 1, ack: 1, payload: 10 }).expect({
    ack: 41,
    sack: [
      [71, 76],
      [51, 61],
    ],
  });
});

test('three blocks at most beside timestamps', () => {
  const wire = new WireScript().established({ ...SYN, timestamps: [1, 0] });
  for (let i = 1; i < 9; i++) wire.recv({ seq: 1 + 20 * i, ack: 1, payload: 10, timestamps: [1, 0] });
  assert.equal(wire.sent.at(-1)!.sack.length, 3);
});

test('not without SACK-permitted', () => {
  new WireScript().established().recv({ seq: 11, ack: 1, payload: 10 }).expect({ ack: 1, sack: [] });
});

test('RFC 2883: a duplicate is reported first, once', () => {
  const wire = new WireScript().established(SYN);
  wire.recv({ seq: 1, ack: 1, payload: 20 }).skip();
  wire.recv({ seq: 31, ack: 1, payload: 10 }).skip();
  wire.recv({ seq: 1, ack: 1, payload: 20 }).expect({
    ack: 21,
    sack: [
      [1, 21],
      [31, 41],
    ],
  });
  wire.recv({ seq: 31, ack: 1, payload: 10 }).expect({
    ack: 21,
    sack: [
      [31, 41],
      [31, 41],
    ],
  });
  wire.recv({ seq: 41, ack: 1, payload: 10 }).expect({ ack: 21, sack: [[31, 51]] });
});

test('RFC 6675: three segments behind a hole, and only the hole is sent again', () => {
  const wire = new WireScript().established(SYN);
  wire.send(10 * 1460).skip();
  wire.recv({ seq: 1, ack: 1, sack: [[1461, 2921]] }).expectNothing();
  wire.recv({ seq: 1, ack: 1, sack: [[1461, 4381]] }).expectNothing();
  wire
    .recv({ seq: 1, ack: 1, sack: [[1461, 5841]] })
    .expect({ seq: 1, payload: 1460 })
    .expectNothing();
  assert.equal(wire.connection!.info(0).tcpi_ca_state, 3);
  wire.recv({ seq: 1, ack: 5841 }).recv({ seq: 1, ack: 14_601 }).expectNothing();
  assert.equal(wire.connection!.info(0).tcpi_ca_state, 0);
  assert.equal(wire.connection!.info(0).tcpi_total_retrans, 1);
});

test('RFC 6675: two holes are repaired in one round trip', () => {
  const wire = new WireScript().established(SYN);
  wire.send(10 * 1460).skip();
  wire.recv({ seq: 1, ack: 1, sack: [[1461, 4381]] }).expectNothing();
  wire.recv({
    seq: 1,
    ack: 1,
    sack: [
      [5841, 14_601],
      [1461, 4381],
    ],
  });
  wire.expect({ seq: 1, payload: 1460 }).expect({ seq: 4381, payload: 1460 }).expectNothing();
});

test('blocks that cannot be are ignored', () => {
  const wire = new WireScript().established(SYN);
  wire.send(5 * 1460).skip();
  wire.recv({ seq: 1, ack: 1, sack: [[5000, 1000]] });
  wire.recv({ seq: 1, ack: 1, sack: [[1461, 900_000]] });
  wire.recv({ seq: 1, ack: 1, sack: [[-5000, -100]] });
  wire.expectNothing();
  assert.equal(wire.connection!.info(0).tcpi_sacked, 0);
});

test('§8: after a timeout a receiver that dropped what it had reported gets everything again', () => {
  const wire = new WireScript().established(SYN);
  wire.send(4 * 1460).skip();
  wire.recv({ seq: 1, ack: 1, sack: [[1461, 2921]] }).expectNothing();
  wire.recv({ seq: 1, ack: 1461 });
  wire.skip().after(5000);
  const seqs = new Set(wire.sent.map(({ seq }) => seq));
  assert.ok(seqs.has(1461), 'the segment that was reported and is at the front again is sent again');
});

test('RFC 6298: with SACK, a timeout sends again what is missing only', () => {
  const wire = new WireScript().established(SYN);
  wire.send(4 * 1460).skip();
  wire.recv({ seq: 1, ack: 1, sack: [[1461, 4381]] }).expectNothing();
  wire.after(400).expect({ seq: 1, payload: 1460 }).skip();
  wire.recv({ seq: 1, ack: 4381 }).expect({ seq: 4381, payload: 1460 }).expectNothing();
});

test('§5: blocks below what is acknowledged, and across it, are ignored; so is a part of a segment', () => {
  const wire = new WireScript().established(SYN);
  wire.send(5 * 1460).skip();
  wire.recv({ seq: 1, ack: 2921, sack: [[1461, 4381]] });
  wire.recv({ seq: 1, ack: 2921, sack: [[1, 1461]] });
  assert.equal(wire.connection!.info(0).tcpi_sacked, 0);
  // From the middle of the fourth segment to the middle of the fifth, then with the fourth whole.
  wire.recv({ seq: 1, ack: 2921, sack: [[4400, 6000]] });
  assert.equal(wire.connection!.info(0).tcpi_sacked, 0);
  wire.recv({ seq: 1, ack: 2921, sack: [[4381, 6000]] });
  assert.equal(wire.connection!.info(0).tcpi_sacked, 1);
});

test('§5: blocks that overlap count every segment once', () => {
  const wire = new WireScript().established(SYN);
  wire.send(10 * 1460).skip();
  wire.recv({
    seq: 1,
    ack: 1,
    sack: [
      [1461, 5841],
      [2921, 7301],
      [1461, 8761],
    ],
  });
  assert.equal(wire.connection!.info(0).tcpi_sacked, 5);
  assert.equal(wire.connection!.info(0).tcpi_delivered, 6);
});

test('§8: what was acknowledged selectively and then stands at the front was dropped, if it stays there', () => {
  const wire = new WireScript({ config: { tailLossProbe: false } }).established(SYN);
  wire.send(6 * 1460).skip();
  wire.recv({ seq: 1, ack: 1, sack: [[1461, 4381]] }).skip();
  // The hole is filled, but the receiver has forgotten what lay behind it.
  wire.recv({ seq: 1, ack: 1461 }).expectNothing();
  wire.after(15).expect({ seq: 1461, payload: 1460 });
  assert.equal(wire.connection!.info(0).tcpi_sacked, 0);
  wire.recv({ seq: 1, ack: 8761 });
  assert.equal(wire.connection!.info(0).tcpi_unacked, 0);
});

test('§8: unless the next acknowledgment knows better', () => {
  const wire = new WireScript({ config: { tailLossProbe: false } }).established(SYN);
  wire.send(6 * 1460).skip();
  wire.recv({ seq: 1, ack: 1, sack: [[1461, 4381]] }).skip();
  wire.recv({ seq: 1, ack: 1461 }).after(5).recv({ seq: 1, ack: 4381 }).after(100).expectNothing();
  assert.equal(wire.connection!.info(0).tcpi_total_rto, 0);
});

test('§5: SACK on an acknowledgment that was overtaken still counts', () => {
  const wire = new WireScript().established(SYN);
  wire.send(10 * 1460).skip();
  wire.recv({ seq: 1, ack: 2921 }).skip();
  wire.recv({ seq: 1, ack: 1461, sack: [[4381, 8761]] });
  assert.equal(wire.connection!.info(0).tcpi_sacked, 3);
  assert.equal(wire.sent.at(-1)!.seq, 2921);
});
