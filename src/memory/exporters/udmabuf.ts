import { errnoError } from '../../core/errors.ts';
import type { Libc } from '../../linux/libc.ts';
import type { SharedMapping } from '../../linux/mapping.ts';
import type { UdmabufPaths } from '../../linux/udmabuf.ts';
import type { AccessKind, ExportedMemory, MemoryExporter } from './exporter.ts';

type Udmabuf = typeof import('../../linux/udmabuf.ts');

/** A real dma-buf, made of a sealed memfd's pages by /dev/udmabuf: devices and other drivers can import it. */
export const udmabufExporter: MemoryExporter = {
  async allocate(sizeBytes: number): Promise<ExportedMemory> {
    const { loadLibc } = await import('../../linux/libc.ts');
    return allocateUdmabuf(sizeBytes, await loadLibc());
  },
};

/**
 * What `udmabufExporter` does, with the system given.
 * @param paths where the kernel shows udmabuf, if elsewhere than usual.
 */
export async function allocateUdmabuf(sizeBytes: number, libc: Libc, paths?: UdmabufPaths): Promise<ExportedMemory> {
  const [{ openMemfd }, { SharedMapping }, udmabuf] = await Promise.all([
    import('../../linux/memfd.ts'),
    import('../../linux/mapping.ts'),
    import('../../linux/udmabuf.ts'),
  ]);
  udmabuf.checkUdmabuf(sizeBytes, paths);
  const memfd = openMemfd(libc, 'devmem-tcp', sizeBytes);
  let fd = -1;
  try {
    fd = udmabuf.createUdmabuf(libc, memfd, sizeBytes, paths);
    return new UdmabufMemory(libc, udmabuf, fd, new SharedMapping(libc, fd, sizeBytes));
  } catch (error) {
    if (fd >= 0) libc.close(fd);
    throw error;
  } finally {
    // The dma-buf holds the pages.
    libc.close(memfd);
  }
}

class UdmabufMemory implements ExportedMemory {
  readonly fd: number;
  readonly #libc: Libc;
  readonly #udmabuf: Udmabuf;
  readonly #mapped: SharedMapping;

  constructor(libc: Libc, udmabuf: Udmabuf, fd: number, mapped: SharedMapping) {
    this.fd = fd;
    this.#libc = libc;
    this.#udmabuf = udmabuf;
    this.#mapped = mapped;
  }

  get mapping(): Uint8Array {
    return this.#mapped.bytes;
  }

  beginAccess(kind: AccessKind): void {
    this.#sync(kind, this.#udmabuf.DMA_BUF_SYNC_START);
  }

  endAccess(kind: AccessKind): void {
    this.#sync(kind, this.#udmabuf.DMA_BUF_SYNC_END);
  }

  free(): void {
    this.#mapped.release();
    this.#libc.close(this.fd);
  }

  #sync(kind: AccessKind, phase: number): void {
    const { DMA_BUF_SYNC_READ, DMA_BUF_SYNC_WRITE, syncDmaBuf } = this.#udmabuf;
    const result = syncDmaBuf(this.#libc, this.fd, phase | (kind === 'read' ? DMA_BUF_SYNC_READ : DMA_BUF_SYNC_WRITE));
    if (result < 0) throw errnoError(result, `DMA_BUF_IOCTL_SYNC for ${kind}`, { syscall: 'DMA_BUF_IOCTL_SYNC' });
  }
}
