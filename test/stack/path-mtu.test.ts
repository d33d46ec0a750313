import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NEVER } from '../../src/core/clock.ts';
import { PagePool } from '../../src/memory/page-pool.ts';
import { HostRegion } from '../../src/memory/region.ts';
import { PATH_MTU_TIMEOUT_MICROS } from '../../src/stack/route.ts';
import type { TcpConnection } from '../../src/stack/tcp/connection.ts';
import { parsePrefix } from '../../src/wire/address.ts';
import { ARP_REQUEST } from '../../src/wire/arp.ts';
import { TCP_ACK, TCP_SYN, tcpSequence } from '../../src/wire/tcp.ts';
import { tcpFrame, type TcpFrameFields } from '../../testing/frames.ts';
import {
  address,
  arpFrame,
  icmpFrame,
  icmpv6Frame,
  LOCAL4,
  LOCAL6,
  PEER4,
  PEER6,
  solicitationFrame,
} from '../../testing/ip-frames.ts';
import { StackHost } from '../../testing/stack-host.ts';

const PORT = 5201;

class Conversation {
  readonly host = new StackHost();
  readonly #family: 4 | 6;
  readonly connection: TcpConnection;

  constructor(family: 4 | 6) {
    this.#family = family;
    const { host } = this;
    host.receive(family === 4 ? arpFrame({ operation: ARP_REQUEST, target: LOCAL4 }) : solicitationFrame(LOCAL6));
    const pool = new PagePool({ region: new HostRegion(64 * 4096) });
    const listener = host.stack.tcp.listen({ address: null, port: PORT, backlog: 1, pool });
    host.take();
    const options = Uint8Array.of(2, 4, 5, 0xb4);
    host.receive(this.#fromPeer({ flags: TCP_SYN, sequence: 100, acknowledgment: 0, options }));
    const iss = this.#sequenceOf(host.take()[0]!);
    host.receive(this.#fromPeer({ flags: TCP_ACK, sequence: 101, acknowledgment: iss + 1 }));
    this.connection = listener.accept()!;
    this.connection.send(new HostRegion(8192), 0, 8192);
    host.receive();
  }

  /** An ICMP message about a segment of ours with this sequence number, from a router. */
  tooBig(mtuBytes: number, sequence: number): void {
    const { host } = this;
    const isIpv4 = this.#family === 4;
    const quoted = tcpFrame({
      source: isIpv4 ? LOCAL4 : LOCAL6,
      destination: isIpv4 ? PEER4 : PEER6,
      sourcePort: PORT,
      destinationPort: 40_000,
      sequence,
    }).subarray(14);
    const frame = isIpv4
      ? icmpFrame(3, 4, mtuBytes, quoted, { source: '10.0.0.254' })
      : icmpv6Frame(2, 0, mtuBytes, quoted, { source: 'fd00::254' });
    host.receive(frame);
  }

  /** IP packet lengths of what was sent. */
  sentLengths(): number[] {
    return this.host.take().map((frame) => frame.length - 14);
  }

  firstUnacknowledged(): number {
    return this.#sequenceOf(this.host.link.sent[0]!.bytes);
  }

  /** The peer acknowledges everything that was sent. */
  acknowledge(): void {
    const { host, connection } = this;
    host.take();
    const acknowledgment = connection.sender.sndNxt >>> 0;
    host.receive(this.#fromPeer({ flags: TCP_ACK, sequence: 101, acknowledgment }));
  }

  /** The longest IP packet that a large send makes now. */
  longestSent(): number {
    this.connection.send(new HostRegion(8192), 0, 8192);
    this.host.receive();
    const longest = Math.max(...this.sentLengths());
    for (let i = 0; i < 4; i++) this.acknowledge();
    return longest;
  }

  #sequenceOf(frame: Uint8Array): number {
    return tcpSequence(new DataView(frame.buffer), 14 + (this.#family === 4 ? 20 : 40));
  }

  #fromPeer(fields: TcpFrameFields): Uint8Array {
    const isIpv4 = this.#family === 4;
    return tcpFrame({ source: isIpv4 ? PEER4 : PEER6, destination: isIpv4 ? LOCAL4 : LOCAL6, ...fields });
  }
}

for (const family of [4, 6] as const) {
  test(`IPv${family}: a message about a segment in flight lowers the path MTU, and what was too big is sent again`, () => {
    const talk = new Conversation(family);
    const sequence = talk.firstUnacknowledged();
    assert.equal(Math.max(...talk.sentLengths()), 1500);
    talk.tooBig(1400, sequence);
    assert.equal(talk.connection.route.mtuBytes, 1400);
    assert.equal(talk.host.stack.counters.pathMtuLowered, 1);
    const lengths = talk.sentLengths();
    assert.ok(lengths.length > 0);
    assert.ok(Math.max(...lengths) <= 1400, String(lengths));
    const other = talk.host.stack.output.route(address(family === 4 ? PEER4 : PEER6), null);
    assert.equal(other!.mtuBytes, 1400);
  });

  test(`IPv${family}: a path MTU that was lowered is given up after ten minutes, and a live connection grows back`, () => {
    const talk = new Conversation(family);
    const { host, connection } = talk;
    talk.tooBig(1400, talk.firstUnacknowledged());
    for (let i = 0; i < 4; i++) talk.acknowledge();
    const expiresMicros = host.nowMicros + PATH_MTU_TIMEOUT_MICROS;
    assert.ok(host.stack.pollAt() <= expiresMicros);
    host.advance(PATH_MTU_TIMEOUT_MICROS - 1_000_000);
    assert.ok(talk.longestSent() <= 1400);
    assert.ok(host.stack.pollAt() <= expiresMicros);
    host.advance(2_000_000);
    assert.equal(talk.longestSent(), 1500);
    assert.equal(connection.pathMtuBytes, 1500);
    assert.equal(connection.route.mtuExpiresMicros, NEVER);
  });

  test(`IPv${family}: so does one whose route the table has forgotten meanwhile`, () => {
    const talk = new Conversation(family);
    const { host } = talk;
    talk.tooBig(1400, talk.firstUnacknowledged());
    for (let i = 0; i < 4; i++) talk.acknowledge();
    host.stack.addRoute(parsePrefix('198.51.100.0/24')!, address('10.0.0.9'));
    assert.equal(host.stack.routes.cached(talk.connection.remoteAddress, talk.connection.localAddress), null);
    host.advance(PATH_MTU_TIMEOUT_MICROS + 1_000_000);
    assert.equal(talk.longestSent(), 1500);
  });

  test(`IPv${family}: one that quotes a segment not in flight is a forgery (RFC 5927)`, () => {
    const talk = new Conversation(family);
    const sequence = talk.firstUnacknowledged();
    talk.tooBig(1400, sequence - 1);
    talk.tooBig(1400, sequence + 1_000_000);
    assert.equal(talk.connection.route.mtuBytes, 1500);
    assert.equal(talk.host.stack.counters.pathMtuLowered, 0);
  });
}
