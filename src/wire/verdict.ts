/**
 * What a check answers when it does not answer a length. Below zero, so that one comparison tells the two apart;
 * whoever drops the packet counts it under the verdict's name.
 */

/** The bytes end before the header does. */
export const TRUNCATED = -1;
/** A field contradicts another one, or a clause that leaves no choice. */
export const MALFORMED = -2;
/** Well formed as far as one can tell, but of a kind that we do not speak. */
export const UNSUPPORTED = -3;
/** More headers, options or records than the named limit of that parser. */
export const LIMIT_EXCEEDED = -4;

const NAMES: readonly string[] = ['ok', 'truncated', 'malformed', 'unsupported', 'limit-exceeded'];

/** The verdict as a word, for traces and counters: `truncated`; `ok` for every length. */
export function verdictName(verdict: number): string {
  return NAMES[verdict < 0 ? -verdict : 0] ?? `verdict${verdict}`;
}
