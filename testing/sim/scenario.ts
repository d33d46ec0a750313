import { randomBelow, randomChance, SeededRandom } from '../../src/core/random.ts';
import { KiB, MiB } from '../../src/core/units.ts';
import type { TcpConfig } from '../../src/stack/tcp/config.ts';
import type { CongestionName } from '../../src/stack/tcp/congestion/controller.ts';
import { CONGESTION_NAMES } from '../../src/stack/tcp/congestion/make.ts';
import type { ChannelOptions } from './channel.ts';
import type { Ending, Exchange } from './flow.ts';
import { PAGE_BYTES, type HostOptions } from './host.ts';
import { PROFILE_NAMES, PROFILES, type Profile, type ProfileName } from './profiles.ts';
import type { ReaderOptions } from './reader.ts';

const SECOND = 1_000_000;
const MILLI = 1000;
/** Bytes of all conversations of a scenario together, about: what keeps a seed below a tenth of a second. */
const BYTES_OF_ALL = 1_200_000;

/** What happens to the world, and when. `target` chooses a host or a cable. */
export interface Trouble {
  kind: 'flap' | 'crash' | 'renumber' | 'clock-jump' | 'freeze' | 'reroute';
  atMicros: number;
  durationMicros: number;
  target: number;
}

/** One conversation, with its hosts by number. */
export interface PlannedFlow {
  client: number;
  server: number;
  family: 4 | 6;
  startMicros: number;
  exchanges: readonly Exchange[];
  duplex: boolean;
  ending: Ending;
  noDelay: boolean;
  keepaliveMicros: number;
  writeBytes: number;
  clientReader: ReaderOptions;
  serverReader: ReaderOptions;
}

/** Everything that a run is made of. It follows from the seed and what the caller fixed, and from nothing else. */
export interface Scenario {
  readonly seed: number;
  readonly profile: Profile;
  readonly clients: number;
  readonly servers: number;
  readonly hosts: readonly Omit<HostOptions, 'addresses'>[];
  readonly flows: readonly PlannedFlow[];
  readonly troubles: readonly Trouble[];
  readonly mtuBytes: number;
}

export interface ScenarioChoices {
  profile?: ProfileName;
  controller?: CongestionName;
}

/** Dice with names. */
class Dice {
  readonly random: SeededRandom;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  below(limit: number): number {
    return randomBelow(this.random, limit);
  }

