import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { CONGESTION_NAMES } from '../../src/stack/tcp/congestion/make.ts';
import { projectRoot } from '../../testing/project.ts';
import { measure } from '../../testing/sim/measure.ts';
import { PROFILE_NAMES } from '../../testing/sim/profiles.ts';
import { renderTables, replaceTables } from '../../testing/sim/table.ts';

test('docs/simulation.md says what the simulation says now', () => {
  const rows = PROFILE_NAMES.flatMap((profile) => CONGESTION_NAMES.map((controller) => measure(profile, controller)));
  const page = readFileSync(join(projectRoot, 'docs', 'simulation.md'), 'utf8');
  const hint = 'if the change is meant: npm run sim -- --table --write';
  assert.equal(page, replaceTables(page, renderTables(rows)), hint);
});
