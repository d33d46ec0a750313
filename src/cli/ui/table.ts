import { padEnd, padStart, visibleLength, type Style } from './style.ts';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Rows under quiet headings, columns two spaces apart, no box: what a terminal shows best and grep reads. */
export function renderTable(columns: readonly Column[], rows: readonly (readonly string[])[], style: Style): string {
  const widths = columns.map((column, i) =>
    Math.max(visibleLength(column.title), ...rows.map((row) => visibleLength(row[i] ?? ''))),
  );
  const line = (cells: readonly string[]): string =>
    `  ${columns
      .map((column, i) =>
        column.align === 'right' ? padStart(cells[i] ?? '', widths[i]!) : padEnd(cells[i] ?? '', widths[i]!),
      )
      .join('  ')}`.trimEnd();
  const heading = line(columns.map((column) => style.dim(column.title)));
  return [heading, ...rows.map((row) => line(row))].join('\n');
}

/** `name  value` lines with the values in one column. */
export function renderPairs(pairs: readonly (readonly [name: string, value: string])[], style: Style): string {
  const width = Math.max(...pairs.map(([name]) => visibleLength(name)));
  return pairs.map(([name, value]) => `  ${style.dim(padEnd(name, width))}  ${value}`).join('\n');
}
