/**
 * TCP sequence number arithmetic (RFC 9293 §3.4): modulo 2^32, and "less" means "less than half the space behind".
 * Numbers live as int32, for which `(a - b) | 0` is the signed distance; `>>> 0` is only for printing.
 */

/** Where `a` lies relative to `b`: positive if after, negative if before. */
export function sequenceDifference(a: number, b: number): number {
  return (a - b) | 0;
}

export function sequenceAdd(a: number, count: number): number {
  return (a + count) | 0;
}

export function sequenceLess(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

export function sequenceLessOrEqual(a: number, b: number): boolean {
  return ((a - b) | 0) <= 0;
}

export function sequenceGreater(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

export function sequenceGreaterOrEqual(a: number, b: number): boolean {
  return ((a - b) | 0) >= 0;
}

export function sequenceMax(a: number, b: number): number {
  return ((a - b) | 0) >= 0 ? a : b;
}

export function sequenceMin(a: number, b: number): number {
  return ((a - b) | 0) <= 0 ? a : b;
}
