import type { TcpConnection } from '../../src/stack/tcp/connection.ts';
import { notSentLowatBytes } from '../../src/stack/tcp/send-buffer.ts';

/** What Linux counts for each of its packet buffers beside the payload. */
const OVERHEAD_BYTES = 768;
/** The largest packet handed down in one, less the longest headers. */
const MAX_PACKET_BYTES = 65_215;
/** SOCK_MIN_SNDBUF. */
const MIN_LIMIT_BYTES = 4608;
/** TCP_MSS_DEFAULT: a peer with a smaller window has it filled in one. */
const SMALL_WINDOW_BYTES = 536;

/**
 * How much of a write Linux takes at once when SO_SNDBUF or TCP_NOTSENT_LOWAT is set: it counts the memory of its packet
 * buffers, fills the last one whatever it counts, and lets a writer that waited go on when a third is free. Ours counts
 * payload. Scripts tell the two apart by what `write` returns and when, which has nothing to do with what is sent.
 */
export class SendAdmission {
  readonly limitBytes: number;
  /** Stream offsets where one buffer ends and the next begins. */
  #bounds: number[] = [];
  #isWaiting = false;

  /** @param sizeBytes as given to SO_SNDBUF; twice of it counts. */
  constructor(sizeBytes: number) {
    this.limitBytes = Math.max(MIN_LIMIT_BYTES, 2 * sizeBytes);
  }

  /** How many of `wantedBytes` a connection takes now. */
  admit(connection: TcpConnection, wantedBytes: number): number {
    const { sender, segmentBytes } = connection;
    const una = Math.max(0, sender.unaOffset);
    this.#bounds = this.#bounds.filter((bound) => bound > una);
    const begin = connection.queuedOffset;
    if (this.#isWaiting && this.#countedBytes(una, begin) > (this.limitBytes * 2) / 3) return 0;
    this.#isWaiting = false;
    const goalBytes = this.#goalBytes(connection);
    const windowSegments = Math.floor(sender.congestion.cwndBytes / segmentBytes);
    let sent = Math.max(una, Math.min(sender.nxtOffset, begin));
    let end = begin;
    let start = this.#bounds.at(-1) ?? una;
    while (end - begin < wantedBytes) {
      const tailBytes = end - Math.max(sent, start);
      let roomBytes = tailBytes > 0 ? goalBytes - tailBytes : 0;
      if (roomBytes <= 0) {
        const isFull = this.#countedBytes(una, end) >= this.limitBytes;
        if (isFull || end - sent >= notSentLowatBytes(connection)) {
          this.#isWaiting = true;
          break;
        }
        start = end;
        roomBytes = goalBytes;
        if (end > una) this.#bounds.push(end);
      }
      end += Math.min(roomBytes, wantedBytes - (end - begin));
      if (sent < start || end - sent < goalBytes) continue;
      // A full buffer that is first in line goes out at once, no more than half of the congestion window of it.
      const freeSegments = Math.min(
        windowSegments - Math.ceil((sent - una) / segmentBytes),
        Math.floor((sender.sndWnd - (sent - una)) / segmentBytes),
        Math.max(1, windowSegments >> 1),
      );
      if (freeSegments <= 0) continue;
      sent += Math.min(end - sent, freeSegments * segmentBytes);
      if (sent < end) this.#bounds.push(sent);
    }
    return end - begin;
  }

  /** What `poll` says: a third is free, and less than half of what may be unsent is. */
  isWritable(connection: TcpConnection): boolean {
    const { sender } = connection;
    const counted = this.#countedBytes(Math.max(0, sender.unaOffset), connection.queuedOffset);
    return counted <= (this.limitBytes * 2) / 3 && 2 * sender.unsentBytes < notSentLowatBytes(connection);
  }

  #goalBytes(connection: TcpConnection): number {
    const { sender, segmentBytes } = connection;
    const { maxSndWnd } = sender;
    const cutoff = maxSndWnd > SMALL_WINDOW_BYTES ? Math.floor(maxSndWnd / 2) : maxSndWnd;
    const segments = Math.floor(Math.min(MAX_PACKET_BYTES, Math.max(cutoff, 1)) / segmentBytes);
    return Math.max(1, segments) * segmentBytes;
  }

  #countedBytes(una: number, end: number): number {
    const buffers = this.#bounds.filter((bound) => bound < end).length + (end > una ? 1 : 0);
    return end - una + buffers * OVERHEAD_BYTES;
  }
}
