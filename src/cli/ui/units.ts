/** Powers of 1024 for a bare letter and `KiB`, powers of 1000 for `KB`: iperf3's reading of sizes. */
const SIZE_UNITS: ReadonlyMap<string, number> = new Map(
  ['', 'k', 'm', 'g', 't'].flatMap((letter, power): [string, number][] =>
    letter === ''
      ? [
          ['', 1],
          ['b', 1],
        ]
      : [
          [letter, 1024 ** power],
          [`${letter}i`, 1024 ** power],
          [`${letter}ib`, 1024 ** power],
          [`${letter}b`, 1000 ** power],
        ],
  ),
);

const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;
const RATE_UNITS = ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s'] as const;

/** Bytes in `64K`, `256MiB`, `1.5GB`; null if the text is no size or not a whole number of bytes. */
export function parseSize(text: string): number | null {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  if (match === null) return null;
  const bytes = Number(match[1]) * (SIZE_UNITS.get(match[2]!.toLowerCase()) ?? Number.NaN);
  return Number.isSafeInteger(bytes) ? bytes : null;
}

/** Three significant digits: `1.72`, `13.4`, `256`. */
function threeDigits(value: number): string {
  if (value >= 99.95) return value.toFixed(0);
  return value.toFixed(value >= 9.995 ? 1 : 2);
}

function scaled(value: number, base: number, units: readonly string[]): string {
  let unit = 0;
  let rest = value;
  while (unit < units.length - 1 && Math.abs(rest) >= base) {
    rest /= base;
    unit++;
  }
  // 1023.7 MiB would read "1024 MiB": the next unit says it better.
  if (unit > 0 && unit < units.length - 1 && Math.round(rest) >= base) {
    rest /= base;
    unit++;
  }
  return `${unit === 0 ? Math.round(rest).toString() : threeDigits(rest)} ${units[unit]!}`;
}

/** `1.72 GiB`, `512 B`. */
export function formatBytes(bytes: number): string {
  return scaled(bytes, 1024, BINARY_UNITS);
}

/** A size that somebody chose: `64 MiB` where `formatBytes` has `64.0 MiB`. */
export function formatSize(bytes: number): string {
  return formatBytes(bytes).replace(/\.0+ /, ' ');
}

/** `13.4 Gbit/s`. */
export function formatRate(bitsPerSecond: number): string {
  return scaled(bitsPerSecond, 1000, RATE_UNITS);
}

/** `1,073,741,824`, whatever the locale. */
export function formatCount(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

/** `850 ms`, `2.31 s`, `3 min 07 s`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 99.95) return `${threeDigits(seconds)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
}

/** `0:07`, `12:40`, `1:02:03`: what is left, for the progress bar. */
export function formatClock(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const two = (value: number): string => String(value).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** `100 %`, `99.98 %`, `0 %`: never rounds a part up to the whole or down to nothing. */
export function formatShare(part: number, whole: number): string {
  if (whole === 0) return '-';
  if (part === 0) return '0 %';
  if (part === whole) return '100 %';
  const percent = (part / whole) * 100;
  if (percent > 99.99) return '>99.99 %';
  return percent < 0.01 ? '<0.01 %' : `${percent.toFixed(2)} %`;
}
