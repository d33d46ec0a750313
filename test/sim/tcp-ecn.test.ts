/**
 * ECN between two TCPs of ours: routers on the way mark, and both ends agree with them on how much, whatever is lost,
 * repeated, overtaken or cut into other frames. A failure names its seed.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { randomChance, SeededRandom } from '../../src/core/random.ts';
import { DelayLink } from '../../src/link/wrap/delay.ts';
import type { TcpConfig } from '../../src/stack/tcp/config.ts';
import { Bbr3 } from '../../src/stack/tcp/congestion/bbr3.ts';
import type { TcpConnection } from '../../src/stack/tcp/connection.ts';
import { IpAddress } from '../../src/wire/address.ts';
import { tcpFlags, TCP_SYN } from '../../src/wire/tcp.ts';
import { ECN_CE, ECN_NOT_ECT } from '../../src/wire/traffic-class.ts';
import { SimNet } from '../../testing/sim-net.ts';
import { pattern, readAll, TcpPair, type TcpPairOptions } from '../../testing/tcp-pair.ts';

const ECN_CLASSIC = 1;
const ECN_ACCURATE = 2;
const SEEDS = 40;

/** What the routers have seen of one direction. */
class Marker {
  markRate = 0;
  segments = 0;
  capableSegments = 0;
  markedSegments = 0;
  markedBytes = 0;
  pureCapable = 0;

  mark(random: SeededRandom, header: Uint8Array, payload: Uint8Array, codepoint: number): number {
    if ((tcpFlags(new DataView(header.buffer, header.byteOffset), 0) & TCP_SYN) !== 0) {
      assert.equal(codepoint, ECN_NOT_ECT, 'a SYN was sent ECN-capable');
      return codepoint;
    }
    this.segments++;
    if (codepoint === ECN_NOT_ECT) return codepoint;
    this.capableSegments++;
    if (payload.length === 0) this.pureCapable++;
    // Marks on acknowledgments alone are not acknowledged at the end, and could not be compared.
    if (payload.length === 0 || !randomChance(random, this.markRate)) return codepoint;
    this.markedSegments++;
    this.markedBytes += payload.length;
    return ECN_CE;
  }
}

interface Conversation {
  pair: TcpPair;
  client: TcpConnection;
  server: TcpConnection;
  up: Marker;
  down: Marker;
}

/** Sends `bytes` from the client, marked at `markRate` after the handshake, and waits until all is acknowledged. */
function converse(options: TcpPairOptions, markRate: number, bytes: number): Conversation {
  const pair = new TcpPair({ mtuBytes: 1500, ...options });
  const random = new SeededRandom((options.seed ?? 1) + 77);
  const up = new Marker();
  const down = new Marker();
  pair.onMark = (from, header, payload, codepoint) =>
    (from === pair.a ? up : down).mark(random, header, payload, codepoint);
  const { client, server } = pair.connect();
  up.markRate = markRate;
  const data = pattern(bytes, 3);
  let sent = 0;
  let received = 0;
  pair.runUntil(() => {
    if (sent < bytes) sent += client.send(data, sent, bytes - sent);
    received += readAll(server, pair.nowMicros).length;
    return received === bytes && client.completedOffset === bytes;
  }, 2_000_000);
  return { pair, client, server, up, down };
}

function both(config: Partial<TcpConfig>): TcpPairOptions {
  return { configs: [config, config] };
}

describe('both ends and the routers count the same', () => {
  for (const family of [4, 6] as const) {
    for (const ecnOption of [0, 1, 2] as const) {
      for (const timestamps of [true, false]) {
        test(`IPv${family}, tcp_ecn_option ${ecnOption}, ${timestamps ? 'with' : 'without'} timestamps`, () => {
          for (const markRate of [0, 0.02, 0.3, 1]) {
            const { pair, client, server, up } = converse(
              { family, ...both({ ecn: 3, ecnOption, timestamps }) },
              markRate,
              400_000,
            );
            const sender = client.info(pair.nowMicros);
            const receiver = server.info(pair.nowMicros);
            assert.equal(sender.tcpi_ecn_mode, ECN_ACCURATE);
            assert.equal(receiver.tcpi_ecn_mode, ECN_ACCURATE);
            assert.equal(sender.tcpi_accecn_fail_mode | receiver.tcpi_accecn_fail_mode, 0);
            assert.equal(up.capableSegments, up.segments, 'a segment was not ECN-capable');
            assert.equal(receiver.tcpi_received_ce, up.markedSegments);
            assert.equal(receiver.tcpi_received_ce_bytes, up.markedBytes);
            assert.equal(sender.tcpi_delivered_ce, up.markedSegments, `marked at ${markRate}`);
            if (ecnOption === 2) {
              assert.equal(sender.tcpi_delivered_ce_bytes, up.markedBytes);
              assert.equal(sender.tcpi_delivered_e0_bytes, receiver.tcpi_received_e0_bytes);
              assert.equal(sender.tcpi_delivered_e1_bytes, 0);
            }
            // Nothing was lost: the marks alone have to slow the sender down.
            assert.equal(sender.tcpi_total_retrans, 0);
            if (markRate === 1) assert.ok(sender.tcpi_snd_cwnd < 10);
          }
        });
      }
    }
  }
});

