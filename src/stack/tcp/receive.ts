import { FragQueue } from '../../memory/frag-queue.ts';
import type { PagePool } from '../../memory/page-pool.ts';
import type { Packet } from '../../nic/packet.ts';
import { PackingPage } from '../../nic/packing.ts';
import { sequenceDifference, sequenceGreater, sequenceLess } from '../../wire/sequence.ts';
import { TCP_FIN, TCP_PSH, TCP_URG } from '../../wire/tcp.ts';
import { MAX_SACK_BLOCKS } from '../../wire/tcp-options.ts';
import { AckTiming } from './ack-timing.ts';
import type { TcpConfig } from './config.ts';
import type { TcpConnection } from './connection.ts';
import type { TcpCounters } from './counters.ts';
import type { SocketOptions } from './options.ts';
import { Reassembly, takeFront } from './reassembly.ts';
import { ReceiveTuning } from './receive-tuning.ts';
import type { Segment } from './segment.ts';
import { ReceiveWindow } from './window.ts';

/** The segment size taken for full before any was seen (RFC 9293 §3.7.1), and the least that ever is. */
const INITIAL_SEGMENT_BYTES = 536;
const MIN_SEGMENT_BYTES = 88;
/** Less than this never shows how long the peer's segments get: what it writes is that short (TCP_MSS_DEFAULT). */
const MIN_USUAL_BYTES = 516;
/** Duplicate acknowledgments for what came in one batch: a sender without SACK counts them. */
const MAX_DUPLICATE_ACKS = 64;
/** A queue of fewer fragments than this is not worth packing. */
const PACKING_FLOOR = 256;
const TICK_MICROS = 1000;
const OVERHANG_BUFFERS = 2;
/** RFC 7323 §5.5: a timestamp older than 24 days says nothing. */
const TIMESTAMP_STALE_MILLIS: number = 24 * 86_400 * 1000;

/**
 * The receiving half of a connection: what arrived, where it is, what was promised, and when to acknowledge. Payload is
 * moved by reference from the packet to the queue or, out of order, to the reassembly store.
 */
export class Receiver {
  irs = 0;
  rcvNxt = 0;
  readonly queue: FragQueue = new FragQueue();
  readonly reassembly: Reassembly = new Reassembly();
  /** Made for the first payload that is worth moving. */
  packing: PackingPage | null = null;
  readonly window: ReceiveWindow;
  finReceived = false;

  /** An acknowledgment is to go out with the next flush. */
  ackNow = false;
  /** Received and not acknowledged: an acknowledgment goes out with the delayed-ACK timer. */
  ackDelayed = false;
  /** Last.ACK.sent (RFC 7323 §4.3). */
  lastAckSent = 0;
  advertisedMss = 0;
  /** The largest payload of a wire segment seen: what RFC 5681 §4.2 calls a full-sized segment. */
  segmentBytes: number = INITIAL_SEGMENT_BYTES;

  timestampRecent = 0;
  /** In whole milliseconds: for weeks they take a third of the memory that microseconds would. */
  timestampRecentMillis = 0;

  bytesReceived = 0;
  outOfOrderSegments = 0;
  begunMillis = 0;
  /** Both are made when the first data comes. */
  ackTiming: AckTiming | null = null;
  tuning: ReceiveTuning | null = null;
  /** New data has come since the delay was last looked at. */
  hasNewDelay = false;
  /** Nobody has accepted the connection yet: its buffer stays small. */
  isUnclaimed = false;
  /** Segments out of order since the last acknowledgment. */
  duplicateAcks = 0;

  #unackedBytes = 0;
  #finSequence = 0;
  #hasFinSequence = false;
  #duplicateLeft = 0;
  #duplicateRight = 0;
  #hasDuplicate = false;
  readonly #counters: TcpCounters;

  readonly #config: Readonly<TcpConfig>;

  constructor(pool: PagePool, options: SocketOptions, config: Readonly<TcpConfig>, counters: TcpCounters) {
    const { receiveBufferInitialBytes, receiveBufferBytes, windowClampBytes } = options;
    this.window = new ReceiveWindow(pool, receiveBufferInitialBytes, receiveBufferBytes, windowClampBytes);
    this.#counters = counters;
    this.#config = config;
  }

