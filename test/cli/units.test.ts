import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  formatBytes,
  formatClock,
  formatCount,
  formatRate,
  formatSeconds,
  formatShare,
  formatSize,
  parseSize,
} from '../../src/cli/ui/units.ts';

test('sizes: letters and KiB are 1024-based, KB is decimal', () => {
  const cases: [string, number | null][] = [
    ['4096', 4096],
    ['0', 0],
    ['64K', 65_536],
    ['64k', 65_536],
    ['64Ki', 65_536],
    ['64KiB', 65_536],
    ['64KB', 64_000],
    ['256MiB', 268_435_456],
    ['1.5 GiB', 1_610_612_736],
    ['1gb', 1e9],
    ['2T', 2 * 1024 ** 4],
    ['12B', 12],
    ['', null],
    ['x', null],
    ['-1', null],
    ['1e3', null],
    ['0.3', null],
    ['1.0001K', null],
    ['9999999T', null],
    ['5 apples', null],
    ['1KiBi', null],
  ];
  for (const [text, bytes] of cases) assert.equal(parseSize(text), bytes, text);
});

test('sizes and rates out have three digits and the right base', () => {
  assert.equal(formatBytes(0), '0 B');
  assert.equal(formatBytes(1023), '1023 B');
  assert.equal(formatBytes(1024), '1.00 KiB');
  assert.equal(formatBytes(1_847_483_648), '1.72 GiB');
  assert.equal(formatBytes(256 * 1024 ** 2), '256 MiB');
  assert.equal(formatBytes(1024 ** 2 - 1), '1.00 MiB');
  assert.equal(formatBytes(13.4 * 1024 ** 3), '13.4 GiB');
  assert.equal(formatRate(13.4e9), '13.4 Gbit/s');
  assert.equal(formatRate(999_999_999), '1.00 Gbit/s');
  assert.equal(formatRate(0), '0 bit/s');
  assert.equal(formatSize(64 * 1024 ** 2), '64 MiB');
  assert.equal(formatSize(1.5 * 1024 ** 3), '1.50 GiB');
  assert.equal(formatSize(100), '100 B');
});

test('a size that was printed reads back to within its three digits', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 50 }), (bytes) => {
      const [figure, unit] = formatBytes(bytes).split(' ');
      const value = Number(figure) * 1024 ** ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'].indexOf(unit!);
      assert.ok(Math.abs(value - bytes) <= bytes * 0.006, `${bytes} printed as ${figure} ${unit}`);
      assert.ok(figure!.length <= 4, `${bytes} printed as ${figure} ${unit}`);
    }),
  );
});

test('times, counts, shares', () => {
  assert.equal(formatSeconds(0.85), '850 ms');
  assert.equal(formatSeconds(2.309), '2.31 s');
  assert.equal(formatSeconds(187), '3 min 07 s');
  assert.equal(formatClock(7), '0:07');
  assert.equal(formatClock(3723), '1:02:03');
  assert.equal(formatCount(1_073_741_824), '1,073,741,824');
  assert.equal(formatCount(12), '12');
  assert.equal(formatShare(0, 10), '0 %');
  assert.equal(formatShare(10, 10), '100 %');
  assert.equal(formatShare(1, 3), '33.33 %');
});

test('a share never hides a byte: nearly all is not all, nearly nothing is not nothing', () => {
  assert.equal(formatShare(2 ** 40 - 1, 2 ** 40), '>99.99 %');
  assert.equal(formatShare(1, 2 ** 40), '<0.01 %');
  assert.equal(formatShare(0, 0), '-');
});
