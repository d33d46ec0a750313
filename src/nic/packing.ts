import { copyBytes } from '../link/copy.ts';
import { FragQueue } from '../memory/frag-queue.ts';
import { NO_NET_IOV, type PagePool } from '../memory/page-pool.ts';
import type { Packet } from './packet.ts';

/** Payload of at most this part of a page is worth moving: a larger one makes good use of the page it holds. */
const SMALL_PART = 4;

/**
 * A page for the small payloads of one connection. Payloads of all connections share the pages of their queue, so one
 * byte that is not read holds a page that is full of others' bytes; small ones are therefore moved together, as drivers
 * copy small packets out of their receive buffers. Moving is the NIC's business: it happens between its pages, and the
 * place where the payload landed is free again.
 */
export class PackingPage {
  #pool: PagePool | null = null;
  #iov = NO_NET_IOV;
  #used = 0;

  /** Whether the payload is so small that where it lies is a waste. */
  static isSmall(packet: Packet): boolean {
    return packet.payloadBytes > 0 && packet.payloadBytes * SMALL_PART <= packet.pool!.chunkBytes;
  }

  /** Moves a packet's payload here; without a page it stays where it is. Returns the bytes moved. */
  take(packet: Packet): number {
    const pool = packet.pool!;
    if (!this.#makeRoom(pool, packet.payloadBytes)) return 0;
    const { mapping } = pool.region;
    const target = pool.offsetOf(this.#iov) + this.#used;
    let moved = 0;
    for (let i = 0; i < packet.fragCount; i++) {
      const iov = packet.fragIov[i]!;
      copyBytes(mapping, pool.offsetOf(iov) + packet.fragOffset[i]!, mapping, target + moved, packet.fragSize[i]!);
      moved += packet.fragSize[i]!;
      pool.release(iov);
    }
    pool.retain(this.#iov);
    packet.fragCount = 1;
    packet.fragIov[0] = this.#iov;
    packet.fragOffset[0] = this.#used;
    packet.fragSize[0] = moved;
    packet.landedBytes = 0;
    this.#used += moved;
    return moved;
  }

  /**
   * Moves the small ones of what a queue holds in the chunks of `pool` behind each other, so that they are fewer. What
   * finds no page stays where it is. Returns the bytes moved.
   */
  takeQueue(queue: FragQueue, pool: PagePool): number {
    const { mapping } = pool.region;
    const packed = new FragQueue();
    let moved = 0;
    let hasRoom = true;
    while (queue.count > 0) {
      const from = queue.pool();
      const iov = queue.iov();
      const offset = queue.offset();
      const size = queue.size();
      queue.shift();
      const isMoved = from === pool && size * SMALL_PART <= pool.chunkBytes && hasRoom;
      if (!isMoved || !(hasRoom = this.#makeRoom(pool, size))) {
        packed.push(from, iov, offset, size);
        continue;
      }
      copyBytes(mapping, pool.offsetOf(iov) + offset, mapping, pool.offsetOf(this.#iov) + this.#used, size);
      pool.release(iov);
      pool.retain(this.#iov);
      packed.push(pool, this.#iov, this.#used, size);
      this.#used += size;
      moved += size;
    }
    queue.become(packed);
    return moved;
  }

  /** References held to the chunks of one pool: for statistics. */
  referencesTo(pool: PagePool): number {
    return this.#iov !== NO_NET_IOV && this.#pool === pool ? 1 : 0;
  }

  /** Lets go of the page: what lies in it has its own references. */
  release(): void {
    if (this.#iov === NO_NET_IOV) return;
    this.#pool!.release(this.#iov);
    this.#iov = NO_NET_IOV;
    this.#pool = null;
    this.#used = 0;
  }

  #makeRoom(pool: PagePool, bytes: number): boolean {
    if (this.#pool === pool && this.#used + bytes <= pool.chunkBytes) return true;
    this.release();
    this.#iov = pool.allocate();
    if (this.#iov === NO_NET_IOV) return false;
    this.#pool = pool;
    return true;
  }
}
