/** The NIC as far as it says what its link still reads. */
export interface TransmitMarks {
  txMark(): number;
  txDone(mark: number): boolean;
}

/** Looks, a millisecond apart, for what a peer that is gone will never read. */
const MAX_LOOKS = 100;

/**
 * Resolves when the link has let go of everything sent, or looks as if it never will. Links that copy on sending (TAP)
 * have at once; the cable has when the other end has read its frames.
 */
export async function transmitted(nic: TransmitMarks): Promise<void> {
  // One turn of the engine, for what is still to be sent.
  await new Promise((resolve) => setImmediate(resolve));
  for (let look = 0; look < MAX_LOOKS && !nic.txDone(nic.txMark()); look++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
