import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRNO } from '../../../src/core/errno.ts';
import { DEFAULT_TCP_CONFIG } from '../../../src/stack/tcp/config.ts';
import { SocketOptions, storedOption, storeOption, type SocketOptionName } from '../../../src/stack/tcp/options.ts';
import { SEND_MORE, SEND_RECORD } from '../../../src/stack/tcp/send-buffer.ts';
import { HostRegion } from '../../../src/memory/region.ts';
import { FakeIp } from '../../../testing/fake-ip.ts';
import { WireScript } from '../../../testing/wire-script.ts';

const CONFIG = { ...DEFAULT_TCP_CONFIG };

function stored(name: SocketOptionName, value: unknown): unknown {
  const options = new SocketOptions(CONFIG);
  const verdict = storeOption(options, name, value, CONFIG);
  return verdict < 0 ? verdict : storedOption(options, name);
}

test('values in range are kept, others are refused as Linux refuses them', () => {
  const cases: readonly (readonly [SocketOptionName, unknown, unknown])[] = [
    ['TCP_NODELAY', 1, 1],
    ['TCP_NODELAY', 7, 1],
    ['TCP_NODELAY', true, 1],
    ['TCP_CORK', 1, 1],
    ['TCP_MAXSEG', 0, 0],
    ['TCP_MAXSEG', 88, 88],
    ['TCP_MAXSEG', 87, -ERRNO.EINVAL],
    ['TCP_MAXSEG', 32_768, -ERRNO.EINVAL],
    ['TCP_KEEPIDLE', 32_767, 32_767],
    ['TCP_KEEPIDLE', 0, -ERRNO.EINVAL],
    ['TCP_KEEPINTVL', 32_768, -ERRNO.EINVAL],
    ['TCP_KEEPCNT', 127, 127],
    ['TCP_KEEPCNT', 128, -ERRNO.EINVAL],
    ['TCP_USER_TIMEOUT', 3000, 3000],
    ['TCP_USER_TIMEOUT', -1, -ERRNO.EINVAL],
    ['TCP_SYNCNT', 0, -ERRNO.EINVAL],
    ['TCP_SYNCNT', 3, 3],
    ['TCP_LINGER2', -5, -1],
    ['TCP_LINGER2', 500, 120],
    ['TCP_DEFER_ACCEPT', 5, 7],
    ['TCP_DEFER_ACCEPT', 0, 0],
    ['TCP_WINDOW_CLAMP', 100, 1152],
    ['TCP_CONGESTION', 'reno', 'reno'],
    ['TCP_CONGESTION', 'vegas', -ERRNO.ENOENT],
    ['TCP_CONGESTION', 1, -ERRNO.EINVAL],
    ['TCP_NOTSENT_LOWAT', -1, 0xffff_ffff],
    ['TCP_FASTOPEN', -1, -ERRNO.EINVAL],
    ['TCP_FASTOPEN_CONNECT', 2, -ERRNO.EINVAL],
    ['TCP_INQ', 2, -ERRNO.EINVAL],
    ['TCP_INQ', 1, 1],
    ['TCP_RTO_MAX_MS', 999, -ERRNO.EINVAL],
    ['TCP_RTO_MAX_MS', 60_000, 60_000],
    ['TCP_RTO_MIN_US', 200_001, -ERRNO.EINVAL],
    ['TCP_DELACK_MAX_US', 50_000, 50_000],
    ['TCP_THIN_LINEAR_TIMEOUTS', 2, -ERRNO.EINVAL],
    ['TCP_THIN_DUPACK', 1, 0],
    ['SO_RCVBUF', 10_000, 20_000],
    ['SO_RCVBUF', 1, 2304],
    ['SO_SNDBUF', 10_000, 20_000],
    ['SO_SNDBUF', 1, 4608],
    ['SO_RCVLOWAT', 0, 1],
    ['SO_MAX_PACING_RATE', 0xffff_ffff, 0xffff_ffff],
    ['SO_MAX_PACING_RATE', 1000, 1000],
    ['IP_TOS', 0x2b, 0x28],
    ['IPV6_TCLASS', 256, -ERRNO.EINVAL],
    ['IP_TTL', 0, -ERRNO.EINVAL],
    ['IP_TTL', -1, 0],
    ['SO_KEEPALIVE', 1, 1],
    ['SO_KEEPALIVE', 'yes', -ERRNO.EINVAL],
    ['TCP_NODELAY', 1.5, -ERRNO.EINVAL],
    ['SO_LINGER', 1, -ERRNO.EINVAL],
  ];
  for (const [name, value, expected] of cases) {
    assert.equal(stored(name, value), expected, `${name} set to ${String(value)}`);
  }
  assert.deepEqual(stored('SO_LINGER', { enabled: true, seconds: 3 }), { enabled: true, seconds: 3 });
  assert.deepEqual(stored('SO_LINGER', { enabled: false, seconds: 3 }), { enabled: false, seconds: 0 });
  assert.equal(storeOption(new SocketOptions(CONFIG), 'TCP_MD5SIG', 1, CONFIG), -ERRNO.ENOPROTOOPT);
  assert.equal(storeOption(new SocketOptions(CONFIG), 'toString', 1, CONFIG), -ERRNO.ENOPROTOOPT);
  const noClient = { ...CONFIG, fastOpen: 0 };
  assert.equal(storeOption(new SocketOptions(CONFIG), 'TCP_FASTOPEN_CONNECT', 1, noClient), -ERRNO.EOPNOTSUPP);
});

