import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SimulatedClock } from '../../../src/core/clock.ts';
import { cablePair } from '../../../src/link/cable.ts';
import { FRAME_NEEDS_CHECKSUM, FrameList } from '../../../src/link/link.ts';
import { CaptureLink, type CaptureOptions, type CaptureSink } from '../../../src/link/wrap/capture.ts';
import { HostRegion } from '../../../src/memory/region.ts';
import { foldSum, pseudoHeaderSum4 } from '../../../src/wire/checksum.ts';
import { tcpFrame, udpFrame } from '../../../testing/frames.ts';
import { frameFrom, landingOf } from '../../../testing/link-frames.ts';

class Collector implements CaptureSink {
  readonly chunks: Buffer[] = [];
  writableLength = 0;
  write(bytes: Uint8Array): boolean {
    // Kept, as a stream keeps it: a link that wrote into it again would be caught.
    this.chunks.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    return true;
  }
}

interface CapturedPacket {
  micros: number;
  bytes: Buffer;
  originalBytes: number;
  direction: number;
}

/** The packets of a pcapng file, read independently of what wrote them. */
function packetsOf(file: Buffer): { types: number[]; packets: CapturedPacket[] } {
  const types: number[] = [];
  const packets: CapturedPacket[] = [];
  for (let at = 0; at < file.length;) {
    const type = file.readUInt32LE(at);
    const length = file.readUInt32LE(at + 4);
    assert.equal(length % 4, 0);
    assert.equal(file.readUInt32LE(at + length - 4), length);
    types.push(type);
    if (type === 6) {
      const captured = file.readUInt32LE(at + 20);
      const options = at + 28 + ((captured + 3) & ~3);
      assert.equal(file.readUInt16LE(options), 2);
      packets.push({
        micros: file.readUInt32LE(at + 12) * 2 ** 32 + file.readUInt32LE(at + 16),
        bytes: file.subarray(at + 28, at + 28 + captured),
        originalBytes: file.readUInt32LE(at + 24),
        direction: file.readUInt32LE(options + 4) & 3,
      });
    }
    at += length;
  }
  return { types, packets };
}

function capture(options: CaptureOptions = {}): {
  link: CaptureLink;
  far: ReturnType<typeof cablePair>[1];
  clock: SimulatedClock;
  sink: Collector;
  packets: () => CapturedPacket[];
} {
  const [near, far] = cablePair();
  const clock = new SimulatedClock(5);
  const sink = new Collector();
  const link = new CaptureLink(near, clock, sink, options);
  const packets = (): CapturedPacket[] => {
    link.flush();
    return packetsOf(Buffer.concat(sink.chunks)).packets;
  };
  return { link, far, clock, sink, packets };
}

/** Headers in one segment, payload in device memory of its own. */
function split(bytes: Uint8Array, headerBytes: number): FrameList {
  const frame = frameFrom(bytes.subarray(0, headerBytes));
  const memory = new HostRegion(bytes.length - headerBytes);
  memory.mapping.set(bytes.subarray(headerBytes));
  frame.push(memory, 0, memory.sizeBytes);
  return frame;
}

const SEGMENT = tcpFrame({ payload: new Uint8Array(1400).fill(0x77) });

