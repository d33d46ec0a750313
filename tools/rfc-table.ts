import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../testing/project.ts';

export type RfcStatus = 'whole' | 'part' | 'not';

export interface Rfc {
  number: number;
  title: string;
  /** `whole`: all that concerns a host's TCP and IP; `part`: see the note; `not`: and why. */
  status: RfcStatus;
  note?: string;
  /** Where to look first, of those in test/, without `.test.ts`. */
  tests?: readonly string[];
}

/** Most files named in one cell: the rest are found with a search. */
const MAX_FILES = 4;

/** Every RFC that the sources follow, or that somebody would look for here. */
export const RFCS: readonly Rfc[] = [
  {
    number: 768,
    title: 'User Datagram Protocol',
    status: 'part',
    note: 'header and checksum; no sockets yet',
    tests: ['wire/checksum'],
  },
  {
    number: 791,
    title: 'Internet Protocol',
    status: 'part',
    note: 'options are skipped, fragments refused',
    tests: ['stack/ipv4', 'wire/ipv4'],
  },
  {
    number: 792,
    title: 'Internet Control Message Protocol',
    status: 'part',
    note: 'errors and echo; redirects are not followed',
    tests: ['stack/icmp', 'wire/icmp'],
  },
  { number: 826, title: 'Address Resolution Protocol', status: 'whole', tests: ['stack/arp'] },
  { number: 894, title: 'IP over Ethernet', status: 'whole', tests: ['wire/ethernet'] },
  { number: 896, title: 'Congestion control in IP/TCP (Nagle)', status: 'whole', tests: ['rfc/rfc9293-data'] },
  { number: 1071, title: 'Computing the Internet checksum', status: 'whole', tests: ['wire/checksum'] },
  {
    number: 1112,
    title: 'Host extensions for IP multicasting',
    status: 'part',
    note: 'groups are received; no IGMP reports',
    tests: ['wire/mac'],
  },
  {
    number: 1122,
    title: 'Requirements for Internet hosts',
    status: 'part',
    note: 'of its transport and link chapters, what RFC 9293 and others did not replace',
    tests: ['stack/ipv4'],
  },
  { number: 1191, title: 'Path MTU discovery', status: 'whole', tests: ['rfc/rfc1191-path-mtu'] },
  { number: 1337, title: 'TIME-WAIT assassination hazards', status: 'whole', tests: ['rfc/rfc6191-time-wait'] },
  { number: 1624, title: 'Incremental update of the checksum', status: 'whole', tests: ['wire/checksum'] },
  { number: 1700, title: 'Assigned numbers', status: 'part', note: 'the default TTL', tests: ['stack/output'] },
  {
    number: 1812,
    title: 'Requirements for IP routers',
    status: 'part',
    note: "what a host has to know of a router's ICMP",
    tests: ['stack/icmp'],
  },
  { number: 2018, title: 'TCP selective acknowledgment options', status: 'whole', tests: ['rfc/rfc2018-sack'] },
  {
    number: 2385,
    title: 'TCP MD5 signature option',
    status: 'not',
    note: 'no keys can be set, so a segment that is signed is dropped and counted, as in Linux',
  },
  { number: 2464, title: 'IPv6 over Ethernet', status: 'whole', tests: ['wire/mac'] },
  {
    number: 2474,
    title: 'Differentiated services field',
    status: 'part',
    note: 'set by IP_TOS and carried; nothing is queued by it',
    tests: ['wire/traffic-class'],
  },
  {
    number: 2525,
    title: 'Known TCP implementation problems',
    status: 'part',
    note: 'the list was read; what is cited is where it mattered',
    tests: ['rfc/rfc9293-close'],
  },
  { number: 2883, title: 'Duplicate SACK', status: 'whole', tests: ['rfc/rfc2018-sack'] },
  { number: 3021, title: '31-bit prefixes', status: 'whole', tests: ['stack/addresses'] },
  { number: 3042, title: 'Limited transmit', status: 'whole', tests: ['rfc/rfc5681'] },
  {
    number: 3168,
    title: 'Explicit congestion notification',
    status: 'whole',
    tests: ['rfc/rfc3168-ecn', 'sim/tcp-ecn'],
  },
  { number: 3465, title: 'Appropriate byte counting', status: 'whole', tests: ['rfc/rfc5681'] },
  { number: 3522, title: 'The Eifel detection algorithm', status: 'whole', tests: ['rfc/rfc4015-undo'] },
  { number: 3708, title: 'DSACK to detect spurious retransmissions', status: 'whole', tests: ['rfc/rfc4015-undo'] },
  {
    number: 3927,
    title: 'Link-local IPv4 addresses',
    status: 'part',
    note: 'recognised, not configured',
    tests: ['stack/addresses'],
  },
  {
    number: 4015,
    title: 'The Eifel response algorithm',
    status: 'part',
    note: 'the window is restored; the RTO is estimated anew',
    tests: ['rfc/rfc4015-undo'],
  },
  { number: 4291, title: 'IPv6 addressing architecture', status: 'whole', tests: ['wire/address'] },
  {
    number: 4302,
    title: 'IP authentication header',
    status: 'part',
    note: 'skipped as an extension header',
    tests: ['stack/input'],
  },
  { number: 4429, title: 'Optimistic duplicate address detection', status: 'whole', tests: ['stack/nd'] },
  { number: 4443, title: 'ICMPv6', status: 'part', note: 'errors and echo', tests: ['stack/icmpv6'] },
  {
    number: 4821,
    title: 'Packetization layer path MTU discovery',
    status: 'part',
    note: 'by the rules of RFC 8899',
    tests: ['rfc/rfc8899-path-search'],
  },
  {
    number: 4861,
    title: 'Neighbor discovery for IPv6',
    status: 'part',
    note: "the host's part; no redirects",
    tests: ['stack/nd'],
  },
  { number: 4862, title: 'IPv6 stateless address autoconfiguration', status: 'whole', tests: ['stack/router'] },
  {
    number: 4987,
    title: 'TCP SYN flooding attacks',
    status: 'whole',
    tests: ['rfc/rfc4987-syn-cookies', 'stack/tcp/flood'],
  },
  { number: 5095, title: 'Deprecation of type 0 routing headers', status: 'whole', tests: ['stack/ipv6'] },
  { number: 5227, title: 'IPv4 address conflict detection', status: 'whole', tests: ['stack/arp'] },
  {
    number: 5482,
    title: 'TCP user timeout option',
    status: 'part',
    note: 'the timeout is kept; the option is not sent and not honoured, as in Linux',
    tests: ['rfc/rfc5482-user-timeout'],
  },
  { number: 5681, title: 'TCP congestion control', status: 'whole', tests: ['rfc/rfc5681'] },
  { number: 5682, title: 'Forward RTO-recovery', status: 'whole', tests: ['rfc/rfc5682-frto'] },
  { number: 5925, title: 'TCP authentication option', status: 'not', note: 'as RFC 2385' },
  { number: 5927, title: 'ICMP attacks against TCP', status: 'whole', tests: ['rfc/rfc1191-path-mtu'] },
  { number: 5952, title: 'IPv6 address text', status: 'whole', tests: ['wire/address-text'] },
  {
    number: 5961,
    title: 'Robustness to blind in-window attacks',
    status: 'whole',
    tests: ['rfc/rfc5961', 'rfc/rfc5961-blind'],
  },
  { number: 6056, title: 'Port randomisation', status: 'whole', tests: ['stack/tcp/ports'] },
  {
    number: 6093,
    title: 'The TCP urgent mechanism',
    status: 'part',
    note: 'urgent data is data in line; nothing is signalled',
    tests: ['rfc/rfc9293-data'],
  },
  { number: 6191, title: 'Reducing TIME-WAIT by timestamps', status: 'whole', tests: ['rfc/rfc6191-time-wait'] },
  { number: 6298, title: 'Computing the retransmission timer', status: 'whole', tests: ['rfc/rfc6298'] },
  { number: 6528, title: 'Defending against sequence number attacks', status: 'whole', tests: ['stack/tcp/parts'] },
  { number: 6582, title: 'NewReno', status: 'whole', tests: ['rfc/rfc5681'] },
  { number: 6583, title: 'Operational problems of neighbor discovery', status: 'whole', tests: ['stack/neighbor'] },
  { number: 6633, title: 'Deprecation of source quench', status: 'whole', tests: ['stack/icmp'] },
  {
    number: 6675,
    title: 'Loss recovery based on SACK',
    status: 'part',
    note: 'RFC 8985 decides; the duplicate threshold is its companion',
    tests: ['rfc/rfc2018-sack'],
  },
  {
    number: 6724,
    title: 'Default address selection for IPv6',
    status: 'part',
    note: 'rules 1, 2, 8',
    tests: ['stack/addresses'],
  },
  { number: 6864, title: 'The IPv4 ID field', status: 'whole', tests: ['stack/output'] },
  {
    number: 6890,
    title: 'Special-purpose addresses',
    status: 'part',
    note: 'those a host must not be',
    tests: ['stack/addresses'],
  },
  { number: 6928, title: 'Larger initial window', status: 'whole', tests: ['rfc/rfc5681'] },
  {
    number: 6943,
    title: 'Comparing identifiers',
    status: 'part',
    note: 'addresses are compared as numbers',
    tests: ['wire/address-text'],
  },
  { number: 6946, title: 'Atomic IPv6 fragments', status: 'whole', tests: ['stack/ipv6'] },
  {
    number: 7126,
    title: 'Filtering IPv4 options',
    status: 'part',
    note: 'source routes are refused',
    tests: ['stack/ipv4'],
  },
  { number: 7323, title: 'TCP extensions for high performance', status: 'whole', tests: ['rfc/rfc7323'] },
  { number: 7413, title: 'TCP Fast Open', status: 'whole', tests: ['rfc/rfc7413-fast-open'] },
  {
    number: 7661,
    title: 'Congestion window validation',
    status: 'part',
    note: 'as Linux: the window grows only when it was used',
    tests: ['rfc/rfc7661-window-use'],
  },
  { number: 8200, title: 'IPv6', status: 'part', note: 'no fragments', tests: ['stack/ipv6'] },
  { number: 8201, title: 'Path MTU discovery for IPv6', status: 'whole', tests: ['stack/path-mtu'] },
  { number: 8257, title: 'DCTCP', status: 'not', note: 'the marking threshold of the simulated bottleneck is its' },
  { number: 8289, title: 'CoDel', status: 'not', note: 'only in the simulated bottleneck' },
  {
    number: 8311,
    title: 'Relaxing restrictions on ECN',
    status: 'part',
    note: 'what AccECN needs of it',
    tests: ['rfc/rfc3168-ecn'],
  },
  {
    number: 8504,
    title: 'IPv6 node requirements',
    status: 'part',
    note: 'limits on extension headers',
    tests: ['stack/ipv6'],
  },
  {
    number: 8899,
    title: 'Packetization layer path MTU discovery for datagrams',
    status: 'part',
    note: 'its search, for TCP',
    tests: ['rfc/rfc8899-path-search'],
  },
  { number: 8985, title: 'RACK-TLP', status: 'whole', tests: ['rfc/rfc8985-rack-tlp'] },
  {
    number: 9293,
    title: 'Transmission Control Protocol',
    status: 'whole',
    tests: ['rfc/rfc9293-handshake', 'rfc/rfc9293-data', 'rfc/rfc9293-acknowledge'],
  },
  { number: 9331, title: 'L4S', status: 'not', note: 'ECT(1) is counted by AccECN, never sent' },
  { number: 9406, title: 'HyStart++', status: 'whole', tests: ['rfc/rfc9406-hystart'] },
  { number: 9438, title: 'CUBIC', status: 'whole', tests: ['rfc/rfc9438-cubic'] },
  {
    number: 9768,
    title: 'Accurate ECN',
    status: 'whole',
    tests: ['rfc/rfc9768-handshake', 'rfc/rfc9768-feedback', 'sim/tcp-ecn'],
  },
  { number: 9937, title: 'Proportional rate reduction', status: 'whole', tests: ['rfc/rfc9937-prr'] },
];

