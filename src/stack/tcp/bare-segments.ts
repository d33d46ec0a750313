import { PROTOCOL_TCP } from '../../wire/protocols.ts';
import { emitTcp, TCP_ACK, TCP_HEADER_BYTES, TCP_SYN } from '../../wire/tcp.ts';
import { emitSynOptions, emitTimestamps } from '../../wire/tcp-options.ts';
import type { IpOutput, Route } from '../route.ts';
import type { TcpCounters } from './counters.ts';
import type { TimeWait } from './time-wait.ts';

/** A SYN-ACK that nobody keeps: all there is to know about it. One per layer, reused. */
export class StatelessSynAck {
  localPort = 0;
  remotePort = 0;
  sequence = 0;
  acknowledgment = 0;
  /** Beside SYN and ACK. */
  extraFlags = 0;
  window = 0;
  mss = 0;
  /** -1: no option. */
  windowScale = -1;
  sackPermitted = false;
  hasTimestamps = false;
  timestampValue = 0;
  timestampEcho = 0;
}

/**
 * Segments that belong to no connection. Where the way down is not free they are not sent: what they answer will come
 * again.
 */
export class BareSegments {
  readonly #ip: IpOutput;
  readonly #counters: TcpCounters;

  constructor(ip: IpOutput, counters: TcpCounters) {
    this.#ip = ip;
    this.#counters = counters;
  }

  /** The acknowledgment of a connection in TIME-WAIT. */
  writeAcknowledgment(entry: TimeWait, nowMicros: number): void {
    const tx = this.#ip.begin(entry.route, PROTOCOL_TCP, nowMicros);
    if (tx === null) return;
    const l4 = tx.l4Offset;
    let headerBytes = TCP_HEADER_BYTES;
    if (entry.hasTimestamps) {
      headerBytes += emitTimestamps(tx.view, l4 + headerBytes, entry.timestamp(nowMicros), entry.timestampRecent);
    }
    tx.headerBytes = l4 + headerBytes;
    const { localPort, remotePort, sndNxt, rcvNxt, windowField } = entry;
    emitTcp(tx.view, l4, localPort, remotePort, sndNxt, rcvNxt, headerBytes, TCP_ACK, windowField, 0);
    if (this.#ip.send(entry.route, tx) > 0) this.#counters.segmentsOut++;
  }

  /** False: not sent. */
  writeSynAck(route: Route, answer: StatelessSynAck, nowMicros: number): boolean {
    const tx = this.#ip.begin(route, PROTOCOL_TCP, nowMicros);
    if (tx === null) return false;
    const l4 = tx.l4Offset;
    const optionBytes = emitSynOptions(
      tx.bytes,
      tx.view,
      l4 + TCP_HEADER_BYTES,
      answer.mss,
      answer.windowScale,
      answer.sackPermitted,
      answer.hasTimestamps,
      answer.timestampValue,
      answer.timestampEcho,
    );
    const headerBytes = TCP_HEADER_BYTES + optionBytes;
    tx.headerBytes = l4 + headerBytes;
    emitTcp(
      tx.view,
      l4,
      answer.localPort,
      answer.remotePort,
      answer.sequence,
      answer.acknowledgment,
      headerBytes,
      TCP_SYN | TCP_ACK | answer.extraFlags,
      answer.window,
      0,
    );
    if (this.#ip.send(route, tx) <= 0) return false;
    this.#counters.segmentsOut++;
    return true;
  }
}
