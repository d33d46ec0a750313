/** The scripts beside this file: RFC conformance in packetdrill's language. `npm run packetdrill -- test/rfc/*.pkt`. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { runScript, scriptModes } from '../../testing/packetdrill/run-script.ts';
import { IP_MODES } from '../../testing/packetdrill/settings.ts';
import { projectRoot } from '../../testing/project.ts';

const FOLDER = join('test', 'rfc');
const names = readdirSync(join(projectRoot, FOLDER)).filter((name) => name.endsWith('.pkt'));

void test('there are scripts', () => {
  assert.notEqual(names.length, 0);
});

for (const name of names) {
  const text = readFileSync(join(projectRoot, FOLDER, name), 'utf8');
  for (const mode of scriptModes(text, IP_MODES)) {
    void test(`${name}, ${mode}`, () => {
      const { passed, message, trace } = runScript(text, join(FOLDER, name), { mode });
      assert.ok(passed, `${message}\n${trace.slice(-20).join('\n')}`);
    });
  }
}
