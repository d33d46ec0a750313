/** RFC 5681 §3.1: "arbitrarily high". */
export const UNLIMITED_SSTHRESH = 0x7fff_ffff;
/** No window is of use beyond what a scaled receive window can offer (RFC 7323 §2.3). */
export const MAX_CWND_BYTES = 0x4000_0000;

/** RFC 6928 §2: min(10 * MSS, max(2 * MSS, 14600)), for any number of segments in the place of ten. */
export function initialWindowBytes(mssBytes: number, windowSegments: number): number {
  return Math.max(mssBytes, Math.min(windowSegments * mssBytes, Math.max(2 * mssBytes, windowSegments * 1460)));
}

/**
 * The window after a pause: halved for each RTO of it, down to the restart window (RFC 5681 §4.1, and as gently as RFC
 * 7661 §4.4.2 and Linux have it).
 */
export function windowAfterIdle(
  cwndBytes: number,
  initialBytes: number,
  idleMicros: number,
  rtoMicros: number,
): number {
  const restartBytes = Math.min(cwndBytes, initialBytes);
  let bytes = cwndBytes;
  for (let left = idleMicros - rtoMicros; left > 0 && bytes > restartBytes; left -= rtoMicros) bytes /= 2;
  return Math.max(Math.floor(bytes), restartBytes);
}

/** What is remembered of a good window when it shrinks without a loss: three quarters of it (RFC 7661 §4.4.2). */
export function thresholdAfterIdle(cwndBytes: number, ssthreshBytes: number): number {
  return Math.max(ssthreshBytes, Math.floor(cwndBytes * 0.75));
}
