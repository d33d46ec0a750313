import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';

import { NEVER, SimulatedClock } from '../../../src/core/clock.ts';
import { SeededRandom } from '../../../src/core/random.ts';
import { cablePair, type CableLink } from '../../../src/link/cable.ts';
import { FRAME_NEEDS_CHECKSUM, FrameList, GSO_TCPV4, MAX_FRAME_BYTES } from '../../../src/link/link.ts';
import { DelayQueue } from '../../../src/link/wrap/delay-queue.ts';
import { DelayLink, type DelayOptions } from '../../../src/link/wrap/delay.ts';
import { bytesOf, frameOf, landingOf } from '../../../testing/link-frames.ts';

interface Delayed {
  readonly link: DelayLink;
  readonly far: CableLink;
  readonly clock: SimulatedClock;
}

function delayed(options: DelayOptions, frames = 1024): Delayed {
  const [near, far] = cablePair({ frames });
  const clock = new SimulatedClock();
  return { link: new DelayLink(near, clock, options), far, clock };
}

const landing = landingOf(100, MAX_FRAME_BYTES);

/** When each frame arrives at the far end, with the clock moved by `pollAt` alone. */
function arrivals({ link, far, clock }: Delayed): number[] {
  const times: number[] = [];
  while (link.pollAt() !== NEVER) {
    clock.advanceTo(link.pollAt());
    assert.equal(link.readFrame(landing), 0);
    while (far.readFrame(landing) > 0) times.push(clock.nowMicros());
  }
  return times;
}

