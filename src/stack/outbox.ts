import { HEADER_SLOT_BYTES } from '../nic/packet.ts';
import type { TxFrame } from '../nic/tx-frame.ts';
import type { IpCounters } from './counters.ts';
import type { IpSender } from './output.ts';
import type { Route } from './route.ts';

/** Messages that wait for their next hop to be resolved (RFC 1122 §2.3.2.2 asks for one at least). */
export const MAX_WAITING = 16;
/** A message is never longer than what made us send it, which lay in a header slot. */
const SLOT_BYTES = HEADER_SLOT_BYTES;

class WaitingMessage {
  readonly bytes: Uint8Array = new Uint8Array(SLOT_BYTES);
  readonly view: DataView = new DataView(this.bytes.buffer);
  route: Route | null = null;
  protocol = 0;
  lengthBytes = 0;
}

/**
 * Where the stack writes IP messages of its own (ICMP): straight into the NIC's frame builder if the next hop is known,
 * into a waiting room otherwise. `open`, write at `offset`, `commit`.
 */
export class Outbox {
  readonly #sender: IpSender;
  readonly #counters: IpCounters;
  readonly #waiting: WaitingMessage[] = Array.from({ length: MAX_WAITING }, () => new WaitingMessage());
  #waitingCount = 0;
  #epochSeen = -1;

  #route: Route | null = null;
  #protocol = 0;
  #slot: WaitingMessage | null = null;

  /** Valid between `open` and `commit`. */
  bytes: Uint8Array;
  view: DataView;
  offset = 0;
  /** The frame builder, to which payload references may be added; null while the message goes to the waiting room. */
  tx: TxFrame | null = null;

  constructor(sender: IpSender, counters: IpCounters) {
    this.#sender = sender;
    this.#counters = counters;
    this.bytes = this.#waiting[0]!.bytes;
    this.view = this.#waiting[0]!.view;
  }

  get waitingCount(): number {
    return this.#waitingCount;
  }

  /** False (and counted): the next hop does not answer, or the waiting room is full. */
  open(route: Route, protocol: number, nowMicros: number): boolean {
    this.#route = route;
    this.#protocol = protocol;
    const tx = this.#sender.begin(route, protocol, nowMicros);
    this.tx = tx;
    if (tx !== null) {
      this.bytes = tx.bytes;
      this.view = tx.view;
      this.offset = tx.l4Offset;
      return true;
    }
    const slot = route.state === 'resolving' ? (this.#waiting.find((message) => message.route === null) ?? null) : null;
    this.#slot = slot;
    if (slot === null) {
      this.#counters.txDropUnresolved++;
      return false;
    }
    this.bytes = slot.bytes;
    this.view = slot.view;
    this.offset = 0;
    return true;
  }

  /**
   * Sends what was written, or leaves it waiting. References that were added to `tx` come behind.
   * @returns whether it went to the link now.
   */
  commit(lengthBytes: number): boolean {
    const route = this.#route!;
    if (this.tx !== null) return this.#send(route, this.tx, lengthBytes);
    const slot = this.#slot!;
    slot.route = route;
    slot.protocol = this.#protocol;
    slot.lengthBytes = lengthBytes;
    this.#waitingCount++;
    return false;
  }

  /** Sends what waited for next hops that are known by now. `epoch` is the cache's `resolvedEpoch`. */
  flush(epoch: number, nowMicros: number): number {
    if (this.#waitingCount === 0 || epoch === this.#epochSeen) return 0;
    this.#epochSeen = epoch;
    let work = 0;
    for (const message of this.#waiting) {
      const { route } = message;
      if (route === null) continue;
      const tx = this.#sender.begin(route, message.protocol, nowMicros);
      if (tx === null && route.state === 'resolving') continue;
      if (tx === null) this.#counters.txDropUnresolved++;
      else this.#sendWaiting(route, tx, message);
      message.route = null;
      this.#waitingCount--;
      work++;
    }
    return work;
  }

  #sendWaiting(route: Route, tx: TxFrame, message: WaitingMessage): void {
    for (let i = 0; i < message.lengthBytes; i++) tx.bytes[tx.l4Offset + i] = message.bytes[i]!;
    this.#send(route, tx, message.lengthBytes);
  }

  #send(route: Route, tx: TxFrame, lengthBytes: number): boolean {
    tx.headerBytes = tx.l4Offset + lengthBytes;
    const sent = this.#sender.send(route, tx);
    if (sent === 0) this.#counters.txDropLinkFull++;
    return sent > 0;
  }
}
