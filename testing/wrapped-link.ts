import { ERRNO } from '../src/core/errno.ts';
import type { FrameList, Link, LinkOffloads } from '../src/link/link.ts';

/** A link around a link that changes nothing: tests override what they are about. */
export class WrappedLink implements Link {
  protected readonly inner: Link;

  constructor(inner: Link) {
    this.inner = inner;
  }

  get name(): string {
    return this.inner.name;
  }

  get mtuBytes(): number {
    return this.inner.mtuBytes;
  }

  get offloads(): LinkOffloads {
    return this.inner.offloads;
  }

  get framesWritten(): number {
    return this.inner.framesWritten;
  }

  get framesInFlight(): number {
    return this.inner.framesInFlight;
  }

  get isDown(): boolean {
    return this.inner.isDown;
  }

  readFrame(landing: FrameList): number {
    return this.inner.readFrame(landing);
  }

  writeFrame(gather: FrameList): number {
    return this.inner.writeFrame(gather);
  }

  pollAt(): number {
    return this.inner.pollAt();
  }

  armWake(onWake: () => void): void {
    this.inner.armWake(onWake);
  }

  disarmWake(): void {
    this.inner.disarmWake();
  }

  close(): void {
    this.inner.close();
  }
}

/** A link that can be cut: what is written then is lost on the way. */
export class CutLink extends WrappedLink {
  #lost = 0;
  cut = false;

  override get framesWritten(): number {
    return this.inner.framesWritten + this.#lost;
  }

  override writeFrame(gather: FrameList): number {
    if (!this.cut) return this.inner.writeFrame(gather);
    this.#lost++;
    return gather.totalBytes;
  }
}

/** A link that delivers only as many frames as it is told to. */
export class GatedLink extends WrappedLink {
  /** Frames that `readFrame` still gives out. */
  allowedFrames: number = Number.POSITIVE_INFINITY;

  override readFrame(landing: FrameList): number {
    if (this.allowedFrames === 0) return 0;
    const length = this.inner.readFrame(landing);
    if (length !== 0) this.allowedFrames--;
    return length;
  }
}

/** A link whose interface somebody deletes, as `ip link del` does with a TAP. */
export class DeletableLink extends WrappedLink {
  #isDeleted = false;
  #onWake: (() => void) | null = null;

  override get isDown(): boolean {
    return this.#isDeleted || this.inner.isDown;
  }

  delete(): void {
    this.#isDeleted = true;
    const onWake = this.#onWake;
    this.disarmWake();
    onWake?.();
  }

  override readFrame(landing: FrameList): number {
    return this.#isDeleted ? 0 : this.inner.readFrame(landing);
  }

  override writeFrame(gather: FrameList): number {
    return this.#isDeleted ? -ERRNO.ENETDOWN : this.inner.writeFrame(gather);
  }

  override armWake(onWake: () => void): void {
    if (this.#isDeleted) return;
    this.#onWake = onWake;
    this.inner.armWake(onWake);
  }

  override disarmWake(): void {
    this.#onWake = null;
    this.inner.disarmWake();
  }
}
