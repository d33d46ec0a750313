import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { StreamDigest } from '../../src/cli/stream-digest.ts';
import { DeviceMemory } from '../../src/memory/device-memory.ts';

test('a stream is hashed in its order by the memory itself, which may have to prepare each access', async () => {
  await using memory = await DeviceMemory.allocate({ sizeBytes: 4096 });
  memory.dmaWrite(0, Uint8Array.of(1, 2, 3, 4));
  const accesses: [number, number][] = [];
  const digester = memory.digester.bind(memory);
  memory.digester = (algorithm) => {
    const inner = digester(algorithm);
    return {
      update: (offset, length) => {
        accesses.push([offset, length]);
        inner.update(offset, length);
      },
      updateBytes: (bytes) => inner.updateBytes(bytes),
      hex: () => inner.hex(),
    };
  };
  const digest = new StreamDigest(memory, 'sha256');
  digest.updateBytes(Uint8Array.of(7));
  digest.updateMemory(1, 2);
  digest.updateBytes(Uint8Array.of(8));
  digest.updateMemory(0, 1);
  assert.deepEqual(accesses, [
    [1, 2],
    [0, 1],
  ]);
  assert.equal(
    digest.hex(),
    createHash('sha256')
      .update(Uint8Array.of(7, 2, 3, 8, 1))
      .digest('hex'),
  );
});
