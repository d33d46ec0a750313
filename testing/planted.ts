/**
 * A parser with a planted fault behind three bytes that nobody guesses together: what the fuzzer's own test looks for.
 */
export function parsePlanted(bytes: Uint8Array): number {
  if (bytes.length < 8) return -1;
  if (bytes[0] !== 0xde) return -2;
  if (bytes[1] !== 0xad) return -3;
  let at = 2;
  while (at + 2 <= bytes.length) {
    const kind = bytes[at]!;
    const length = bytes[at + 1]!;
    if (length < 2) return -4;
    if (kind === 77) throw new Error('the planted fault');
    at += length;
  }
  return at;
}