  chance(probability: number): boolean {
    return randomChance(this.random, probability);
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  /** Between the two, small values as likely as large ones. */
  spread(low: number, high: number): number {
    return Math.floor(low * (high / low) ** (this.below(1 << 20) / (1 << 20)));
  }
}

/** The scenario of a seed. */
export function makeScenario(seed: number, choices: ScenarioChoices = {}): Scenario {
  const dice = new Dice(seed);
  // Drawn even when it is not asked for: a seed's other dice fall the same with every profile.
  const drawn = dice.chance(0.05) ? 'incast' : dice.of(PROFILE_NAMES.filter((name) => name !== 'incast'));
  const base = PROFILES[choices.profile ?? drawn];
  const profile = withFaults(base, dice);
  const clients = base.name === 'incast' ? 8 + dice.below(17) : 1 + dice.below(base.maxClients);
  const servers = base.name === 'incast' ? 1 : 1 + dice.below(2);
  const shortSide = dice.of(['nobody', 'clients', 'servers', 'both'] as const);
  const hosts = Array.from({ length: clients + servers }, (_, index) => {
    const isShort = shortSide === 'both' || shortSide === (index < clients ? 'clients' : 'servers');
    return { ...memoryOptions(dice, isShort), tcp: tcpOptions(dice, choices.controller) };
  });
  const troubles = dice.chance(0.5) ? [] : makeTroubles(dice, clients + servers);
  const flows = makeFlows(dice, base, clients, servers, hosts);
  return { seed, profile, clients, servers, hosts, flows, troubles, mtuBytes: dice.of([1500, 1500, 1500, 9000, 1280]) };
}

/** Whether established connections may break in it. */
export function isDestructive({ troubles }: Scenario): boolean {
  return troubles.some(({ kind, durationMicros }) => {
    if (kind === 'crash' || kind === 'renumber') return true;
    // A clock that leaps makes a live peer look silent; so does a host or a cable that is away for long.
    return kind === 'clock-jump' || ((kind === 'freeze' || kind === 'flap') && durationMicros > 2 * SECOND);
  });
}

function withFaults(base: Profile, dice: Dice): Profile {
  const up = faulty(base.up, dice);
  const down = dice.chance(0.5) ? faulty(base.down, dice) : base.down;
  return { ...base, up, down };
}

function faulty(options: ChannelOptions, dice: Dice): ChannelOptions {
  const result = { ...options };
  if (dice.chance(0.3)) result.loss = { rate: dice.of([0.001, 0.01, 0.01, 0.05]) };
  if (dice.chance(0.2)) result.loss = { rate: 0.001, badRate: 0.005, recoveryRate: 0.1, lossInBad: 0.6 };
  if (dice.chance(0.2)) result.duplicateRate = dice.of([0.001, 0.02]);
  if (dice.chance(0.2)) result.corruptRate = dice.of([0.001, 0.02]);
  if (dice.chance(0.25)) {
    result.reorderRate = dice.of([0.01, 0.1]);
    result.reorderMicros = dice.of([300, 3000, 30_000]);
  }
  if (dice.chance(0.2)) result.queueBytes = dice.of([15_000, 60_000]);
  if (dice.chance(0.2)) result.markBytes = dice.of([5000, 50_000]);
  if (dice.chance(0.15)) result.jitterMicros = dice.of([100, 5000]);
  return result;
}

function memoryOptions(dice: Dice, isShort: boolean): Pick<HostOptions, 'hostPoolBytes' | 'devicePages'> {
  const hostPoolBytes = dice.of(isShort ? [128 * KiB, 512 * KiB] : [2 * MiB, 4 * MiB]);
  return { hostPoolBytes, devicePages: dice.of(isShort ? [0, 16, 64] : [0, 512, 1024]) };
}

function tcpOptions(dice: Dice, controller: CongestionName | undefined): Partial<TcpConfig> {
  const drawn = dice.of(CONGESTION_NAMES);
  return {
    congestion: controller ?? drawn,
    selectiveAck: dice.chance(0.85),
    timestamps: dice.chance(0.8),
    windowScaling: dice.chance(0.85),
    duplicateSack: dice.chance(0.9),
    rack: dice.chance(0.9),
    tailLossProbe: dice.chance(0.9),
    forwardRto: dice.chance(0.9),
    pacing: dice.chance(0.2),
    ecn: dice.of([0, 1, 2, 2, 3, 4, 5] as const),
    ecnOption: dice.of([0, 1, 2, 2, 3] as const),
    slowStartAfterIdle: dice.chance(0.8),
    receiveBufferBytes: dice.of([32 * KiB, 256 * KiB, 4 * MiB]),
    sendBufferBytes: dice.of([16 * KiB, 256 * KiB, 4 * MiB]),
    retries: 9,
    keepaliveIntervalMicros: 5 * SECOND,
    keepaliveProbes: 6,
  };
}

function makeTroubles(dice: Dice, hosts: number): Trouble[] {
  const troubles: Trouble[] = [];
  const count = 1 + dice.below(3);
  for (let i = 0; i < count; i++) {
    const kind = dice.of(['flap', 'flap', 'crash', 'renumber', 'clock-jump', 'freeze', 'reroute'] as const);
    const atMicros = dice.spread(20 * MILLI, 20 * SECOND);
    troubles.push({ kind, atMicros, durationMicros: dice.spread(10 * MILLI, 20 * SECOND), target: dice.below(hosts) });
  }
  return troubles;
}

function makeFlows(
  dice: Dice,
  base: Profile,
  clients: number,
  servers: number,
  hosts: readonly Omit<HostOptions, 'addresses'>[],
): PlannedFlow[] {
  const count = base.name === 'incast' ? clients : 1 + dice.below(6);
  const bytesEach = BYTES_OF_ALL / count;
  const flows: PlannedFlow[] = [];
  for (let i = 0; i < count; i++) {
    const client = base.name === 'incast' ? i : dice.below(clients);
    const server = dice.below(servers);
    const kind = base.name === 'incast' ? 'download' : dice.of(['upload', 'download', 'duplex', 'ask', 'ask', 'short']);
    const startMicros = base.name === 'incast' ? 100 * MILLI : dice.below(2 * SECOND);
    const flow = makeFlow(dice, kind, Math.max(2000, Math.floor(bytesEach * (0.2 + dice.below(100) / 70))), {
      client,
      server,
      startMicros,
      clientPages: memoryPages(hosts[client]!),
      serverPages: memoryPages(hosts[clients + server]!),
    });
    // Many short connections: the same little conversation again and again.
    const repeats = kind === 'short' ? 2 + dice.below(12) : 1;
    for (let n = 0; n < repeats; n++) flows.push({ ...flow, startMicros: startMicros + n * dice.below(300 * MILLI) });
  }
  return flows;
}

interface Place {
  client: number;
  server: number;
  startMicros: number;
  clientPages: number;
  serverPages: number;
}

function makeFlow(dice: Dice, kind: string, bytes: number, place: Place): PlannedFlow {
  return {
    client: place.client,
    server: place.server,
    startMicros: place.startMicros,
    family: dice.of([4, 6] as const),
    exchanges: exchangesOf(dice, kind, bytes),
    duplex: kind === 'duplex',
    ending: dice.of(['both', 'both', 'client', 'server', 'abort'] as const),
    noDelay: dice.chance(0.4),
    keepaliveMicros: 10 * SECOND,
    writeBytes: dice.of([700, 5000, 100_000, 1_000_000]),
    clientReader: readerOf(dice, place.clientPages),
    serverReader: readerOf(dice, place.serverPages),
  };
}

function exchangesOf(dice: Dice, kind: string, bytes: number): Exchange[] {
  if (kind === 'upload') return [{ upBytes: bytes, downBytes: 0 }];
  if (kind === 'download') return [{ upBytes: 100, downBytes: bytes }];
  if (kind === 'duplex') return [{ upBytes: Math.floor(bytes / 2), downBytes: Math.floor(bytes / 3) }];
  const count = kind === 'short' ? 1 : 1 + dice.below(20);
  return Array.from({ length: count }, () => ({
    upBytes: dice.spread(1, 5000),
    downBytes: dice.spread(1, 20_000),
    pauseMicros: dice.chance(0.5) ? 0 : dice.below(500 * MILLI),
  }));
}

function readerOf(dice: Dice, pages: number): ReaderOptions {
  const roll = dice.below(10);
  if (roll < 5) return {};
  if (roll < 8) return { holdMicros: dice.spread(MILLI, 2 * SECOND) };
  // What a hoarder keeps, others do not get: all together leave most of the memory.
  if (roll < 9) return { hoardPages: Math.floor(pages / 64) };
  return { intervalMicros: dice.spread(MILLI, 200 * MILLI) };
}

function memoryPages(options: Omit<HostOptions, 'addresses'>): number {
  const pages = options.devicePages ?? 0;
  return pages > 0 ? pages : (options.hostPoolBytes ?? MiB) / PAGE_BYTES;
}
