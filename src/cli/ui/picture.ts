import { center, padEnd, visibleLength, type Style } from './style.ts';

interface Strokes {
  readonly horizontal: string;
  readonly vertical: string;
  readonly corners: readonly [topLeft: string, topRight: string, bottomLeft: string, bottomRight: string];
  readonly thick: string;
  readonly thickHead: string;
  readonly thin: string;
  readonly thinHead: string;
  /** From nothing to full. */
  readonly shades: readonly string[];
}

const UNICODE: Strokes = {
  horizontal: '─',
  vertical: '│',
  corners: ['┌', '┐', '└', '┘'],
  thick: '═',
  thickHead: '▶',
  thin: '─',
  thinHead: '▶',
  shades: [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
};

const ASCII: Strokes = {
  horizontal: '-',
  vertical: '|',
  corners: ['+', '+', '+', '+'],
  thick: '=',
  thickHead: '>',
  thin: '-',
  thinHead: '>',
  shades: [' ', '.', ':', '-', '=', '+', '*', '#', '@'],
};

function strokesOf(style: Style): Strokes {
  return style.unicode ? UNICODE : ASCII;
}

/** Inner width of a box: the map of a memory is this many cells. */
export const MAP_CELLS = 22;
const BOX_COLUMNS: number = MAP_CELLS + 4;
const GAP_COLUMNS = 24;

/** One cell a slice of the memory, as high as that slice was used compared with the slice used most. */
export function renderMap(useCounts: ArrayLike<number>, style: Style): string {
  const { shades } = strokesOf(style);
  const counts = Array.from(useCounts);
  const most = Math.max(1, ...counts);
  return counts
    .map((count) => shades[count === 0 ? 0 : Math.max(1, Math.round((count / most) * (shades.length - 1)))]!)
    .join('');
}

export interface FlowSide {
  readonly name: string;
  /** Three lines each: what it is, its map or state, how it was used. */
  readonly deviceMemory: readonly string[];
  readonly hostMemory: readonly string[];
}

export interface Flow {
  readonly from: FlowSide;
  readonly to: FlowSide;
  /** Over and under the thick arrow between the device memories. */
  readonly payload: readonly [over: string, under: string];
  /** Over and under the thin arrow between the host memories. */
  readonly headers: readonly [over: string, under: string];
}

function box(title: string, lines: readonly string[], style: Style, paint: (text: string) => string): string[] {
  const { horizontal, vertical, corners } = strokesOf(style);
  const inner = BOX_COLUMNS - 4;
  const rule = horizontal.repeat(BOX_COLUMNS - visibleLength(title) - 5);
  return [
    paint(`${corners[0]}${horizontal} ${title} ${rule}${corners[1]}`),
    ...lines.map((line) => `${paint(vertical)} ${padEnd(line, inner)} ${paint(vertical)}`),
    paint(corners[2] + horizontal.repeat(BOX_COLUMNS - 2) + corners[3]),
  ];
}

function arrow(over: string, under: string, stroke: string, head: string, paint: (text: string) => string): string[] {
  const blank = ' '.repeat(GAP_COLUMNS);
  const line = ` ${paint(stroke.repeat(GAP_COLUMNS - 3) + head)} `;
  return [blank, center(over, GAP_COLUMNS), line, center(under, GAP_COLUMNS), blank];
}

/** Joins three columns of equally many lines. */
function beside(left: readonly string[], middle: readonly string[], right: readonly string[]): string[] {
  return left.map((line, i) => `  ${line}${middle[i] ?? ''}${right[i] ?? ''}`.trimEnd());
}

/**
 * Where the payload went, drawn: device memory to device memory along the thick arrow, headers along the thin one
 * below. 78 columns.
 */
export function renderFlow(flow: Flow, style: Style): string {
  const strokes = strokesOf(style);
  const { from, to } = flow;
  const names = beside([center(from.name, BOX_COLUMNS)], [' '.repeat(GAP_COLUMNS)], [center(to.name, BOX_COLUMNS)]);
  const device = beside(
    box('device memory', from.deviceMemory, style, style.green),
    arrow(flow.payload[0], flow.payload[1], strokes.thick, strokes.thickHead, style.green),
    box('device memory', to.deviceMemory, style, style.green),
  );
  const host = beside(
    box('host memory', from.hostMemory, style, style.dim),
    arrow(flow.headers[0], flow.headers[1], strokes.thin, strokes.thinHead, style.dim),
    box('host memory', to.hostMemory, style, style.dim),
  );
  return [...names, ...device, ...host].join('\n');
}
