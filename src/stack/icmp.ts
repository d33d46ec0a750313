import { HEADER_SLOT_BYTES, type Packet } from '../nic/packet.ts';
import { IpAddress } from '../wire/address.ts';
import {
  emitIcmp,
  fillIcmpChecksum,
  ICMP_ECHO_REQUEST,
  ICMP_FRAGMENTATION_NEEDED,
  ICMP_HEADER_BYTES,
  ICMP_HOST_PROHIBITED,
  ICMP_NET_PROHIBITED,
  ICMP_PORT_UNREACHABLE,
  ICMP_PROHIBITED,
  ICMP_PROTOCOL_UNREACHABLE,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  icmpCode,
  icmpIsError,
  icmpMtuBytes,
  icmpType,
} from '../wire/icmp.ts';
import { ipv4Destination, ipv4Protocol, ipv4Source, ipv4TotalBytes } from '../wire/ipv4.ts';
import { PROTOCOL_ICMP, PROTOCOL_TCP } from '../wire/protocols.ts';
import { parseQuoted, QuotedPacket } from '../wire/quoted.ts';
import { tcpDestinationPort, tcpSequence, tcpSourcePort } from '../wire/tcp.ts';
import type { InterfaceAddresses } from './addresses.ts';
import type { IpCounters } from './counters.ts';
import { bytesInSlot, isWholeInSlot, type EchoResponder } from './echo.ts';
import type { Outbox } from './outbox.ts';
import type { IpSender } from './output.ts';
import { TokenBucket } from './rate-limit.ts';
import type { IcmpErrorKind, TcpLayer } from './tcp/layer.ts';

/** Error messages that strangers can make us send: 100 a second, 50 at once (RFC 1812 §4.3.2.8, RFC 4443 §2.4 f). */
export const ICMP_ERRORS_PER_SECOND = 100;
export const ICMP_ERROR_BURST = 50;
/** RFC 1812 §4.3.2.3: an error message is at most 576 bytes long, with its own headers. */
const MAX_QUOTE_BYTES: number = 576 - 20 - ICMP_HEADER_BYTES;

/**
 * RFC 1191 §7.1: the MTUs that exist, for routers too old to name theirs: the next one below the length of what was
 * too big.
 */
const MTU_PLATEAUS: readonly number[] = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];

/** ICMP for IPv4 (RFC 792, RFC 1122 §3.2.2). */
export class Icmp {
  readonly #addresses: InterfaceAddresses;
  readonly #tcp: TcpLayer;
  readonly #echo: EchoResponder;
  readonly #sender: IpSender;
  readonly #outbox: Outbox;
  readonly #counters: IpCounters;
  readonly #errorBucket = new TokenBucket(ICMP_ERRORS_PER_SECOND, ICMP_ERROR_BURST);
  readonly #quoted = new QuotedPacket();

  constructor(
    addresses: InterfaceAddresses,
    tcp: TcpLayer,
    echo: EchoResponder,
    sender: IpSender,
    outbox: Outbox,
    counters: IpCounters,
  ) {
    this.#addresses = addresses;
    this.#tcp = tcp;
    this.#echo = echo;
    this.#sender = sender;
    this.#outbox = outbox;
    this.#counters = counters;
  }

  /** A message to one of our unicast addresses. */
  input(packet: Packet, nowMicros: number): void {
    const { view, l3Offset, l4Offset } = packet;
    if (packet.l4Bytes < ICMP_HEADER_BYTES || bytesInSlot(packet) < ICMP_HEADER_BYTES) {
      this.#counters.rxDropMalformed++;
      return;
    }
    if (!this.#echo.checksumHolds4(packet)) {
      this.#counters.rxDropIcmpChecksum++;
      return;
    }
    const type = icmpType(view, l4Offset);
    if (type === ICMP_ECHO_REQUEST) {
      this.#echo.answer(packet, ipv4Destination(view, l3Offset), ipv4Source(view, l3Offset), nowMicros);
    } else if (type === ICMP_UNREACHABLE || type === ICMP_TIME_EXCEEDED) {
      this.#inputError(packet, type, nowMicros);
    } else {
      // Redirects among them: RFC 1122 §3.2.2.2 would have us believe them; a host with one link and static routes need not.
      this.#counters.rxDropIcmpType++;
    }
  }

  portUnreachable(packet: Packet, nowMicros: number): void {
    this.#sendError(packet, ICMP_UNREACHABLE, ICMP_PORT_UNREACHABLE, nowMicros);
  }

  protocolUnreachable(packet: Packet, nowMicros: number): void {
    this.#sendError(packet, ICMP_UNREACHABLE, ICMP_PROTOCOL_UNREACHABLE, nowMicros);
  }

