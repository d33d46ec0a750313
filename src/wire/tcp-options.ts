/**
 * TCP options: the kinds of RFC 9293 §3.2, RFC 7323 (window scale, timestamps), RFC 2018 (SACK) and RFC 9768 (AccECN).
 * One pass into a reused summary; unknown kinds are skipped by their length.
 *
 *     +--------+--------+---------
 *     |  Kind  | Length |  Length - 2 bytes ...      (kinds 0 and 1: the kind byte alone)
 *     +--------+--------+---------
 */
import { MALFORMED } from './verdict.ts';

const KIND_END = 0;
const KIND_NOP = 1;
const KIND_MSS = 2;
const KIND_WINDOW_SCALE = 3;
const KIND_SACK_PERMITTED = 4;
const KIND_SACK = 5;
const KIND_TIMESTAMPS = 8;
/** RFC 2385 and RFC 5925: signatures. */
const KIND_MD5_SIGNATURE = 19;
const KIND_AUTHENTICATION = 29;
/** RFC 7413 §4.1.1, and its form before it had a kind of its own: kind 254 with a magic number. */
const KIND_FAST_OPEN = 34;
const KIND_EXPERIMENT = 254;
const FAST_OPEN_MAGIC = 0xf989;
/** RFC 9768 §3.2.3: the counters in the order EE0B, ECEB, EE1B. */
export const KIND_ACCURATE_ECN_0 = 172;
/** The same in the order EE1B, ECEB, EE0B. */
export const KIND_ACCURATE_ECN_1 = 174;

const MSS_BYTES = 4;
const WINDOW_SCALE_BYTES = 3;
const SACK_PERMITTED_BYTES = 2;
const TIMESTAMPS_BYTES = 10;
const SACK_BLOCK_BYTES = 8;

const FAST_OPEN_BYTES = 2;
const EXPERIMENTAL_FAST_OPEN_BYTES = 4;
const MIN_FAST_OPEN_COOKIE_BYTES = 4;
/** RFC 7413 §4.1.1. */
export const MAX_FAST_OPEN_COOKIE_BYTES = 16;
/** The room behind the fixed header (RFC 9293 §3.1): its length is told in 4 bits, of 4 bytes each. */
export const MAX_OPTION_BYTES = 40;
/** As many as fit into 40 bytes of options (RFC 2018 §3). */
export const MAX_SACK_BLOCKS = 4;
/** RFC 7323 §2.3: a larger shift count is used as 14. */
export const MAX_WINDOW_SCALE = 14;
/** Counters of one AccECN option at most, and the bytes of each. */
export const MAX_ACCURATE_ECN_COUNTERS = 3;
export const ACCURATE_ECN_COUNTER_BYTES = 3;
/** Of an AccECN option without counters. */
export const ACCURATE_ECN_BYTES = 2;
const COUNTER_MASK = 0xff_ffff;
/** `emitTimestamps` with the two NOPs that align it (RFC 7323 appendix A). */
export const TIMESTAMPS_OPTION_BYTES = 12;

/** What the options of one segment said. MSS, window scale and SACK-permitted count on a SYN only: the caller's part. */
export class TcpOptions {
  /** 0: absent. */
  mss = 0;
  /** -1: absent. Never above MAX_WINDOW_SCALE. */
  windowScale = -1;
  sackPermitted = false;
  hasTimestamps = false;
  /** TSval and TSecr, as int32. */
  timestampValue = 0;
  timestampEcho = 0;
  sackCount = 0;
  /** Edges of the blocks, as int32 sequence numbers; the first `sackCount` entries count. */
  readonly sackLeft: Int32Array = new Int32Array(MAX_SACK_BLOCKS);
  readonly sackRight: Int32Array = new Int32Array(MAX_SACK_BLOCKS);
  /** KIND_ACCURATE_ECN_0 or KIND_ACCURATE_ECN_1; 0: absent. */
  accurateEcnKind = 0;
  accurateEcnCount = 0;
  /** The first `accurateEcnCount` entries count: 24 bits each, in the order that the kind says, as on the wire. */
  readonly accurateEcnCounters: Int32Array = new Int32Array(MAX_ACCURATE_ECN_COUNTERS);
  /** The AccECN option had a length that no number of counters explains. What counters it holds count all the same. */
  accurateEcnIsOdd = false;
  /** Length of the Fast Open cookie: -1: no option; 0: one is asked for. */
  fastOpenBytes = -1;
  fastOpenIsExperimental = false;
  readonly fastOpenCookie: Uint8Array = new Uint8Array(MAX_FAST_OPEN_COOKIE_BYTES);
  /** The segment is signed (RFC 2385, RFC 5925). */
  isSigned = false;