  /** The connection exists: memory for the first flight is set aside. */
  open(advertisedMss: number): void {
    this.advertisedMss = advertisedMss;
    this.window.open(advertisedMss, this.#config.initialWindowSegments);
  }

  /** The peer's SYN is here. */
  begin(irs: number, nowMicros: number): void {
    this.irs = irs;
    this.rcvNxt = (irs + 1) | 0;
    this.lastAckSent = this.rcvNxt;
    this.timestampRecentMillis = Math.floor(nowMicros / TICK_MICROS);
    this.begunMillis = this.timestampRecentMillis;
    this.segmentBytes = Math.min(INITIAL_SEGMENT_BYTES, this.advertisedMss);
    this.window.begin(this.rcvNxt);
  }

  /** RFC 7323 §5.2, R1: the segment's timestamp is older than the last one accepted. */
  isOldTimestamp(value: number, nowMicros: number): boolean {
    const ageMillis = nowMicros / TICK_MICROS - this.timestampRecentMillis;
    return ((value - this.timestampRecent) | 0) < 0 && ageMillis < TIMESTAMP_STALE_MILLIS;
  }

  /** A segment with payload is about to be taken: learns the pace, the size and the round trip of what comes. */
  noteData(connection: TcpConnection, segment: Segment, segments: number, nowMicros: number): void {
    const { window } = this;
    const windowBytes = Math.max(0, sequenceDifference(window.edge, this.rcvNxt));
    if (this.ackTiming === null) {
      this.ackTiming = new AckTiming(this.#config.delayedAckMicros, windowBytes, this.segmentBytes, nowMicros);
    } else {
      this.ackTiming.onData(windowBytes, this.segmentBytes, connection.sender.rtt.rtoMicros, nowMicros);
    }
    if (this.tuning === null) {
      const spaceBytes = Math.min(windowBytes, this.#config.initialWindowSegments * this.advertisedMss);
      this.tuning = new ReceiveTuning(Math.max(1, spaceBytes), this.rcvNxt, window.edge, nowMicros);
    }
    const bytes = Math.ceil(segment.payloadBytes / segments);
    this.#noteSegmentSize(bytes, (segment.flags & TCP_PSH) !== 0, (segment.flags & (TCP_URG | TCP_FIN)) !== 0);
    if (!connection.timestampsEnabled) {
      this.tuning.onData(this.rcvNxt, window.edge, nowMicros);
    } else if (segment.options.hasTimestamps && bytes >= this.segmentBytes) {
      const { timestampEcho } = segment.options;
      const ticks = (connection.timestamp(nowMicros) - timestampEcho) | 0;
      this.tuning.onEcho(timestampEcho, Math.max(ticks * TICK_MICROS, ticks < 0 ? -1 : TICK_MICROS / 2));
    }
  }

  /** RFC 7323 §4.3 (2). */
  noteTimestamp(value: number, sequence: number, nowMicros: number): void {
    if (((value - this.timestampRecent) | 0) < 0 || sequenceGreater(sequence, this.lastAckSent)) return;
    this.timestampRecent = value;
    this.timestampRecentMillis = Math.floor(nowMicros / TICK_MICROS);
  }

  /**
   * RFC 9293 §3.10.7.4, seventh and eighth step: takes what is new of a segment's payload, and its FIN.
   * @returns whether there is something to read now that was not before.
   */
  takeSegment(packet: Packet, sequence: number, fin: boolean): boolean {
    const { payloadBytes } = packet;
    const end = (sequence + payloadBytes) | 0;
    const before = this.rcvNxt;
    let finFits = fin;
    if (payloadBytes > 0) finFits = this.#takePayload(packet, sequence) && fin;
    // A FIN before data that is here already is none that an honest peer sends.
    const finIsLast = !sequenceLess(end, this.reassembly.highestEnd(this.rcvNxt)) && !sequenceLess(end, this.rcvNxt);
    if (finFits && finIsLast && !this.#hasFinSequence) {
      this.#finSequence = end;
      this.#hasFinSequence = true;
      // Behind a gap, or where the window is shut: the peer must not take it for lost.
      if (this.rcvNxt !== end || !sequenceLess(end, this.window.edge)) this.ackNow = true;
    } else if (fin) {
      this.ackNow = true;
    }
    this.#finishAtFin();
    this.window.settle(this.rcvNxt, this.reassembly.bytes);
    if (this.finReceived) this.window.close();
    return this.rcvNxt !== before;
  }

  /** A segment that was received before, all of it: the peer will want to know (RFC 2883). */
  noteOldSegment(left: number, right: number): void {
    this.#noteDuplicate(left, right);
  }

  /** Blocks for the SACK option of the next acknowledgment: a duplicate first (RFC 2883), then the youngest islands. */
  writeSack(lefts: Int32Array, rights: Int32Array, limit: number): number {
    let count = 0;
    if (this.#hasDuplicate && limit > 0) {
      lefts[0] = this.#duplicateLeft;
      rights[0] = this.#duplicateRight;
      count = 1;
    }
    return this.reassembly.writeSack(lefts, rights, count, Math.min(limit, MAX_SACK_BLOCKS));
  }

  /** So little window is left that hardly more can come before something is read (as Linux's tcp_epollin_ready). */
  get isWindowUsed(): boolean {
    return sequenceDifference(this.window.edge, this.rcvNxt) <= this.segmentBytes;
  }

  /** A duplicate waits to be reported: another would take its place in the next acknowledgment. */
  get hasDuplicate(): boolean {
    return this.#hasDuplicate;
  }

  /** Whether the next acknowledgment carries SACK blocks. */
  get hasSack(): boolean {
    return this.#hasDuplicate || !this.reassembly.isEmpty;
  }

  /** The application has taken something. */
  drained(nowMicros: number): void {
    const { queue, reassembly, ackTiming, tuning } = this;
    // A page for small payload is kept only while some of it waits.
    if (queue.count === 0 && reassembly.isEmpty) this.packing?.release();
    if (this.ackDelayed && ackTiming !== null) {
      // The window that opens now is news, and so is a reader who has all of what the peer wrote.
      const isNews = this.#unackedBytes > this.segmentBytes || (queue.count === 0 && ackTiming.isReadNews);
      if (isNews) this.ackNow = true;
    }
    if (tuning === null || !this.#config.moderateReceiveBuffer) return;
    const aheadBytes = sequenceDifference(reassembly.highestEnd(this.rcvNxt), this.rcvNxt);
    this.window.grow(tuning.onRead((this.rcvNxt - queue.bytes) | 0, queue.bytes, aheadBytes, nowMicros));
  }

  /** A segment with an acknowledgment was sent. */
  acknowledged(): void {
    this.lastAckSent = this.rcvNxt;
    this.ackNow = false;
    this.ackDelayed = false;
    this.#unackedBytes = 0;
    this.#hasDuplicate = false;
    this.duplicateAcks = 0;
    this.ackTiming?.onAck();
  }

  /**
   * The application has closed: whatever payload comes from now on is answered with a reset and needs no memory. But the
   * peer's FIN needs a window: one that is shut would keep it away for ever.
   */
  end(): void {
    this.clear();
    this.window.close();
    if (!this.finReceived && this.window.admitFin(this.rcvNxt)) this.ackNow = true;
  }

  /** The application is gone: what was not read is given back. */
  clear(): void {
    this.queue.clear();
    this.reassembly.clear();
    this.packing?.release();
    this.window.settle(this.rcvNxt, 0);
  }

  /** Returns whether the segment's end was within the window, so that a FIN behind it counts. */
  #takePayload(packet: Packet, segmentSequence: number): boolean {
    let sequence = segmentSequence;
    const { payloadBytes } = packet;
    const received = sequenceDifference(this.rcvNxt, sequence);
    if (received >= payloadBytes) {
      this.#noteDuplicate(sequence, (sequence + payloadBytes) | 0);
      this.#counters.spuriousDuplicates++;
      return true;
    }
    const right = this.#rightEdge();
    const beyond = sequenceDifference((sequence + payloadBytes) | 0, right);
    const overhang = Math.max(0, beyond);
    if (overhang > 0 && this.#admitsOverhang(received >= 0, right, overhang)) {
      return this.#takePayload(packet, segmentSequence);
    }
    if (overhang >= payloadBytes - Math.max(0, received) || (overhang > 0 && this.queue.count > 0)) {
      this.#counters.dropBeyondWindow++;
      this.ackNow = true;
      return false;
    }
    const wasteBytes = Math.max(0, received) + overhang;
    if (wasteBytes > payloadBytes / 2 && !this.window.affordsWaste(wasteBytes)) {
      this.#counters.dropWasteful++;
      this.ackNow = true;
      return false;
    }
    if (received > 0) {
      this.#noteDuplicate(sequence, this.rcvNxt);
      packet.trimFront(received);
      sequence = this.rcvNxt;
    }
    if (overhang > 0) packet.trimTo(packet.payloadBytes - overhang);
    if (this.#isWorthPacking(packet)) this.#counters.packedBytes += (this.packing ??= new PackingPage()).take(packet);
    if (sequence === this.rcvNxt) this.#takeInOrder(packet);
    else this.#takeOutOfOrder(packet, sequence);
    return overhang === 0;
  }

  /**
   * Among other connections, small payload must not hold pages that are full of theirs: a reader that does not read
   * would starve those that do. Where it continues what is queued it holds nothing more.
   */
  #isWorthPacking(packet: Packet): boolean {
    const pool = packet.pool!;
    return (
      pool.sharers > 1 &&
      pool === this.window.pool &&
      PackingPage.isSmall(packet) &&
      !this.queue.endsAt(pool, packet.fragIov[0]!, packet.fragOffset[0]!) &&
      this.window.affordsWaste(pool.chunkBytes)
    );
  }

  #affordsPacking(): boolean {
    return this.window.affordsWaste(this.window.pool.chunkBytes);
  }

  /** Nothing is taken behind the peer's FIN, even if it arrives before it. */
  #rightEdge(): number {
    if (this.#hasFinSequence && sequenceLess(this.#finSequence, this.window.edge)) return this.#finSequence;
    return this.window.edge;
  }

  #takeInOrder(packet: Packet): void {
    if (this.reassembly.isEmpty) {
      this.#append(packet, packet.payloadBytes);
    } else {
      this.#fillGaps(packet);
      this.ackNow = true; // RFC 5681 §4.2: a segment that fills a gap is acknowledged at once
    }
    packet.disownPayload();
    if (this.queue.isSparse(PACKING_FLOOR) && this.#affordsPacking()) {
      this.#counters.packedBytes += (this.packing ??= new PackingPage()).takeQueue(this.queue, this.window.pool);
    }
    // RFC 9293 §3.8.6.3, RFC 5681 §4.2: at least every second full-sized segment; but where the buffer fills, whoever
    // reads will say so with a window that is worth it.
    const isFilling = this.queue.bytes > this.window.limitBytes / 2;
    const isDue = (this.ackTiming?.isQuick ?? true) || this.#unackedBytes > this.segmentBytes;
    if (isDue && !isFilling) this.ackNow = true;
    else this.ackDelayed = this.hasNewDelay = true;
  }

  /**
   * A segment that reaches beyond the window is taken whole if nothing else waits and there is memory for it, as Linux
   * does: a peer that ignores the window would only send it again. Out of order, within twice the buffer.
   */
  #admitsOverhang(isNext: boolean, right: number, bytes: number): boolean {
    const { window } = this;
    if (this.queue.count > 0 || this.#hasFinSequence || !window.affordsWaste(bytes)) return false;
    const reachBytes = sequenceDifference(right, this.rcvNxt) + bytes;
    if (!isNext && reachBytes > OVERHANG_BUFFERS * window.limitBytes) return false;
    window.stretch(bytes);
    return true;
  }

  #append(packet: Packet, bytes: number): void {
    takeFront(packet, bytes, this.queue);
    this.bytesReceived += bytes;
    this.#unackedBytes += bytes;
    this.rcvNxt = (this.rcvNxt + bytes) | 0;
  }

