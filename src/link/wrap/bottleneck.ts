import { invalidArgument } from '../../core/errors.ts';
import { adjustChecksum } from '../../wire/checksum.ts';
import { ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6, etherType } from '../../wire/ethernet.ts';
import { IPV4_CHECKSUM_OFFSET, IPV4_HEADER_BYTES } from '../../wire/ipv4.ts';
import { IPV6_HEADER_BYTES } from '../../wire/ipv6.ts';
import { isVlanType, MAX_VLAN_TAGS, VLAN_TAG_BYTES, vlanInnerType } from '../../wire/vlan.ts';

/** RFC 8289 §4.4. */
const DEFAULT_INTERVAL_MICROS = 100_000;
/** RFC 8289 §5.3: a pause this many intervals long and the drop rate starts over. */
const MEMORY_INTERVALS = 16;

/** RFC 3168 §5: both bits of the field set. */
const CONGESTION_EXPERIENCED = 3;

/** What a bottleneck does before its queue is full. */
export interface QueueManagementOptions {
  /**
   * Frames that will have waited longer than this are marked Congestion Experienced if they are of an ECN-capable
   * transport: a step, as switches in datacentres do it (RFC 8257 §3.1). Nothing is dropped for it.
   */
  markAboveMicros?: number;
  /** CoDel (RFC 8289): the waiting time that may last; marks what is ECN-capable, drops the rest. 5000 is usual. */
  codelTargetMicros?: number;
  /** How long the waiting time may be above the target (default 100 ms): about the longest round trip. */
  codelIntervalMicros?: number;
}

export const QUEUE_PASS = 0;
/** The frame is to be marked if it is ECN-capable, and to be sent in any case. */
export const QUEUE_MARK = 1;
/** The frame is to be marked if it is ECN-capable, or else to be dropped. */
export const QUEUE_MARK_OR_DROP = 2;

/**
 * Active queue management in front of a link of a fixed rate. Because how long a frame waits is known when it comes, it
 * is judged then, as of the time when it will have reached the head of the queue: what is dropped there takes no time
 * on the wire, as where CoDel drops.
 */
export class QueueManagement {
  readonly #markAboveMicros: number;
  readonly #targetMicros: number;
  readonly #intervalMicros: number;
  /** RFC 8289 §5.2: first_above_time, drop_next, count, lastcount, dropping. */
  #firstAboveMicros = -1;
  #nextMicros = 0;
  #count = 0;
  #lastCount = 0;
  #isDropping = false;

  /** @throws DevmemError ERR_DEVMEM_INVALID_ARGUMENT for an amount that is negative or no number. */
  constructor(options: QueueManagementOptions) {
    this.#markAboveMicros = checkMicros('markAboveMicros', options.markAboveMicros ?? Number.POSITIVE_INFINITY);
    this.#targetMicros = checkMicros('codelTargetMicros', options.codelTargetMicros ?? Number.POSITIVE_INFINITY);
    this.#intervalMicros = checkMicros('codelIntervalMicros', options.codelIntervalMicros ?? DEFAULT_INTERVAL_MICROS);
  }

  /**
   * What is to happen to the next frame.
   * @param departureMicros when it will be at the head of the queue.
   * @param waitedMicros for how long it will have waited by then.
   */
  judge(departureMicros: number, waitedMicros: number): number {
    if (this.#codel(departureMicros, waitedMicros)) return QUEUE_MARK_OR_DROP;
    return waitedMicros > this.#markAboveMicros ? QUEUE_MARK : QUEUE_PASS;
  }

  #codel(nowMicros: number, waitedMicros: number): boolean {
    const isLate = this.#isLate(nowMicros, waitedMicros);
    if (this.#isDropping) {
      if (!isLate) this.#isDropping = false;
      if (!isLate || nowMicros < this.#nextMicros) return false;
      this.#count++;
      this.#nextMicros += this.#intervalMicros / Math.sqrt(this.#count); // RFC 8289 §5.2, control_law
      return true;
    }
    if (!isLate) return false;
    this.#isDropping = true;
    const since = this.#count - this.#lastCount;
    const isRecent = nowMicros - this.#nextMicros < MEMORY_INTERVALS * this.#intervalMicros;
    this.#count = since > 1 && isRecent ? since : 1;
    this.#lastCount = this.#count;
    this.#nextMicros = nowMicros + this.#intervalMicros / Math.sqrt(this.#count);
    return true;
  }

  /** The waiting time has been above the target for an interval (RFC 8289 §5.2, dodequeue). */
  #isLate(nowMicros: number, waitedMicros: number): boolean {
    if (waitedMicros < this.#targetMicros) {
      this.#firstAboveMicros = -1;
      return false;
    }
    if (this.#firstAboveMicros < 0) {
      this.#firstAboveMicros = nowMicros + this.#intervalMicros;
      return false;
    }
    return nowMicros >= this.#firstAboveMicros;
  }
}

/**
 * Sets Congestion Experienced in the IP header of a frame, and its checksum right (RFC 3168 §5). The frame lies in one
 * piece. Returns whether it was ECN-capable.
 */
export function markCongestion(bytes: Uint8Array, view: DataView, offset: number, length: number): boolean {
  const end = offset + length;
  if (length < ETHERNET_HEADER_BYTES) return false;
  let l3 = offset + ETHERNET_HEADER_BYTES;
  let type = etherType(view, offset);
  for (let tags = 0; tags < MAX_VLAN_TAGS && isVlanType(type) && l3 + VLAN_TAG_BYTES <= end; tags++) {
    type = vlanInnerType(view, l3);
    l3 += VLAN_TAG_BYTES;
  }
  if (type === ETHERTYPE_IPV4 && l3 + IPV4_HEADER_BYTES <= end) return markIpv4(bytes, view, l3);
  if (type === ETHERTYPE_IPV6 && l3 + IPV6_HEADER_BYTES <= end) return markIpv6(bytes, l3);
  return false;
}

function markIpv4(bytes: Uint8Array, view: DataView, l3: number): boolean {
  const ecn = bytes[l3 + 1]! & CONGESTION_EXPERIENCED;
  if (ecn === 0) return false;
  if (ecn === CONGESTION_EXPERIENCED) return true;
  const word = view.getUint16(l3);
  view.setUint16(l3, word | CONGESTION_EXPERIENCED);
  const checksum = view.getUint16(l3 + IPV4_CHECKSUM_OFFSET);
  view.setUint16(l3 + IPV4_CHECKSUM_OFFSET, adjustChecksum(checksum, word, word | CONGESTION_EXPERIENCED));
  return true;
}

/** The traffic class lies across the first two bytes (RFC 8200 §3). */
function markIpv6(bytes: Uint8Array, l3: number): boolean {
  if ((bytes[l3 + 1]! & (CONGESTION_EXPERIENCED << 4)) === 0) return false;
  bytes[l3 + 1]! |= CONGESTION_EXPERIENCED << 4;
  return true;
}

function checkMicros(name: string, value: number): number {
  if (!(value >= 0)) throw invalidArgument(`${name} is ${value}`, 'give microseconds, or leave it out');
  return value;
}
