import { close, fstat, open, write, writev } from 'node:fs';
import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const openFile = promisify(open);
const closeFile = promisify(close);
const statFile = promisify(fstat);
const STDOUT_FD = 1;
/** A file that another program made non-blocking may answer EAGAIN: ask again after this. */
const RETRY_MS = 2;
/** What one writev takes (IOV_MAX on Linux). */
const MAX_PARTS = 1024;

/** Where `--output` goes: written straight out of the mapped device memory. */
export interface OutputSink {
  readonly name: string;
  /** Bytes that the system has taken. */
  readonly writtenBytes: number;
  /** Writes all of `parts` in order; they must not change until it resolves. @throws the system's errors. */
  write(parts: readonly Uint8Array[]): Promise<void>;
  close(): Promise<void>;
}

/** Creates (private to the user) or truncates a file; `-` is stdout. */
export async function openSink(name: string): Promise<OutputSink> {
  if (name !== '-') return new FileSink(name, await openFile(name, 'w', 0o600));
  const stat = await statFile(STDOUT_FD);
  return stat.isFIFO() || stat.isSocket() ? new PipeSink() : new FileSink(name, STDOUT_FD);
}

function withPath(error: Error, name: string): Error {
  return Object.assign(error, { path: name === '-' ? 'stdout' : name });
}

/** In the thread pool. */
class FileSink implements OutputSink {
  readonly name: string;
  writtenBytes = 0;
  readonly #fd: number;

  constructor(name: string, fd: number) {
    this.name = name;
    this.#fd = fd;
  }

  async write(parts: readonly Uint8Array[]): Promise<void> {
    let rest = parts.filter((part) => part.length > 0);
    while (rest.length > 0) {
      const taken = await this.#writeSome(rest.slice(0, MAX_PARTS));
      this.writtenBytes += taken;
      rest = dropFront(rest, taken);
    }
  }

  async close(): Promise<void> {
    if (this.#fd !== STDOUT_FD) await closeFile(this.#fd);
  }

  async #writeSome(parts: readonly Uint8Array[]): Promise<number> {
    try {
      return await this.#call(parts);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw withPath(error as Error, this.name);
      await delay(RETRY_MS);
      return 0;
    }
  }

  #call(parts: readonly Uint8Array[]): Promise<number> {
    return new Promise((resolve, reject) => {
      const done = (error: Error | null, taken: number): void => (error === null ? resolve(taken) : reject(error));
      if (parts.length === 1) write(this.#fd, parts[0]!, 0, parts[0]!.length, null, done);
      else writev(this.#fd, parts as Uint8Array[], done);
    });
  }
}

/** A pipe on stdout. Not in the thread pool: a write there that nobody reads keeps the process from ending. */
class PipeSink implements OutputSink {
  readonly name = '-';
  writtenBytes = 0;
  readonly #socket: Socket = new Socket({ fd: STDOUT_FD, readable: false, writable: true });

  constructor() {
    // Each write hears of it too.
    this.#socket.on('error', () => undefined);
  }

  async write(parts: readonly Uint8Array[]): Promise<void> {
    for (const part of parts) await this.#writePart(part);
  }

  // oxlint-disable-next-line require-await -- the interface is asynchronous
  async close(): Promise<void> {
    this.#socket.destroy();
  }

  #writePart(part: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.write(part, (error) => {
        if (error !== null && error !== undefined) {
          reject(withPath(error, this.name));
          return;
        }
        this.writtenBytes += part.length;
        resolve();
      });
    });
  }
}

/** What is left of `parts` after the system took `count` bytes from the front. */
export function dropFront(parts: readonly Uint8Array[], count: number): Uint8Array[] {
  let left = count;
  const rest: Uint8Array[] = [];
  for (const part of parts) {
    if (left >= part.length) {
      left -= part.length;
      continue;
    }
    rest.push(left === 0 ? part : part.subarray(left));
    left = 0;
  }
  return rest;
}