describe('delay link', () => {
  it('delays what is written, bytes and offload fields unchanged', () => {
    const { link, far, clock } = delayed({ delayMicros: 250 });
    const frame = frameOf(54, 1000);
    frame.flags = FRAME_NEEDS_CHECKSUM;
    frame.gsoType = GSO_TCPV4;
    frame.headerBytes = 54;
    frame.gsoSizeBytes = 500;
    frame.checksumStart = 34;
    frame.checksumOffset = 16;
    assert.equal(link.writeFrame(frame), 1054);
    assert.deepEqual([link.framesWritten, link.framesInFlight], [1, 0]);
    assert.equal(far.readFrame(landing), 0);
    assert.equal(link.pollAt(), 250);
    clock.advanceTo(249);
    link.readFrame(landing);
    assert.equal(far.readFrame(landing), 0);
    clock.advanceTo(250);
    link.readFrame(landing);
    assert.equal(far.readFrame(landing), 1054);
    assert.deepEqual(bytesOf(landing, 1054), bytesOf(frame));
    assert.deepEqual(
      [landing.flags, landing.gsoType, landing.headerBytes, landing.gsoSizeBytes],
      [FRAME_NEEDS_CHECKSUM, GSO_TCPV4, 54, 500],
    );
    assert.deepEqual([landing.checksumStart, landing.checksumOffset], [34, 16]);
  });

  it('delays what is read, from when it is taken in', () => {
    const { link, far, clock } = delayed({ delayMicros: 100 });
    far.writeFrame(frameOf(60));
    clock.advanceTo(10);
    assert.equal(link.readFrame(landing), 0);
    assert.equal(link.pollAt(), 110);
    clock.advanceTo(110);
    assert.equal(link.readFrame(landing), 60);
    assert.equal(link.pollAt(), NEVER);
  });

  it('in one direction only, if asked', () => {
    const { link, far } = delayed({ delayMicros: 100, direction: 'read' });
    link.writeFrame(frameOf(54, 60));
    assert.deepEqual([link.framesWritten, link.framesInFlight], [1, 1]);
    assert.equal(far.readFrame(landing), 114);
  });

  it('lets frames leave at its rate', () => {
    const setup = delayed({ bitsPerSecond: 8_000_000, delayMicros: 5 });
    // 8 Mbit/s is a byte a microsecond; each frame has 24 bytes of preamble, check sequence and gap.
    for (let i = 0; i < 4; i++) assert.equal(setup.link.writeFrame(frameOf(76)), 76);
    assert.deepEqual(arrivals(setup), [105, 205, 305, 405]);
  });

  it('drops what its queue has no room for, and counts it', () => {
    const setup = delayed({ bitsPerSecond: 8_000_000, queueBytes: 1000 });
    for (let i = 0; i < 100; i++) assert.equal(setup.link.writeFrame(frameOf(76)), 76);
    const dropped = setup.link.writeCounters!.tailDropped;
    assert.ok(dropped > 80 && dropped < 95, `${dropped} dropped`);
    assert.equal(arrivals(setup).length, 100 - dropped);
    assert.equal(setup.link.framesWritten, 100);
    assert.equal(setup.link.writeFrame(frameOf(76)), 76);
    assert.equal(setup.link.writeCounters!.tailDropped, dropped);
  });

  it('jitter spreads frames and keeps their order', () => {
    const { link, far, clock } = delayed({ delayMicros: 100, jitterMicros: 50, random: new SeededRandom(4) });
    const delays: number[] = [];
    const receive = (): void => {
      link.readFrame(landing);
      for (let length = far.readFrame(landing); length > 0; length = far.readFrame(landing)) {
        assert.equal(length, 60 + delays.length);
        delays.push(clock.nowMicros() - 20 * delays.length);
      }
    };
    for (let i = 0; i < 50; i++) {
      while (link.pollAt() <= 20 * i) {
        clock.advanceTo(link.pollAt());
        receive();
      }
      clock.advanceTo(20 * i);
      link.writeFrame(frameOf(60 + i));
    }
    while (delays.length < 50) {
      clock.advanceTo(link.pollAt());
      receive();
    }
    assert.ok(
      delays.every((delay) => delay >= 100 && delay <= 150),
      delays.join(' '),
    );
    assert.ok(new Set(delays).size > 25);
  });

  it('waits for the inner link instead of spinning when that is full', () => {
    const { link, far, clock } = delayed({ delayMicros: 10 }, 1);
    link.writeFrame(frameOf(60));
    link.writeFrame(frameOf(61));
    clock.advanceTo(10);
    assert.equal(link.readFrame(landing), 0);
    assert.equal(link.pollAt(), NEVER);
    assert.equal(far.readFrame(landing), 60);
    assert.equal(link.readFrame(landing), 0);
    assert.equal(far.readFrame(landing), 61);
  });

  it('refuses frames when its memory is full, and takes them again when some have left', () => {
    const { link, clock, far } = delayed({ delayMicros: 1000 });
    const large = frameOf(54, 60_000);
    large.gsoType = GSO_TCPV4;
    let taken = 0;
    while (link.writeFrame(large) > 0) taken++;
    assert.ok(taken > 50);
    clock.advanceTo(1000);
    link.readFrame(landing);
    while (far.readFrame(landing) > 0) taken--;
    assert.equal(taken, 0);
    assert.equal(link.writeFrame(large), 60_054);
  });

  it('says what is wrong with its options', () => {
    assert.throws(() => delayed({ delayMicros: -1 }), {
      code: 'ERR_DEVMEM_INVALID_ARGUMENT',
      message: 'delayMicros is -1',
    });
    assert.throws(() => delayed({ jitterMicros: 1 }), { code: 'ERR_DEVMEM_INVALID_ARGUMENT', message: /random/ });
    assert.throws(() => delayed({ bitsPerSecond: 0 }), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
  });
});

describe('delay queue', () => {
  it('keeps every frame whole and in order, whatever the sizes', () => {
    const operation = fc.oneof(fc.integer({ min: 1, max: 900 }), fc.constant(0));
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
        const queue = new DelayQueue(2048);
        const expected: Buffer[] = [];
        operations.forEach((size, index) => {
          if (size === 0) {
            const first = expected.shift();
            if (first === undefined) return;
            const room = landingOf(1000);
            assert.equal(queue.shift(room), first.length);
            assert.deepEqual(bytesOf(room, first.length), first);
          } else {
            const frame = new FrameList();
            const source = frameOf(size);
            source.regions[0]!.mapping.fill(index);
            frame.push(source.regions[0]!, 0, size);
            if (queue.push(frame, index)) expected.push(bytesOf(frame));
            else assert.ok(expected.length > 0, 'an empty queue refused a frame');
          }
          assert.equal(queue.count, expected.length);
        });
      }),
    );
  });
});