test('a connection pays for options only when it sets one; a listener is inherited from', () => {
  const wire = new WireScript().listen();
  assert.equal(wire.listener!.setOption('TCP_NODELAY', 1), 0);
  assert.equal(wire.listener!.setOption('TCP_KEEPIDLE', 77), 0);
  const { connection } = wire.established();
  assert.equal(connection!.options, wire.listener!.options);
  assert.equal(connection!.noDelay, true);
  assert.equal(connection!.setOption('TCP_KEEPIDLE', 88, 0), 0);
  assert.notEqual(connection!.options, wire.listener!.options);
  assert.deepEqual([connection!.option('TCP_KEEPIDLE'), wire.listener!.option('TCP_KEEPIDLE')], [88, 77]);
  wire.listener!.setOption('TCP_KEEPIDLE', 99);
  assert.equal(connection!.option('TCP_KEEPIDLE'), 88);
  assert.equal(new WireScript().established().connection!.options.isShared, true);
});

test('what is too late, or unknown, is refused and changes nothing', () => {
  const { connection, listener } = new WireScript().established();
  const before = connection!.options;
  assert.equal(connection!.setOption('TCP_FASTOPEN', 5, 0), -ERRNO.EINVAL);
  assert.equal(connection!.setOption('TCP_FASTOPEN_CONNECT', 1, 0), -ERRNO.EINVAL);
  assert.equal(connection!.setOption('TCP_WINDOW_CLAMP', 0, 0), -ERRNO.EINVAL);
  assert.equal(connection!.setOption('TCP_KEEPCNT', 0, 0), -ERRNO.EINVAL);
  assert.equal(connection!.setOption('SO_WHATEVER', 0, 0), -ERRNO.ENOPROTOOPT);
  assert.equal(connection!.options, before);
  assert.equal(connection!.option('SO_WHATEVER'), -ERRNO.ENOPROTOOPT);
  assert.equal(listener!.setOption('TCP_FASTOPEN_KEY', new Uint8Array(15)), -ERRNO.EINVAL);
  assert.equal(listener!.setOption('TCP_FASTOPEN_KEY', new Uint8Array(32)), 0);
});

test('TCP_CORK holds what is not full, until it is off or 200 ms have passed', () => {
  const wire = new WireScript().established();
  const { connection } = wire;
  connection!.setOption('TCP_CORK', 1, wire.nowMicros);
  wire.send(40).expectNothing().send(40).expectNothing();
  connection!.setOption('TCP_CORK', 0, wire.nowMicros);
  wire.flush().expect({ flags: 'PA', seq: 1, payload: 80 }).recv({ seq: 1, ack: 81 });
  connection!.setOption('TCP_CORK', 1, wire.nowMicros);
  wire.send(1500).expect({ seq: 81, payload: 1460 }).expectNothing();
  wire.recv({ seq: 1, ack: 1541 }).expectNothing();
  wire.after(150).expectNothing().after(100).expect({ seq: 1541, payload: 40 });
});

test('TCP_NODELAY lets go of what TCP_CORK held', () => {
  const wire = new WireScript().established();
  wire.connection!.setOption('TCP_CORK', 1, wire.nowMicros);
  wire.send(40).expectNothing();
  wire.connection!.setOption('TCP_NODELAY', 1, wire.nowMicros);
  wire.flush().expect({ seq: 1, payload: 40 });
});

