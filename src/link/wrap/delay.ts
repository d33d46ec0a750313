import type { Clock } from '../../core/clock.ts';
import { invalidArgument } from '../../core/errors.ts';
import type { Random } from '../../core/random.ts';
import { MiB } from '../../core/units.ts';
import { flattenFrame } from '../copy.ts';
import { FrameList, MAX_FRAME_BYTES, type Link, type LinkOffloads } from '../link.ts';
import { markCongestion, QUEUE_MARK_OR_DROP, QUEUE_PASS, QueueManagement } from './bottleneck.ts';
import type { QueueManagementOptions } from './bottleneck.ts';
import { DelayQueue } from './delay-queue.ts';

const MICROS_PER_SECOND = 1_000_000;
const DEFAULT_QUEUE_BYTES: number = MiB;
const MIN_STORE_BYTES: number = 4 * MiB;
const MAX_STORE_BYTES: number = 256 * MiB;
/** Preamble, frame check sequence and gap: what Ethernet adds to each frame on the wire (IEEE 802.3). */
const WIRE_OVERHEAD_BYTES = 24;
/** Frames taken from the inner link in one `readFrame`. */
const MAX_INTAKE_FRAMES = 256;

export interface DelayOptions extends QueueManagementOptions {
  /** From writing a frame to the other end's reading it, beside its own time on the wire. */
  delayMicros?: number;
  /** Up to this much more, evenly distributed (needs `random`). Frames stay in order. */
  jitterMicros?: number;
  random?: Random;
  /** How fast frames leave, in each direction. Default: at once. */
  bitsPerSecond?: number;
  /** Frames waiting for their turn at that rate, in bytes; what comes when they are more is lost (default 1 MiB). */
  queueBytes?: number;
  /** Which frames are delayed (default both ways). */
  direction?: 'both' | 'read' | 'write';
}

/** What the queue of one direction did. */
export class DelayCounters {
  passed = 0;
  /** Lost because `queueBytes` were waiting already. */
  tailDropped = 0;
  /** Lost because frames had waited too long (CoDel). */
  managementDropped = 0;
  /** Marked Congestion Experienced. */
  marked = 0;
}

/** The sending side of a wire: a bounded queue, a rate, and the way to the other end. */
class DelayLine {
  readonly queue: DelayQueue;
  readonly counters: DelayCounters = new DelayCounters();
  readonly #delayMicros: number;
  readonly #jitterMicros: number;
  readonly #random: Random | null;
  readonly #bitsPerSecond: number;
  readonly #queueBytes: number;
  readonly #management: QueueManagement | null;
  readonly #view: DataView;
  /** When the wire is free again. */
  #busyUntil = 0;
  #lastDue = 0;

