import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';

import { shownBytes } from '../../../src/link/wrap/headers.ts';
import { capturedFrames } from '../../../testing/captured-frames.ts';
import { tcpFrame, udpFrame } from '../../../testing/frames.ts';

/** The frames are written in lines. */
const fromHex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const shown = (bytes: Uint8Array, available = bytes.length): number =>
  shownBytes(bytes, viewOf(bytes), available, bytes.length);

function tagged(frame: Uint8Array, ...types: number[]): Uint8Array {
  const tags = types.flatMap((type) => [type >> 8, type & 255, 0, 7]);
  return Uint8Array.from([...frame.subarray(0, 12), ...tags, ...frame.subarray(12)]);
}

describe('what a capture shows of a frame', () => {
  const payload = new Uint8Array(1000);

  it('is the headers of TCP', () => {
    assert.equal(shown(tcpFrame({ payload })), 54);
    assert.equal(shown(tcpFrame({ payload, options: new Uint8Array(12).fill(1) })), 66);
    assert.equal(shown(tcpFrame({ payload, source: 'fd00::1', destination: 'fd00::2' })), 74);
    assert.equal(shown(tagged(tcpFrame({ payload }), 0x8100)), 58);
    assert.equal(shown(tagged(tcpFrame({ payload }), 0x88a8, 0x8100)), 62);
  });

  it('is all of a TCP segment without payload, padding included', () => {
    const ack = tcpFrame();
    assert.equal(shown(ack), ack.length);
    const padded = new Uint8Array(60);
    padded.set(ack);
    assert.equal(shown(padded), 60);
  });

  it('is all of what is not TCP', () => {
    for (const [name, hex] of Object.entries(capturedFrames)) {
      const frame = fromHex(hex);
      if (name === 'fragment6') assert.equal(shown(frame), 62);
      else if (name === 'tcpData') assert.equal(shown(frame), 66);
      else if (name === 'tcpData6') assert.equal(shown(frame), 86);
      else assert.equal(shown(frame), frame.length, name);
    }
    const udp = udpFrame({ payload });
    assert.equal(shown(udp), udp.length);
  });

  it('is the IP header alone of a fragment', () => {
    const frame = tcpFrame({ payload });
    frame[20] = 0x20;
    assert.equal(shown(frame), 34);
  });

  it('is little of what cannot be understood', () => {
    const frame = tcpFrame({ payload });
    frame[14] = 0x4f;
    assert.ok(shown(frame, 60) <= 60);
    frame[14] = 0x00;
    assert.equal(shown(frame), 54);
    const tcp = tcpFrame({ payload });
    tcp[46] = 0x10;
    assert.equal(shown(tcp), 34);
  });

  it('never exceeds the frame, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 300 }), fc.nat(2000), (bytes, more) => {
        const result = shownBytes(bytes, viewOf(bytes), bytes.length, bytes.length + more);
        assert.ok(result >= 0 && result <= bytes.length + more, `${result}`);
      }),
    );
    const seeds = Object.values(capturedFrames).map(fromHex);
    fc.assert(
      fc.property(fc.constantFrom(...seeds), fc.nat(), fc.nat(255), fc.nat(300), (seed, at, value, available) => {
        const bytes = Uint8Array.from(seed);
        bytes[at % bytes.length] = value;
        const result = shown(bytes, Math.min(available, bytes.length));
        assert.ok(result >= 0 && result <= bytes.length, `${result}`);
      }),
    );
  });
});
