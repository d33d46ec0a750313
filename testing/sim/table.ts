import type { Measurement } from './measure.ts';
import { PROFILES, type ProfileName } from './profiles.ts';

const COLUMNS: readonly [title: string, cell: (row: Measurement) => string][] = [
  ['controller', (row) => row.controller],
  ['goodput, Mbit/s', (row) => rounded(row.goodputMbit, 1)],
  ['fairness', (row) => rounded(row.fairness, 2)],
  ['sent again, %', (row) => rounded(row.retransmittedPercent, 2)],
  ['recovery, ms', (row) => rounded(row.recoveryMillis, 0)],
  ['queue mean / p95, ms', (row) => `${rounded(row.queueMeanMillis, 2)} / ${rounded(row.queueP95Millis, 2)}`],
  ['short p50 / p99, ms', (row) => `${rounded(row.shortMedianMillis, 1)} / ${rounded(row.shortP99Millis, 1)}`],
];

/** `docs/simulation.md` between its title and its end: what was measured, as tables, one a network. */
export function renderTables(rows: readonly Measurement[]): string {
  const lines: string[] = [];
  for (const profile of new Set(rows.map((row) => row.profile))) {
    lines.push(
      `### ${profile}`,
      '',
      sentence(profile),
      '',
      ...table(rows.filter((row) => row.profile === profile)),
      '',
    );
  }
  return lines.join('\n').trimEnd();
}

const BEGIN = '<!-- made by `npm run sim -- --table --write` -->';
const END = '<!-- end of what was made -->';

/** The page with its tables replaced. @throws if the page has no place for them. */
export function replaceTables(page: string, tables: string): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`the page lacks ${BEGIN} and ${END}`);
  return `${page.slice(0, begin + BEGIN.length)}\n\n${tables}\n\n${page.slice(end)}`;
}

function sentence(profile: ProfileName): string {
  const { about } = PROFILES[profile];
  return `${about[0]!.toUpperCase()}${about.slice(1)}.`;
}

function table(rows: readonly Measurement[]): string[] {
  const cells = [COLUMNS.map(([title]) => title), ...rows.map((row) => COLUMNS.map(([, cell]) => cell(row)))];
  const widths = COLUMNS.map((_, i) => Math.max(...cells.map((line) => line[i]!.length)));
  const line = (texts: readonly string[]): string => {
    const padded = texts.map((text, i) => (i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!)));
    return `| ${padded.join(' | ')} |`;
  };
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(cells[0]!), line(rule), ...cells.slice(1).map(line)];
}

function rounded(value: number, digits: number): string {
  if (Number.isNaN(value)) return '–';
  return Number.isFinite(value) ? value.toFixed(digits) : 'not in this run';
}
