import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WireScript } from '../../../testing/wire-script.ts';

/** A peer that keeps its window shut, and answers every probe, until the probes are minutes apart. */
function shut(config: object = {}): WireScript {
  const wire = new WireScript({ config }).established({ window: 1460, sackPermitted: true });
  wire.send(10_000).skip().after(20).recv({ seq: 1, ack: 1461, window: 0 }).skip();
  return wire;
}

function answer(wire: WireScript, seconds: number): void {
  for (let i = 0; i < seconds && wire.connection!.state !== 'CLOSED'; i++) {
    wire.after(1000);
    for (let probes = wire.sent.length; probes > 0; probes--) {
      wire.sent.shift();
      wire.recv({ seq: 1, ack: 1461, window: 0 });
    }
  }
}

test('what probes of a closed window backed off by is forgotten when it opens', () => {
  for (const tailLossProbe of [false, true]) {
    const wire = shut({ tailLossProbe });
    answer(wire, 300);
    assert.ok(wire.connection!.sender.rtt.rtoMicros >= 100e6, 'the probes are far apart');
    wire.recv({ seq: 1, ack: 1461, window: 1460 }).expect({ seq: 1461, payload: 1460 });
    // That is lost.
    wire.after(1000);
    assert.equal(wire.sent[0]?.seq, 1461, 'sent again within a second');
  }
});

test('a window that opens by less than a segment, too', () => {
  const wire = shut({ tailLossProbe: false });
  answer(wire, 300);
  wire.recv({ seq: 1, ack: 1461, window: 100 }).skip();
  for (let seconds = 0; seconds < 130 && wire.sent.length === 0; seconds++) wire.after(1000);
  wire.expect({ seq: 1461, payload: 100 });
  wire.after(1000);
  assert.equal(wire.sent[0]?.seq, 1461, 'sent again within a second');
});

test('the tail loss probe repeats the last segment where what is new is paced', () => {
  const wire = new WireScript().listen();
  wire.recv({ flags: 'S', seq: 0, mss: 1000, sackPermitted: true }).after(100).recv({ seq: 1, ack: 1 });
  wire.connection = wire.listener!.accept()!;
  wire.skip();
  assert.equal(wire.connection.setOption('SO_MAX_PACING_RATE', 500, wire.nowMicros), 0);
  wire.send(20_000).skip().after(100).recv({ seq: 1, ack: 1001 });
  const { sndNxt } = wire.skip().connection!.sender;
  const first = sndNxt - wire.ourIss;
  wire.after(250);
  assert.ok(wire.connection.sender.maySendNew);
  wire.expect({ seq: first - 1000, payload: 1000 });
  assert.equal(wire.connection.sender.sndNxt, sndNxt, 'nothing new');
  assert.equal(wire.layer.counters.tailLossProbes, 1);
});
