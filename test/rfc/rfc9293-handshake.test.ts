import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOCAL_PORT, PEER_PORT, WireScript } from '../../testing/wire-script.ts';

test('§3.5 figure 6: passive open', () => {
  const wire = new WireScript().listen();
  wire.recv({ flags: 'S', mss: 1400 }).expect({ flags: 'SA', seq: 0, ack: 1, mss: 1460 }).expectNothing();
  assert.equal(wire.listener!.accept(), null);
  wire.recv({ seq: 1, ack: 1 }).expectNothing();
  wire.connection = wire.listener!.accept();
  wire.expectState('ESTABLISHED');
  assert.equal(wire.connection!.segmentBytes, 1400);
});

test('§3.5: active open', () => {
  const wire = new WireScript()
    .connect()
    .expect({ flags: 'S', seq: 0, mss: 1460, windowScale: 7, sackPermitted: true });
  wire.expectState('SYN-SENT').recv({ flags: 'SA', seq: 0, ack: 1, mss: 1460 }).expect({ flags: 'A', seq: 1, ack: 1 });
  wire.expectState('ESTABLISHED');
});

test('§3.5 figure 8: simultaneous open', () => {
  const wire = new WireScript().connect().expect({ flags: 'S' });
  wire.recv({ flags: 'S', seq: 0, mss: 1460 }).expect({ flags: 'SA', seq: 0, ack: 1 }).expectState('SYN-RECEIVED');
  wire.recv({ flags: 'SA', seq: 0, ack: 1, mss: 1460 }).expectState('ESTABLISHED');
});

test('§3.10.7.3: an unacceptable acknowledgment in SYN-SENT is reset', () => {
  const wire = new WireScript().connect().skip();
  wire.recv({ flags: 'SA', seq: 0, ack: 7 }).expect({ flags: 'R', seq: 7 }).expectState('SYN-SENT');
  wire.recv({ flags: 'R', seq: 0 }).expectNothing().expectState('SYN-SENT');
});

test('§3.10.7.3: a reset that acknowledges the SYN refuses the connection', () => {
  const wire = new WireScript().connect().skip();
  wire.recv({ flags: 'RA', seq: 0, ack: 1 }).expectNothing().expectState('CLOSED');
  assert.equal(wire.connection!.errno, 111);
  assert.equal(wire.layer.connectionCount, 0);
});

test('§3.10.7.1: no connection and no listener', () => {
  const wire = new WireScript();
  wire.recv({ flags: 'S', seq: 0 }).expect({ flags: 'RA', rawSeq: 0, ack: 1 } as object);
  wire.recv({ flags: 'A', seq: 5, ack: 77, payload: 3 }).expect({ flags: 'R', seq: 77 });
  wire.recv({ flags: 'R', seq: 5 }).expectNothing();
  assert.equal(wire.layer.counters.dropNoConnection, 3);
});

test('§3.10.7.2: an acknowledgment to a listener is reset, a reset is ignored', () => {
  const wire = new WireScript().listen();
  wire.recv({ flags: 'A', seq: 1, ack: 9 }).expect({ flags: 'R', seq: 9 });
  wire.recv({ flags: 'R', seq: 1 }).expectNothing();
  wire.recv({ flags: 'F', seq: 1 }).expectNothing();
});

test('§3.8.1: SYN is sent again with backoff, then given up', () => {
  const wire = new WireScript({ config: { synRetries: 2 } }).connect().expect({ flags: 'S', atMs: 0 });
  wire.at(10_000).expect({ flags: 'S', seq: 0, atMs: 1000 }).expect({ flags: 'S', atMs: 3000 }).expectNothing();
  wire.expectState('CLOSED');
  assert.equal(wire.connection!.errno, 110);
  assert.equal(wire.layer.timers.size, 0);
  assert.equal(wire.pool.promisedBytes, 0);
});

test('a SYN-ACK is sent again on the timer and for a repeated SYN', () => {
  const wire = new WireScript().listen().recv({ flags: 'S', mss: 1460 }).expect({ flags: 'SA' });
  wire.at(1000).expect({ flags: 'SA', seq: 0, ack: 1, atMs: 1000 });
  wire.at(1500).recv({ flags: 'S', mss: 1460 }).expect({ flags: 'SA', atMs: 1500 }).expectNothing();
  wire.recv({ seq: 1, ack: 1 });
  assert.ok(wire.listener!.accept() !== null);
});

