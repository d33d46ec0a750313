import { NEVER } from '../core/clock.ts';
import { ERRNO } from '../core/errno.ts';
import type { Libc } from '../linux/libc.ts';
import type { FdWaiter } from '../linux/poll.ts';
import { IovecList, RegionAddresses } from './iovec.ts';
import {
  FRAME_CHECKSUM_VALID,
  FRAME_NEEDS_CHECKSUM,
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  type FrameList,
  type Link,
  type LinkOffloads,
} from './link.ts';

const ETHERNET_HEADER_BYTES = 14;

/**
 * struct virtio_net_hdr_mrg_rxbuf (virtio 1.2 §5.1.6), little-endian: the TAP was set so.
 *
 *     0 flags u8 | 1 gso_type u8 | 2 hdr_len u16 | 4 gso_size u16 | 6 csum_start u16 | 8 csum_offset u16 | 10 num_buffers
 */
export const VNET_HEADER_BYTES = 12;
const FLAGS = 0;
const GSO_TYPE = 1;
const HEADER_BYTES = 2;
const GSO_SIZE = 4;
const CHECKSUM_START = 6;
const CHECKSUM_OFFSET = 8;

/** What happened on a TAP besides frames that went through. */
export class TapCounters {
  framesRead = 0;
  framesWritten = 0;
  /** Frames whose virtio header contradicts the frame, or asks for an offload that was not agreed to. */
  rxBadOffload = 0;
  rxErrors = 0;
  /** Frames that the kernel had no room for: the writer tries again. */
  txRefused = 0;
  txErrors = 0;
}

/** What `openTap()` found and made, for the link to use and undo. */
export interface TapDevice {
  readonly libc: Libc;
  readonly fd: number;
  readonly waiter: FdWaiter;
  readonly name: string;
  readonly ifindex: number;
  readonly kernelMac: Uint8Array;
  readonly mtuBytes: number;
  readonly offloads: LinkOffloads;
  /** Takes back what opening changed. The descriptor is still open. */
  readonly restore: () => void;
}

/**
 * A TAP interface of the Linux kernel: what the kernel sends on the interface is read here, what is written here the
 * kernel receives. readv() and writev() move frames between the kernel's buffers and our segments in one copy.
 */
export class TapLink implements Link {
  readonly name: string;
  readonly mtuBytes: number;
  readonly offloads: LinkOffloads;
  /** The interface as the kernel knows it. */
  readonly ifindex: number;
  readonly kernelMac: Uint8Array;
  readonly counters: TapCounters = new TapCounters();

  readonly #libc: Libc;
  readonly #fd: number;
  readonly #waiter: FdWaiter;
  readonly #restore: () => void;
  readonly #read: IovecList;
  readonly #write: IovecList;
  #writeRefused = false;
  /** Closed, or deleted by someone else. */
  #isDown = false;
  #closed = false;

  constructor(device: TapDevice) {
    this.name = `tap:${device.name}`;
    this.mtuBytes = device.mtuBytes;
    this.offloads = device.offloads;
    this.ifindex = device.ifindex;
    this.kernelMac = device.kernelMac;
    this.#libc = device.libc;
    this.#fd = device.fd;
    this.#waiter = device.waiter;
    this.#restore = device.restore;
    const regions = new RegionAddresses(device.libc.addressOf);
    this.#read = new IovecList(device.libc.addressOf, regions, VNET_HEADER_BYTES);
    this.#write = new IovecList(device.libc.addressOf, regions, VNET_HEADER_BYTES);
  }

  get framesWritten(): number {
    return this.counters.framesWritten;
  }

  /** Always 0: the kernel has its copy when writev returns. */
  get framesInFlight(): number {
    return 0;
  }

  /** The interface is gone: closed here, or deleted by someone else. */
  get isDown(): boolean {
    return this.#isDown;
  }

