import type { Clock } from '../../core/clock.ts';
import { KiB, MiB } from '../../core/units.ts';
import {
  emitPacketHead,
  emitPacketTail,
  interfaceBlock,
  interfaceStatisticsBlock,
  packetBlockBytes,
  PCAPNG_INBOUND,
  PCAPNG_OUTBOUND,
  PCAPNG_PACKET_HEAD_BYTES,
  sectionHeaderBlock,
} from '../../wire/pcapng.ts';
import { flattenFrame } from '../copy.ts';
import { FRAME_NEEDS_CHECKSUM, type FrameList, type Link, type LinkOffloads } from '../link.ts';
import { completeChecksum } from '../partial-checksum.ts';
import { shownBytes } from './headers.ts';

/** Blocks collected for one write; several times the largest frame. */
const CHUNK_BYTES: number = 256 * KiB;
/** How far the sink may fall behind before frames go by uncaptured. */
const MAX_SINK_BYTES: number = 64 * MiB;
/** The longest chain of headers that is looked at. */
const HEAD_BYTES = 512;

/** Where captures go: any `stream.Writable`, or something as simple. It may keep what it is given. */
export interface CaptureSink {
  write(bytes: Uint8Array): unknown;
  /** Bytes taken and not yet written out: what a stream reports. */
  readonly writableLength?: number;
}

export interface CaptureOptions {
  /** Also what lies behind TCP headers, which may be device memory; by default only its length. */
  payload?: boolean;
  /** Added to the clock's time: `Date.now() * 1000` at its zero makes dates of the time stamps. */
  epochMicros?: number;
}

/** What a capture did. */
export class CaptureCounters {
  captured = 0;
  /** Frames not captured because the sink was too slow. */
  dropped = 0;
}

/**
 * A link that writes down every frame that passes, as pcapng, with its direction and time. What segmentation offload
 * carries in one frame is one frame in the file. Checksums that hardware would have filled in are filled in, where all
 * that they cover is captured.
 */
export class CaptureLink implements Link {
  readonly name: string;
  readonly mtuBytes: number;
  readonly offloads: LinkOffloads;
  readonly counters: CaptureCounters = new CaptureCounters();

  readonly #inner: Link;
  readonly #clock: Clock;
  readonly #sink: CaptureSink;
  readonly #payload: boolean;
  readonly #epochMicros: number;
  readonly #head = new Uint8Array(HEAD_BYTES);
  readonly #headView = new DataView(this.#head.buffer);
  #chunk = new Uint8Array(CHUNK_BYTES);
  #chunkView = new DataView(this.#chunk.buffer);
  #used = 0;
  #closed = false;

  constructor(inner: Link, clock: Clock, sink: CaptureSink, options: CaptureOptions = {}) {
    this.#inner = inner;
    this.#clock = clock;
    this.#sink = sink;
    this.#payload = options.payload ?? false;
    this.#epochMicros = options.epochMicros ?? 0;
    this.name = inner.name;
    this.mtuBytes = inner.mtuBytes;
    this.offloads = inner.offloads;
    this.#append(sectionHeaderBlock('devmem-tcp'));
    this.#append(interfaceBlock(inner.name));
  }

  get framesWritten(): number {
    return this.#inner.framesWritten;
  }

  get framesInFlight(): number {
    return this.#inner.framesInFlight;
  }

  get isDown(): boolean {
    return this.#inner.isDown;
  }

  readFrame(landing: FrameList): number {
    const length = this.#inner.readFrame(landing);
    if (length > 0) this.#record(landing, length, PCAPNG_INBOUND);
    return length;
  }

  writeFrame(gather: FrameList): number {
    const length = this.#inner.writeFrame(gather);
    if (length > 0) this.#record(gather, length, PCAPNG_OUTBOUND);
    return length;
  }

  pollAt(): number {
    return this.#inner.pollAt();
  }

  /** Whoever waits has time: what was captured goes out. */
  armWake(onWake: () => void): void {
    this.flush();
    this.#inner.armWake(onWake);
  }

  disarmWake(): void {
    this.#inner.disarmWake();
  }

  /** Ends the capture and the link. The sink stays open: it is the caller's. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#inner.close();
    const { captured, dropped } = this.counters;
    this.#append(interfaceStatisticsBlock(0, this.#nowMicros(), captured + dropped, dropped));
    this.flush();
  }

  /** Hands the sink what was captured so far. */
  flush(): void {
    if (this.#used === 0) return;
    if (this.#used < CHUNK_BYTES / 2) {
      this.#sink.write(this.#chunk.slice(0, this.#used));
    } else {
      // The sink keeps this one: cheaper than a copy of it.
      this.#sink.write(this.#chunk.subarray(0, this.#used));
      this.#chunk = new Uint8Array(CHUNK_BYTES);
      this.#chunkView = new DataView(this.#chunk.buffer);
    }
    this.#used = 0;
  }

  #nowMicros(): number {
    return Math.max(0, this.#clock.nowMicros() + this.#epochMicros);
  }

  #append(block: Uint8Array): void {
    if (CHUNK_BYTES - this.#used < block.length) this.flush();
    this.#chunk.set(block, this.#used);
    this.#used += block.length;
  }

  #record(frame: FrameList, length: number, direction: number): void {
    if ((this.#sink.writableLength ?? 0) > MAX_SINK_BYTES) {
      this.counters.dropped++;
      return;
    }
    const captured = this.#payload ? length : this.#shown(frame, length);
    const blockBytes = packetBlockBytes(captured, 0);
    if (CHUNK_BYTES - this.#used < blockBytes) this.flush();
    const at = this.#used;
    const packetAt = at + PCAPNG_PACKET_HEAD_BYTES;
    emitPacketHead(this.#chunkView, at, 0, this.#nowMicros(), captured, length, 0);
    flattenFrame(frame, this.#chunk, packetAt, captured);
    if ((frame.flags & FRAME_NEEDS_CHECKSUM) !== 0 && captured === length) {
      completeChecksum(this.#chunk, this.#chunkView, packetAt, length, frame.checksumStart, frame.checksumOffset);
    }
    emitPacketTail(this.#chunk, this.#chunkView, packetAt + captured, captured, direction, null);
    this.#used = at + blockBytes;
    this.counters.captured++;
  }

  #shown(frame: FrameList, length: number): number {
    const available = flattenFrame(frame, this.#head, 0, Math.min(length, HEAD_BYTES));
    return Math.min(shownBytes(this.#head, this.#headView, available, length), length);
  }
}
