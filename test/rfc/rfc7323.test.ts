import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireScript } from '../../testing/wire-script.ts';

test('§2.2: a scale is used only if both announced one; the SYN itself is never scaled', () => {
  const scaled = new WireScript().listen().recv({ flags: 'S', mss: 1460, windowScale: 3, window: 1000 });
  scaled.expect({ flags: 'SA', windowScale: 7 }).recv({ seq: 1, ack: 1, window: 1000 });
  assert.equal(scaled.listener!.accept()!.sender.sndWnd, 8000);
  const plain = new WireScript().listen().recv({ flags: 'S', mss: 1460, window: 1000 });
  plain.expect({ flags: 'SA', windowScale: -1 }).recv({ seq: 1, ack: 1, window: 1000 });
  assert.equal(plain.listener!.accept()!.sender.sndWnd, 1000);
});

test('§2.3: a shift count above 14 is 14', () => {
  const wire = new WireScript().established({ windowScale: 14, window: 65_535 });
  assert.equal(wire.connection!.sender.scale, 14);
});

test('§2.4: the edge never moves left, whatever the rounding', () => {
  const wire = new WireScript({ pages: 64, config: { receiveBufferBytes: 200_000 } }).established({ windowScale: 7 });
  const { connection } = wire;
  let edge = 0;
  let seq = 1;
  for (let i = 0; i < 400; i++) {
    wire.recv({ seq, ack: 1, payload: 1 + (i % 97) });
    seq += 1 + (i % 97);
    for (const sent of wire.sent.splice(0)) {
      const seen = sent.ack + sent.window * 2 ** connection!.receiver.window.scale;
      assert.ok(seen >= edge, `the edge moved from ${edge} to ${seen}`);
      edge = seen;
    }
  }
});

test('§3.2: timestamps are sent if both want them, and echo', () => {
  const wire = new WireScript().listen().recv({ flags: 'S', mss: 1460, timestamps: [777, 0] });
  assert.equal(wire.sent[0]!.timestamps![1], 777);
  wire.skip().recv({ seq: 1, ack: 1, timestamps: [778, 0] });
  wire.connection = wire.listener!.accept();
  wire.recv({ seq: 1, ack: 1, payload: 10, timestamps: [779, 0] }).after(100);
  assert.equal(wire.sent[0]!.timestamps![1], 779);
  assert.equal(wire.connection!.segmentBytes, 1448);
});

test('§2.2: the scale that a SYN has announced is kept, whatever the buffer is set to before the handshake ends', () => {
  for (const [name, value] of [
    ['SO_RCVBUF', 4096],
    ['TCP_WINDOW_CLAMP', 2000],
  ] as const) {
    const active = new WireScript({ pages: 8192 }).connect().expect({ flags: 'S', windowScale: 7 });
    assert.equal(active.connection!.setOption(name, value, active.nowMicros), 0);
    active.after(1000).expect({ flags: 'S', windowScale: 7 });
    active.recv({ flags: 'SA', seq: 0, ack: 1, mss: 1460, windowScale: 3 }).skip();
    active.recv({ seq: 1, ack: 1, payload: 1400 }).after(300);
    const { window, rcvNxt } = active.connection!.receiver;
    assert.equal(window.scale, 7, name);
    const seen = active.sent.at(-1)!.window * 2 ** 7;
    const promised = (window.edge - rcvNxt) | 0;
    assert.ok(promised - 128 < seen && seen <= promised, `${name}: ${seen} of ${promised}`);
  }
  const passive = new WireScript({ pages: 8192, config: { fastOpen: 0x603 } }).listen();
  passive.recv({ flags: 'S', seq: 0, mss: 1460, windowScale: 7, payload: 100 }).expect({ flags: 'SA', windowScale: 7 });
  const early = passive.listener!.accept()!;
  assert.equal(early.setOption('SO_RCVBUF', 4096, passive.nowMicros), 0);
  passive.skip().after(1100).expect({ flags: 'SA', windowScale: 7 });
});

test('§3.2: not sent to a peer that did not offer them', () => {
  const wire = new WireScript().established();
  wire.recv({ seq: 1, ack: 1, payload: 2000 }).expect({ timestamps: null });
});

test('§4.3: the echo is of the segment that the last acknowledgment waits for', () => {
  const wire = new WireScript().established({ timestamps: [100, 0] });
  wire.recv({ seq: 1, ack: 1, payload: 10, timestamps: [110, 0] }).skip();
  wire.recv({ seq: 21, ack: 1, payload: 10, timestamps: [120, 0] });
  assert.equal(wire.sent[0]!.timestamps![1], 110);
  wire.skip().recv({ seq: 11, ack: 1, payload: 10, timestamps: [130, 0] });
  assert.equal(wire.sent[0]!.timestamps![1], 130);
});

test('§5.3 R1: an old timestamp is dropped and answered', () => {
  const wire = new WireScript().established({ timestamps: [1000, 0] });
  wire.recv({ seq: 1, ack: 1, payload: 10, timestamps: [999, 0] }).expect({ flags: 'A', ack: 1 });
  assert.equal(wire.layer.counters.dropPaws, 1);
  wire.recv({ seq: 1, ack: 1, payload: 10, timestamps: [1000, 0] }).expectRead(0, 10);
});

test('§5.2: a reset needs no timestamp', () => {
  const wire = new WireScript().established({ timestamps: [1000, 0] });
  wire.recv({ flags: 'R', seq: 1 }).expectState('CLOSED');
});

test('§5.5: after 24 days an old timestamp says nothing', () => {
  const wire = new WireScript().established({ timestamps: [0x7000_0000, 0] });
  wire
    .after(25 * 86_400_000)
    .recv({ seq: 1, ack: 1, payload: 10, timestamps: [1, 0] })
    .expectRead(0, 10);
});
