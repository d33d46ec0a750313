import { SeededRandom } from '../../src/core/random.ts';
import { FRAME_CHECKSUM_VALID } from '../../src/link/link.ts';
import { Nic } from '../../src/nic/nic.ts';
import { classifiedPackets } from '../../src/stack/counters.ts';
import { MAX_NEIGHBORS } from '../../src/stack/neighbor.ts';
import { Stack } from '../../src/stack/stack.ts';
import { parsePrefix } from '../../src/wire/address.ts';
import { foldChecksum, sumBytes } from '../../src/wire/checksum.ts';
import { FrameLink } from '../../testing/frame-link.ts';
import { LOCAL_MAC } from '../../testing/frames.ts';
import type { FuzzTarget } from '../target.ts';

const PAGE_BYTES = 4096;
/** Frames of one input. */
const MAX_FRAMES = 8;
/** Bits of the byte before each frame: what is put right so that the frame gets past the NIC, and time passing. */
const REPAIR_ADDRESS = 1;
const REPAIR_HEADER = 2;
const REPAIR_ICMP = 4;
const TIME_PASSES = 8;

/** Shared by all runs: making one takes longer than a run, and it keeps nothing that a stack sees. */
const link = new FrameLink({ mtuBytes: 9000 });
const nic = new Nic({ link, macAddress: LOCAL_MAC, random: new SeededRandom(1), hostPoolBytes: 16 * PAGE_BYTES });

/**
 * A few frames through the whole network layer: `mode, length (2 bytes), frame`, repeated. Nothing may throw, every
 * packet is counted in one class, every page comes back.
 */
export const target: FuzzTarget = {
  name: 'stack-input',
  maxBytes: 6000,
  run(bytes) {
    const stack = new Stack({ nic, random: new SeededRandom(1), routerAdvertisements: 'autoconfigure' });
    let nowMicros = 1_000_000;
    for (const text of ['10.0.0.2/24', 'fd00::2/64']) stack.addAddress(parsePrefix(text)!, nowMicros);
    let at = 0;
    for (let i = 0; i < MAX_FRAMES && at + 3 <= bytes.length; i++) {
      const mode = bytes[at]!;
      const length = (bytes[at + 1]! << 8) | bytes[at + 2]!;
      const frame = bytes.slice(at + 3, at + 3 + length);
      at += 3 + length;
      repair(frame, mode);
      if ((mode & TIME_PASSES) !== 0) nowMicros += 2_000_000;
      link.incoming.push({ bytes: frame, flags: FRAME_CHECKSUM_VALID });
      settle(stack, nowMicros);
    }
    for (let i = 0; i < 10; i++) settle(stack, (nowMicros += 1_000_000));
    link.sent.length = 0;
    check(stack);
  },
};

function settle(stack: Stack, nowMicros: number): void {
  for (let rounds = 0; stack.handle(nowMicros) > 0; rounds++) if (rounds > 100) throw new Error('handle never idles');
  if (Number.isNaN(stack.pollAt())) throw new Error('pollAt is no time');
}

function check(stack: Stack): void {
  const { counters } = stack;
  if (classifiedPackets(counters) !== counters.rxPackets) throw new Error('a packet is in no class, or in two');
  if (stack.neighbors.size > MAX_NEIGHBORS) throw new Error('too many neighbours');
  if (nic.hostPool.referenceTotal !== nic.ringReferences(nic.hostPool)) throw new Error('pages leaked');
}

/** Makes a frame pass the checks that random bytes never pass. */
function repair(frame: Uint8Array, mode: number): void {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if ((mode & REPAIR_ADDRESS) !== 0 && frame.length >= 14) frame.set(LOCAL_MAC);
  if (frame.length < 34 || view.getUint16(12) !== 0x0800) return;
  const headerBytes = (frame[14]! & 15) * 4;
  if (headerBytes < 20 || 14 + headerBytes > frame.length) return;
  if ((mode & REPAIR_HEADER) !== 0) {
    view.setUint16(24, 0);
    view.setUint16(24, foldChecksum(sumBytes(frame, view, 14, headerBytes)));
  }
  const l4 = 14 + headerBytes;
  const end = Math.min(frame.length, 14 + view.getUint16(16));
  if ((mode & REPAIR_ICMP) === 0 || frame[23] !== 1 || end < l4 + 4) return;
  view.setUint16(l4 + 2, 0);
  view.setUint16(l4 + 2, foldChecksum(sumBytes(frame, view, l4, end - l4)));
}
