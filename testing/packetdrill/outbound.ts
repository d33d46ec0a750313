import { TCP_FIN, TCP_PSH, TCP_SYN } from '../../src/wire/tcp.ts';
import { differences } from './compare.ts';
import type { Flow } from './flow.ts';
import { packetText } from './packet-text.ts';
import type { OptionText, PacketAction } from './script.ts';
import type { SeenSegment } from './seen-segment.ts';

export interface OutboundRules {
  /** Stream offsets behind the last byte of each write. */
  writeEnds: ReadonlySet<number>;
  timestampTickMicros: number;
  toleranceMicros: number;
}

/**
 * One outbound packet of a script, and the segments of ours that should make it up. How a burst is cut into frames is
 * the NIC's affair, so a packet that is larger than a segment is compared with as many as it takes.
 */
export class OutboundCheck {
  readonly #expected: PacketAction;
  readonly #flow: Flow;
  readonly #rules: OutboundRules;
  /** All segments so far as one. */
  #actual: PacketAction | null = null;
  #firstBytes = 0;
  #lastBytes = 0;
  readonly #problems: string[] = [];

  constructor(expected: PacketAction, flow: Flow, rules: OutboundRules) {
    this.#expected = expected;
    this.#flow = flow;
    this.#rules = rules;
  }

  get isComplete(): boolean {
    return this.#actual !== null && this.#actual.payloadBytes >= this.#expected.payloadBytes;
  }

  complain(problem: string): void {
    if (!this.#problems.includes(problem)) this.#problems.push(problem);
  }

  /** Takes the next segment. False: it does not continue those before and is not taken. */
  add(segment: SeenSegment): boolean {
    const expected = this.#expected;
    if ((segment.flags & expected.flags & TCP_SYN) !== 0) this.#flow.localSyn(segment.sequence, expected.sequence);
    const next = this.#flow.toScript(segment);
    const before = this.#actual;
    if (before === null) {
      this.#actual = next;
      this.#firstBytes = next.payloadBytes;
    } else {
      if (before.payloadBytes === 0 || !continues(before, next)) return false;
      this.#actual = join(before, next);
    }
    this.#lastBytes = next.payloadBytes;
    if (this.#lastBytes > this.#firstBytes) this.complain('its segments are not full but for the last');
    else if (before !== null && this.#firstBytes > this.#lastBytes && !this.isComplete) {
      this.complain('its segments are not full but for the last');
    }
    this.#noteTimestamp(next);
    return true;
  }

  /**
   * What is wrong; null if nothing is.
   * @param whatElse tells what came where nothing should have been missing.
   */
  verdict(whatElse: () => string): string | null {
    const expected = this.#expected;
    const actual = this.#actual;
    const wanted = `expected: > ${packetText(expected)}`;
    if (actual === null) return `${whatElse()}\n  ${wanted}`;
    const endOffset = actual.sequence + actual.payloadBytes - 1;
    const comparesPush = actual.payloadBytes > 0 && this.#rules.writeEnds.has(endOffset);
    const problems = [...differences(expected, actual, comparesPush), ...this.#problems];
    if (problems.length === 0) return null;
    return `${problems.join('; ')}\n  ${wanted}\n  actual:   > ${packetText(likeExpected(actual, expected))}`;
  }

  /** The script's name for our timestamp; with a tick, its value should be right too. */
  #noteTimestamp(actual: PacketAction): void {
    const wanted = timestamps(this.#expected.options);
    const got = timestamps(actual.options);
    if (wanted === null || got === null) return;
    const offTicks = this.#flow.noteTimestamp(wanted.value, got.value);
    const { timestampTickMicros, toleranceMicros } = this.#rules;
    if (timestampTickMicros > 0 && Math.abs(offTicks) * timestampTickMicros > toleranceMicros) {
      this.complain(`its timestamp is ${offTicks} ticks off`);
    }
  }
}

function timestamps(options: readonly OptionText[] | null): { value: number } | null {
  return options?.find((option) => option.kind === 'TS') ?? null;
}

function continues(before: PacketAction, next: PacketAction): boolean {
  const ignored = TCP_FIN | TCP_PSH | 0x80;
  return (
    next.sequence === before.sequence + before.payloadBytes &&
    next.payloadBytes > 0 &&
    next.acknowledgment === before.acknowledgment &&
    (next.flags & ~ignored) === (before.flags & ~ignored) &&
    packetText({ ...next, ...SAME }) === packetText({ ...before, ...SAME, options: next.options })
  );
}

/** What need not be alike in the segments of a burst. */
const SAME = { sequence: 0, payloadBytes: 0, flags: 0, window: null };

function join(before: PacketAction, next: PacketAction): PacketAction {
  return {
    ...before,
    payloadBytes: before.payloadBytes + next.payloadBytes,
    flags: before.flags | (next.flags & (TCP_FIN | TCP_PSH)),
    window: next.window,
  };
}

/** Leaves out of a segment what the script does not say either. */
function likeExpected(actual: PacketAction, expected: PacketAction): PacketAction {
  return {
    ...actual,
    window: expected.window === null ? null : actual.window,
    ip: {
      ecn: expected.ip.ecn === null && actual.ip.ecn === 0 ? null : actual.ip.ecn,
      trafficClass: expected.ip.trafficClass === null ? null : actual.ip.trafficClass,
      hopLimit: expected.ip.hopLimit === null ? null : actual.ip.hopLimit,
      flowLabel: expected.ip.flowLabel === null ? null : actual.ip.flowLabel,
    },
  };
}
