import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AckTiming } from '../../src/stack/tcp/ack-timing.ts';
import { WireScript } from '../../testing/wire-script.ts';

const MSS = 1460;

/** Established, and past the acknowledgments that go out at once in the beginning. */
function settled(config: ConstructorParameters<typeof WireScript>[0] = {}): { wire: WireScript; seq: number } {
  const wire = new WireScript(config).established({ sackPermitted: true });
  let seq = 1;
  for (let i = 0; i < 20; i++) {
    wire.recv({ seq, ack: 1, payload: MSS });
    seq += MSS;
    wire.read();
    wire.flush();
  }
  wire.skip().after(100).skip();
  return { wire, seq };
}

test('RFC 5681 §4.2: at first each segment is acknowledged at once', () => {
  const wire = new WireScript().established();
  for (let i = 0; i < 4; i++) wire.recv({ seq: 1 + i * 100, ack: 1, payload: 100 }).expect({ ack: 101 + i * 100 });
});

test('RFC 9293 §3.8.6.3: then every second full segment, and one alone after the delay', () => {
  const { wire, seq } = settled();
  wire.recv({ seq, ack: 1, payload: MSS }).expectNothing();
  wire.recv({ seq: seq + MSS, ack: 1, payload: MSS }).expect({ flags: 'A', ack: seq + 2 * MSS });
  wire.recv({ seq: seq + 2 * MSS, ack: 1, payload: MSS }).expectNothing();
  const start = (wire.nowMicros - 1_000_000) / 1000;
  wire.after(300);
  assert.equal(wire.sent.length, 1);
  const delay = wire.sent[0]!.atMs - start;
  assert.ok(delay >= 39 && delay <= 201, `${delay} ms`);
});

test('RFC 9293 §3.8.6.3: what was read to the end of a write is acknowledged at once', () => {
  const { wire, seq } = settled();
  wire.recv({ seq, ack: 1, flags: 'PA', payload: 100 }).expectNothing();
  wire.read();
  wire.flush().expect({ flags: 'A', ack: seq + 100 });
});

test('an exchange of questions and answers lets the answers carry the acknowledgments', () => {
  const { wire, seq } = settled();
  wire.recv({ seq, ack: 1, flags: 'PA', payload: 100 });
  wire.read();
  wire
    .send(50)
    .expect({ flags: 'PA', ack: seq + 100, payload: 50 })
    .expectNothing();
  wire.recv({ seq: seq + 100, ack: 51, flags: 'PA', payload: 100 });
  wire.read();
  wire.flush().expectNothing();
  wire
    .after(10)
    .send(50)
    .expect({ flags: 'PA', ack: seq + 200, payload: 50 })
    .expectNothing();
});

test('TCP_QUICKACK: at once again, or not at all', () => {
  const { wire, seq } = settled();
  const { connection } = wire;
  assert.equal(connection!.option('TCP_QUICKACK'), 1);
  wire.recv({ seq, ack: 1, payload: 100 }).expectNothing();
  connection!.setOption('TCP_QUICKACK', 1, wire.nowMicros);
  wire.flush().expect({ flags: 'A', ack: seq + 100 });
  connection!.setOption('TCP_QUICKACK', 0, wire.nowMicros);
  assert.equal(connection!.option('TCP_QUICKACK'), 0);
  wire.recv({ seq: seq + 100, ack: 1, flags: 'PA', payload: 100 });
  wire.read();
  wire.flush().expectNothing();
});

test('RFC 5681 §4.2: out of order, and what fills a gap, is acknowledged at once', () => {
  const { wire, seq } = settled();
  wire.recv({ seq: seq + 100, ack: 1, payload: 100 }).expect({ ack: seq, sack: [[seq + 100, seq + 200]] });
  wire.recv({ seq, ack: 1, payload: 50 }).expect({ ack: seq + 50 });
  wire.recv({ seq: seq + 50, ack: 1, payload: 50 }).expect({ ack: seq + 200, sack: [] });
});

test('RFC 5681 §4.2: without SACK each segment out of order is a duplicate of its own, also in one batch', () => {
  const wire = new WireScript().established();
  wire.input({ seq: 1, ack: 1, payload: 100 });
  for (const at of [201, 301, 401]) wire.input({ seq: at, ack: 1, payload: 100 });
  wire.flush();
  assert.deepEqual(
    wire.sent.map(({ ack }) => ack),
    [101, 101, 101, 101],
  );
});

