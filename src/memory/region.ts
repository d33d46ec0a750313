/**
 * Bytes that a NIC can reach: device memory, header rings, host pages, transmit copies. Frames are scattered into and
 * gathered from (region, offset, length) triples, so nothing on the way makes a view.
 */
export interface MemoryRegion {
  /** Small, unique in the process, never reused: links cache what they know of a region (its address) under it. */
  readonly id: number;
  readonly sizeBytes: number;
  /** The whole region, mapped. */
  readonly mapping: Uint8Array;
}

let lastRegionId = 0;

/** The next region id. */
export function nextRegionId(): number {
  return ++lastRegionId;
}

/** Ordinary host memory as a region: header slots, host pages, bytes on their way out. */
export class HostRegion implements MemoryRegion {
  readonly id: number = nextRegionId();
  readonly sizeBytes: number;
  readonly mapping: Uint8Array;

  /** @param sizeBytes how much to allocate. */
  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
    this.mapping = new Uint8Array(new ArrayBuffer(sizeBytes));
  }
}
