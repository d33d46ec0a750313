import { TCP_ACK, TCP_AE, TCP_CWR, TCP_ECE, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN, TCP_URG } from '../../src/wire/tcp.ts';
import type { Scanner } from './scanner.ts';
import type { Direction, EcnCounter, IcmpAction, IpFields, OptionText, PacketAction } from './script.ts';

const FLAG_WORD = /[A-Za-z0-9.]+|-(?=\s)/y;
const HEX_BYTES = /[0-9a-fA-F]+/y;

const FLAGS: Readonly<Record<string, number>> = {
  S: TCP_SYN,
  F: TCP_FIN,
  R: TCP_RST,
  P: TCP_PSH,
  U: TCP_URG,
  E: TCP_ECE,
  W: TCP_CWR,
  A: TCP_AE,
  '.': TCP_ACK,
};

const ECN_WORDS: Readonly<Record<string, IpFields['ecn']>> = {
  noecn: 0,
  ect1: 1,
  ect0: 2,
  ce: 3,
  ect01: 'any-ect',
};

const UNSUPPORTED: Readonly<Record<string, string>> = {
  udp: 'this runner plays TCP only; leave UDP packets out',
  ipv4: 'this runner knows no encapsulation; leave the outer header out',
  ipv6: 'this runner knows no encapsulation; leave the outer header out',
  gre: 'this runner knows no encapsulation; leave the GRE header out',
  mpls: 'this runner knows no encapsulation; leave the MPLS labels out',
};

/** What follows `<` or `>`. */
export function parsePacket(scanner: Scanner, direction: Direction): PacketAction | IcmpAction {
  const quotedFirst = parseQuoted(scanner);
  for (const [word, hint] of Object.entries(UNSUPPORTED)) {
    if (scanner.takeWord(word)) scanner.fail(`a packet of '${word}': ${hint}`);
  }
  if (scanner.takeWord('icmp')) return parseIcmp(scanner, direction, quotedFirst);
  if (quotedFirst !== null) scanner.unexpected("'icmp'");
  const ip = parseIpFields(scanner);
  const flags = parseFlags(scanner);
  const { sequence, payloadBytes } = parseSequence(scanner);
  const acknowledgment = scanner.takeWord('ack') ? scanner.expectInteger('an acknowledgment number') : null;
  const window = scanner.takeWord('win') ? scanner.expectInteger('a window') : null;
  const urgentPointer = scanner.takeWord('urg') ? scanner.expectInteger('an urgent pointer') : null;
  const options = parseOptions(scanner);
  return {
    kind: 'packet',
    direction,
    ip,
    flags,
    sequence,
    payloadBytes,
    acknowledgment,
    window,
    urgentPointer,
    options,
  };
}

function parseIpFields(scanner: Scanner): IpFields {
  const fields: IpFields = { ecn: null, trafficClass: null, hopLimit: null, flowLabel: null };
  const close = scanner.take('[') ? ']' : scanner.take('(') ? ')' : null;
  if (close === null) return fields;
  do {
    const word =
      scanner.word() ?? scanner.unexpected("'ect0', 'ect1', 'ect01', 'ce', 'noecn', 'tos', 'ttl' or 'flowlabel'");
    if (word in ECN_WORDS) fields.ecn = ECN_WORDS[word]!;
    else if (word === 'tos') fields.trafficClass = scanner.expectInteger('a type of service');
    else if (word === 'ttl') fields.hopLimit = scanner.expectInteger('a time to live');
    else if (word === 'flowlabel') fields.flowLabel = scanner.expectInteger('a flow label');
    else
      scanner.fail(
        `'${word}' is nothing that an IP header has here; use ect0, ect1, ect01, ce, noecn, tos, ttl or flowlabel`,
      );
  } while (scanner.take(','));
  scanner.expect(close);
  return fields;
}

function parseFlags(scanner: Scanner): number {
  const found = scanner.match(FLAG_WORD) ?? scanner.unexpected("TCP flags such as 'S', 'P.' or '.'");
  let flags = 0;
  for (const letter of found[0]) {
    const ace = '01234567'.indexOf(letter);
    if (letter === '-') continue;
    // RFC 9768 §3.2: AE, CWR and ECE as one number.
    if (ace >= 0) flags |= (ace & 4 ? TCP_AE : 0) | (ace & 2 ? TCP_CWR : 0) | (ace & 1 ? TCP_ECE : 0);
    else
      flags |=
        FLAGS[letter] ?? scanner.fail(`'${letter}' in '${found[0]}' is no TCP flag; they are SFRPUEWA. and 0 to 7`);
  }
  return flags;
}

