import { SeededRandom } from '../../src/core/random.ts';
import type { CaptureSink } from '../../src/link/wrap/capture.ts';
import type { PagePool } from '../../src/memory/page-pool.ts';
import type { FlowPlan } from './flow.ts';
import type { SimHost } from './host.ts';
import { checkNoPageDrops, checkPages, checkQuiet, LayerInvariants, TransitionWatch } from './invariants.ts';
import { buildSite, siteAddresses, type Site } from './profiles.ts';
import { isDestructive, type Scenario, type Trouble } from './scenario.ts';
import { Workload, type FlowResult } from './workload.ts';
import { World } from './world.ts';

const SECOND = 1_000_000;
/** All conversations of a scenario are over by then, whatever befalls them. */
const LIMIT_MICROS: number = 6 * 3600 * SECOND;
/** After the last of them: TIME-WAIT, the last retransmissions of those who talk to nobody, and pages held. */
const QUIET_MICROS: number = 2000 * SECOND;
/** Sums are recounted at every so many looks; counters are compared at each. */
const THOROUGH_EVERY = 16;

export interface SimulateOptions {
  /** Where the frames of a host are written down, as pcapng. */
  capture?: (host: SimHost) => CaptureSink | null;
}

/** What a run was like. */
export interface SimulateResult {
  seed: number;
  profile: string;
  /** Equal for equal runs. */
  hash: string;
  frames: number;
  virtualMicros: number;
  flows: readonly FlowResult[];
  retries: number;
  retransmittedSegments: number;
}

/** Runs a scenario to its end, and checks everything on the way. @throws what does not hold. */
export function simulate(scenario: Scenario, options: SimulateOptions = {}): SimulateResult {
  const transitions = new TransitionWatch();
  try {
    return new Simulation(scenario, options, transitions).run();
  } finally {
    transitions.close();
  }
}

class Simulation {
  readonly #scenario: Scenario;
  readonly #world: World;
  readonly #site: Site;
  readonly #workload: Workload;
  readonly #transitions: TransitionWatch;
  readonly #invariants: (LayerInvariants | null)[] = [];
  readonly #random: SeededRandom;
  #looks = 0;
  #renumberings = 0;

  constructor(scenario: Scenario, options: SimulateOptions, transitions: TransitionWatch) {
    const { seed, profile, clients, servers, hosts, mtuBytes } = scenario;
    this.#scenario = scenario;
    this.#transitions = transitions;
    this.#random = new SeededRandom(seed ^ 0x0b5e_55ed);
    const capture = options.capture;
    this.#world = new World({ seed, mtuBytes, ...(capture === undefined ? {} : { capture }) });
    this.#site = buildSite(this.#world, profile, clients, servers, (index) => hosts[index]!);
    const mayFail = isDestructive(scenario);
    // Who talks to somebody that is gone gives up after nine retransmissions, which take a quarter of an hour.
    const stallMicros = (mayFail ? 2000 : 400) * SECOND;
    this.#workload = new Workload(this.#world, this.#plans(), { mayFail, stallMicros });
    this.#world.onHostRun = (host) => this.#look(host);
    for (const trouble of scenario.troubles) this.#world.at(trouble.atMicros, () => this.#befall(trouble));
  }

  run(): SimulateResult {
    const world = this.#world;
    const workload = this.#workload;
    try {
      const isOver = world.runUntil(() => workload.isDone || workload.failures.length > 0, LIMIT_MICROS);
      if (workload.failures.length > 0) throw new Error(workload.failures.join('\n'));
      if (workload.stall !== null) throw new Error(workload.stall);
      if (!isOver) throw new Error(`not over after ${LIMIT_MICROS / SECOND} s:\n${workload.describeOpen()}`);
      const virtualMicros = world.nowMicros;
      workload.close();
      world.runFor(QUIET_MICROS);
      for (const host of world.hosts) this.#checkEnd(host);
      return this.#result(virtualMicros);
    } finally {
      for (const host of world.hosts) host.flushCapture();
    }
  }

  #result(virtualMicros: number): SimulateResult {
    const { hash, hosts } = this.#world;
    let retransmittedSegments = 0;
    for (const { stack } of hosts) retransmittedSegments += stack.tcp.counters.retransmittedSegments;
    return {
      seed: this.#scenario.seed,
      profile: this.#scenario.profile.name,
      hash: hash.text,
      frames: hash.frames,
      virtualMicros,
      flows: this.#workload.results,
      retries: this.#workload.retries,
      retransmittedSegments,
    };
  }

  #plans(): FlowPlan[] {
    const { clients, servers } = this.#site;
    return this.#scenario.flows.map((flow, id) => ({
      ...flow,
      id,
      client: clients[flow.client]!,
      server: servers[flow.server]!,
    }));
  }

  /** After each moment in which a host did something. */
  #look(host: SimHost): void {
    this.#looks++;
    this.#transitions.check();
    const isThorough = this.#looks % THOROUGH_EVERY === 0;
    this.#invariantsOf(host).check(host.nowMicros(), isThorough);
    checkNoPageDrops(host.nic);
    if (!isThorough) return;
    const unread = this.#workload.unreadReferences(host, host.pool);
    checkPages(host.nic, host.pool, host.stack.tcp, host.heldReferences + unread);
  }

  #invariantsOf(host: SimHost): LayerInvariants {
    return (this.#invariants[host.index] ??= new LayerInvariants(host.stack.tcp, poolsOf(host)));
  }

  #checkEnd(host: SimHost): void {
    try {
      checkQuiet(host.nic, host.stack.tcp, poolsOf(host));
    } catch (error) {
      throw new Error(`${host.name}: ${(error as Error).message}`, { cause: error });
    }
  }

  #befall(trouble: Trouble): void {
    const world = this.#world;
    const host = world.hosts[trouble.target]!;
    const { durationMicros } = trouble;
    switch (trouble.kind) {
      case 'flap': {
        const cables = [this.#site.bottleneck, ...this.#site.access];
        const cable = cables[trouble.target % cables.length]!;
        cable.plug(false);
        world.after(durationMicros, () => cable.plug(true));
        return;
      }
      case 'crash':
        if (!host.isRunning) return;
        host.crash();
        this.#workload.vanish(host);
        this.#invariants[host.index] = null;
        world.after(durationMicros, () => host.boot());
        return;
      case 'renumber':
        if (host.isRunning) host.renumber(siteAddresses(host.index, ++this.#renumberings));
        return;
      case 'clock-jump':
        if (host.isRunning) host.jumpClock(durationMicros * 10);
        return;
      case 'freeze':
        if (host.isRunning) host.freeze(world.nowMicros + durationMicros);
        return;
      case 'reroute':
        this.#reroute();
        return;
      default:
    }
  }

  /** The way changes: another delay, another rate. */
  #reroute(): void {
    for (const channel of [this.#site.bottleneck.forward, this.#site.bottleneck.backward]) {
      const { options } = channel;
      const factor = 0.25 + (this.#random.u32() / 0x1_0000_0000) * 3;
      const bitsPerSecond = options.bitsPerSecond;
      channel.configure({
        ...options,
        delayMicros: (options.delayMicros ?? 0) * factor,
        ...(bitsPerSecond === undefined ? {} : { bitsPerSecond: bitsPerSecond / factor }),
      });
    }
  }
}

function poolsOf(host: SimHost): PagePool[] {
  return host.pool === host.nic.hostPool ? [host.pool] : [host.pool, host.nic.hostPool];
}