test('a half-open connection that is never completed goes away', () => {
  const wire = new WireScript({ config: { synAckRetries: 1 } }).listen().recv({ flags: 'S', mss: 1460 });
  wire.at(10_000);
  assert.equal(wire.layer.connectionCount, 0);
  assert.equal(wire.listener!.halfOpenCount, 0);
  assert.equal(wire.pool.promisedBytes, 0);
});

test('§3.10.7.4: a reset in SYN-RECEIVED of a passive open makes room again', () => {
  const wire = new WireScript().listen().recv({ flags: 'S', mss: 1460 }).expect({ flags: 'SA' });
  wire.recv({ flags: 'R', seq: 1 }).expectNothing();
  assert.equal(wire.layer.connectionCount, 0);
  assert.equal(wire.listener!.halfOpenCount, 0);
});

test('§3.10.7.4: a wrong acknowledgment in SYN-RECEIVED is reset', () => {
  const wire = new WireScript().listen().recv({ flags: 'S', mss: 1460 }).expect({ flags: 'SA' });
  wire.recv({ seq: 1, ack: 5 }).expect({ flags: 'R', seq: 5 });
  wire.recv({ seq: 1, ack: 1 });
  assert.ok(wire.listener!.accept() !== null);
});

test('the backlog limits half-open connections and the accept queue', () => {
  const wire = new WireScript({ config: { synCookies: 0 } }).listen(1);
  for (let i = 0; i < 20; i++) wire.recv({ flags: 'S', mss: 1460, port: 1000 + i });
  assert.equal(wire.listener!.halfOpenCount, 16);
  assert.equal(wire.layer.counters.dropSynQueueFull, 4);
});

test('an accept queue that is full keeps the handshake open until there is room', () => {
  const wire = new WireScript().listen(1);
  wire.recv({ flags: 'S', mss: 1460, port: 1 });
  const first = wire.ourIss;
  wire.recv({ flags: 'S', mss: 1460, port: 2 });
  const second = wire.ourIss;
  wire.skip();
  wire.ourIss = first;
  wire.recv({ seq: 1, ack: 1, port: 1 });
  wire.ourIss = second;
  wire.recv({ seq: 1, ack: 1, port: 2 });
  assert.equal(wire.layer.counters.dropAcceptQueueFull, 1);
  assert.equal(wire.listener!.accept()!.remotePort, 1);
  wire.recv({ seq: 1, ack: 1, port: 2 });
  assert.equal(wire.listener!.accept()!.remotePort, 2);
});

test('closing a listener resets what was not accepted', () => {
  const wire = new WireScript().listen().recv({ flags: 'S', mss: 1460 }).expect({ flags: 'SA' });
  wire.recv({ seq: 1, ack: 1 });
  wire.listener!.close(wire.nowMicros);
  wire.flush().expect({ flags: 'RA', seq: 1 });
  assert.equal(wire.layer.connectionCount, 0);
  wire.recv({ flags: 'S', seq: 0 }).expect({ flags: 'RA' });
});

test('payload on a SYN is not taken and not acknowledged', () => {
  const wire = new WireScript().listen().recv({ flags: 'S', seq: 0, payload: 10 }).expect({ flags: 'SA', ack: 1 });
  wire.recv({ seq: 1, ack: 1, payload: 10 });
  wire.connection = wire.listener!.accept();
  wire.expectRead(0, 10);
});

test('no route: no answer; a neighbour that is being resolved only delays', () => {
  const wire = new WireScript();
  wire.ip.routeState = 'resolving';
  wire.connect().expectNothing();
  wire.at(500).expectNothing();
  wire.ip.routeState = 'ready';
  wire.flush().expect({ flags: 'S', atMs: 500 });
});

test('a neighbour that does not exist fails the connection', () => {
  const wire = new WireScript();
  wire.ip.routeState = 'failed';
  wire.connect().expectNothing().expectState('CLOSED');
  assert.equal(wire.connection!.errno, 113);
});

test('ports are validated and clashes refused', () => {
  const wire = new WireScript().listen();
  assert.throws(() => wire.listen(), { code: 'EADDRINUSE' });
  assert.throws(() => wire.layer.connect({ remote: wire.peer, remotePort: 0, pool: wire.pool }, 0), {
    code: 'ERR_DEVMEM_INVALID_ARGUMENT',
  });
  wire.connect();
  assert.throws(
    () => wire.layer.connect({ remote: wire.peer, remotePort: PEER_PORT, localPort: LOCAL_PORT, pool: wire.pool }, 0),
    { code: 'EADDRNOTAVAIL' },
  );
});
