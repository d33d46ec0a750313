import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../../src/core/random.ts';
import { TCP_SYN } from '../../src/wire/tcp.ts';
import { pattern, readAll, TcpPair } from '../../testing/tcp-pair.ts';
import { checkQuiet } from '../../testing/tcp-transfer.ts';
import { SegmentFlood } from '../../testing/segment-flood.ts';
import { WireScript, type PeerSegment } from '../../testing/wire-script.ts';

const ALWAYS = { synCookies: 2 } as const;
const SYN: PeerSegment = { flags: 'S', seq: 0, mss: 1460, window: 30_000 };

/** The timestamp of the SYN-ACK that was just sent. */
function stamp(wire: WireScript): number {
  return wire.sent[0]!.timestamps![0];
}

test('§3.6: a SYN leaves nothing behind; the acknowledgment makes the connection', () => {
  const wire = new WireScript({ config: ALWAYS }).listen().recv(SYN);
  wire.expect({ flags: 'SA', seq: 0, ack: 1, mss: 1460, windowScale: -1, sackPermitted: false, timestamps: null });
  assert.equal(wire.layer.connectionCount, 0);
  assert.equal(wire.pool.promisedBytes, 0);
  wire.recv({ seq: 1, ack: 1, window: 20_000 });
  wire.connection = wire.listener!.accept();
  wire.expectState('ESTABLISHED');
  assert.equal(wire.connection!.segmentBytes, 1460);
  assert.equal(wire.connection!.sender.sndWnd, 20_000);
  wire.recv({ seq: 1, ack: 1, payload: 100 }).expectRead(0, 100);
  wire.send(50).skip().recv({ seq: 101, ack: 51 });
  assert.equal(wire.connection!.completedOffset, 50);
});

test('§3.6: what the SYN said in options comes back in the echoed timestamp', () => {
  const wire = new WireScript({ config: ALWAYS }).listen();
  wire.at(5000).recv({ ...SYN, sackPermitted: true, windowScale: 9, timestamps: [70, 0] });
  const sent = stamp(wire);
  wire.expect({ flags: 'SA', sackPermitted: true });
  wire.after(30).recv({ seq: 1, ack: 1, window: 100, timestamps: [71, sent], payload: 10 });
  wire.connection = wire.listener!.accept();
  wire.expectState('ESTABLISHED').expectRead(0, 10);
  const info = wire.connection!.info(wire.nowMicros);
  assert.equal(info.tcpi_snd_wscale, 9);
  assert.equal(info.tcpi_options & 7, 7);
  assert.equal(wire.connection!.sender.sndWnd, 100 * 512);
  // Later timestamps are never before the one that held the options.
  const later = wire.sent[0]!.timestamps![0];
  assert.ok(((later - sent) | 0) > 0, `${later} follows ${sent}`);
});

test('a segment size is rounded down to one that the cookie can name', () => {
  for (const [mss, expected] of [
    [0, 536],
    [100, 536],
    [536, 536],
    [1299, 536],
    [1400, 1300],
    [1459, 1440],
    [9000, 1460],
  ]) {
    const wire = new WireScript({ config: ALWAYS, mtuBytes: 9000 })
      .listen()
      .recv({ ...SYN, mss: mss! })
      .skip();
    wire.recv({ seq: 1, ack: 1 });
    assert.equal(wire.listener!.accept()!.peerMss, expected, `announced ${mss}`);
  }
  const six = new WireScript({ config: ALWAYS, mtuBytes: 9000, family: 6 })
    .listen()
    .recv({ ...SYN, mss: 8940 })
    .skip();
  assert.equal(six.recv({ seq: 1, ack: 1 }).listener!.accept()!.peerMss, 8940);
});