  reset(): void {
    this.mss = 0;
    this.windowScale = -1;
    this.sackPermitted = false;
    this.hasTimestamps = false;
    this.timestampValue = 0;
    this.timestampEcho = 0;
    this.sackCount = 0;
    this.accurateEcnKind = 0;
    this.accurateEcnCount = 0;
    this.accurateEcnIsOdd = false;
    this.fastOpenBytes = -1;
    this.fastOpenIsExperimental = false;
    this.isSigned = false;
  }
}

/**
 * Reads the options between `start` and `end` into `out`, which is reset first. Returns 0, or MALFORMED where a length
 * is below 2 or reaches beyond `end`; what stood before that is in `out`. An option of a known kind with a length that
 * the kind does not have is skipped like an unknown one, as the kernel does.
 */
export function parseTcpOptions(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  out: TcpOptions,
): number {
  out.reset();
  let at = start;
  while (at < end) {
    const kind = bytes[at]!;
    if (kind === KIND_END) return 0;
    if (kind === KIND_NOP) {
      at++;
      continue;
    }
    const length = at + 1 < end ? bytes[at + 1]! : 0;
    if (length < 2 || at + length > end) return MALFORMED;
    parseOption(bytes, view, at, kind, length, out);
    at += length;
  }
  return 0;
}

function parseOption(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  kind: number,
  length: number,
  out: TcpOptions,
): void {
  switch (kind) {
    case KIND_TIMESTAMPS:
      if (length !== TIMESTAMPS_BYTES) return;
      out.hasTimestamps = true;
      out.timestampValue = view.getInt32(at + 2);
      out.timestampEcho = view.getInt32(at + 6);
      return;
    case KIND_SACK:
      parseSack(view, at, length, out);
      return;
    case KIND_MSS:
      if (length === MSS_BYTES) out.mss = view.getUint16(at + 2);
      return;
    case KIND_WINDOW_SCALE:
      if (length === WINDOW_SCALE_BYTES) out.windowScale = Math.min(bytes[at + 2]!, MAX_WINDOW_SCALE);
      return;
    case KIND_SACK_PERMITTED:
      if (length === SACK_PERMITTED_BYTES) out.sackPermitted = true;
      return;
    case KIND_FAST_OPEN:
      parseFastOpen(bytes, at + FAST_OPEN_BYTES, at + length, false, out);
      return;
    case KIND_EXPERIMENT:
      if (length >= EXPERIMENTAL_FAST_OPEN_BYTES && view.getUint16(at + 2) === FAST_OPEN_MAGIC) {
        parseFastOpen(bytes, at + EXPERIMENTAL_FAST_OPEN_BYTES, at + length, true, out);
      }
      return;
    case KIND_MD5_SIGNATURE:
    case KIND_AUTHENTICATION:
      out.isSigned = true;
      return;
    case KIND_ACCURATE_ECN_0:
    case KIND_ACCURATE_ECN_1:
      parseAccurateEcn(bytes, at, kind, length, out);
      return;
    default:
  }
}

/** A cookie of another length than RFC 7413 §4.1.1 has counts as no option at all. */
function parseFastOpen(bytes: Uint8Array, start: number, end: number, isExperimental: boolean, out: TcpOptions): void {
  const length = end - start;
  if (
    length !== 0 &&
    (length < MIN_FAST_OPEN_COOKIE_BYTES || length > MAX_FAST_OPEN_COOKIE_BYTES || length % 2 !== 0)
  ) {
    return;
  }
  out.fastOpenBytes = length;
  out.fastOpenIsExperimental = isExperimental;
  for (let i = 0; i < length; i++) out.fastOpenCookie[i] = bytes[start + i]!;
}

function parseSack(view: DataView, at: number, length: number, out: TcpOptions): void {
  const count = (length - 2) / SACK_BLOCK_BYTES;
  if (!Number.isInteger(count) || count < 1 || count > MAX_SACK_BLOCKS) return;
  for (let i = 0; i < count; i++) {
    out.sackLeft[i] = view.getInt32(at + 2 + i * SACK_BLOCK_BYTES);
    out.sackRight[i] = view.getInt32(at + 6 + i * SACK_BLOCK_BYTES);
  }
  out.sackCount = count;
}

