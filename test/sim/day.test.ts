import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { randomBelow, randomChance, SeededRandom } from '../../src/core/random.ts';
import { KiB } from '../../src/core/units.ts';
import type { Exchange } from '../../testing/sim/flow.ts';
import type { SimHost } from '../../testing/sim/host.ts';
import { checkPages, checkQuiet, LayerInvariants } from '../../testing/sim/invariants.ts';
import { buildSite, PROFILES, siteAddresses, type Site } from '../../testing/sim/profiles.ts';
import { Workload } from '../../testing/sim/workload.ts';
import { World } from '../../testing/sim/world.ts';

const SECOND = 1_000_000;
const MINUTE: number = 60 * SECOND;
const HOUR: number = 60 * MINUTE;
const DAY: number = 24 * HOUR;
const CLIENTS = 4;
const SERVERS = 2;
/** A conversation begins this often, and something happens to the world this often. */
const LOAD_MICROS: number = 90 * SECOND;
const TROUBLE_MICROS: number = 25 * MINUTE;
/** Between two messages of the connections that live all day. */
const TRICKLE_MICROS: number = 60 * SECOND;
const MAX_CONNECTIONS = 200;
const MAX_HEAP_GROWTH_BYTES: number = 2 << 20;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** A day on a network: long connections that say little, short ones, long idle ones, and something breaking now and then. */
class Day {
  readonly world = new World({ seed: 24 });
  readonly site: Site;
  readonly workload: Workload;
  readonly #random = new SeededRandom(2400);
  readonly #heap: number[] = [];
  readonly #invariants = new Map<SimHost, { boots: number; layer: LayerInvariants }>();
  #ids = 0;
  #renumberings = 0;
  troubles = 0;

  constructor() {
    const profile = { ...PROFILES.radio };
    this.site = buildSite(this.world, profile, CLIENTS, SERVERS, (index) => ({
      hostPoolBytes: 512 * KiB,
      devicePages: [0, 64, 256][index % 3]!,
      tcp: {
        congestion: (['cubic', 'reno', 'bbr', 'bbr3'] as const)[index % 4]!,
        receiveBufferBytes: 32 * KiB,
        sendBufferBytes: 64 * KiB,
        retries: 8,
        keepaliveIntervalMicros: 10 * SECOND,
        keepaliveProbes: 5,
      },
    }));
    this.workload = new Workload(this.world, [], { mayFail: true, keepResults: false, stallMicros: HOUR });
    for (const host of this.site.servers) this.workload.serve(host);
    for (let i = 0; i < CLIENTS; i++) this.#trickle(i);
    this.#load();
    this.#trouble();
  }

  run(): void {
    for (let hour = 1; hour <= 24; hour++) {
      this.world.runFor(HOUR);
      assert.equal(this.workload.stall, null);
      this.#look();
      this.#heap.push(heapBytes());
    }
    this.workload.stop();
    this.workload.close();
    this.world.runFor(HOUR);
    for (const { nic, stack, pool } of this.world.hosts) checkQuiet(nic, stack.tcp, [pool, nic.hostPool]);
    assert.equal(this.world.frames.inUse, 0);
    assert.equal(this.world.events.size, 0);
  }

  /** Bytes that the process has more at the end than at noon, when every buffer has its size and all code is compiled. */
  get heapGrowthBytes(): number {
    return this.#heap[23]! - this.#heap[11]!;
  }

