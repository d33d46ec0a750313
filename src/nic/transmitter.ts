import { writeU16 } from '../core/bytes.ts';
import { FRAME_NEEDS_CHECKSUM, GSO_ECN, GSO_TCPV4, GSO_TCPV6, type FrameList, type Link } from '../link/link.ts';
import {
  foldChecksum,
  foldSum,
  foldUdpChecksum,
  pseudoHeaderSum4,
  pseudoHeaderSum6,
  sumBytes,
} from '../wire/checksum.ts';
import { ICMPV6_CHECKSUM_OFFSET } from '../wire/icmpv6.ts';
import { ipVersion } from '../wire/ipv4.ts';
import { PROTOCOL_TCP, PROTOCOL_UDP } from '../wire/protocols.ts';
import { TCP_CHECKSUM_OFFSET, TCP_CWR, tcpFlags } from '../wire/tcp.ts';
import { UDP_CHECKSUM_OFFSET } from '../wire/udp.ts';
import type { NicCounters } from './counters.ts';
import { Segmenter, sumSegments } from './segmentation.ts';
import { TX_HEADER_BYTES, TxFrame } from './tx-frame.ts';

/** Where the header of a segment made in software lies in the TX slot. */
const SEGMENT_HEADER_AT: number = TX_HEADER_BYTES / 2;

/** The NIC's way out: checksum and segmentation, by the link where it offers them and in software where not. */
export class Transmitter {
  readonly tx: TxFrame = new TxFrame();
  readonly #link: Link;
  readonly #counters: NicCounters;
  readonly #segmenter = new Segmenter();

  constructor(link: Link, counters: NicCounters) {
    this.#link = link;
    this.#counters = counters;
  }

  /** See `Nic.transmit`. */
  transmit(): number {
    const { tx } = this;
    const { frame } = tx;
    const { offloads } = this.#link;
    frame.clearOffload();
    frame.lengths[0] = tx.headerBytes;
    frame.totalBytes = tx.headerBytes + tx.payloadBytes;
    const isLarge = tx.gsoSizeBytes > 0 && tx.payloadBytes > tx.gsoSizeBytes;
    const hasCwr = isLarge && (tcpFlags(tx.view, tx.l4Offset) & TCP_CWR) !== 0;
    // No offload repeats CWR (RFC 9768 §4): to each of them it is RFC 3168's signal, sent once.
    if (isLarge && (!offloads.tcpSegmentation || (hasCwr && tx.repeatsCwr))) return this.#segment();
    if (isLarge) {
      frame.gsoType = ipVersion(tx.view, tx.l3Offset) === 4 ? GSO_TCPV4 : GSO_TCPV6;
      if (hasCwr) frame.gsoType |= GSO_ECN;
      frame.gsoSizeBytes = tx.gsoSizeBytes;
      frame.headerBytes = tx.headerBytes;
    }
    if (tx.needsChecksum) this.#fillChecksum(frame, 0);
    return this.#write(frame);
  }

  #segment(): number {
    const segmenter = this.#segmenter;
    const { frame } = segmenter;
    segmenter.begin();
    let sent = 0;
    while (segmenter.next(this.tx, SEGMENT_HEADER_AT)) {
      this.#fillChecksum(frame, SEGMENT_HEADER_AT);
      const written = this.#write(frame);
      if (written > 0) {
        sent += written;
        continue;
      }
      if (sent === 0) return written;
      // The rest of the large frame is lost as if on the wire; the transport repairs it.
      this.#counters.txDropLinkFull++;
      break;
    }
    this.#counters.txSegmentedPackets++;
    return sent;
  }

  /** The pseudo-header sum where the link finishes the checksum, the whole checksum where it does not. */
  #fillChecksum(frame: FrameList, headerAt: number): void {
    const { tx } = this;
    const { bytes, view, protocol } = tx;
    const l3 = headerAt + tx.l3Offset;
    const l4 = headerAt + tx.l4Offset;
    const l4Bytes = frame.totalBytes - tx.l4Offset;
    const field = checksumOffset(protocol);
    const pseudo =
      ipVersion(view, l3) === 4
        ? pseudoHeaderSum4(view, l3, protocol, l4Bytes)
        : pseudoHeaderSum6(view, l3, protocol, l4Bytes);
    if (this.#link.offloads.checksum) {
      writeU16(bytes, l4 + field, foldSum(pseudo));
      frame.flags = FRAME_NEEDS_CHECKSUM;
      frame.checksumStart = tx.l4Offset;
      frame.checksumOffset = field;
      return;
    }
    this.#counters.txChecksumsComputed++;
    writeU16(bytes, l4 + field, 0);
    const headerBytes = tx.headerBytes - tx.l4Offset;
    const sum = sumSegments(frame, 1, headerBytes, sumBytes(bytes, view, l4, headerBytes, pseudo));
    writeU16(bytes, l4 + field, protocol === PROTOCOL_UDP ? foldUdpChecksum(sum) : foldChecksum(sum));
  }

  #write(frame: FrameList): number {
    const written = this.#link.writeFrame(frame);
    if (written > 0) {
      this.#counters.txPackets++;
      this.#counters.txBytes += written;
    } else if (written < 0) {
      this.#counters.txErrors++;
    }
    return written;
  }
}

/** Where the checksum lies in a transport header. */
function checksumOffset(protocol: number): number {
  if (protocol === PROTOCOL_TCP) return TCP_CHECKSUM_OFFSET;
  return protocol === PROTOCOL_UDP ? UDP_CHECKSUM_OFFSET : ICMPV6_CHECKSUM_OFFSET;
}
