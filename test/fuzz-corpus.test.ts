/**
 * Every input of the corpus, and a few thousand mutants of it, through every fuzz target: what fuzzing has once found
 * stays found. The long runs are `npm run fuzz`.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadCorpus, loadTarget, targetNames } from '../fuzz/corpus.ts';
import { mutate } from '../fuzz/mutate.ts';
import { DEFAULT_MAX_BYTES, type FuzzTarget } from '../fuzz/target.ts';
import { hex } from '../src/core/bytes.ts';
import { SeededRandom } from '../src/core/random.ts';
import { frameSeed, seeds } from '../testing/seeds.ts';
import { describeFrame } from '../src/wire/describe.ts';

const MUTANTS = 2000;
const SEED = 20_260_101;

/** Runs one input; a failure names the bytes, so that it can be tried again. */
function runNamed(target: FuzzTarget, bytes: Uint8Array, origin: string): void {
  try {
    target.run(Uint8Array.from(bytes));
  } catch (error) {
    throw new Error(`${target.name}, ${origin}: ${hex(bytes)}`, { cause: error });
  }
}

describe('fuzz targets', () => {
  for (const name of targetNames()) {
    it(`${name} survives its corpus and mutants of it`, async () => {
      const target = await loadTarget(name);
      assert.equal(target.name, name);
      const corpus = loadCorpus(name);
      assert.notEqual(corpus.length, 0, `fuzz/corpus/${name} is empty: npm run corpus`);
      for (const file of corpus) runNamed(target, file.bytes, file.name);
      const random = new SeededRandom(SEED);
      const inputs = corpus.map(({ bytes }) => bytes);
      for (let i = 0; i < (target.testMutants ?? MUTANTS); i++) {
        const bytes = mutate(random, inputs, target.maxBytes ?? DEFAULT_MAX_BYTES);
        runNamed(target, bytes, `mutant ${i} of seed ${SEED}`);
      }
    });
  }

  it('have the seeds that testing/seeds.ts describes', () => {
    for (const name of targetNames()) {
      const corpus = new Map(loadCorpus(name).map((file) => [file.name, file.bytes]));
      for (const [seed, bytes] of Object.entries(seeds[name] ?? {})) {
        assert.deepEqual(corpus.get(`${seed}.bin`), bytes, `fuzz/corpus/${name}/${seed}.bin: npm run corpus`);
      }
    }
  });

  it('begin with frames that are what they are called', () => {
    const expected: readonly [name: string, pattern: RegExp][] = [
      ['tcp4-syn', /10\.0\.0\.1 > 10\.0\.0\.2 .* S .*mss 1460/],
      ['tcp6-chain', /hbh.*routing.*tcp/],
      ['arp-request', /who-has 10\.0\.0\.2/],
      ['neighbor-solicitation', /target fd00::2/],
      ['tcp4-ip-options', /tcp/],
    ];
    for (const [name, pattern] of expected) assert.match(describeFrame(frameSeed(name)), pattern);
  });
});