  /** An error about a packet of ours: told to TCP, which alone can say whether it sent such a segment (RFC 5927). */
  #inputError(packet: Packet, type: number, nowMicros: number): void {
    const { bytes, view, l4Offset } = packet;
    const quoted = this.#quoted;
    const end = l4Offset + bytesInSlot(packet);
    const kind = errorKind(type, icmpCode(view, l4Offset));
    const verdict = parseQuoted(bytes, view, l4Offset + ICMP_HEADER_BYTES, end, 4, quoted);
    if (kind === null || verdict < 0 || quoted.protocol !== PROTOCOL_TCP) {
      this.#counters.rxDropIcmpType++;
      return;
    }
    const local = ipv4Source(view, quoted.l3Offset);
    const remote = ipv4Destination(view, quoted.l3Offset);
    if (this.#addresses.find(local) === null) {
      this.#counters.rxDropIcmpType++;
      return;
    }
    this.#counters.rxConsumedIcmp++;
    const mtuBytes = kind === 'packet-too-big' ? nextHopMtu(view, l4Offset, quoted.l3Offset) : 0;
    const at = quoted.l4Offset;
    const localPort = tcpSourcePort(view, at);
    const remotePort = tcpDestinationPort(view, at);
    this.#tcp.icmpError(kind, mtuBytes, local, localPort, remote, remotePort, tcpSequence(view, at), nowMicros);
    if (kind === 'packet-too-big') this.#sender.pathMtuReported(local, remote);
  }

  #sendError(packet: Packet, type: number, code: number, nowMicros: number): void {
    if (!this.#mayReport(packet)) {
      this.#counters.txIcmpForbidden++;
      return;
    }
    if (!this.#errorBucket.take(nowMicros)) {
      this.#counters.txIcmpRateLimited++;
      return;
    }
    const { view, bytes, l3Offset } = packet;
    const route = this.#sender.route(ipv4Source(view, l3Offset), ipv4Destination(view, l3Offset));
    if (route === null) {
      this.#counters.txDropNoRoute++;
      return;
    }
    const outbox = this.#outbox;
    if (!outbox.open(route, PROTOCOL_ICMP, nowMicros)) return;
    const inSlot = packet.slotOffset + Math.min(packet.headerBytes, HEADER_SLOT_BYTES) - l3Offset;
    const quoteBytes = Math.min(inSlot, MAX_QUOTE_BYTES);
    const at = outbox.offset + emitIcmp(outbox.view, outbox.offset, type, code, 0);
    for (let i = 0; i < quoteBytes; i++) outbox.bytes[at + i] = bytes[l3Offset + i]!;
    fillIcmpChecksum(outbox.bytes, outbox.view, outbox.offset, ICMP_HEADER_BYTES + quoteBytes);
    this.#counters.txIcmpErrors++;
    outbox.commit(ICMP_HEADER_BYTES + quoteBytes);
  }

  /**
   * RFC 1122 §3.2.2: no error about an error, a broadcast or multicast (of either layer), a later fragment, or a source
   * that is no single host. The input has dropped the last three kinds before it asks; this stands by itself anyway.
   */
  #mayReport(packet: Packet): boolean {
    const { view, l3Offset, l4Offset } = packet;
    if (packet.isLinkMulticast || packet.isFragment) return false;
    const source = IpAddress.read4(view, l3Offset + 12);
    if (source.isMulticast || source.isUnspecified || source.isLoopback) return false;
    if (source.w3 >>> 28 === 0xf || this.#addresses.isBroadcast4(source.w3)) return false;
    if (ipv4Protocol(view, l3Offset) !== PROTOCOL_ICMP) return true;
    return isWholeInSlot(packet) && !icmpIsError(icmpType(view, l4Offset));
  }
}

/** Null: an error that tells a transport nothing. */
function errorKind(type: number, code: number): IcmpErrorKind | null {
  if (type === ICMP_TIME_EXCEEDED) return 'time-exceeded';
  switch (code) {
    case ICMP_FRAGMENTATION_NEEDED:
      return 'packet-too-big';
    case ICMP_PROTOCOL_UNREACHABLE:
    case ICMP_PORT_UNREACHABLE:
      return 'port-unreachable';
    case ICMP_NET_PROHIBITED:
    case ICMP_HOST_PROHIBITED:
    case ICMP_PROHIBITED:
      return 'prohibited';
    default:
      return code <= 15 ? 'unreachable' : null;
  }
}

function nextHopMtu(view: DataView, icmpOffset: number, quotedL3Offset: number): number {
  const named = icmpMtuBytes(view, icmpOffset);
  if (named !== 0) return named;
  const tooBig = ipv4TotalBytes(view, quotedL3Offset);
  for (const plateau of MTU_PLATEAUS) if (plateau < tooBig) return plateau;
  return MTU_PLATEAUS.at(-1)!;
}
