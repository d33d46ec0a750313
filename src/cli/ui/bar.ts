import type { LineSink } from './log.ts';
import { visibleLength, type Style } from './style.ts';
import { formatBytes, formatClock, formatRate } from './units.ts';

/** At most ten redraws a second: faster only flickers. */
const REDRAW_MS = 100;
/** The rate shown is that of the last few redraws, so that it moves but does not jump. */
const RATE_SAMPLES = 10;
const MAX_BAR_COLUMNS = 32;
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const;

export interface BarState {
  readonly doneBytes: number;
  /** Null: nobody knows how much will come. */
  readonly totalBytes: number | null;
  readonly bitsPerSecond: number;
}

/** The filled part in eighths of a column, or `#` where the locale is not UTF-8. */
function meter(share: number, columns: number, style: Style): string {
  if (!style.unicode) {
    const full = Math.round(share * columns);
    return `[${'#'.repeat(full)}${'.'.repeat(columns - full)}]`;
  }
  const eighths = Math.round(share * columns * 8);
  const full = Math.floor(eighths / 8);
  const part = EIGHTHS[eighths % 8]!;
  const rest = columns - full - part.length;
  return style.cyan('█'.repeat(full) + part) + style.dim('·'.repeat(rest));
}

/** One line, no longer than the screen: `recv  ██████····  58 %  594 MiB  3.71 Gbit/s  ETA 0:02`. */
export function renderBar(label: string, state: BarState, style: Style): string {
  const { doneBytes, totalBytes, bitsPerSecond } = state;
  const figures = [formatBytes(doneBytes).padStart(8), formatRate(bitsPerSecond).padStart(11)];
  if (totalBytes === null) return `${style.bold(label)}  ${figures.join('  ')}`;
  const share = totalBytes === 0 ? 1 : Math.min(1, doneBytes / totalBytes);
  const leftSeconds = bitsPerSecond === 0 ? null : ((totalBytes - doneBytes) * 8) / bitsPerSecond;
  const percent = `${Math.floor(share * 100)} %`.padStart(5);
  const tail = [percent, ...figures, `ETA ${leftSeconds === null ? '-:--' : formatClock(leftSeconds)}`].join('  ');
  const room = style.columns - 1 - visibleLength(`${label}    ${tail}`);
  const columns = Math.min(MAX_BAR_COLUMNS, style.unicode ? room : room - 2);
  return columns < 8
    ? `${style.bold(label)}  ${tail}`
    : `${style.bold(label)}  ${meter(share, columns, style)}  ${tail}`;
}

/** A progress bar on the last line of stderr, redrawn by a timer and gone when it ends. */
export class Progress {
  readonly #sink: LineSink;
  readonly #style: Style;
  readonly #label: string;
  readonly #read: () => { doneBytes: number; totalBytes: number | null };
  readonly #nowMs: () => number;
  readonly #samples: { atMs: number; doneBytes: number }[] = [];
  #timer: NodeJS.Timeout | null = null;
  #drawn = false;

  constructor(
    sink: LineSink,
    style: Style,
    label: string,
    read: () => { doneBytes: number; totalBytes: number | null },
    nowMs: () => number = () => performance.now(),
  ) {
    this.#sink = sink;
    this.#style = style;
    this.#label = label;
    this.#read = read;
    this.#nowMs = nowMs;
  }

  start(): void {
    this.draw();
    this.#timer = setInterval(() => this.draw(), REDRAW_MS);
    this.#timer.unref();
  }

  draw(): void {
    const state = this.#read();
    const atMs = this.#nowMs();
    this.#samples.push({ atMs, doneBytes: state.doneBytes });
    if (this.#samples.length > RATE_SAMPLES) this.#samples.shift();
    const first = this.#samples[0]!;
    const elapsedMs = atMs - first.atMs;
    const bitsPerSecond = elapsedMs === 0 ? 0 : ((state.doneBytes - first.doneBytes) * 8000) / elapsedMs;
    this.#sink.write(`\r\u001B[K${renderBar(this.#label, { ...state, bitsPerSecond }, this.#style)}`);
    this.#drawn = true;
  }

  /** Takes the bar off the screen; the next redraw brings it back. */
  clear(): void {
    if (this.#drawn) this.#sink.write('\r\u001B[K');
    this.#drawn = false;
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.clear();
  }
}
