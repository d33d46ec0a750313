import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../../../src/core/random.ts';
import { WireScript } from '../../../testing/wire-script.ts';

test('a flood of SYNs leaves a connection its window and ends bounded', () => {
  const wire = new WireScript({ pages: 256 }).listen(128).established();
  const { ourIss } = wire;
  for (let i = 0; i < 5000; i++) wire.input({ flags: 'S', mss: 1460, port: 1 + (i % 30_000) });
  wire.flush().skip();
  wire.ourIss = ourIss; // of the connection, not of the last SYN-ACK
  assert.equal(wire.listener!.halfOpenCount, 128);
  assert.ok(wire.pool.promisedBytes <= wire.pool.availableBytes / 2 + 65_535);
  let seq = 1;
  for (let i = 0; i < 100; i++, seq += 1460) {
    wire.input({ seq, ack: 1, payload: 1460, port: 40_000 }).flush();
    wire.read();
  }
  assert.equal(wire.connection!.info(0).tcpi_bytes_received, 146_000);
  assert.ok(wire.connection!.info(0).tcpi_rcv_wnd > 30_000);
  wire.after(200_000);
  assert.equal(wire.listener!.halfOpenCount, 0);
  assert.equal(wire.layer.connectionCount, 1);
});

test('random segments never throw, leak or stop a connection', () => {
  const random = new SeededRandom(42);
  const wire = new WireScript({ pages: 64 }).listen(4).established({ sackPermitted: true, timestamps: [1, 0] });
  wire.send(5000);
  const flags = ['A', 'PA', 'S', 'SA', 'F', 'FA', 'RA', 'U', 'SF', 'SR', 'FPU', ''];
  const near = (): number => (random.u32() % 4 === 0 ? random.u32() | 0 : (random.u32() % 8000) - 2000);
  for (let i = 0; i < 20_000; i++) {
    const seq = near();
    wire.input({
      // Exactly RCV.NXT would be a genuine reset or FIN.
      flags: seq === 1 ? 'A' : flags[random.u32() % flags.length]!,
      seq: seq === 1 ? 500_000 : seq,
      ack: near(),
      payload: random.u32() % 3 === 0 ? random.u32() % 1500 : 0,
      window: random.u32() % 65_536,
      port: random.u32() % 2 === 0 ? 40_000 : 1 + (random.u32() % 5),
      ...(random.u32() % 2 === 0 ? { timestamps: [random.u32() | 0, random.u32() | 0] as [number, number] } : {}),
      ...(random.u32() % 3 === 0 ? { sack: [[near(), near()]] as [number, number][] } : {}),
    });
    if (i % 7 === 0) wire.after(random.u32() % 50);
    if (i % 100 === 0) wire.skip();
    wire.log.length = 0;
    assert.ok(wire.pool.promisedBytes <= wire.pool.availableBytes, `segment ${i}`);
  }
  wire.listener!.close(wire.nowMicros);
  for (const connection of wire.layer.connections) connection.abort(wire.nowMicros);
  wire.connection!.abort(wire.nowMicros);
  wire.after(200_000);
  assert.equal(wire.layer.connectionCount, 0);
  assert.equal(wire.layer.timers.size, 0);
  assert.equal(wire.pool.promisedBytes, 0);
  assert.equal(wire.pool.sharers, 0);
  assert.equal(wire.landing.foreignReferences, 0);
});
