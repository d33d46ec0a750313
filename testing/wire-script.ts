import assert from 'node:assert/strict';
import { SimulatedClock } from '../src/core/clock.ts';
import { SeededRandom } from '../src/core/random.ts';
import { PagePool } from '../src/memory/page-pool.ts';
import { HostRegion } from '../src/memory/region.ts';
import type { TcpConfig } from '../src/stack/tcp/config.ts';
import type { TcpConnection } from '../src/stack/tcp/connection.ts';
import { TcpLayer } from '../src/stack/tcp/layer.ts';
import type { TcpListener } from '../src/stack/tcp/listener.ts';
import { IpAddress } from '../src/wire/address.ts';
import {
  emitTcp,
  describeTcpFlags,
  TCP_ACE,
  TCP_ACE_SHIFT,
  TCP_ACK,
  TCP_AE,
  TCP_CWR,
  TCP_ECE,
  TCP_FIN,
  TCP_HEADER_BYTES,
  TCP_PSH,
  TCP_RST,
  TCP_SYN,
  TCP_URG,
  tcpAcknowledgment,
  tcpFlags,
  tcpHeaderBytes,
  tcpSequence,
  tcpSourcePort,
  tcpWindow,
} from '../src/wire/tcp.ts';
import {
  emitAccurateEcn,
  emitFastOpen,
  emitPadding,
  emitSack,
  emitSynOptions,
  emitTimestamps,
  KIND_ACCURATE_ECN_0,
  KIND_ACCURATE_ECN_1,
  parseTcpOptions,
  TcpOptions,
} from '../src/wire/tcp-options.ts';
import { ecnName } from '../src/wire/traffic-class.ts';
import { FakeIp, FakeLanding, framePayload, wireSegments, type FakeFrame } from './fake-ip.ts';

/** The peer's initial sequence number: near the wrap, so that every conversation crosses it. */
export const PEER_ISS: number = 0xffff_fff0 | 0;
export const PEER_PORT = 40_000;
export const LOCAL_PORT = 80;
const START_MICROS = 1_000_000;

/** The IP-ECN codepoint of a segment, as packetdrill writes it. */
export type EcnCodepoint = 'noecn' | 'ect0' | 'ect1' | 'ce';
const CODEPOINTS: readonly EcnCodepoint[] = ['noecn', 'ect1', 'ect0', 'ce'];

/** Counters of an AccECN option by name, in the order of the wire: e0b first makes it kind 172, e1b first kind 174. */
export interface EcnOption {
  e0b?: number;
  ceb?: number;
  e1b?: number;
}

/** A segment from the peer. Sequence numbers count from each side's SYN: 0 is the SYN, 1 the first byte. */
export interface PeerSegment {
  seq?: number;
  ack?: number;
  /** `S`, `A`, `F`, `R`, `P`, `U`, and of ECN `E` (ECE), `C` (CWR), `e` (AE), in any order; `A` by default. */
  flags?: string;
  /** The ACE field as a number, instead of its three flags. */
  ace?: number;
  /** Not-ECT by default. */
  ecn?: EcnCodepoint;
  /** An AccECN option; all that is there is sent, in the order of the properties. An empty one is of kind 174. */
  ecnOption?: EcnOption;
  /** Payload bytes, of a pattern that tells their position; or the bytes. */
  payload?: number | Uint8Array;
  /** As on the wire. */
  window?: number;
  mss?: number;
  windowScale?: number;
  sackPermitted?: boolean;
  /** TSval, TSecr. */
  timestamps?: [number, number];
  /** Blocks of our sequence numbers, from our SYN. */
  sack?: [number, number][];
  /** Fast Open cookie in hex digits; empty to ask for one. */
  fastOpen?: string;
  fastOpenIsExperimental?: boolean;
  /** More options, as bytes of a multiple of 4. */
  options?: Uint8Array;
  /** Another port of the peer. */
  port?: number;
  toPort?: number;
  /** Wire segments that this one stands for (receive offload). */
  segments?: number;
}

