import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { NEVER, SimulatedClock } from '../../../src/core/clock.ts';
import { SeededRandom } from '../../../src/core/random.ts';
import { cablePair, type CableLink } from '../../../src/link/cable.ts';
import { FRAME_CHECKSUM_VALID, FRAME_NEEDS_CHECKSUM, MAX_FRAME_BYTES } from '../../../src/link/link.ts';
import type { Link } from '../../../src/link/link.ts';
import { FaultLink, type FaultOptions } from '../../../src/link/wrap/fault.ts';
import { foldChecksum, foldSum, sumBytes } from '../../../src/wire/checksum.ts';
import { bytesOf, frameFrom, landingOf } from '../../../testing/link-frames.ts';

const FRAMES = 400;

/** Frame number `index`: an IPv4 EtherType, the number, and bytes that depend on it. */
function numbered(index: number, length = 100): Uint8Array {
  const bytes = new Uint8Array(length).fill(index & 255);
  bytes[12] = 0x08;
  bytes[13] = 0x00;
  new DataView(bytes.buffer).setUint16(14, index);
  return bytes;
}

const numberOf = (frame: Uint8Array): number => (frame[14]! << 8) | frame[15]!;

function readAll(link: Link): Buffer[] {
  const frames: Buffer[] = [];
  const landing = landingOf(64, MAX_FRAME_BYTES);
  for (;;) {
    const length = link.readFrame(landing);
    if (length === 0) return frames;
    assert.ok(length > 0);
    frames.push(Buffer.from(bytesOf(landing, length)));
  }
}

interface Faulty {
  readonly link: FaultLink;
  readonly far: CableLink;
  readonly clock: SimulatedClock;
}

function faulty(options: Partial<FaultOptions>, seed = 7): Faulty {
  const [near, far] = cablePair({ frames: 1024 });
  const clock = new SimulatedClock();
  return { link: new FaultLink(near, { random: new SeededRandom(seed), clock, ...options }), far, clock };
}

/** The numbers that arrive when FRAMES frames go one way, and the rest after the link has had time. */
function through(setup: Faulty, direction: 'read' | 'write'): Buffer[] {
  const { link, far, clock } = setup;
  const arrived: Buffer[] = [];
  for (let i = 0; i < FRAMES; i++) {
    const frame = frameFrom(numbered(i));
    assert.equal(direction === 'write' ? link.writeFrame(frame) : far.writeFrame(frame), 100);
    arrived.push(...(direction === 'write' ? readAll(far) : readAll(link)));
  }
  clock.advanceBy(1_000_000);
  arrived.push(...readAll(link), ...readAll(far));
  return arrived;
}

for (const direction of ['read', 'write'] as const) {
  describe(`fault link, ${direction}`, () => {
    const countersOf = ({ link }: Faulty): FaultLink['readCounters'] =>
      direction === 'read' ? link.readCounters : link.writeCounters;

    it('without rates changes nothing', () => {
      const setup = faulty({});
      assert.deepEqual(
        through(setup, direction).map(numberOf),
        Array.from({ length: FRAMES }, (_, i) => i),
      );
      assert.equal(countersOf(setup).passed, FRAMES);
      assert.equal(setup.link.pollAt(), NEVER);
    });

    it('loses frames', () => {
      const setup = faulty({ lossRate: 0.2 });
      const arrived = through(setup, direction).map(numberOf);
      const { lost, passed } = countersOf(setup);
      assert.ok(lost > 40 && lost < 120, `${lost} lost`);
      assert.equal(arrived.length, FRAMES - lost);
      assert.equal(passed, arrived.length);
      assert.deepEqual(
        arrived,
        [...new Set(arrived)].toSorted((a, b) => a - b),
      );
    });

    it('repeats frames', () => {
      const setup = faulty({ duplicateRate: 0.2 });
      const arrived = through(setup, direction).map(numberOf);
      const { duplicated } = countersOf(setup);
      assert.ok(duplicated > 40, `${duplicated} duplicated`);
      assert.equal(arrived.length, FRAMES + duplicated);
      assert.equal(new Set(arrived).size, FRAMES);
    });

    it('reorders frames and loses none', () => {
      const setup = faulty({ reorderRate: 0.2, reorderFrames: 3 });
      const arrived = through(setup, direction).map(numberOf);
      assert.ok(countersOf(setup).reordered > 40);
      assert.deepEqual(
        arrived.toSorted((a, b) => a - b),
        Array.from({ length: FRAMES }, (_, i) => i),
      );
      assert.notDeepEqual(
        arrived,
        arrived.toSorted((a, b) => a - b),
      );
      arrived.forEach((number, place) => assert.ok(Math.abs(number - place) < 30, `${number} came as ${place}`));
    });

    it('flips one bit of a frame, never in the Ethernet header', () => {
      const setup = faulty({ corruptRate: 0.3 });
      const arrived = through(setup, direction);
      let damaged = 0;
      arrived.forEach((frame, index) => {
        const expected = numbered(index);
        let bits = 0;
        for (let i = 0; i < frame.length; i++)
          bits += (frame[i]! ^ expected[i]!).toString(2).replaceAll('0', '').length;
        assert.ok(bits <= 1);
        assert.deepEqual(frame.subarray(0, 14), Buffer.from(expected.subarray(0, 14)));
        damaged += bits;
      });
      assert.ok(damaged > 60);
      assert.equal(damaged, countersOf(setup).corrupted);
    });

    it('everything at once is the same for the same seed, and another for another', () => {
      const rates = { lossRate: 0.1, duplicateRate: 0.1, reorderRate: 0.1, corruptRate: 0.1 };
      const first = through(faulty(rates, 1), direction);
      assert.deepEqual(through(faulty(rates, 1), direction), first);
      assert.notDeepEqual(through(faulty(rates, 2), direction), first);
    });

    it('releases the last frame when its time has come', () => {
      const setup = faulty({ reorderRate: 1, reorderMicros: 500, direction });
      const { link, far, clock } = setup;
      const frame = frameFrom(numbered(1));
      if (direction === 'write') link.writeFrame(frame);
      else far.writeFrame(frame);
      const read = (): number[] => [...readAll(link), ...readAll(far)].map(numberOf);
      assert.deepEqual(read(), []);
      assert.equal(link.pollAt(), 500);
      clock.advanceTo(499);
      assert.deepEqual(read(), []);
      clock.advanceTo(500);
      assert.deepEqual(read(), [1]);
      assert.equal(link.pollAt(), NEVER);
    });

    it('leaves the other direction alone', () => {
      const other = direction === 'read' ? 'write' : 'read';
      const setup = faulty({ lossRate: 1, direction: other });
      assert.equal(through(setup, direction).length, FRAMES);
    });
  });
}

