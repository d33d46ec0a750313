import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRNO } from '../../src/core/errno.ts';
import { WireScript } from '../../testing/wire-script.ts';

test('RFC 5482 §3: unacknowledged data ends the connection at the user timeout, not before and not much later', () => {
  const wire = new WireScript().established();
  wire.connection!.setOption('TCP_USER_TIMEOUT', 3000, wire.nowMicros);
  wire.send(10).after(2990).expectState('ESTABLISHED').after(20).expectState('CLOSED');
  assert.equal(wire.connection!.errno, ERRNO.ETIMEDOUT);
});

test('it counts from the oldest unacknowledged byte: progress starts it anew', () => {
  const wire = new WireScript().established();
  wire.connection!.setOption('TCP_USER_TIMEOUT', 3000, wire.nowMicros);
  wire.send(3000).after(2500).recv({ seq: 1, ack: 1461 }).after(2500).expectState('ESTABLISHED');
  wire.after(600).expectState('CLOSED');
});

test('a window that stays shut ends it too, though the peer answers', () => {
  const wire = new WireScript().established();
  wire.connection!.setOption('TCP_USER_TIMEOUT', 3000, wire.nowMicros);
  wire.recv({ seq: 1, ack: 1, window: 0 }).send(100);
  let ms = 0;
  for (; ms < 20_000 && wire.connection!.state === 'ESTABLISHED'; ms += 100) {
    wire.after(100).recv({ seq: 1, ack: 1, window: 0 });
  }
  assert.equal(wire.connection!.errno, ERRNO.ETIMEDOUT);
  assert.ok(ms >= 3000 && ms <= 8000, `${ms} ms`);
});

test('and so does a link that takes nothing', () => {
  const wire = new WireScript().established();
  wire.connection!.setOption('TCP_USER_TIMEOUT', 3000, wire.nowMicros);
  wire.ip.capacity = 0;
  wire.send(100).after(2900).expectState('ESTABLISHED');
  assert.equal(wire.connection!.info(wire.nowMicros).tcpi_backoff, 0);
  wire.after(1000).expectState('CLOSED');
  assert.equal(wire.connection!.errno, ERRNO.ETIMEDOUT);
});

test('RFC 5482 §4.2: it takes the place of the number of keepalive probes', () => {
  const wire = new WireScript().established();
  const { connection } = wire;
  for (const [name, value] of [
    ['TCP_KEEPIDLE', 2],
    ['TCP_KEEPINTVL', 1],
    ['TCP_KEEPCNT', 2],
    ['TCP_USER_TIMEOUT', 10_000],
    ['SO_KEEPALIVE', 1],
  ] as const) {
    assert.equal(connection!.setOption(name, value, wire.nowMicros), 0);
  }
  wire.after(9000).expectState('ESTABLISHED');
  assert.ok(wire.sent.length >= 6);
  wire.after(2000).expectState('CLOSED');
  assert.equal(wire.sent.at(-1)!.flags, 'RA');
});

test('keepalive by its own options: idle, interval, count', () => {
  const wire = new WireScript().established();
  const { connection } = wire;
  connection!.setOption('TCP_KEEPIDLE', 5, wire.nowMicros);
  connection!.setOption('TCP_KEEPINTVL', 2, wire.nowMicros);
  connection!.setOption('TCP_KEEPCNT', 3, wire.nowMicros);
  connection!.setOption('SO_KEEPALIVE', 1, wire.nowMicros);
  wire.at(4900).expectNothing().at(12_000);
  assert.deepEqual(
    wire.sent.map(({ atMs }) => Math.round(atMs)),
    [5000, 7000, 9000, 11_000].slice(0, wire.sent.length),
  );
  wire.expectState('CLOSED');
  assert.equal(connection!.errno, ERRNO.ETIMEDOUT);
});
