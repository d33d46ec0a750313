import { TCP_ACK, TCP_PSH } from '../../src/wire/tcp.ts';
import { encodeOptions } from './option-bytes.ts';
import { flagText, optionsText } from './packet-text.ts';
import type { OptionText, PacketAction } from './script.ts';

/**
 * In what a segment differs from what the script wants; empty if in nothing that counts.
 * @param comparesPush whether the last byte is the last of a write: elsewhere PSH says how a burst was cut into frames.
 */
export function differences(expected: PacketAction, actual: PacketAction, comparesPush: boolean): string[] {
  const found: string[] = [];
  const field = (name: string, wanted: number | string | null, got: number | string | null): void => {
    if (wanted !== got) found.push(`${name}: expected ${String(wanted)}, actual ${String(got)}`);
  };
  const mask = comparesPush ? 0x1ff : 0x1ff & ~TCP_PSH;
  field('flags', flagText(expected.flags & mask), flagText(actual.flags & mask));
  field('sequence', expected.sequence, actual.sequence);
  field('payload bytes', expected.payloadBytes, actual.payloadBytes);
  if ((expected.flags & actual.flags & TCP_ACK) !== 0) {
    field('acknowledgment', expected.acknowledgment ?? 0, actual.acknowledgment);
  }
  if (expected.window !== null) field('window', expected.window, actual.window);
  if (expected.urgentPointer !== null) field('urgent pointer', expected.urgentPointer, actual.urgentPointer);
  compareIp(expected, actual, field);
  const wanted = expected.options;
  const got = actual.options ?? [];
  if (wanted !== null && !sameOptions(wanted, got)) field('options', optionsText(wanted), optionsText(got));
  return found;
}

type Field = (name: string, wanted: number | string | null, got: number | string | null) => void;

function compareIp(expected: PacketAction, actual: PacketAction, field: Field): void {
  const { ecn, trafficClass, hopLimit, flowLabel } = expected.ip;
  if (ecn === 'any-ect' && actual.ip.ecn !== 1 && actual.ip.ecn !== 2) field('ECN', '1 or 2', actual.ip.ecn);
  else if (ecn !== null && ecn !== 'any-ect') field('ECN', ecn, actual.ip.ecn);
  if (trafficClass !== null) field('type of service', trafficClass, actual.ip.trafficClass);
  if (hopLimit !== null) field('time to live', hopLimit, actual.ip.hopLimit);
  // Which label a flow gets is chance; that it has one can be asked for.
  if (flowLabel !== null && flowLabel !== 0) field('flow label', 'one', actual.ip.flowLabel === 0 ? 'none' : 'one');
}

/** Byte by byte but for our own timestamps, which count from anywhere. */
function sameOptions(expected: readonly OptionText[], actual: readonly OptionText[]): boolean {
  const wanted = encodeOptions(expected.map(withoutValue));
  const got = encodeOptions(actual.map(withoutValue));
  return wanted.length === got.length && wanted.every((byte, i) => byte === got[i]);
}

function withoutValue(option: OptionText): OptionText {
  return option.kind === 'TS' ? { ...option, value: 0 } : option;
}
