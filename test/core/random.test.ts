import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { randomBelow, randomChance, SecureRandom, SeededRandom, type Random } from '../../src/core/random.ts';

/** sfc32 as its author published it (PractRand, sfc.cpp), in exact arithmetic. */
function* sfc32(seed: bigint): Generator<number> {
  const mask = 0xffff_ffffn;
  let a = 0x9e37_79b9n;
  let b = seed & mask;
  let c = (seed >> 32n) & mask;
  let counter = 1n;
  for (let i = 0; ; i++) {
    const sum = (a + b + counter) & mask;
    counter = (counter + 1n) & mask;
    a = b ^ (b >> 9n);
    b = (c + (c << 3n)) & mask;
    c = ((((c << 21n) | (c >> 11n)) & mask) + sum) & mask;
    if (i >= 15) yield Number(sum);
  }
}

/** Pearson's statistic of `samples` draws over 256 equal cells: about 255 ± 23 for a uniform source. */
function chiSquare(random: Random, samples: number, shift: number): number {
  const cells = new Float64Array(256);
  for (let i = 0; i < samples; i++) cells[(random.u32() >>> shift) & 0xff]!++;
  const expected = samples / 256;
  return cells.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

describe('SeededRandom', () => {
  test('is sfc32: every seed gives the sequence of the exact computation', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (seed) => {
        const random = new SeededRandom(seed);
        const exact = sfc32(BigInt(seed));
        for (let i = 0; i < 50; i++) assert.equal(random.u32(), exact.next().value);
      }),
    );
  });

  test('keeps the sequence that recorded seeds were run with', () => {
    const random = new SeededRandom(42);
    assert.deepEqual(
      Array.from({ length: 4 }, () => random.u32()),
      [3_882_964_438, 1_177_149_777, 1_632_668_721, 3_033_756_285],
    );
  });

  test('gives different sequences to seeds that differ in the high word only', () => {
    assert.notEqual(new SeededRandom(1).u32(), new SeededRandom(1 + 2 ** 32).u32());
  });

  for (const shift of [0, 8, 16, 24]) {
    test(`bits ${shift} to ${shift + 7} are uniform`, () => {
      const statistic = chiSquare(new SeededRandom(7), 100_000, shift);
      assert.ok(statistic > 150 && statistic < 380, `chi square ${statistic}`);
    });
  }
});

describe('SecureRandom', () => {
  test('goes on beyond its batch without repeating it', () => {
    const random = new SecureRandom();
    const drawn = Array.from({ length: 1024 }, () => random.u32());
    assert.ok(drawn.every((value) => Number.isInteger(value) && value >= 0 && value < 2 ** 32));
    // 1024 draws out of 2^32 collide about once in 8000 runs; three collisions do not happen.
    assert.ok(new Set(drawn).size > 1021);
  });
});

describe('randomBelow and randomChance', () => {
  test('stay in range', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: 1, max: 2 ** 31 }), (value, limit) => {
        const drawn = randomBelow({ u32: () => value }, limit);
        assert.ok(Number.isInteger(drawn) && drawn >= 0 && drawn < limit);
      }),
    );
    assert.equal(randomBelow({ u32: () => 0xffff_ffff }, 6), 5);
  });

  test('probability 0 is never, 1 always, and a half about half', () => {
    assert.ok(!randomChance({ u32: () => 0 }, 0));
    assert.ok(randomChance({ u32: () => 0xffff_ffff }, 1));
    const random = new SeededRandom(3);
    let hits = 0;
    for (let i = 0; i < 10_000; i++) if (randomChance(random, 0.5)) hits++;
    assert.ok(hits > 4_700 && hits < 5_300, String(hits));
  });

  test('probability 0 draws nothing, so that switching a fault off leaves the other faults as they were', () => {
    let draws = 0;
    randomChance({ u32: () => draws++ }, 0);
    assert.equal(draws, 0);
  });
});
