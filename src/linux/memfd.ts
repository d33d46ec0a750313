import { checked, type Libc } from './libc.ts';

const MFD_CLOEXEC = 0x1;
const MFD_ALLOW_SEALING = 0x2;
const F_ADD_SEALS = 1033;
const F_SEAL_SHRINK = 0x2;

/**
 * A file in memory of a fixed size: sealed against shrinking, so that whoever maps it cannot be faulted by truncation
 * (udmabuf insists on that seal, and refuses write seals). Closed on exec.
 *
 * @param name shown in /proc/PID/maps.
 * @param sizeBytes a multiple of the page size; the file reads as zeros.
 * @returns the descriptor, which the caller closes.
 * @throws DevmemError with the errno of what failed: EMFILE, ENOMEM, EFBIG...
 */
export function openMemfd(libc: Libc, name: string, sizeBytes: number): number {
  const fd = checked(libc, libc.memfdCreate(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), 'memfd_create', 'memfd_create');
  try {
    checked(libc, libc.ftruncate(fd, sizeBytes), 'ftruncate', `ftruncate of a memfd to ${sizeBytes} bytes`);
    checked(libc, libc.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 'fcntl', 'sealing a memfd against shrinking');
  } catch (error) {
    libc.close(fd);
    throw error;
  }
  return fd;
}
