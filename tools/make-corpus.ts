/**
 * Writes the seed inputs of testing/seeds.ts to `fuzz/corpus/`: `npm run corpus`. What fuzzing has found besides
 * (`npm run fuzz -- --grow`) stays as it is.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { corpusFolder, targetNames } from '../fuzz/corpus.ts';
import { seeds } from '../testing/seeds.ts';

for (const target of targetNames()) {
  const folder = corpusFolder(target);
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(seeds[target] ?? {})) writeFileSync(join(folder, `${name}.bin`), bytes);
}
