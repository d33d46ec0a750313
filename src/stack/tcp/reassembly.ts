import { FragQueue, SPARSE_BYTES } from '../../memory/frag-queue.ts';
import type { PagePool } from '../../memory/page-pool.ts';
import type { Packet } from '../../nic/packet.ts';
import type { PackingPage } from '../../nic/packing.ts';
import { sequenceDifference, sequenceLess, sequenceLessOrEqual, sequenceMin } from '../../wire/sequence.ts';

/** Islands of one connection: beyond it, a segment that would begin another is dropped (it may: it was not promised). */
const MAX_BLOCKS = 512;
/** Fragments in all of them: beyond it, if they are that short, a segment is dropped too. */
const MAX_SPARSE_FRAGMENTS = 2048;
/** An island of fewer fragments than this is left as it is. */
const PACKING_FLOOR = 16;

/** Most connections have none: they share this. */
const NO_BLOCKS: readonly Block[] = [];

/** One island of contiguous payload ahead of `rcvNxt`. */
class Block {
  start = 0;
  end = 0;
  /** Those that grew last before it, and after it: SACK names the youngest first (RFC 2018 §4). */
  older: Block | null = null;
  younger: Block | null = null;
  frags: FragQueue = new FragQueue();
}

/**
 * Payload that came out of order, where it landed: islands sorted by sequence number, each a queue of references. A byte
 * that is here is never replaced: of what overlaps, only the missing parts are taken.
 */
export class Reassembly {
  #blocks: readonly Block[] = NO_BLOCKS;
  #youngest: Block | null = null;
  #fragments = 0;
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
    const block = this.#blocks[this.#indexOf(start)];
    return block !== undefined && sequenceLess(start, block.end) && sequenceLessOrEqual(end, block.end);
  }

  /**
   * Takes over what is new of a packet's payload, which begins at `start` and lies ahead of the next byte expected.
   * @returns the bytes taken; 0 leaves the packet as it was; -1: there are too many islands, or fragments.
   */
  insert(packet: Packet, start: number): number {
    const end = (start + packet.payloadBytes) | 0;
    if (this.covers(start, end)) return 0;
    if (this.#fragments >= MAX_SPARSE_FRAGMENTS && this.bytes < this.#fragments * SPARSE_BYTES) return -1;
    let index = this.#indexOf(start);
    if (index < 0 || sequenceLess(this.#blocks[index]!.end, start)) {
      index++;
      const next = this.#blocks[index];
      const isNew = next === undefined || sequenceLess(end, next.start);
      if (isNew && this.#blocks.length >= MAX_BLOCKS) return -1;
      this.#insertBlock(index, start);
    }
    const block = this.#blocks[index]!;
    this.#makeYoungest(block);
    this.#fragments -= block.frags.count;
    const taken = this.#extend(index, packet, start, end);
    this.#fragments += block.frags.count;
    packet.trimTo(0);
    packet.disownPayload();
    this.bytes += taken;
    return taken;
  }

  /** The island that grew last is made of many short fragments. */
  get isSparse(): boolean {
    return this.#youngest !== null && this.#youngest.frags.isSparse(PACKING_FLOOR);
  }

  /** Makes the fragments of that island, in the chunks of `pool`, fewer. Returns the bytes moved for it. */
  pack(packing: PackingPage, pool: PagePool): number {
    if (this.#youngest === null) return 0;
    const { frags } = this.#youngest;
    this.#fragments -= frags.count;
    const moved = packing.takeQueue(frags, pool);
    this.#fragments += frags.count;
    return moved;
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
      this.#forget(block);
      this.bytes -= sequenceDifference(block.end, block.start);
      const overlap = sequenceDifference(next, block.start);
      if (overlap > 0) block.frags.discard(overlap);
      append(queue, block.frags);
      if (sequenceLess(next, block.end)) next = block.end;
    }
    return next;
  }

  /** Writes up to `limit` islands into the two arrays from `first`, the youngest first. Returns how many entries are set. */
  writeSack(lefts: Int32Array, rights: Int32Array, first: number, limit: number): number {
    let count = first;
    for (let block = this.#youngest; block !== null && count < limit; block = block.older) {
      lefts[count] = block.start;
      rights[count] = block.end;
      count++;
    }
    return count;
  }

  clear(): void {
    for (const block of this.#blocks) block.frags.clear();
    this.#blocks = NO_BLOCKS;
    this.#youngest = null;
    this.#fragments = 0;
    this.bytes = 0;
  }

  /** The last island that begins at or before `sequence`, or -1. Most of what comes is behind all of them. */
  #indexOf(sequence: number): number {
    let low = 0;
    let high = this.#blocks.length;
    if (high > 0 && sequenceLessOrEqual(this.#blocks[high - 1]!.start, sequence)) return high - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sequenceLessOrEqual(this.#blocks[middle]!.start, sequence)) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #makeYoungest(block: Block): void {
    if (this.#youngest === block) return;
    this.#unlink(block);
    block.older = this.#youngest;
    if (this.#youngest !== null) this.#youngest.younger = block;
    this.#youngest = block;
  }

  /** Takes an island out of the order of age. */
  #unlink(block: Block): void {
    const { older, younger } = block;
    if (older !== null) older.younger = younger;
    if (younger !== null) younger.older = older;
    else if (this.#youngest === block) this.#youngest = older;
    block.older = null;
    block.younger = null;
  }

  /** The island is no more, or its fragments are another's. */
  #forget(block: Block): void {
    this.#fragments -= block.frags.count;
    this.#unlink(block);
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
      this.#forget(next);
      block.frags = join(block.frags, next.frags);
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

/** Moves all of the second queue behind the first. */
function append(to: FragQueue, from: FragQueue): void {
  if (to.count === 0) {
    to.become(from);
    return;
  }
  while (from.count > 0) {
    const pool = from.pool();
    const iov = from.iov();
    const offset = from.offset();
    const size = from.size();
    from.shift();
    to.push(pool, iov, offset, size);
  }
}

/**
 * The two behind each other, in one of them. It is the shorter one that moves: what a fragment is moved by at least
 * doubles what it is part of, so that none is moved more often than its island can double.
 */
function join(left: FragQueue, right: FragQueue): FragQueue {
  if (left.count >= right.count) {
    append(left, right);
    return left;
  }
  while (left.count > 0) {
    const last = left.count - 1;
    const pool = left.pool(last);
    const iov = left.iov(last);
    const offset = left.offset(last);
    const size = left.size(last);
    left.pop();
    right.unshift(pool, iov, offset, size);
  }
  return right;
}
