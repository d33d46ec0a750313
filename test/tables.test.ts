import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../testing/project.ts';
import { socketOptions } from '../tools/option-table.ts';
import { citations, RFCS } from '../tools/rfc-table.ts';
import { isSocketOption } from '../src/stack/tcp/options.ts';

const sources = citations('src');
const tests = citations('test');

test('the table lists every RFC that the sources cite, each once, in order', () => {
  const listed = RFCS.map((rfc) => rfc.number);
  assert.deepEqual(
    listed,
    [...new Set(listed)].toSorted((a, b) => a - b),
  );
  const missing = [...sources].filter(([number]) => !listed.includes(number));
  assert.deepEqual(missing, []);
});

test('what the table calls implemented is cited in the sources and in tests', () => {
  for (const { number, status, note, tests: named = [] } of RFCS) {
    if (status !== 'whole') assert.ok(note !== undefined, `RFC ${number} says ${status} and not why`);
    if (status === 'not') continue;
    assert.ok(sources.has(number), `RFC ${number} is cited in no source`);
    assert.ok(named.length > 0 || tests.has(number), `RFC ${number} has no test`);
    for (const name of named) assert.ok(existsSync(join(projectRoot, `test/${name}.test.ts`)), `${name} is no test`);
  }
});

test('the table of socket options says something of each, and there is each', () => {
  const listed = socketOptions();
  assert.ok(listed.length > 30);
  for (const { name, text } of listed) {
    assert.ok(isSocketOption(name), name);
    assert.ok(text.length > 0, `${name} has no description`);
  }
});
