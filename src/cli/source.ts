import { close, fstat, open, read } from 'node:fs';
import { promisify } from 'node:util';
import type { DeviceMemory } from '../memory/device-memory.ts';

const openFile = promisify(open);
const closeFile = promisify(close);
const statFile = promisify(fstat);
const readFile = promisify(read);
const STDIN_FD = 0;

/** What `send` sends: read into device memory piece by piece. */
export interface Source {
  readonly name: string;
  /** Null: nobody knows (a pipe). */
  readonly sizeBytes: number | null;
  /** Fills at most `length` bytes of the memory at `offset`. @returns how many; 0 at the end. */
  read(memory: DeviceMemory, offset: number, length: number): Promise<number>;
  close(): Promise<void>;
}

/** Opens a file, or stdin for `-`. @throws the system's errors, EISDIR among them. */
export async function openSource(name: string): Promise<Source> {
  const fd = name === '-' ? STDIN_FD : await openFile(name, 'r');
  const stat = await statFile(fd);
  if (stat.isDirectory()) {
    if (fd !== STDIN_FD) await closeFile(fd);
    throw Object.assign(new Error(`read ${name}: is a directory`), { code: 'EISDIR' });
  }
  return fd === STDIN_FD && !stat.isFile()
    ? new PipeSource()
    : new FileSource(name, fd, stat.isFile() ? stat.size : null);
}

/** read(2) straight into the mapped memory, in the thread pool. */
class FileSource implements Source {
  readonly name: string;
  readonly sizeBytes: number | null;
  readonly #fd: number;

  constructor(name: string, fd: number, sizeBytes: number | null) {
    this.name = name;
    this.#fd = fd;
    this.sizeBytes = sizeBytes;
  }

  async read(memory: DeviceMemory, offset: number, length: number): Promise<number> {
    const { bytesRead } = await readFile(this.#fd, memory.mapping, offset, length, null);
    return bytesRead;
  }

  async close(): Promise<void> {
    if (this.#fd !== STDIN_FD) await closeFile(this.#fd);
  }
}

/** A pipe or a terminal on stdin. Not in the thread pool: a read there that nobody answers keeps the process from ending. */
class PipeSource implements Source {
  readonly name = '-';
  readonly sizeBytes = null;
  readonly #iterator: AsyncIterator<Buffer> = process.stdin[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  #rest: Buffer | null = null;

  async read(memory: DeviceMemory, offset: number, length: number): Promise<number> {
    if (this.#rest === null) {
      const next = await this.#iterator.next();
      if (next.done === true) return 0;
      this.#rest = next.value;
    }
    const count = Math.min(length, this.#rest.length);
    memory.dmaWrite(offset, this.#rest, 0, count);
    this.#rest = count === this.#rest.length ? null : this.#rest.subarray(count);
    return count;
  }

  // oxlint-disable-next-line require-await -- the interface is asynchronous
  async close(): Promise<void> {
    process.stdin.destroy();
  }
}
