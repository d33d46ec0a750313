/**
 * The far end of a link that remembers nothing: it answers ARP, SYN, SYN-ACK, data and FIN from what the frame in hand
 * says. So a stack in front of it can have any number of connections, and all memory that they cost is the stack's.
 */
import { NEVER } from '../../src/core/clock.ts';
import { flattenFrame, scatterFrame } from '../../src/link/copy.ts';
import { FRAME_CHECKSUM_VALID, type FrameList, type Link, type LinkOffloads } from '../../src/link/link.ts';
import { IpAddress } from '../../src/wire/address.ts';
import { ARP_BYTES, ARP_REPLY, ARP_SENDER_IP_OFFSET, emitArp } from '../../src/wire/arp.ts';
import {
  emitEthernet,
  ETHERNET_HEADER_BYTES,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  etherType,
} from '../../src/wire/ethernet.ts';
import { emitIpv4, fillIpv4Checksum, IPV4_HEADER_BYTES, ipv4TotalBytes } from '../../src/wire/ipv4.ts';
import { PROTOCOL_TCP } from '../../src/wire/protocols.ts';
import {
  emitTcp,
  TCP_ACK,
  TCP_FIN,
  TCP_HEADER_BYTES,
  TCP_RST,
  TCP_SYN,
  tcpAcknowledgment,
  tcpDestinationPort,
  tcpFlags,
  tcpHeaderBytes,
  tcpSequence,
  tcpSourcePort,
} from '../../src/wire/tcp.ts';
import { emitSynOptions, emitTimestamps, parseTcpOptions, TcpOptions } from '../../src/wire/tcp-options.ts';

const SLOT_BYTES = 128;
const RING_FRAMES = 8192;
const ISS = 1000;
const MSS = 1460;
const WINDOW = 0xffff;
const WINDOW_SCALE = 7;
const L4: number = ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES;
const MAC: Uint8Array = Uint8Array.of(2, 0, 0, 0, 0, 0xfe);

export class ScriptedPeer implements Link {
  readonly name = 'scripted';
  readonly mtuBytes = 1500;
  readonly offloads: LinkOffloads = { checksum: true, tcpSegmentation: false };
  readonly framesInFlight = 0;
  framesWritten = 0;
  isDown = false;
  /** SYN-ACKs seen: connections that the stack has begun to accept. */
  answered = 0;

  readonly #address: IpAddress;
  readonly #stack: IpAddress;
  readonly #stackMac: Uint8Array;
  readonly #ring = new Uint8Array(RING_FRAMES * SLOT_BYTES);
  readonly #view = new DataView(this.#ring.buffer);
  readonly #lengths = new Int32Array(RING_FRAMES);
  #written = 0;
  #read = 0;
  readonly #frame = new Uint8Array(2048);
  readonly #frameView = new DataView(this.#frame.buffer);
  readonly #options = new TcpOptions();
  #onWake: (() => void) | null = null;

  /** @param address of this end; `stack` and `stackMac` are those of the other. */
  constructor(address: string, stack: string, stackMac: Uint8Array) {
    this.#address = IpAddress.parse(address)!;
    this.#stack = IpAddress.parse(stack)!;
    this.#stackMac = stackMac;
  }

  /** Frames that wait to be read. */
  get waiting(): number {
    return this.#written - this.#read;
  }

  /** Begins a connection to the stack. False: too many frames wait. */
  dial(fromPort: number, toPort: number): boolean {
    if (this.waiting >= RING_FRAMES / 2) return false;
    this.#answer(fromPort, toPort, ISS, 0, TCP_SYN, 0);
    return true;
  }

