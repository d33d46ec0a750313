import { FrameList, MAX_FRAME_BYTES, type Link } from '../src/link/link.ts';
import { HostRegion } from '../src/memory/region.ts';
import type { Drivable, Waking } from '../src/socket/engine.ts';

/** Frames moved in one direction in one turn. */
const BURST_FRAMES = 64;

/**
 * What lies between two links: hands each frame of one to the other, unchanged. The links bring their own faults and
 * delays (FaultLink, DelayLink). Driven by an `Engine`, like a stack.
 */
export class Middlebox implements Drivable, Waking {
  readonly #ways: readonly [Way, Way];
  readonly #links: readonly [Link, Link];

  constructor(one: Link, other: Link) {
    this.#links = [one, other];
    this.#ways = [new Way(one, other), new Way(other, one)];
  }

  get isDown(): boolean {
    return this.#links.some((link) => link.isDown);
  }

  handle(_nowMicros: number): number {
    return this.#ways[0].move() + this.#ways[1].move();
  }

  pollAt(): number {
    return Math.min(this.#links[0].pollAt(), this.#links[1].pollAt());
  }

  armWake(onWake: () => void): void {
    for (const link of this.#links) link.armWake(onWake);
  }

  disarmWake(): void {
    for (const link of this.#links) link.disarmWake();
  }

  close(): void {
    for (const link of this.#links) link.close();
  }
}

class Way {
  readonly #from: Link;
  readonly #to: Link;
  readonly #staging = new HostRegion(MAX_FRAME_BYTES);
  readonly #frame = new FrameList();
  /** A frame that the other link had no room for is still here. */
  #isHeld = false;

  constructor(from: Link, to: Link) {
    this.#from = from;
    this.#to = to;
  }

  move(): number {
    let moved = 0;
    while (moved < BURST_FRAMES) {
      if (!this.#isHeld && !this.#take()) break;
      const sent = this.#to.writeFrame(this.#frame);
      this.#isHeld = sent === 0;
      if (this.#isHeld) break;
      moved++;
    }
    return moved;
  }

  #take(): boolean {
    const frame = this.#frame;
    frame.clear();
    frame.push(this.#staging, 0, MAX_FRAME_BYTES);
    const length = this.#from.readFrame(frame);
    if (length <= 0) return false;
    frame.count = 0;
    frame.totalBytes = 0;
    frame.push(this.#staging, 0, length);
    return true;
  }
}
