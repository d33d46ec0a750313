/** What a packetdrill script says, parsed. Times in microseconds, sequence numbers relative as written. */

export type EventTimeMode = 'absolute' | 'relative' | 'any';

export interface EventTime {
  mode: EventTimeMode;
  startMicros: number;
  /** Of a `from~to` range; null without one. */
  endMicros: number | null;
}

export interface ScriptEvent {
  line: number;
  time: EventTime;
  action: ScriptAction;
}

export type ScriptAction = PacketAction | IcmpAction | CallAction | CommandAction | CodeAction;

export type Direction = 'in' | 'out';

/** What stands in brackets before the flags. Null: not said. */
export interface IpFields {
  /** `any-ect`: ECT(0) or ECT(1). */
  ecn: 0 | 1 | 2 | 3 | 'any-ect' | null;
  trafficClass: number | null;
  hopLimit: number | null;
  flowLabel: number | null;
}

export interface PacketAction {
  kind: 'packet';
  direction: Direction;
  ip: IpFields;
  /** Nine bits, AE included. */
  flags: number;
  sequence: number;
  payloadBytes: number;
  acknowledgment: number | null;
  window: number | null;
  urgentPointer: number | null;
  /** Null: `<...>`, whatever. */
  options: readonly OptionText[] | null;
}

export type OptionText =
  | { kind: 'nop' | 'eol' | 'sackOK' }
  | { kind: 'mss' | 'wscale'; value: number }
  | { kind: 'TS'; value: number; echo: number }
  | { kind: 'sack'; blocks: readonly (readonly [number, number])[] }
  | { kind: 'FO' | 'FOEXP' | 'md5'; bytes: Uint8Array }
  | { kind: 'ECN'; counters: readonly { name: EcnCounter; value: number }[] }
  | { kind: 'raw'; number: number; bytes: Uint8Array };

export type EcnCounter = 'e0b' | 'ceb' | 'e1b';

export interface IcmpAction {
  kind: 'icmp';
  direction: Direction;
  type: string;
  code: string | null;
  mtuBytes: number | null;
  /** Of the segment of ours that it quotes; null: none named. */
  quoted: { sequence: number; payloadBytes: number } | null;
}

export interface CallAction {
  kind: 'call';
  name: string;
  arguments: readonly Expression[];
  result: Expression;
  errno: string | null;
  /** When a blocking call ends, on the scale of the event's time; null: it may not block. */
  endMicros: number | null;
}

export interface CommandAction {
  kind: 'command';
  text: string;
}

export interface CodeAction {
  kind: 'code';
  text: string;
  /** Where the code begins. */
  line: number;
}

export type Expression =
  | { kind: 'anything' }
  | { kind: 'number'; value: number }
  | { kind: 'word'; name: string }
  | { kind: 'string'; text: string }
  | { kind: 'or'; left: Expression; right: Expression }
  | { kind: 'array'; items: readonly Expression[] }
  | { kind: 'call'; name: string; argument: Expression }
  | { kind: 'struct'; fields: ReadonlyMap<string, Expression>; items: readonly Expression[] };

export interface Script {
  path: string;
  /** `--name=value` at the top; the value is '' where none was given. */
  options: ReadonlyMap<string, string>;
  /** Commands before the first event. */
  setup: readonly { line: number; text: string }[];
  events: readonly ScriptEvent[];
}

/** Something in a script that is not understood, or a mistake in it: `path:line: what, what to do`. */
export class ScriptError extends Error {
  readonly path: string;
  readonly line: number;

  constructor(path: string, line: number, what: string) {
    super(`${path}:${line}: ${what}`);
    this.name = 'ScriptError';
    this.path = path;
    this.line = line;
  }
}
