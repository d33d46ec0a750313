import { MiB } from '../../src/core/units.ts';
import type { CongestionName } from '../../src/stack/tcp/congestion/controller.ts';
import type { Flow, FlowPlan } from './flow.ts';
import type { SimHost } from './host.ts';
import { buildSite, PROFILES, type Profile, type ProfileName, type Site } from './profiles.ts';
import { Workload } from './workload.ts';
import { World } from './world.ts';

const MILLI = 1000;
const SECOND = 1_000_000;
const SEED = 20_261_122;
const BULK_FLOWS = 4;
const BULK_BYTES: number = 1 << 30;
const SHORT_BYTES = 20_000;
const INCAST_SENDERS = 64;
const INCAST_BYTES = 64_000;
const INCAST_ROUNDS = 3;
const INCAST_PAUSE_MICROS: number = 100 * MILLI;
/** A flow is back at its rate when it has this part of what it had before. */
const RECOVERED_PART = 0.9;

/** What one controller makes of one network. */
export interface Measurement {
  profile: ProfileName;
  controller: CongestionName;
  goodputMbit: number;
  /** Jain's index of the long flows (Jain, Chiu, Hawe 1984): 1 when all get the same. */
  fairness: number;
  retransmittedPercent: number;
  /** From the end of an outage of half a round trip until the rate is back; infinity: not in this run. */
  recoveryMillis: number;
  queueMeanMillis: number;
  queueP95Millis: number;
  /** From opening to the last byte of a conversation of 20 kB (of an answer of 64 kB, for incast). */
  shortMedianMillis: number;
  shortP99Millis: number;
}

/** How long a network is watched, and how often something short happens on it. */
interface Plan {
  durationMicros: number;
  shortEveryMicros: number;
}

const PLANS: Readonly<Record<Exclude<ProfileName, 'incast'>, Plan>> = {
  datacentre: { durationMicros: 200 * MILLI, shortEveryMicros: 5 * MILLI },
  wan: { durationMicros: 5 * SECOND, shortEveryMicros: 150 * MILLI },
  radio: { durationMicros: 12 * SECOND, shortEveryMicros: 400 * MILLI },
  asymmetric: { durationMicros: 6 * SECOND, shortEveryMicros: 200 * MILLI },
  bufferbloat: { durationMicros: 12 * SECOND, shortEveryMicros: 400 * MILLI },
  'long-fat': { durationMicros: 8 * SECOND, shortEveryMicros: 300 * MILLI },
};

/** Runs one network with one controller on all hosts. Virtual time: always the same numbers. */
export function measure(profile: ProfileName, controller: CongestionName): Measurement {
  return profile === 'incast'
    ? measureIncast(controller)
    : new Bench(PROFILES[profile], controller, PLANS[profile]).run();
}

function hostOptions(controller: CongestionName): { hostPoolBytes: number; tcp: object } {
  return {
    hostPoolBytes: 16 * MiB,
    // Half of a pool is for newcomers: the buffers are what long-fat needs.
    tcp: { congestion: controller, ecn: 1, receiveBufferBytes: 6 * MiB, sendBufferBytes: 6 * MiB },
  };
}

function download(id: number, client: SimHost, server: SimHost, startMicros: number, downBytes: number): FlowPlan {
  return { id, client, server, family: 4, startMicros, exchanges: [{ upBytes: 100, downBytes }], ending: 'both' };
}

/** Long downloads through the bottleneck, short ones between them, and one outage. */
class Bench {
  readonly #profile: Profile;
  readonly #controller: CongestionName;
  readonly #plan: Plan;
  readonly #world = new World({ seed: SEED });
  readonly #site: Site;
  readonly #workload: Workload;
  readonly #received = new Float64Array(BULK_FLOWS);
  readonly #binMicros: number;
  readonly #bins: Float64Array;
  readonly #outageMicros: number;
  readonly #warmMicros: number;

  constructor(profile: Profile, controller: CongestionName, plan: Plan) {
    this.#profile = profile;
    this.#controller = controller;
    this.#plan = plan;
    const roundTrip = (profile.up.delayMicros ?? 0) + (profile.down.delayMicros ?? 0);
    this.#binMicros = Math.max(roundTrip, MILLI);
    this.#outageMicros = roundTrip / 2;
    this.#warmMicros = plan.durationMicros / 4;
    this.#bins = new Float64Array(Math.ceil(plan.durationMicros / this.#binMicros) + 1);
    const count = BULK_FLOWS + 1;
    this.#site = buildSite(this.#world, profile, count, count, () => hostOptions(controller));
    this.#workload = new Workload(this.#world, this.#plans());
    this.#workload.onProgress = (flow, bytes) => this.#note(flow, bytes);
  }

