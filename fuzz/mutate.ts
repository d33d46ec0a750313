import { randomBelow, type Random } from '../src/core/random.ts';

/** Values at which lengths, counts and offsets go wrong. */
const EDGES = [0, 1, 2, 3, 4, 7, 8, 15, 16, 19, 20, 39, 40, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xfffe, 0xffff];
const MAX_STACKED = 5;
/** Half of all mutants come from the inputs found last: where something new was, there is more. */
const RECENT_INPUTS = 8;

/**
 * A new input made from one of `corpus`: a few small changes on top of each other, of the kinds that break parsers of
 * binary headers (edge values in 8, 16 and 32 bits, off-by-one fields, cuts, repetitions, pieces of other inputs).
 */
export function mutate(random: Random, corpus: readonly Uint8Array[], maxBytes: number): Uint8Array {
  const recent = Math.min(RECENT_INPUTS, corpus.length);
  const index = randomBelow(random, randomBelow(random, 2) === 0 ? recent : corpus.length);
  let bytes = Uint8Array.from(corpus[corpus.length - 1 - index]!.subarray(0, maxBytes));
  for (let changes = 1 + randomBelow(random, MAX_STACKED); changes > 0; changes--) {
    bytes = bytes.length === 0 ? randomBytes(random, 1 + randomBelow(random, 64)) : change(random, bytes, corpus);
  }
  return bytes.subarray(0, maxBytes);
}

function change(
  random: Random,
  bytes: Uint8Array<ArrayBuffer>,
  corpus: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const at = randomBelow(random, bytes.length);
  switch (randomBelow(random, 13)) {
    case 0:
      bytes[at]! ^= 1 << randomBelow(random, 8);
      return bytes;
    case 1:
    case 10:
    case 11:
      bytes[at] = random.u32();
      return bytes;
    case 2:
      bytes[at]! += randomBelow(random, 2) === 0 ? 1 : -1;
      return bytes;
    case 3:
    case 12:
      return writeEdge(random, bytes, at);
    case 4:
      return bytes.slice(0, at);
    case 5:
      return splice(bytes, at, randomBelow(random, Math.min(32, bytes.length - at)) + 1, new Uint8Array(0));
    case 6:
      return splice(bytes, at, 0, randomBytes(random, 1 + randomBelow(random, 16)));
    case 7:
      return splice(bytes, at, 0, bytes.slice(at, at + 1 + randomBelow(random, 32)));
    case 8: {
      const other = corpus[randomBelow(random, corpus.length)]!;
      if (other.length === 0) return bytes;
      const from = randomBelow(random, other.length);
      const piece = other.subarray(from, from + 1 + randomBelow(random, other.length - from));
      return splice(bytes, at, randomBelow(random, 2) === 0 ? 0 : piece.length, piece);
    }
    default: {
      const length = Math.min(1 + randomBelow(random, 8), bytes.length - at);
      bytes.set(bytes.slice(randomBelow(random, bytes.length - length + 1)).subarray(0, length), at);
      return bytes;
    }
  }
}

/** An edge value, or one close to the number of bytes that follow, in network order. */
function writeEdge(random: Random, bytes: Uint8Array<ArrayBuffer>, at: number): Uint8Array<ArrayBuffer> {
  const rest = bytes.length - at;
  const value =
    randomBelow(random, 3) === 0 ? rest + randomBelow(random, 5) - 2 : EDGES[randomBelow(random, EDGES.length)]!;
  const width = [1, 2, 4][randomBelow(random, 3)]!;
  for (let i = 0; i < width && at + i < bytes.length; i++) bytes[at + i] = value >>> (8 * (width - 1 - i));
  return bytes;
}

function splice(bytes: Uint8Array, at: number, removed: number, added: Uint8Array): Uint8Array<ArrayBuffer> {
  const tail = bytes.subarray(Math.min(at + removed, bytes.length));
  const result = new Uint8Array(at + added.length + tail.length);
  result.set(bytes.subarray(0, at));
  result.set(added, at);
  result.set(tail, at + added.length);
  return result;
}

function randomBytes(random: Random, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, () => random.u32());
}
