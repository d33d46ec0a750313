import assert from 'node:assert/strict';
import {
  describeTcpOptions,
  emitAccurateEcn,
  emitSynOptions,
  MAX_ACCURATE_ECN_COUNTERS,
  MAX_SACK_BLOCKS,
  MAX_WINDOW_SCALE,
  parseTcpOptions,
  TcpOptions,
} from '../../src/wire/tcp-options.ts';
import { assertVerdict, sameEverywhere } from '../placement.ts';
import type { FuzzTarget } from '../target.ts';

const MAX_OPTION_BYTES = 40;

/** The options alone; they take more than 40 bytes here, which no header has room for. */
export const target: FuzzTarget = {
  name: 'tcp-options',
  maxBytes: 128,
  run(input) {
    const options = new TcpOptions();
    sameEverywhere(input, ({ bytes, view, offset, end }) => {
      const verdict = parseTcpOptions(bytes, view, offset, end, options);
      assertVerdict(verdict, 0);
      assert.ok(options.windowScale >= -1 && options.windowScale <= MAX_WINDOW_SCALE);
      assert.ok(options.sackCount >= 0 && options.sackCount <= MAX_SACK_BLOCKS);
      assert.ok(options.accurateEcnCount >= 0 && options.accurateEcnCount <= MAX_ACCURATE_ECN_COUNTERS);
      return [verdict, describeTcpOptions(options)];
    });
    assertReadsBack(options);
  },
};

/** Whatever was understood of a SYN's options and of an AccECN option comes out the same when we write it. */
function assertReadsBack(options: TcpOptions): void {
  const bytes = new Uint8Array(MAX_OPTION_BYTES);
  const view = new DataView(bytes.buffer);
  const { mss, windowScale, sackPermitted, hasTimestamps, timestampValue, timestampEcho } = options;
  const length = emitSynOptions(
    bytes,
    view,
    0,
    mss,
    windowScale,
    sackPermitted,
    hasTimestamps,
    timestampValue,
    timestampEcho,
  );
  const again = new TcpOptions();
  assert.equal(parseTcpOptions(bytes, view, 0, length + writeEcn(view, length, options), again), 0);
  again.sackCount = options.sackCount;
  again.sackLeft.set(options.sackLeft);
  again.sackRight.set(options.sackRight);
  again.isSigned = options.isSigned;
  again.fastOpenBytes = options.fastOpenBytes;
  again.fastOpenCookie.set(options.fastOpenCookie);
  again.fastOpenIsExperimental = options.fastOpenIsExperimental;
  assert.equal(describeTcpOptions(again), describeTcpOptions(options));
}

function writeEcn(view: DataView, offset: number, options: TcpOptions): number {
  const { accurateEcnKind: kind, accurateEcnCount: count, accurateEcnCounters: counters } = options;
  return kind === 0 ? 0 : emitAccurateEcn(view, offset, kind, count, counters[0]!, counters[1]!, counters[2]!);
}