  run(): Measurement {
    const { durationMicros } = this.#plan;
    const world = this.#world;
    const { forward, backward } = this.#site.bottleneck;
    const eventMicros = durationMicros / 2;
    world.at(eventMicros, () => {
      backward.isUp = false;
      forward.isUp = false;
    });
    world.at(eventMicros + this.#outageMicros, () => {
      backward.isUp = true;
      forward.isUp = true;
    });
    world.runFor(durationMicros);
    const total = this.#received.reduce((sum, bytes) => sum + bytes, 0);
    const times = this.#shortTimes();
    const waits = backward.waits!;
    return {
      profile: this.#profile.name,
      controller: this.#controller,
      goodputMbit: (total * 8) / (durationMicros - this.#warmMicros),
      fairness: jain(this.#received),
      retransmittedPercent: retransmittedPercent(this.#site.servers),
      recoveryMillis: this.#recoveryMicros(eventMicros + this.#outageMicros) / MILLI,
      queueMeanMillis: waits.mean / MILLI,
      queueP95Millis: waits.percentile(0.95) / MILLI,
      shortMedianMillis: percentile(times, 0.5) / MILLI,
      shortP99Millis: percentile(times, 0.99) / MILLI,
    };
  }

  #plans(): FlowPlan[] {
    const { clients, servers } = this.#site;
    const { durationMicros, shortEveryMicros } = this.#plan;
    const plans: FlowPlan[] = [];
    for (let i = 0; i < BULK_FLOWS; i++) {
      // Not all at once: the later ones have to find room.
      plans.push(download(i, clients[i]!, servers[i]!, (i * durationMicros) / 40, BULK_BYTES));
    }
    for (let at = shortEveryMicros; at < durationMicros; at += shortEveryMicros) {
      plans.push(download(plans.length, clients[BULK_FLOWS]!, servers[BULK_FLOWS]!, at, SHORT_BYTES));
    }
    return plans;
  }

  #note(flow: Flow, bytes: number): void {
    const { nowMicros } = this.#world;
    const { id } = flow.plan;
    if (id >= BULK_FLOWS) return;
    if (nowMicros >= this.#warmMicros) this.#received[id]! += bytes;
    this.#bins[Math.floor(nowMicros / this.#binMicros)]! += bytes;
  }

  /** What is not over at the end counts with the time that it has taken so far: it would take longer still. */
  #shortTimes(): number[] {
    const over = new Map(this.#workload.results.map((result) => [result.plan.id, result]));
    const now = this.#world.nowMicros;
    const times: number[] = [];
    for (const plan of this.#plans().slice(BULK_FLOWS)) {
      const result = over.get(plan.id);
      times.push((result?.endedMicros ?? now) - plan.startMicros);
    }
    return times;
  }

  #recoveryMicros(endMicros: number): number {
    const before = Math.floor((endMicros - this.#outageMicros) / this.#binMicros);
    const first = Math.floor(this.#warmMicros / this.#binMicros);
    let sum = 0;
    for (let i = first; i < before; i++) sum += this.#bins[i]!;
    const usual = sum / Math.max(1, before - first);
    // Two bins together: what one bin gets by chance is not yet a rate.
    for (let i = before + 1; i + 1 < this.#bins.length - 1; i++) {
      const isBack = this.#bins[i]! + this.#bins[i + 1]! >= 2 * usual * RECOVERED_PART;
      if (isBack) return Math.max(0, i * this.#binMicros - endMicros);
    }
    return Number.POSITIVE_INFINITY;
  }
}

/** All servers answer one client at once, again and again. */
function measureIncast(controller: CongestionName): Measurement {
  const profile = PROFILES.incast;
  const world = new World({ seed: SEED });
  const site = buildSite(world, profile, 1, INCAST_SENDERS, (_, isServer) => ({
    ...hostOptions(controller),
    hostPoolBytes: isServer ? MiB : 16 * MiB,
  }));
  const client = site.clients[0]!;
  const plans: FlowPlan[] = [];
  for (let round = 0; round < INCAST_ROUNDS; round++) {
    for (const server of site.servers) {
      plans.push(download(plans.length, client, server, 1 + round * INCAST_PAUSE_MICROS * 10, INCAST_BYTES));
    }
  }
  const workload = new Workload(world, plans);
  world.runUntil(() => workload.isDone, 60 * SECOND);
  const times = workload.results.map(({ plan, endedMicros }) => endedMicros - plan.startMicros);
  let busyMicros = 0;
  for (let round = 0; round < INCAST_ROUNDS; round++) {
    const ofRound = workload.results.filter(({ plan }) => Math.floor(plan.id / INCAST_SENDERS) === round);
    busyMicros += Math.max(...ofRound.map(({ plan, endedMicros }) => endedMicros - plan.startMicros));
  }
  const waits = site.bottleneck.backward.waits!;
  return {
    profile: 'incast',
    controller,
    goodputMbit: (plans.length * INCAST_BYTES * 8) / busyMicros,
    fairness: jain(times.map((micros) => INCAST_BYTES / micros)),
    retransmittedPercent: retransmittedPercent(site.servers),
    recoveryMillis: Number.NaN,
    queueMeanMillis: waits.mean / MILLI,
    queueP95Millis: waits.percentile(0.95) / MILLI,
    shortMedianMillis: percentile(times, 0.5) / MILLI,
    shortP99Millis: percentile(times, 0.99) / MILLI,
  };
}

function retransmittedPercent(hosts: readonly SimHost[]): number {
  let sent = 0;
  let again = 0;
  for (const { stack } of hosts) {
    sent += stack.tcp.counters.bytesOut;
    again += stack.tcp.counters.retransmittedBytes;
  }
  return (100 * again) / Math.max(1, sent);
}

function jain(values: ArrayLike<number>): number {
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < values.length; i++) {
    sum += values[i]!;
    squares += values[i]! ** 2;
  }
  return squares === 0 ? 0 : sum ** 2 / (values.length * squares);
}

function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * part) - 1)] ?? 0;
}
