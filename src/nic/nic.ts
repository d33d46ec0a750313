import { DevmemError, invalidArgument } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import { MiB } from '../core/units.ts';
import { FRAME_CHECKSUM_VALID, FRAME_NEEDS_CHECKSUM, GSO_NONE, MAX_FRAME_BYTES, type Link } from '../link/link.ts';
import { NO_NET_IOV, PagePool } from '../memory/page-pool.ts';
import { HostRegion } from '../memory/region.ts';
import { foldChecksum, pseudoHeaderSum4, pseudoHeaderSum6, sumBytes } from '../wire/checksum.ts';
import { ETHERTYPE_IPV4 } from '../wire/ethernet.ts';
import { PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/protocols.ts';
import { udpChecksum, udpLengthBytes } from '../wire/udp.ts';
import { NicCounters } from './counters.ts';
import { Landing } from './landing.ts';
import { HEADER_SLOT_BYTES, Packet } from './packet.ts';
import { BAD_FRAME, FOREIGN_VLAN, NEEDS_MORE, PARSED, parseFrame } from './parser.ts';
import { Rss } from './rss.ts';
import { RxQueue } from './rx-queue.ts';
import { NO_RULE, SteeringTable, type SteeringRule } from './steering.ts';
import { Transmitter } from './transmitter.ts';
import type { TxFrame } from './tx-frame.ts';

/** Slots of the header ring: the headers of the last frames stay readable for tracing. */
const HEADER_RING_SLOTS = 16;
/** Multicast groups a NIC filters for; at the limit it accepts all multicast, as hardware does. */
const MAX_MULTICAST_GROUPS = 64;
const MAX_RX_QUEUES = 64;
/** Frames with a shorter header until it is believed that the longer ones are over. */
const LONGER_HEADER_MEMORY = 256;

/** `receive()`: nothing waiting. */
export const RX_IDLE = 0;
/** `receive()`: `nic.packet` is there. */
export const RX_PACKET = 1;
/** `receive()`: a frame came and was dropped; a counter says why. */
export const RX_DROPPED = -1;

export interface NicOptions {
  link: Link;
  /** Six bytes. */
  macAddress: Uint8Array;
  random: Random;
  /** RX queues, 1 to 64 (2 by default: one for the host, one to bind). */
  rxQueueCount?: number;
  /** Host memory for payload of unbound queues (16 MiB by default), a multiple of 4 KiB. */
  hostPoolBytes?: number;
}

/**
 * The software NIC. One frame on its way in: scatter read, parse, checksum, steer or RSS, header split. It knows no
 * driver: whoever owns it calls `receive`, looks at `packet`, and calls `recycle`.
 *
 * The scatter read needs a prediction, for where the header ends and which queue's pages the payload belongs to is
 * known only once the frame is read. The prediction is that of the last frame with a payload. Where it fails, bytes
 * move inside the NIC and are counted (`rxRelocatedBytes`).
 */
export class Nic {
  readonly link: Link;
  readonly macAddress: Uint8Array;
  readonly mtuBytes: number;
  readonly rxQueues: readonly RxQueue[];
  readonly hostPool: PagePool;
  readonly steering: SteeringTable = new SteeringTable();
  readonly rss: Rss;
  readonly counters: NicCounters = new NicCounters();
  /** The frame to be sent next. */
  readonly tx: TxFrame;
  readonly #transmitter: Transmitter;

  readonly #landing = new Landing();
  readonly #packets: readonly Packet[];
  #packetIndex = 0;
  #packet: Packet;
  /** Takes what has no page; read by nobody. */
  readonly #overflow = new HostRegion(MAX_FRAME_BYTES);
  readonly #maxFrameBytes: number;

  #predictedHeaderBytes = HEADER_SLOT_BYTES;
  #predictedQueue: RxQueue;
  /** Frames with shorter headers since the one that was predicted from. Nothing is known of the first. */
  #shorterHeaders = LONGER_HEADER_MEMORY;

  readonly #multicast: Uint8Array[] = [];
  #acceptsAllMulticast = false;

  constructor(options: NicOptions) {
    const rxQueueCount = options.rxQueueCount ?? 2;
    if (!Number.isInteger(rxQueueCount) || rxQueueCount < 1 || rxQueueCount > MAX_RX_QUEUES) {
      throw invalidArgument(`${rxQueueCount} RX queues`, `give 1 to ${MAX_RX_QUEUES}`);
    }
    this.link = options.link;
    this.macAddress = options.macAddress;
    this.mtuBytes = options.link.mtuBytes;
    this.#transmitter = new Transmitter(options.link, this.counters);
    this.tx = this.#transmitter.tx;
    this.hostPool = new PagePool({ region: new HostRegion(options.hostPoolBytes ?? 16 * MiB) });
    this.rxQueues = Array.from({ length: rxQueueCount }, (_, id) => new RxQueue(id, this.hostPool));
    this.#predictedQueue = this.rxQueues[0]!;
    this.rss = new Rss(options.random);
    this.#spreadOverUnbound();
    const slots = new HostRegion(HEADER_RING_SLOTS * HEADER_SLOT_BYTES);
    this.#packets = Array.from({ length: HEADER_RING_SLOTS }, (_, i) => new Packet(slots, i * HEADER_SLOT_BYTES));
    this.#packet = this.#packets[0]!;
    this.#maxFrameBytes = options.link.offloads.tcpSegmentation ? MAX_FRAME_BYTES : options.link.mtuBytes + 22;
  }

  /** The packet that the last `receive()` brought: valid until `recycle()`. */
  get packet(): Packet {
    return this.#packet;
  }

  /**
   * Lands payload of a queue in `pool` from now on, and takes the queue out of the RSS spread: only steering rules
   * bring packets to a bound queue.
   * @throws ERR_DEVMEM_INVALID_ARGUMENT for an unknown queue, or if no queue would be left for other traffic; EEXIST if
   *   the queue is bound.
   */
  bindQueue(queueId: number, pool: PagePool): void {
    const queue = this.#queue(queueId);
    if (queue.pool !== this.hostPool) {
      throw new DevmemError('EEXIST', `RX queue ${queueId} is bound already`, { hint: 'unbind it, or choose another' });
    }
    const unbound = this.rxQueues.filter((other) => other.pool === this.hostPool);
    if (unbound.length === 1) {
      throw invalidArgument(
        `RX queue ${queueId} is the last one for ordinary traffic`,
        'open the host with more queues than you bind',
      );
    }
    queue.rebind(pool);
    this.#spreadOverUnbound();
  }

  /** Gives the queue back to host memory. */
  unbindQueue(queueId: number): void {
    this.#queue(queueId).rebind(this.hostPool);
    this.#spreadOverUnbound();
  }

  /** Adds a steering rule; see `SteeringTable.add`. */
  steer(rule: SteeringRule): number {
    return this.steering.add(rule, this.rxQueues.length);
  }

  /** Receives frames for a multicast group's MAC address. */
  joinMulticast(mac: Uint8Array): void {
    if (this.#multicast.some((other) => sameMac(other, 0, mac))) return;
    if (this.#multicast.length === MAX_MULTICAST_GROUPS) this.#acceptsAllMulticast = true;
    else this.#multicast.push(mac.slice());
  }

  /**
   * Reads one frame from the link and brings it to where it belongs.
   * @returns RX_PACKET, RX_IDLE or RX_DROPPED. After RX_PACKET, call `recycle()` before the next `receive()`.
   */
  receive(): number {
    const packet = this.#packets[this.#packetIndex]!;
    this.#packetIndex = (this.#packetIndex + 1) & (HEADER_RING_SLOTS - 1);
    this.#packet = packet;
    packet.landedBytes = 0;
    packet.pool = null;
    packet.fragCount = 0;
    packet.payloadBytes = 0;
    packet.taken = false;
    packet.hash = 0;
    this.#prepareLanding(packet);

    const frameBytes = this.link.readFrame(this.#landing.frame);
    if (frameBytes === 0) return RX_IDLE;
    const verdict = frameBytes < 0 ? this.#drop('rxErrors') : this.#split(packet, frameBytes);
    if (verdict === RX_PACKET) {
      this.counters.rxPackets++;
      this.counters.rxBytes += frameBytes;
      this.rxQueues[packet.queueId]!.counters.packets++;
    }
    return verdict;
  }

  /** Ends the current packet: its payload is the taker's now, or if nobody took it, as if it had never landed. */
  recycle(): void {
    const packet = this.#packet;
    const { pool } = packet;
    if (pool === null) return;
    if (packet.taken) this.rxQueues[packet.queueId]!.commit(packet.landedBytes);
    for (let i = 0; i < packet.fragCount; i++) pool.release(packet.fragIov[i]!);
    packet.fragCount = 0;
    packet.payloadBytes = 0;
    packet.pool = null;
  }

  /**
   * Sends `tx`: fills its transport checksum, segments it if it is larger than `gsoSizeBytes`.
   * @returns more than 0: sent; 0: the link is full, try again later; less: a negative errno, the frame is gone.
   */
  transmit(): number {
    return this.#transmitter.transmit();
  }

  /** A mark for `txDone`: everything sent so far. */
  txMark(): number {
    return this.link.framesWritten;
  }

  /** Whether the link has let go of the memory of all that was sent before `mark`. */
  txDone(mark: number): boolean {
    return this.link.framesWritten - this.link.framesInFlight >= mark;
  }

  /** References that the landing rings hold in `pool`. */
  ringReferences(pool: PagePool): number {
    let pages = 0;
    for (const queue of this.rxQueues) if (queue.pool === pool) pages += queue.pagesInRing;
    return pages;
  }

  #queue(queueId: number): RxQueue {
    const queue = this.rxQueues[queueId];
    if (queue === undefined) {
      throw invalidArgument(`RX queue ${queueId}`, `this NIC has RX queues 0 to ${this.rxQueues.length - 1}`);
    }
    return queue;
  }

  #spreadOverUnbound(): void {
    this.rss.spread(this.rxQueues.filter((queue) => queue.pool === this.hostPool).map((queue) => queue.id));
  }

  #prepareLanding(packet: Packet): void {
    const landing = this.#landing;
    const { frame } = landing;
    const queue = this.#predictedQueue;
    frame.clear();
    landing.slotBytes = this.#predictedHeaderBytes;
    frame.push(packet.slots, packet.slotOffset, landing.slotBytes);
    const wanted = this.#maxFrameBytes - landing.slotBytes;
    this.#fill(queue, wanted);
    landing.roomBytes = queue.offer(frame, wanted);
    frame.push(this.#overflow, 0, MAX_FRAME_BYTES - frame.totalBytes);
  }

  /** Room for `bytes` in a queue's ring; when its pool is empty, from rings of other queues that share it. */
  #fill(queue: RxQueue, bytes: number): boolean {
    if (queue.refill(bytes)) return queue.roomBytes >= bytes;
    for (const other of this.rxQueues) {
      if (other === queue || other.pool !== queue.pool) continue;
      while (queue.roomBytes < bytes) {
        const iov = other.takePage();
        if (iov === NO_NET_IOV) break;
        queue.addPage(iov);
      }
    }
    return queue.roomBytes >= bytes;
  }

  #split(packet: Packet, frameBytes: number): number {
    if (frameBytes > this.#maxFrameBytes) return this.#drop('rxDropOversize');
    const verdict = this.#parse(packet, frameBytes);
    if (verdict !== PARSED) return this.#drop(verdict === FOREIGN_VLAN ? 'rxDropVlan' : 'rxDropMalformed');
    if (!this.#isForUs(packet)) return this.#drop('rxDropAddress');
    packet.segments = 1;
    if (packet.protocol !== PROTOCOL_TCP) return this.#unsplit(packet, frameBytes);
    if (!this.#checksumHolds(packet)) return this.#drop('rxDropChecksum');

    const { gsoType, gsoSizeBytes } = this.#landing.frame;
    if (gsoType !== GSO_NONE && gsoSizeBytes > 0) {
      packet.segments = Math.max(1, Math.ceil(packet.payloadBytes / gsoSizeBytes));
      this.counters.rxGsoPackets++;
    }
    const queue = this.#steer(packet);
    packet.queueId = queue.id;
    if (packet.payloadBytes === 0) {
      this.counters.rxUnsplitPackets++;
      return RX_PACKET;
    }
    const landed = this.#land(packet, queue);
    this.#predict(packet.headerBytes, queue);
    return landed;
  }

  /**
   * The next payload's frame is expected to be like this one's, but for a header that was longer lately: the few bytes
   * of payload that go to the slot are cheaper to move than all the others.
   */
  #predict(headerBytes: number, queue: RxQueue): void {
    this.#predictedQueue = queue;
    if (headerBytes < this.#predictedHeaderBytes && ++this.#shorterHeaders < LONGER_HEADER_MEMORY) return;
    this.#predictedHeaderBytes = headerBytes;
    this.#shorterHeaders = 0;
  }

  #parse(packet: Packet, frameBytes: number): number {
    const inSlot = Math.min(frameBytes, this.#landing.slotBytes);
    const verdict = parseFrame(packet, inSlot, frameBytes);
    if (verdict !== NEEDS_MORE) return verdict;
    const fetched = Math.min(frameBytes, HEADER_SLOT_BYTES) - inSlot;
    if (fetched === 0) return BAD_FRAME;
    this.counters.rxHeaderRefetches++;
    this.#landing.copy(inSlot, fetched, packet.bytes, packet.slotOffset + inSlot);
    // Headers longer than a slot are none that anyone sends.
    return parseFrame(packet, inSlot + fetched, frameBytes) === PARSED ? PARSED : BAD_FRAME;
  }

  /** Everything but TCP: the frame lies whole in its slot; what does not fit goes to host pages behind it. */
  #unsplit(packet: Packet, frameBytes: number): number {
    const length = packet.headerBytes;
    const inSlot = Math.min(length, HEADER_SLOT_BYTES);
    const present = Math.min(frameBytes, this.#landing.slotBytes);
    if (inSlot > present) {
      this.#landing.copy(present, inSlot - present, packet.bytes, packet.slotOffset + present);
    }
    packet.headerBytes = inSlot;
    packet.queueId = this.rss.queueFor(0);
    this.counters.rxUnsplitPackets++;
    if (!this.#checksumHolds(packet)) return this.#drop('rxDropChecksum');
    if (length === inSlot) return RX_PACKET;

    const rest = length - inSlot;
    const queue = this.rxQueues[packet.queueId]!;
    packet.pool = queue.pool;
    packet.payloadBytes = rest;
    const isInPlace = queue === this.#predictedQueue && length <= this.#landing.slotBytes + this.#landing.roomBytes;
    const isLanded = isInPlace
      ? this.#landDirectly(packet, queue, inSlot - this.#landing.slotBytes, rest, 0)
      : this.#landMoved(packet, queue, inSlot, rest);
    return isLanded ? RX_PACKET : this.#dropNoPage(queue);
  }

  /** The header split of a TCP packet: makes its payload fragments of `queue`'s pages, moving what landed elsewhere. */
  #land(packet: Packet, queue: RxQueue): number {
    const { headerBytes, payloadBytes } = packet;
    const { slotBytes, roomBytes } = this.#landing;
    const inSlot = Math.max(0, Math.min(slotBytes, headerBytes + payloadBytes) - headerBytes);
    const skip = Math.max(0, headerBytes - slotBytes);
    const landed = payloadBytes - inSlot;
    packet.pool = queue.pool;
    const isInPlace = queue === this.#predictedQueue && skip + landed <= roomBytes;
    const isLanded = isInPlace
      ? this.#landDirectly(packet, queue, skip, landed, inSlot)
      : this.#landMoved(packet, queue, headerBytes, payloadBytes);
    if (!isLanded) return this.#dropNoPage(queue);
    queue.counters.payloadBytes += payloadBytes;
    return RX_PACKET;
  }

  /**
   * Payload that lies in the right pages stays there. Its first bytes, where they ended up in the header slot, are put
   * behind it and referenced first: order is the fragments' matter, not the memory's. Where a longer header than expected
   * left bytes of its own before the payload, the payload moves down: no page is lost to them, for windows promise pages.
   */
  #landDirectly(packet: Packet, queue: RxQueue, skip: number, landed: number, inSlot: number): boolean {
    const length = landed + inSlot;
    if (skip > 0) {
      this.#landing.relocate(this.#landing.slotBytes + skip, landed, queue, 0);
      this.#countRelocated(queue, landed);
    } else {
      this.counters.rxScatteredBytes += landed;
    }
    if (inSlot > 0) {
      if (!this.#fill(queue, length)) return false;
      queue.write(landed, packet.bytes, packet.slotOffset + packet.headerBytes, inSlot);
      if (!queue.reference(packet, landed, inSlot)) return false;
      this.#countRelocated(queue, inSlot);
    }
    packet.landedBytes = length;
    return queue.reference(packet, 0, landed);
  }

  /** Payload that landed in another queue's pages, or beyond them, is moved to this queue's. */
  #landMoved(packet: Packet, queue: RxQueue, frameOffset: number, length: number): boolean {
    // In its own queue's ring there was no room: nor is there any to move to.
    if (queue === this.#predictedQueue || !this.#fill(queue, length)) return false;
    this.#landing.relocate(frameOffset, length, queue, 0);
    this.#countRelocated(queue, length);
    packet.landedBytes = length;
    return queue.reference(packet, 0, length);
  }

  #dropNoPage(queue: RxQueue): number {
    this.recycle();
    queue.counters.dropNoPage++;
    return this.#drop('rxDropNoPage');
  }

  #countRelocated(queue: RxQueue, bytes: number): void {
    this.counters.rxRelocatedBytes += bytes;
    queue.counters.relocatedBytes += bytes;
  }

  #steer(packet: Packet): RxQueue {
    const { bytes, l3Offset, l4Offset } = packet;
    const isIpv4 = packet.etherType === ETHERTYPE_IPV4;
    const addressBytes = isIpv4 ? 8 : 32;
    const addresses = this.rss.hash(bytes, l3Offset + (isIpv4 ? 12 : 8), addressBytes);
    packet.hash = this.rss.hash(bytes, l4Offset, 4, addressBytes, addresses);
    const steered = this.steering.lookup(packet);
    return this.rxQueues[steered === NO_RULE ? this.rss.queueFor(packet.hash) : steered]!;
  }

  #isForUs(packet: Packet): boolean {
    const { bytes, slotOffset } = packet;
    if (sameMac(bytes, slotOffset, this.macAddress)) return true;
    if (!packet.isLinkMulticast) return false;
    if (this.#acceptsAllMulticast || isBroadcast(bytes, slotOffset)) return true;
    for (let i = 0; i < this.#multicast.length; i++) {
      if (sameMac(bytes, slotOffset, this.#multicast[i]!)) return true;
    }
    return false;
  }

  /** Verifies the transport checksum of TCP, UDP and ICMPv6, unless the link vouches for it. */
  #checksumHolds(packet: Packet): boolean {
    if ((this.#landing.frame.flags & (FRAME_NEEDS_CHECKSUM | FRAME_CHECKSUM_VALID)) !== 0) return true;
    const { protocol, l3Offset, l4Offset, bytes, view, slotOffset } = packet;
    const isIpv4 = packet.etherType === ETHERTYPE_IPV4;
    let { l4Bytes } = packet;
    if (protocol === PROTOCOL_UDP) {
      // RFC 768: a zero checksum over IPv4 means that there is none.
      if (isIpv4 && udpChecksum(view, l4Offset) === 0) return true;
      l4Bytes = udpLengthBytes(view, l4Offset);
    } else if (protocol !== PROTOCOL_TCP && (protocol !== PROTOCOL_ICMPV6 || isIpv4)) {
      return true;
    }
    this.counters.rxChecksumVerified++;
    const pseudo = isIpv4
      ? pseudoHeaderSum4(view, l3Offset, protocol, l4Bytes)
      : pseudoHeaderSum6(view, l3Offset, protocol, l4Bytes);
    const inSlot = Math.min(slotOffset + packet.headerBytes - l4Offset, l4Bytes);
    const header = sumBytes(bytes, view, l4Offset, inSlot, pseudo);
    const payload = this.#landing.sum(l4Offset - slotOffset + inSlot, l4Bytes - inSlot, inSlot);
    return foldChecksum(header + payload) === 0;
  }

  #drop(reason: keyof NicCounters): number {
    this.counters[reason]++;
    return RX_DROPPED;
  }
}

function sameMac(bytes: Uint8Array, offset: number, mac: Uint8Array): boolean {
  for (let i = 5; i >= 0; i--) if (bytes[offset + i] !== mac[i]) return false;
  return true;
}

function isBroadcast(bytes: Uint8Array, offset: number): boolean {
  for (let i = 0; i < 6; i++) if (bytes[offset + i] !== 0xff) return false;
  return true;
}
