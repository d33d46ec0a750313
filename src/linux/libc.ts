import { DevmemError, errnoError } from '../core/errors.ts';

/** The koffi module, for the parts of `linux/` that need more of it than the calls below (its poll handle). */
export type Koffi = typeof import('koffi').default;

/**
 * Memory handed to a system call: a typed array (its own offset counts), or an address as `Libc.addressOf` and `mmap`
 * answer it, or null. koffi checks none of it: a wrong address or length is a crash.
 */
export type Pointer = ArrayBufferView | ArrayBuffer | number | bigint | null;

/**
 * libc's calls, under libc's names and with libc's results: -1 means failed, and `errno()`, asked before anything else
 * is called, says why. Structures are bytes that the caller packs; no call keeps a pointer beyond its return.
 *
 * 64-bit Linux only: `long` stands for ssize_t and off_t, and variadic calls are declared with fixed arguments, which
 * is the same thing under the calling conventions of x86-64 and arm64.
 */
export interface Libc {
  readonly koffi: Koffi;
  /** Error number of the last failed call on this thread. Success does not clear it; any `fs` call may change it. */
  readonly errno: () => number;
  /** Where the bytes of a view begin, as an address. Stays true as long as the view's buffer lives. */
  readonly addressOf: (bytes: ArrayBufferView | ArrayBuffer) => number;
  /**
   * Mapped memory as bytes. Costs more than a microsecond: once a mapping. The memory is not kept alive by it, and
   * reading it after `munmap` ends the process.
   */
  readonly viewOf: (address: number, lengthBytes: number) => Uint8Array;

  readonly close: (fd: number) => number;
  readonly dup: (fd: number) => number;
  readonly read: (fd: number, bytes: Pointer, lengthBytes: number) => number;
  readonly write: (fd: number, bytes: Pointer, lengthBytes: number) => number;
  /** `iov`: `struct iovec[count]`, 16 bytes each: address u64, length u64. */
  readonly readv: (fd: number, iov: Pointer, count: number) => number;
  readonly writev: (fd: number, iov: Pointer, count: number) => number;
  readonly ftruncate: (fd: number, lengthBytes: number) => number;
  readonly lseek: (fd: number, offset: number, whence: number) => number;
  readonly fcntl: (fd: number, command: number, argument: number) => number;
  /** ioctl whose argument is a number. */
  readonly ioctlInt: (fd: number, request: number, argument: number) => number;
  /** ioctl whose argument is a pointer. */
  readonly ioctlPointer: (fd: number, request: number, argument: Pointer) => number;

  readonly memfdCreate: (name: string, flags: number) => number;
  /** The address as a number; MAP_FAILED is -1. `address` is a hint: 0 for none. */
  readonly mmap: (
    address: number,
    lengthBytes: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ) => number;
  readonly munmap: (address: number, lengthBytes: number) => number;

  /** Moves this thread into the namespace that `fd` stands for. */
  readonly setns: (fd: number, kind: number) => number;

  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly bind: (fd: number, address: Pointer, addressBytes: number) => number;
  readonly setsockopt: (fd: number, level: number, name: number, value: Pointer, valueBytes: number) => number;
  /** `valueBytes`: a u32 in and out. */
  readonly getsockopt: (fd: number, level: number, name: number, value: Pointer, valueBytes: Pointer) => number;
  readonly sendto: (
    fd: number,
    bytes: Pointer,
    lengthBytes: number,
    flags: number,
    address: Pointer,
    addressBytes: number,
  ) => number;
  /** `addressBytes`: a u32 in and out, or null together with `address`. */
  readonly recvfrom: (
    fd: number,
    bytes: Pointer,
    lengthBytes: number,
    flags: number,
    address: Pointer,
    addressBytes: Pointer,
  ) => number;
}

const LIBRARY_NAMES: readonly (string | null)[] = [
  'libc.so.6',
  `libc.musl-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.so.1`,
  // The process itself: its symbols include the libc it runs on.
  null,
];

