import type { ExportedMemory, MemoryExporter } from './exporter.ts';

/** Memory in a sealed memfd, mapped once: its descriptor can be handed to other processes. */
export const memfdExporter: MemoryExporter = {
  async allocate(sizeBytes: number): Promise<ExportedMemory> {
    const [{ loadLibc }, { openMemfd }, { SharedMapping }] = await Promise.all([
      import('../../linux/libc.ts'),
      import('../../linux/memfd.ts'),
      import('../../linux/mapping.ts'),
    ]);
    const libc = await loadLibc();
    const fd = openMemfd(libc, 'devmem-tcp', sizeBytes);
    try {
      const mapping = new SharedMapping(libc, fd, sizeBytes);
      return new MemfdMemory(fd, mapping.bytes, () => {
        mapping.release();
        libc.close(fd);
      });
    } catch (error) {
      libc.close(fd);
      throw error;
    }
  },
};

class MemfdMemory implements ExportedMemory {
  readonly fd: number;
  readonly mapping: Uint8Array;
  readonly #free: () => void;

  constructor(fd: number, mapping: Uint8Array, free: () => void) {
    this.fd = fd;
    this.mapping = mapping;
    this.#free = free;
  }

  beginAccess(): void {
    // Ordinary cached memory: nothing to bracket.
  }

  endAccess(): void {
    // As above.
  }

  free(): void {
    this.#free();
  }
}
