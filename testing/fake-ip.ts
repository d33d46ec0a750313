import { PagePool } from '../src/memory/page-pool.ts';
import { HostRegion, type MemoryRegion } from '../src/memory/region.ts';
import { HEADER_SLOT_BYTES, Packet } from '../src/nic/packet.ts';
import { RxQueue } from '../src/nic/rx-queue.ts';
import { TxFrame } from '../src/nic/tx-frame.ts';
import { Route, type IpOutput } from '../src/stack/route.ts';
import { IpAddress } from '../src/wire/address.ts';
import { ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../src/wire/ethernet.ts';
import { PROTOCOL_TCP } from '../src/wire/protocols.ts';
import { tcpHeaderBytes, TCP_CWR, TCP_FIN, TCP_PSH } from '../src/wire/tcp.ts';
import { writeTrafficClass } from '../src/wire/traffic-class.ts';

/** A TCP segment between two fakes: its header, and where its payload lies until somebody reads it. */
export interface FakeFrame {
  /** The TCP header with its options. */
  readonly header: Uint8Array;
  readonly payload: readonly { region: MemoryRegion; offset: number; length: number }[];
  readonly payloadBytes: number;
  readonly gsoSizeBytes: number;
  readonly family: 4 | 6;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly mark: number;
  readonly repeatsCwr: boolean;
  /** DSCP and ECN of the IP header. */
  readonly trafficClass: number;
}

/** The network below one TcpLayer in a test: hands every segment sent to `onSend`, in the manner of a cable. */
export class FakeIp implements IpOutput {
  readonly address: IpAddress;
  readonly tx: TxFrame = new TxFrame();
  mtuBytes: number;
  /** Frames that `send` still takes; then it answers 0, as a full link does. */
  capacity: number = Number.POSITIVE_INFINITY;
  routeState: 'resolving' | 'ready' | 'failed' = 'ready';
  onSend: (frame: FakeFrame) => void = () => {};
  framesSent = 0;
  /** Calls of `confirm`. */
  confirmations = 0;
  framesDone = 0;
  /** Marks of frames that were sent and not yet read or lost, in order. */
  readonly #open = new Set<number>();
  readonly #routes = new Map<number, Route[]>();
  #trafficClass = 0;

  constructor(address: IpAddress, mtuBytes = 1500) {
    this.address = address;
    this.mtuBytes = mtuBytes;
  }

  route(destination: IpAddress, source: IpAddress | null): Route | null {
    if (destination.family !== this.address.family || (source !== null && !source.equals(this.address))) return null;
    const routes = this.#routes.get(destination.w3) ?? [];
    let route = routes.find((candidate) => candidate.destination.equals(destination));
    if (route === undefined) {
      route = new Route(this.address, destination, destination, this.mtuBytes);
      this.#routes.set(destination.w3, [...routes, route]);
    }
    route.state = this.routeState;
    return route;
  }

  begin(route: Route, protocol: number, _nowMicros: number, trafficClass = 0): TxFrame | null {
    route.state = this.routeState;
    if (this.routeState !== 'ready') return null;
    this.tx.clear();
    this.#trafficClass = trafficClass;
    this.tx.protocol = protocol;
    this.tx.l3Offset = ETHERNET_HEADER_BYTES;
    this.tx.l4Offset = ETHERNET_HEADER_BYTES + (route.family === 4 ? 20 : 40);
    return this.tx;
  }

  send(route: Route, tx: TxFrame): number {
    if (this.capacity <= 0) return 0;
    this.capacity--;
    const payload: { region: MemoryRegion; offset: number; length: number }[] = [];
    for (let i = 1; i < tx.frame.count; i++) {
      payload.push({ region: tx.frame.regions[i]!, offset: tx.frame.offsets[i]!, length: tx.frame.lengths[i]! });
    }
    this.framesSent++;
    this.#open.add(this.framesSent);
    this.onSend({
      header: tx.bytes.slice(tx.l4Offset, tx.headerBytes),
      payload,
      payloadBytes: tx.payloadBytes,
      gsoSizeBytes: tx.gsoSizeBytes,
      family: route.family,
      source: route.source,
      destination: route.destination,
      mark: this.framesSent,
      repeatsCwr: tx.repeatsCwr,
      trafficClass: this.#trafficClass,
    });
    return tx.headerBytes + tx.payloadBytes;
  }

  confirm(): void {
    this.confirmations++;
  }

  txMark(): number {
    return this.framesSent;
  }

  txDone(mark: number): boolean {
    for (const open of this.#open) if (open <= mark) return false;
    return true;
  }

  /** Nobody will read this frame's memory any more. */
  done(frame: FakeFrame): void {
    this.#open.delete(frame.mark);
  }

  get framesOpen(): number {
    return this.#open.size;
  }
}

/** The payload of a frame, read now. */
export function framePayload(frame: FakeFrame): Uint8Array {
  const bytes = new Uint8Array(frame.payloadBytes);
  let at = 0;
  for (const { region, offset, length } of frame.payload) {
    bytes.set(region.mapping.subarray(offset, offset + length), at);
    at += length;
  }
  return bytes;
}

/** The receiving side of a NIC in a test: lands payload in a pool as the real one does and makes packets. */
export class FakeLanding {
  readonly queue: RxQueue;
  pool: PagePool;
  droppedNoPage = 0;
  readonly #packet: Packet;
  #landed = 0;

  constructor(pool: PagePool) {
    this.pool = pool;
    this.queue = new RxQueue(0, pool);
    this.#packet = new Packet(new HostRegion(HEADER_SLOT_BYTES), 0);
  }

  /** A packet of these bytes, or null for want of pages. End it with `recycle`. */
  packet(
    header: Uint8Array,
    payload: Uint8Array,
    family: 4 | 6,
    source: IpAddress,
    destination: IpAddress,
    segments = 1,
    trafficClass = 0,
  ): Packet | null {
    const packet = this.#packet;
    const l3Bytes = family === 4 ? 20 : 40;
    packet.etherType = family === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
    packet.l3Offset = ETHERNET_HEADER_BYTES;
    packet.l4Offset = ETHERNET_HEADER_BYTES + l3Bytes;
    packet.protocol = PROTOCOL_TCP;
    packet.bytes.set(header, packet.l4Offset);
    packet.headerBytes = packet.l4Offset + header.length;
    packet.l4Bytes = header.length + payload.length;
    packet.bytes[packet.l3Offset] = family === 4 ? 0x45 : 0x60;
    packet.bytes[packet.l3Offset + 1] = 0;
    writeTrafficClass(packet.bytes, packet.l3Offset, trafficClass);
    source.write(packet.view, packet.l3Offset + (family === 4 ? 12 : 8));
    destination.write(packet.view, packet.l3Offset + (family === 4 ? 16 : 24));
    packet.segments = segments;
    packet.isLinkMulticast = false;
    packet.pool = this.pool;
    packet.fragCount = 0;
    packet.payloadBytes = 0;
    packet.taken = false;
    this.#landed = payload.length;
    if (payload.length === 0) return packet;
    if (!this.queue.refill(payload.length)) {
      if (this.queue.roomBytes < payload.length) {
        this.droppedNoPage++;
        return null;
      }
    }
    this.queue.write(0, payload, 0, payload.length);
    if (!this.queue.reference(packet, 0, payload.length)) throw new Error('a test packet has too many fragments');
    packet.payloadBytes = payload.length;
    return packet;
  }

  /** Lands in another pool from now on. */
  moveTo(pool: PagePool): void {
    this.queue.rebind(pool);
    this.pool = pool;
  }

  recycle(packet: Packet): void {
    if (packet.taken) this.queue.commit(this.#landed);
    for (let i = 0; i < packet.fragCount; i++) this.pool.release(packet.fragIov[i]!);
    packet.fragCount = 0;
  }

  /** References that are held by something else than the landing ring. */
  get foreignReferences(): number {
    return this.pool.referenceTotal - this.queue.pagesInRing;
  }
}

/**
 * Splits a burst as segmentation offload does: sequence numbers move on, FIN and PSH stay with the last, and CWR with the
 * first unless `repeatsCwr`.
 */
export function wireSegments(
  header: Uint8Array,
  payload: Uint8Array,
  gsoSizeBytes: number,
  repeatsCwr = false,
): [Uint8Array, Uint8Array][] {
  if (gsoSizeBytes === 0 || payload.length <= gsoSizeBytes) return [[header, payload]];
  const segments: [Uint8Array, Uint8Array][] = [];
  for (let at = 0; at < payload.length; at += gsoSizeBytes) {
    const part = header.slice();
    const view = new DataView(part.buffer);
    view.setInt32(4, view.getInt32(4) + at);
    if (at + gsoSizeBytes < payload.length) part[13]! &= ~(TCP_FIN | TCP_PSH);
    if (at > 0 && !repeatsCwr) part[13]! &= ~TCP_CWR;
    segments.push([part, payload.slice(at, at + gsoSizeBytes)]);
  }
  if (tcpHeaderBytes(new DataView(header.buffer, header.byteOffset), 0) !== header.length) {
    throw new Error('the TCP header does not say how long it is');
  }
  return segments;
}
