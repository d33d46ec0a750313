import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CongestionName } from '../../src/stack/tcp/congestion/controller.ts';
import { Bbr } from '../../src/stack/tcp/congestion/bbr.ts';
import type { TcpConnection } from '../../src/stack/tcp/connection.ts';
import type { ChannelOptions } from '../../testing/sim/channel.ts';
import { buildSite, type Site } from '../../testing/sim/profiles.ts';
import { Workload } from '../../testing/sim/workload.ts';
import { World } from '../../testing/sim/world.ts';

const SECOND = 1_000_000;
const MiB: number = 1 << 20;
const SEGMENT_BYTES = 1448;
const SAMPLE_MICROS = 10_000;

interface Figures {
  megabits: number;
  /** Of all flows, on average over time. */
  windowSegments: number;
  site: Site;
  senders: TcpConnection[];
}

/** Downloads without end, from one host to another. */
function download(congestion: CongestionName, path: ChannelOptions, flows: number, seconds: number): Figures {
  const world = new World({ seed: 7 });
  const profile = {
    name: 'wan',
    about: 'one path',
    maxClients: 1,
    up: path,
    down: path,
    access: { bitsPerSecond: 100e9, delayMicros: 1 },
  } as const;
  const tcp = { congestion, receiveBufferBytes: 6 * MiB, sendBufferBytes: 6 * MiB };
  const site = buildSite(world, profile, 1, 1, () => ({ hostPoolBytes: 64 * MiB, tcp }));
  const [client, server] = [site.clients[0]!, site.servers[0]!];
  const exchanges = [{ upBytes: 100, downBytes: 2 ** 31 }];
  const plans = Array.from({ length: flows }, (_, id) => {
    return { id, client, server, family: 4, startMicros: id * 1000, exchanges, ending: 'both' } as const;
  });
  const workload = new Workload(world, plans);
  let received = 0;
  workload.onProgress = (_, bytes) => (received += bytes);
  let windows = 0;
  let samples = 0;
  for (let at = 0; at < seconds * SECOND; at += SAMPLE_MICROS) {
    world.runFor(SAMPLE_MICROS);
    for (const { sender } of server.stack.tcp.connections) {
      windows += sender.congestion.cwndBytes / SEGMENT_BYTES;
      samples++;
    }
  }
  return {
    megabits: (received * 8) / seconds / 1e6,
    windowSegments: windows / samples,
    site,
    senders: [...server.stack.tcp.connections],
  };
}

/** 100 Mbit/s, 50 ms, a product of both as queue, one frame in a hundred lost each way. */
const LOSSY: ChannelOptions = {
  bitsPerSecond: 100e6,
  delayMicros: 25_000,
  queueBytes: 625_000,
  loss: { rate: 0.01, badRate: 0, recoveryRate: 1, lossInBad: 0 },
};

test('one loss in a hundred: the windows that theory gives', () => {
  // Mathis, Semke, Mahdavi, Ott 1997: sqrt(3 / 2p) segments where every segment counts, however acknowledgments are delayed.
  const theory = Math.sqrt(1.5 / 0.01);
  const reno = download('reno', LOSSY, 8, 12);
  assert.ok(reno.windowSegments > 0.9 * theory && reno.windowSegments < 1.25 * theory, `${reno.windowSegments}`);
  // What the window lets through gets through: 50 ms a window.
  const possible = (reno.windowSegments * SEGMENT_BYTES * 8 * 8) / 0.05 / 1e6;
  assert.ok(reno.megabits > 0.85 * possible, `${reno.megabits} of ${possible}`);
  // RFC 9438 §4.3: in Reno's region at least as much.
  const cubic = download('cubic', LOSSY, 8, 12);
  assert.ok(cubic.megabits > reno.megabits, `${cubic.megabits} and ${reno.megabits}`);
});

test('one loss in a hundred: versions of BBR fill the path all the same', () => {
  for (const controller of ['bbr', 'bbr3'] as const) {
    const { megabits } = download(controller, LOSSY, 8, 6);
    assert.ok(megabits > 85, `${controller}: ${megabits}`);
  }
});

test('BBR leaves startup on a path that overflows, though its send buffers fill behind the holes', () => {
  const path = { bitsPerSecond: 100e6, delayMicros: 100_000, queueBytes: 1_250_000 };
  const { senders } = download('bbr', path, 4, 5);
  for (const { sender } of senders) {
    assert.ok(sender.congestion instanceof Bbr);
    assert.notEqual(sender.congestion.mode, 'startup');
  }
});

test('on a short path BBR fills the link without a standing queue of bursts', () => {
  const path = { bitsPerSecond: 1e9, delayMicros: 25, queueBytes: 1_000_000 };
  for (const controller of ['bbr', 'bbr3'] as const) {
    const { megabits, site } = download(controller, path, 1, 0.2);
    assert.ok(megabits > 850, `${controller}: ${megabits}`);
    const wait = site.bottleneck.backward.waits!.mean;
    assert.ok(wait < 800, `${controller}: ${wait} µs`);
  }
});
