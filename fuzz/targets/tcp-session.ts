import assert from 'node:assert/strict';
import { SeededRandom } from '../../src/core/random.ts';
import { FRAME_CHECKSUM_VALID } from '../../src/link/link.ts';
import { PagePool } from '../../src/memory/page-pool.ts';
import { HostRegion } from '../../src/memory/region.ts';
import { Nic } from '../../src/nic/nic.ts';
import { Stack } from '../../src/stack/stack.ts';
import type { TcpConnection } from '../../src/stack/tcp/connection.ts';
import type { TcpListener } from '../../src/stack/tcp/listener.ts';
import { IpAddress, parsePrefix } from '../../src/wire/address.ts';
import { ETHERTYPE_IPV4, etherType } from '../../src/wire/ethernet.ts';
import { ipv4HeaderBytes, ipv4Protocol } from '../../src/wire/ipv4.ts';
import { PROTOCOL_TCP } from '../../src/wire/protocols.ts';
import { TCP_SYN, tcpFlags, tcpSequence } from '../../src/wire/tcp.ts';
import { FrameLink } from '../../testing/frame-link.ts';
import { LOCAL_MAC, PEER_MAC, tcpFrame } from '../../testing/frames.ts';
import { frameSeed } from '../../testing/seeds.ts';
import type { FuzzTarget } from '../target.ts';

const PAGE_BYTES = 4096;
const DEVICE_PAGES = 16;
const PORT = 5201;
const PEER_ISN = 0x7fff_ff00;
/** Sequence numbers of an input begin a little before the window, so that old segments can be made too. */
const EARLY_BYTES = 64;
const MAX_OPERATIONS = 64;
const MAX_PAYLOAD_BYTES = 1460;
const ROUNDS_LIMIT = 200;
const CLOSING_ROUNDS = 40;
const CLOSING_STEP_MICROS = 10_000_000;

/** Shared by all runs, which give back every page and remove every connection. */
const link = new FrameLink({ mtuBytes: 1500, offloads: { checksum: true, tcpSegmentation: true } });
const nic = new Nic({ link, macAddress: LOCAL_MAC, random: new SeededRandom(1), hostPoolBytes: 16 * PAGE_BYTES });
const device = new PagePool({ region: new HostRegion(DEVICE_PAGES * PAGE_BYTES) });
nic.steer({ protocol: 'tcp', destinationPort: PORT, queues: [1] });
const outgoing = new HostRegion(PAGE_BYTES);

/** The byte at an offset of the peer's stream: every segment carries the right ones for its sequence number. */
function streamByte(offset: number): number {
  return (offset * 7 + (offset >> 8)) & 0xff;
}

/** One run: a listener, a peer made of the input's operations, an application that takes and gives. */
class Session {
  readonly #stack: Stack;
  readonly #listener: TcpListener;
  readonly #connections: TcpConnection[] = [];
  readonly #closed: TcpConnection[] = [];
  /** References that the application keeps: what tokens are. */
  readonly #held: { pool: PagePool; iov: number }[] = [];
  readonly #read = new Map<TcpConnection, number>();
  #nowMicros = 1_000_000;
  #localIsn = 0;

  constructor() {
    // Fresh landing pages: how far the last ones were filled shows in the window.
    nic.bindQueue(1, device);
    this.#stack = new Stack({ nic, random: new SeededRandom(1), duplicateDetection: 'off' });
    this.#stack.addAddress(parsePrefix('10.0.0.2/24')!, this.#nowMicros);
    this.#listener = this.#stack.tcp.listen({ address: null, port: PORT, backlog: 4, pool: device });
    // The peer asks for our address: now its own is known, and answers go out at once.
    link.incoming.push({ bytes: frameSeed('arp-request') });
    this.segment(TCP_SYN, EARLY_BYTES, 0, 65_535, new Uint8Array(0), 0);
  }

