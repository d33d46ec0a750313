/** Prime, so that no power of two hides a shift. */
const PERIOD = 65_521;
const MAX_BYTES: number = 4 * 65_536;
const TABLE: Uint8Array = Uint8Array.from({ length: PERIOD + MAX_BYTES }, (_, i) => {
  return (Math.imul(i % PERIOD, 0x9e37_79b1) >>> 24) & 0xff;
});

/** `length` bytes of a stream from `offset` on: each tells its place. */
export function streamBytes(offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += MAX_BYTES) {
    const start = (((offset + at) % PERIOD) + PERIOD) % PERIOD;
    bytes.set(TABLE.subarray(start, start + Math.min(MAX_BYTES, length - at)), at);
  }
  return bytes;
}

/** Where `bytes` first differ from the stream at `offset`; -1 if they do not. */
export function streamMismatch(bytes: Uint8Array, offset: number): number {
  let index = ((offset % PERIOD) + PERIOD) % PERIOD;
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] !== TABLE[index]) return i;
    if (++index === PERIOD) index = 0;
  }
  return -1;
}
