import type { SeenSegment } from './seen-segment.ts';
import type { OptionText, PacketAction } from './script.ts';
import { TCP_ACK, TCP_SYN, TCP_URG } from '../../src/wire/tcp.ts';

/** Added to the script's sequence numbers, so that each conversation crosses their wrap. */
const REMOTE_SHIFT = 0xffff_f800 | 0;

/**
 * One connection between us and the script: its ports, and how numbers of the script and of the wire correspond. Where
 * a segment has SYN the script's numbers are as written; elsewhere they count from each side's SYN.
 */
export class Flow {
  localPort: number;
  remotePort: number;
  /** Initial sequence numbers, as the script has them and as they are on the wire. Null: no SYN seen yet. */
  localScript: number | null = null;
  localLive = 0;
  remoteScript = 0;
  remoteLive: number = REMOTE_SHIFT;
  /** Timestamps of ours: what the script calls them, and what they are. */
  readonly #timestamps = new Map<number, number>();
  #firstTimestamp: { script: number; live: number } | null = null;

  constructor(localPort: number, remotePort: number) {
    this.localPort = localPort;
    this.remotePort = remotePort;
  }

  isOf(segment: SeenSegment): boolean {
    return segment.localPort === this.localPort && segment.remotePort === this.remotePort;
  }

  /** A SYN of the script's. */
  remoteSyn(sequence: number): void {
    this.remoteScript = sequence;
    this.remoteLive = (sequence + REMOTE_SHIFT) | 0;
  }

  /** A SYN of ours: what it is on the wire, and what the script takes it for. */
  localSyn(live: number, script: number): void {
    this.localLive = live;
    this.localScript = script;
  }

  remoteToLive(sequence: number, isSyn: boolean): number {
    return (isSyn ? sequence + REMOTE_SHIFT : sequence + this.remoteLive) | 0;
  }

  remoteToScript(live: number, isSyn: boolean): number {
    const relative = (live - this.remoteLive) | 0;
    return isSyn ? (relative + this.remoteScript) >>> 0 : relative;
  }

  localToLive(sequence: number, isSyn: boolean): number {
    return (sequence + this.localLive - (isSyn ? (this.localScript ?? 0) : 0)) | 0;
  }

  localToScript(live: number, isSyn: boolean): number {
    const relative = (live - this.localLive) | 0;
    return isSyn ? (relative + (this.localScript ?? 0)) >>> 0 : relative;
  }

  /** Options of a segment to us, with numbers of the wire. */
  optionsToLive(options: readonly OptionText[]): OptionText[] {
    return options.map((option) => {
      if (option.kind === 'TS') return { ...option, echo: this.#timestamps.get(option.echo) ?? option.echo };
      if (option.kind !== 'sack') return option;
      const edge = (value: number): number => this.localToLive(value, false);
      return { kind: 'sack', blocks: option.blocks.map(([left, right]) => [edge(left), edge(right)] as const) };
    });
  }

  /** A segment of ours as a script would write it. */
  toScript(segment: SeenSegment): PacketAction {
    const isSyn = (segment.flags & TCP_SYN) !== 0;
    const { window, payload, flags, urgentPointer } = segment;
    return {
      kind: 'packet',
      direction: 'out',
      ip: {
        ecn: (segment.trafficClass & 3) as 0 | 1 | 2 | 3,
        trafficClass: segment.trafficClass,
        hopLimit: segment.hopLimit,
        flowLabel: segment.flowLabel,
      },
      flags,
      sequence: this.localToScript(segment.sequence, isSyn),
      payloadBytes: payload.length,
      acknowledgment: (flags & TCP_ACK) === 0 ? null : this.remoteToScript(segment.acknowledgment, isSyn),
      window,
      urgentPointer: (flags & TCP_URG) === 0 ? null : urgentPointer,
      options: segment.options.map((option) => {
        if (option.kind !== 'sack') return option;
        const edge = (value: number): number => this.remoteToScript(value, false);
        return { kind: 'sack', blocks: option.blocks.map(([left, right]) => [edge(left), edge(right)] as const) };
      }),
    };
  }

  /**
   * Notes that the script calls a timestamp of ours so.
   * @returns how far it is from where the script's first timestamp says it should be, in ticks.
   */
  noteTimestamp(script: number, live: number): number {
    this.#timestamps.set(script, live);
    this.#firstTimestamp ??= { script, live };
    const first = this.#firstTimestamp;
    return ((live - first.live) | 0) - ((script - first.script) | 0);
  }
}
