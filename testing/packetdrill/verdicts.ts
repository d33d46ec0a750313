import { ERRNO, errnoName } from '../../src/core/errno.ts';
import { START_MICROS } from './network.ts';
import type { CallAction } from './script.ts';
import { numberOrAnything } from './values.ts';

/** What is wrong with the time of something; null if it lies between `from` and `to`, give or take the tolerance. */
export function timeFault(micros: number, from: number, to: number, toleranceMicros: number): string | null {
  if (micros >= from - toleranceMicros && micros <= to + toleranceMicros) return null;
  const wanted = from === to ? seconds(from) : `${seconds(from)} to ${seconds(to)}`;
  return `at ${seconds(micros)} s, expected ${wanted} s; tolerance ${(toleranceMicros / 1e6).toFixed(6)} s`;
}

/** What is wrong with the result of a call; null if nothing is. */
export function callFault(call: CallAction, result: number): string | null {
  const wanted = numberOrAnything(call.result, 'the result');
  if (wanted === null) return null;
  if (result >= 0) return result === wanted ? null : `expected ${describe(wanted, call.errno)}, actual ${result}`;
  const name = errnoName(result) ?? `errno ${-result}`;
  if (wanted >= 0) return `expected ${wanted}, actual -1 ${name}`;
  if (call.errno === null || (ERRNO as Readonly<Record<string, number>>)[call.errno] === -result) return null;
  return `expected -1 ${call.errno}, actual -1 ${name}`;
}

function describe(wanted: number, errno: string | null): string {
  return errno === null ? String(wanted) : `${wanted} ${errno}`;
}

/** On the script's scale. */
export function seconds(micros: number): string {
  return ((micros - START_MICROS) / 1e6).toFixed(6);
}