  readFrame(landing: FrameList): number {
    if (this.#isDown) return 0;
    const iovecs = this.#read.pointTo(landing);
    if (iovecs < 0) return iovecs;
    const read = this.#libc.readv(this.#fd, this.#read.address, iovecs);
    if (read < 0) {
      const errno = this.#libc.errno();
      return errno === ERRNO.EAGAIN ? 0 : this.#readFailed(errno);
    }
    const length = read - VNET_HEADER_BYTES;
    if (length < ETHERNET_HEADER_BYTES) return this.#readFailed(ERRNO.EIO);
    this.counters.framesRead++;
    this.#parseOffload(landing, length);
    return length;
  }

  writeFrame(gather: FrameList): number {
    if (this.#isDown) return -ERRNO.ENETDOWN;
    const iovecs = this.#write.pointTo(gather);
    if (iovecs < 0) return iovecs;
    const header = this.#write.prefix;
    header.setUint8(FLAGS, gather.flags & (FRAME_NEEDS_CHECKSUM | FRAME_CHECKSUM_VALID));
    header.setUint8(GSO_TYPE, gather.gsoType);
    header.setUint16(HEADER_BYTES, gather.headerBytes, true);
    header.setUint16(GSO_SIZE, gather.gsoSizeBytes, true);
    header.setUint16(CHECKSUM_START, gather.checksumStart, true);
    header.setUint16(CHECKSUM_OFFSET, gather.checksumOffset, true);
    const written = this.#libc.writev(this.#fd, this.#write.address, iovecs);
    if (written < 0) return this.#writeFailed(this.#libc.errno());
    this.counters.framesWritten++;
    return written - VNET_HEADER_BYTES;
  }

  pollAt(): number {
    return NEVER;
  }

  armWake(onWake: () => void): void {
    if (this.#isDown) return;
    const writable = this.#writeRefused;
    this.#writeRefused = false;
    this.#waiter.arm(writable, onWake);
  }

  disarmWake(): void {
    if (!this.#closed) this.#waiter.disarm();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#isDown = true;
    this.#waiter.close();
    try {
      this.#restore();
    } finally {
      this.#libc.close(this.#fd);
    }
  }

  /** The header comes from the kernel, which passes on what a guest or another process wrote: none of it is believed. */
  #parseOffload(landing: FrameList, length: number): void {
    const header = this.#read.prefix;
    landing.clearOffload();
    const flags = header.getUint8(FLAGS);
    const type = header.getUint8(GSO_TYPE) & ~GSO_ECN;
    if (flags === 0 && type === GSO_NONE) return;
    if ((flags & FRAME_CHECKSUM_VALID) !== 0) landing.flags |= FRAME_CHECKSUM_VALID;
    if ((flags & FRAME_NEEDS_CHECKSUM) !== 0) {
      const start = header.getUint16(CHECKSUM_START, true);
      const offset = header.getUint16(CHECKSUM_OFFSET, true);
      if (start >= ETHERNET_HEADER_BYTES && start + offset + 2 <= length) {
        landing.flags |= FRAME_NEEDS_CHECKSUM;
        landing.checksumStart = start;
        landing.checksumOffset = offset;
      } else {
        this.counters.rxBadOffload++;
      }
    }
    if (type === GSO_NONE) return;
    const sizeBytes = header.getUint16(GSO_SIZE, true);
    const headerBytes = header.getUint16(HEADER_BYTES, true);
    if ((type !== GSO_TCPV4 && type !== GSO_TCPV6) || sizeBytes === 0) {
      this.counters.rxBadOffload++;
      return;
    }
    landing.gsoType = type;
    landing.gsoSizeBytes = sizeBytes;
    // Only a hint (virtio 1.2 §5.1.6.4): the kernel gives the length of its linear part.
    landing.headerBytes = headerBytes <= length ? headerBytes : 0;
  }

  #readFailed(errno: number): number {
    this.counters.rxErrors++;
    return -this.#gone(errno);
  }

  #writeFailed(errno: number): number {
    if (errno === ERRNO.EAGAIN || errno === ERRNO.ENOBUFS) {
      this.counters.txRefused++;
      this.#writeRefused = true;
      return 0;
    }
    this.counters.txErrors++;
    return -this.#gone(errno);
  }

  /** EBADFD: the interface was deleted under us. It does not come back, and waiting for it would never end. */
  #gone(errno: number): number {
    if (errno !== ERRNO.EBADFD) return errno;
    this.#isDown = true;
    return ERRNO.ENETDOWN;
  }
}
