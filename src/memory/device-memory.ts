import type { Hash } from 'node:crypto';
import { ERRNO } from '../core/errno.ts';
import { DevmemError, errnoError, invalidArgument } from '../core/errors.ts';
import { KiB } from '../core/units.ts';
import { hashRange, openHash, type Digester } from './digest.ts';
import { findExporter, type ExportedMemory, type ExporterName } from './exporters/exporter.ts';
import { nextRegionId, type MemoryRegion } from './region.ts';

/** Device memory comes in whole pages: the kernel's net_iov size and every exporter's granularity. */
export const PAGE_BYTES: number = 4 * KiB;

const NO_BYTES = new Uint8Array(0);

export interface DeviceMemoryOptions {
  /** A positive multiple of 4096. */
  sizeBytes: number;
  /** Where the memory comes from; `shared` if left out. */
  exporter?: ExporterName;
}

/** Who keeps a memory from being freed: a binding, a transfer out of it. */
export interface MemoryUser {
  /** For the error of a `dispose` too early: `binding 3 on queues 1, 2`. */
  describe(): string;
}

/**
 * Memory that a NIC writes payload into and that the application reads in its own way: what a dma-buf is to the kernel.
 * The package refers to its bytes by offset and never hands them out.
 *
 * | exporter | bytes live in | fd | needs |
 * |---|---|---|---|
 * | `shared` | a SharedArrayBuffer: workers see it without a copy | no | nothing |
 * | `memfd` | a sealed memfd: other processes can map its fd | memfd | Linux |
 * | `udmabuf` | a real dma-buf over a sealed memfd: devices can import its fd | dma-buf | Linux, /dev/udmabuf |
 */
export class DeviceMemory implements MemoryRegion, AsyncDisposable {
  readonly id: number = nextRegionId();
  readonly sizeBytes: number;
  readonly exporter: ExporterName;

  readonly #users: MemoryUser[] = [];
  #exported: ExportedMemory | null;
  #mapping: Uint8Array;

  private constructor(exporter: ExporterName, sizeBytes: number, exported: ExportedMemory) {
    this.exporter = exporter;
    this.sizeBytes = sizeBytes;
    this.#exported = exported;
    this.#mapping = exported.mapping;
  }

  /**
   * Allocates zeroed device memory. Free it with `dispose()` or `await using`.
   * @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT (size), ERR_DEVMEM_UNKNOWN_EXPORTER, ENOMEM,
   *   ERR_DEVMEM_UNSUPPORTED (the exporter needs Linux), ERR_DEVMEM_ENVIRONMENT (this machine lacks what it needs).
   */
  static async allocate(options: DeviceMemoryOptions): Promise<DeviceMemory> {
    const name = options.exporter ?? 'shared';
    checkSize(options.sizeBytes);
    const exporter = await findExporter(name);
    checkAvailable(options.sizeBytes);
    return new DeviceMemory(name, options.sizeBytes, await exporter.allocate(options.sizeBytes));
  }

  /** All the bytes, mapped; empty once the memory is disposed. */
  get mapping(): Uint8Array {
    return this.#mapping;
  }

  /** The descriptor to share the memory with: a memfd or a dma-buf. Null if the exporter has none, or disposed. */
  get fd(): number | null {
    return this.#exported?.fd ?? null;
  }

  get disposed(): boolean {
    return this.#exported === null;
  }

  /** Who holds the memory now. */
  get users(): readonly MemoryUser[] {
    return this.#users;
  }

  /** Keeps the memory from being disposed until `detach(user)`. @throws DevmemError ERR_DEVMEM_DISPOSED */
  attach(user: MemoryUser): void {
    this.#live();
    this.#users.push(user);
  }

  /** Ends an `attach` by the same user. */
  detach(user: MemoryUser): void {
    const index = this.#users.indexOf(user);
    if (index >= 0) this.#users.splice(index, 1);
  }

  /**
   * Writes bytes into the memory as a device would.
   * @param offset where, in bytes.
   * @param length bytes of `source` from `sourceOffset` on; the rest of it if left out.
   * @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT if source or target range is out of bounds; ERR_DEVMEM_DISPOSED.
   */
  dmaWrite(offset: number, source: Uint8Array, sourceOffset = 0, length: number = source.length - sourceOffset): void {
    const exported = this.#live();
    checkRange('source', sourceOffset, length, source.length);
    checkRange('memory', offset, length, this.sizeBytes);
    exported.beginAccess('write');
    try {
      this.#mapping.set(source.subarray(sourceOffset, sourceOffset + length), offset);
    } finally {
      exported.endAccess('write');
    }
  }

