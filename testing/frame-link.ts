import { flattenFrame, scatterFrame } from '../src/link/copy.ts';
import type { FrameList, Link, LinkOffloads } from '../src/link/link.ts';
import { NEVER } from '../src/core/clock.ts';
import { ERRNO } from '../src/core/errno.ts';

/** A frame as the test sees it. */
export interface SeenFrame {
  bytes: Uint8Array;
  flags: number;
  gsoType: number;
  gsoSizeBytes: number;
}

/** A link whose incoming frames the test writes and whose outgoing frames the test reads. */
export class FrameLink implements Link {
  readonly name = 'test';
  readonly mtuBytes: number;
  readonly offloads: LinkOffloads;
  readonly incoming: (Partial<SeenFrame> & { bytes: Uint8Array })[] = [];
  readonly sent: SeenFrame[] = [];
  /** Frames that `writeFrame` still takes before it says that it is full. */
  roomFrames: number = Number.POSITIVE_INFINITY;
  framesWritten = 0;
  readonly framesInFlight = 0;
  /** Set it, and `wake`, to have the interface deleted. */
  isDown = false;
  #onWake: (() => void) | null = null;

  constructor(options: { mtuBytes?: number; offloads?: LinkOffloads } = {}) {
    this.mtuBytes = options.mtuBytes ?? 1500;
    this.offloads = options.offloads ?? { checksum: false, tcpSegmentation: false };
  }

  readFrame(landing: FrameList): number {
    if (this.isDown) return 0;
    const frame = this.incoming.shift();
    if (frame === undefined) return 0;
    landing.clearOffload();
    landing.flags = frame.flags ?? 0;
    landing.gsoType = frame.gsoType ?? 0;
    landing.gsoSizeBytes = frame.gsoSizeBytes ?? 0;
    return scatterFrame(frame.bytes, 0, frame.bytes.length, landing);
  }

  writeFrame(gather: FrameList): number {
    if (this.isDown) return -ERRNO.ENETDOWN;
    if (this.roomFrames === 0) return 0;
    this.roomFrames--;
    this.framesWritten++;
    const bytes = new Uint8Array(gather.totalBytes);
    flattenFrame(gather, bytes, 0, bytes.length);
    this.sent.push({ bytes, flags: gather.flags, gsoType: gather.gsoType, gsoSizeBytes: gather.gsoSizeBytes });
    return gather.totalBytes;
  }

  pollAt(): number {
    return NEVER;
  }

  armWake(onWake: () => void): void {
    this.#onWake = onWake;
  }

  disarmWake(): void {
    this.#onWake = null;
  }

  /** Wakes whoever waits for a frame. */
  wake(): void {
    const onWake = this.#onWake;
    this.#onWake = null;
    onWake?.();
  }

  close(): void {
    this.isDown = true;
  }
}