  /** Takes of the packet what lies between the islands: what they hold came first and stays. */
  #fillGaps(packet: Packet): void {
    let position = this.rcvNxt;
    this.#noteOverlap((position + packet.payloadBytes) | 0);
    while (packet.payloadBytes > 0) {
      const gap = sequenceDifference(this.reassembly.lowestStart((position + packet.payloadBytes) | 0), position);
      this.#append(packet, Math.min(gap, packet.payloadBytes));
      position = this.rcvNxt;
      this.rcvNxt = this.reassembly.drain(this.rcvNxt, this.queue);
      packet.trimFront(sequenceDifference(this.rcvNxt, position));
      position = this.rcvNxt;
    }
  }

  /** RFC 2883 §4.2: what a segment up to `end` brings that the first island holds already is a duplicate to report. */
  #noteOverlap(end: number): void {
    const start = this.reassembly.lowestStart(end);
    if (!sequenceLess(start, end) || this.#hasDuplicate) return;
    const islandEnd = this.reassembly.blockEnd(0);
    this.#noteDuplicate(start, sequenceLess(islandEnd, end) ? islandEnd : end);
  }

  #takeOutOfOrder(packet: Packet, sequence: number): void {
    this.ackNow = true; // RFC 5681 §4.2
    const end = (sequence + packet.payloadBytes) | 0;
    const taken = this.reassembly.insert(packet, sequence);
    if (taken < 0) {
      this.#counters.dropReassemblyFull++;
    } else if (taken === 0) {
      this.#noteDuplicate(sequence, end);
      this.#counters.spuriousDuplicates++;
    } else {
      this.bytesReceived += taken;
      this.duplicateAcks = Math.min(MAX_DUPLICATE_ACKS, this.duplicateAcks + packet.segments);
      if (this.tuning !== null && this.#config.moderateReceiveBuffer && taken > 0 && !this.isUnclaimed) {
        this.window.grow(this.tuning.onGap(sequenceDifference(end, this.rcvNxt)));
      }
      this.outOfOrderSegments += packet.segments;
      this.#counters.outOfOrderSegments += packet.segments;
      if (this.reassembly.isSparse && this.#affordsPacking()) {
        this.#counters.packedBytes += this.reassembly.pack((this.packing ??= new PackingPage()), this.window.pool);
      }
    }
  }

  #finishAtFin(): void {
    if (!this.#hasFinSequence || this.finReceived || this.rcvNxt !== this.#finSequence) return;
    this.finReceived = true;
    this.rcvNxt = (this.rcvNxt + 1) | 0;
    this.#hasDuplicate = false;
    // The peer waits for nothing but our own FIN, which will carry the acknowledgment (as Linux has it).
    if (this.ackTiming === null) {
      this.ackNow = true;
    } else {
      this.ackTiming.setQuick(false);
      this.ackDelayed = true;
    }
  }

  /**
   * The largest payload seen is what RFC 5681 §4.2 calls a full-sized segment; two of one smaller size that are not just
   * what the application wrote lower it again.
   */
  #noteSegmentSize(bytes: number, isPush: boolean, isOdd: boolean): void {
    const timing = this.ackTiming!;
    const lastShortBytes = timing.lastShortBytes;
    timing.lastShortBytes = 0;
    if (bytes >= this.segmentBytes) {
      this.segmentBytes = Math.min(bytes, Math.max(this.advertisedMss, 1));
      timing.onSize(true, isPush);
      return;
    }
    if (bytes >= MIN_USUAL_BYTES || (bytes >= MIN_SEGMENT_BYTES && !isPush && !isOdd)) {
      timing.lastShortBytes = bytes;
      if (bytes === lastShortBytes) {
        this.segmentBytes = bytes;
        return;
      }
    }
    timing.onSize(false, isPush);
  }

  #noteDuplicate(left: number, right: number): void {
    this.ackNow = true;
    const windowBytes = Math.max(0, sequenceDifference(this.window.edge, this.rcvNxt));
    this.ackTiming?.hurry(windowBytes, this.segmentBytes);
    if (!this.#config.duplicateSack) return;
    this.#hasDuplicate = true;
    this.#duplicateLeft = left;
    this.#duplicateRight = right;
  }
}
