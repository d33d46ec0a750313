import { SimulatedClock } from '../src/core/clock.ts';
import { randomBelow, randomChance, SeededRandom } from '../src/core/random.ts';
import { PagePool } from '../src/memory/page-pool.ts';
import { HostRegion } from '../src/memory/region.ts';
import type { TcpConfig } from '../src/stack/tcp/config.ts';
import type { TcpConnection } from '../src/stack/tcp/connection.ts';
import { TcpLayer } from '../src/stack/tcp/layer.ts';
import type { TcpListener } from '../src/stack/tcp/listener.ts';
import { IpAddress } from '../src/wire/address.ts';
import { FakeIp, FakeLanding, framePayload, wireSegments, type FakeFrame } from './fake-ip.ts';

export interface TcpPairOptions {
  seed?: number;
  family?: 4 | 6;
  mtuBytes?: number;
  /** One way, in microseconds. */
  delayMicros?: number;
  jitterMicros?: number;
  loss?: number;
  duplicate?: number;
  reorder?: number;
  /** Hand bursts over whole, as receive offload does. */
  wholeBursts?: boolean;
  configs?: [Partial<TcpConfig>, Partial<TcpConfig>];
  /** Pages of each side's receive memory. */
  pages?: [number, number];
}

/** One side of the pair. */
export class TcpEnd {
  readonly ip: FakeIp;
  readonly layer: TcpLayer;
  readonly pool: PagePool;
  readonly landing: FakeLanding;
  /** A look at every wire segment that arrives here, before the layer sees it. False drops it. */
  filter: (header: Uint8Array, payload: Uint8Array) => boolean = () => true;

  constructor(address: IpAddress, mtuBytes: number, pages: number, random: SeededRandom, config: Partial<TcpConfig>) {
    this.ip = new FakeIp(address, mtuBytes);
    this.pool = new PagePool({ region: new HostRegion(pages * 4096) });
    this.landing = new FakeLanding(this.pool);
    this.layer = new TcpLayer({ ip: this.ip, nic: this.ip, random, config });
  }
}

interface InFlight {
  atMicros: number;
  order: number;
  to: TcpEnd;
  header: Uint8Array;
  payload: Uint8Array;
  segments: number;
  frame: FakeFrame;
  last: boolean;
  trafficClass: number;
}

const ADDRESSES = {
  4: ['10.0.0.1', '10.0.0.2'],
  6: ['fd00::1', 'fd00::2'],
} as const;

/** Two TCP layers, a wire with faults between them, and one clock that jumps from event to event. */
export class TcpPair {
  readonly clock: SimulatedClock = new SimulatedClock(1_000_000);
  readonly random: SeededRandom;
  readonly a: TcpEnd;
  readonly b: TcpEnd;
  readonly options: TcpPairOptions;
  segmentsOnWire = 0;
  steps = 0;
  /** The routers on the way: what a wire segment's DSCP and ECN are when it arrives. */
  onMark: (from: TcpEnd, header: Uint8Array, payload: Uint8Array, trafficClass: number) => number = (
    _from,
    _header,
    _payload,
    trafficClass,
  ) => trafficClass;
  /** Called after every step with invariants to check. */
  onStep: () => void = () => {};
  #inFlight: InFlight[] = [];
  #order = 0;

  constructor(options: TcpPairOptions = {}) {
    this.options = options;
    this.random = new SeededRandom(options.seed ?? 1);
    const addresses = ADDRESSES[options.family ?? 4];
    const [pagesA, pagesB] = options.pages ?? [2048, 2048];
    const mtu = options.mtuBytes ?? 1500;
    const [configA, configB] = options.configs ?? [{}, {}];
    this.a = new TcpEnd(IpAddress.parse(addresses[0])!, mtu, pagesA, new SeededRandom(this.random.u32()), configA);
    this.b = new TcpEnd(IpAddress.parse(addresses[1])!, mtu, pagesB, new SeededRandom(this.random.u32()), configB);
    this.a.ip.onSend = (frame) => this.#send(this.a, this.b, frame);
    this.b.ip.onSend = (frame) => this.#send(this.b, this.a, frame);
  }

  get nowMicros(): number {
    return this.clock.nowMicros();
  }

  get segmentsInFlight(): number {
    return this.#inFlight.length;
  }

  /** A connection from `a` to a listener of `b`, established. */
  connect(port = 80): { client: TcpConnection; server: TcpConnection; listener: TcpListener } {
    const listener = this.b.layer.listen({ address: null, port, backlog: 16, pool: this.b.pool });
    const client = this.a.layer.connect(
      { remote: this.b.ip.address, remotePort: port, pool: this.a.pool },
      this.nowMicros,
    );
    let server: TcpConnection | null = null;
    this.runUntil(() => (server ??= listener.accept()) !== null && client.state === 'ESTABLISHED');
    return { client, server: server!, listener };
  }

