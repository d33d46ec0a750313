import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { hex } from '../../src/core/bytes.ts';
import { DevmemError } from '../../src/core/errors.ts';
import { MiB } from '../../src/core/units.ts';
import type { Libc } from '../../src/linux/libc.ts';
import {
  checkUdmabuf,
  createUdmabuf,
  DMA_BUF_IOCTL_SYNC,
  DMA_BUF_SYNC_END,
  DMA_BUF_SYNC_READ,
  packDmaBufSync,
  packUdmabufCreate,
  syncDmaBuf,
  UDMABUF_CREATE,
} from '../../src/linux/udmabuf.ts';

/** The kernel's _IOW(type, number, struct): direction 1 at bit 30, size at 16, type at 8. */
function iow(type: string, number: number, sizeBytes: number): number {
  return (0x4000_0000 | (sizeBytes << 16) | (type.charCodeAt(0) << 8) | number) >>> 0;
}

function withPaths(run: (device: string, sizeLimitMb: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'devmem-tcp-udmabuf-'));
  try {
    run(join(folder, 'udmabuf'), join(folder, 'size_limit_mb'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function environment(message: RegExp, hint: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof DevmemError, String(error));
    assert.equal(error.code, 'ERR_DEVMEM_ENVIRONMENT');
    assert.match(error.message, message);
    assert.match(error.hint ?? '', hint);
    return true;
  };
}

describe('udmabuf', () => {
  it('numbers its ioctls after the size of their structures', () => {
    assert.equal(UDMABUF_CREATE, iow('u', 0x42, packUdmabufCreate(0, 0, 0, 0).length));
    assert.equal(DMA_BUF_IOCTL_SYNC, iow('b', 0, packDmaBufSync(0).length));
  });

  it('packs struct udmabuf_create: memfd, flags, offset, size', () => {
    assert.equal(
      hex(packUdmabufCreate(0x11, 1, 0x1_2345_6000, 0x3_0000_0000)),
      ['11000000', '01000000', '0060452301000000', '0000000003000000'].join(''),
    );
  });

  it('packs struct dma_buf_sync: flags as u64', () => {
    assert.equal(hex(packDmaBufSync(DMA_BUF_SYNC_END | DMA_BUF_SYNC_READ)), '0500000000000000');
  });

  it('says how to get the device where there is none', () => {
    withPaths((device, sizeLimitMb) => {
      assert.throws(
        () => checkUdmabuf(4096, { device, sizeLimitMb }),
        environment(/there is no .*udmabuf/, /modprobe udmabuf/),
      );
    });
  });

  it('names the command that raises the limit, with the number that is enough', () => {
    withPaths((device, sizeLimitMb) => {
      writeFileSync(device, '');
      writeFileSync(sizeLimitMb, '64\n');
      const paths = { device, sizeLimitMb };
      checkUdmabuf(64 * MiB, paths);
      assert.throws(
        () => checkUdmabuf(64 * MiB + 4096, paths),
        environment(/limit of 64 MiB/, new RegExp(`^as root: echo 65 > ${sizeLimitMb}$`)),
      );
      writeFileSync(sizeLimitMb, '1024\n');
      checkUdmabuf(256 * MiB, paths);
      rmSync(sizeLimitMb);
      checkUdmabuf(2 ** 40, paths);
    });
  });

  it('asks the device for a dma-buf over the whole memfd', () => {
    withPaths((device, sizeLimitMb) => {
      writeFileSync(device, '');
      const calls: unknown[][] = [];
      const libc = {
        ioctlPointer: (fd: number, request: number, argument: Uint8Array) => {
          calls.push([fd > 2, request, hex(argument)]);
          return 77;
        },
      } as unknown as Libc;
      assert.equal(createUdmabuf(libc, 5, 8192, { device, sizeLimitMb }), 77);
      assert.deepEqual(calls, [[true, UDMABUF_CREATE, '050000000100000000000000000000000020000000000000']]);
      const refusing = { ioctlPointer: () => -1, errno: () => 22 } as unknown as Libc;
      assert.throws(
        () => createUdmabuf(refusing, 5, 8192, { device, sizeLimitMb }),
        (error: unknown) =>
          error instanceof DevmemError && error.code === 'EINVAL' && error.syscall === 'UDMABUF_CREATE',
      );
    });
  });

  it('repeats a synchronisation that was interrupted, and answers what else went wrong', () => {
    const errnos = [4, 11, 0];
    const interrupted = {
      ioctlPointer: () => (errnos[0] === 0 ? 0 : -1),
      errno: () => errnos.shift(),
    } as unknown as Libc;
    assert.equal(syncDmaBuf(interrupted, 3, DMA_BUF_SYNC_READ), 0);
    assert.deepEqual(errnos, [0]);
    const failing = { ioctlPointer: () => -1, errno: () => 25 } as unknown as Libc;
    assert.equal(syncDmaBuf(failing, 3, DMA_BUF_SYNC_READ), -25);
  });
});
