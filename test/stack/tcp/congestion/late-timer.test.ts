import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Pacer } from '../../../../src/stack/tcp/pacing.ts';

const SEGMENTS_OUT = 1000;
/** A megabyte a second: a byte takes a microsecond. */
const RATE = 1_000_000;

/** Sends a second of frames of `bytes`, with a timer that comes `lateMicros` late. Returns the bytes sent. */
function sentIn(lateMicros: number, bytes: number, minRttMicros: number = Number.POSITIVE_INFINITY): number {
  const pacer = new Pacer();
  let sent = 0;
  for (let now = 0; now < 1_000_000;) {
    if (pacer.holds(now, minRttMicros)) {
      now = pacer.nextMicros + lateMicros;
      continue;
    }
    pacer.sent(bytes, RATE, SEGMENTS_OUT, now);
    sent += bytes;
  }
  return sent;
}

describe('pacer', () => {
  it('keeps the rate, though its timer is late by more than a frame takes', () => {
    for (const lateMicros of [0, 300, 1000, 2500, 4900]) {
      const sent = sentIn(lateMicros, 1000);
      assert.ok(sent > 0.98 * RATE && sent < 1.02 * RATE, `${lateMicros} us late: ${sent}`);
    }
  });

  it('does not make up for more than a few milliseconds', () => {
    const sent = sentIn(50_000, 1000);
    assert.ok(sent < 0.15 * RATE, `${sent}`);
  });

  it('makes up for half a round trip, where that is longer', () => {
    // A process that does not run for 20 ms at a time, on a path of 50.
    const sent = sentIn(20_000, 1000, 50_000);
    assert.ok(sent > 0.98 * RATE && sent < 1.02 * RATE, `${sent}`);
    const short = sentIn(20_000, 1000, 20_000);
    assert.ok(short > 0.4 * RATE && short < 0.6 * RATE, `${short}`);
  });

  it('does not make up for time in which nothing waited for it', () => {
    const pacer = new Pacer();
    pacer.sent(1000, RATE, SEGMENTS_OUT, 0);
    // Nothing to send until long after.
    assert.equal(pacer.holds(4000, 1000), false);
    pacer.sent(1000, RATE, SEGMENTS_OUT, 4000);
    assert.equal(pacer.nextMicros, 4500);
    assert.equal(pacer.holds(4000, 1000), true);
  });

  it('lets the first segments of a connection go together', () => {
    const pacer = new Pacer();
    for (let i = 0; i < 10; i++) {
      assert.equal(pacer.holds(0, 1000), false);
      pacer.sent(1460, RATE, i, 0);
    }
  });
});