/** RFC 9768 §3.2.3: as many whole counters as the length allows, up to three; what remains is for later versions. */
function parseAccurateEcn(bytes: Uint8Array, at: number, kind: number, length: number, out: TcpOptions): void {
  const count = Math.min(Math.floor((length - 2) / ACCURATE_ECN_COUNTER_BYTES), MAX_ACCURATE_ECN_COUNTERS);
  for (let i = 0; i < count; i++) {
    const field = at + 2 + i * ACCURATE_ECN_COUNTER_BYTES;
    out.accurateEcnCounters[i] = (bytes[field]! << 16) | (bytes[field + 1]! << 8) | bytes[field + 2]!;
  }
  out.accurateEcnKind = kind;
  out.accurateEcnCount = count;
  out.accurateEcnIsOdd = length !== 2 + count * ACCURATE_ECN_COUNTER_BYTES;
}

/**
 * The options of a SYN, padded to a multiple of 4 with NOPs in front. `mss` 0, `windowScale` -1 and false leave an
 * option out. `accurateEcnCounters` of an AccECN option are sent, at their initial values; -1: no option. Returns the
 * bytes written, at most 36.
 */
export function emitSynOptions(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  mss: number,
  windowScale: number,
  sackPermitted: boolean,
  timestamps: boolean,
  timestampValue: number,
  timestampEcho: number,
  accurateEcnCounters = -1,
): number {
  let at = offset;
  if (mss > 0) {
    view.setUint16(at, (KIND_MSS << 8) | MSS_BYTES);
    view.setUint16(at + 2, mss);
    at += MSS_BYTES;
  }
  if (accurateEcnCounters >= 0 && !timestamps) at += emitInitialAccurateEcn(bytes, view, at, accurateEcnCounters);
  if (sackPermitted) {
    // In the two bytes that would otherwise be the NOPs before the timestamps.
    if (!timestamps) {
      view.setUint16(at, (KIND_NOP << 8) | KIND_NOP);
      at += 2;
    }
    view.setUint16(at, (KIND_SACK_PERMITTED << 8) | SACK_PERMITTED_BYTES);
    at += SACK_PERMITTED_BYTES;
  }
  if (timestamps) {
    if (!sackPermitted) {
      view.setUint16(at, (KIND_NOP << 8) | KIND_NOP);
      at += 2;
    }
    at += emitBareTimestamps(view, at, timestampValue, timestampEcho);
  }
  if (accurateEcnCounters >= 0 && timestamps) at += emitInitialAccurateEcn(bytes, view, at, accurateEcnCounters);
  if (windowScale >= 0) {
    bytes[at] = KIND_NOP;
    bytes[at + 1] = KIND_WINDOW_SCALE;
    bytes[at + 2] = WINDOW_SCALE_BYTES;
    bytes[at + 3] = windowScale;
    at += 1 + WINDOW_SCALE_BYTES;
  }
  return at - offset;
}

/** Two NOPs and the timestamps option: 12 bytes. */
export function emitTimestamps(view: DataView, offset: number, value: number, echo: number): number {
  view.setUint16(offset, (KIND_NOP << 8) | KIND_NOP);
  return 2 + emitBareTimestamps(view, offset + 2, value, echo);
}

/** Two NOPs and the first `count` blocks (1 to 4): 4 + 8 × count bytes. 0 blocks write nothing. */
export function emitSack(view: DataView, offset: number, lefts: Int32Array, rights: Int32Array, count: number): number {
  if (count === 0) return 0;
  const length = 2 + count * SACK_BLOCK_BYTES;
  view.setUint16(offset, (KIND_NOP << 8) | KIND_NOP);
  view.setUint16(offset + 2, (KIND_SACK << 8) | length);
  for (let i = 0; i < count; i++) {
    view.setInt32(offset + 4 + i * SACK_BLOCK_BYTES, lefts[i]!);
    view.setInt32(offset + 8 + i * SACK_BLOCK_BYTES, rights[i]!);
  }
  return 2 + length;
}

/**
 * An AccECN option (RFC 9768 §3.2.3) with the first `count` (0 to 3) of three counters, of which the lower 24 bits are
 * sent. Not padded: 2 + 3 × count bytes.
 * @param kind says the order: KIND_ACCURATE_ECN_0 or KIND_ACCURATE_ECN_1.
 */
