/** What an idle connection may cost, its tables included: measured in processes that do nothing else. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** "100,000 idle connections cost less than 2 KiB each." */
const MOST_BYTES = 2048;
const FEW = 16_000;
const MANY: number = 2 * FEW;
const METER: string = fileURLToPath(new URL('../../bench/peers/scale-memory.js', import.meta.url));

/** Bytes of `count` accepted connections, with the sockets of an application on them. */
async function bytesOf(count: number): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--expose-gc',
    METER,
    'socket',
    'accept',
    String(count),
  ]);
  const { heap, buffers } = JSON.parse(stdout) as { heap: number; buffers: number };
  return (heap + buffers) * count;
}

test('an accepted connection that is idle takes less than 2 KiB', { timeout: 120_000 }, async () => {
  const [few, many] = await Promise.all([bytesOf(FEW), bytesOf(MANY)]);
  // What a process compiles and allocates once is in both, and tables that double have doubled.
  const bytes = (many - few) / (MANY - FEW);
  assert.ok(bytes < MOST_BYTES, `${bytes} bytes`);
  assert.ok(bytes > MOST_BYTES / 4, `${bytes} bytes: what is measured is not there`);
});