test('bursts handed over whole count as the segments they stand for', () => {
  const { pair, client, server } = converse({ wholeBursts: true, ...both({ ecn: 3 }) }, 0.3, 400_000);
  const { tcpi_received_ce, tcpi_received_ce_bytes } = server.info(pair.nowMicros);
  assert.ok(tcpi_received_ce > 10);
  assert.equal(client.info(pair.nowMicros).tcpi_delivered_ce_bytes, tcpi_received_ce_bytes);
});

test('whatever is lost, repeated and overtaken, the counters meet', () => {
  let optionsSeen = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const faults = { loss: 0.03, duplicate: 0.01, reorder: 0.03, jitterMicros: 500, seed };
    const selectiveAck = seed % 5 !== 0;
    const conversation = converse({ ...faults, ...both({ ecn: 3, selectiveAck }) }, 0.1, 120_000);
    const { pair, client, server, up } = conversation;
    up.markRate = 0;
    pair.options.loss = 0;
    // Two more exchanges without marks and losses bring over what the last acknowledgments have said.
    for (let i = 0; i < 2; i++) {
      const more = pattern(10);
      const before = client.completedOffset;
      client.send(more, 0, 10);
      pair.runUntil(() => {
        readAll(server, pair.nowMicros);
        return client.completedOffset === before + 10;
      });
      pair.runFor(1_000_000);
    }
    const sender = client.info(pair.nowMicros);
    const receiver = server.info(pair.nowMicros);
    assert.equal(sender.tcpi_accecn_fail_mode & 3, 0, `seed ${seed}`);
    // Where the SYN-ACK with the option was lost, there are none (RFC 9768 §3.1.4.2).
    if (sender.tcpi_accecn_opt_seen === 2) {
      assert.equal(sender.tcpi_delivered_ce_bytes, receiver.tcpi_received_ce_bytes, `seed ${seed}`);
      optionsSeen++;
    }
    assert.equal((sender.tcpi_delivered_ce - receiver.tcpi_received_ce) % 8, 0, `seed ${seed}`);
    assert.ok(Math.abs(sender.tcpi_delivered_ce - receiver.tcpi_received_ce) <= 8, `seed ${seed}`);
  }
  assert.ok(optionsSeen > SEEDS / 2);
});

/** What two ends come to under each pair of settings: the client's tcp_ecn down, the server's across. */
const AGREED: readonly (readonly number[])[] = [
  [0, 0, 0, 0, 0, 0],
  [0, ECN_CLASSIC, ECN_CLASSIC, ECN_CLASSIC, ECN_CLASSIC, ECN_CLASSIC],
  [0, 0, 0, 0, 0, 0],
  [0, ECN_CLASSIC, ECN_CLASSIC, ECN_ACCURATE, ECN_ACCURATE, ECN_ACCURATE],
  [0, ECN_CLASSIC, ECN_CLASSIC, ECN_CLASSIC, ECN_CLASSIC, ECN_CLASSIC],
  [0, 0, 0, 0, 0, 0],
];

describe('what two settings of tcp_ecn come to', () => {
  AGREED.forEach((row, ours) => {
    row.forEach((mode, theirs) => {
      test(`${ours} and ${theirs}: ${mode}`, () => {
        const configs = [{ ecn: ours }, { ecn: theirs }] as [Partial<TcpConfig>, Partial<TcpConfig>];
        const { pair, client, server, up } = converse({ configs }, 0.05, 60_000);
        assert.equal(client.info(pair.nowMicros).tcpi_ecn_mode, mode);
        assert.equal(server.info(pair.nowMicros).tcpi_ecn_mode, mode);
        assert.equal(up.capableSegments > 0, mode > 0);
        assert.equal(up.pureCapable > 0, mode === ECN_ACCURATE);
      });
    });
  });
});

