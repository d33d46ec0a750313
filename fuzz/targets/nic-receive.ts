import { SeededRandom } from '../../src/core/random.ts';
import { Nic, RX_DROPPED, RX_IDLE, RX_PACKET } from '../../src/nic/nic.ts';
import { PagePool } from '../../src/memory/page-pool.ts';
import { HostRegion } from '../../src/memory/region.ts';
import { FrameLink } from '../../testing/frame-link.ts';
import { LOCAL_MAC, patternBytes, tcpFrame } from '../../testing/frames.ts';
import type { FuzzTarget } from '../target.ts';

const PAGE_BYTES = 4096;

const link = new FrameLink({ mtuBytes: 4000 });
const nic = new Nic({ link, macAddress: LOCAL_MAC, random: new SeededRandom(1), hostPoolBytes: 16 * PAGE_BYTES });
const device = new PagePool({ region: new HostRegion(16 * PAGE_BYTES) });
nic.bindQueue(1, device);
nic.steer({ protocol: 'tcp', destinationPort: 5201, queues: [1] });
const primer = tcpFrame({ payload: patternBytes(100) });

/** One frame through the whole receive side of the NIC, after one that sets the prediction. */
export const target: FuzzTarget = {
  name: 'nic-receive',
  maxBytes: 4000,
  run(bytes) {
    receive(primer, 0);
    if (bytes.length < 2) return;
    // The first byte stands for what the link says of the frame, not for the frame.
    receive(bytes.subarray(1), bytes[0]!);
  },
};

function receive(bytes: Uint8Array, flags: number): void {
  link.incoming.push({ bytes, flags: flags & 3, gsoType: (flags >> 2) & 7, gsoSizeBytes: flags });
  const verdict = nic.receive();
  if (verdict !== RX_PACKET && verdict !== RX_IDLE && verdict !== RX_DROPPED) throw new Error(`verdict ${verdict}`);
  if (verdict === RX_PACKET) {
    const { packet } = nic;
    let fragBytes = 0;
    for (let i = 0; i < packet.fragCount; i++) {
      const end = packet.fragOffset[i]! + packet.fragSize[i]!;
      if (end > PAGE_BYTES || packet.fragSize[i]! <= 0) throw new Error('a fragment leaves its chunk');
      fragBytes += packet.fragSize[i]!;
    }
    if (fragBytes !== packet.payloadBytes) throw new Error('fragments and payload differ');
    if (packet.l4Offset + packet.l4Bytes > packet.slotOffset + bytes.length)
      throw new Error('lengths beyond the frame');
    nic.recycle();
  }
  for (const pool of [device, nic.hostPool]) {
    if (pool.referenceTotal !== nic.ringReferences(pool)) throw new Error('references leaked');
  }
}
