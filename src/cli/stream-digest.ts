import type { Hash } from 'node:crypto';
import type { DeviceMemory } from '../memory/device-memory.ts';
import { hashRange, openHash } from '../memory/digest.ts';

/**
 * The digest of one stream, piece by piece where it lies: references into device memory are hashed in place with the
 * exporter's own routine, what the header split left in host memory from there. (`DeviceMemory.digester` alone cannot
 * take the second kind in between.)
 */
export class StreamDigest {
  readonly #memory: DeviceMemory;
  readonly #hash: Hash;

  /** @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT for an unknown algorithm. */
  constructor(memory: DeviceMemory, algorithm: string) {
    this.#memory = memory;
    this.#hash = openHash(algorithm);
  }

  updateMemory(offset: number, length: number): void {
    hashRange(this.#hash, this.#memory.mapping, offset, length);
  }

  updateBytes(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  /** In lower-case hexadecimal; once. */
  hex(): string {
    return this.#hash.digest('hex');
  }
}
