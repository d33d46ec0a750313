import type { Clock } from '../../core/clock.ts';
import { invalidArgument } from '../../core/errors.ts';
import { randomBelow, randomChance, type Random } from '../../core/random.ts';
import { HostRegion } from '../../memory/region.ts';
import { ETHERNET_HEADER_BYTES, ETHERTYPE_ARP, etherType } from '../../wire/ethernet.ts';
import { copyOffload, flattenFrame, scatterFrame } from '../copy.ts';
import { FRAME_CHECKSUM_VALID, FrameList, GSO_NONE, MAX_FRAME_BYTES, type Link, type LinkOffloads } from '../link.ts';
import { completeFrame } from '../partial-checksum.ts';
import { HeldFrames } from './held-frames.ts';

const DEFAULT_REORDER_FRAMES = 4;
const DEFAULT_REORDER_MICROS = 10_000;
/** Frames held back in one direction: the next that should be is not. */
const MAX_HELD_FRAMES = 64;
/** Frames lost in one `readFrame`, after which it says that nothing is waiting. */
const MAX_LOSSES_A_READ = 256;

export type FaultDirection = 'both' | 'read' | 'write';

export interface FaultOptions {
  random: Random;
  /** Probabilities a frame, 0 to 1; default 0. */
  lossRate?: number;
  duplicateRate?: number;
  reorderRate?: number;
  /** One bit flipped, anywhere after the Ethernet header. */
  corruptRate?: number;
  /** Which frames suffer (default both ways). */
  direction?: FaultDirection;
  /** A frame that is reordered lets 1 to this many others pass (default 4)... */
  reorderFrames?: number;
  /** ...or goes on after this time if there are not that many (default 10 ms). Without a clock: when the link idles. */
  reorderMicros?: number;
  clock?: Clock;
}

/** What befell the frames of one direction. */
export class FaultCounters {
  passed = 0;
  lost = 0;
  duplicated = 0;
  reordered = 0;
  corrupted = 0;
}

type Fate = 'pass' | 'lose' | 'hold';

/**
 * A link that loses, repeats, reorders and damages frames, as its random source says: the same seed and the same frames
 * make the same faults.
 *
 * It reports no offloads, so that the NIC sends complete frames and a damaged one can be told. ARP is never damaged: it
 * has no checksum of its own and relies on the frame check sequence, which this link does not carry. A frame that is
 * still to be segmented is not damaged either.
 */
export class FaultLink implements Link {
  readonly name: string;
  readonly mtuBytes: number;
  readonly offloads: LinkOffloads = { checksum: false, tcpSegmentation: false };
  readonly readCounters: FaultCounters = new FaultCounters();
  readonly writeCounters: FaultCounters = new FaultCounters();
  framesWritten = 0;
  /** Always 0: what is written is copied. */
  readonly framesInFlight = 0;

  readonly #inner: Link;
  readonly #options: Required<Omit<FaultOptions, 'clock'>>;
  readonly #clock: Clock | null;
  readonly #staging = new HostRegion(MAX_FRAME_BYTES);
  readonly #stagingView = new DataView(this.#staging.mapping.buffer);
  /** The staged frame, and for reading the room that it may take. */
  readonly #frame = new FrameList();
  readonly #heldReads = new HeldFrames(MAX_HELD_FRAMES);
  readonly #heldWrites = new HeldFrames(MAX_HELD_FRAMES);

