import type { Clock } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { CaptureLink, type CaptureSink } from '../../src/link/wrap/capture.ts';
import { PagePool } from '../../src/memory/page-pool.ts';
import { HostRegion } from '../../src/memory/region.ts';
import { Nic } from '../../src/nic/nic.ts';
import { Stack } from '../../src/stack/stack.ts';
import type { TcpConfig } from '../../src/stack/tcp/config.ts';
import { IpAddress, parsePrefix } from '../../src/wire/address.ts';
import type { SimPort } from './port.ts';

export const PAGE_BYTES = 4096;
/** The port that all servers of a simulation listen on. Its traffic, either way, lands in the device pool if there is one. */
export const SERVER_PORT = 5201;
/** The queue that the device pool is bound to. */
const DEVICE_QUEUE = 1;
/** Rounds of one moment after which nobody believes any more that they will end. */
const MAX_ROUNDS = 100_000;
/** Moments without work while something claims to be due: a timer that `handle` does not serve. */
const MAX_STUCK_MOMENTS = 1000;
const DEFAULT_HOST_POOL_BYTES: number = 1 << 20;

export interface HostOptions {
  /** Texts with prefix lengths. */
  addresses: readonly string[];
  hostPoolBytes?: number;
  /** Pages of device memory that application traffic lands in; 0 or left out: it lands in host memory. */
  devicePages?: number;
  tcp?: Partial<TcpConfig>;
}

/** Something of an application that has to be looked at when its connection has news. */
export interface Task {
  isListed: boolean;
  serve(nowMicros: number): void;
}

/** What the world lends its hosts. */
export interface HostWorld {
  readonly nowMicros: number;
  nextSeed(): number;
  captureSink(host: SimHost): CaptureSink | null;
}

/** A machine: a port, a NIC, a stack, and tasks. It has a clock of its own, can lose power, and can stand still. */
export class SimHost implements Clock {
  readonly name: string;
  readonly index: number;
  readonly port: SimPort;
  readonly macAddress: Uint8Array;
  nic!: Nic;
  stack!: Stack;
  /** Where application payload lands. */
  pool!: PagePool;
  isRunning = false;
  /** Grows with every boot: what belongs to an earlier one is gone. */
  boots = 0;
  /** When the host wants to be called next, in the world's time. */
  wakeAtMicros: number = Number.POSITIVE_INFINITY;
  addresses: readonly string[];
  /** References to pages that its applications keep. */
  heldReferences = 0;
  /** Called at the end of every boot: for who starts servers. */
  onBoot: (host: SimHost) => void = () => {};

  readonly #world: HostWorld;
  readonly #options: HostOptions;
  #clockOffsetMicros: number;
  #frozenUntilMicros = 0;
  #stuckMoments = 0;
  #capture: CaptureLink | null = null;
  #tasks: Task[] = [];

  constructor(world: HostWorld, name: string, index: number, port: SimPort, options: HostOptions) {
    this.#world = world;
    this.#options = options;
    this.name = name;
    this.index = index;
    this.port = port;
    this.addresses = options.addresses;
    this.macAddress = Uint8Array.of(0x02, 0, 0, 0, (index + 1) >> 8, (index + 1) & 0xff);
    // No two hosts have the same uptime.
    this.#clockOffsetMicros = 1_000_000 + index * 12_345_678;
    port.onFrame = () => this.touch();
  }

  /** The host's own time. */
  nowMicros(): number {
    return this.#world.nowMicros + this.#clockOffsetMicros;
  }

