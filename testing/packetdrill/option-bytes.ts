import type { EcnCounter, OptionText } from './script.ts';

const KIND_MSS = 2;
const KIND_WINDOW_SCALE = 3;
const KIND_SACK_PERMITTED = 4;
const KIND_SACK = 5;
const KIND_TIMESTAMPS = 8;
const KIND_MD5 = 19;
const KIND_FAST_OPEN = 34;
/** RFC 9768 §3.2.3: E0B first, and E1B first. */
const KIND_ACCECN_0 = 172;
const KIND_ACCECN_1 = 174;
/** RFC 6994: experimental, told apart by a magic number. */
const KIND_EXPERIMENT = 254;
const FAST_OPEN_MAGIC = 0xf989;
const ACCECN_ORDER: Readonly<Record<number, readonly EcnCounter[]>> = {
  [KIND_ACCECN_0]: ['e0b', 'ceb', 'e1b'],
  [KIND_ACCECN_1]: ['e1b', 'ceb', 'e0b'],
};

/** TCP options as bytes of a header. */
export function encodeOptions(options: readonly OptionText[]): Uint8Array {
  return Uint8Array.from(options.flatMap(encodeOption));
}

/** The options of a header, in order; what cannot be told is `raw`. */
export function decodeOptions(bytes: Uint8Array): OptionText[] {
  const options: OptionText[] = [];
  for (let at = 0; at < bytes.length;) {
    const kind = bytes[at]!;
    if (kind === 0 || kind === 1) {
      options.push({ kind: kind === 0 ? 'eol' : 'nop' });
      at++;
      continue;
    }
    const length = Math.max(2, bytes[at + 1] ?? 2);
    options.push(decodeOption(kind, bytes.subarray(at + 2, at + length)));
    at += length;
  }
  return options;
}

function encodeOption(option: OptionText): number[] {
  switch (option.kind) {
    case 'eol':
      return [0];
    case 'nop':
      return [1];
    case 'sackOK':
      return [KIND_SACK_PERMITTED, 2];
    case 'mss':
      return [KIND_MSS, 4, ...u16(option.value)];
    case 'wscale':
      return [KIND_WINDOW_SCALE, 3, option.value & 0xff];
    case 'TS':
      return [KIND_TIMESTAMPS, 10, ...u32(option.value), ...u32(option.echo)];
    case 'sack':
      return [KIND_SACK, 2 + 8 * option.blocks.length, ...option.blocks.flat().flatMap(u32)];
    case 'FO':
      return [KIND_FAST_OPEN, 2 + option.bytes.length, ...option.bytes];
    case 'FOEXP':
      return [KIND_EXPERIMENT, 4 + option.bytes.length, ...u16(FAST_OPEN_MAGIC), ...option.bytes];
    case 'md5':
      return [KIND_MD5, 2 + option.bytes.length, ...option.bytes];
    case 'ECN': {
      const kind = option.counters[0]?.name === 'e1b' ? KIND_ACCECN_1 : KIND_ACCECN_0;
      return [kind, 2 + 3 * option.counters.length, ...option.counters.flatMap(({ value }) => u24(value))];
    }
    case 'raw':
      return [option.number, 2 + option.bytes.length, ...option.bytes];
  }
}

function decodeOption(kind: number, bytes: Uint8Array): OptionText {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const raw: OptionText = { kind: 'raw', number: kind, bytes: bytes.slice() };
  switch (kind) {
    case KIND_MSS:
      return bytes.length === 2 ? { kind: 'mss', value: view.getUint16(0) } : raw;
    case KIND_WINDOW_SCALE:
      return bytes.length === 1 ? { kind: 'wscale', value: bytes[0]! } : raw;
    case KIND_SACK_PERMITTED:
      return bytes.length === 0 ? { kind: 'sackOK' } : raw;
    case KIND_TIMESTAMPS:
      return bytes.length === 8 ? { kind: 'TS', value: view.getUint32(0), echo: view.getUint32(4) } : raw;
    case KIND_SACK:
      return bytes.length % 8 === 0 ? { kind: 'sack', blocks: sackBlocks(view) } : raw;
    case KIND_MD5:
      return { kind: 'md5', bytes: bytes.slice() };
    case KIND_FAST_OPEN:
      return { kind: 'FO', bytes: bytes.slice() };
    case KIND_ACCECN_0:
    case KIND_ACCECN_1:
      return bytes.length % 3 === 0 && bytes.length <= 9 ? accurateEcn(kind, bytes) : raw;
    case KIND_EXPERIMENT:
      return bytes.length >= 2 && view.getUint16(0) === FAST_OPEN_MAGIC
        ? { kind: 'FOEXP', bytes: bytes.slice(2) }
        : raw;
    default:
      return raw;
  }
}

function sackBlocks(view: DataView): [number, number][] {
  return Array.from({ length: view.byteLength / 8 }, (_, i) => [view.getUint32(i * 8), view.getUint32(i * 8 + 4)]);
}

function accurateEcn(kind: number, bytes: Uint8Array): OptionText {
  const order = ACCECN_ORDER[kind]!;
  const counters = order.slice(0, bytes.length / 3).map((name, i) => {
    return { name, value: (bytes[i * 3]! << 16) | (bytes[i * 3 + 1]! << 8) | bytes[i * 3 + 2]! };
  });
  return { kind: 'ECN', counters };
}

function u16(value: number): number[] {
  return [(value >>> 8) & 0xff, value & 0xff];
}

function u24(value: number): number[] {
  return [(value >>> 16) & 0xff, ...u16(value)];
}

function u32(value: number): number[] {
  return [(value >>> 24) & 0xff, ...u24(value)];
}