describe('fault link', () => {
  it('without a clock holds a frame until the link idles', () => {
    const [near, far] = cablePair();
    const link = new FaultLink(near, { random: new SeededRandom(3), reorderRate: 1, direction: 'write' });
    link.writeFrame(frameFrom(numbered(1)));
    assert.equal(link.pollAt(), 0);
    assert.deepEqual(readAll(far), []);
    assert.deepEqual(readAll(link), []);
    assert.deepEqual(readAll(far).map(numberOf), [1]);
    assert.equal(link.pollAt(), NEVER);
  });

  it('holds no more than its limit', () => {
    const { link, far } = faulty({ reorderRate: 1, reorderFrames: 1_000_000 });
    for (let i = 0; i < 100; i++) assert.equal(link.writeFrame(frameFrom(numbered(i))), 100);
    assert.equal(readAll(far).length, 36);
    assert.equal(link.writeCounters.reordered, 64);
  });

  it('waits for room in the inner link without rolling twice, and refuses meanwhile', () => {
    const [near, far] = cablePair({ frames: 2 });
    const link = new FaultLink(near, { random: new SeededRandom(1) });
    assert.equal(link.writeFrame(frameFrom(numbered(0))), 100);
    assert.equal(link.writeFrame(frameFrom(numbered(1))), 100);
    assert.equal(link.writeFrame(frameFrom(numbered(2))), 100);
    assert.equal(link.writeFrame(frameFrom(numbered(3))), 0);
    assert.deepEqual(readAll(far).map(numberOf), [0, 1]);
    assert.equal(link.writeFrame(frameFrom(numbered(3))), 100);
    assert.deepEqual(readAll(far).map(numberOf), [2, 3]);
    assert.equal(link.writeCounters.passed, 4);
  });

  it('finishes a checksum before it damages the frame, and vouches for nothing it damaged', () => {
    const [near, far] = cablePair();
    const link = new FaultLink(near, { random: new SeededRandom(1), corruptRate: 0 });
    const bytes = numbered(5, 61);
    const view = new DataView(bytes.buffer);
    view.setUint16(50, foldSum(0x1234));
    const frame = frameFrom(bytes);
    frame.flags = FRAME_NEEDS_CHECKSUM;
    frame.checksumStart = 34;
    frame.checksumOffset = 16;
    far.writeFrame(frame);
    const landing = landingOf(2048);
    assert.equal(link.readFrame(landing), 61);
    assert.equal(landing.flags, 0);
    const received = landing.regions[0]!.mapping;
    const sum = sumBytes(received, new DataView(received.buffer), 34, 61 - 34, 0x1234);
    assert.equal(foldChecksum(sum), 0);

    const damaging = new FaultLink(near, { random: new SeededRandom(1), corruptRate: 1 });
    const vouched = frameFrom(numbered(6));
    vouched.flags = FRAME_CHECKSUM_VALID;
    far.writeFrame(vouched);
    assert.equal(damaging.readFrame(landing), 100);
    assert.equal(landing.flags, 0);
  });

  it('does not damage ARP', () => {
    const { link, far } = faulty({ corruptRate: 1 });
    const bytes = numbered(1);
    bytes[13] = 0x06;
    link.writeFrame(frameFrom(bytes));
    assert.deepEqual(readAll(far), [Buffer.from(bytes)]);
  });

  it('refuses rates that are no probabilities', () => {
    assert.throws(() => faulty({ lossRate: 5 }), { code: 'ERR_DEVMEM_INVALID_ARGUMENT', message: 'lossRate is 5' });
    assert.throws(() => faulty({ corruptRate: Number.NaN }), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
  });
});
