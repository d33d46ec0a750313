import { randomBelow, type Random } from '../../src/core/random.ts';
import type { PagePool } from '../../src/memory/page-pool.ts';
import type { TcpConnection } from '../../src/stack/tcp/connection.ts';
import type { SimHost } from './host.ts';
import type { PatternStream } from './stream.ts';
import type { World } from './world.ts';

/** How an application treats what arrives. */
export interface ReaderOptions {
  /** Each page is given back after up to this long; 0: at once. */
  holdMicros?: number;
  /** Pages that are never given back while the connection lives. */
  hoardPages?: number;
  /** The application looks at its connection only so often; 0: whenever there is news. */
  intervalMicros?: number;
}

interface Held {
  pool: PagePool;
  iov: number;
}

/** Takes what has arrived, compares it with what was sent, and gives the pages back when it feels like it. */
export class Reader {
  received = 0;
  readonly #world: World;
  readonly #host: SimHost;
  readonly #boots: number;
  readonly #random: Random;
  readonly #stream: PatternStream;
  readonly #options: Required<ReaderOptions>;
  readonly #hoard: Held[] = [];
  #nextMicros = 0;
  #isWaiting = false;

  constructor(world: World, host: SimHost, stream: PatternStream, random: Random, options: ReaderOptions) {
    this.#world = world;
    this.#host = host;
    this.#boots = host.boots;
    this.#stream = stream;
    this.#random = random;
    this.#options = {
      holdMicros: options.holdMicros ?? 0,
      hoardPages: options.hoardPages ?? 0,
      intervalMicros: options.intervalMicros ?? 0,
    };
  }

  /**
   * Reads what there is. Returns the bytes read.
   * @param again called when a reader that looks seldom looks again.
   */
  read(connection: TcpConnection, again: () => void): number {
    const { intervalMicros } = this.#options;
    const now = this.#world.nowMicros;
    if (intervalMicros > 0 && now < this.#nextMicros) {
      if (!this.#isWaiting) {
        this.#isWaiting = true;
        this.#world.at(this.#nextMicros, () => {
          this.#isWaiting = false;
          again();
        });
      }
      return 0;
    }
    this.#nextMicros = now + intervalMicros;
    return this.#take(connection);
  }

  /** The application is done with everything it keeps. */
  releaseAll(): void {
    this.#release(this.#hoard.splice(0));
  }

  /** Whether the host that lent the pages is still up. */
  get #isAlive(): boolean {
    return this.#host.isRunning && this.#host.boots === this.#boots;
  }

  #take(connection: TcpConnection): number {
    const queue = connection.receiveQueue;
    const before = this.received;
    const { hoardPages, holdMicros } = this.#options;
    const hoarded = this.#hoard.length;
    const kept: Held[] = [];
    while (queue.count > 0) {
      const pool = queue.pool();
      const iov = queue.iov();
      const size = queue.size();
      const at = pool.offsetOf(iov) + queue.offset();
      if (queue.offset() + size > pool.chunkBytes) throw new Error('a fragment leaves its page');
      if (!this.#stream.matches(pool.region.mapping, at, size, this.received)) {
        throw new Error(`the stream differs within ${size} bytes from offset ${this.received}`);
      }
      this.received += size;
      queue.shift();
      if (this.#hoard.length < hoardPages) this.#hoard.push({ pool, iov });
      else if (holdMicros > 0) kept.push({ pool, iov });
      else pool.release(iov);
    }
    this.#host.heldReferences += this.#hoard.length - hoarded + kept.length;
    const taken = this.received - before;
    if (taken > 0) connection.consumed(taken, this.#host.nowMicros());
    if (kept.length > 0) this.#world.after(1 + randomBelow(this.#random, holdMicros), () => this.#release(kept));
    return taken;
  }

  #release(kept: readonly Held[]): void {
    if (!this.#isAlive || kept.length === 0) return;
    this.#host.heldReferences -= kept.length;
    for (const { pool, iov } of kept) pool.release(iov);
    this.#host.touch();
  }
}
