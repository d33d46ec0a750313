/** TUN/TAP devices (include/uapi/linux/if_tun.h): a file descriptor that is the far side of a network interface. */
import { closeSync, constants, openSync } from 'node:fs';

import { ERRNO } from '../core/errno.ts';
import { DevmemError, errnoError, invalidArgument } from '../core/errors.ts';
import type { Libc } from './libc.ts';

const TUN_DEVICE = '/dev/net/tun';

const TUNSETIFF = 0x4004_54ca;
const TUNSETPERSIST = 0x4004_54cb;
const TUNSETOFFLOAD = 0x4004_54d0;
const TUNSETSNDBUF = 0x4004_54d4;
const TUNSETVNETHDRSZ = 0x4004_54d8;
const TUNSETVNETLE = 0x4004_54dc;

/** struct ifreq: name 0:16, flags 16:2; 40 bytes. */
const IFREQ_BYTES = 40;
const IFREQ_FLAGS_OFFSET = 16;
/** Of a name's bytes, without the NUL (IFNAMSIZ - 1). */
const MAX_NAME_BYTES = 15;

const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;

const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;

/** struct virtio_net_hdr_mrg_rxbuf without its last field's use: virtio 1.2 §5.1.6. */
export const VNET_HEADER_BYTES = 12;

export interface TunOptions {
  /** The interface's name; made if there is none. */
  name: string;
  checksumOffload: boolean;
  /** TCP frames of up to 64 KiB, both ways. Only together with `checksumOffload`. */
  segmentationOffload: boolean;
  /** Bytes of frames that the kernel holds for us, before it answers EAGAIN. */
  sendBufferBytes: number;
}

/** @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT unless the kernel would take `name` for an interface. */
export function checkInterfaceName(name: string): void {
  const bytes = new TextEncoder().encode(name).length;
  // dev_valid_name() and, for '%', dev_alloc_name() of net/core/dev.c.
  if (bytes === 0 || bytes > MAX_NAME_BYTES || name === '.' || name === '..' || /[\s/:%\0]/.test(name)) {
    throw invalidArgument(
      `${JSON.stringify(name)} is not an interface name`,
      `use 1 to ${MAX_NAME_BYTES} bytes without spaces, '/', ':' or '%', for example dm0`,
    );
  }
}

/**
 * Opens a TAP interface; every frame has a virtio-net header (VNET_HEADER_BYTES) before it.
 * @returns a non-blocking file descriptor.
 * @throws DevmemError ENOENT (no /dev/net/tun), EACCES, EPERM, EBUSY (someone has it open), EEXIST (another kind of
 *   interface has the name), ERR_DEVMEM_INVALID_ARGUMENT (the name), or what else the kernel answers.
 */
export function openTun(libc: Libc, options: TunOptions): number {
  checkInterfaceName(options.name);
  const fd = openDevice();
  try {
    attach(libc, fd, options.name);
    const parameter = new Int32Array([VNET_HEADER_BYTES]);
    control(libc, libc.ioctlPointer(fd, TUNSETVNETHDRSZ, parameter), 'TUNSETVNETHDRSZ', options.name);
    parameter[0] = 1;
    control(libc, libc.ioctlPointer(fd, TUNSETVNETLE, parameter), 'TUNSETVNETLE', options.name);
    parameter[0] = options.sendBufferBytes;
    control(libc, libc.ioctlPointer(fd, TUNSETSNDBUF, parameter), 'TUNSETSNDBUF', options.name);
    const segmentation = options.segmentationOffload ? TUN_F_TSO4 | TUN_F_TSO6 : 0;
    const offloads = options.checksumOffload ? TUN_F_CSUM | segmentation : 0;
    control(libc, libc.ioctlInt(fd, TUNSETOFFLOAD, offloads), 'TUNSETOFFLOAD', options.name);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return fd;
}

/** Lets the interface outlive the descriptor. */
export function persistTun(libc: Libc, fd: number, name: string): void {
  control(libc, libc.ioctlInt(fd, TUNSETPERSIST, 1), 'TUNSETPERSIST', name);
}

function openDevice(): number {
  try {
    // libuv adds O_CLOEXEC.
    return openSync(TUN_DEVICE, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENXIO' || code === 'ENODEV') {
      throw new DevmemError('ENOENT', `${TUN_DEVICE} is not there: the kernel's TUN/TAP driver is not loaded`, {
        hint: 'load it with `modprobe tun`; in a container, start it with `--device /dev/net/tun`',
        syscall: 'open',
        cause,
      });
    }
    if (code === 'EACCES' || code === 'EPERM') {
      throw new DevmemError('EACCES', `no permission to open ${TUN_DEVICE}`, {
        hint:
          'run as root: a TAP interface needs CAP_NET_ADMIN; in a container, `--device /dev/net/tun --cap-add ' +
          'NET_ADMIN`. A cable inside one process needs neither: `devmem-tcp demo`',
        syscall: 'open',
        cause,
      });
    }
    throw new DevmemError('EIO', `cannot open ${TUN_DEVICE}: ${(cause as Error).message}`, { syscall: 'open', cause });
  }
}

function attach(libc: Libc, fd: number, name: string): void {
  const request = new Uint8Array(IFREQ_BYTES);
  new TextEncoder().encodeInto(name, request);
  new DataView(request.buffer).setUint16(IFREQ_FLAGS_OFFSET, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true);
  if (libc.ioctlPointer(fd, TUNSETIFF, request) >= 0) return;
  const errno = libc.errno();
  const syscall = 'TUNSETIFF';
  switch (errno) {
    case ERRNO.EPERM:
      throw new DevmemError('EPERM', `no permission to open TAP interface ${name}`, {
        hint:
          'this needs CAP_NET_ADMIN: run as root, or let root make the interface for you once with ' +
          `\`ip tuntap add dev ${name} mode tap user $USER\``,
        syscall,
      });
    case ERRNO.EBUSY:
      throw new DevmemError('EBUSY', `TAP interface ${name} is in use: another process has it open`, {
        hint: 'choose another name, or end the other process',
        syscall,
      });
    case ERRNO.EINVAL:
      throw new DevmemError('EEXIST', `interface ${name} exists and is not a TAP interface of one queue`, {
        hint: 'choose another name',
        syscall,
      });
    default:
      throw errnoError(errno, `cannot open TAP interface ${name}`, { syscall });
  }
}

function control(libc: Libc, result: number, syscall: string, name: string): void {
  if (result < 0) throw errnoError(libc.errno(), `cannot set up TAP interface ${name}`, { syscall });
}
