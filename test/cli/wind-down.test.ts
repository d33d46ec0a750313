import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { giveUpWhenStalled, STALL_MS } from '../../src/cli/wind-down.ts';

test('nothing before the abort; then once, as soon as progress stands still', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const controller = new AbortController();
    let bytes = 5;
    let calls = 0;
    giveUpWhenStalled(
      controller.signal,
      () => bytes,
      () => calls++,
    );
    mock.timers.tick(10 * STALL_MS);
    assert.equal(calls, 0);
    controller.abort();
    for (let look = 0; look < 5; look++) {
      bytes++;
      mock.timers.tick(STALL_MS);
      assert.equal(calls, 0);
    }
    mock.timers.tick(10 * STALL_MS);
    assert.equal(calls, 1);
  } finally {
    mock.timers.reset();
  }
});

test('what has ended is not given up', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    let calls = 0;
    const stop = giveUpWhenStalled(
      AbortSignal.abort(),
      () => 0,
      () => calls++,
    );
    stop();
    mock.timers.tick(10 * STALL_MS);
    assert.equal(calls, 0);
  } finally {
    mock.timers.reset();
  }
});
