import assert from 'node:assert/strict';
import { it } from 'node:test';
import { FuzzDriver } from '../fuzz/driver.ts';
import { mutate } from '../fuzz/mutate.ts';
import type { FuzzTarget } from '../fuzz/target.ts';
import { SeededRandom } from '../src/core/random.ts';
import { parsePlanted } from '../testing/planted.ts';

const MAX_EXECUTIONS = 400_000;
const target: FuzzTarget = {
  name: 'planted',
  maxBytes: 32,
  run: (bytes) => {
    parsePlanted(bytes);
  },
};

it('coverage leads the fuzzer to a fault that chance does not find', () => {
  const driver = new FuzzDriver({
    target,
    corpus: [new Uint8Array(16)],
    random: new SeededRandom(3),
    isWatched: (url) => url.includes('/testing/planted.'),
  });
  let finding = driver.replayCorpus();
  while (finding === null && driver.progress.executions < MAX_EXECUTIONS) finding = driver.step();
  driver.close();
  assert.match(String(finding?.error), /the planted fault/);
  assert.throws(() => target.run(finding!.bytes), /the planted fault/, 'the saved input must show the fault again');

  const random = new SeededRandom(3);
  for (let i = 0; i < driver.progress.executions; i++) target.run(mutate(random, [new Uint8Array(16)], 32));
});

it('mutants depend on the seed only, keep to their limit, and leave the corpus alone', () => {
  const corpus = [Uint8Array.from({ length: 40 }, (_, i) => i), new Uint8Array(0), new Uint8Array(3)];
  const before = corpus.map((bytes) => [...bytes]);
  const first = new SeededRandom(9);
  const second = new SeededRandom(9);
  for (let i = 0; i < 2000; i++) {
    const bytes = mutate(first, corpus, 48);
    assert.ok(bytes.length <= 48);
    assert.deepEqual(mutate(second, corpus, 48), bytes);
  }
  assert.deepEqual(
    corpus.map((bytes) => [...bytes]),
    before,
  );
});
