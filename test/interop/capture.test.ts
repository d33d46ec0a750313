import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { SimulatedClock } from '../../src/core/clock.ts';
import { cablePair } from '../../src/link/cable.ts';
import { FRAME_NEEDS_CHECKSUM, GSO_TCPV4 } from '../../src/link/link.ts';
import { CaptureLink } from '../../src/link/wrap/capture.ts';
import { foldSum, pseudoHeaderSum4 } from '../../src/wire/checksum.ts';
import { capturedFrames } from '../../testing/captured-frames.ts';
import { tcpFrame } from '../../testing/frames.ts';
import { frameFrom, landingOf } from '../../testing/link-frames.ts';
import { requireInterop } from '../../testing/requirements.ts';

const FIELDS = ['frame.len', 'frame.cap_len', 'frame.time_epoch', 'frame.packet_flags_direction', '_ws.malformed'];
const CHECKSUMS = ['ip', 'tcp', 'udp', 'icmp', 'icmpv6'];

/** One line a frame, as tshark sees the file. */
function dissect(file: string): string[][] {
  const fields = [...FIELDS, ...CHECKSUMS.map((protocol) => `${protocol}.checksum.status`)];
  // Those of ICMP are always checked.
  const checks = ['ip', 'tcp', 'udp'].flatMap((protocol) => ['-o', `${protocol}.check_checksum:TRUE`]);
  const args = ['-r', file, ...checks, '-T', 'fields', ...fields.flatMap((field) => ['-e', field])];
  return execFileSync('tshark', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));
}

describe('a capture, read by tshark', () => {
  for (const payload of [false, true]) {
    it(`has no malformed frame and no bad checksum, ${payload ? 'with' : 'without'} payload`, (t) => {
      if (!requireInterop(t, { tools: ['tshark'] })) return;
      const folder = mkdtempSync(join(tmpdir(), 'devmem-tcp-capture-'));
      try {
        const chunks: Uint8Array[] = [];
        const clock = new SimulatedClock(1_000_000);
        const [near, far] = cablePair();
        const link = new CaptureLink(near, clock, { write: (bytes) => chunks.push(bytes) }, { payload });
        const landing = landingOf(66, 70_000);
        const frames = Object.values(capturedFrames).map((hex) => Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));
        frames.push(Buffer.from(tcpFrame({ payload: new Uint8Array(1000).fill(1) })));
        for (const bytes of frames) {
          clock.advanceBy(1000);
          far.writeFrame(frameFrom(bytes));
          assert.equal(link.readFrame(landing), bytes.length);
        }
        // What segmentation offload sends: 40 KB in one frame, of whose checksum only the pseudo-header's sum is there.
        for (const payloadBytes of [0, 40_000]) {
          const bytes = tcpFrame({ payload: new Uint8Array(payloadBytes).fill(7) });
          const view = new DataView(bytes.buffer);
          view.setUint16(50, foldSum(pseudoHeaderSum4(view, 14, 6, bytes.length - 34)));
          const frame = frameFrom(bytes);
          Object.assign(frame, { flags: FRAME_NEEDS_CHECKSUM, checksumStart: 34, checksumOffset: 16 });
          if (payloadBytes > 0) Object.assign(frame, { gsoType: GSO_TCPV4, gsoSizeBytes: 1448, headerBytes: 54 });
          assert.equal(link.writeFrame(frame), bytes.length);
          frames.push(Buffer.from(bytes));
        }
        link.close();
        const file = join(folder, 'capture.pcapng');
        writeFileSync(file, Buffer.concat(chunks));

        const rows = dissect(file);
        assert.equal(rows.length, frames.length);
        rows.forEach(([length, captured, time, direction, malformed, ...checksums], i) => {
          const row = rows[i]!.join(' | ');
          assert.equal(Number(length), frames[i]!.length, row);
          assert.equal(malformed, '', row);
          assert.ok(!checksums.some((status) => status.split(',').includes('0')), `bad checksum: ${row}`);
          assert.equal(Number(direction), i < frames.length - 2 ? 1 : 2, row);
          if (i < frames.length - 2) assert.equal(Number(time), 1 + (i + 1) / 1000, row);
          if (payload) assert.equal(captured, length, row);
        });
        const cut = rows.filter(([length, captured]) => length !== captured).length;
        assert.equal(cut, payload ? 0 : 5);
        assert.ok(rows.filter((row) => row[6] === '1').length >= (payload ? 9 : 4), 'tshark verified no TCP checksum');
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
});
