import type { Channel } from './channel.ts';
import type { FramePool, FrameSink, SimFrame } from './frame.ts';

/** One port of a switch: frames come in here, and leave through the channel behind it, which is its queue. */
export class SwitchPort implements FrameSink {
  egress: Channel | null = null;
  readonly #owner: LearningSwitch;

  constructor(owner: LearningSwitch) {
    this.#owner = owner;
  }

  receive(frame: SimFrame, nowMicros: number): void {
    this.#owner.forward(frame, this, nowMicros);
  }
}

/** A switch that learns where addresses live from where they send, and floods what it does not know (IEEE 802.1D §7). */
export class LearningSwitch {
  readonly name: string;
  readonly ports: SwitchPort[] = [];
  flooded = 0;
  readonly #frames: FramePool;
  readonly #table = new Map<number, SwitchPort>();

  constructor(name: string, frames: FramePool) {
    this.name = name;
    this.#frames = frames;
  }

  addPort(): SwitchPort {
    const port = new SwitchPort(this);
    this.ports.push(port);
    return port;
  }

  /** A port's wire was cut: what was learnt there is forgotten. */
  forget(port: SwitchPort): void {
    for (const [address, where] of this.#table) if (where === port) this.#table.delete(address);
  }

  forward(frame: SimFrame, from: SwitchPort, nowMicros: number): void {
    const { view } = frame;
    const source = macNumber(view, 6);
    if (!isGroup(view, 6)) this.#table.set(source, from);
    const to = isGroup(view, 0) ? undefined : this.#table.get(macNumber(view, 0));
    if (to === from) {
      this.#frames.give(frame);
    } else if (to === undefined) {
      this.#flood(frame, from, nowMicros);
    } else {
      to.egress!.send(frame, nowMicros);
    }
  }

  #flood(frame: SimFrame, from: SwitchPort, nowMicros: number): void {
    this.flooded++;
    for (const port of this.ports) {
      if (port === from || port.egress === null) continue;
      const copy = this.#frames.take();
      copy.copyFrom(frame);
      port.egress.send(copy, nowMicros);
    }
    this.#frames.give(frame);
  }
}

function macNumber(view: DataView, offset: number): number {
  return view.getUint16(offset) * 0x1_0000_0000 + view.getUint32(offset + 2);
}

function isGroup(view: DataView, offset: number): boolean {
  return (view.getUint8(offset) & 1) !== 0;
}
