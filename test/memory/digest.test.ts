import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { DeviceMemory } from '../../src/memory/device-memory.ts';
import { hashRange, openHash } from '../../src/memory/digest.ts';

describe('digest', () => {
  it('is the same in pieces of any size', () => {
    const mapping = new Uint8Array(new SharedArrayBuffer(1000)).map((_, i) => i * 31);
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(1000), fc.integer({ min: 1, max: 1100 }), (a, b, pieceBytes) => {
        const offset = Math.min(a, b);
        const length = Math.abs(a - b);
        const hash = openHash('sha256');
        hashRange(hash, mapping, offset, length, pieceBytes);
        const expected = createHash('sha256').update(mapping.slice(offset, offset + length));
        assert.equal(hash.digest('hex'), expected.digest('hex'));
      }),
    );
  });

  it('takes bytes of the host in their place between references, with the accesses that the exporter wants', async () => {
    const memory = await DeviceMemory.allocate({ sizeBytes: 4096 });
    memory.dmaWrite(0, Uint8Array.of(1, 2, 3, 4));
    const digester = memory.digester('sha256');
    digester.update(2, 2);
    digester.updateBytes(Uint8Array.of(9, 8));
    digester.update(0, 1);
    assert.equal(
      digester.hex(),
      createHash('sha256')
        .update(Uint8Array.of(3, 4, 9, 8, 1))
        .digest('hex'),
    );
    memory.dispose();
  });

  it('refuses a name that is no algorithm', () => {
    for (const name of ['', 'sha', 'SHA-0']) {
      assert.throws(() => openHash(name), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
    }
  });
});
