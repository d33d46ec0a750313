import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CONGESTION_NAMES } from '../../src/stack/tcp/congestion/make.ts';
import { PROFILE_NAMES } from '../../testing/sim/profiles.ts';
import { runSeed } from '../../testing/sim/run-seed.ts';
import { isDestructive, makeScenario } from '../../testing/sim/scenario.ts';

/** Of random networks; those of each kind of network and each controller come on top. */
const SEEDS = 160;
const SEEDS_EACH = 6;
/** The longer runs are `npm run sim -- --seeds N`. */
const FIRST_SEED = 1;

describe('random scenarios', () => {
  it(`${SEEDS} seeds: networks, options, memory, applications and troubles of all kinds`, () => {
    const hashes = new Set<string>();
    let conversations = 0;
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      const report = runSeed(seed, {}, null);
      assert.equal(report.failure, null, `seed ${seed}: npm run sim -- --seed ${seed}`);
      hashes.add(report.hash);
      conversations += report.conversations;
    }
    assert.equal(hashes.size, SEEDS, 'each seed is a run of its own');
    assert.ok(conversations > 2 * SEEDS, `only ${conversations} conversations`);
  });

  for (const profile of PROFILE_NAMES) {
    it(`${profile}: ${SEEDS_EACH} seeds, all controllers`, () => {
      for (let i = 0; i < SEEDS_EACH; i++) {
        const controller = CONGESTION_NAMES[i % CONGESTION_NAMES.length]!;
        const seed = 10_000 + i;
        const { failure } = runSeed(seed, { profile, controller }, null);
        const command = `npm run sim -- --seed ${seed} --profile ${profile} --controller ${controller}`;
        assert.equal(failure, null, command);
      }
    });
  }

  it('are the same, frame by frame, for the same seed', () => {
    for (let seed = 500; seed < 510; seed++) {
      const [one, other] = [runSeed(seed, {}, null), runSeed(seed, {}, null)];
      assert.deepEqual(one, other);
      assert.match(one.hash, /^[0-9a-f]{16}$/);
    }
  });

  it('bring about every kind of trouble, and every ending', () => {
    const seen = new Set<string>();
    let destructive = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const scenario = makeScenario(seed);
      for (const { kind } of scenario.troubles) seen.add(kind);
      for (const { ending } of scenario.flows) seen.add(ending);
      seen.add(scenario.profile.name);
      if (isDestructive(scenario)) destructive++;
    }
    const expected = [
      'flap',
      'crash',
      'renumber',
      'clock-jump',
      'freeze',
      'reroute',
      'both',
      'client',
      'server',
      'abort',
    ];
    assert.deepEqual([...seen].toSorted(), [...expected, ...PROFILE_NAMES].toSorted());
    assert.ok(destructive > SEEDS / 5 && destructive < (SEEDS * 4) / 5, `${destructive} may break connections`);
  });
});
