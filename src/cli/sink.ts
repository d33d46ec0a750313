import { close, open, write, writev } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const openFile = promisify(open);
const closeFile = promisify(close);
const STDOUT_FD = 1;
/** A pipe that another program made non-blocking answers EAGAIN: ask again after this. */
const RETRY_MS = 2;
/** What one writev takes (IOV_MAX on Linux). */
const MAX_PARTS = 1024;

interface SystemError {
  code?: string;
  path?: string;
}

/** Where `--output` goes: a file or stdout. Writes straight out of the mapped device memory, in the thread pool. */
export class OutputSink {
  readonly name: string;
  /** Bytes that the system has taken. */
  writtenBytes = 0;
  readonly #fd: number;

  private constructor(name: string, fd: number) {
    this.name = name;
    this.#fd = fd;
  }

  /** Creates (private to the user) or truncates `name`; `-` is stdout. */
  static async open(name: string): Promise<OutputSink> {
    return new OutputSink(name, name === '-' ? STDOUT_FD : await openFile(name, 'w', 0o600));
  }

  /** Writes all of `parts` in order; they must not change until it resolves. */
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
      const system = error as SystemError;
      if (system.code === 'EAGAIN') {
        await delay(RETRY_MS);
        return 0;
      }
      system.path = this.name === '-' ? 'stdout' : this.name;
      throw error;
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
