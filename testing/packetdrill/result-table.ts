import { IP_MODES, type IpMode } from './settings.ts';

export type Outcome = 'pass' | 'fail' | 'n/a';

/** What became of one script, in each mode that it is for. */
export interface TableRow {
  script: string;
  outcomes: ReadonlyMap<IpMode, Outcome>;
  /** Why it does not pass, or is not played; '' where it passes. */
  reason: string;
}

const NOT_FOR_MODE = '';
const SYMBOLS: Readonly<Record<Outcome, string>> = { pass: 'pass', fail: '**fail**', 'n/a': 'n/a' };

/** The committed page. */
export function renderTable(rows: readonly TableRow[], kernelVersion: string): string {
  const counts = totals(rows);
  const header = [...IP_MODES.map((mode) => ` ${mode} |`)].join('');
  const lines = rows.map(({ script, outcomes, reason }) => {
    const cells = IP_MODES.map((mode) => {
      const outcome = outcomes.get(mode);
      return ` ${outcome === undefined ? NOT_FOR_MODE : SYMBOLS[outcome]} |`;
    });
    return `| \`${script}\` |${cells.join('')} ${escape(reason)} |`;
  });
  return `# Linux's packetdrill scripts

Played against this TCP by \`tools/linux-packetdrill\`, which takes them from Debian's package \`linux-source\` (suite sid)
when it runs; none of them is part of this project. This page is written by \`tools/linux-packetdrill --write\`.

Scripts of Linux ${kernelVersion}: **${counts.pass} of ${rows.length} pass** in every IP mode that they are for, ${counts.fail} fail, ${counts.notApplicable} do not
apply. An empty cell: the script is for other modes. A burst of segments is compared as a stream cut at segments' ends,
for how it is cut into frames is the network card's affair; so PSH counts only where a write ends, and the window only
where the script names it.

| script |${header} why not |
| --- |${' --- |'.repeat(IP_MODES.length)} --- |
${lines.join('\n')}
`;
}

/** Scripts by what became of them in all of their modes. */
export function totals(rows: readonly TableRow[]): { pass: number; fail: number; notApplicable: number } {
  let pass = 0;
  let notApplicable = 0;
  for (const { outcomes } of rows) {
    const values = [...outcomes.values()];
    if (values.every((outcome) => outcome === 'pass')) pass++;
    else if (values.includes('n/a')) notApplicable++;
  }
  return { pass, notApplicable, fail: rows.length - pass - notApplicable };
}

/** Of a committed page: which scripts pass, as `script mode`. */
export function passesOf(page: string): Set<string> {
  const passes = new Set<string>();
  for (const line of page.split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim());
    const script = /^`(\S+)`$/.exec(cells[1] ?? '')?.[1];
    if (script === undefined) continue;
    for (const [index, mode] of IP_MODES.entries()) if (cells[2 + index] === 'pass') passes.add(`${script} ${mode}`);
  }
  return passes;
}

/** What the page says passes and does not: `script mode`. */
export function regressions(page: string, rows: readonly TableRow[]): string[] {
  const passing = new Set<string>();
  const played = new Set<string>();
  for (const { script, outcomes } of rows) {
    for (const [mode, outcome] of outcomes) {
      played.add(`${script} ${mode}`);
      if (outcome === 'pass') passing.add(`${script} ${mode}`);
    }
  }
  return [...passesOf(page)].filter((entry) => played.has(entry) && !passing.has(entry));
}

function escape(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll(/\s+/g, ' ');
}
