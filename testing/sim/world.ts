import { SimulatedClock } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import type { CaptureSink } from '../../src/link/wrap/capture.ts';
import { Channel, type ChannelOptions, type ChannelWorld } from './channel.ts';
import { EventQueue, type SimEvent } from './events.ts';
import { FramePool, type FrameSink, type SimFrame } from './frame.ts';
import { SimHost, type HostOptions, type HostWorld } from './host.ts';
import { SimPort } from './port.ts';
import { LearningSwitch, type SwitchPort } from './switch.ts';
import { TraceHash } from './trace.ts';

const DEFAULT_MTU_BYTES = 1500;

export interface WorldOptions {
  /** Everything random in the run comes from it. */
  seed: number;
  mtuBytes?: number;
  /** Where the frames of a host are written down, as pcapng. */
  capture?: (host: SimHost) => CaptureSink | null;
}

/** Two directions between two nodes. */
export interface Cable {
  readonly forward: Channel;
  readonly backward: Channel;
  plug(isUp: boolean): void;
}

export type Node = SimHost | LearningSwitch;

/**
 * Hosts, cables and switches, in virtual time: nothing happens but what `step` brings about, and the same seed brings
 * about the same.
 */
export class World implements HostWorld, ChannelWorld {
  readonly clock: SimulatedClock = new SimulatedClock();
  readonly random: SeededRandom;
  readonly events: EventQueue = new EventQueue();
  readonly frames: FramePool = new FramePool();
  readonly hash: TraceHash = new TraceHash();
  readonly hosts: SimHost[] = [];
  readonly channels: Channel[] = [];
  steps = 0;
  /** Called after each host that did something: the moment for invariants. */
  onHostRun: (host: SimHost) => void = () => {};
  /** Called with each frame that will arrive somewhere. */
  onTrace: ((frame: SimFrame) => void) | null = null;
  readonly #options: WorldOptions;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.random = new SeededRandom(options.seed);
  }

  get nowMicros(): number {
    return this.clock.nowMicros();
  }

  nextSeed(): number {
    return this.random.u32();
  }

  trace(frame: SimFrame, atMicros: number): void {
    this.hash.add(frame, atMicros);
    this.onTrace?.(frame);
  }

  captureSink(host: SimHost): CaptureSink | null {
    return this.#options.capture?.(host) ?? null;
  }

  /** A host that runs once its cable is there: `boot` it. */
  addHost(name: string, options: HostOptions): SimHost {
    const port = new SimPort(name, this.#options.mtuBytes ?? DEFAULT_MTU_BYTES, this.frames, () => this.nowMicros);
    const host = new SimHost(this, name, this.hosts.length, port, options);
    this.hosts.push(host);
    return host;
  }

  addSwitch(name: string): LearningSwitch {
    return new LearningSwitch(name, this.frames);
  }

  /** @param measured count how long frames wait in its queues. */
  connect(one: Node, other: Node, there: ChannelOptions, back: ChannelOptions = there, measured = false): Cable {
    const near = this.#end(one);
    const far = this.#end(other);
    const forward = this.#channel(`${one.name}-${other.name}`, far, there, measured);
    const backward = this.#channel(`${other.name}-${one.name}`, near, back, measured);
    near.egress = forward;
    far.egress = backward;
    return {
      forward,
      backward,
      plug: (isUp) => {
        forward.isUp = isUp;
        backward.isUp = isUp;
      },
    };
  }

  /** Does something at a time. */
  at(atMicros: number, action: () => void): void {
    const event: SimEvent = { atMicros, order: 0, fire: action };
    this.events.push(event, Math.max(atMicros, this.nowMicros));
  }

  after(micros: number, action: () => void): void {
    this.at(this.nowMicros + micros, action);
  }

  /** Delivers a frame that nobody of the world has sent, now. */
  inject(host: SimHost, bytes: Uint8Array): void {
    const frame = this.frames.take();
    frame.fillWith(bytes);
    frame.sink = host.port;
    this.trace(frame, this.nowMicros);
    this.events.push(frame, this.nowMicros);
  }

  /** When something happens next; infinity if nothing ever will. */
  nextMicros(): number {
    let next = this.events.nextMicros;
    for (let i = 0; i < this.hosts.length; i++) {
      const { wakeAtMicros } = this.hosts[i]!;
      if (wakeAtMicros < next) next = wakeAtMicros;
    }
    return next;
  }

  /** Brings about all that happens at the next moment at which anything does. False: nothing ever will again. */
  step(): boolean {
    const next = this.nextMicros();
    if (next === Number.POSITIVE_INFINITY) return false;
    this.clock.advanceTo(next);
    this.steps++;
    const now = this.nowMicros;
    while (this.events.nextMicros <= now) this.events.pop().fire(now);
    for (let i = 0; i < this.hosts.length; i++) {
      const host = this.hosts[i]!;
      if (host.wakeAtMicros > now || !host.isRunning) continue;
      host.run();
      this.onHostRun(host);
    }
    return true;
  }

  /** Steps until `predicate` holds or that much virtual time has passed. Returns whether it held. */
  runUntil(predicate: () => boolean, limitMicros: number): boolean {
    const endMicros = this.nowMicros + limitMicros;
    while (!predicate()) {
      if (this.nextMicros() > endMicros) {
        this.clock.advanceTo(endMicros);
        return predicate();
      }
      this.step();
    }
    return true;
  }

  /** Lets `micros` of virtual time pass. */
  runFor(micros: number): void {
    this.runUntil(() => false, micros);
  }

  #end(node: Node): SimPort | SwitchPort {
    return node instanceof SimHost ? node.port : node.addPort();
  }

  #channel(name: string, sink: FrameSink, options: ChannelOptions, measured: boolean): Channel {
    const channel = new Channel(name, this, sink, options, measured);
    this.channels.push(channel);
    return channel;
  }
}
