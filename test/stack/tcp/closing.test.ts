import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRNO } from '../../../src/core/errno.ts';
import { WireScript } from '../../../testing/wire-script.ts';

test('SO_LINGER of 0: close resets, whatever is unsent', () => {
  const wire = new WireScript().established();
  wire.connection!.setOption('SO_LINGER', { enabled: true, seconds: 0 }, wire.nowMicros);
  wire.send(100).skip().close().expect({ flags: 'RA', seq: 101 }).expectState('CLOSED');
});

test('SO_LINGER of some seconds: an orderly end', () => {
  const wire = new WireScript().established();
  wire.connection!.setOption('SO_LINGER', { enabled: true, seconds: 5 }, wire.nowMicros);
  wire.close().expect({ flags: 'FA', seq: 1 }).expectState('FIN-WAIT-1');
});

test('TCP_LINGER2 bounds FIN-WAIT-2 after close, and below 0 leaves it out', () => {
  const wire = new WireScript().established();
  wire.connection!.setOption('TCP_LINGER2', 3, wire.nowMicros);
  wire.close().skip().recv({ seq: 1, ack: 2 }).expectState('FIN-WAIT-2');
  wire.after(2900).expectState('FIN-WAIT-2').after(200).expectState('CLOSED');
  const none = new WireScript().established();
  none.connection!.setOption('TCP_LINGER2', -1, none.nowMicros);
  none.close().skip().recv({ seq: 1, ack: 2 }).expectState('CLOSED').expect({ flags: 'RA', seq: 2 });
});

test('half-close: FIN-WAIT-2 without close waits for ever, and receives', () => {
  const wire = new WireScript().established();
  wire.shutdown().skip().recv({ seq: 1, ack: 2 }).expectState('FIN-WAIT-2');
  wire.after(600_000).expectState('FIN-WAIT-2');
  wire.recv({ seq: 1, ack: 2, payload: 100 }).expectRead(0, 100);
  wire.recv({ seq: 101, ack: 2, flags: 'FA' }).expectState('TIME-WAIT');
});

test('a connection that its application has closed gives up sooner', () => {
  const config = { orphanRetries: 2, retries: 15, tailLossProbe: false };
  const wire = new WireScript({ config }).established();
  wire.close().skip().after(60_000).expectState('CLOSED');
  assert.equal(wire.sent.filter(({ flags }) => flags.includes('F')).length, 2);
  assert.equal(wire.layer.orphanCount, 0);
});

test('closed connections that are not over are limited', () => {
  const wire = new WireScript({ config: { orphanLimit: 1 } });
  wire.listen();
  const connections = [40_001, 40_002].map((port) => {
    wire.recv({ flags: 'S', seq: 0, mss: 1460, port });
    const { rawSeq } = wire.sent.at(-1)!;
    wire.ourIss = rawSeq;
    wire.skip().recv({ seq: 1, ack: 1, port });
    return wire.listener!.accept()!;
  });
  connections[0]!.close(wire.nowMicros);
  wire.flush().skip();
  assert.equal(wire.layer.orphanCount, 1);
  connections[1]!.close(wire.nowMicros);
  wire.flush();
  assert.equal(connections[1]!.state, 'CLOSED');
  assert.equal(wire.sent.at(-1)!.flags.includes('R'), true);
  assert.equal(wire.layer.counters.orphansReset, 1);
  assert.equal(wire.layer.orphanCount, 1);
  connections[0]!.fail(ERRNO.ECONNRESET);
  assert.equal(wire.layer.orphanCount, 0);
});

test('a window that is shut when close comes opens for the FIN of the peer', () => {
  const wire = new WireScript({ config: { receiveBufferBytes: 2920 } }).established();
  wire.recv({ seq: 1, ack: 1, payload: 1460 }).recv({ seq: 1461, ack: 1, payload: 1460 });
  wire.after(500).skip().read();
  assert.equal(wire.connection!.receiver.queue.bytes, 0);
  wire.recv({ seq: 2921, ack: 1, payload: 1460 }).recv({ seq: 4381, ack: 1, payload: 1460 }).after(500).skip();
  const { window } = wire.connection!.receiver;
  window.edge = wire.connection!.receiver.rcvNxt; // as if memory had run out, and come back since
  wire.connection!.receiver.queue.clear();
  wire.close().expect({ flags: 'FA', seq: 1, window: 1 });
  wire.recv({ flags: 'FA', seq: 5841, ack: 2 }).expectState('TIME-WAIT');
});

test('a closed connection whose peer answers probes and takes nothing ends when they are far apart', () => {
  const wire = new WireScript().established({ window: 1000 });
  wire.send(5000).skip().recv({ seq: 1, ack: 1001, window: 0 }).close().skip();
  const connection = wire.connection!;
  let seconds = 0;
  for (; seconds < 3600 && connection.state !== 'CLOSED'; seconds++) {
    wire.after(1000);
    for (let probes = wire.sent.length; probes > 0 && wire.layer.connectionCount > 0; probes--) {
      wire.sent.shift();
      wire.recv({ seq: 1, ack: 1001, window: 0 });
    }
  }
  assert.ok(seconds > 100 && seconds < 600, `${seconds} s`);
  assert.equal(wire.sent.at(-1)!.flags, 'RA');
  assert.equal(wire.layer.orphanCount, 0);
  assert.equal(wire.layer.connectionCount, 0);
});

test('an application that is still there may wait for a closed window as long as the peer answers', () => {
  const wire = new WireScript().established({ window: 1000 });
  wire.send(5000).skip().recv({ seq: 1, ack: 1001, window: 0 }).skip();
  for (let seconds = 0; seconds < 3600; seconds++) {
    wire.after(1000);
    for (let probes = wire.sent.length; probes > 0; probes--) {
      wire.sent.shift();
      wire.recv({ seq: 1, ack: 1001, window: 0 });
    }
  }
  wire.expectState('ESTABLISHED');
});
