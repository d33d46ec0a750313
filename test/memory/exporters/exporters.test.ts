import assert from 'node:assert/strict';
import { fstatSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { loadLibc, type Libc } from '../../../src/linux/libc.ts';
import { DMA_BUF_IOCTL_SYNC, UDMABUF_CREATE, type UdmabufPaths } from '../../../src/linux/udmabuf.ts';
import { EXPORTER_NAMES, findExporter } from '../../../src/memory/exporters/exporter.ts';
import { memfdExporter } from '../../../src/memory/exporters/memfd.ts';
import { sharedExporter } from '../../../src/memory/exporters/shared.ts';
import { allocateUdmabuf, udmabufExporter } from '../../../src/memory/exporters/udmabuf.ts';
import { requireMachine } from '../../../testing/requirements.ts';

const SIZE = 4 * 4096;

/** A udmabuf in whose place the memfd itself stands, and what it was asked to do. */
interface StandIn {
  libc: Libc;
  paths: UdmabufPaths;
  syncs: number[];
  fails: { create: boolean; sync: boolean; mmap: boolean };
  remove(): void;
}

async function standIn(): Promise<StandIn> {
  const real = await loadLibc();
  const folder = mkdtempSync(join(tmpdir(), 'devmem-tcp-udmabuf-'));
  const paths = { device: join(folder, 'udmabuf'), sizeLimitMb: join(folder, 'size_limit_mb') };
  writeFileSync(paths.device, '');
  writeFileSync(paths.sizeLimitMb, '64\n');
  const syncs: number[] = [];
  const fails = { create: false, sync: false, mmap: false };
  const libc: Libc = {
    ...real,
    mmap: (...args) => (fails.mmap ? real.mmap(0, 0, 0, 0, -1, 0) : real.mmap(...args)),
    ioctlPointer: (_fd, request, argument) => {
      const view = new DataView((argument as Uint8Array).buffer);
      if (request === UDMABUF_CREATE) return fails.create ? real.close(-1) : real.dup(view.getUint32(0, true));
      assert.equal(request, DMA_BUF_IOCTL_SYNC);
      if (fails.sync) return real.close(-1);
      syncs.push(view.getUint32(0, true));
      return 0;
    },
  };
  return { libc, paths, syncs, fails, remove: () => rmSync(folder, { recursive: true }) };
}

function lowestFreeDescriptor(libc: Libc): number {
  const fd = libc.dup(0);
  libc.close(fd);
  return fd;
}

describe('exporters', () => {
  it('are found by their names', async () => {
    const found = await Promise.all(EXPORTER_NAMES.map((name) => findExporter(name)));
    assert.deepEqual(found, [sharedExporter, memfdExporter, udmabufExporter]);
  });

  it('shared: a SharedArrayBuffer, without a descriptor; ENOMEM beyond what one can hold', async () => {
    const memory = await sharedExporter.allocate(SIZE);
    assert.ok(memory.mapping.buffer instanceof SharedArrayBuffer);
    assert.equal(memory.fd, null);
    await assert.rejects(sharedExporter.allocate(2 ** 50), { code: 'ENOMEM' });
  });

  it('memfd: what cannot be allocated leaves no descriptor behind', async (t) => {
    if (!requireMachine(t, {})) return;
    const libc = await loadLibc();
    const lowest = lowestFreeDescriptor(libc);
    await assert.rejects(memfdExporter.allocate(2 ** 50), { code: 'ENOMEM', syscall: 'mmap' });
    assert.equal(lowestFreeDescriptor(libc), lowest);
  });

  it('udmabuf: brackets each access with START and END, for reading or for writing', async (t) => {
    if (!requireMachine(t, {})) return;
    const system = await standIn();
    t.after(() => system.remove());
    const memory = await allocateUdmabuf(SIZE, system.libc, system.paths);
    assert.equal(fstatSync(memory.fd!).size, SIZE);
    assert.equal(memory.mapping.length, SIZE);
    memory.beginAccess('write');
    memory.endAccess('write');
    memory.beginAccess('read');
    memory.endAccess('read');
    assert.deepEqual(system.syncs, [2, 6, 1, 5]);
    system.fails.sync = true;
    assert.throws(() => memory.beginAccess('read'), { code: 'EBADF', syscall: 'DMA_BUF_IOCTL_SYNC' });
    const { fd } = memory;
    memory.free();
    assert.throws(() => fstatSync(fd!), { code: 'EBADF' });
  });

  it('udmabuf: leaves no descriptor behind, whichever step fails', async (t) => {
    if (!requireMachine(t, {})) return;
    const system = await standIn();
    t.after(() => system.remove());
    (await allocateUdmabuf(SIZE, system.libc, system.paths)).free();
    const lowest = lowestFreeDescriptor(system.libc);
    const memory = await allocateUdmabuf(SIZE, system.libc, system.paths);
    memory.free();
    assert.equal(lowestFreeDescriptor(system.libc), lowest);
    for (const step of ['create', 'mmap'] as const) {
      system.fails[step] = true;
      await assert.rejects(allocateUdmabuf(SIZE, system.libc, system.paths), step);
      system.fails[step] = false;
      assert.equal(lowestFreeDescriptor(system.libc), lowest, step);
    }
    const tooLarge = allocateUdmabuf(65 * 2 ** 20, system.libc, system.paths);
    await assert.rejects(tooLarge, { code: 'ERR_DEVMEM_ENVIRONMENT' });
    assert.equal(lowestFreeDescriptor(system.libc), lowest);
  });
});