test('MSG_MORE holds back until more comes, or an acknowledgment', () => {
  const wire = new WireScript().established();
  const { connection } = wire;
  connection!.noDelay = true;
  const region = new HostRegion(4096);
  connection!.send(region, 0, 100, SEND_MORE);
  wire.flush().expectNothing();
  connection!.send(region, 100, 100, 0);
  wire.flush().expect({ flags: 'PA', seq: 1, payload: 200 });
  connection!.send(region, 200, 50, SEND_MORE);
  wire.flush().expectNothing();
  wire.recv({ seq: 1, ack: 201 }).expect({ flags: 'A', seq: 201, payload: 50 });
});

test('MSG_EOR: what follows a record does not share its segment, also when sent again', () => {
  const wire = new WireScript({ config: { tailLossProbe: false } }).established();
  const { connection } = wire;
  connection!.noDelay = true;
  const region = new HostRegion(8192);
  connection!.send(region, 0, 400, SEND_RECORD);
  connection!.send(region, 400, 400, SEND_RECORD);
  connection!.send(region, 800, 3000, 0);
  wire.flush().expect({ seq: 1, payload: 400 }).expect({ seq: 401, payload: 400 });
  wire.expect({ seq: 801, payload: 1460 }).expect({ seq: 2261, payload: 1460 }).expect({ seq: 3721, payload: 80 });
  wire.after(300);
  assert.deepEqual([wire.sent[0]!.seq, wire.sent[0]!.payload], [1, 400]);
  wire.skip().recv({ seq: 1, ack: 401 });
  for (const { seq, payload } of wire.sent) assert.ok(seq !== 401 || payload === 400);
});

test('TCP_MAXSEG is announced and kept to', () => {
  const options = new SocketOptions(CONFIG);
  storeOption(options, 'TCP_MAXSEG', 600, CONFIG);
  const wire = new WireScript();
  wire.connection = wire.layer.connect(
    { remote: wire.peer, remotePort: 40_000, localPort: 80, pool: wire.pool, options },
    wire.nowMicros,
  );
  wire.flush().expect({ flags: 'S', mss: 600 });
  wire.recv({ flags: 'SA', seq: 0, ack: 1, mss: 1460 }).skip();
  assert.equal(wire.connection.option('TCP_MAXSEG'), 600);
  wire.send(1200).expect({ payload: 600 }).expect({ payload: 600 });
  assert.equal(wire.connection.setOption('TCP_MAXSEG', 500, wire.nowMicros), 0);
  wire.recv({ seq: 1, ack: 1201 }).send(1000).expect({ payload: 500 }).expect({ payload: 500 });
});

test('TCP_SYNCNT limits how often a SYN is sent again', () => {
  const options = new SocketOptions(CONFIG);
  storeOption(options, 'TCP_SYNCNT', 2, CONFIG);
  const wire = new WireScript();
  wire.connection = wire.layer.connect(
    { remote: wire.peer, remotePort: 40_000, localPort: 80, pool: wire.pool, options },
    wire.nowMicros,
  );
  wire.flush().after(60_000).expectState('CLOSED');
  assert.equal(wire.sent.length, 3);
  assert.equal(wire.connection.option('SO_ERROR'), ERRNO.ETIMEDOUT);
  assert.equal(wire.connection.option('SO_ERROR'), 0);
});

test('SO_RCVBUF and TCP_WINDOW_CLAMP bound the window, SO_SNDBUF what is taken', () => {
  const wire = new WireScript({ pages: 8192 }).listen();
  wire.listener!.setOption('SO_RCVBUF', 20_000);
  wire.recv({ flags: 'S', seq: 0, mss: 1000, windowScale: 7 });
  wire.expect({ flags: 'SA', window: 18_980, windowScale: 0 });
  wire.recv({ seq: 1, ack: 1 });
  const connection = wire.listener!.accept()!;
  wire.connection = connection;
  assert.equal(connection.option('SO_RCVBUF'), 40_000);
  connection.setOption('SO_SNDBUF', 5000, wire.nowMicros);
  assert.equal(connection.sendSpaceBytes, 5000);
  const clamped = new WireScript().listen();
  clamped.listener!.setOption('TCP_WINDOW_CLAMP', 5000);
  clamped.established();
  clamped.recv({ seq: 1, ack: 1, payload: 1000 }).expect({ window: 5000 }).read();
  assert.ok(clamped.connection!.info(0).tcpi_rcv_wnd <= 5000);
});

test('TCP_NOTSENT_LOWAT: no more is taken while that much is unsent', () => {
  const wire = new WireScript().established({ window: 10_000 });
  const { connection } = wire;
  connection!.setOption('TCP_NOTSENT_LOWAT', 4000, wire.nowMicros);
  const events: number[] = [];
  connection!.observer = { tcpEvent: (_, bits) => events.push(bits) };
  wire.flush();
  events.length = 0;
  wire.send(16_000).skip();
  assert.equal(connection!.sendSpaceBytes, 0);
  assert.equal(connection!.send(new HostRegion(1), 0, 1), 0);
  wire.recv({ seq: 1, ack: 8761, window: 10_000 });
  assert.ok(connection!.sendSpaceBytes > 0);
  assert.ok(events.some((bits) => (bits & 4) !== 0));
});

