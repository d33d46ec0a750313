/**
 * TCP options: the kinds of RFC 9293 §3.2, RFC 7323 (window scale, timestamps) and RFC 2018 (SACK). One pass into a
 * reused summary; unknown kinds are skipped by their length.
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

const MSS_BYTES = 4;
const WINDOW_SCALE_BYTES = 3;
const SACK_PERMITTED_BYTES = 2;
const TIMESTAMPS_BYTES = 10;
const SACK_BLOCK_BYTES = 8;

/** As many as fit into 40 bytes of options (RFC 2018 §3). */
export const MAX_SACK_BLOCKS = 4;
/** RFC 7323 §2.3: a larger shift count is used as 14. */
export const MAX_WINDOW_SCALE = 14;
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

  reset(): void {
    this.mss = 0;
    this.windowScale = -1;
    this.sackPermitted = false;
    this.hasTimestamps = false;
    this.timestampValue = 0;
    this.timestampEcho = 0;
    this.sackCount = 0;
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
    default:
  }
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

/**
 * The options of a SYN, padded to a multiple of 4 with NOPs in front. `mss` 0, `windowScale` -1 and false leave an
 * option out. Returns the bytes written, at most 24.
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
): number {
  let at = offset;
  if (mss > 0) {
    view.setUint16(at, (KIND_MSS << 8) | MSS_BYTES);
    view.setUint16(at + 2, mss);
    at += MSS_BYTES;
  }
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

function emitBareTimestamps(view: DataView, offset: number, value: number, echo: number): number {
  view.setUint16(offset, (KIND_TIMESTAMPS << 8) | TIMESTAMPS_BYTES);
  view.setInt32(offset + 2, value);
  view.setInt32(offset + 6, echo);
  return TIMESTAMPS_BYTES;
}

/** `<mss 1460,sackOK,ts 1/0,ws 7,sack 5-9>`; empty if nothing was said. */
export function describeTcpOptions(options: TcpOptions): string {
  const parts: string[] = [];
  if (options.mss > 0) parts.push(`mss ${options.mss}`);
  if (options.sackPermitted) parts.push('sackOK');
  if (options.hasTimestamps) parts.push(`ts ${options.timestampValue >>> 0}/${options.timestampEcho >>> 0}`);
  if (options.windowScale >= 0) parts.push(`ws ${options.windowScale}`);
  for (let i = 0; i < options.sackCount; i++) {
    parts.push(`sack ${options.sackLeft[i]! >>> 0}-${options.sackRight[i]! >>> 0}`);
  }
  return parts.length === 0 ? '' : `<${parts.join(',')}>`;
}