test('RFC 3168: marks slow the sender down without a loss', () => {
  const clean = converse(both({ ecn: 1 }), 0, 400_000);
  const marked = converse(both({ ecn: 1 }), 0.2, 400_000);
  assert.ok(marked.up.markedSegments > 10);
  const info = marked.client.info(marked.pair.nowMicros);
  assert.equal(info.tcpi_total_retrans, 0);
  assert.ok(info.tcpi_delivered_ce > 0);
  assert.ok(info.tcpi_snd_cwnd < clean.client.info(clean.pair.nowMicros).tcpi_snd_cwnd);
});

describe('two hosts over a bottleneck that marks', () => {
  for (const remote of ['10.9.0.2', 'fd09::2']) {
    for (const ecn of [1, 3] as const) {
      test(`${remote}, tcp_ecn ${ecn}: the queue stays short and nothing is lost`, () => {
        const links: DelayLink[] = [];
        const net = new SimNet({
          stack: { tcp: { ecn } },
          wrap: (link, clock) => {
            const options = {
              delayMicros: 5000,
              bitsPerSecond: 50_000_000,
              markAboveMicros: 4000,
              queueBytes: 1 << 20,
            };
            links.push(new DelayLink(link, clock, { ...options, direction: 'write' }));
            return links.at(-1)!;
          },
        });
        const [left, right] = net.hosts;
        const listener = right.stack.tcp.listen({ address: null, port: 80, backlog: 1, pool: right.nic.hostPool });
        const client = left.stack.tcp.connect(
          { remote: IpAddress.parse(remote)!, remotePort: 80, pool: left.nic.hostPool },
          net.nowMicros,
        );
        let server: TcpConnection | null = null;
        assert.ok(net.runUntil(() => (server ??= listener.accept()) !== null, 10_000_000));
        const bytes = 4 << 20;
        const data = pattern(bytes);
        let sent = 0;
        let received = 0;
        const isDone = (): boolean => {
          if (sent < bytes) sent += client.send(data, sent, bytes - sent);
          received += readAll(server!, net.nowMicros).length;
          return received === bytes && client.completedOffset === bytes;
        };
        assert.ok(net.runUntil(isDone, 60_000_000), `${received} of ${bytes}`);
        const sender = client.info(net.nowMicros);
        const receiver = server!.info(net.nowMicros);
        assert.ok(links[0]!.writeCounters!.marked > 0, 'nothing was marked');
        assert.ok(receiver.tcpi_received_ce > 0);
        assert.equal(sender.tcpi_total_retrans, 0);
        if (ecn === 3) assert.equal(sender.tcpi_delivered_ce_bytes, receiver.tcpi_received_ce_bytes);
        else assert.ok(sender.tcpi_delivered_ce > 0);
      });
    }
  }
});

describe('a mark on one of many small writes', () => {
  for (const congestion of ['cubic', 'bbr', 'bbr3'] as const) {
    test(`${congestion}: what is sent in bulk afterwards goes at the path's pace`, () => {
      const config: Partial<TcpConfig> = { congestion, ecn: ECN_CLASSIC };
      const pair = new TcpPair({ seed: 3, delayMicros: 20_000, configs: [config, config] });
      const { client, server } = pair.connect();
      const source = pattern(1 << 18);
      let mayMark = false;
      let marks = 0;
      pair.onMark = (from, _header, payload, codepoint) => {
        if (!mayMark || from !== pair.a || payload.length === 0 || codepoint === ECN_NOT_ECT) return codepoint;
        mayMark = false;
        marks++;
        return ECN_CE;
      };
      for (let write = 0; write < 20; write++) {
        mayMark = write === 18;
        client.send(source, 0, 1);
        pair.runFor(500_000);
        readAll(server, pair.nowMicros);
      }
      assert.equal(marks, 1);
      // Nothing is known of the path yet.
      if (client.sender.congestion instanceof Bbr3) assert.equal(client.sender.congestion.mode, 'startup');
      const startMicros = pair.nowMicros;
      const bytes = 200_000;
      for (let sent = 0, received = 0; received < bytes; received += readAll(server, pair.nowMicros).length) {
        if (sent < bytes) sent += client.send(source, sent, bytes - sent);
        pair.a.layer.flush(pair.nowMicros);
        assert.ok(pair.step() && pair.nowMicros - startMicros < 1_000_000, `${received} bytes in a second`);
      }
    });
  }
});
