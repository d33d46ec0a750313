import { randomBelow, randomChance, type Random } from '../../src/core/random.ts';
import type { EventQueue } from './events.ts';
import type { FramePool, FrameSink, SimFrame } from './frame.ts';
import { Histogram } from './histogram.ts';
import { LossModel, type LossOptions } from './loss.ts';

const MICROS_PER_SECOND = 1_000_000;
/** Preamble, frame check sequence and gap (IEEE 802.3). */
const WIRE_OVERHEAD_BYTES = 24;

/** One direction of a wire. Times in microseconds, rates a frame from 0 to 1. */
export interface ChannelOptions {
  /** Default: frames leave at once. */
  bitsPerSecond?: number;
  delayMicros?: number;
  /** Up to this much more, evenly distributed. Frames keep their order all the same. */
  jitterMicros?: number;
  /** Frames waiting for their turn, in bytes; what comes when they are more is lost. Default: no limit. */
  queueBytes?: number;
  /** Packets of ECN-capable transports are marked while this much waits. Default: never. */
  markBytes?: number;
  loss?: LossOptions;
  duplicateRate?: number;
  corruptRate?: number;
  /** Frames that are held back by up to `reorderMicros`, so that others pass them. */
  reorderRate?: number;
  reorderMicros?: number;
}

export class ChannelCounters {
  sent = 0;
  sentBytes = 0;
  tailDropped = 0;
  marked = 0;
  lost = 0;
  /** Sent while the wire was cut. */
  unplugged = 0;
  duplicated = 0;
  corrupted = 0;
  reordered = 0;
}

/** What a channel needs of the world around it. */
export interface ChannelWorld {
  readonly events: EventQueue;
  readonly frames: FramePool;
  readonly random: Random;
  /** Told of every frame that will arrive. */
  trace(frame: SimFrame, atMicros: number): void;
}

/** A bounded queue, a rate, a way, and what may happen on it. */
export class Channel {
  readonly name: string;
  readonly counters: ChannelCounters = new ChannelCounters();
  /** How long each frame waited for its turn. */
  readonly waits: Histogram | null;
  isUp = true;
  #options: Readonly<ChannelOptions> = {};
  #loss: LossModel = new LossModel();
  #bitsPerSecond: number = Number.POSITIVE_INFINITY;
  readonly #world: ChannelWorld;
  readonly #sink: FrameSink;
  #busyUntil = 0;
  #lastArrival = 0;

  constructor(name: string, world: ChannelWorld, sink: FrameSink, options: ChannelOptions, measured: boolean) {
    this.name = name;
    this.#world = world;
    this.#sink = sink;
    this.waits = measured ? new Histogram() : null;
    this.configure(options);
  }

  get options(): Readonly<ChannelOptions> {
    return this.#options;
  }

  /** Changes the wire from now on: another route, another rate. */
  configure(options: ChannelOptions): void {
    this.#options = options;
    this.#loss = new LossModel(options.loss);
    this.#bitsPerSecond = options.bitsPerSecond ?? Number.POSITIVE_INFINITY;
  }

  /** Takes a frame over. */
  send(frame: SimFrame, nowMicros: number): void {
    const { counters } = this;
    const { random, frames } = this.#world;
    const options = this.#options;
    const departMicros = this.#enqueue(frame, nowMicros);
    if (departMicros < 0) {
      frames.give(frame);
      return;
    }
    counters.sent++;
    counters.sentBytes += frame.length;
    if (this.#loss.loses(random)) {
      counters.lost++;
      frames.give(frame);
      return;
    }
    if (randomChance(random, options.corruptRate ?? 0) && frame.corrupt(randomBelow(random, frame.corruptibleBits))) {
      counters.corrupted++;
    }
    if (randomChance(random, options.duplicateRate ?? 0)) {
      counters.duplicated++;
      const copy = frames.take();
      copy.copyFrom(frame);
      this.#arrive(copy, departMicros);
    }
    this.#arrive(frame, departMicros);
  }

  /** When the frame has left, or -1: it does not. */
  #enqueue(frame: SimFrame, nowMicros: number): number {
    const { counters } = this;
    const { queueBytes, markBytes } = this.#options;
    if (!this.isUp) {
      counters.unplugged++;
      return -1;
    }
    const waitMicros = Math.max(0, this.#busyUntil - nowMicros);
    const waitingBytes = waitMicros === 0 ? 0 : (waitMicros * this.#bitsPerSecond) / 8 / MICROS_PER_SECOND;
    if (waitMicros > 0 && waitingBytes + frame.length > (queueBytes ?? Number.POSITIVE_INFINITY)) {
      counters.tailDropped++;
      return -1;
    }
    if (markBytes !== undefined && waitingBytes > markBytes && frame.markCongestion()) counters.marked++;
    this.waits?.add(waitMicros);
    const wireMicros = ((frame.length + WIRE_OVERHEAD_BYTES) * 8 * MICROS_PER_SECOND) / this.#bitsPerSecond;
    this.#busyUntil = nowMicros + waitMicros + wireMicros;
    return this.#busyUntil;
  }

  #arrive(frame: SimFrame, departMicros: number): void {
    const { random, events } = this.#world;
    const { delayMicros, jitterMicros, reorderRate, reorderMicros } = this.#options;
    let atMicros = departMicros + (delayMicros ?? 0);
    if (jitterMicros !== undefined && jitterMicros > 0) atMicros += randomBelow(random, jitterMicros);
    if (randomChance(random, reorderRate ?? 0)) {
      this.counters.reordered++;
      atMicros += 1 + randomBelow(random, reorderMicros ?? 1000);
    } else {
      if (atMicros < this.#lastArrival) atMicros = this.#lastArrival;
      this.#lastArrival = atMicros;
    }
    frame.sink = this.#sink;
    this.#world.trace(frame, atMicros);
    events.push(frame, atMicros);
  }
}
