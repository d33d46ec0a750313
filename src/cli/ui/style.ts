export type ColorChoice = 'auto' | 'always' | 'never';

/** What the reader's screen can show, decided once per stream. */
export interface Style {
  readonly color: boolean;
  readonly unicode: boolean;
  readonly columns: number;
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly red: (text: string) => string;
  readonly cyan: (text: string) => string;
}

export interface StyleSource {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_COLUMNS = 80;
const MIN_COLUMNS = 40;
/** Prose and tables do not get easier to read beyond this. */
const MAX_COLUMNS = 100;

/** `--color` beats NO_COLOR (https://no-color.org), which beats FORCE_COLOR, which beats what the stream is. */
export function wantsColor(choice: ColorChoice, stream: StyleSource, environment: Environment): boolean {
  if (choice !== 'auto') return choice === 'always';
  if ((environment['NO_COLOR'] ?? '') !== '') return false;
  const force = environment['FORCE_COLOR'];
  if (force !== undefined && force !== '') return force !== '0' && force !== 'false';
  return stream.isTTY === true && environment['TERM'] !== 'dumb';
}

/** Whether the locale's character set is UTF-8, by POSIX precedence (LC_ALL, LC_CTYPE, LANG); ASCII where none is set. */
export function wantsUnicode(environment: Environment, platform: string = process.platform): boolean {
  const locale = [environment['LC_ALL'], environment['LC_CTYPE'], environment['LANG']].find(
    (value) => (value ?? '') !== '',
  );
  if (locale === undefined) return platform === 'win32' || platform === 'darwin';
  return /utf-?8/i.test(locale);
}

function paint(enabled: boolean, open: number, close: number): (text: string) => string {
  return enabled ? (text) => (text === '' ? '' : `\u001B[${open}m${text}\u001B[${close}m`) : (text) => text;
}

/** The style for one stream. */
export function styleFor(
  stream: StyleSource,
  choice: ColorChoice = 'auto',
  environment: Environment = process.env,
): Style {
  const color = wantsColor(choice, stream, environment);
  return {
    color,
    unicode: wantsUnicode(environment),
    columns: Math.min(MAX_COLUMNS, Math.max(MIN_COLUMNS, stream.columns ?? DEFAULT_COLUMNS)),
    bold: paint(color, 1, 22),
    dim: paint(color, 2, 22),
    green: paint(color, 32, 39),
    yellow: paint(color, 33, 39),
    red: paint(color, 31, 39),
    cyan: paint(color, 36, 39),
  };
}

// eslint-disable-next-line no-control-regex
const ESCAPES = /\u001B\[[0-9;]*m/g;

/** Columns that `text` takes on the screen: escapes take none. (All our texts are single-width.) */
export function visibleLength(text: string): number {
  return text.replace(ESCAPES, '').length;
}

export function padEnd(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - visibleLength(text)));
}

export function padStart(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - visibleLength(text))) + text;
}

/** `text` in the middle of `width` columns. */
export function center(text: string, width: number): string {
  const left = Math.floor((width - visibleLength(text)) / 2);
  return padEnd(' '.repeat(Math.max(0, left)) + text, width);
}

/** Breaks prose at spaces so that no line is longer than `width`. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && visibleLength(line) + 1 + visibleLength(word) > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return line === '' ? lines : [...lines, line];
}
