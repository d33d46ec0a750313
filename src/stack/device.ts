import type { PagePool } from '../memory/page-pool.ts';
import type { Packet } from '../nic/packet.ts';
import type { TxFrame } from '../nic/tx-frame.ts';

/** What the network layer asks of a NIC. There is one implementation, `Nic`; tests hand in their own. */
export interface NetDevice {
  /** When a frame under way on the link becomes readable (`Link.pollAt`). */
  readonly link: { pollAt(): number };
  readonly macAddress: Uint8Array;
  /** The largest IP packet of the link, in bytes. */
  readonly mtuBytes: number;
  /** The packet of the last `receive()` that answered > 0, until `recycle()`. */
  readonly packet: Packet;
  /** The one frame builder. */
  readonly tx: TxFrame;
  /** Where the rest of frames goes that are not TCP and longer than a header slot. */
  readonly hostPool: PagePool;

  /** > 0: a packet is in `packet`; 0: nothing is waiting; < 0: a frame was dropped and counted. */
  receive(): number;
  recycle(): void;
  /** Sends `tx`: > 0 sent, 0 link full, < 0 -errno. */
  transmit(): number;
  /** What was sent before the mark may be written to again once `txDone(mark)`. */
  txMark(): number;
  txDone(mark: number): boolean;
  joinMulticast(macAddress: Uint8Array): void;
}