  /**
   * The exporter's own digest of a range (all of it if left out), in lower-case hexadecimal.
   * @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT for an unknown algorithm or a range out of bounds;
   *   ERR_DEVMEM_DISPOSED.
   */
  digest(algorithm: string, offset = 0, length: number = this.sizeBytes - offset): string {
    const digester = this.digester(algorithm);
    digester.update(offset, length);
    return digester.hex();
  }

  /** Hashes ranges as they are named: a stream by its references. @throws DevmemError as `digest`. */
  digester(algorithm: string): Digester {
    this.#live();
    return new MemoryDigester(openHash(algorithm), (hash, offset, length) => this.#hash(hash, offset, length));
  }

  /**
   * Frees the memory. Idempotent.
   * @throws DevmemError EBUSY while it is bound, while tokens of it are out, or a transfer out of it is under way.
   */
  dispose(): void {
    const exported = this.#exported;
    if (exported === null) return;
    if (this.#users.length > 0) {
      const users = this.#users.map((user) => user.describe()).join('; ');
      throw errnoError(ERRNO.EBUSY, `device memory of ${this.sizeBytes} bytes is in use by ${users}`, {
        hint: 'close the bindings and sockets that use it and return their tokens first',
      });
    }
    this.#exported = null;
    this.#mapping = NO_BYTES;
    exported.free();
  }

  // oxlint-disable-next-line require-await -- the interface is asynchronous; an error has to be a rejection
  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }

  #hash(hash: Hash, offset: number, length: number): void {
    const exported = this.#live();
    checkRange('memory', offset, length, this.sizeBytes);
    exported.beginAccess('read');
    try {
      hashRange(hash, this.#mapping, offset, length);
    } finally {
      exported.endAccess('read');
    }
  }

  #live(): ExportedMemory {
    if (this.#exported !== null) return this.#exported;
    throw new DevmemError('ERR_DEVMEM_DISPOSED', `device memory of ${this.sizeBytes} bytes was disposed`, {
      hint: 'keep it until everything that refers to it has ended',
    });
  }
}

class MemoryDigester implements Digester {
  readonly #hash: Hash;
  readonly #feed: (hash: Hash, offset: number, length: number) => void;

  constructor(hash: Hash, feed: (hash: Hash, offset: number, length: number) => void) {
    this.#hash = hash;
    this.#feed = feed;
  }

  update(offset: number, length: number): void {
    this.#feed(this.#hash, offset, length);
  }

  updateBytes(bytes: Uint8Array): void {
    hashRange(this.#hash, bytes, 0, bytes.length);
  }

  hex(): string {
    return this.#hash.digest('hex');
  }
}

function checkSize(sizeBytes: number): void {
  if (Number.isSafeInteger(sizeBytes) && sizeBytes > 0 && sizeBytes % PAGE_BYTES === 0) return;
  const nearest = Math.max(1, Math.round(sizeBytes / PAGE_BYTES)) * PAGE_BYTES;
  throw invalidArgument(
    `device memory of ${sizeBytes} bytes: the size is a positive multiple of ${PAGE_BYTES}`,
    Number.isSafeInteger(nearest) ? `the nearest valid size is ${nearest}` : `for example ${64 * KiB * KiB}`,
  );
}

/** Memory is touched page by page as payload arrives: too little of it must not end as a kill by the kernel then. */
function checkAvailable(sizeBytes: number): void {
  const availableBytes = process.availableMemory();
  if (sizeBytes <= availableBytes) return;
  throw errnoError(ERRNO.ENOMEM, `device memory of ${sizeBytes} bytes, where ${availableBytes} bytes are available`, {
    hint: 'device memory is not the size of the transfer: 64 MiB keep a fast stream going',
  });
}

function checkRange(what: string, offset: number, length: number, sizeBytes: number): void {
  if (
    !Number.isSafeInteger(offset) ||
    !Number.isSafeInteger(length) ||
    offset < 0 ||
    length < 0 ||
    offset + length > sizeBytes
  ) {
    throw invalidArgument(`range of ${length} bytes at ${offset} is not within the ${sizeBytes} bytes of the ${what}`);
  }
}
