import { IP_MODES, type IpMode } from './settings.ts';

export type Outcome = 'pass' | 'fail' | 'n/a';

/** What became of one script, in each mode that it is for. */
export interface TableRow {
  script: string;
  /** The first digits of its text's SHA-256: Debian's package moves on, and a changed script is another one. */
  text: string;
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
  const lines = rows.map(({ script, text, outcomes, reason }) => {
    const cells = IP_MODES.map((mode) => {
      const outcome = outcomes.get(mode);
      return ` ${outcome === undefined ? NOT_FOR_MODE : SYMBOLS[outcome]} |`;
    });
    return `| \`${script}\` | ${text} |${cells.join('')} ${escape(reason)} |`;
  });
  return `# Linux's packetdrill scripts

Played against this TCP by \`tools/linux-packetdrill\`, which takes them from Debian's package \`linux-source\` (suite sid)
when it runs; none of them is part of this project. This page is written by \`tools/linux-packetdrill --write\`.

Scripts of Linux ${kernelVersion}: **${counts.pass} of ${rows.length} pass** in every IP mode that they are for, ${counts.fail} fail, ${counts.notApplicable} do not
apply. An empty cell: the script is for other modes. A burst of segments is compared as a stream cut at segments' ends,
for how it is cut into frames is the network card's affair; so PSH counts only where a write ends, and the window only
where the script names it. *Text* tells a script from a later version of it.

| script | text |${header} why not |
| --- | --- |${' --- |'.repeat(IP_MODES.length)} --- |
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

/** Of a committed page: which scripts pass, as `script text mode`. */
export function passesOf(page: string): Set<string> {
  const passes = new Set<string>();
  for (const line of page.split('\n')) {
    const cells = line.split('|').map((cell) => cell.trim());
    const script = /^`(\S+)`$/.exec(cells[1] ?? '')?.[1];
    if (script === undefined) continue;
    for (const [index, mode] of IP_MODES.entries()) {
      if (cells[3 + index] === 'pass') passes.add(`${script} ${cells[2]} ${mode}`);
    }
  }
  return passes;
}

/** What the page says passes and, with the same text, does not: `script text mode`. */
export function regressions(page: string, rows: readonly TableRow[]): string[] {
  const lost: string[] = [];
  const passes = passesOf(page);
  for (const { script, text, outcomes } of rows) {
    for (const [mode, outcome] of outcomes) {
      const entry = `${script} ${text} ${mode}`;
      if (outcome !== 'pass' && passes.has(entry)) lost.push(entry);
    }
  }
  return lost;
}

/** Scripts of the page that are not among those played, or have changed: nothing is said about them. */
export function changedSince(page: string, rows: readonly TableRow[]): string[] {
  const played = new Set(rows.map(({ script, text }) => `${script} ${text}`));
  const listed = [...passesOf(page)].map((entry) => entry.split(' ').slice(0, 2).join(' '));
  return [...new Set(listed)].filter((entry) => !played.has(entry));
}

function escape(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll(/\s+/g, ' ');
}
