import { test } from 'node:test';
import { transfer, type TransferOptions } from '../../testing/tcp-transfer.ts';

const SEEDS = 200;
const PROFILES: readonly [string, TransferOptions][] = [
  ['all faults at once', { loss: 0.05, duplicate: 0.02, reorder: 0.05, jitterMicros: 500 }],
  ['no SACK', { loss: 0.03, reorder: 0.02, configs: [{ selectiveAck: false }, {}] }],
  ['no timestamps', { loss: 0.03, duplicate: 0.02, configs: [{}, { timestamps: false }] }],
  ['no window scaling, IPv6', { loss: 0.03, family: 6, configs: [{ windowScaling: false }, {}] }],
  ['whole bursts', { loss: 0.05, wholeBursts: true, duplicate: 0.02 }],
  ['RACK off, loss probes off', { loss: 0.05, reorder: 0.05, configs: [{ rack: false, tailLossProbe: false }, {}] }],
  ['paced, New Reno and BBR', { loss: 0.03, configs: [{ pacing: true, congestion: 'reno' }, { congestion: 'bbr' }] }],
  ['a path that reorders more than it loses', { loss: 0.01, reorder: 0.3, jitterMicros: 3000 }],
];

for (const [name, profile] of PROFILES) {
  test(`${SEEDS / PROFILES.length} seeds: ${name}`, () => {
    for (let i = 0; i < SEEDS / PROFILES.length; i++) {
      transfer({ ...profile, seed: 1000 + i, bytesUp: 60_000, bytesDown: 40_000 });
    }
  });
}

test('tiny memory and late pages: slowed, never dropped', () => {
  for (let seed = 1; seed <= 20; seed++) {
    transfer({ seed, pages: [16, 16], holdMicros: 300_000, bytesUp: 200_000, bytesDown: 100_000 });
  }
});

test('tiny memory, late pages and loss', () => {
  for (let seed = 1; seed <= 20; seed++) {
    transfer({
      seed,
      pages: [16, 16],
      holdMicros: 50_000,
      loss: 0.03,
      reorder: 0.05,
      bytesUp: 100_000,
      bytesDown: 50_000,
    });
  }
});

test('small writes without Nagle', () => {
  for (let seed = 1; seed <= 10; seed++) {
    transfer({ seed, noDelay: true, writeBytes: 37, loss: 0.02, bytesUp: 5000, bytesDown: 3000 });
  }
});