/** A segment of ours, as the peer sees it; the same counting. */
export interface SentSegment {
  seq: number;
  ack: number;
  flags: string;
  payload: number;
  window: number;
  mss: number;
  windowScale: number;
  sackPermitted: boolean;
  timestamps: [number, number] | null;
  /** Blocks of the peer's sequence numbers, from its SYN. */
  sack: [number, number][];
  ecn: EcnCodepoint;
  /** The ACE field as a number; its flags are in `flags` too. */
  ace: number;
  ecnOption: EcnOption | null;
  /** Fast Open cookie in hex digits; empty where one is asked for; null without the option. */
  fastOpen: string | null;
  fastOpenIsExperimental: boolean;
  /** When it was sent, in ms from the start. */
  atMs: number;
  bytes: Uint8Array;
  rawSeq: number;
  rawAck: number;
}

export type Expected = Partial<Omit<SentSegment, 'bytes' | 'rawSeq' | 'rawAck'>>;

export interface WireScriptOptions {
  config?: Partial<TcpConfig>;
  mtuBytes?: number;
  pages?: number;
  family?: 4 | 6;
}

/** Bytes that tell their stream position, as the peer sends them. */
export function peerBytes(offset: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (Math.imul(offset + i, 0x9e3779b1) >>> 24) & 0xff);
}

/**
 * One TCP layer, and a peer that is the script: `at(ms)` moves time, `recv` hands a segment in, `expect` says what must
 * have come out, in order; nothing may be left over at the next `recv`, `at` or `end`.
 */
export class WireScript {
  readonly clock: SimulatedClock = new SimulatedClock(START_MICROS);
  readonly ip: FakeIp;
  readonly layer: TcpLayer;
  readonly pool: PagePool;
  readonly landing: FakeLanding;
  readonly peer: IpAddress;
  readonly sent: SentSegment[] = [];
  readonly log: string[] = [];
  connection: TcpConnection | null = null;
  listener: TcpListener | null = null;
  ourIss = 0;
  #knowsIss = false;
  readonly #header = new Uint8Array(60);
  readonly #view = new DataView(this.#header.buffer);

  constructor(options: WireScriptOptions = {}) {
    const family = options.family ?? 4;
    this.ip = new FakeIp(IpAddress.parse(family === 4 ? '10.0.0.1' : 'fd00::1')!, options.mtuBytes ?? 1500);
    this.peer = IpAddress.parse(family === 4 ? '10.0.0.2' : 'fd00::2')!;
    this.pool = new PagePool({ region: new HostRegion((options.pages ?? 2048) * 4096) });
    this.landing = new FakeLanding(this.pool);
    const config = options.config ?? {};
    this.layer = new TcpLayer({ ip: this.ip, nic: this.ip, random: new SeededRandom(1), config });
    this.ip.onSend = (frame) => this.#capture(frame);
  }

  get nowMicros(): number {
    return this.clock.nowMicros();
  }

  /** Moves to `ms` from the start, firing timers on the way, each at its time. */
  at(ms: number): this {
    const target = START_MICROS + ms * 1000;
    for (;;) {
      const next = this.layer.pollAt();
      if (next > target) break;
      this.clock.advanceTo(next);
      this.#turn();
    }
    this.clock.advanceTo(target);
    return this;
  }

  /** Moves on by `ms`. */
  after(ms: number): this {
    return this.at((this.nowMicros - START_MICROS) / 1000 + ms);
  }

  listen(backlog = 8): this {
    this.listener = this.layer.listen({ address: null, port: LOCAL_PORT, backlog, pool: this.pool });
    return this;
  }