test('with SACK one acknowledgment speaks for a batch', () => {
  const wire = new WireScript().established({ sackPermitted: true });
  for (const at of [201, 301, 401]) wire.input({ seq: at, ack: 1, payload: 100 });
  wire
    .flush()
    .expect({ ack: 1, sack: [[201, 501]] })
    .expectNothing();
});

test('RFC 2883 §4: two duplicates in one batch are both reported', () => {
  const wire = new WireScript().established({ sackPermitted: true });
  wire.recv({ seq: 1, ack: 1, payload: 1000 }).skip();
  wire.input({ seq: 1, ack: 1, payload: 100 }).input({ seq: 501, ack: 1, payload: 100 }).flush();
  wire
    .expect({ ack: 1001, sack: [[1, 101]] })
    .expect({ ack: 1001, sack: [[501, 601]] })
    .expectNothing();
});

test('RFC 2883: not where the configuration says no', () => {
  const wire = new WireScript({ config: { duplicateSack: false } }).established({ sackPermitted: true });
  wire.recv({ seq: 1, ack: 1, payload: 1000 }).skip();
  wire.recv({ seq: 1, ack: 1, payload: 100 }).expect({ ack: 1001, sack: [] });
});

test('§3.8.6.2.2: the window opens by a segment or half the buffer, not byte by byte', () => {
  const wire = new WireScript({ config: { receiveBufferBytes: 8192, receiveBufferInitialBytes: 8192 } }).established();
  let seq = 1;
  while (seq < 8000) {
    const payload = Math.min(MSS, 8193 - seq);
    wire.recv({ seq, ack: 1, payload });
    seq += payload;
  }
  wire.after(300).skip();
  const { connection } = wire;
  const queue = connection!.receiveQueue;
  const windows = new Set<number>();
  while (queue.bytes > 0) {
    queue.discard(100);
    connection!.consumed(100, wire.nowMicros);
    wire.flush();
    for (const { window } of wire.sent.splice(0)) windows.add(window);
  }
  const steps = [...windows].filter((window) => window > 0);
  assert.ok(steps.length > 0 && steps.length <= 6, steps.join());
  assert.ok(steps[0]! >= MSS, `the first window offered is ${steps[0]}`);
});

test('the delay follows the pace of arrival and is bounded', () => {
  const timing = new AckTiming(40_000, 65_535, MSS, 0);
  timing.quickAcks = 0;
  for (let now = 100_000; now < 2_000_000; now += 39_000) timing.onData(65_535, MSS, 500_000, now);
  assert.ok(timing.atoMicros > 40_000 && timing.atoMicros < 200_000, `${timing.atoMicros}`);
  for (let now = 2_000_000; now < 2_010_000; now += 100) timing.onData(65_535, MSS, 500_000, now);
  assert.ok(timing.atoMicros <= 40_001, `${timing.atoMicros}`);
  for (let i = 0; i < 10; i++) timing.onTimeout(300_000);
  assert.equal(timing.atoMicros, 300_000);
  timing.onData(65_535, MSS, 500_000, 4_000_000);
  assert.ok(timing.quickAcks > 0, 'after a pause the sender starts over');
});

test('two segments of a smaller size make it the usual one, so that every second is acknowledged', () => {
  const { wire, seq } = settled();
  for (let i = 0; i < 2; i++) wire.recv({ seq: seq + 600 * i, ack: 1, payload: 600 });
  wire.skip();
  assert.equal(wire.connection!.info(0).tcpi_rcv_mss, 600);
  wire.recv({ seq: seq + 1200, ack: 1, payload: 600 }).expectNothing();
  wire.recv({ seq: seq + 1800, ack: 1, payload: 600 }).expect({ ack: seq + 2400 });
});

test('RFC 2883 §4.2: what a segment that fills a gap brings again is reported', () => {
  const wire = new WireScript().established({ sackPermitted: true });
  wire.recv({ seq: 1001, ack: 1, payload: 1000 }).recv({ seq: 4001, ack: 1, payload: 1000 }).skip();
  wire.recv({ seq: 1, ack: 1, payload: 3000 }).expect({
    ack: 3001,
    sack: [
      [1001, 2001],
      [4001, 5001],
    ],
  });
  wire.recv({ seq: 3001, ack: 1, payload: 1000 }).expect({ ack: 5001, sack: [] });
});
