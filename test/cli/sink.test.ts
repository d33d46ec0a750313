import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import * as fc from 'fast-check';
import { dropFront, openSink } from '../../src/cli/sink.ts';

const folder = mkdtempSync(join(tmpdir(), 'devmem-tcp-sink-'));
after(() => rmSync(folder, { recursive: true }));

test('writes parts in order, out of shared memory, to a file that only its owner reads', async () => {
  const path = join(folder, 'out');
  const memory = new Uint8Array(new SharedArrayBuffer(8192)).map((_, i) => i * 31);
  const sink = await openSink(path);
  await sink.write([memory.subarray(4096, 8192), memory.subarray(0, 0), memory.subarray(0, 100)]);
  await sink.write([memory.subarray(1, 2)]);
  await sink.write([]);
  await sink.close();
  const expected = Buffer.concat([memory.subarray(4096, 8192), memory.subarray(0, 100), memory.subarray(1, 2)]);
  assert.deepEqual(readFileSync(path), expected);
  assert.equal(sink.writtenBytes, 4197);
  assert.equal(statSync(path).mode & 0o077, 0);
});

test('more parts than one writev takes', async () => {
  const path = join(folder, 'many');
  const sink = await openSink(path);
  const parts = Array.from({ length: 3000 }, (_, i) => Uint8Array.of(i & 255));
  await sink.write(parts);
  await sink.close();
  assert.deepEqual(readFileSync(path), Buffer.concat(parts));
});

test('a full disk says so, with the name of the output', { skip: process.platform !== 'linux' }, async () => {
  const sink = await openSink('/dev/full');
  await assert.rejects(sink.write([new Uint8Array(4096)]), { code: 'ENOSPC', path: '/dev/full' });
  assert.equal(sink.writtenBytes, 0);
  await sink.close();
});

test('what is left after a short write is exactly the rest', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 9 }), { maxLength: 6 }), fc.nat(60), (parts, count) => {
      const whole = Buffer.concat(parts);
      const taken = Math.min(count, whole.length);
      assert.deepEqual(Buffer.concat(dropFront(parts, taken)), whole.subarray(taken));
    }),
  );
});