  /** Begins an active open from LOCAL_PORT; its SYN is in `sent`. */
  connect(): this {
    this.connection = this.layer.connect(
      { remote: this.peer, remotePort: PEER_PORT, localPort: LOCAL_PORT, pool: this.pool },
      this.nowMicros,
    );
    return this.flush();
  }

  /** Hands a segment in and flushes. */
  recv(segment: PeerSegment): this {
    this.input(segment);
    return this.flush();
  }

  /** Hands a segment in without a flush: the next of a batch follows. */
  input(segment: PeerSegment): this {
    const isSyn = segment.flags?.includes('S') === true;
    const offset = (segment.seq ?? 0) - (isSyn ? 0 : 1);
    const payload = segment.payload instanceof Uint8Array ? segment.payload : peerBytes(offset, segment.payload ?? 0);
    const headerBytes = this.#emit(segment);
    this.log.push(`${this.#time()} > ${describeTcpFlags(tcpFlags(this.#view, 0))} ${JSON.stringify(segment)}`);
    const header = this.#header.slice(0, headerBytes);
    const { family } = this.peer;
    const packet = this.landing.packet(
      header,
      payload,
      family,
      this.peer,
      this.ip.address,
      segment.segments,
      codepointBits(segment.ecn),
    );
    assert.ok(packet !== null, 'no page for the payload');
    this.layer.input(packet, this.nowMicros);
    this.landing.recycle(packet);
    return this;
  }

  flush(): this {
    this.#turn();
    return this;
  }

