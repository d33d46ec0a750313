import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';

import { NEVER } from '../../src/core/clock.ts';
import { ERRNO } from '../../src/core/errno.ts';
import { cablePair } from '../../src/link/cable.ts';
import { FRAME_NEEDS_CHECKSUM, GSO_TCPV4, MAX_FRAME_BYTES } from '../../src/link/link.ts';
import { bytesOf, frameOf, landingOf } from '../../testing/link-frames.ts';

describe('cable', () => {
  it('carries bytes and offload fields from one end to the other, in order', () => {
    const [one, other] = cablePair();
    const first = frameOf(54, 4096, 100);
    first.flags = FRAME_NEEDS_CHECKSUM;
    first.gsoType = GSO_TCPV4;
    first.headerBytes = 54;
    first.gsoSizeBytes = 1448;
    first.checksumStart = 34;
    first.checksumOffset = 16;
    assert.equal(one.writeFrame(first), 4250);
    assert.equal(one.writeFrame(frameOf(60)), 60);
    const landing = landingOf(2048, 4096, 65536);
    assert.equal(other.readFrame(landing), 4250);
    assert.deepEqual(bytesOf(landing, 4250), bytesOf(first));
    assert.deepEqual(
      [
        landing.flags,
        landing.gsoType,
        landing.headerBytes,
        landing.gsoSizeBytes,
        landing.checksumStart,
        landing.checksumOffset,
      ],
      [FRAME_NEEDS_CHECKSUM, GSO_TCPV4, 54, 1448, 34, 16],
    );
    assert.equal(other.readFrame(landing), 60);
    assert.deepEqual([landing.flags, landing.gsoType], [0, 0]);
    assert.equal(other.readFrame(landing), 0);
    assert.equal(one.readFrame(landing), 0);
  });

  it('any scatter of any gather is the same bytes', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 12 });
    const [one, other] = cablePair({ mtuBytes: 65_000, frames: 4 });
    fc.assert(
      fc.property(fc.integer({ min: 14, max: 900 }), sizes, sizes, (header, payload, landingSizes) => {
        const frame = frameOf(header, ...payload);
        const landing = landingOf(...landingSizes);
        assert.equal(one.writeFrame(frame), frame.totalBytes);
        const expected = Math.min(frame.totalBytes, landing.totalBytes);
        assert.equal(other.readFrame(landing), expected);
        assert.deepEqual(bytesOf(landing, expected), bytesOf(frame).subarray(0, expected));
        assert.equal(one.framesInFlight, 0);
      }),
      { numRuns: 200 },
    );
  });

  it('wakes whoever waits for its payload to be let go of, and nobody for a header', () => {
    const [one, other] = cablePair();
    let woken = 0;
    const wait = (): void => one.armWake(() => woken++);
    assert.ok(one.writeFrame(frameOf(60)) > 0 && one.writeFrame(frameOf(54, 1000)) > 0);
    wait();
    assert.equal(other.readFrame(landingOf(2048)), 60);
    assert.equal(woken, 0);
    assert.equal(other.readFrame(landingOf(2048)), 1054);
    assert.deepEqual([woken, one.framesInFlight], [1, 0]);
  });

  it('copies the first segment when written and the others when read', () => {
    const [one, other] = cablePair();
    for (const headerBytes of [54, 512, 513, 1400]) {
      const frame = frameOf(headerBytes, 60);
      const written = bytesOf(frame);
      one.writeFrame(frame);
      frame.regions[0]!.mapping.fill(0xee);
      frame.regions[1]!.mapping.fill(0xdd);
      const landing = landingOf(2000);
      assert.equal(other.readFrame(landing), headerBytes + 60);
      assert.deepEqual(bytesOf(landing, headerBytes), written.subarray(0, headerBytes));
      assert.deepEqual(bytesOf(landing, headerBytes + 60).subarray(headerBytes), Buffer.alloc(60, 0xdd));
    }
  });

  it('counts frames written and in flight exactly, refuses at its limit and goes on after a read', () => {
    const [one, other] = cablePair({ frames: 8 });
    const frame = frameOf(54, 1000);
    for (let i = 0; i < 8; i++) assert.equal(one.writeFrame(frame), 1054);
    assert.equal(one.writeFrame(frame), 0);
    assert.deepEqual([one.framesWritten, one.framesInFlight], [8, 8]);
    assert.deepEqual([other.framesWritten, other.framesInFlight], [0, 0]);
    const landing = landingOf(2048);
    for (let i = 7; i >= 5; i--) {
      other.readFrame(landing);
      assert.equal(one.framesInFlight, i);
    }
    for (let round = 0; round < 100; round++) {
      assert.equal(one.writeFrame(frame), 1054);
      assert.equal(other.readFrame(landing), 1054);
    }
    assert.deepEqual([one.framesWritten, one.framesInFlight], [108, 5]);
  });

  it('refuses by references too, when frames have more segments than its slots have room for', () => {
    const [one, other] = cablePair({ frames: 4 });
    const many = frameOf(54, ...Array.from({ length: 60 }, () => 10));
    assert.equal(one.writeFrame(many), 654);
    assert.equal(one.writeFrame(many), 0);
    assert.equal(other.readFrame(landingOf(1000)), 654);
    assert.equal(one.writeFrame(many), 654);
  });

  it('answers frames that the link cannot carry with an errno', () => {
    const [one] = cablePair();
    assert.equal(one.writeFrame(frameOf(13)), -ERRNO.EINVAL);
    assert.equal(one.writeFrame(frameOf(54, 1500)), -ERRNO.EMSGSIZE);
    const large = frameOf(54, 60_000);
    large.gsoType = GSO_TCPV4;
    assert.equal(one.writeFrame(large), 60_054);
    const tooLarge = frameOf(54, MAX_FRAME_BYTES);
    tooLarge.gsoType = GSO_TCPV4;
    assert.equal(one.writeFrame(tooLarge), -ERRNO.EMSGSIZE);
  });

  it('wakes the reader once, and only while armed', () => {
    const [one, other] = cablePair();
    let woken = 0;
    const landing = landingOf(2048);
    other.armWake(() => woken++);
    assert.equal(woken, 0);
    one.writeFrame(frameOf(60));
    assert.equal(woken, 1);
    one.writeFrame(frameOf(60));
    assert.equal(woken, 1);
    other.armWake(() => woken++);
    assert.equal(woken, 2);
    while (other.readFrame(landing) > 0);
    other.armWake(() => woken++);
    other.disarmWake();
    one.writeFrame(frameOf(60));
    assert.equal(woken, 2);
    assert.deepEqual([other.pollAt(), one.pollAt()], [0, NEVER]);
  });

  it('wakes a writer that was refused', () => {
    const [one, other] = cablePair({ frames: 1 });
    let woken = 0;
    one.writeFrame(frameOf(60));
    assert.equal(one.writeFrame(frameOf(60)), 0);
    one.armWake(() => woken++);
    assert.equal(woken, 0);
    other.readFrame(landingOf(2048));
    assert.equal(woken, 1);
  });

  it('an end that closes takes its frames and references with it', () => {
    const [one, other] = cablePair();
    let woken = 0;
    one.writeFrame(frameOf(54, 100));
    other.writeFrame(frameOf(54, 100));
    other.armWake(() => woken++);
    one.close();
    one.close();
    assert.equal(other.readFrame(landingOf(2048)), 0);
    assert.equal(other.writeFrame(frameOf(60)), -ERRNO.ENETDOWN);
    assert.equal(one.writeFrame(frameOf(60)), -ERRNO.ENETDOWN);
    assert.equal(one.readFrame(landingOf(2048)), 0);
    assert.deepEqual([one.framesInFlight, other.framesInFlight], [0, 0]);
    assert.equal(woken, 1);
  });

  it('says what is wrong with its options', () => {
    assert.throws(() => cablePair({ mtuBytes: 67 }), {
      code: 'ERR_DEVMEM_INVALID_ARGUMENT',
      message: /mtuBytes is 67/,
    });
    assert.throws(() => cablePair({ frames: 1000 }), {
      code: 'ERR_DEVMEM_INVALID_ARGUMENT',
      message: /frames is 1000/,
    });
  });
});
