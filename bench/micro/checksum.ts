/**
 * The Internet checksum over what the stack sums: a header, a full segment, a segmentation-offload packet. Beside it the
 * byte-wise loop that anybody would write first, as the yardstick.
 */
import { bench, do_not_optimize, run, summary } from 'mitata';
import { foldSum, sumBytes } from '../../src/wire/checksum.ts';

const SIZES = [20, 40, 1448, 8948, 65_000];
/** Behind Ethernet, IPv4 and TCP headers: not aligned to anything. */
const OFFSET = 66;

const bytes = new Uint8Array(new SharedArrayBuffer(OFFSET + Math.max(...SIZES)));
for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 167 + 13) & 0xff;
const view = new DataView(bytes.buffer);

function sumByBytes(offset: number, length: number): number {
  let sum = 0;
  const end = offset + length;
  for (let at = offset; at < end; at += 2) sum += (bytes[at]! << 8) | bytes[at + 1]!;
  return sum;
}

for (const size of SIZES) {
  if (foldSum(sumByBytes(OFFSET, size)) !== foldSum(sumBytes(bytes, view, OFFSET, size)))
    throw new Error(`wrong at ${size}`);
  summary(() => {
    bench(`sumBytes ${size} B`, () => do_not_optimize(sumBytes(bytes, view, OFFSET, size)));
    bench(`byte by byte ${size} B`, () => do_not_optimize(sumByBytes(OFFSET, size)));
  });
}

await run();
