import { FrameList } from '../src/link/link.ts';
import { HostRegion } from '../src/memory/region.ts';

/** Host memory with bytes that differ from place to place and from seed to seed. */
export function patterned(length: number, seed: number): HostRegion {
  const region = new HostRegion(Math.max(length, 1));
  for (let i = 0; i < length; i++) region.mapping[i] = (seed * 31 + i * 7 + (i >>> 8)) & 255;
  return region;
}

/** A frame of segments of these lengths, each in a region of its own. */
export function frameOf(...lengths: number[]): FrameList {
  const frame = new FrameList();
  lengths.forEach((length, index) => frame.push(patterned(length, index + 1), 0, length));
  return frame;
}

/** A frame of exactly these bytes, in one segment. */
export function frameFrom(bytes: Uint8Array): FrameList {
  const frame = new FrameList();
  const region = new HostRegion(bytes.length);
  region.mapping.set(bytes);
  frame.push(region, 0, bytes.length);
  return frame;
}

/** Room for a frame in segments of these lengths. */
export function landingOf(...lengths: number[]): FrameList {
  const landing = new FrameList();
  for (const length of lengths) landing.push(new HostRegion(length), 0, length);
  return landing;
}

/** What the segments hold, up to `length` bytes. */
export function bytesOf(frame: FrameList, length: number = frame.totalBytes): Buffer {
  const parts = [];
  for (let i = 0; i < frame.count; i++) {
    const offset = frame.offsets[i]!;
    parts.push(frame.regions[i]!.mapping.slice(offset, offset + frame.lengths[i]!));
  }
  return Buffer.concat(parts).subarray(0, length);
}
