import { getSystemErrorMap } from 'node:util';

/** What an error number (either sign) says, in the words of libc: `operation not permitted (EPERM)`. */
export function errnoText(errno: number): string {
  const entry = getSystemErrorMap().get(-Math.abs(errno));
  return entry === undefined ? `error ${Math.abs(errno)}` : `${entry[1]} (${entry[0]})`;
}