test('the SYN-ACK of a cookie announces the scale and the segment size that the connection goes by', () => {
  for (const [name, value, windowScale, mss] of [
    ['SO_RCVBUF', 16_384, 0, 1460],
    ['TCP_WINDOW_CLAMP', 8000, 0, 1460],
    ['TCP_MAXSEG', 500, 7, 500],
    ['TCP_NODELAY', 1, 7, 1460],
  ] as const) {
    const wire = new WireScript({ pages: 8192, config: ALWAYS }).listen();
    // One without the option has been answered before.
    wire.recv({ ...SYN, port: 999, windowScale: 7, timestamps: [1, 0] }).expect({ windowScale: 7, mss: 1460 });
    assert.equal(wire.listener!.setOption(name, value), 0);
    wire.recv({ ...SYN, windowScale: 7, timestamps: [1, 0] });
    const sent = stamp(wire);
    wire.expect({ flags: 'SA', windowScale, mss });
    wire.recv({ seq: 1, ack: 1, timestamps: [2, sent], payload: 100 });
    wire.connection = wire.listener!.accept();
    const { receiver } = wire.connection!;
    assert.equal(receiver.window.scale, windowScale, name);
    assert.equal(receiver.advertisedMss, mss, name);
    wire.after(300);
    const answer = wire.sent.at(-1)!;
    assert.equal(answer.window * 2 ** windowScale, (receiver.window.edge - receiver.rcvNxt) | 0, name);
  }
});

test('a cookie is good for one to two minutes, and for its own connection only', () => {
  const wire = new WireScript({ config: ALWAYS }).listen().recv(SYN).skip();
  wire.recv({ seq: 1, ack: 1, port: 999 }).expect({ flags: 'R', seq: 1 });
  wire.recv({ seq: 10, ack: 1 }).expect({ flags: 'R' });
  wire.recv({ seq: 1, ack: 10 }).expect({ flags: 'R', seq: 10 });
  assert.equal(wire.layer.counters.synCookiesFailed, 3);
  const late = new WireScript({ config: ALWAYS }).listen().recv(SYN).skip();
  late.after(121_000).recv({ seq: 1, ack: 1 }).expect({ flags: 'R' });
  assert.equal(late.listener!.acceptableCount, 0);
  const inTime = new WireScript({ config: ALWAYS }).listen().recv(SYN).skip();
  inTime.after(59_500).recv({ seq: 1, ack: 1 });
  assert.equal(inTime.listener!.acceptableCount, 1);
});

test('guessed acknowledgments make no connection, and are not even looked at while no cookie is out', () => {
  const wire = new WireScript().listen();
  wire.recv({ seq: 1, ack: 1 }).expect({ flags: 'R' });
  assert.equal(wire.layer.counters.synCookiesFailed, 0);
  const cookies = new WireScript({ config: { ...ALWAYS, resetsPerSecond: 1 } }).listen().recv(SYN).skip();
  const random = new SeededRandom(5);
  for (let i = 0; i < 20_000; i++) cookies.input({ seq: random.u32() | 0, ack: random.u32() | 0 });
  assert.equal(cookies.layer.connectionCount, 0);
  assert.equal(cookies.layer.counters.synCookiesFailed, 20_000);
});

test('a full queue of half-open connections: SYNs are answered by cookies, and strangers get in', () => {
  const wire = new WireScript().listen(16);
  for (let i = 0; i < 16; i++) wire.recv({ ...SYN, port: 1 + i }).skip();
  assert.equal(wire.listener!.halfOpenCount, 16);
  wire.recv(SYN).expect({ flags: 'SA' });
  assert.equal(wire.layer.counters.synCookiesSent, 1);
  wire.recv({ seq: 1, ack: 1, payload: 7 });
  wire.connection = wire.listener!.accept();
  wire.expectState('ESTABLISHED').expectRead(0, 7);
  assert.equal(wire.listener!.halfOpenCount, 16);
});