  constructor(options: DelayOptions) {
    this.#delayMicros = checkAmount('delayMicros', options.delayMicros ?? 0);
    this.#jitterMicros = checkAmount('jitterMicros', options.jitterMicros ?? 0);
    this.#bitsPerSecond = checkAmount('bitsPerSecond', options.bitsPerSecond ?? Number.POSITIVE_INFINITY);
    this.#queueBytes = checkAmount('queueBytes', options.queueBytes ?? DEFAULT_QUEUE_BYTES);
    this.#random = options.random ?? null;
    if (this.#bitsPerSecond === 0) throw invalidArgument('bitsPerSecond is 0', 'leave it out for no limit');
    if (this.#jitterMicros > 0 && this.#random === null) {
      throw invalidArgument('jitterMicros without a random source', 'give random');
    }
    const onTheWay = (this.#bitsPerSecond / 8 / MICROS_PER_SECOND) * (this.#delayMicros + this.#jitterMicros);
    const wanted =
      2 * MAX_FRAME_BYTES + 2 * (Number.isFinite(onTheWay) ? this.#queueBytes + onTheWay : MIN_STORE_BYTES);
    this.queue = new DelayQueue(Math.min(Math.max(Math.ceil(wanted), MIN_STORE_BYTES), MAX_STORE_BYTES));
    const isManaged = options.markAboveMicros !== undefined || options.codelTargetMicros !== undefined;
    this.#management = isManaged ? new QueueManagement(options) : null;
    const { mapping } = this.queue.memory;
    this.#view = new DataView(mapping.buffer, mapping.byteOffset, mapping.byteLength);
  }

  /** Takes in, or drops, a frame whose bytes lie where `queue.place` said; `frame` has its offload fields. */
  take(offset: number, length: number, frame: FrameList, nowMicros: number): void {
    const startMicros = Math.max(nowMicros, this.#busyUntil);
    const waitMicros = startMicros - nowMicros;
    const waitingBytes = (waitMicros * this.#bitsPerSecond) / 8 / MICROS_PER_SECOND;
    if (waitMicros > 0 && waitingBytes + length > this.#queueBytes) {
      this.counters.tailDropped++;
      return;
    }
    const verdict = this.#management === null ? QUEUE_PASS : this.#management.judge(startMicros, waitMicros);
    if (verdict !== QUEUE_PASS) {
      const isMarked = markCongestion(this.queue.memory.mapping, this.#view, offset, length);
      if (isMarked) this.counters.marked++;
      else if (verdict === QUEUE_MARK_OR_DROP) {
        this.counters.managementDropped++;
        return;
      }
    }
    this.queue.commit(offset, length, this.#schedule(startMicros, length), frame);
  }

  /** When a frame that begins to leave at `startMicros` is through. */
  #schedule(startMicros: number, length: number): number {
    this.#busyUntil = startMicros + ((length + WIRE_OVERHEAD_BYTES) * 8 * MICROS_PER_SECOND) / this.#bitsPerSecond;
    const jitter = this.#jitterMicros > 0 ? (this.#random!.u32() / 0x1_0000_0000) * this.#jitterMicros : 0;
    this.#lastDue = Math.max(this.#lastDue, this.#busyUntil + this.#delayMicros + jitter);
    return this.#lastDue;
  }
}

/**
 * A link with the length, the rate and the bounded queue of a real one, which may be managed: the bottleneck of a path.
 * `new DelayLink(inner, clock, { delayMicros: 20_000, bitsPerSecond: 100e6, queueBytes: 500_000 })` around both ends of
 * a cable with `direction: 'write'`, or around one end both ways, is a path of 100 Mbit/s with a round trip of 40 ms
 * and a queue of one bandwidth-delay product; `codelTargetMicros: 5000` manages it. Frames are copied and keep their order; a 64
 * KiB frame of segmentation offload is delayed as one.
 */
export class DelayLink implements Link {
  readonly name: string;
  readonly mtuBytes: number;
  readonly offloads: LinkOffloads;

  readonly #inner: Link;
  readonly #clock: Clock;
  readonly #reads: DelayLine | null;
  readonly #writes: DelayLine | null;
  readonly #frame = new FrameList();
  #framesTaken = 0;
  #innerFull = false;

  /** @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT for a negative amount, or jitter without a random source. */
  constructor(inner: Link, clock: Clock, options: DelayOptions) {
    this.#inner = inner;
    this.#clock = clock;
    this.name = `delay(${inner.name})`;
    this.mtuBytes = inner.mtuBytes;
    this.offloads = inner.offloads;
    this.#reads = options.direction === 'write' ? null : new DelayLine(options);
    this.#writes = options.direction === 'read' ? null : new DelayLine(options);
  }

  get framesWritten(): number {
    return this.#writes === null ? this.#inner.framesWritten : this.#framesTaken;
  }

  /** Frames that are delayed are copied when they are written. */
  get framesInFlight(): number {
    return this.#writes === null ? this.#inner.framesInFlight : 0;
  }

  get readCounters(): DelayCounters | null {
    return this.#reads?.counters ?? null;
  }

  get writeCounters(): DelayCounters | null {
    return this.#writes?.counters ?? null;
  }

  get isDown(): boolean {
    return this.#inner.isDown;
  }

  readFrame(landing: FrameList): number {
    const nowMicros = this.#clock.nowMicros();
    this.#sendDue(nowMicros);
    const line = this.#reads;
    if (line === null) return this.#inner.readFrame(landing);
    const failure = this.#takeIn(line, nowMicros);
    if (line.queue.dueAt() > nowMicros) return failure;
    line.counters.passed++;
    return line.queue.shift(landing);
  }

  writeFrame(gather: FrameList): number {
    const nowMicros = this.#clock.nowMicros();
    this.#sendDue(nowMicros);
    const line = this.#writes;
    const length = gather.totalBytes;
    if (line === null) return this.#inner.writeFrame(gather);
    const offset = line.queue.place(length);
    if (offset < 0) return 0;
    this.#framesTaken++;
    flattenFrame(gather, line.queue.memory.mapping, offset, length);
    line.take(offset, length, gather, nowMicros);
    this.#sendDue(nowMicros);
    return length;
  }

  pollAt(): number {
    const readAt = this.#reads?.queue.dueAt() ?? Number.POSITIVE_INFINITY;
    // A frame that the inner link has no room for waits for its wake-up and not for a time.
    const writeAt = this.#innerFull
      ? Number.POSITIVE_INFINITY
      : (this.#writes?.queue.dueAt() ?? Number.POSITIVE_INFINITY);
    return Math.min(readAt, writeAt, this.#inner.pollAt());
  }

  armWake(onWake: () => void): void {
    this.#inner.armWake(onWake);
  }

  disarmWake(): void {
    this.#inner.disarmWake();
  }

  close(): void {
    this.#inner.close();
  }

  /** Moves what has arrived into the queue, from now on. Returns 0 or the inner link's errno. */
  #takeIn(line: DelayLine, nowMicros: number): number {
    const { queue } = line;
    const frame = this.#frame;
    for (let i = 0; i < MAX_INTAKE_FRAMES; i++) {
      const offset = queue.place(MAX_FRAME_BYTES);
      if (offset < 0) return 0;
      frame.clear();
      frame.push(queue.memory, offset, MAX_FRAME_BYTES);
      const length = this.#inner.readFrame(frame);
      if (length <= 0) return length;
      line.take(offset, length, frame, nowMicros);
    }
    return 0;
  }

  #sendDue(nowMicros: number): void {
    const line = this.#writes;
    if (line === null) return;
    const { queue, counters } = line;
    while (queue.dueAt() <= nowMicros) {
      queue.peek(this.#frame);
      this.#innerFull = this.#inner.writeFrame(this.#frame) === 0;
      if (this.#innerFull) return;
      queue.drop();
      counters.passed++;
    }
  }
}

function checkAmount(name: string, value: number): number {
  if (!(value >= 0)) throw invalidArgument(`${name} is ${value}`, 'give a number that is not negative');
  return value;
}