let loading: Promise<Libc> | null = null;

/**
 * libc, loaded at the first call and shared from then on.
 * @throws DevmemError ERR_DEVMEM_UNSUPPORTED where there is none: another OS, a 32-bit process, no koffi for it.
 */
export function loadLibc(): Promise<Libc> {
  loading ??= open();
  return loading;
}

/**
 * Throws what a call that answered -1 (or less) failed with; otherwise hands its result on.
 * @param where what was attempted, as the error's message begins: `ftruncate of 4096 bytes`.
 */
export function checked(libc: Libc, result: number, syscall: string, where: string, hint?: string): number {
  if (result >= 0) return result;
  throw errnoError(libc.errno(), where, hint === undefined ? { syscall } : { syscall, hint });
}

async function open(): Promise<Libc> {
  if (process.platform !== 'linux' || (process.arch !== 'x64' && process.arch !== 'arm64')) {
    throw new DevmemError('ERR_DEVMEM_UNSUPPORTED', `no Linux system calls on ${process.platform}-${process.arch}`, {
      hint: "use what needs none: exporter 'shared' and link 'cable'",
    });
  }
  let koffi: Koffi;
  try {
    koffi = (await import('koffi')).default;
  } catch (cause) {
    throw new DevmemError('ERR_DEVMEM_UNSUPPORTED', 'the koffi package, which makes system calls, does not load', {
      hint: 'reinstall with `npm install koffi` for this platform',
      cause,
    });
  }
  return bindAll(koffi, firstLibrary(koffi));
}

function firstLibrary(koffi: Koffi): ReturnType<Koffi['load']> {
  let cause: unknown;
  for (const name of LIBRARY_NAMES) {
    try {
      const library = koffi.load(name);
      library.func('int close(int fd)');
      return library;
    } catch (error) {
      cause = error;
    }
  }
  throw new DevmemError('ERR_DEVMEM_UNSUPPORTED', 'no libc found: neither glibc nor musl', { cause });
}

function bindAll(koffi: Koffi, library: ReturnType<Koffi['load']>): Libc {
  const func = (prototype: string): ReturnType<typeof library.func> => library.func(prototype);
  return {
    koffi,
    errno: () => koffi.errno(),
    addressOf: (bytes) => Number(koffi.address(bytes)),
    viewOf: (address, lengthBytes) => new Uint8Array(koffi.view(BigInt(address), lengthBytes)),

    close: func('int close(int fd)'),
    dup: func('int dup(int fd)'),
    read: func('long read(int fd, void *bytes, size_t length)'),
    write: func('long write(int fd, void *bytes, size_t length)'),
    readv: func('long readv(int fd, void *iov, int count)'),
    writev: func('long writev(int fd, void *iov, int count)'),
    ftruncate: func('int ftruncate(int fd, long length)'),
    lseek: func('long lseek(int fd, long offset, int whence)'),
    fcntl: func('int fcntl(int fd, int command, long argument)'),
    ioctlInt: func('int ioctl(int fd, unsigned long request, long argument)'),
    ioctlPointer: func('int ioctl(int fd, unsigned long request, void *argument)'),

    memfdCreate: func('int memfd_create(str name, unsigned int flags)'),
    mmap: func('intptr_t mmap(intptr_t address, size_t length, int protection, int flags, int fd, long offset)'),
    munmap: func('int munmap(intptr_t address, size_t length)'),

    setns: func('int setns(int fd, int kind)'),

    socket: func('int socket(int domain, int type, int protocol)'),
    bind: func('int bind(int fd, void *address, unsigned int length)'),
    setsockopt: func('int setsockopt(int fd, int level, int name, void *value, unsigned int length)'),
    getsockopt: func('int getsockopt(int fd, int level, int name, void *value, void *length)'),
    sendto: func('long sendto(int fd, void *bytes, size_t length, int flags, void *address, unsigned int size)'),
    recvfrom: func('long recvfrom(int fd, void *bytes, size_t length, int flags, void *address, void *size)'),
  };
}