describe('capture link', () => {
  it('writes both directions with time, length and direction, and changes no frame', () => {
    const { link, far, clock, packets } = capture({ epochMicros: 2 ** 50 });
    assert.equal(link.writeFrame(frameFrom(tcpFrame())), 54);
    clock.advanceTo(1000);
    far.writeFrame(frameFrom(udpFrame({ payload: new Uint8Array(33) })));
    const landing = landingOf(2048);
    assert.equal(link.readFrame(landing), 75);
    assert.equal(link.readFrame(landing), 0);
    assert.equal(far.readFrame(landing), 54);
    const [out, received] = packets();
    assert.deepEqual(out, { micros: 2 ** 50 + 5, bytes: Buffer.from(tcpFrame()), originalBytes: 54, direction: 2 });
    assert.deepEqual([received!.micros, received!.originalBytes, received!.direction], [2 ** 50 + 1000, 75, 1]);
    assert.deepEqual([link.framesWritten, link.framesInFlight, link.counters.captured], [1, 0, 2]);
  });

  it('shows no payload of TCP, only its length', () => {
    const { link, far, packets, sink } = capture();
    link.writeFrame(split(SEGMENT, 54));
    far.writeFrame(frameFrom(SEGMENT));
    // Landed with a wrong guess: a part of the headers lies in the page, a part of the payload in the slot.
    for (const slotBytes of [40, 54, 100]) {
      if (slotBytes !== 40) far.writeFrame(frameFrom(SEGMENT));
      assert.equal(link.readFrame(landingOf(slotBytes, 4096)), SEGMENT.length);
    }
    for (const packet of packets()) {
      assert.deepEqual(packet.bytes, Buffer.from(SEGMENT.subarray(0, 54)));
      assert.equal(packet.originalBytes, SEGMENT.length);
    }
    assert.equal(packets().length, 4);
    assert.ok(!Buffer.concat(sink.chunks).includes(Buffer.alloc(8, 0x77)));
  });

  it('shows it if asked', () => {
    const { link, packets } = capture({ payload: true });
    link.writeFrame(split(SEGMENT, 54));
    assert.deepEqual(packets()[0]!.bytes, Buffer.from(SEGMENT));
  });

  it('fills in checksums that hardware would have', () => {
    for (const complete of [tcpFrame(), SEGMENT]) {
      const { link, far, packets } = capture({ payload: true });
      const bytes = complete.slice();
      const view = new DataView(bytes.buffer);
      view.setUint16(50, foldSum(pseudoHeaderSum4(view, 14, 6, bytes.length - 34)));
      const frame = frameFrom(bytes);
      Object.assign(frame, { flags: FRAME_NEEDS_CHECKSUM, checksumStart: 34, checksumOffset: 16 });
      link.writeFrame(frame);
      assert.deepEqual(packets()[0]!.bytes, Buffer.from(complete));
      const landing = landingOf(2048);
      far.readFrame(landing);
      assert.deepEqual(landing.regions[0]!.mapping.subarray(0, bytes.length), bytes);
    }
  });

  it('begins and ends the file, and hands over what it has before sleeping', () => {
    const { link, sink } = capture();
    link.armWake(() => {});
    assert.deepEqual(packetsOf(sink.chunks[0]!).types, [0x0a0d0d0a, 1]);
    link.writeFrame(frameFrom(tcpFrame()));
    assert.equal(sink.chunks.length, 1);
    link.armWake(() => {});
    assert.equal(sink.chunks.length, 2);
    link.disarmWake();
    link.close();
    link.close();
    assert.deepEqual(packetsOf(Buffer.concat(sink.chunks)).types, [0x0a0d0d0a, 1, 6, 5]);
  });

  it('writes many frames in few pieces, none of them touched again', () => {
    const { link, far, sink, packets } = capture({ payload: true });
    const landing = landingOf(2048);
    for (let i = 0; i < 1000; i++) {
      const frame = frameFrom(udpFrame({ payload: new Uint8Array(1400).fill(i) }));
      assert.ok(link.writeFrame(frame) > 0);
      far.readFrame(landing);
    }
    const found = packets();
    assert.equal(found.length, 1000);
    found.forEach((packet, i) => assert.equal(packet.bytes[100], i & 255));
    assert.ok(sink.chunks.length < 10);
  });

  it('lets frames go by uncaptured when the sink is too slow, and counts them', () => {
    const { link, sink, packets } = capture();
    sink.writableLength = 65 * 2 ** 20;
    assert.equal(link.writeFrame(frameFrom(tcpFrame())), 54);
    sink.writableLength = 0;
    link.writeFrame(frameFrom(tcpFrame()));
    assert.deepEqual([link.counters.captured, link.counters.dropped], [1, 1]);
    assert.equal(packets().length, 1);
  });

  it('does not write down what the link refused', () => {
    const [near] = cablePair({ frames: 1 });
    const link = new CaptureLink(near, new SimulatedClock(), new Collector());
    link.writeFrame(frameFrom(tcpFrame()));
    assert.equal(link.writeFrame(frameFrom(tcpFrame())), 0);
    assert.equal(link.counters.captured, 1);
  });
});