function parseSequence(scanner: Scanner): { sequence: number; payloadBytes: number } {
  const sequence = scanner.expectInteger("sequence numbers such as '1:1001(1000)'");
  scanner.expect(':');
  const end = scanner.expectInteger('the sequence number behind the payload');
  scanner.expect('(');
  const payloadBytes = scanner.expectInteger('the payload in bytes');
  scanner.expect(')');
  if (end - sequence !== payloadBytes) {
    scanner.fail(`${sequence}:${end}(${payloadBytes}): the range has ${end - sequence} bytes; make the numbers agree`);
  }
  if (payloadBytes < 0 || payloadBytes > 0xffff)
    scanner.fail(`${payloadBytes} bytes fit into no packet; give 0 to 65535`);
  return { sequence, payloadBytes };
}

function parseQuoted(scanner: Scanner): IcmpAction['quoted'] {
  const found = scanner.match(/\[(?=\s*\d+\s*:)/y);
  if (found === null) return null;
  const quoted = parseSequence(scanner);
  scanner.expect(']');
  return quoted;
}

function parseIcmp(scanner: Scanner, direction: Direction, quotedFirst: IcmpAction['quoted']): IcmpAction {
  const type = scanner.word() ?? scanner.unexpected("an ICMP type such as 'unreachable'");
  let code: string | null = null;
  let mtuBytes: number | null = null;
  if (scanner.takeWord('mtu')) {
    mtuBytes = scanner.expectInteger('an MTU');
  } else {
    code = scanner.word();
    if (scanner.takeWord('mtu')) mtuBytes = scanner.expectInteger('an MTU');
  }
  return { kind: 'icmp', direction, type, code, mtuBytes, quoted: quotedFirst ?? parseQuoted(scanner) };
}

function parseOptions(scanner: Scanner): readonly OptionText[] | null {
  // Behind it may stand the `<` of nothing else: the next event begins with a time.
  if (!scanner.take('<')) return [];
  if (scanner.take('...')) {
    scanner.expect('>');
    return null;
  }
  const options: OptionText[] = [];
  do options.push(parseOption(scanner));
  while (scanner.take(','));
  scanner.expect('>');
  return options;
}

function parseOption(scanner: Scanner): OptionText {
  const name = scanner.word() ?? parseRawKind(scanner);
  if (typeof name !== 'string') return name;
  switch (name) {
    case 'nop':
    case 'eol':
    case 'sackOK':
      return { kind: name };
    case 'mss':
    case 'wscale':
      return { kind: name, value: scanner.expectInteger(`the value of '${name}'`) };
    case 'TS':
      return parseTimestamps(scanner);
    case 'sack':
      return parseSack(scanner);
    case 'FO':
    case 'FOEXP':
    case 'md5':
      return { kind: name, bytes: parseBytes(scanner) };
    case 'ECN':
      return parseEcn(scanner);
    default:
      return scanner.fail(
        `'${name}' is no TCP option known here; use mss, wscale, sackOK, sack, TS, FO, FOEXP, md5, ECN, nop, eol or a kind such as '0x42 00ff'`,
      );
  }
}

function parseRawKind(scanner: Scanner): OptionText {
  const number = scanner.integer();
  if (number === null || number < 0 || number > 255) return scanner.unexpected('a TCP option');
  return { kind: 'raw', number, bytes: parseBytes(scanner) };
}

function parseTimestamps(scanner: Scanner): OptionText {
  scanner.expect('val');
  const value = scanner.expectInteger('a timestamp');
  scanner.expect('ecr');
  return { kind: 'TS', value, echo: scanner.expectInteger('the timestamp that is echoed') };
}

function parseSack(scanner: Scanner): OptionText {
  const blocks: [number, number][] = [];
  for (let left = scanner.integer(); left !== null; left = scanner.integer()) {
    scanner.expect(':');
    blocks.push([left, scanner.expectInteger('the right edge of a block')]);
  }
  if (blocks.length === 0) scanner.unexpected("a block such as '1001:2001'");
  return { kind: 'sack', blocks };
}

function parseEcn(scanner: Scanner): OptionText {
  const counters: { name: EcnCounter; value: number }[] = [];
  for (;;) {
    const name = (['e0b', 'ceb', 'e1b'] as const).find((candidate) => scanner.takeWord(candidate));
    if (name === undefined) break;
    counters.push({ name, value: scanner.expectInteger(`the value of '${name}'`) });
  }
  if (counters.length > 3) scanner.fail('the AccECN option has three counters at most; drop the others');
  return { kind: 'ECN', counters };
}

/** Hexadecimal digits, or a word that is defined as such. Nothing: no bytes. */
function parseBytes(scanner: Scanner): Uint8Array {
  const word = scanner.anyWord() ?? '';
  HEX_BYTES.lastIndex = 0;
  const digits = word.startsWith('0x') ? word.slice(2) : word;
  if (digits !== '' && (HEX_BYTES.exec(digits)?.[0] !== digits || digits.length % 2 !== 0)) {
    scanner.fail(`'${word}' is not a row of bytes; write two hexadecimal digits for each, or define it with -D`);
  }
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16));
}
