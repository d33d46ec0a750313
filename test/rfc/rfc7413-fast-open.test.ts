import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HostRegion } from '../../src/memory/region.ts';
import { FAST_OPEN_SERVER_NO_COOKIE } from '../../src/stack/tcp/fast-open.ts';
import {
  LOCAL_PORT,
  PEER_PORT,
  WireScript,
  type PeerSegment,
  type WireScriptOptions,
} from '../../testing/wire-script.ts';

const SERVER = 2;
const CLIENT = 1;
const SYN: PeerSegment = { flags: 'S', seq: 0, mss: 1460, window: 65_535 };

function server(options: WireScriptOptions = {}, queue = 4): WireScript {
  const wire = new WireScript({ ...options, config: { fastOpen: SERVER, ...options.config } }).listen();
  wire.listener!.options = wire.layer.options.own(wire.layer.config);
  wire.listener!.options.fastOpenQueue = queue;
  return wire;
}

/** The cookie of the script's peer, asked for as a client does. */
function cookieOf(wire: WireScript): string {
  wire.recv({ ...SYN, port: 1, fastOpen: '' });
  const cookie = wire.sent.shift()!.fastOpen!;
  assert.match(cookie, /^[0-9a-f]{16}$/);
  wire.recv({ flags: 'R', seq: 1, port: 1 }).skip();
  return cookie;
}

function clientConnect(wire: WireScript): WireScript {
  wire.connection = wire.layer.connect(
    { remote: wire.peer, remotePort: PEER_PORT, localPort: LOCAL_PORT, pool: wire.pool, fastOpen: true },
    wire.nowMicros,
  );
  return wire.flush();
}

/** A client that has got a cookie in an earlier connection. */
function client(options: WireScriptOptions = {}): WireScript {
  const wire = clientConnect(new WireScript({ ...options, config: { fastOpen: CLIENT, ...options.config } }));
  wire.expect({ flags: 'S', payload: 0, fastOpen: '' });
  wire.recv({ flags: 'SA', seq: 0, ack: 1, mss: 1460, fastOpen: 'aabbccdd' }).expect({ flags: 'A', ack: 1 });
  return wire.abort().skip().after(10);
}

function queueData(wire: WireScript, length: number): number {
  return wire.connection!.send(new HostRegion(length), 0, length);
}

test('§4.2.2: a SYN that asks for a cookie gets one, in the form that it asked in', () => {
  const wire = server();
  wire.recv({ ...SYN, payload: 5, fastOpen: '' }).expect({ flags: 'SA', ack: 1, fastOpenIsExperimental: false });
  wire.recv({ ...SYN, port: 2, fastOpen: '', fastOpenIsExperimental: true });
  wire.expect({ flags: 'SA', ack: 1, fastOpenIsExperimental: true });
  assert.equal(wire.layer.counters.fastOpenCookieRequests, 2);
  assert.equal(wire.listener!.acceptableCount, 0);
});

test('§4.2.2: data in a SYN with its cookie is accepted, read and answered before the handshake is done', () => {
  const wire = server();
  const fastOpen = cookieOf(wire);
  wire.recv({ ...SYN, payload: 100, fastOpen }).expect({ flags: 'SA', seq: 0, ack: 101, fastOpen: null });
  wire.connection = wire.listener!.accept();
  wire.expectState('SYN-RECEIVED').expectRead(0, 100);
  assert.equal(wire.connection!.info(wire.nowMicros).tcpi_options & 32, 32);
  wire.send(3000);
  wire.expect({ flags: 'A', seq: 1, ack: 101, payload: 1460 }).expect({ seq: 1461, payload: 1460 });
  wire.expect({ flags: 'PA', seq: 2921, payload: 80 });
  // An acknowledgment of the SYN-ACK and of part of the data.
  wire.recv({ seq: 101, ack: 1461 }).expectState('ESTABLISHED').skip();
  assert.equal(wire.connection!.sender.unaOffset, 1460);
  wire.recv({ seq: 101, ack: 3001 });
  assert.equal(wire.connection!.completedOffset, 3000);
  assert.equal(wire.listener!.fastOpenCount, 0);
});

