import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_TCP_CONFIG } from '../../src/stack/tcp/config.ts';
import { PathSearch } from '../../src/stack/tcp/path-search.ts';
import { WireScript } from '../../testing/wire-script.ts';

const CONFIG = { ...DEFAULT_TCP_CONFIG };
const HEADERS = 40;

/** The peer acknowledges all that fits the path, by SACK where something is missing; round trips until `rounds` are over. */
function transfer(wire: WireScript, pathPayload: number, rounds: number): Set<number> {
  const sizes = new Set<number>();
  const { connection } = wire;
  let next = 1;
  const ahead = new Map<number, number>();
  for (let i = 0; i < rounds; i++) {
    const space = connection!.sendSpaceBytes;
    if (space > 0) wire.send(Math.min(space, 200_000));
    const flight = wire.sent.splice(0);
    for (const { seq, payload } of flight) {
      if (payload === 0) continue;
      sizes.add(payload);
      if (payload <= pathPayload) ahead.set(seq, Math.max(ahead.get(seq) ?? 0, payload));
    }
    for (let more = true; more;) {
      more = false;
      for (const [seq, payload] of [...ahead]) {
        if (seq > next) continue;
        ahead.delete(seq);
        if (seq + payload > next) next = seq + payload;
        more = true;
      }
    }
    const islands = [...ahead].toSorted(([a], [b]) => a - b);
    const sack =
      islands.length === 0 ? [] : [[islands[0]![0], islands.at(-1)![0] + islands.at(-1)![1]] as [number, number]];
    wire.after(10);
    wire.recv({ seq: 1, ack: next, window: 65_535, ...(sack.length > 0 ? { sack } : {}) });
  }
  return sizes;
}

function begin(mtuProbing: 1 | 2, mtuBytes = 9000): WireScript {
  const wire = new WireScript({ mtuBytes, config: { mtuProbing } });
  return wire.established({ mss: 8960, sackPermitted: true, windowScale: 5, window: 65_535 });
}

test('RFC 8899 §5.3: binary search between what arrives and what does not', () => {
  const search = new PathSearch(1064, 9000, HEADERS, 0);
  const path = 4321;
  let probes = 0;
  for (;;) {
    const payload = search.next(1e9, 1e9, 100, CONFIG, 1000);
    if (payload === 0) break;
    probes++;
    search.sent(payload, 0, payload);
    assert.equal(search.next(1e9, 1e9, 100, CONFIG, 1000), 0, 'one at a time');
    if (payload + HEADERS <= path) search.arrived(1000);
    else search.lost(1000);
  }
  assert.ok(path - search.lowBytes < CONFIG.probeThresholdBytes && search.lowBytes <= path, `${search.lowBytes}`);
  assert.ok(probes <= 13, `${probes} probes`);
});

test('RFC 8899 §5.1.1: after ten minutes it tries again', () => {
  const search = new PathSearch(1500, 1500, HEADERS, 0);
  search.limit(1500);
  assert.equal(search.next(1e9, 1e9, 100, CONFIG, 1e6), 0);
  const narrow = new PathSearch(1064, 1070, HEADERS, 0);
  assert.equal(narrow.next(1e9, 1e9, 100, CONFIG, 1e6), 0);
  const late = new PathSearch(1400, 9000, HEADERS, 0);
  late.sent(5160, 0, 5160);
  while (late.highBytes - late.lowBytes >= CONFIG.probeThresholdBytes) {
    late.sent(late.next(1e9, 1e9, 100, CONFIG, 2000) || 5160, 0, 1);
    late.lost(2000);
  }
  assert.equal(late.next(1e9, 1e9, 100, CONFIG, 500e6), 0);
  late.next(1e9, 1e9, 100, CONFIG, 700e6);
  assert.ok(late.next(1e9, 1e9, 100, CONFIG, 700e6) > 4000, 'the search begins again');
});

test('RFC 4821 §7.2: no probe with little to send or a small window', () => {
  const search = new PathSearch(1064, 9000, HEADERS, 0);
  assert.equal(search.next(5000, 1e9, 100, CONFIG, 0), 0);
  assert.equal(search.next(1e9, 5000, 100, CONFIG, 0), 0);
  assert.equal(search.next(1e9, 1e9, 10, CONFIG, 0), 0);
  assert.ok(search.next(1e9, 1e9, 11, CONFIG, 0) > 0);
});

test('with mtuProbing 2 segments begin small and grow to what the path takes', () => {
  const wire = begin(2);
  assert.equal(wire.connection!.info(0).tcpi_snd_mss, CONFIG.baseMssBytes);
  transfer(wire, 8960, 80);
  assert.ok(wire.connection!.info(0).tcpi_snd_mss > 8900, `${wire.connection!.info(0).tcpi_snd_mss}`);
  assert.ok(wire.layer.counters.pathProbesArrived >= 5);
});

test('RFC 8899 §4.4: a lost probe is not blamed on congestion, and its bytes arrive in smaller segments', () => {
  const wire = begin(2);
  const { sender } = wire.connection!;
  transfer(wire, 3000, 120);
  const info = wire.connection!.info(0);
  assert.ok(info.tcpi_snd_mss <= 3000 && info.tcpi_snd_mss > 2900, `${info.tcpi_snd_mss}`);
  assert.ok(wire.layer.counters.pathProbes > wire.layer.counters.pathProbesArrived);
  assert.equal(wire.layer.counters.fastRecoveries, 0);
  assert.equal(wire.layer.counters.timeouts, 0);
  assert.equal(
    sender.congestion.ssthreshBytes > 1e6 || sender.congestion.ssthreshBytes > sender.congestion.cwndBytes,
    true,
  );
});

test('RFC 8899 §4.3: a black hole is found after timeouts, with mtuProbing 1', () => {
  const wire = begin(1);
  assert.equal(wire.connection!.info(0).tcpi_snd_mss, 8960);
  wire.send(50_000).skip();
  wire.after(1500);
  assert.equal(wire.layer.counters.pathBlackHoles, 1);
  assert.ok(wire.sent.at(-1)!.payload <= CONFIG.baseMssBytes, `${wire.sent.at(-1)!.payload}`);
  const sizes = transfer(wire, 1400, 60);
  assert.ok(
    wire.connection!.info(0).tcpi_snd_mss > 1300,
    `${wire.connection!.info(0).tcpi_snd_mss} of ${[...sizes].join()}`,
  );
});

test('with mtuProbing 0 it is left alone', () => {
  const wire = new WireScript({ mtuBytes: 9000, config: { mtuProbing: 0 } }).established({ mss: 8960 });
  wire.send(50_000).after(20_000);
  assert.equal(wire.connection!.info(0).tcpi_snd_mss, 8960);
  assert.equal(wire.connection!.pathSearch, null);
});
