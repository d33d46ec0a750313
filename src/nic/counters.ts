/** What one NIC has done, in the manner of `ethtool -S`. Every dropped frame is in exactly one `rxDrop...` counter. */
export class NicCounters {
  rxPackets = 0;
  rxBytes = 0;
  /** TCP payload that landed in its final page at once. */
  rxScatteredBytes = 0;
  /** Bytes moved inside the NIC because header length or queue were predicted wrong. */
  rxRelocatedBytes = 0;
  /** Pure header frames and non-TCP frames: nothing to split. */
  rxUnsplitPackets = 0;
  /** Frames whose header was longer than predicted: header bytes were fetched from the landing, payload stayed. */
  rxHeaderRefetches = 0;
  /** Frames that stand for several wire segments (segmentation offload). */
  rxGsoPackets = 0;
  rxChecksumVerified = 0;

  rxDropMalformed = 0;
  rxDropChecksum = 0;
  /** Not for this NIC's address, nor broadcast, nor a joined group. */
  rxDropAddress = 0;
  rxDropVlan = 0;
  /** Longer than any frame may be on this link. */
  rxDropOversize = 0;
  /** No page left for the payload. */
  rxDropNoPage = 0;
  rxErrors = 0;

  txPackets = 0;
  txBytes = 0;
  txSegmentedPackets = 0;
  txChecksumsComputed = 0;
  /** Parts of a frame segmented in software that the link had no room for. */
  txDropLinkFull = 0;
  txErrors = 0;
}

/** What one RX queue has received. */
export class RxQueueCounters {
  packets = 0;
  payloadBytes = 0;
  relocatedBytes = 0;
  dropNoPage = 0;
}
