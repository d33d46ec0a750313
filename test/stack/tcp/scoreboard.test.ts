import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { AckFindings } from '../../../src/stack/tcp/ack-findings.ts';
import { Rack } from '../../../src/stack/tcp/rack.ts';
import { Scoreboard } from '../../../src/stack/tcp/sack.ts';

const SIZE = 100;
const BASE = 0x7fff_fe00;

interface Modelled {
  sacked: boolean;
  lost: boolean;
  resent: boolean;
  sentMicros: number;
}

function found(nowMicros: number, una = BASE): AckFindings {
  const findings = new AckFindings();
  findings.begin(nowMicros, una, 0);
  findings.priorHighest = una;
  return findings;
}

function at(index: number): number {
  return (BASE + index * SIZE) | 0;
}

/** What the sums, the two lists and the runs must be, by counting. */
function check(board: Scoreboard, model: Map<number, Modelled>): void {
  const count = (want: (r: Modelled) => boolean): number => [...model.values()].filter(want).length;
  assert.equal(board.count, model.size);
  assert.equal(board.outstandingBytes, model.size * SIZE);
  assert.equal(
    board.sackedRecords,
    count((r) => r.sacked),
  );
  assert.equal(
    board.lostRecords,
    count((r) => r.lost),
  );
  assert.equal(
    board.retransmittedRecords,
    count((r) => r.resent),
  );
  assert.equal(board.sackedBytes, board.sackedRecords * SIZE);
  assert.equal(board.lostBytes, board.lostRecords * SIZE);
  assert.equal(board.retransmittedBytes, board.retransmittedRecords * SIZE);
  const pending = [...model].filter(([, r]) => r.lost && !r.resent).map(([i]) => i);
  assert.equal(board.hasLostToSend, pending.length > 0);
  if (pending.length > 0) assert.equal(board.start(board.nextLost), at(Math.min(...pending)));
  const listed = [...model].filter(([, r]) => !r.sacked && (!r.lost || r.resent));
  assert.equal(board.hasListed, listed.length > 0);
  if (listed.length > 0) {
    assert.equal(board.sentMicros(board.oldestSent), Math.min(...listed.map(([, r]) => r.sentMicros)));
  }
}

test('Scoreboard: its sums and lists are what counting the records gives', () => {
  const operation = fc.tuple(
    fc.constantFrom('send', 'sack', 'ack', 'lost', 'resend', 'timeout', 'renege', 'undo', 'late'),
    fc.nat(30),
    fc.nat(8),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const board = new Scoreboard();
      const rack = new Rack();
      let una = 0;
      let next = 0;
      let now = 1;
      const model = new Map<number, Modelled>();
      for (const [name, a, b] of operations) {
        now += 10;
        if (name === 'send') {
          board.push(at(next), at(next + 1), now, now);
          model.set(next++, { sacked: false, lost: false, resent: false, sentMicros: now });
        } else if (name === 'sack' && next > una) {
          const left = una + (a % (next - una));
          const right = Math.min(next, left + 1 + b);
          // Cut into a record at either end: a part of one is none.
          board.sack((at(left) - (a % 2)) | 0, (at(right) + (b % 2) * 50) | 0, found(now, at(una)), null);
          for (let i = left; i < right; i++) Object.assign(model.get(i)!, { sacked: true, lost: false, resent: false });
        } else if (name === 'ack') {
          const to = Math.min(next, una + b);
          board.acknowledge(at(to), found(now, at(una)), null);
          for (; una < to; una++) model.delete(una);
        } else if (name === 'lost') {
          board.markLostBySack(3);
          for (const [i, record] of model) {
            const above = [...model].filter(([j, other]) => j > i && other.sacked).length;
            if (!record.sacked && !record.lost && above >= 3) record.lost = true;
          }
        } else if (name === 'resend' && board.hasLostToSend) {
          const index = Math.min(...[...model].filter(([, r]) => r.lost && !r.resent).map(([i]) => i));
          board.markRetransmitted(board.nextLost, now, now);
          Object.assign(model.get(index)!, { resent: true, sentMicros: now });
        } else if (name === 'timeout' || name === 'renege') {
          board.markAllLost(name === 'renege', null, now);
          for (const record of model.values()) {
            if (name === 'renege') record.sacked = false;
            if (!record.sacked) Object.assign(record, { lost: true, resent: false });
          }
        } else if (name === 'undo') {
          board.unmarkLost();
          for (const record of model.values()) record.lost = false;
          // A copy that was under way stays counted until it is acknowledged, so the model's next steps leave it.
          if (board.retransmittedRecords > 0) return;
        } else if (name === 'late' && board.hasListed) {
          // RACK: everything sent before this is late.
          rack.sentMicros = now - 10 * b;
          rack.endSequence = 0;
          rack.rttMicros = 0;
          assert.equal(rack.detect(board, 0, now), 0);
          for (const record of model.values()) {
            if (record.sacked || (record.lost && !record.resent) || record.sentMicros >= rack.sentMicros) continue;
            Object.assign(record, { lost: true, resent: false });
          }
        }
        check(board, model);
      }
    }),
    { numRuns: 400 },
  );
});

