import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, fstatSync, readSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import * as fc from 'fast-check';
import { DevmemError, type DevmemCode } from '../../src/core/errors.ts';
import type { ErrnoName } from '../../src/core/errno.ts';
import { DeviceMemory } from '../../src/memory/device-memory.ts';
import { EXPORTER_NAMES, type ExporterName } from '../../src/memory/exporters/exporter.ts';
import { requireMachine, type InteropNeeds } from '../../testing/requirements.ts';

const SIZE = 16 * 4096;

const NEEDS: Record<ExporterName, InteropNeeds | null> = { shared: null, memfd: {}, udmabuf: { udmabuf: true } };

function runsHere(t: TestContext, exporter: ExporterName): boolean {
  const needs = NEEDS[exporter];
  return needs === null || requireMachine(t, needs);
}

function withCode(code: DevmemCode | ErrnoName, hint?: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof DevmemError, String(error));
    assert.equal(error.code, code);
    if (hint !== undefined) assert.match(error.hint ?? '', hint);
    return true;
  };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

for (const exporter of EXPORTER_NAMES) {
  describe(`DeviceMemory from ${exporter}`, () => {
    it('is zeroed, written by dmaWrite, digested in place', async (t) => {
      if (!runsHere(t, exporter)) return;
      await using memory = await DeviceMemory.allocate({ sizeBytes: SIZE, exporter });
      assert.equal(memory.exporter, exporter);
      assert.equal(memory.mapping.length, SIZE);
      assert.equal(memory.digest('sha256'), sha256(new Uint8Array(SIZE)));
      const source = Uint8Array.from({ length: 5000 }, (_, i) => i * 7);
      memory.dmaWrite(4000, source);
      memory.dmaWrite(0, source, 10, 3);
      assert.equal(memory.digest('sha256', 4000, 5000), sha256(source));
      assert.equal(memory.digest('sha256', 0, 3), sha256(source.subarray(10, 13)));
      assert.equal(memory.mapping[3], 0);
    });

    it('digests a stream by its references, in the order named', async (t) => {
      if (!runsHere(t, exporter)) return;
      await using memory = await DeviceMemory.allocate({ sizeBytes: SIZE, exporter });
      for (let i = 0; i < SIZE; i += 4096) memory.dmaWrite(i, new Uint8Array(4096).fill(i >> 12));
      const digester = memory.digester('md5');
      digester.update(8192, 100);
      digester.update(0, 0);
      digester.update(4096, 4096);
      const expected = createHash('md5').update(new Uint8Array(100).fill(2)).update(new Uint8Array(4096).fill(1));
      assert.equal(digester.hex(), expected.digest('hex'));
    });

    it('refuses ranges out of bounds, whatever they are', async (t) => {
      if (!runsHere(t, exporter)) return;
      await using memory = await DeviceMemory.allocate({ sizeBytes: SIZE, exporter });
      const before = memory.digest('sha256');
      const source = new Uint8Array(100).fill(0xff);
      const bad = fc.oneof(
        fc.integer({ min: -1000, max: -1 }).map((offset) => [offset, 1] as const),
        fc.integer({ min: SIZE - 99, max: SIZE + 1000 }).map((offset) => [offset, 100] as const),
        fc
          .constantFrom([0, 101], [0, -1], [0.5, 1], [Number.NaN, 1], [0, Number.NaN], [2 ** 53, 1])
          .map(([a, b]) => [a, b] as const),
      );
      fc.assert(
        fc.property(bad, ([offset, length]) => {
          assert.throws(() => memory.dmaWrite(offset, source, 0, length), withCode('ERR_DEVMEM_INVALID_ARGUMENT'));
        }),
      );
      assert.throws(() => memory.dmaWrite(0, source, 99, 2), withCode('ERR_DEVMEM_INVALID_ARGUMENT'));
      assert.throws(() => memory.dmaWrite(0, source, -1), withCode('ERR_DEVMEM_INVALID_ARGUMENT'));
      assert.throws(() => memory.digest('sha256', 1, SIZE), withCode('ERR_DEVMEM_INVALID_ARGUMENT'));
      assert.throws(() => memory.digest('sha1000'), withCode('ERR_DEVMEM_INVALID_ARGUMENT', /sha256/));
      assert.equal(memory.digest('sha256'), before);
    });

    it('fails clearly after dispose, and its left-over views do no harm', async (t) => {
      if (!runsHere(t, exporter)) return;
      const memory = await DeviceMemory.allocate({ sizeBytes: SIZE, exporter });
      memory.dmaWrite(0, Uint8Array.of(1, 2, 3));
      const leftOver = memory.mapping;
      const digester = memory.digester('sha256');
      const { fd } = memory;
      memory.dispose();
      memory.dispose();
      await memory[Symbol.asyncDispose]();
      assert.ok(memory.disposed);
      assert.equal(memory.fd, null);
      assert.equal(memory.mapping.length, 0);
      if (fd !== null) assert.throws(() => fstatSync(fd), { code: 'EBADF' });
      assert.throws(() => memory.dmaWrite(0, new Uint8Array(1)), withCode('ERR_DEVMEM_DISPOSED'));
      assert.throws(() => memory.digest('sha256'), withCode('ERR_DEVMEM_DISPOSED'));
      assert.throws(() => digester.update(0, 1), withCode('ERR_DEVMEM_DISPOSED'));
      assert.throws(() => memory.attach({ describe: () => 'a test' }), withCode('ERR_DEVMEM_DISPOSED'));
      leftOver[SIZE - 1] = 1;
      assert.equal(leftOver[SIZE - 2], 0);
    });

    it('cannot be disposed while somebody uses it', async (t) => {
      if (!runsHere(t, exporter)) return;
      const memory = await DeviceMemory.allocate({ sizeBytes: SIZE, exporter });
      const user = { describe: (): string => 'a transfer under way' };
      memory.attach(user);
      assert.throws(
        () => memory.dispose(),
        (error: unknown) =>
          error instanceof DevmemError && error.code === 'EBUSY' && error.message.includes('a transfer under way'),
      );
      await assert.rejects(memory[Symbol.asyncDispose](), withCode('EBUSY'));
      memory.dmaWrite(0, Uint8Array.of(1));
      memory.detach(user);
      memory.detach(user);
      memory.dispose();
      assert.ok(memory.disposed);
    });
  });
}