  /** Makes NIC and stack from nothing. */
  boot(): void {
    const random = new SeededRandom(this.#world.nextSeed());
    const options = this.#options;
    const sink = this.#world.captureSink(this);
    if (sink !== null) this.#capture = new CaptureLink(this.port, this, sink);
    this.nic = new Nic({
      link: this.#capture ?? this.port,
      macAddress: this.macAddress,
      random,
      hostPoolBytes: options.hostPoolBytes ?? DEFAULT_HOST_POOL_BYTES,
    });
    this.pool = this.nic.hostPool;
    const pages = options.devicePages ?? 0;
    if (pages > 0) {
      this.pool = new PagePool({ region: new HostRegion(pages * PAGE_BYTES) });
      this.nic.bindQueue(DEVICE_QUEUE, this.pool);
      this.nic.steer({ protocol: 'tcp', destinationPort: SERVER_PORT, queues: [DEVICE_QUEUE] });
      this.nic.steer({ protocol: 'tcp', sourcePort: SERVER_PORT, queues: [DEVICE_QUEUE] });
    }
    this.stack = new Stack({ nic: this.nic, random, duplicateDetection: 'off', tcp: options.tcp ?? {} });
    this.isRunning = true;
    this.heldReferences = 0;
    this.boots++;
    for (const text of this.addresses) this.stack.addAddress(parsePrefix(text)!, this.nowMicros());
    this.touch();
    this.onBoot(this);
  }

  /** The power is gone, and with it everything that was not written down. */
  crash(): void {
    this.isRunning = false;
    this.#capture?.flush();
    this.#capture = null;
    this.#tasks = [];
    this.port.reset();
    this.wakeAtMicros = Number.POSITIVE_INFINITY;
  }

  /** Nothing happens on this host until then; its clock goes on. */
  freeze(untilMicros: number): void {
    this.#frozenUntilMicros = untilMicros;
    this.touch();
  }

  jumpClock(micros: number): void {
    this.#clockOffsetMicros += micros;
    this.touch();
  }

  /** Replaces all addresses: connections that use one of the old lose their routes. */
  renumber(addresses: readonly string[]): void {
    for (const text of this.addresses) this.stack.removeAddress(parsePrefix(text)!.address);
    this.addresses = addresses;
    for (const text of addresses) this.stack.addAddress(parsePrefix(text)!, this.nowMicros());
    this.touch();
  }

  /** Its first address of a family. */
  address(family: 4 | 6): IpAddress {
    for (const text of this.addresses) {
      const { address } = parsePrefix(text)!;
      if (address.family === family) return address;
    }
    throw new Error(`${this.name} has no IPv${family} address`);
  }

  /** There is something to do now. */
  touch(): void {
    if (this.isRunning) this.wakeAtMicros = Math.max(this.#frozenUntilMicros, this.#world.nowMicros);
  }

  /** Puts a task on the list of those served next. */
  wake(task: Task): void {
    if (task.isListed || !this.isRunning) return;
    task.isListed = true;
    this.#tasks.push(task);
    this.touch();
  }

  /** Does all that is to be done at this moment. */
  run(): void {
    const worldMicros = this.#world.nowMicros;
    const nowMicros = this.nowMicros();
    let rounds = 0;
    let isBusy = true;
    while (isBusy) {
      const work = this.stack.handle(nowMicros);
      isBusy = this.#serve(nowMicros) || work > 0;
      if (++rounds > MAX_ROUNDS) throw new Error(`${this.name} never idles at ${worldMicros} µs`);
    }
    const next = this.stack.pollAt();
    if (Number.isNaN(next)) throw new Error(`${this.name}: pollAt is no time`);
    this.wakeAtMicros = next - this.#clockOffsetMicros;
    if (this.wakeAtMicros > worldMicros) {
      this.#stuckMoments = 0;
    } else {
      if (++this.#stuckMoments > MAX_STUCK_MOMENTS) {
        throw new Error(`${this.name}: what is due at ${next} µs is not served at ${nowMicros} µs`);
      }
      this.wakeAtMicros = worldMicros + 1;
    }
  }

  /** Writes out what was captured. */
  flushCapture(): void {
    this.#capture?.flush();
  }

  #serve(nowMicros: number): boolean {
    if (this.#tasks.length === 0) return false;
    const tasks = this.#tasks;
    this.#tasks = [];
    for (const task of tasks) {
      task.isListed = false;
      task.serve(nowMicros);
    }
    return true;
  }
}