test('§4.2.2: what a SYN-ACK before its acknowledgment is repeated for: time, and the SYN again', () => {
  const wire = server();
  const fastOpen = cookieOf(wire);
  wire.recv({ ...SYN, payload: 100, fastOpen }).expect({ flags: 'SA', ack: 101 });
  wire.connection = wire.listener!.accept();
  wire.send(10).expect({ flags: 'PA', seq: 1, payload: 10 });
  wire.at(1100).expect({ flags: 'SA', seq: 0, ack: 101 }).expectNothing();
  wire.recv(SYN).expect({ flags: 'SA', seq: 0, ack: 101 }).expectNothing();
  // The acknowledgment is for the SYN-ACK only: the data has a timer of its own from here on.
  wire.recv({ seq: 101, ack: 1 }).expectState('ESTABLISHED').skip().after(4000);
  wire.expect({ flags: 'PA', seq: 1, payload: 10 });
});

test('§4.2.2: a cookie of somebody else, or of another key, is refused and replaced', () => {
  const wire = server();
  const fastOpen = cookieOf(wire);
  wire.recv({ ...SYN, payload: 9, fastOpen: '0123456789abcdef' }).expect({ flags: 'SA', ack: 1, fastOpen });
  assert.equal(wire.layer.counters.fastOpenPassiveFailed, 1);
});

test('keys rotate: cookies of the backup key are taken, and replaced', () => {
  const old = server({ config: { fastOpenKey: new Uint8Array(16).fill(1) } });
  const fastOpen = cookieOf(old);
  const wire = server({
    config: { fastOpenKey: new Uint8Array(16).fill(2), fastOpenBackupKey: new Uint8Array(16).fill(1) },
  });
  wire.recv({ ...SYN, payload: 9, fastOpen });
  const answer = wire.sent.shift()!;
  assert.equal(answer.ack, 10);
  assert.equal(answer.fastOpen, cookieOf(wire));
  assert.notEqual(answer.fastOpen, fastOpen);
});

test('without a queue, or with Fast Open off, a SYN with data is an ordinary one', () => {
  for (const wire of [server({}, 0), server({ config: { fastOpen: 1 } })]) {
    wire.recv({ ...SYN, payload: 9, fastOpen: '' }).expect({ flags: 'SA', ack: 1, fastOpen: null });
    wire.recv({ seq: 1, ack: 1 });
    assert.equal(wire.listener!.acceptableCount, 1);
  }
});

test('without need of a cookie, data in any SYN is taken', () => {
  const wire = server({ config: { fastOpen: SERVER | FAST_OPEN_SERVER_NO_COOKIE } });
  wire.recv({ ...SYN, payload: 9 }).expect({ flags: 'SA', ack: 10 });
});

test('§5.1: handshakes under way are limited; one that was reset counts for a minute', () => {
  const wire = server({}, 2);
  const fastOpen = cookieOf(wire);
  for (const port of [2, 3]) wire.recv({ ...SYN, payload: 9, fastOpen, port }).expect({ flags: 'SA', ack: 10 });
  wire.recv({ ...SYN, payload: 9, fastOpen, port: 4 }).expect({ flags: 'SA', ack: 1 });
  assert.equal(wire.layer.counters.fastOpenOverflows, 1);
  wire.recv({ flags: 'RA', seq: 10, port: 2 }).skip();
  assert.equal(wire.listener!.fastOpenCount, 2);
  wire.recv({ ...SYN, payload: 9, fastOpen, port: 5 }).expect({ flags: 'SA', ack: 1 });
  const reset = wire.listener!.accept()!;
  assert.equal(reset.errno, 104);
  assert.equal(reset.receiveQueue.bytes, 9);
  reset.close(wire.nowMicros);
  wire.after(61_000).skip();
  wire.recv({ ...SYN, payload: 9, fastOpen, port: 6 }).expect({ flags: 'SA', ack: 10 });
});