  /** @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT for a rate outside 0..1. */
  constructor(inner: Link, options: FaultOptions) {
    this.#inner = inner;
    this.name = `fault(${inner.name})`;
    this.mtuBytes = inner.mtuBytes;
    this.#clock = options.clock ?? null;
    this.#options = {
      random: options.random,
      lossRate: checkRate('lossRate', options.lossRate),
      duplicateRate: checkRate('duplicateRate', options.duplicateRate),
      reorderRate: checkRate('reorderRate', options.reorderRate),
      corruptRate: checkRate('corruptRate', options.corruptRate),
      direction: options.direction ?? 'both',
      reorderFrames: options.reorderFrames ?? DEFAULT_REORDER_FRAMES,
      reorderMicros: options.reorderMicros ?? DEFAULT_REORDER_MICROS,
    };
  }

  get isDown(): boolean {
    return this.#inner.isDown;
  }

  readFrame(landing: FrameList): number {
    const nowMicros = this.#nowMicros();
    this.#flushWrites(nowMicros);
    const faulty = this.#options.direction !== 'write';
    for (let losses = 0; losses < MAX_LOSSES_A_READ; losses++) {
      if (this.#heldReads.due(nowMicros) !== null) return this.#deliverHeld(landing, nowMicros);
      const frame = this.#frame;
      frame.clear();
      frame.push(this.#staging, 0, MAX_FRAME_BYTES);
      const length = this.#inner.readFrame(frame);
      if (length <= 0) {
        if (this.#clock === null) this.#idle(nowMicros);
        return length === 0 && this.#heldReads.due(nowMicros) !== null ? this.#deliverHeld(landing, nowMicros) : length;
      }
      const fate = faulty ? this.#fate(length, this.readCounters, this.#heldReads, nowMicros) : 'pass';
      if (fate === 'lose') continue;
      this.#heldReads.overtake(nowMicros);
      if (fate === 'hold') {
        this.#holdReordered(this.#heldReads, length, nowMicros);
        continue;
      }
      this.readCounters.passed++;
      copyOffload(frame, landing);
      return scatterFrame(this.#staging.mapping, 0, length, landing);
    }
    return 0;
  }

  writeFrame(gather: FrameList): number {
    const nowMicros = this.#nowMicros();
    if (!this.#flushWrites(nowMicros)) return 0;
    const length = gather.totalBytes;
    if (length > MAX_FRAME_BYTES) return this.#inner.writeFrame(gather);
    flattenFrame(gather, this.#staging.mapping, 0, length);
    const frame = this.#frame;
    frame.clear();
    frame.push(this.#staging, 0, length);
    copyOffload(gather, frame);
    const faulty = this.#options.direction !== 'read';
    const fate = faulty ? this.#fate(length, this.writeCounters, this.#heldWrites, nowMicros) : 'pass';
    if (fate === 'hold') {
      this.#heldWrites.overtake(nowMicros);
      this.#holdReordered(this.#heldWrites, length, nowMicros);
    } else if (fate === 'pass') {
      const written = this.#inner.writeFrame(frame);
      if (written < 0) return written;
      if (written > 0) {
        this.writeCounters.passed++;
        this.#heldWrites.overtake(nowMicros);
      } else if (!this.#heldWrites.hold(frame, this.#staging.mapping, length, nowMicros, 0)) {
        // The dice are cast for this frame, so it is not given back: it waits here for room, and the next is refused.
        this.writeCounters.lost++;
      }
    }
    this.framesWritten++;
    this.#flushWrites(nowMicros);
    return length;
  }

  pollAt(): number {
    const heldAt = Math.min(this.#heldReads.dueAt(), this.#heldWrites.dueAt());
    // Without a clock a frame is held until the next call that finds the link idle.
    const dueAt = this.#clock === null && this.#heldReads.count + this.#heldWrites.count > 0 ? 0 : heldAt;
    return Math.min(dueAt, this.#inner.pollAt());
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

  #nowMicros(): number {
    return this.#clock === null ? 0 : this.#clock.nowMicros();
  }

  /** Decides over the staged frame; a duplicate goes into `held` at once, due now. */
  #fate(length: number, counters: FaultCounters, held: HeldFrames, nowMicros: number): Fate {
    const { random, lossRate, duplicateRate, reorderRate, corruptRate } = this.#options;
    const bytes = this.#staging.mapping;
    completeFrame(this.#frame, bytes, this.#stagingView, 0, length);
    if (randomChance(random, lossRate)) {
      counters.lost++;
      return 'lose';
    }
    if (randomChance(random, corruptRate) && this.#corruptible(length)) {
      counters.corrupted++;
      const bit = randomBelow(random, (length - ETHERNET_HEADER_BYTES) * 8);
      bytes[ETHERNET_HEADER_BYTES + (bit >>> 3)]! ^= 1 << (bit & 7);
      this.#frame.flags &= ~FRAME_CHECKSUM_VALID;
    }
    if (randomChance(random, duplicateRate) && held.hold(this.#frame, bytes, length, nowMicros, 0)) {
      counters.duplicated++;
    }
    if (randomChance(random, reorderRate) && held.count < held.limit) {
      counters.reordered++;
      return 'hold';
    }
    return 'pass';
  }

  #corruptible(length: number): boolean {
    if (length <= ETHERNET_HEADER_BYTES || this.#frame.gsoType !== GSO_NONE) return false;
    return etherType(this.#stagingView, 0) !== ETHERTYPE_ARP;
  }

  #holdReordered(held: HeldFrames, length: number, nowMicros: number): void {
    const { random, reorderFrames, reorderMicros } = this.#options;
    const overtakers = 1 + randomBelow(random, reorderFrames);
    const dueMicros = this.#clock === null ? Number.POSITIVE_INFINITY : nowMicros + reorderMicros;
    held.hold(this.#frame, this.#staging.mapping, length, dueMicros, overtakers);
  }

  #deliverHeld(landing: FrameList, nowMicros: number): number {
    const held = this.#heldReads.due(nowMicros)!;
    copyOffload(held.frame, landing);
    const copied = scatterFrame(held.memory.mapping, 0, held.length, landing);
    this.#heldReads.release(held);
    this.readCounters.passed++;
    return copied;
  }

  /** Sends what is due. False: the inner link has no room for it. */
  #flushWrites(nowMicros: number): boolean {
    for (;;) {
      const held = this.#heldWrites.due(nowMicros);
      if (held === null) return true;
      if (this.#inner.writeFrame(held.frame) === 0) return false;
      this.#heldWrites.release(held);
      this.writeCounters.passed++;
    }
  }

  /** Without a clock, "long enough" is when there is nothing else to do. */
  #idle(nowMicros: number): void {
    this.#heldReads.expire(nowMicros);
    this.#heldWrites.expire(nowMicros);
    this.#flushWrites(nowMicros);
  }
}

function checkRate(name: string, rate = 0): number {
  if (!(rate >= 0 && rate <= 1)) throw invalidArgument(`${name} is ${rate}`, 'give a probability from 0 to 1');
  return rate;
}
