import type { TcpConfig } from './config.ts';

/** A probe is worth it only while a loss would not hurt much: RFC 4821 §7.2. */
const MIN_CWND_SEGMENTS = 11;
/** Segments that follow a probe, so that its loss is noticed by them and not by a timeout. */
const FOLLOWING_SEGMENTS = 4;
/** What a probe does not reach after this many of its size were lost (RFC 8899 §5.1.2, MAX_PROBES): this path drops it. */
const MAX_PROBES = 1;

/**
 * Packetization-layer path MTU discovery (RFC 4821, RFC 8899) within the stream: now and then one segment is sent longer
 * than the others. If it arrives, all may be that long; if it alone is lost, none may, and nobody is to blame but the
 * size. Sizes are of IP packets, in bytes.
 */
export class PathSearch {
  /** Known to arrive, and thought to. */
  lowBytes: number;
  highBytes: number;
  /** Size of the probe under way; 0: none. */
  probeBytes = 0;
  /** Where its payload begins and ends, as sequence numbers. */
  probeStart = 0;
  probeEnd = 0;
  readonly #headerBytes: number;
  /** What the path may take: the route's MTU. */
  #limitBytes: number;
  #changedMicros: number;
  #lost = 0;

  constructor(lowBytes: number, limitBytes: number, headerBytes: number, nowMicros: number) {
    this.lowBytes = lowBytes;
    this.highBytes = limitBytes;
    this.#limitBytes = limitBytes;
    this.#headerBytes = headerBytes;
    this.#changedMicros = nowMicros;
  }

  /** Payload of the segments that are known to arrive, options included. */
  get segmentBytes(): number {
    return this.lowBytes - this.#headerBytes;
  }

  /** The route's MTU has changed: nothing larger can be sent. */
  limit(limitBytes: number): void {
    this.#limitBytes = limitBytes;
    this.highBytes = Math.min(this.highBytes, limitBytes);
    this.lowBytes = Math.min(this.lowBytes, limitBytes);
    this.probeBytes = 0;
  }

  /**
   * Payload of the probe to send now, options included, or 0.
   * @param unsentBytes that wait, @param windowBytes that the peer takes, @param cwndSegments that may be in flight.
   */
  next(
    unsentBytes: number,
    windowBytes: number,
    cwndSegments: number,
    config: Readonly<TcpConfig>,
    nowMicros: number,
  ): number {
    if (this.probeBytes > 0 || cwndSegments < MIN_CWND_SEGMENTS) return 0;
    if (this.highBytes - this.lowBytes < config.probeThresholdBytes) {
      this.#reconsider(config, nowMicros);
      return 0;
    }
    const payloadBytes = Math.floor((this.lowBytes + this.highBytes + 1) / 2) - this.#headerBytes;
    const neededBytes = payloadBytes + FOLLOWING_SEGMENTS * this.segmentBytes;
    return unsentBytes >= neededBytes && windowBytes >= neededBytes ? payloadBytes : 0;
  }

  /** The probe is on its way. */
  sent(payloadBytes: number, start: number, end: number): void {
    this.probeBytes = payloadBytes + this.#headerBytes;
    this.probeStart = start;
    this.probeEnd = end;
  }

  /** It has arrived. */
  arrived(nowMicros: number): void {
    this.lowBytes = Math.max(this.lowBytes, this.probeBytes);
    this.highBytes = Math.max(this.highBytes, this.lowBytes);
    this.#ended(nowMicros);
    this.#lost = 0;
  }

  /** It is lost, and nothing around it is. */
  lost(nowMicros: number): void {
    this.#lost++;
    if (this.#lost >= MAX_PROBES) {
      this.highBytes = Math.max(this.lowBytes, this.probeBytes - 1);
      this.#lost = 0;
    }
    this.#ended(nowMicros);
  }

  /** The timer expired, or too much else was lost: the probe says nothing. */
  forget(): void {
    this.probeBytes = 0;
  }

  /** Not even what was known to arrive arrives: half of it, within reason. */
  fallBack(config: Readonly<TcpConfig>, nowMicros: number): void {
    const halfBytes = Math.floor(this.segmentBytes / 2);
    const bytes = Math.max(Math.min(config.baseMssBytes, halfBytes), config.probeFloorBytes);
    this.lowBytes = Math.min(bytes + this.#headerBytes, this.lowBytes);
    this.#ended(nowMicros);
  }

  /** RFC 8899 §5.1.1, PMTU_RAISE_TIMER: paths change; what did not arrive then may now. */
  #reconsider(config: Readonly<TcpConfig>, nowMicros: number): void {
    if (nowMicros - this.#changedMicros < config.probeRaiseMicros) return;
    this.highBytes = this.#limitBytes;
    this.#changedMicros = nowMicros;
  }

  #ended(nowMicros: number): void {
    this.probeBytes = 0;
    this.#changedMicros = nowMicros;
  }
}