function files(folder: string): string[] {
  return readdirSync(join(projectRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') || name.endsWith('.pkt'))
    .map((name) => join(folder, name).replaceAll('\\', '/'));
}

/** Files of a folder by the RFC that they cite, those that cite it most often first. */
export function citations(folder: string): Map<number, string[]> {
  const counts = new Map<number, Map<string, number>>();
  for (const file of files(folder)) {
    const named = /rfc(\d+)/.exec(file)?.[1];
    const text = readFileSync(join(projectRoot, file), 'utf8');
    for (const [, digits] of [...text.matchAll(/RFC (\d+)/g), ...(named === undefined ? [] : [[file, named]])]) {
      const of = counts.get(Number(digits)) ?? new Map<string, number>();
      // A file that is named for an RFC is where to look first.
      of.set(file, (of.get(file) ?? 0) + (digits === named ? 1000 : 1));
      counts.set(Number(digits), of);
    }
  }
  return new Map(
    [...counts].map(([rfc, of]) => [
      rfc,
      [...of].toSorted(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).map(([file]) => file),
    ]),
  );
}

function cell(found: readonly string[], prefix: string): string {
  return found
    .slice(0, MAX_FILES)
    .map((file) => `[${file.slice(prefix.length)}](../${file})`)
    .join(', ');
}

/** docs/rfcs.md. */
export function renderRfcTable(): string {
  const sources = citations('src');
  const tests = citations('test');
  const lines = [
    '# RFCs',
    '',
    'What this stack follows, where, and what checks it. Sources cite the clause on the line that implements it; this page',
    'is made from those citations (`npm run check:docs -- --write`), those that cite an RFC most often first.',
    '',
    '- **whole**: all of it that concerns a host like ours.',
    '- **part**: see the note.',
    '- **not**: left out, and why.',
    '',
    '| RFC | title | status | sources | tests |',
    '| --- | --- | --- | --- | --- |',
  ];
  for (const { number, title, status, note, tests: named = [] } of RFCS) {
    const link = `[RFC ${number}](https://www.rfc-editor.org/rfc/rfc${number})`;
    const state = note === undefined ? status : `${status}: ${note}`;
    const first = named.map((name) => `test/${name}.test.ts`);
    const checks = [...new Set([...first, ...(tests.get(number) ?? [])])];
    lines.push(
      `| ${link} | ${title} | ${state} | ${cell(sources.get(number) ?? [], 'src/')} | ${cell(checks, 'test/')} |`,
    );
  }
  return `${lines.join('\n')}\n`;
}