describe('DeviceMemory.allocate', () => {
  it('names the nearest size that is valid', async () => {
    const nearest: [number, RegExp][] = [
      [0, /4096$/],
      [-1, /4096$/],
      [1, /4096$/],
      [6143, /4096$/],
      [6145, /8192$/],
      [1_000_000, /999424$/],
      [4096.5, /4096$/],
      [Number.NaN, /bytes|example/],
      [Number.POSITIVE_INFINITY, /example/],
    ];
    for (const [sizeBytes, hint] of nearest) {
      await assert.rejects(
        DeviceMemory.allocate({ sizeBytes }),
        withCode('ERR_DEVMEM_INVALID_ARGUMENT', hint),
        String(sizeBytes),
      );
    }
  });

  it('lists the exporters it knows', async () => {
    for (const exporter of ['cuda', 'toString', ''] as string[]) {
      await assert.rejects(
        DeviceMemory.allocate({ sizeBytes: 4096, exporter: exporter as ExporterName }),
        withCode('ERR_DEVMEM_UNKNOWN_EXPORTER', /shared, memfd, udmabuf/),
      );
    }
  });

  it('is ENOMEM, for every exporter, beyond what the machine has', async (t) => {
    for (const exporter of EXPORTER_NAMES) {
      if (exporter === 'memfd' && !requireMachine(t, {})) continue;
      await assert.rejects(DeviceMemory.allocate({ sizeBytes: 2 ** 47, exporter }), withCode('ENOMEM', /64 MiB/));
    }
  });

  it('says how to get /dev/udmabuf', async (t) => {
    if (!requireMachine(t, {})) return;
    if (existsSync('/dev/udmabuf')) {
      t.skip('this machine: has /dev/udmabuf');
      return;
    }
    await assert.rejects(
      DeviceMemory.allocate({ sizeBytes: SIZE, exporter: 'udmabuf' }),
      withCode('ERR_DEVMEM_ENVIRONMENT', /modprobe udmabuf/),
    );
  });

  it('shares a memfd by its descriptor: another reader sees what was written', async (t) => {
    if (!requireMachine(t, {})) return;
    await using memory = await DeviceMemory.allocate({ sizeBytes: SIZE, exporter: 'memfd' });
    memory.dmaWrite(12_345, Uint8Array.of(9, 8, 7));
    const bytes = new Uint8Array(3);
    readSync(memory.fd!, bytes, 0, 3, 12_345);
    assert.deepEqual([...bytes], [9, 8, 7]);
    assert.equal(fstatSync(memory.fd!).size, SIZE);
  });

  it('gives descriptors and memory back, time after time', async (t) => {
    if (!requireMachine(t, {})) return;
    const first = await DeviceMemory.allocate({ sizeBytes: SIZE, exporter: 'memfd' });
    const { fd } = first;
    first.dispose();
    for (let i = 0; i < 200; i++) {
      const memory = await DeviceMemory.allocate({ sizeBytes: SIZE, exporter: 'memfd' });
      assert.ok(Math.abs(memory.fd! - fd!) < 20, `descriptor ${memory.fd} where ${fd} was free`);
      memory.dispose();
    }
  });
});
