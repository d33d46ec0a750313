import type { DeviceMemory } from '../memory/device-memory.ts';
import type { Digester } from '../memory/digest.ts';

/**
 * The digest of one stream, piece by piece where it lies: references into device memory are hashed in place by the
 * exporter, what the header split left in host memory from there.
 */
export class StreamDigest {
  readonly #digester: Digester;

  /** @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT for an unknown algorithm. */
  constructor(memory: DeviceMemory, algorithm: string) {
    this.#digester = memory.digester(algorithm);
  }

  updateMemory(offset: number, length: number): void {
    this.#digester.update(offset, length);
  }

  updateBytes(bytes: Uint8Array): void {
    this.#digester.updateBytes(bytes);
  }

  /** In lower-case hexadecimal; once. */
  hex(): string {
    return this.#digester.hex();
  }
}
