import { inspect } from 'node:util';
import { ERRNO } from '../core/errno.ts';
import { errnoError, invalidArgument } from '../core/errors.ts';
import type { TcpConfig } from '../stack/tcp/config.ts';
import { CONGESTION_NAMES } from '../stack/tcp/congestion/make.ts';
import type { TcpInfo } from '../stack/tcp/info.ts';
import {
  isSocketOption,
  SocketOptions,
  storeOption,
  type SocketOptionName,
  type SocketOptionValues,
} from '../stack/tcp/options.ts';

/** What an option is set to: switches take booleans too. */
export type SocketOptionInput<Name extends SocketOptionName> = SocketOptionValues[Name] extends number
  ? number | boolean
  : SocketOptionValues[Name];

/** Options to begin with, by name. */
export type SocketOptionInputs = { [Name in SocketOptionName]?: SocketOptionInput<Name> };

/** What `option` answers. */
export interface ReadableSocketOptions extends SocketOptionValues {
  TCP_INFO: TcpInfo;
  /** The errno that the connection failed with, once; 0: none. */
  SO_ERROR: number;
}

/** A set of options that differs from the configuration by `inputs`. @throws DevmemError as `setOption`. */
export function makeOptions(inputs: SocketOptionInputs, config: Readonly<TcpConfig>, where: string): SocketOptions {
  if (typeof inputs !== 'object' || inputs === null || Array.isArray(inputs)) {
    throw invalidArgument(`${where}: options is ${shown(inputs)}`, 'write options: { TCP_NODELAY: 1 }');
  }
  const options = new SocketOptions(config);
  for (const [name, value] of Object.entries(inputs)) {
    if (value !== undefined) checkSet(storeOption(options, name, value, config), name, value, where);
  }
  return options;
}

/** @throws DevmemError for the negative errno that setting an option answered. */
export function checkSet(verdict: number, name: string, value: unknown, where: string): void {
  if (verdict >= 0) return;
  throw errnoError(verdict, `${where}: ${nameOf(name)} to ${shown(value)}`, {
    syscall: 'setsockopt',
    hint: hintFor(verdict),
  });
}

/** @throws DevmemError ENOPROTOOPT unless there is an option of that name to read. */
export function checkReadable(name: string, where: string): void {
  if (isSocketOption(name) || name === 'TCP_INFO' || name === 'SO_ERROR') return;
  const verdict = -ERRNO.ENOPROTOOPT;
  throw errnoError(verdict, `${where}: ${nameOf(name)}`, { syscall: 'getsockopt', hint: hintFor(verdict) });
}

function hintFor(verdict: number): string {
  return HINTS.get(verdict) ?? 'docs/socket-options.md says what it takes';
}

/** The name of an option, whatever it was that JavaScript passed for one. */
function nameOf(name: unknown): string {
  return typeof name === 'string' ? name : shown(name);
}

/** Short, and of any value: who made the mistake is to see what it was. */
function shown(value: unknown): string {
  return inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY, maxArrayLength: 4, maxStringLength: 40 });
}

const HINTS = new Map<number, string>([
  [-ERRNO.ENOPROTOOPT, 'no option has this name; docs/socket-options.md lists them'],
  [-ERRNO.ENOENT, `congestion controls are ${CONGESTION_NAMES.join(', ')}`],
  [-ERRNO.EOPNOTSUPP, 'the configuration of the host does not allow it: openHost({ tcp: { fastOpen: 3 } })'],
]);
