import { NEVER } from '../../src/core/clock.ts';
import { Ring } from '../../src/core/ring.ts';
import type { FrameList, Link, LinkOffloads } from '../../src/link/link.ts';
import type { Channel } from './channel.ts';
import type { FramePool, FrameSink, SimFrame } from './frame.ts';

/** Frames that wait for a host, as in a card's ring: a host that does not come loses the rest. */
const RING_FRAMES = 4096;

/** The end of a wire in a host: what its NIC takes for a link. Checksums are offloaded, segmentation is not. */
export class SimPort implements Link, FrameSink {
  readonly name: string;
  readonly mtuBytes: number;
  readonly offloads: LinkOffloads = { checksum: true, tcpSegmentation: false };
  readonly isDown = false;
  /** Always 0: what is written is copied. */
  readonly framesInFlight = 0;
  framesWritten = 0;
  overflowed = 0;
  /** Called when there is something to read. */
  onFrame: () => void = () => {};
  egress: Channel | null = null;
  readonly #incoming = new Ring<SimFrame>(RING_FRAMES);
  readonly #frames: FramePool;
  readonly #nowMicros: () => number;

  /** @param nowMicros the world's time, whatever the host's clock says. */
  constructor(name: string, mtuBytes: number, frames: FramePool, nowMicros: () => number) {
    this.name = name;
    this.mtuBytes = mtuBytes;
    this.#frames = frames;
    this.#nowMicros = nowMicros;
  }

  /** Frames waiting to be read. */
  get waiting(): number {
    return this.#incoming.length;
  }

  receive(frame: SimFrame, _nowMicros: number): void {
    if (!this.#incoming.push(frame)) {
      this.overflowed++;
      this.#frames.give(frame);
      return;
    }
    this.onFrame();
  }

  readFrame(landing: FrameList): number {
    const frame = this.#incoming.shift();
    if (frame === undefined) return 0;
    frame.land(landing);
    const { length } = frame;
    this.#frames.give(frame);
    return length;
  }

  writeFrame(gather: FrameList): number {
    const frame = this.#frames.take();
    frame.fill(gather);
    this.framesWritten++;
    this.egress!.send(frame, this.#nowMicros());
    return gather.totalBytes;
  }

  pollAt(): number {
    return this.#incoming.length > 0 ? 0 : NEVER;
  }

  /** The host has lost power: what waited is gone. */
  reset(): void {
    for (let frame = this.#incoming.shift(); frame !== undefined; frame = this.#incoming.shift()) {
      this.#frames.give(frame);
    }
  }

  armWake(_onWake: () => void): void {}

  disarmWake(): void {}

  close(): void {}
}
