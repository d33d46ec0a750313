import type { ChannelOptions } from './channel.ts';
import type { HostOptions, SimHost } from './host.ts';
import type { Cable, World } from './world.ts';

const KBIT = 1000;
const MBIT: number = 1000 * KBIT;
const MILLI = 1000;

export type ProfileName = 'datacentre' | 'wan' | 'radio' | 'asymmetric' | 'bufferbloat' | 'incast' | 'long-fat';

/** A kind of network: what lies between clients and servers. */
export interface Profile {
  readonly name: ProfileName;
  readonly about: string;
  /** Clients of a random scenario, at most. */
  readonly maxClients: number;
  /** From the side of the clients to that of the servers, and back. */
  readonly up: ChannelOptions;
  readonly down: ChannelOptions;
  /** A host's own cable to its switch. */
  readonly access: ChannelOptions;
}

/** All of them by name. Rates are what one core can simulate; queues are in proportion. */
export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  datacentre: {
    name: 'datacentre',
    about: '1 Gbit/s, 50 µs, 150 kB of queue that marks above 30 kB',
    maxClients: 6,
    up: { bitsPerSecond: 1000 * MBIT, delayMicros: 25, queueBytes: 150_000, markBytes: 30_000 },
    down: { bitsPerSecond: 1000 * MBIT, delayMicros: 25, queueBytes: 150_000, markBytes: 30_000 },
    access: { bitsPerSecond: 1000 * MBIT, delayMicros: 5, queueBytes: 150_000, markBytes: 30_000 },
  },
  wan: {
    name: 'wan',
    about: '100 Mbit/s, 40 ms there and back, one product of both as queue',
    maxClients: 4,
    up: { bitsPerSecond: 100 * MBIT, delayMicros: 20 * MILLI, queueBytes: 500_000 },
    down: { bitsPerSecond: 100 * MBIT, delayMicros: 20 * MILLI, queueBytes: 500_000 },
    access: { bitsPerSecond: 1000 * MBIT, delayMicros: 10 },
  },
  radio: {
    name: 'radio',
    about: '20 Mbit/s, 60 ms, jitter of 10 ms, bursts of losses (0.7 % in all), 1 % of frames overtaken',
    maxClients: 4,
    up: radio(),
    down: radio(),
    access: { bitsPerSecond: 1000 * MBIT, delayMicros: 10 },
  },
  asymmetric: {
    name: 'asymmetric',
    about: '50 Mbit/s down, 1 Mbit/s up, 30 ms',
    maxClients: 4,
    up: { bitsPerSecond: 1 * MBIT, delayMicros: 15 * MILLI, queueBytes: 64_000 },
    down: { bitsPerSecond: 50 * MBIT, delayMicros: 15 * MILLI, queueBytes: 250_000 },
    access: { bitsPerSecond: 1000 * MBIT, delayMicros: 10 },
  },
  bufferbloat: {
    name: 'bufferbloat',
    about: '20 Mbit/s, 30 ms, 1 s of queue',
    maxClients: 4,
    up: { bitsPerSecond: 20 * MBIT, delayMicros: 15 * MILLI, queueBytes: 2_500_000 },
    down: { bitsPerSecond: 20 * MBIT, delayMicros: 15 * MILLI, queueBytes: 2_500_000 },
    access: { bitsPerSecond: 1000 * MBIT, delayMicros: 10 },
  },
  incast: {
    name: 'incast',
    about: '64 senders answer at once through one port of 1 Gbit/s with 150 kB of queue',
    maxClients: 64,
    up: { bitsPerSecond: 1000 * MBIT, delayMicros: 20, queueBytes: 150_000, markBytes: 30_000 },
    down: { bitsPerSecond: 1000 * MBIT, delayMicros: 20, queueBytes: 150_000, markBytes: 30_000 },
    access: { bitsPerSecond: 1000 * MBIT, delayMicros: 5 },
  },
  'long-fat': {
    name: 'long-fat',
    about: '100 Mbit/s, 200 ms, half a product of both as queue',
    maxClients: 2,
    up: { bitsPerSecond: 100 * MBIT, delayMicros: 100 * MILLI, queueBytes: 1_250_000 },
    down: { bitsPerSecond: 100 * MBIT, delayMicros: 100 * MILLI, queueBytes: 1_250_000 },
    access: { bitsPerSecond: 1000 * MBIT, delayMicros: 10 },
  },
};

export const PROFILE_NAMES: readonly ProfileName[] = Object.keys(PROFILES) as ProfileName[];

function radio(): ChannelOptions {
  return {
    bitsPerSecond: 20 * MBIT,
    delayMicros: 25 * MILLI,
    jitterMicros: 10 * MILLI,
    queueBytes: 300_000,
    loss: { rate: 0.001, badRate: 0.002, recoveryRate: 0.15, lossInBad: 0.5 },
    reorderRate: 0.01,
    reorderMicros: 5 * MILLI,
  };
}

/** Clients and servers, each side on a switch, one cable between the two. */
export interface Site {
  readonly clients: readonly SimHost[];
  readonly servers: readonly SimHost[];
  readonly bottleneck: Cable;
  /** The cable of each host, clients first. */
  readonly access: readonly Cable[];
}

/** Addresses of the n-th host of a site, and those it may move to. */
export function siteAddresses(index: number, generation = 0): readonly string[] {
  const low = index + 1;
  return [`10.9.${generation}.${low}/16`, `fd09::${generation.toString(16)}:${low.toString(16)}/64`];
}

/** Builds the network of a profile and boots its hosts. */
export function buildSite(
  world: World,
  profile: Profile,
  clientCount: number,
  serverCount: number,
  optionsOf: (index: number, isServer: boolean) => Omit<HostOptions, 'addresses'>,
): Site {
  const [near, far] = [world.addSwitch('near'), world.addSwitch('far')];
  const hosts: SimHost[] = [];
  const access: Cable[] = [];
  for (let i = 0; i < clientCount + serverCount; i++) {
    const isServer = i >= clientCount;
    const name = isServer ? `server${i - clientCount}` : `client${i}`;
    const host = world.addHost(name, { addresses: siteAddresses(i), ...optionsOf(i, isServer) });
    access.push(world.connect(host, isServer ? far : near, profile.access));
    hosts.push(host);
  }
  const bottleneck = world.connect(near, far, profile.up, profile.down, true);
  for (const host of hosts) host.boot();
  return { clients: hosts.slice(0, clientCount), servers: hosts.slice(clientCount), bottleneck, access };
}
