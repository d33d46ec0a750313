import { FragQueue } from '../../memory/frag-queue.ts';
import type { PagePool } from '../../memory/page-pool.ts';
import type { Packet } from '../../nic/packet.ts';
import { sequenceDifference, sequenceLess, sequenceLessOrEqual, sequenceMin } from '../../wire/sequence.ts';

/** Islands of one connection: beyond it, a segment that would begin another is dropped (it may: it was not promised). */
const MAX_BLOCKS = 512;

/** Most connections have none: they share this. */
const NO_BLOCKS: readonly Block[] = [];

/** One island of contiguous payload ahead of `rcvNxt`. */
class Block {
  start = 0;
  end = 0;
  /** When it last grew, counted in segments: SACK names the youngest first (RFC 2018 §4). */
  stamp = 0;
  readonly frags: FragQueue = new FragQueue();
}

/**
 * Payload that came out of order, where it landed: islands sorted by sequence number, each a queue of references. A byte
 * that is here is never replaced: of what overlaps, only the missing parts are taken.
 */
export class Reassembly {
  #blocks: readonly Block[] = NO_BLOCKS;
  #clock = 0;
  /** Payload bytes held. */
  bytes = 0;

  get isEmpty(): boolean {
    return this.#blocks.length === 0;
  }

  get blockCount(): number {
    return this.#blocks.length;
  }

  blockStart(index: number): number {
    return this.#blocks[index]!.start;
  }

  blockEnd(index: number): number {
    return this.#blocks[index]!.end;
  }

  /** Sequence number behind the last byte held, or `otherwise` if there is none. */
  highestEnd(otherwise: number): number {
    return this.#blocks.length === 0 ? otherwise : this.#blocks[this.#blocks.length - 1]!.end;
  }

  /** Sequence number of the first byte held, or `otherwise` if there is none. */
  lowestStart(otherwise: number): number {
    return this.#blocks.length === 0 ? otherwise : this.#blocks[0]!.start;
  }

  /** Whether [start, end) is held already, all of it. */
  covers(start: number, end: number): boolean {
    for (const block of this.#blocks) {
      if (sequenceLess(start, block.start)) return false;
      if (sequenceLess(start, block.end)) return sequenceLessOrEqual(end, block.end);
    }
    return false;
  }

  /**
   * Takes over what is new of a packet's payload, which begins at `start` and lies ahead of the next byte expected.
   * @returns the bytes taken; 0 leaves the packet as it was; -1: there are too many islands.
   */
  insert(packet: Packet, start: number): number {
    const end = (start + packet.payloadBytes) | 0;
    if (this.covers(start, end)) return 0;
    let index = this.#blocks.length;
    while (index > 0 && sequenceLess(start, this.#blocks[index - 1]!.start)) index--;
    if (index > 0 && sequenceLessOrEqual(start, this.#blocks[index - 1]!.end)) index--;
    else if (this.#blocks.length === MAX_BLOCKS) return -1;
    else this.#insertBlock(index, start);
    const block = this.#blocks[index]!;
    block.stamp = ++this.#clock;
    const taken = this.#extend(index, packet, start, end);
    packet.trimTo(0);
    packet.disownPayload();
    this.bytes += taken;
    return taken;
  }

  /** References held to the chunks of one pool: for statistics. */
  referencesTo(pool: PagePool): number {
    let references = 0;
    for (const { frags } of this.#blocks) {
      for (let i = 0; i < frags.count; i++) if (frags.pool(i) === pool) references++;
    }
    return references;
  }

  /** Moves what follows `sequence` without a gap to `queue`. Returns the sequence number that is missing then. */
  drain(sequence: number, queue: FragQueue): number {
    let next = sequence;
    while (this.#blocks.length > 0 && sequenceLessOrEqual(this.#blocks[0]!.start, next)) {
      const block = (this.#blocks as Block[]).shift()!;
      this.bytes -= sequenceDifference(block.end, block.start);
      const overlap = sequenceDifference(next, block.start);
      if (overlap > 0) block.frags.discard(overlap);
      moveAll(block.frags, queue);
      if (sequenceLess(next, block.end)) next = block.end;
    }
    return next;
  }

  /** Writes up to `limit` islands into the two arrays from `first`, the youngest first. Returns how many entries are set. */
  writeSack(lefts: Int32Array, rights: Int32Array, first: number, limit: number): number {
    let count = first;
    let below = Number.POSITIVE_INFINITY;
    while (count < limit) {
      let youngest: Block | null = null;
      for (const block of this.#blocks) {
        if (block.stamp < below && (youngest === null || block.stamp > youngest.stamp)) youngest = block;
      }
      if (youngest === null) break;
      below = youngest.stamp;
      lefts[count] = youngest.start;
      rights[count] = youngest.end;
      count++;
    }
    return count;
  }

  clear(): void {
    for (const block of this.#blocks) block.frags.clear();
    this.#blocks = NO_BLOCKS;
    this.bytes = 0;
  }

  #insertBlock(index: number, start: number): void {
    const block = new Block();
    block.start = start;
    block.end = start;
    if (this.#blocks === NO_BLOCKS) this.#blocks = [block];
    else (this.#blocks as Block[]).splice(index, 0, block);
  }

  /** Lets the island at `index` grow to `end`, swallowing those it meets. Returns the bytes taken from the packet. */
  #extend(index: number, packet: Packet, start: number, end: number): number {
    const block = this.#blocks[index]!;
    let at = start;
    let taken = 0;
    for (;;) {
      if (sequenceLess(at, block.end)) {
        packet.trimFront(sequenceDifference(block.end, at));
        at = block.end;
      }
      const next = this.#blocks[index + 1];
      const until = next === undefined ? end : sequenceMin(end, next.start);
      const length = sequenceDifference(until, block.end);
      if (length > 0) {
        takeFront(packet, length, block.frags);
        taken += length;
        block.end = until;
        at = until;
      }
      if (next === undefined || sequenceLess(block.end, next.start)) return taken;
      moveAll(next.frags, block.frags);
      block.end = next.end;
      (this.#blocks as Block[]).splice(index + 1, 1);
      if (sequenceLessOrEqual(end, block.end)) return taken;
    }
  }
}

/** Moves the first `count` bytes of a packet's payload to `queue`, with their references. */
export function takeFront(packet: Packet, count: number, queue: FragQueue): void {
  const pool = packet.pool!;
  let left = count;
  let first = 0;
  while (left > 0 && first < packet.fragCount) {
    const iov = packet.fragIov[first]!;
    const size = packet.fragSize[first]!;
    if (size <= left) {
      queue.push(pool, iov, packet.fragOffset[first]!, size);
      first++;
      left -= size;
    } else {
      pool.retain(iov);
      queue.push(pool, iov, packet.fragOffset[first]!, left);
      packet.fragOffset[first]! += left;
      packet.fragSize[first]! -= left;
      left = 0;
    }
  }
  if (first > 0) {
    packet.fragIov.copyWithin(0, first, packet.fragCount);
    packet.fragOffset.copyWithin(0, first, packet.fragCount);
    packet.fragSize.copyWithin(0, first, packet.fragCount);
    packet.fragCount -= first;
  }
  packet.payloadBytes -= count - left;
}

function moveAll(from: FragQueue, to: FragQueue): void {
  while (from.count > 0) {
    const pool = from.pool();
    const iov = from.iov();
    const offset = from.offset();
    const size = from.size();
    from.shift();
    to.push(pool, iov, offset, size);
  }
}