test('TCP_NOTSENT_LOWAT: 0 is what the configuration says, and the option reads so', () => {
  for (const [lowat, isFull] of [
    [0, true],
    [100_000, false],
  ] as const) {
    const wire = new WireScript({ config: { notSentLowatBytes: 4000 } }).established({ window: 10_000 });
    const { connection } = wire;
    assert.equal(connection!.option('TCP_NOTSENT_LOWAT'), 0);
    connection!.setOption('TCP_NOTSENT_LOWAT', lowat, wire.nowMicros);
    wire.send(16_000).skip();
    assert.equal(connection!.sendSpaceBytes === 0, isFull);
  }
});

test('IP_TOS and IP_TTL stand in every packet, SYN included', () => {
  const seen: [number, number][] = [];
  const options = new SocketOptions(CONFIG);
  storeOption(options, 'IP_TOS', 0xb8, CONFIG);
  storeOption(options, 'IP_TTL', 3, CONFIG);
  const wire = new WireScript({ config: { ecn: 0 } });
  const ip: FakeIp = wire.ip;
  const begin = ip.begin.bind(ip);
  const send = ip.send.bind(ip);
  let trafficClass = 0;
  ip.begin = (route, protocol, nowMicros, byte) => {
    trafficClass = byte ?? 0;
    return begin(route, protocol, nowMicros, byte);
  };
  ip.send = (route, tx) => {
    seen.push([trafficClass, tx.hopLimit]);
    return send(route, tx);
  };
  wire.connection = wire.layer.connect(
    { remote: wire.peer, remotePort: 40_000, localPort: 80, pool: wire.pool, options },
    wire.nowMicros,
  );
  wire.flush().recv({ flags: 'SA', seq: 0, ack: 1, mss: 1460 }).send(100);
  assert.ok(seen.length >= 3);
  assert.ok(
    seen.every(([byte, hops]) => byte === 0xb8 && hops === 3),
    JSON.stringify(seen),
  );
});

test('TCP_CONGESTION changes the controller of a connection that exists', () => {
  const { connection } = new WireScript().established();
  const { cwndBytes } = connection!.sender.congestion;
  assert.equal(connection!.option('TCP_CONGESTION'), 'cubic');
  assert.equal(connection!.setOption('TCP_CONGESTION', 'reno', 0), 0);
  assert.equal(connection!.option('TCP_CONGESTION'), 'reno');
  assert.equal(connection!.sender.congestion.cwndBytes, cwndBytes);
});

test('TCP_RTO_MAX_MS bounds the backoff', () => {
  const wire = new WireScript({ config: { tailLossProbe: false } }).established();
  wire.connection!.setOption('TCP_RTO_MAX_MS', 1000, wire.nowMicros);
  wire.send(100).after(10_000);
  const times = wire.sent.map(({ atMs }) => atMs);
  for (let i = 5; i < times.length; i++) assert.ok(times[i]! - times[i - 1]! <= 1001, times.join());
  assert.ok(times.length >= 9);
});

test('TCP_RTO_MAX_MS of a listener holds for what it accepts', () => {
  const wire = new WireScript({ config: { tailLossProbe: false } }).listen();
  wire.listener!.setOption('TCP_RTO_MAX_MS', 1000);
  wire.established().send(100).after(8000);
  assert.ok(wire.sent.length >= 8, `${wire.sent.length} transmissions`);
});

test('TCP_THIN_LINEAR_TIMEOUTS: a thin stream is sent again without backoff, six times', () => {
  const gaps = (thin: number): number[] => {
    const wire = new WireScript({ config: { tailLossProbe: false } }).established();
    wire.connection!.setOption('TCP_THIN_LINEAR_TIMEOUTS', thin, wire.nowMicros);
    wire.send(100).after(20_000);
    return wire.sent.slice(1).map(({ atMs }, i) => Math.round(atMs - wire.sent[i]!.atMs));
  };
  const linear = gaps(1);
  assert.ok(
    linear.slice(1, 6).every((gap) => gap === linear[1]),
    linear.join(),
  );
  assert.ok(linear[8]! > 1.9 * linear[1]!, linear.join());
  const doubling = gaps(0);
  assert.ok(doubling[2]! > 1.9 * doubling[1]!, doubling.join());
});