  /** When something happens next. */
  nextMicros(): number {
    let next = Math.min(this.a.layer.pollAt(), this.b.layer.pollAt());
    for (const { atMicros } of this.#inFlight) next = Math.min(next, atMicros);
    return next;
  }

  /** Handles everything that is due at the next moment that anything is. False: nothing ever is. */
  step(): boolean {
    const next = this.nextMicros();
    if (next === Number.POSITIVE_INFINITY) return false;
    this.clock.advanceTo(next);
    const now = this.nowMicros;
    this.steps++;
    const due = this.#inFlight.filter(({ atMicros }) => atMicros <= now);
    this.#inFlight = this.#inFlight.filter(({ atMicros }) => atMicros > now);
    due.sort((x, y) => x.atMicros - y.atMicros || x.order - y.order);
    for (const item of due) this.#deliver(item, now);
    for (const end of [this.a, this.b]) {
      end.layer.pollTimers(now);
      end.layer.flush(now);
    }
    this.onStep();
    return true;
  }

  /** Steps until `done()`; throws after `maxSteps` or when nothing is left to happen. */
  runUntil(done: () => boolean, maxSteps = 200_000): void {
    for (let i = 0; i < maxSteps; i++) {
      if (done()) return;
      if (!this.step()) {
        if (done()) return;
        throw new Error(`stuck at ${this.nowMicros} µs after ${this.steps} steps`);
      }
    }
    throw new Error(`not done at ${this.nowMicros} µs after ${this.steps} steps`);
  }

  /** Steps until nothing is left to happen, timers included. */
  runDry(maxSteps = 200_000): void {
    for (let i = 0; i < maxSteps; i++) if (!this.step()) return;
    throw new Error(`still busy at ${this.nowMicros} µs after ${this.steps} steps`);
  }

  /** Steps through all that happens up to a time, and stops there. */
  runFor(micros: number, maxSteps = 200_000): void {
    const end = this.nowMicros + micros;
    for (let i = 0; i < maxSteps && this.nextMicros() <= end; i++) this.step();
    this.clock.advanceTo(end);
  }

  #send(from: TcpEnd, to: TcpEnd, frame: FakeFrame): void {
    const payload = framePayload(frame);
    const parts: [Uint8Array, Uint8Array][] =
      this.options.wholeBursts === true
        ? [[frame.header, payload]]
        : wireSegments(frame.header, payload, frame.gsoSizeBytes, frame.repeatsCwr);
    for (let i = 0; i < parts.length; i++) {
      const [header, part] = parts[i]!;
      this.segmentsOnWire++;
      const copies = randomChance(this.random, this.options.duplicate ?? 0) ? 2 : 1;
      for (let copy = 0; copy < copies; copy++) {
        const isLost = randomChance(this.random, this.options.loss ?? 0);
        let delay = this.options.delayMicros ?? 1000;
        const jitter = this.options.jitterMicros ?? 0;
        if (jitter > 0) delay += randomBelow(this.random, jitter);
        if (randomChance(this.random, this.options.reorder ?? 0)) delay += 1 + randomBelow(this.random, 5000);
        if (isLost) continue;
        this.#inFlight.push({
          atMicros: this.nowMicros + delay,
          order: this.#order++,
          to,
          header,
          payload: part,
          segments: frame.gsoSizeBytes > 0 && parts.length === 1 ? Math.ceil(part.length / frame.gsoSizeBytes) : 1,
          frame,
          last: i === parts.length - 1,
          trafficClass: this.onMark(from, header, part, frame.trafficClass),
        });
      }
    }
    from.ip.done(frame);
  }

  #deliver(item: InFlight, nowMicros: number): void {
    const { to, header, payload, frame } = item;
    if (!to.filter(header, payload)) return;
    const packet = to.landing.packet(
      header,
      payload,
      frame.family,
      frame.source,
      frame.destination,
      item.segments,
      item.trafficClass,
    );
    if (packet === null) return;
    to.layer.input(packet, nowMicros);
    to.landing.recycle(packet);
  }
}

/** Takes everything readable out of a connection, gives the pages back, and answers the bytes. */
export function readAll(connection: TcpConnection, nowMicros: number): Uint8Array {
  const queue = connection.receiveQueue;
  const bytes = new Uint8Array(queue.bytes);
  let at = 0;
  while (queue.count > 0) {
    const pool = queue.pool();
    const iov = queue.iov();
    const start = pool.offsetOf(iov) + queue.offset();
    const size = queue.size();
    bytes.set(pool.region.mapping.subarray(start, start + size), at);
    at += size;
    queue.shift();
    pool.release(iov);
  }
  if (at > 0) connection.consumed(at, nowMicros);
  return bytes;
}

/** Bytes that tell their own position. */
export function pattern(length: number, seed = 1): HostRegion {
  const region = new HostRegion(length);
  let state = seed | 1;
  for (let i = 0; i < length; i++) {
    state = Math.imul(state, 1_103_515_245) + 12_345;
    region.mapping[i] = state >>> 16;
  }
  return region;
}
