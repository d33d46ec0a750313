import { HEADER_SLOT_BYTES, type Packet } from '../nic/packet.ts';
import type { PagePool } from '../memory/page-pool.ts';
import type { IpAddress } from '../wire/address.ts';
import { adjustChecksum, foldSum, sumAt, sumBytes } from '../wire/checksum.ts';
import { ICMP_ECHO_REPLY, ICMP_HEADER_BYTES } from '../wire/icmp.ts';
import { ICMPV6_ECHO_REPLY } from '../wire/icmpv6.ts';
import { PROTOCOL_ICMP, PROTOCOL_ICMPV6 } from '../wire/protocols.ts';
import type { IpCounters } from './counters.ts';
import type { NetDevice } from './device.ts';
import type { Outbox } from './outbox.ts';
import type { IpSender } from './output.ts';

/** Host pages lent to the link for replies that are still under way. */
export const MAX_LENT_PAGES = 256;

const CHECKSUM_OFFSET = 2;
const ICMPV4_REQUEST_WORD = 0x0800;

/**
 * Answers echo requests of both families (RFC 1122 §3.2.2.6, RFC 4443 §4.2). A request that fits a header slot is
 * copied; what is longer lies in host pages, which the reply goes out of by reference: they are lent to the link and
 * released when it has let go of them.
 */
export class EchoResponder {
  readonly #nic: NetDevice;
  readonly #sender: IpSender;
  readonly #outbox: Outbox;
  readonly #counters: IpCounters;
  readonly #hostView: DataView;

  readonly #lentIov = new Int32Array(MAX_LENT_PAGES);
  readonly #lentMark = new Float64Array(MAX_LENT_PAGES);
  #lentHead = 0;
  #lentCount = 0;

  constructor(nic: NetDevice, sender: IpSender, outbox: Outbox, counters: IpCounters) {
    this.#nic = nic;
    this.#sender = sender;
    this.#outbox = outbox;
    this.#counters = counters;
    const { mapping } = nic.hostPool.region;
    this.#hostView = new DataView(mapping.buffer, mapping.byteOffset, mapping.byteLength);
  }

  /** References to host pages that the link still reads. */
  get lentCount(): number {
    return this.#lentCount;
  }

  /** Whether the checksum of a whole ICMPv4 message holds (RFC 1122 §3.2.2): the NIC leaves that to us. */
  checksumHolds4(packet: Packet): boolean {
    const { bytes, view, l4Offset, l4Bytes, pool } = packet;
    const inSlot = bytesInSlot(packet);
    if (inSlot + packet.payloadBytes !== l4Bytes || !this.#isReadable(packet)) return false;
    let sum = sumBytes(bytes, view, l4Offset, inSlot);
    let position = inSlot;
    for (let i = 0; i < packet.fragCount; i++) {
      const size = packet.fragSize[i]!;
      const at = pool!.offsetOf(packet.fragIov[i]!) + packet.fragOffset[i]!;
      sum = sumAt(pool!.region.mapping, this.#hostView, at, size, position, sum);
      position += size;
    }
    return foldSum(sum) === 0xffff;
  }

  /** Sends the reply to the echo request in `packet`, from `own` to `asker`. */
  answer(packet: Packet, own: IpAddress, asker: IpAddress, nowMicros: number): void {
    this.#counters.rxAnsweredEcho++;
    const route = this.#sender.route(asker, own);
    if (route === null) {
      this.#counters.txDropNoRoute++;
      return;
    }
    this.reclaim();
    if (!this.#isReadable(packet) || this.#lentCount + packet.fragCount > MAX_LENT_PAGES) {
      this.#counters.txDropEchoBusy++;
      return;
    }
    const outbox = this.#outbox;
    if (!outbox.open(route, route.family === 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6, nowMicros)) return;
    const inSlot = bytesInSlot(packet);
    if (packet.fragCount > 0 && (outbox.tx === null || !this.#addFragments(packet))) {
      // The waiting room holds what fits a slot; the asker will ask again.
      this.#counters.txDropEchoBusy++;
      return;
    }
    for (let i = 0; i < inSlot; i++) outbox.bytes[outbox.offset + i] = packet.bytes[packet.l4Offset + i]!;
    this.#turnIntoReply(packet, route.family);
    if (outbox.commit(inSlot)) {
      this.#counters.txEchoReplies++;
      if (packet.fragCount > 0) this.#lend(packet);
    }
  }

  /** Releases the pages of replies that have left. Returns how many. */
  reclaim(): number {
    let released = 0;
    while (this.#lentCount > 0 && this.#nic.txDone(this.#lentMark[this.#lentHead]!)) {
      this.#nic.hostPool.release(this.#lentIov[this.#lentHead]!);
      this.#lentHead = (this.#lentHead + 1) % MAX_LENT_PAGES;
      this.#lentCount--;
      released++;
    }
    return released;
  }

  /** Only host memory may be read here: the split leaves nothing else behind an ICMP header, and this makes sure. */
  #isReadable(packet: Packet): boolean {
    return packet.fragCount === 0 || packet.pool === this.#nic.hostPool;
  }

  #addFragments(packet: Packet): boolean {
    const tx = this.#outbox.tx!;
    const pool: PagePool = packet.pool!;
    for (let i = 0; i < packet.fragCount; i++) {
      const at = pool.offsetOf(packet.fragIov[i]!) + packet.fragOffset[i]!;
      if (!tx.addPayload(pool.region, at, packet.fragSize[i]!)) return false;
    }
    return true;
  }

  #turnIntoReply(packet: Packet, family: 4 | 6): void {
    const { bytes, view, offset } = this.#outbox;
    if (family === 6) {
      bytes[offset] = ICMPV6_ECHO_REPLY;
      return;
    }
    // RFC 1624: only the type has changed.
    const checksum = packet.view.getUint16(packet.l4Offset + CHECKSUM_OFFSET);
    const code = bytes[offset + 1]!;
    bytes[offset] = ICMP_ECHO_REPLY;
    view.setUint16(offset + CHECKSUM_OFFSET, adjustChecksum(checksum, ICMPV4_REQUEST_WORD | code, code));
  }

  #lend(packet: Packet): void {
    const mark = this.#nic.txMark();
    for (let i = 0; i < packet.fragCount; i++) {
      const slot = (this.#lentHead + this.#lentCount++) % MAX_LENT_PAGES;
      this.#lentIov[slot] = packet.fragIov[i]!;
      this.#lentMark[slot] = mark;
    }
    packet.disownPayload();
  }
}

/** Bytes of the message that lie in the packet's slot: all of it unless the frame is longer than the slot. */
export function bytesInSlot(packet: Packet): number {
  const slotEnd = packet.slotOffset + Math.min(packet.headerBytes, HEADER_SLOT_BYTES);
  return Math.min(packet.l4Bytes, slotEnd - packet.l4Offset);
}

/** Whether the whole message lies in the slot and is at least `leastBytes` long. */
export function isWholeInSlot(packet: Packet, leastBytes: number = ICMP_HEADER_BYTES): boolean {
  return packet.fragCount === 0 && bytesInSlot(packet) === packet.l4Bytes && packet.l4Bytes >= leastBytes;
}
