import { closeSync, openSync, readFileSync } from 'node:fs';
import { ERRNO } from '../core/errno.ts';
import { DevmemError } from '../core/errors.ts';
import { MiB } from '../core/units.ts';
import { checked, type Libc } from './libc.ts';

/** ioctls of include/uapi/linux/udmabuf.h and dma-buf.h. */
export const UDMABUF_CREATE = 0x4018_7542;
export const DMA_BUF_IOCTL_SYNC = 0x4008_6200;

export const UDMABUF_FLAGS_CLOEXEC = 1;

/** Flags of DMA_BUF_IOCTL_SYNC: START or END, with READ or WRITE or both; with neither it answers EINVAL. */
export const DMA_BUF_SYNC_READ = 1;
/** @public read from the lazily imported module, which knip does not follow */
export const DMA_BUF_SYNC_WRITE = 2;
/** @public read from the lazily imported module, which knip does not follow */
export const DMA_BUF_SYNC_START = 0;
export const DMA_BUF_SYNC_END = 4;

const UDMABUF_CREATE_BYTES = 24;
const DMA_BUF_SYNC_BYTES = 8;

/** Where the kernel shows udmabuf; another place in tests. */
export interface UdmabufPaths {
  readonly device: string;
  readonly sizeLimitMb: string;
}

export const UDMABUF_PATHS: UdmabufPaths = {
  device: '/dev/udmabuf',
  sizeLimitMb: '/sys/module/udmabuf/parameters/size_limit_mb',
};

/** `struct udmabuf_create`: memfd u32, flags u32, offset u64, size u64. Offset and size are multiples of the page. */
export function packUdmabufCreate(memfd: number, flags: number, offset: number, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(UDMABUF_CREATE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, memfd, true);
  view.setUint32(4, flags, true);
  view.setBigUint64(8, BigInt(offset), true);
  view.setBigUint64(16, BigInt(sizeBytes), true);
  return bytes;
}

/** `struct dma_buf_sync`: flags u64. */
export function packDmaBufSync(flags: number): Uint8Array {
  const bytes = new Uint8Array(DMA_BUF_SYNC_BYTES);
  new DataView(bytes.buffer).setUint32(0, flags, true);
  return bytes;
}

/**
 * A dma-buf over the whole of a memfd.
 * @param memfd sealed against shrinking; the dma-buf keeps its pages, the descriptor itself is not needed further.
 * @returns the dma-buf's descriptor, which the caller closes.
 * @throws DevmemError ERR_DEVMEM_ENVIRONMENT: no udmabuf, no permission, larger than its limit; or the ioctl's errno.
 */
export function createUdmabuf(
  libc: Libc,
  memfd: number,
  sizeBytes: number,
  paths: UdmabufPaths = UDMABUF_PATHS,
): number {
  checkUdmabuf(sizeBytes, paths);
  const device = openUdmabuf(paths.device);
  try {
    const request = packUdmabufCreate(memfd, UDMABUF_FLAGS_CLOEXEC, 0, sizeBytes);
    const fd = libc.ioctlPointer(device, UDMABUF_CREATE, request);
    return checked(libc, fd, 'UDMABUF_CREATE', `UDMABUF_CREATE of ${sizeBytes} bytes`);
  } finally {
    closeSync(device);
  }
}

/**
 * That a dma-buf of this size can be made here, as far as it shows without making one.
 * @throws DevmemError ERR_DEVMEM_ENVIRONMENT with the command that mends it.
 */
export function checkUdmabuf(sizeBytes: number, paths: UdmabufPaths = UDMABUF_PATHS): void {
  closeSync(openUdmabuf(paths.device));
  const limitMb = sizeLimitMb(paths.sizeLimitMb);
  if (limitMb === null || sizeBytes <= limitMb * MiB) return;
  const neededMb = Math.ceil(sizeBytes / MiB);
  throw new DevmemError(
    'ERR_DEVMEM_ENVIRONMENT',
    `a dma-buf of ${sizeBytes} bytes is over udmabuf's limit of ${limitMb} MiB each`,
    { hint: `as root: echo ${neededMb} > ${paths.sizeLimitMb}`, syscall: 'UDMABUF_CREATE' },
  );
}

/**
 * Begins or ends the CPU's access to a dma-buf's mapping.
 * @param flags DMA_BUF_SYNC_*.
 * @returns 0, or a negative errno.
 */
export function syncDmaBuf(libc: Libc, fd: number, flags: number): number {
  const request = packDmaBufSync(flags);
  for (;;) {
    if (libc.ioctlPointer(fd, DMA_BUF_IOCTL_SYNC, request) >= 0) return 0;
    const errno = libc.errno();
    // Waiting for a device's fence can be interrupted; dma-buf.h asks for the call to be made again.
    if (errno !== ERRNO.EINTR && errno !== ERRNO.EAGAIN) return -errno;
  }
}

function openUdmabuf(device: string): number {
  try {
    return openSync(device, 'r+');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const denied = code === 'EACCES' || code === 'EPERM';
    throw new DevmemError(
      'ERR_DEVMEM_ENVIRONMENT',
      denied ? `no permission to open ${device}` : `there is no ${device}`,
      {
        hint: denied
          ? `run as root, or let your user in: chgrp kvm ${device} && chmod 660 ${device}`
          : "as root: modprobe udmabuf (a kernel with CONFIG_UDMABUF); exporter 'memfd' needs neither",
        syscall: 'open',
        cause,
      },
    );
  }
}

function sizeLimitMb(path: string): number | null {
  try {
    const limit = Number.parseInt(readFileSync(path, 'utf8'), 10);
    return Number.isNaN(limit) ? null : limit;
  } catch {
    // Built into the kernel without its parameters shown: the ioctl will tell.
    return null;
  }
}