test('cutting records to a smaller size keeps sums, order and what SACK said', () => {
  const board = new Scoreboard();
  for (let i = 0; i < 20; i++) board.push(i * 1000, (i + 1) * 1000, i, i);
  board.sack(3000, 6000, found(50, 0), null);
  board.cutOversize(300);
  assert.equal(board.outstandingBytes, 20_000);
  assert.equal(board.sackedBytes, 3000);
  assert.equal(board.count, 69);
  assert.equal(board.lostRecords, 57);
  assert.equal(board.start(board.nextLost), 0);
  assert.equal(board.end(board.nextLost), 300);
  board.acknowledge(20_000, found(60, 0), null);
  assert.equal(board.count, 0);
  assert.equal(board.lostBytes + board.sackedBytes + board.outstandingBytes, 0);
});

test('a window of 4,000 segments with one in a hundred lost: each acknowledgment looks at what it brings', () => {
  const board = new Scoreboard();
  const rack = new Rack();
  const window = 4000;
  for (let i = 0; i < window; i++) board.push(i * SIZE, (i + 1) * SIZE, i, 0);
  const before = board.visits;
  let acks = 0;
  for (let i = 1; i < window; i++) {
    if (i % 100 === 0) continue; // lost on the way
    const findings = found(window + i, 0);
    // As a receiver does: the newest run first, then the ones before it, all the way back to the hole.
    const run = i - (i % 100) + (i < 100 ? 1 : 1);
    board.sack(run * SIZE, (i + 1) * SIZE, findings, rack);
    for (let back = 1; back < 4 && run - 100 * back > 0; back++) {
      board.sack((run - 100 * back) * SIZE, (run - 100 * back + 99) * SIZE, findings, rack);
    }
    rack.detect(board, 0, window + i);
    acks++;
  }
  assert.equal(board.lostRecords, 40);
  const perAck = (board.visits - before) / acks;
  assert.ok(perAck < 12, `${perAck.toFixed(1)} records looked at per acknowledgment`);
});

test('a stretch of SACK that grows by one is not walked again', () => {
  const visits = (window: number): number => {
    const board = new Scoreboard();
    for (let i = 0; i < window; i++) board.push(i * SIZE, (i + 1) * SIZE, i, 0);
    const before = board.visits;
    for (let i = 1; i < window; i++) board.sack(SIZE, (i + 1) * SIZE, found(i, 0), null);
    return (board.visits - before) / window;
  };
  // A logarithm may be in it, the window may not.
  assert.ok(visits(8000) < 1.5 * visits(1000) + 4, `${visits(1000)} and ${visits(8000)}`);
});

test('what is found lost in any order costs what is found', () => {
  const visits = (window: number): number => {
    const board = new Scoreboard();
    const rack = new Rack();
    let micros = 1000;
    for (let i = 0; i < window; i++) board.push(i * SIZE, (i + 1) * SIZE, micros++, 0);
    board.markAllLost(false, null, micros + 1e9);
    micros += 1e6;
    // What was sent again lies below what is new and was sent before; and some of both in between.
    for (let i = window; board.hasLostToSend; i++) {
      if (i % 2 === 0 || i < 1.5 * window) board.push(i * SIZE, (i + 1) * SIZE, micros++, 0);
      if (i >= 1.5 * window) board.markRetransmitted(board.nextLost, micros++, 0);
    }
    const end = board.end((board.last - 1) | 0);
    board.push(end, end + SIZE, micros++, 0);
    board.sack(end, end + SIZE, found(micros, 0), rack);
    const before = board.visits;
    rack.detect(board, 0, micros + 1e9);
    assert.equal(board.lostRecords, board.count - 1);
    for (let record = board.first; board.hasLostToSend; record++) {
      assert.equal(board.nextLost, record);
      board.markRetransmitted(record, micros, 0);
    }
    return (board.visits - before) / board.count;
  };
  assert.ok(visits(8000) < 1.1 * visits(1000), `${visits(1000)} and ${visits(8000)}`);
});

test('losses that were none, found in any order, cost what is taken back', () => {
  const visits = (window: number): number => {
    const board = new Scoreboard();
    let micros = 1000;
    for (let i = 0; i < window; i++) board.push(i * SIZE, (i + 1) * SIZE, micros++, 0);
    // Every other one has been sent again, so that times go up and down along the sequence.
    for (let record = 0; record < window; record += 2) board.markRetransmitted(record, micros++, 0);
    board.markAllLost(false, null, micros);
    const before = board.visits;
    board.unmarkLost();
    let last = 0;
    for (; board.hasListed; micros++) {
      const record = board.oldestSent;
      assert.ok(board.sentMicros(record) > last);
      last = board.sentMicros(record);
      board.sack(board.start(record), board.end(record), found(micros, 0), null);
    }
    return (board.visits - before) / window;
  };
  assert.ok(visits(4000) < 1.5 * visits(500) + 4, `${visits(500)} and ${visits(4000)}`);
});
