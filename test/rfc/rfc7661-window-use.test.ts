import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TcpConfig } from '../../src/stack/tcp/config.ts';
import { WireScript } from '../../testing/wire-script.ts';

const MSS = 1000;

function established(config: Partial<TcpConfig> = {}): WireScript {
  return new WireScript({ config: { congestion: 'reno', ...config } }).established({ mss: MSS });
}

function cwnd(wire: WireScript): number {
  return wire.connection!.info(wire.nowMicros).tcpi_snd_cwnd;
}

/** `rounds` times `segments` sent and acknowledged. */
function use(wire: WireScript, segments: number, rounds: number): void {
  for (let i = 0; i < rounds; i++) {
    wire.send(segments * MSS).after(10);
    wire.recv({ seq: 1, ack: 1 + wire.connection!.sender.nxtOffset });
  }
}

test('§4.1: a window that is not filled does not grow', () => {
  const wire = established();
  use(wire, 4, 20);
  assert.equal(cwnd(wire), 10);
});

test('in slow start, what was used may double', () => {
  const wire = established();
  use(wire, 8, 20);
  // Up to twice eight it may, and the last step is of eight.
  assert.equal(cwnd(wire), 18);
});

test('§4.4: while something is sent, a window that is not filled stays as it is', () => {
  const wire = established();
  for (let i = 0; i < 3; i++) use(wire, cwnd(wire), 1);
  const before = cwnd(wire);
  assert.equal(before, 80);
  use(wire, 1, 100);
  assert.equal(cwnd(wire), before);
});

test('RFC 5681 §4.1: a pause shrinks it, unless that is switched off', () => {
  for (const slowStartAfterIdle of [true, false]) {
    const wire = established({ slowStartAfterIdle });
    for (let i = 0; i < 2; i++) use(wire, cwnd(wire), 1);
    assert.equal(cwnd(wire), 40);
    wire.after(60_000).send(MSS);
    assert.equal(cwnd(wire), slowStartAfterIdle ? 10 : 40);
  }
});
