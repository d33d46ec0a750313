import type { Style } from './ui/style.ts';
import { renderTable } from './ui/table.ts';
import { formatCount, formatShare } from './ui/units.ts';

/** The `devmem` object of every result: where the payload went, and whether every page came back. */
export interface DevmemFigures {
  /** Payload delivered as references to device memory (or sent out of it). */
  dmabuf_bytes: number;
  /** Payload that the header split left in host memory. */
  linear_bytes: number;
  /** Payload copied by the CPU above the NIC. */
  copied_bytes: number;
  /** Payload that the NIC had to move because it predicted header length or queue wrong. */
  relocated_bytes: number;
  frags: number;
  tokens_returned: number;
  pages_bound: number;
  pages_free: number;
}

/** "Bits a second", as iperf3 counts: payload only. */
export function bitsPerSecond(bytes: number, seconds: number): number {
  return seconds === 0 ? 0 : (bytes * 8) / seconds;
}

/** The table of where every byte went. */
export function renderWhere(figures: DevmemFigures, style: Style): string {
  const total = figures.dmabuf_bytes + figures.linear_bytes;
  const row = (name: string, bytes: number): string[] => [name, formatCount(bytes), formatShare(bytes, total)];
  const inPlace = figures.dmabuf_bytes - figures.relocated_bytes;
  return renderTable(
    [{ title: 'where the payload went' }, { title: 'bytes', align: 'right' }, { title: 'share', align: 'right' }],
    [
      row('device memory, straight into its page', inPlace),
      row('device memory, moved there by the NIC', figures.relocated_bytes),
      row('host memory (linear)', figures.linear_bytes),
      row('copied by the CPU above the NIC', figures.copied_bytes),
    ],
    style,
  );
}

/** `65,536 of 65,536 free`, and a word beside it that says whether that is right. */
export function renderPages(figures: DevmemFigures, style: Style): string {
  const counts = `${formatCount(figures.pages_free)} of ${formatCount(figures.pages_bound)} free`;
  const verdict = figures.pages_free === figures.pages_bound ? style.green('ok') : style.red('fail: pages are missing');
  return `${counts}  ${verdict}`;
}

/** An error as the documents name it. */
export function errorFacts(error: unknown): { code: string; message: string } | null {
  if (error === null) return null;
  const { code, message } = error as { code?: unknown; message?: unknown };
  return {
    code: typeof code === 'string' ? code : 'ERR_DEVMEM_ABORTED',
    message: typeof message === 'string' ? message : 'unknown error',
  };
}