test('a full accept queue: no cookie is sent, and none is taken', () => {
  const wire = new WireScript({ config: ALWAYS }).listen(1);
  wire.recv({ ...SYN, port: 1 });
  const first = wire.ourIss;
  wire.recv({ ...SYN, port: 2 });
  const second = wire.ourIss;
  wire.ourIss = first;
  wire.skip().recv({ seq: 1, ack: 1, port: 1 });
  wire.ourIss = second;
  wire.recv({ seq: 1, ack: 1, port: 2 }).expectNothing();
  assert.equal(wire.layer.counters.dropAcceptQueueFull, 1);
  wire.recv({ ...SYN, port: 3 }).expectNothing();
  wire.listener!.accept();
  wire.recv({ seq: 1, ack: 1, port: 2 });
  assert.equal(wire.listener!.acceptableCount, 1);
});

test('RFC 3168 is remembered too', () => {
  const wire = new WireScript({ config: { ...ALWAYS, ecn: 2 } }).listen();
  wire.recv({ ...SYN, flags: 'SEC', timestamps: [1, 0] });
  const sent = stamp(wire);
  wire.expect({ flags: 'SAE' }).recv({ seq: 1, ack: 1, timestamps: [2, sent] });
  assert.ok(wire.listener!.accept()!.ecn !== null);
});

test('a million SYNs: a transfer goes on to its end, memory stays bounded, honest peers get in', () => {
  const total = 2_000_000;
  const pair = new TcpPair({ delayMicros: 2000, pages: [512, 1024] });
  const { client, server, listener } = pair.connect(80);
  const victim = pair.b.layer.listen({ address: null, port: 81, backlog: 128, pool: pair.b.pool });
  const flood = new SegmentFlood(pair.b);
  const random = new SeededRandom(7);
  const region = pattern(total);
  let queued = 0;
  let received = 0;
  let isRight = true;
  let answers = 0;
  const onSend = pair.b.ip.onSend;
  // What goes to the attacker's addresses goes nowhere.
  pair.b.ip.onSend = (frame) => {
    if (frame.destination.equals(pair.a.ip.address)) return onSend(frame);
    answers++;
    pair.b.ip.done(frame);
  };
  let honest = 0;
  let refused = 0;
  while (flood.sent < 1_000_000 || received < total) {
    if (queued < total) queued += client.send(region, queued, total - queued);
    for (let i = 0; i < 2000 && flood.sent < 1_000_000; i++) {
      const from = flood.hosts[random.u32() % flood.hosts.length]!;
      const port = 1 + (random.u32() % 65_535);
      const toPort = (i & 1) === 0 ? 80 : 81;
      flood.send(from, port, toPort, TCP_SYN, random.u32() | 0, 0, pair.nowMicros);
    }
    assert.ok(pair.step());
    const part = readAll(server, pair.nowMicros);
    isRight &&= Buffer.compare(part, region.mapping.subarray(received, received + part.length)) === 0;
    received += part.length;
    assert.ok(pair.b.layer.connectionCount <= 1 + 128 + 16 + 8, `${pair.b.layer.connectionCount} connections`);
    assert.ok(pair.b.pool.promisedBytes <= pair.b.pool.availableBytes);
    if (pair.steps % 100 === 0) {
      // In the middle of it, somebody who wants to connect can.
      const stranger = pair.a.layer.connect(
        { remote: pair.b.ip.address, remotePort: 81, pool: pair.a.pool },
        pair.nowMicros,
      );
      pair.runFor(20_000);
      const accepted = victim.accept();
      if (stranger.state === 'ESTABLISHED' && accepted !== null) honest++;
      else refused++;
      stranger.abort(pair.nowMicros);
      accepted?.abort(pair.nowMicros);
    }
  }
  assert.equal(flood.sent, 1_000_000);
  assert.ok(isRight);
  assert.equal(received, total);
  assert.equal(refused, 0);
  assert.ok(honest > 3, `${honest} connections`);
  assert.ok(answers > 900_000, `${answers} answers`);
  assert.equal(client.sender.retransmittedSegments, 0);
  assert.ok(pair.b.layer.counters.synCookiesSent > 900_000);
  for (const end of [client, server]) end.abort(pair.nowMicros);
  listener.close(pair.nowMicros);
  victim.close(pair.nowMicros);
  pair.runDry();
  checkQuiet(pair.b, 'server');
});