export function emitAccurateEcn(
  view: DataView,
  offset: number,
  kind: number,
  count: number,
  first: number,
  second: number,
  third: number,
): number {
  const length = 2 + count * ACCURATE_ECN_COUNTER_BYTES;
  view.setUint16(offset, (kind << 8) | length);
  if (count > 0) emitCounter(view, offset + 2, first);
  if (count > 1) emitCounter(view, offset + 5, second);
  if (count > 2) emitCounter(view, offset + 8, third);
  return length;
}

/** RFC 9768 §3.2.3.2.1: on a SYN-ACK, nothing has been counted yet. Padded to a multiple of 4. */
function emitInitialAccurateEcn(bytes: Uint8Array, view: DataView, offset: number, count: number): number {
  const length = emitAccurateEcn(view, offset, KIND_ACCURATE_ECN_1, count, 1, 0, 1);
  return length + emitPadding(bytes, offset + length, offset + ((length + 3) & ~3));
}

function emitCounter(view: DataView, offset: number, value: number): void {
  const low = value & COUNTER_MASK;
  view.setUint16(offset, low >>> 8);
  view.setUint8(offset + 2, low & 0xff);
}

/** NOPs up to `end`. */
export function emitPadding(bytes: Uint8Array, offset: number, end: number): number {
  bytes.fill(KIND_NOP, offset, end);
  return end - offset;
}

/** The Fast Open option, padded with NOPs behind it. An empty cookie asks for one. Returns the bytes written. */
export function emitFastOpen(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  cookie: Uint8Array,
  isExperimental: boolean,
): number {
  const headBytes = isExperimental ? EXPERIMENTAL_FAST_OPEN_BYTES : FAST_OPEN_BYTES;
  const length = headBytes + cookie.length;
  bytes[offset] = isExperimental ? KIND_EXPERIMENT : KIND_FAST_OPEN;
  bytes[offset + 1] = length;
  if (isExperimental) view.setUint16(offset + 2, FAST_OPEN_MAGIC);
  bytes.set(cookie, offset + headBytes);
  const padded = Math.ceil(length / 4) * 4;
  bytes.fill(KIND_NOP, offset + length, offset + padded);
  return padded;
}

function emitBareTimestamps(view: DataView, offset: number, value: number, echo: number): number {
  view.setUint16(offset, (KIND_TIMESTAMPS << 8) | TIMESTAMPS_BYTES);
  view.setInt32(offset + 2, value);
  view.setInt32(offset + 6, echo);
  return TIMESTAMPS_BYTES;
}

/** `<mss 1460,sackOK,ts 1/0,ws 7,sack 5-9,ecn e1b 1 ceb 0 e0b 1>`; empty if nothing was said. */
export function describeTcpOptions(options: TcpOptions): string {
  const parts: string[] = [];
  if (options.mss > 0) parts.push(`mss ${options.mss}`);
  if (options.sackPermitted) parts.push('sackOK');
  if (options.hasTimestamps) parts.push(`ts ${options.timestampValue >>> 0}/${options.timestampEcho >>> 0}`);
  if (options.windowScale >= 0) parts.push(`ws ${options.windowScale}`);
  for (let i = 0; i < options.sackCount; i++) {
    parts.push(`sack ${options.sackLeft[i]! >>> 0}-${options.sackRight[i]! >>> 0}`);
  }
  if (options.accurateEcnKind !== 0) parts.push(describeAccurateEcn(options));
  if (options.fastOpenBytes >= 0) parts.push(describeFastOpen(options));
  if (options.isSigned) parts.push('signed');
  return parts.length === 0 ? '' : `<${parts.join(',')}>`;
}

function describeFastOpen(options: TcpOptions): string {
  const cookie = Buffer.from(options.fastOpenCookie.subarray(0, options.fastOpenBytes)).toString('hex');
  return `${options.fastOpenIsExperimental ? 'tfo-exp' : 'tfo'} ${cookie || 'request'}`;
}

const COUNTER_NAMES = ['e0b', 'ceb', 'e1b'] as const;

function describeAccurateEcn(options: TcpOptions): string {
  const isReversed = options.accurateEcnKind === KIND_ACCURATE_ECN_1;
  let text = 'ecn';
  for (let i = 0; i < options.accurateEcnCount; i++) {
    text += ` ${COUNTER_NAMES[isReversed ? 2 - i : i]!} ${options.accurateEcnCounters[i]!}`;
  }
  return text;
}
