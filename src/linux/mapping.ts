import { checked, type Libc } from './libc.ts';

const PROT_READ_WRITE = 1 | 2;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const MAP_POPULATE = 0x8000;

/**
 * A descriptor's memory mapped into this process, shared and writable.
 *
 * Reading unmapped memory ends the process, and JavaScript cannot know how many views are left. So `release()` puts empty
 * pages in the mapping's place, which frees the memory and leaves such views harmless, and the addresses themselves go
 * when the garbage collector has found the last view.
 */
export class SharedMapping {
  readonly address: number;
  readonly bytes: Uint8Array;
  readonly #libc: Libc;
  #released = false;

  /**
   * @param lengthBytes from the start of `fd`; all pages are made present, so that payload never waits for one.
   * @throws DevmemError with mmap's errno
   */
  constructor(libc: Libc, fd: number, lengthBytes: number) {
    const flags = MAP_SHARED | MAP_POPULATE;
    const address = libc.mmap(0, lengthBytes, PROT_READ_WRITE, flags, fd, 0);
    this.address = checked(libc, address, 'mmap', `mmap of ${lengthBytes} bytes`);
    this.#libc = libc;
    this.bytes = libc.viewOf(address, lengthBytes);
  }

  /** Gives the memory back. Views that are left read zeros. Idempotent. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    const lengthBytes = this.bytes.length;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    const address = this.#libc.mmap(this.address, lengthBytes, PROT_READ_WRITE, flags, -1, 0);
    checked(this.#libc, address, 'mmap', `replacing a mapping of ${lengthBytes} bytes`);
    abandoned.register(this.bytes.buffer, { libc: this.#libc, address, lengthBytes });
  }
}

const abandoned = new FinalizationRegistry<{ libc: Libc; address: number; lengthBytes: number }>((range) => {
  range.libc.munmap(range.address, range.lengthBytes);
});
