import type { DeviceMemory } from '../memory/device-memory.ts';
import type { DevmemSocket } from '../socket/devmem-socket.ts';

/**
 * Sends out of a device memory that is a ring of equal chunks: a chunk is filled, sent in place, and filled again once
 * the peer has acknowledged it and no link reads it any more.
 */
export class ChunkSender {
  readonly chunkBytes: number;
  /** Sends so far. */
  chunks = 0;
  /** The first thing that went wrong, or null. */
  failure: unknown = null;
  readonly #socket: DevmemSocket;
  readonly #memory: DeviceMemory;
  readonly #slots: Promise<void>[];
  #next = 0;

  constructor(socket: DevmemSocket, memory: DeviceMemory, chunkBytes: number) {
    this.#socket = socket;
    this.#memory = memory;
    this.chunkBytes = Math.min(chunkBytes, memory.sizeBytes);
    const slots = Math.floor(memory.sizeBytes / this.chunkBytes);
    this.#slots = Array.from({ length: slots }, () => Promise.resolve());
  }

  /** Waits until the next chunk of the ring may be filled. @returns its offset in the memory. @throws `failure` */
  async slot(): Promise<number> {
    await this.#slots[this.#next];
    this.#check();
    return this.#next * this.chunkBytes;
  }

  /** Sends the first `length` bytes of the chunk that `slot` gave out. */
  send(length: number): void {
    const offset = this.#next * this.chunkBytes;
    this.chunks++;
    this.#slots[this.#next] = this.#complete(this.#socket.sendFrom(this.#memory, { offset, length }));
    this.#next = (this.#next + 1) % this.#slots.length;
  }

  /** Waits for everything that was sent. @throws `failure` */
  async drain(): Promise<void> {
    await Promise.all(this.#slots);
    this.#check();
  }

  async #complete(sending: Promise<void>): Promise<void> {
    try {
      await sending;
    } catch (error) {
      this.failure ??= error;
    }
  }

  #check(): void {
    if (this.failure !== null) throw this.failure as Error;
  }
}
