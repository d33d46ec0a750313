/**
 * The text of IP addresses, apart from the class so that neither hides the other: RFC 4291 §2.2 in, RFC 5952 out. A
 * word is an int32 in network order.
 */

/** One decimal number of a dotted quad: no sign, no leading zero (`010` is 8 to some and 10 to others). */
const DECIMAL_BYTE = /^(?:0|[1-9]\d{0,2})$/;
const HEX_GROUP = /^[0-9a-fA-F]{1,4}$/;
const GROUPS = 8;

/** The 32 bits of exactly four dotted decimal numbers, or `null`. */
export function parseIpv4(text: string): number | null {
  const parts = text.split('.', 5);
  if (parts.length !== 4) return null;
  let word = 0;
  for (const part of parts) {
    if (!DECIMAL_BYTE.test(part) || Number(part) > 255) return null;
    word = (word << 8) | Number(part);
  }
  return word;
}

/** Four words, or `null` for anything but an IPv6 address; a zone (`%eth0`) makes it something else. */
export function parseIpv6(text: string): number[] | null {
  const halves = text.split('::', 3);
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? parseGroups(halves[1]!, true) : [];
  if (head === null || tail === null) return null;
  const missing = GROUPS - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const groups = [...head, ...Array.from({ length: missing }, () => 0), ...tail];
  return [0, 2, 4, 6].map((i) => (groups[i]! << 16) | groups[i + 1]!);
}

export function formatIpv4(word: number): string {
  return `${word >>> 24}.${(word >>> 16) & 0xff}.${(word >>> 8) & 0xff}.${word & 0xff}`;
}

/** RFC 5952: lower case, no leading zeros, `::` for the longest run of at least two zero groups, the first if equal. */
export function formatIpv6(words: readonly number[]): string {
  // RFC 5952 §5: the one well-known prefix whose last 32 bits people read as IPv4.
  if (words[0] === 0 && words[1] === 0 && words[2] === 0xffff) return `::ffff:${formatIpv4(words[3]!)}`;
  const groups = words.flatMap((word) => [word >>> 16, word & 0xffff]);
  let runStart = 0;
  let runLength = 0;
  for (let start = 0; start < GROUPS; start++) {
    let end = start;
    while (end < GROUPS && groups[end] === 0) end++;
    if (end - start > runLength) {
      runStart = start;
      runLength = end - start;
    }
  }
  if (runLength < 2) return joinGroups(groups);
  return `${joinGroups(groups.slice(0, runStart))}::${joinGroups(groups.slice(runStart + runLength))}`;
}

function joinGroups(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(':');
}

/** The 16-bit groups of one side of `::`, or `null`. A dotted quad counts as two, at the very end only. */
function parseGroups(text: string, isEnd: boolean): number[] | null {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':', GROUPS + 1);
  for (const [index, part] of parts.entries()) {
    if (HEX_GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16));
    } else {
      const word = isEnd && index === parts.length - 1 ? parseIpv4(part) : null;
      if (word === null) return null;
      groups.push(word >>> 16, word & 0xffff);
    }
  }
  return groups;
}