  /** Once an hour: nothing grows. */
  #look(): void {
    const { world, workload } = this;
    assert.ok(world.events.size < 1000, `${world.events.size} events are filed`);
    for (const host of world.hosts) {
      if (!host.isRunning) continue;
      const { nic, stack, pool, boots } = host;
      const { tcp } = stack;
      assert.ok(tcp.connectionCount < MAX_CONNECTIONS, `${host.name}: ${tcp.connectionCount} connections`);
      assert.ok(tcp.timers.size <= tcp.connectionCount, `${host.name}: ${tcp.timers.size} timers`);
      assert.equal(nic.counters.rxDropNoPage, 0);
      let known = this.#invariants.get(host);
      if (known?.boots !== boots) known = { boots, layer: new LayerInvariants(tcp, [pool]) };
      this.#invariants.set(host, known);
      known.layer.check(host.nowMicros(), true);
      checkPages(nic, pool, tcp, host.heldReferences + workload.unreadReferences(host, pool));
    }
  }

  /** A connection that lives as long as both hosts do: a few bytes a minute. */
  #trickle(client: number): void {
    const exchanges = Array.from({ length: DAY / TRICKLE_MICROS }, () => ({
      upBytes: 50,
      downBytes: 200,
      pauseMicros: TRICKLE_MICROS,
    }));
    this.#add(client, exchanges, this.world.nowMicros + client * SECOND, 0);
  }

  #load(): void {
    const client = randomBelow(this.#random, CLIENTS);
    const bytes = 100 + randomBelow(this.#random, 60_000);
    const isUpload = randomChance(this.#random, 0.5);
    const exchange = isUpload ? { upBytes: bytes, downBytes: 10 } : { upBytes: 10, downBytes: bytes };
    const again = randomChance(this.#random, 0.3) ? [{ ...exchange, pauseMicros: 10 * MINUTE }] : [];
    if (this.site.clients[client]!.isRunning) {
      this.#add(client, [exchange, ...again], this.world.nowMicros, randomBelow(this.#random, 500_000));
    }
    if (this.world.nowMicros < DAY) this.world.after(LOAD_MICROS, () => this.#load());
  }

  #add(client: number, exchanges: readonly Exchange[], startMicros: number, holdMicros: number): void {
    this.workload.add({
      id: ++this.#ids,
      client: this.site.clients[client]!,
      server: this.site.servers[this.#ids % SERVERS]!,
      family: this.#ids % 3 === 0 ? 6 : 4,
      startMicros,
      exchanges,
      keepaliveMicros: 5 * MINUTE,
      ending: (['both', 'client', 'server'] as const)[this.#ids % 3]!,
      clientReader: { holdMicros },
      serverReader: { holdMicros },
    });
  }

  #trouble(): void {
    const { world } = this;
    const host = world.hosts[randomBelow(this.#random, world.hosts.length)]!;
    const lasts = 1 + randomBelow(this.#random, 3 * MINUTE);
    const kind = randomBelow(this.#random, 5);
    this.troubles++;
    if (kind === 0) {
      this.site.bottleneck.plug(false);
      world.after(lasts, () => this.site.bottleneck.plug(true));
    } else if (kind === 1) {
      host.crash();
      this.workload.vanish(host);
      world.after(lasts, () => host.boot());
    } else if (kind === 2) {
      host.renumber(siteAddresses(host.index, 1 + (this.#renumberings++ % 250)));
    } else if (kind === 3) {
      host.freeze(world.nowMicros + lasts);
    } else {
      host.jumpClock(lasts);
    }
    if (world.nowMicros < DAY - HOUR) world.after(TROUBLE_MICROS, () => this.#trouble());
  }
}

test('24 hours of a mixed load with faults leak nothing', (t) => {
  const day = new Day();
  day.run();
  const { workload, world, troubles, heapGrowthBytes } = day;
  t.diagnostic(
    `${workload.finished} conversations, ${workload.retries} begun again, ${world.hash.frames} frames, ${troubles} troubles, ` +
      `${heapGrowthBytes} bytes of heap more at night than at noon`,
  );
  assert.ok(workload.finished > 700, `${workload.finished} conversations`);
  assert.ok(troubles > 50);
  assert.ok(heapGrowthBytes < MAX_HEAP_GROWTH_BYTES, `the process has grown by ${heapGrowthBytes} bytes`);
});