test('close in SYN-RECEIVED: with unread data a reset, without it a FIN when the handshake is done', () => {
  const wire = server();
  const fastOpen = cookieOf(wire);
  wire.recv({ ...SYN, payload: 9, fastOpen }).skip();
  wire.connection = wire.listener!.accept();
  wire.close().expect({ flags: 'RA', seq: 1, ack: 10 }).expectState('CLOSED');
  wire.recv({ ...SYN, payload: 9, fastOpen, port: 7 }).skip();
  wire.connection = wire.listener!.accept();
  wire.read();
  wire.close().expectNothing();
  wire.recv({ seq: 10, ack: 1, port: 7 }).expect({ flags: 'FA', seq: 1, ack: 10 }).expectState('FIN-WAIT-1');
});

test('a FIN with the data of a SYN, and a listener that closes', () => {
  const wire = server();
  const fastOpen = cookieOf(wire);
  wire.recv({ ...SYN, payload: 9, fastOpen }).skip();
  wire.recv({ flags: 'FA', seq: 10, ack: 1 }).expect({ flags: 'A', ack: 11 });
  wire.recv({ ...SYN, payload: 9, fastOpen, port: 8 }).skip();
  wire.connection = wire.listener!.accept();
  wire.expectState('CLOSE-WAIT').expectRead(0, 9);
  wire.listener!.close(wire.nowMicros);
  wire.flush().expect({ flags: 'RA', seq: 1, ack: 10 });
});

test('§4.2.1: without a cookie the SYN asks for one and takes no data', () => {
  const wire = clientConnect(new WireScript({ config: { fastOpen: CLIENT } }));
  assert.equal(wire.connection!.sendSpaceBytes, 0);
  wire.expect({ flags: 'S', payload: 0, fastOpen: '' });
  wire.after(1000).expect({ flags: 'S', fastOpen: null });
  wire.recv({ flags: 'SA', seq: 0, ack: 1, mss: 1460, fastOpen: '00112233445566' });
  wire.expectState('ESTABLISHED');
  assert.equal(wire.layer.fastOpenClient.size, 1);
});

test('§4.2.1: a server that knows neither form of the option is asked once in each, then in the standard one', () => {
  const wire = new WireScript({ config: { fastOpen: CLIENT } });
  const forms: unknown[] = [];
  for (let i = 0; i < 5; i++) {
    clientConnect(wire);
    forms.push(wire.sent.shift()!.fastOpenIsExperimental);
    wire.recv({ flags: 'SA', seq: 0, ack: 1, mss: 1460 }).abort().skip().after(10);
  }
  assert.deepEqual(forms, [false, true, false, false, false]);
});

test('§4.2.1: what is remembered of hosts can be forgotten', () => {
  const wire = client();
  wire.layer.fastOpenClient.forgetHosts();
  clientConnect(wire).expect({ flags: 'S', payload: 0, fastOpen: '' });
});

test('§4.2.1: with a cookie the SYN waits for data and takes along what fits', () => {
  const wire = clientConnect(client());
  wire.expectNothing();
  assert.equal(wire.connection!.fastOpen!.isDeferred, true);
  assert.equal(queueData(wire, 3000), 1420);
  wire.flush().expect({ flags: 'S', seq: 0, payload: 1420, fastOpen: 'aabbccdd' }).expectNothing();
  // Whoever has more to send does so now, and acknowledges the SYN with it.
  wire.recv({ flags: 'SA', seq: 0, ack: 1421, mss: 1460 }).expectState('ESTABLISHED').expectNothing();
  assert.equal(wire.connection!.completedOffset, 1420);
  assert.equal(wire.connection!.info(wire.nowMicros).tcpi_options & 32, 32);
  wire.send(500).expect({ flags: 'PA', seq: 1421, ack: 1, payload: 500 }).expectNothing();
});

test('the acknowledgment of the SYN waits for data for a moment only, and only where some was held back', () => {
  for (const length of [1420, 1421]) {
    const wire = clientConnect(client());
    queueData(wire, length);
    wire.flush().expect({ flags: 'S', payload: 1420 });
    wire.recv({ flags: 'SA', seq: 0, ack: 1421, mss: 1460 });
    if (length > 1420) wire.expectNothing().after(200);
    wire.expect({ flags: 'A', seq: 1421, ack: 1, payload: 0 }).expectNothing();
  }
});