  /** The oldest segment sent and not yet looked at has these properties. */
  expect(expected: Expected): this {
    const actual = this.sent.shift();
    assert.ok(actual !== undefined, this.#explain(`nothing was sent, wanted ${JSON.stringify(expected)}`));
    for (const [name, value] of Object.entries(expected)) {
      assert.deepEqual(actual[name as keyof SentSegment], value, this.#explain(`${name} of a segment sent`));
    }
    return this;
  }

  expectNothing(): this {
    assert.deepEqual(this.sent.map(summary), [], this.#explain('nothing should have been sent'));
    return this;
  }

  /** Forgets what was sent. */
  skip(): this {
    this.sent.length = 0;
    return this;
  }

  expectState(state: string): this {
    assert.equal(this.connection!.state, state, this.#explain('state'));
    return this;
  }

  /** A passive open, done: the peer's window is `window`, its MSS 1460. */
  established(syn: PeerSegment = {}): this {
    if (this.listener === null) this.listen();
    this.recv({ flags: 'S', seq: 0, window: 65_535, mss: 1460, ...syn });
    this.expect({ flags: 'SA', seq: 0, ack: 1 });
    const timestamps: PeerSegment = syn.timestamps === undefined ? {} : { timestamps: syn.timestamps };
    this.recv({ seq: 1, ack: 1, window: syn.window ?? 65_535, ...timestamps });
    this.connection = this.listener!.accept();
    assert.ok(this.connection !== null, this.#explain('no connection was established'));
    return this.expectState('ESTABLISHED').skip();
  }

  /** Queues bytes for sending and flushes. */
  send(length: number): this {
    const region = new HostRegion(Math.max(1, length));
    assert.equal(this.connection!.send(region, 0, length), length);
    return this.flush();
  }

  /** The bytes that can be read now, their pages returned. */
  read(): Uint8Array {
    const queue = this.connection!.receiveQueue;
    const parts: Uint8Array[] = [];
    while (queue.count > 0) {
      const start = this.pool.offsetOf(queue.iov()) + queue.offset();
      parts.push(this.pool.region.mapping.slice(start, start + queue.size()));
      const iov = queue.iov();
      queue.shift();
      this.pool.release(iov);
    }
    const bytes = new Uint8Array(Buffer.concat(parts));
    if (bytes.length > 0) this.connection!.consumed(bytes.length, this.nowMicros);
    return bytes;
  }

  /** What can be read is exactly the peer's stream from `offset`. */
  expectRead(offset: number, length: number): this {
    assert.deepEqual(this.read(), peerBytes(offset, length), this.#explain('bytes read'));
    return this;
  }

  shutdown(): this {
    this.connection!.shutdown(this.nowMicros);
    return this.flush();
  }

  close(): this {
    this.connection!.close(this.nowMicros);
    return this.flush();
  }

  abort(): this {
    this.connection!.abort(this.nowMicros);
    return this.flush();
  }

  #turn(): void {
    this.layer.pollTimers(this.nowMicros);
    this.layer.flush(this.nowMicros);
  }

  #emit(segment: PeerSegment): number {
    const flags = flagBits(segment.flags ?? 'A') | ((segment.ace ?? 0) << TCP_ACE_SHIFT);
    let at = TCP_HEADER_BYTES;
    if (flags & TCP_SYN) {
      at += emitSynOptions(
        this.#header,
        this.#view,
        at,
        segment.mss ?? 0,
        segment.windowScale ?? -1,
        segment.sackPermitted ?? false,
        segment.timestamps !== undefined,
        segment.timestamps?.[0] ?? 0,
        segment.timestamps?.[1] ?? 0,
      );
    } else if (segment.timestamps !== undefined) {
      at += emitTimestamps(this.#view, at, segment.timestamps[0], segment.timestamps[1]);
    }
    if (segment.options !== undefined) {
      this.#header.set(segment.options, at);
      at += segment.options.length;
    }
    if (segment.fastOpen !== undefined) {
      const cookie = Uint8Array.from(Buffer.from(segment.fastOpen, 'hex'));
      at += emitFastOpen(this.#header, this.#view, at, cookie, segment.fastOpenIsExperimental ?? false);
    }
    if (segment.ecnOption !== undefined) at += emitEcnOption(this.#header, this.#view, at, segment.ecnOption);
    if (segment.sack !== undefined) {
      const lefts = Int32Array.from(segment.sack, ([left]) => this.ourIss + left);
      const rights = Int32Array.from(segment.sack, ([, right]) => this.ourIss + right);
      at += emitSack(this.#view, at, lefts, rights, segment.sack.length);
    }
    emitTcp(
      this.#view,
      0,
      segment.port ?? PEER_PORT,
      segment.toPort ?? LOCAL_PORT,
      (PEER_ISS + (segment.seq ?? 0)) | 0,
      flags & TCP_ACK ? (this.ourIss + (segment.ack ?? 0)) | 0 : 0,
      at,
      flags,
      segment.window ?? 65_535,
      0,
    );
    return at;
  }

  #capture(frame: FakeFrame): void {
    const { gsoSizeBytes, repeatsCwr } = frame;
    for (const [header, payload] of wireSegments(frame.header, framePayload(frame), gsoSizeBytes, repeatsCwr)) {
      const segment = this.#parse(header, payload, frame.trafficClass);
      this.sent.push(segment);
      this.log.push(`${this.#time()} < ${summary(segment)}`);
    }
    this.ip.done(frame);
  }

  #parse(header: Uint8Array, payload: Uint8Array, trafficClass: number): SentSegment {
    const view = new DataView(header.buffer, header.byteOffset, header.length);
    const flags = tcpFlags(view, 0);
    const rawSeq = tcpSequence(view, 0);
    const rawAck = tcpAcknowledgment(view, 0);
    if (flags & TCP_SYN && (!this.#knowsIss || tcpSourcePort(view, 0) === LOCAL_PORT)) {
      this.ourIss = rawSeq;
      this.#knowsIss = true;
    }
    const options = new TcpOptions();
    assert.equal(parseTcpOptions(header, view, TCP_HEADER_BYTES, tcpHeaderBytes(view, 0), options), 0);
    const sack: [number, number][] = [];
    for (let i = 0; i < options.sackCount; i++) {
      sack.push([(options.sackLeft[i]! - PEER_ISS) | 0, (options.sackRight[i]! - PEER_ISS) | 0]);
    }
    return {
      seq: (rawSeq - this.ourIss) | 0,
      ack: flags & TCP_ACK ? (rawAck - PEER_ISS) | 0 : 0,
      flags: flagText(flags),
      payload: payload.length,
      window: tcpWindow(view, 0),
      mss: options.mss,
      windowScale: options.windowScale,
      sackPermitted: options.sackPermitted,
      timestamps: options.hasTimestamps ? [options.timestampValue, options.timestampEcho] : null,
      sack,
      ecn: ecnName(trafficClass) as EcnCodepoint,
      ace: (flags & TCP_ACE) >>> TCP_ACE_SHIFT,
      ecnOption: readEcnOption(options),
      fastOpen:
        options.fastOpenBytes < 0
          ? null
          : Buffer.from(options.fastOpenCookie.subarray(0, options.fastOpenBytes)).toString('hex'),
      fastOpenIsExperimental: options.fastOpenIsExperimental,
      atMs: (this.nowMicros - START_MICROS) / 1000,
      bytes: payload,
      rawSeq,
      rawAck,
    };
  }

  #time(): string {
    return `${((this.nowMicros - START_MICROS) / 1000).toFixed(1)} ms`;
  }

  #explain(what: string): string {
    return `${what}\n${this.log.slice(-20).join('\n')}`;
  }
}

const FLAGS: readonly [string, number][] = [
  ['S', TCP_SYN],
  ['F', TCP_FIN],
  ['R', TCP_RST],
  ['P', TCP_PSH],
  ['U', TCP_URG],
  ['A', TCP_ACK],
  ['e', TCP_AE],
  ['C', TCP_CWR],
  ['E', TCP_ECE],
];

function codepointBits(codepoint: EcnCodepoint | undefined): number {
  return codepoint === undefined ? 0 : CODEPOINTS.indexOf(codepoint);
}

function emitEcnOption(bytes: Uint8Array, view: DataView, at: number, option: EcnOption): number {
  const names = Object.keys(option);
  const values = Object.values(option) as number[];
  const kind = names[0] === 'e0b' ? KIND_ACCURATE_ECN_0 : KIND_ACCURATE_ECN_1;
  const length = emitAccurateEcn(view, at, kind, names.length, values[0] ?? 0, values[1] ?? 0, values[2] ?? 0);
  return length + emitPadding(bytes, at + length, at + Math.ceil(length / 4) * 4);
}

function readEcnOption(options: TcpOptions): EcnOption | null {
  if (options.accurateEcnKind === 0) return null;
  const names = ['e0b', 'ceb', 'e1b'] as const;
  const option: EcnOption = {};
  for (let i = 0; i < options.accurateEcnCount; i++) {
    option[names[options.accurateEcnKind === KIND_ACCURATE_ECN_1 ? 2 - i : i]!] = options.accurateEcnCounters[i]!;
  }
  return option;
}

function flagBits(text: string): number {
  let bits = 0;
  for (const letter of text) {
    const flag = FLAGS.find(([name]) => name === letter);
    assert.ok(flag !== undefined, `unknown TCP flag ${letter}`);
    bits |= flag[1];
  }
  return bits;
}

function flagText(bits: number): string {
  let text = '';
  for (const [name, bit] of FLAGS) if (bits & bit) text += name;
  return text;
}

function summary(segment: SentSegment): string {
  const { seq, ack, flags, payload, window, sack, ecn, ecnOption } = segment;
  const blocks = sack.length > 0 ? ` sack ${JSON.stringify(sack)}` : '';
  const counters = ecnOption === null ? '' : ` ecn ${JSON.stringify(ecnOption)}`;
  const codepoint = ecn === 'noecn' ? '' : `[${ecn}] `;
  return `${codepoint}${flags} seq ${seq}:${seq + payload} ack ${ack} win ${window}${counters}${blocks}`;
}