  readFrame(landing: FrameList): number {
    if (this.waiting === 0) return 0;
    const slot = this.#read++ & (RING_FRAMES - 1);
    landing.clearOffload();
    landing.flags = FRAME_CHECKSUM_VALID;
    return scatterFrame(this.#ring, slot * SLOT_BYTES, this.#lengths[slot]!, landing);
  }

  writeFrame(gather: FrameList): number {
    if (this.waiting >= RING_FRAMES - 1) return 0;
    this.framesWritten++;
    flattenFrame(gather, this.#frame, 0, this.#frame.length);
    const type = etherType(this.#frameView, 0);
    if (type === ETHERTYPE_ARP) this.#takeArp();
    else if (type === ETHERTYPE_IPV4) this.#takeSegment();
    return gather.totalBytes;
  }

  pollAt(): number {
    return this.waiting > 0 ? 0 : NEVER;
  }

  armWake(onWake: () => void): void {
    this.#onWake = onWake;
    if (this.waiting > 0) this.#wake();
  }

  disarmWake(): void {
    this.#onWake = null;
  }

  close(): void {
    this.isDown = true;
    this.#wake();
  }

  #takeArp(): void {
    const target = IpAddress.fromWords(4, 0, 0, 0xffff, this.#frameView.getInt32(ETHERNET_HEADER_BYTES + 24));
    const sender = this.#frameView.getInt32(ETHERNET_HEADER_BYTES + ARP_SENDER_IP_OFFSET);
    if (!target.equals(this.#address) || sender === 0) return;
    const at = this.#begin(ETHERTYPE_ARP);
    emitArp(this.#ring, this.#view, at, ARP_REPLY, MAC, this.#address, this.#stackMac, this.#stack);
    this.#end(ETHERNET_HEADER_BYTES + ARP_BYTES);
  }

  #takeSegment(): void {
    const view = this.#frameView;
    const flags = tcpFlags(view, L4);
    if ((flags & TCP_RST) !== 0) return;
    const headerBytes = tcpHeaderBytes(view, L4);
    parseTcpOptions(this.#frame, view, L4 + TCP_HEADER_BYTES, L4 + headerBytes, this.#options);
    const echo = this.#options.timestampValue;
    const fromPort = tcpDestinationPort(view, L4);
    const toPort = tcpSourcePort(view, L4);
    const sequence = tcpSequence(view, L4);
    const payloadBytes = ipv4TotalBytes(view, ETHERNET_HEADER_BYTES) - IPV4_HEADER_BYTES - headerBytes;
    if ((flags & TCP_SYN) !== 0) {
      const isAnswer = (flags & TCP_ACK) !== 0;
      if (isAnswer) this.answered++;
      const ours = isAnswer ? TCP_ACK : TCP_SYN | TCP_ACK;
      this.#answer(fromPort, toPort, isAnswer ? ISS + 1 : ISS, sequence + 1, ours, echo);
    } else if ((flags & TCP_FIN) !== 0) {
      const ours = tcpAcknowledgment(view, L4) === ISS + 1 ? TCP_FIN | TCP_ACK : TCP_ACK;
      this.#answer(fromPort, toPort, tcpAcknowledgment(view, L4), sequence + payloadBytes + 1, ours, echo);
    } else if (payloadBytes > 0) {
      this.#answer(fromPort, toPort, tcpAcknowledgment(view, L4), sequence + payloadBytes, TCP_ACK, echo);
    }
  }

  #answer(
    fromPort: number,
    toPort: number,
    sequence: number,
    acknowledgment: number,
    flags: number,
    echo: number,
  ): void {
    const l3 = this.#begin(ETHERTYPE_IPV4);
    const l4 = l3 + IPV4_HEADER_BYTES;
    const options = l4 + TCP_HEADER_BYTES;
    const view = this.#view;
    const optionBytes =
      (flags & TCP_SYN) !== 0
        ? emitSynOptions(this.#ring, view, options, MSS, WINDOW_SCALE, true, true, 1, echo)
        : emitTimestamps(view, options, 1, echo);
    const tcpBytes = TCP_HEADER_BYTES + optionBytes;
    emitTcp(view, l4, fromPort, toPort, sequence | 0, acknowledgment | 0, tcpBytes, flags, WINDOW, 0);
    const totalBytes = IPV4_HEADER_BYTES + tcpBytes;
    emitIpv4(view, l3, this.#address, this.#stack, PROTOCOL_TCP, totalBytes, 64, 0, true, 0);
    fillIpv4Checksum(this.#ring, view, l3);
    this.#end(ETHERNET_HEADER_BYTES + totalBytes);
  }

  #begin(type: number): number {
    const at = (this.#written & (RING_FRAMES - 1)) * SLOT_BYTES;
    return at + emitEthernet(this.#ring, this.#view, at, this.#stackMac, MAC, type);
  }

  #end(bytes: number): void {
    this.#lengths[this.#written & (RING_FRAMES - 1)] = bytes;
    this.#written++;
    this.#wake();
  }

  #wake(): void {
    const onWake = this.#onWake;
    this.#onWake = null;
    onWake?.();
  }
}