test('§4.2.1: data that the SYN-ACK does not acknowledge, or only in part, is sent at once', () => {
  for (const acked of [0, 400]) {
    const wire = clientConnect(client());
    queueData(wire, 1000);
    wire.flush().expect({ flags: 'S', payload: 1000 });
    wire.recv({ flags: 'SA', seq: 0, ack: 1 + acked, mss: 1460 });
    wire.expect({ flags: 'PA', seq: 1 + acked, ack: 1, payload: 1000 - acked }).expectNothing();
    assert.equal(wire.connection!.info(wire.nowMicros).tcpi_fastopen_client_fail, 2);
    wire.recv({ seq: 1, ack: 1001 });
    assert.equal(wire.connection!.completedOffset, 1000);
  }
});

test('§4.2.1: the SYN is repeated without data and option; its data goes out when the plain one is answered', () => {
  const wire = clientConnect(client());
  queueData(wire, 1000);
  wire.flush().expect({ flags: 'S', payload: 1000 });
  wire.after(1000).expect({ flags: 'S', payload: 0, fastOpen: null });
  wire.recv({ flags: 'SA', seq: 0, ack: 1, mss: 1460 }).expect({ flags: 'PA', seq: 1, payload: 1000 });
  assert.equal(wire.connection!.info(wire.nowMicros).tcpi_fastopen_client_fail, 3);
});

test('a host on the way to which SYNs with data are lost is spared them for a while', () => {
  const wire = client();
  for (let i = 0; i < 2; i++) {
    clientConnect(wire);
    queueData(wire, 10);
    wire.flush().after(1000).skip();
    wire.recv({ flags: 'SA', seq: 0, ack: 1, mss: 1460 }).abort().skip();
  }
  clientConnect(wire).expect({ flags: 'S', payload: 0, fastOpen: null });
  wire.abort().after(300_000);
  clientConnect(wire).expectNothing();
  assert.equal(queueData(wire, 10), 10);
});

test('§7.3.1: three timeouts in a row end Fast Open for an hour, then for two', () => {
  const wire = client();
  const fail = (): void => {
    clientConnect(wire);
    assert.equal(queueData(wire, 10), 10);
    wire.flush().after(8000).abort().skip();
  };
  fail();
  assert.equal(wire.layer.counters.fastOpenBlackHoles, 1);
  clientConnect(wire).expect({ flags: 'S', payload: 0, fastOpen: null }).abort();
  wire.after(3_600_000);
  fail();
  wire.after(3_600_000);
  clientConnect(wire).expect({ flags: 'S', payload: 0, fastOpen: null }).abort();
  wire.after(3_600_000);
  clientConnect(wire).expectNothing();
});

test('§7.3.1: after the pause, data that comes through ends the back-off; a FIN ahead of its data begins it', () => {
  const wire = client();
  const open = (): void => {
    clientConnect(wire);
    assert.equal(queueData(wire, 10), 10);
    wire.flush().skip();
    wire.recv({ flags: 'SA', seq: 0, ack: 11, mss: 1460 }).skip();
  };
  open();
  wire.recv({ flags: 'FA', seq: 501, ack: 11 }).abort().skip();
  assert.equal(wire.layer.counters.fastOpenBlackHoles, 1);
  wire.after(3_600_000);
  open();
  assert.equal(wire.connection!.fastOpen!.isTrial, true);
  wire.recv({ seq: 1, ack: 11, payload: 20 }).expectRead(0, 20).abort().skip();
  open();
  assert.equal(wire.connection!.fastOpen!.isTrial, false);
  // Timeouts of data behind the handshake count as well.
  wire.send(100).after(20_000).skip();
  assert.equal(wire.layer.counters.fastOpenBlackHoles, 2);
});

test('a SYN that waits for data is given up by close; nothing is left', () => {
  const wire = clientConnect(client());
  wire.close().expectNothing().expectState('CLOSED');
  assert.equal(wire.layer.connectionCount, 0);
  assert.equal(wire.pool.promisedBytes, 0);
});