  segment(flags: number, sequence: number, ack: number, window: number, options: Uint8Array, length: number): void {
    // A SYN takes the first sequence number of its segment (RFC 9293 §3.4).
    const from = sequence - EARLY_BYTES - 1 + ((flags & TCP_SYN) !== 0 ? 1 : 0);
    const bytes = tcpFrame({
      sourcePort: 40_000,
      destinationPort: PORT,
      flags,
      sequence: (PEER_ISN + sequence - EARLY_BYTES) | 0,
      acknowledgment: (this.#localIsn + ack) | 0,
      window,
      options,
      payload: Uint8Array.from({ length }, (_, i) => streamByte(from + i)),
    });
    link.incoming.push({ bytes, flags: FRAME_CHECKSUM_VALID });
    this.settle();
  }

  /** Anything at all after the peer's Ethernet header. */
  rawFrame(bytes: Uint8Array): void {
    const frame = Uint8Array.of(...LOCAL_MAC, ...PEER_MAC, 8, 0, ...bytes);
    link.incoming.push({ bytes: frame, flags: FRAME_CHECKSUM_VALID });
    this.settle();
  }

  pass(micros: number): void {
    this.#nowMicros += micros;
    this.settle();
  }

  /** The application accepts, takes what has arrived, and keeps the pages of some of it. */
  read(keep: boolean): void {
    for (let next = this.#listener.accept(); next !== null; next = this.#listener.accept())
      this.#connections.push(next);
    for (const connection of this.#connections) {
      const queue = connection.receiveQueue;
      // Where in the sequence space the queue begins: a new connection after TIME-WAIT begins elsewhere.
      const { rcvNxt, finReceived } = connection.receiver;
      const first = (rcvNxt - queue.bytes - (finReceived ? 1 : 0) - PEER_ISN - 1) | 0;
      let offset = this.#read.get(connection) ?? first;
      assert.equal(first, offset, 'the stream goes on where it was read to');
      while (queue.count > 0) {
        const pool = queue.pool();
        const iov = queue.iov();
        const size = queue.size();
        assert.ok(size > 0 && queue.offset() + size <= PAGE_BYTES, 'a fragment leaves its page');
        this.#assertStream(pool, iov * PAGE_BYTES + queue.offset(), size, offset);
        queue.shift();
        if (keep) this.#held.push({ pool, iov });
        else pool.release(iov);
        offset += size;
        connection.consumed(size, this.#nowMicros);
      }
      if (offset !== first) this.#read.set(connection, offset);
    }
    this.settle();
  }

  release(): void {
    for (const { pool, iov } of this.#held.splice(0)) pool.release(iov);
    this.settle();
  }

  send(length: number): void {
    for (const connection of this.#connections) connection.send(outgoing, 0, Math.min(length, PAGE_BYTES));
    this.settle();
  }

  end(how: number): void {
    for (const connection of this.#connections) {
      if (how === 0) connection.shutdown(this.#nowMicros);
      else if (how === 1) connection.close(this.#nowMicros);
      else connection.abort(this.#nowMicros);
    }
    // What was not read before is gone now, and reading is over.
    if (how !== 0) this.#closed.push(...this.#connections.splice(0));
    this.settle();
  }

  connect(): void {
    const remote = IpAddress.parse('10.0.0.1')!;
    if (this.#stack.tcp.connectionCount > 4) return;
    const options = { remote, remotePort: 40_000, localPort: PORT + 1, pool: device };
    try {
      this.#connections.push(this.#stack.tcp.connect(options, this.#nowMicros));
    } catch (error) {
      // The same four-tuple twice is the caller's mistake.
      assert.equal((error as { code?: string }).code, 'EADDRNOTAVAIL');
    }
    this.settle();
  }

  settle(): void {
    let rounds = 0;
    while (this.#stack.handle(this.#nowMicros) > 0) assert.ok(++rounds < ROUNDS_LIMIT, 'handle never idles');
    assert.ok(!Number.isNaN(this.#stack.pollAt()), 'pollAt is no time');
    assert.ok(device.promisedBytes >= 0, 'promised bytes below zero');
    for (const { bytes } of link.sent.splice(0)) this.#learn(bytes);
  }

  /** Closes everything and checks that nothing is left. */
  finish(): void {
    this.read(false);
    this.end(2);
    // A peer that does not answer is given up after minutes only.
    for (const connection of this.#closed) connection.abort(this.#nowMicros);
    this.#listener.close(this.#nowMicros);
    this.release();
    for (let i = 0; i < CLOSING_ROUNDS; i++) this.pass(CLOSING_STEP_MICROS);
    assert.equal(this.#stack.tcp.connectionCount, 0, 'connections are left');
    assert.equal(device.promisedBytes, 0, 'window is still promised');
    for (const pool of [device, nic.hostPool]) {
      assert.equal(pool.referenceTotal, nic.ringReferences(pool), 'references leaked');
    }
    nic.unbindQueue(1);
    assert.equal(device.referenceTotal, 0, 'the queue keeps pages after it was unbound');
  }

  /** Our initial sequence number, from the SYN that carries it. */
  #learn(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (etherType(view, 0) !== ETHERTYPE_IPV4 || ipv4Protocol(view, 14) !== PROTOCOL_TCP) return;
    const l4 = 14 + ipv4HeaderBytes(view, 14);
    if ((tcpFlags(view, l4) & TCP_SYN) !== 0) this.#localIsn = tcpSequence(view, l4);
  }

  #assertStream(pool: PagePool, at: number, size: number, offset: number): void {
    const { mapping } = pool.region;
    for (let i = 0; i < size; i++) assert.equal(mapping[at + i], streamByte(offset + i), `stream byte ${offset + i}`);
  }
}

/**
 * A TCP conversation: operations of one byte with their arguments behind them. Whatever the peer sends and whatever the
 * application does, in whatever order: what arrives in order is the peer's stream, and in the end every page is back.
 */
export const target: FuzzTarget = {
  name: 'tcp-session',
  testMutants: 400,
  run(bytes) {
    const session = new Session();
    let at = 0;
    const u8 = (): number => (at < bytes.length ? bytes[at++]! : 0);
    const u16 = (): number => (u8() << 8) | u8();
    for (let count = 0; count < MAX_OPERATIONS && at < bytes.length; count++) {
      switch (u8() & 15) {
        case 0:
          session.pass(u8() ** 2 * 1000);
          break;
        case 1:
          session.read(false);
          break;
        case 2:
          session.read(true);
          break;
        case 3:
          session.release();
          break;
        case 4:
          session.send(u16());
          break;
        case 5:
          session.end(u8() % 3);
          break;
        case 6:
          session.connect();
          break;
        case 7: {
          const length = u8();
          session.rawFrame(bytes.slice(at, at + length));
          at += length;
          break;
        }
        default: {
          const flags = u8();
          const sequence = u16();
          const ack = u16();
          const window = u16();
          const length = u16() % (MAX_PAYLOAD_BYTES + 1);
          const optionBytes = (u8() % 11) * 4;
          const options = new Uint8Array(optionBytes);
          options.set(bytes.subarray(at, at + optionBytes));
          at += optionBytes;
          session.segment(flags, sequence, ack, window, options, length);
        }
      }
    }
    session.finish();
  },
};
