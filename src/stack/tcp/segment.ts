import type { Packet } from '../../nic/packet.ts';
import { IpAddress } from '../../wire/address.ts';
import { ETHERTYPE_IPV4 } from '../../wire/ethernet.ts';
import {
  tcpAcknowledgment,
  tcpDestinationPort,
  tcpFlags,
  tcpHeaderBytes,
  tcpSequence,
  tcpSourcePort,
  tcpWindow,
  TCP_ACK,
  TCP_FIN,
  TCP_HEADER_BYTES,
  TCP_RST,
  TCP_SYN,
} from '../../wire/tcp.ts';
import { parseTcpOptions, TcpOptions } from '../../wire/tcp-options.ts';
import { ECN_MASK } from '../../wire/traffic-class.ts';

const IPV4_SOURCE = 12;
const IPV4_DESTINATION = 16;
const IPV6_SOURCE = 8;
const IPV6_DESTINATION = 24;
const MAPPED = 0xffff;

/** The header of the segment in hand, in the terms of RFC 9293 §3.3.1 (SEG.SEQ, ...). One per layer, reused. */
export class Segment {
  sequence = 0;
  acknowledgment = 0;
  flags = 0;
  /** As on the wire, not scaled. */
  window = 0;
  /** The IP-ECN codepoint that it arrived with. */
  codepoint = 0;
  /** Bytes of payload; SYN and FIN not counted. */
  payloadBytes = 0;
  localPort = 0;
  remotePort = 0;
  readonly options: TcpOptions = new TcpOptions();
  /** Key of the flow, as `FlowTable` wants it: local address, remote address, ports. */
  readonly key: Int32Array = new Int32Array(9);
  family: 4 | 6 = 4;

  get isSyn(): boolean {
    return (this.flags & TCP_SYN) !== 0;
  }

  get isAck(): boolean {
    return (this.flags & TCP_ACK) !== 0;
  }

  get isReset(): boolean {
    return (this.flags & TCP_RST) !== 0;
  }

  get isFin(): boolean {
    return (this.flags & TCP_FIN) !== 0;
  }

  /** SEG.LEN: payload and the sequence numbers that SYN and FIN take. */
  get lengthBytes(): number {
    return this.payloadBytes + (this.isSyn ? 1 : 0) + (this.isFin ? 1 : 0);
  }

  /** Reads a packet whose TCP header the NIC has found complete. False: the options are malformed. */
  read(packet: Packet): boolean {
    const { view, l4Offset } = packet;
    this.localPort = tcpDestinationPort(view, l4Offset);
    this.remotePort = tcpSourcePort(view, l4Offset);
    this.sequence = tcpSequence(view, l4Offset);
    this.acknowledgment = tcpAcknowledgment(view, l4Offset);
    this.flags = tcpFlags(view, l4Offset);
    this.window = tcpWindow(view, l4Offset);
    this.codepoint = packet.trafficClass & ECN_MASK;
    this.payloadBytes = packet.payloadBytes;
    this.#readAddresses(packet);
    const headerBytes = tcpHeaderBytes(view, l4Offset);
    return parseTcpOptions(packet.bytes, view, l4Offset + TCP_HEADER_BYTES, l4Offset + headerBytes, this.options) === 0;
  }

  /** The addresses as objects: made only where a connection or a reset needs them. */
  localAddress(): IpAddress {
    const { key } = this;
    return IpAddress.fromWords(this.family, key[0]!, key[1]!, key[2]!, key[3]!);
  }

  remoteAddress(): IpAddress {
    const { key } = this;
    return IpAddress.fromWords(this.family, key[4]!, key[5]!, key[6]!, key[7]!);
  }

  #readAddresses(packet: Packet): void {
    const { view, l3Offset } = packet;
    const { key } = this;
    if (packet.etherType === ETHERTYPE_IPV4) {
      this.family = 4;
      key[0] = 0;
      key[1] = 0;
      key[2] = MAPPED;
      key[3] = view.getInt32(l3Offset + IPV4_DESTINATION);
      key[4] = 0;
      key[5] = 0;
      key[6] = MAPPED;
      key[7] = view.getInt32(l3Offset + IPV4_SOURCE);
    } else {
      this.family = 6;
      for (let i = 0; i < 4; i++) {
        key[i] = view.getInt32(l3Offset + IPV6_DESTINATION + 4 * i);
        key[4 + i] = view.getInt32(l3Offset + IPV6_SOURCE + 4 * i);
      }
    }
    key[8] = (this.localPort << 16) | this.remotePort;
  }
}
