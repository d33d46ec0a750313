import { writeI32, writeU16, readI32, readU16 } from '../core/bytes.ts';
import { FrameList } from '../link/link.ts';
import type { MemoryRegion } from '../memory/region.ts';
import { sumAt, sumBytes } from '../wire/checksum.ts';
import { fillIpv4Checksum } from '../wire/ipv4.ts';
import { TCP_CWR, TCP_FIN, TCP_PSH } from '../wire/tcp.ts';
import type { TxFrame } from './tx-frame.ts';

/**
 * The checksum's sum of a frame list's segments from `first` on, added to `seed`. The first of them stands at
 * `position` of the checksummed data; segments of odd length leave the next one at an odd position.
 */
export function sumSegments(list: FrameList, first: number, position: number, seed: number): number {
  let sum = seed;
  let at = position;
  for (let i = first; i < list.count; i++) {
    const region = list.regions[i]!;
    sum += sumAt(region.mapping, viewOf(region), list.offsets[i]!, list.lengths[i]!, at);
    at += list.lengths[i]!;
  }
  return sum;
}

/** The sum of some bytes of a region, as if they began at an even position. */
export function sumRegion(region: MemoryRegion, offset: number, length: number): number {
  return sumBytes(region.mapping, viewOf(region), offset, length);
}

/** By mapping, so that a region that is gone takes its view along. */
const views = new WeakMap<Uint8Array, DataView>();

function viewOf({ mapping }: MemoryRegion): DataView {
  let view = views.get(mapping);
  if (view === undefined) {
    view = new DataView(mapping.buffer, mapping.byteOffset, mapping.byteLength);
    views.set(mapping, view);
  }
  return view;
}

/**
 * TCP segmentation in software, for links that do not offer it: one large frame becomes wire segments of
 * `tx.gsoSizeBytes`, whose headers are the large one's with lengths, sequence number, IPv4 identification and flags
 * made right (as "TCP segmentation offload" does in hardware).
 */
export class Segmenter {
  /** The segment under construction: headers in `tx.header`'s region behind the original, payload by reference. */
  readonly frame: FrameList = new FrameList();
  #segment = 0;
  #sentBytes = 0;
  /** Where in the large frame's payload segments the next wire segment begins. */
  #listIndex = 1;
  #listOffset = 0;

  begin(): void {
    this.#segment = 0;
    this.#sentBytes = 0;
    this.#listIndex = 1;
    this.#listOffset = 0;
  }

  /** Builds the next wire segment in `frame`, headers at `headerAt` in the TX slot. False: none is left. */
  next(tx: TxFrame, headerAt: number): boolean {
    const left = tx.payloadBytes - this.#sentBytes;
    if (left === 0) return false;
    const size = Math.min(tx.gsoSizeBytes, left);
    this.frame.clear();
    tx.bytes.copyWithin(headerAt, 0, tx.headerBytes);
    this.frame.push(tx.header, headerAt, tx.headerBytes);
    this.#takePayload(tx.frame, size);
    this.#fixHeaders(tx, headerAt, size, left === size);
    this.#sentBytes += size;
    this.#segment++;
    return true;
  }

  #takePayload(source: FrameList, size: number): void {
    let left = size;
    while (left > 0) {
      const available = source.lengths[this.#listIndex]! - this.#listOffset;
      const length = Math.min(available, left);
      this.frame.push(source.regions[this.#listIndex]!, source.offsets[this.#listIndex]! + this.#listOffset, length);
      left -= length;
      this.#listOffset += length;
      if (this.#listOffset === source.lengths[this.#listIndex]!) {
        this.#listIndex++;
        this.#listOffset = 0;
      }
    }
  }

  #fixHeaders(tx: TxFrame, headerAt: number, size: number, isLast: boolean): void {
    const { bytes } = tx;
    const l3 = headerAt + tx.l3Offset;
    const l4 = headerAt + tx.l4Offset;
    const l4Bytes = tx.headerBytes - tx.l4Offset + size;
    if (bytes[l3]! >> 4 === 4) {
      writeU16(bytes, l3 + 2, tx.l4Offset - tx.l3Offset + l4Bytes);
      writeU16(bytes, l3 + 4, readU16(bytes, l3 + 4) + this.#segment);
      fillIpv4Checksum(bytes, tx.view, l3);
    } else {
      writeU16(bytes, l3 + 4, tx.l4Offset - tx.l3Offset - 40 + l4Bytes);
    }
    writeI32(bytes, l4 + 4, (readI32(bytes, l4 + 4) + this.#sentBytes) | 0);
    let flags = bytes[l4 + 13]!;
    if (!isLast) flags &= ~(TCP_FIN | TCP_PSH);
    // RFC 3168 §6.1.2: CWR announces one reduction, on the first segment after it.
    if (this.#segment > 0 && !tx.repeatsCwr) flags &= ~TCP_CWR;
    bytes[l4 + 13] = flags;
  }
}
