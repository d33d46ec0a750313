import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderBar, Progress } from '../../src/cli/ui/bar.ts';
import { renderFlow, renderMap, type Flow } from '../../src/cli/ui/picture.ts';
import { renderPairs, renderTable } from '../../src/cli/ui/table.ts';
import { styleFor, visibleLength, wantsColor, wantsUnicode, wrap, type Style } from '../../src/cli/ui/style.ts';

const UTF8 = { LC_ALL: 'C.UTF-8' };
const plain: Style = styleFor({ columns: 80 }, 'never', UTF8);
const ascii: Style = styleFor({ columns: 80 }, 'never', {});
const colored: Style = styleFor({ columns: 80 }, 'always', UTF8);

test('colour: the flag beats NO_COLOR, which beats FORCE_COLOR, which beats the terminal', () => {
  const terminal = { isTTY: true };
  const pipe = { isTTY: undefined };
  assert.equal(wantsColor('auto', terminal, {}), true);
  assert.equal(wantsColor('auto', pipe, {}), false);
  assert.equal(wantsColor('auto', terminal, { NO_COLOR: '1' }), false);
  assert.equal(wantsColor('auto', terminal, { NO_COLOR: '' }), true);
  assert.equal(wantsColor('auto', pipe, { FORCE_COLOR: '1' }), true);
  assert.equal(wantsColor('auto', terminal, { FORCE_COLOR: '0' }), false);
  assert.equal(wantsColor('auto', pipe, { FORCE_COLOR: '1', NO_COLOR: '1' }), false);
  assert.equal(wantsColor('always', pipe, { NO_COLOR: '1' }), true);
  assert.equal(wantsColor('never', terminal, { FORCE_COLOR: '1' }), false);
  assert.equal(wantsColor('auto', terminal, { TERM: 'dumb' }), false);
});

test('drawing characters only where the locale is UTF-8', () => {
  assert.equal(wantsUnicode({ LANG: 'en_GB.UTF-8' }, 'linux'), true);
  assert.equal(wantsUnicode({ LANG: 'en_GB.utf8' }, 'linux'), true);
  assert.equal(wantsUnicode({ LANG: 'en_GB.UTF-8', LC_ALL: 'C' }, 'linux'), false);
  assert.equal(wantsUnicode({}, 'linux'), false);
  assert.equal(wantsUnicode({}, 'darwin'), true);
});

test('the bar fits on one line of the screen at every stage, with colour or without', () => {
  for (const columns of [40, 60, 80, 100]) {
    for (const environment of [{}, UTF8]) {
      const style = styleFor({ columns }, 'always', environment);
      for (const share of [0, 0.001, 0.5, 0.999, 1]) {
        const bar = renderBar(
          'demo',
          { doneBytes: share * 2 ** 30, totalBytes: 2 ** 30, bitsPerSecond: 1.34e10 },
          style,
        );
        assert.ok(visibleLength(bar) < Math.max(columns, 56), `${columns}: ${bar}`);
      }
    }
  }
  assert.match(renderBar('demo', { doneBytes: 512, totalBytes: 1024, bitsPerSecond: 4096 }, ascii), /50 %/);
  // oxlint-disable-next-line no-control-regex
  assert.match(renderBar('demo', { doneBytes: 512, totalBytes: 1024, bitsPerSecond: 4096 }, ascii), /^[\x20-\x7e]+$/);
});

test('a bar without a known end shows no percentage', () => {
  const bar = renderBar('recv', { doneBytes: 2 ** 20, totalBytes: null, bitsPerSecond: 1e9 }, plain);
  assert.match(bar, /1\.00 MiB {2,}1\.00 Gbit\/s/);
  assert.doesNotMatch(bar, /%|ETA/);
});

test('progress redraws in place and leaves nothing behind', () => {
  const written: string[] = [];
  let nowMs = 0;
  let doneBytes = 0;
  const read = (): { doneBytes: number; totalBytes: number } => ({ doneBytes, totalBytes: 1000 });
  const progress = new Progress({ write: (text) => written.push(text) }, plain, 'demo', read, () => nowMs);
  progress.draw();
  nowMs = 1000;
  doneBytes = 500;
  progress.draw();
  progress.stop();
  // oxlint-disable-next-line no-control-regex
  assert.match(written[1]!, /^\r\u001B\[K.*50 %.*4\.00 kbit\/s.*ETA 0:01/);
  assert.equal(written.at(-1), '\r\u001B[K');
});

test('tables align their columns, whatever is painted', () => {
  const columns = [{ title: 'name' }, { title: 'bytes', align: 'right' as const }];
  const rows = (style: Style): string[][] => [
    [style.green('ok'), '1'],
    ['longer name', '1,234'],
  ];
  const lines = renderTable(columns, rows(plain), plain).split('\n');
  assert.deepEqual(lines, ['  name         bytes', '  ok               1', '  longer name  1,234']);
  const painted = renderTable(columns, rows(colored), colored).split('\n');
  assert.deepEqual(painted.map(visibleLength), lines.map(visibleLength));
  assert.equal(
    renderPairs(
      [
        ['a', '1'],
        ['long', '2'],
      ],
      plain,
    ),
    '  a     1\n  long  2',
  );
});

test('the picture is 78 columns wide, also in ASCII', () => {
  const flow: Flow = {
    from: {
      name: 'sender 10.77.0.1',
      deviceMemory: ['61.0 MiB', renderMap([1, 1], ascii), 'x'],
      hostMemory: ['stack', '0 B'],
    },
    to: { name: 'receiver', deviceMemory: ['64.0 MiB', renderMap([0, 2], ascii), 'x'], hostMemory: ['stack', '0 B'] },
    payload: ['1.00 GiB', '16,384 fragments'],
    headers: ['3 MiB', '16,000 frames'],
  };
  for (const style of [plain, ascii, colored]) {
    const lines = renderFlow(flow, style).split('\n');
    assert.ok(
      lines.every((line) => visibleLength(line) <= 78),
      lines.join('\n'),
    );
    assert.equal(Math.max(...lines.map(visibleLength)), 78);
  }
  // oxlint-disable-next-line no-control-regex
  assert.match(renderFlow(flow, ascii), /^[\n\x20-\x7e]+$/);
});

test('the map shows an unused slice as blank and any use as a mark', () => {
  assert.equal(renderMap([0, 16, 16], plain), ' ██');
  assert.equal(renderMap([0, 0.001, 16], plain), ' ▁█');
  assert.equal(renderMap([0, 0], ascii), '  ');
});

test('prose is broken at spaces', () => {
  assert.deepEqual(wrap('a bb ccc dddd', 6), ['a bb', 'ccc', 'dddd']);
  assert.deepEqual(wrap('unbreakably long', 5), ['unbreakably', 'long']);
  assert.deepEqual(wrap('', 5), []);
});
