import { ERRNO } from '../../core/errno.ts';
import { errnoError } from '../../core/errors.ts';
import type { ExportedMemory, MemoryExporter } from './exporter.ts';

/** Memory in a SharedArrayBuffer: any operating system, no FFI, visible to workers. */
export const sharedExporter: MemoryExporter = {
  // oxlint-disable-next-line require-await -- the interface is asynchronous; an error has to be a rejection
  async allocate(sizeBytes: number): Promise<ExportedMemory> {
    return new SharedMemory(sizeBytes);
  },
};

class SharedMemory implements ExportedMemory {
  readonly mapping: Uint8Array;
  readonly fd = null;

  constructor(sizeBytes: number) {
    try {
      this.mapping = new Uint8Array(new SharedArrayBuffer(sizeBytes));
    } catch (cause) {
      throw errnoError(ERRNO.ENOMEM, `SharedArrayBuffer of ${sizeBytes} bytes`, {
        hint: "exporter 'memfd' has no such limit",
        cause,
      });
    }
  }

  beginAccess(): void {
    // The CPU is the only one that ever touches it.
  }

  endAccess(): void {
    // As above.
  }

  free(): void {
    // The garbage collector's, once no view is left.
  }
}
