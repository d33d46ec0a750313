import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededRandom } from '../../src/core/random.ts';
import { FRAME_CHECKSUM_VALID, FRAME_NEEDS_CHECKSUM, GSO_TCPV4 } from '../../src/link/link.ts';
import { PagePool } from '../../src/memory/page-pool.ts';
import { HostRegion } from '../../src/memory/region.ts';
import { Nic, RX_DROPPED, RX_IDLE, RX_PACKET } from '../../src/nic/nic.ts';
import type { Packet } from '../../src/nic/packet.ts';
import { FrameLink } from '../../testing/frame-link.ts';
import { LOCAL_MAC, patternBytes, tcpFrame, udpFrame } from '../../testing/frames.ts';

const PAGE = 4096;

class Bench {
  readonly link: FrameLink;
  readonly nic: Nic;
  readonly device: PagePool;
  /** References that the test took over from packets. */
  readonly taken: { iov: number; offset: number; size: number }[] = [];

  constructor(options: { pages?: number; tso?: boolean } = {}) {
    const offloads = { checksum: options.tso ?? false, tcpSegmentation: options.tso ?? false };
    this.link = new FrameLink({ offloads });
    this.nic = new Nic({ link: this.link, macAddress: LOCAL_MAC, random: new SeededRandom(1), rxQueueCount: 3 });
    this.device = new PagePool({ region: new HostRegion((options.pages ?? 64) * PAGE) });
    this.nic.bindQueue(1, this.device);
    this.nic.steer({ protocol: 'tcp', destinationPort: 5201, queues: [1] });
  }

  /** Receives a frame and takes its payload, as TCP does. Returns the payload by reading what the references say. */
  take(bytes: Uint8Array, offload: { flags?: number; gsoType?: number; gsoSizeBytes?: number } = {}): Uint8Array {
    this.link.incoming.push({ bytes, ...offload });
    assert.equal(this.nic.receive(), RX_PACKET);
    const payload = payloadOf(this.nic.packet);
    this.#keep(this.nic.packet);
    this.nic.recycle();
    return payload;
  }

  #keep(packet: Packet): void {
    for (let i = 0; i < packet.fragCount; i++) {
      this.taken.push({ iov: packet.fragIov[i]!, offset: packet.fragOffset[i]!, size: packet.fragSize[i]! });
    }
    packet.disownPayload();
  }

  releaseAll(): void {
    for (const { iov } of this.taken.splice(0)) this.device.release(iov);
  }

  /** Every page is free, in a ring, or referenced by what was taken; no reference is unaccounted for. */
  assertConserved(): void {
    assert.equal(this.device.freeCount + this.device.inflight, this.device.chunkCount);
    assert.equal(this.device.referenceTotal, this.nic.ringReferences(this.device) + this.taken.length);
    assert.equal(this.nic.hostPool.referenceTotal, this.nic.ringReferences(this.nic.hostPool));
    const rings = this.nic.rxQueues.filter((queue) => queue.pool === this.device);
    assert.equal(
      this.device.landingFreeBytes,
      rings.reduce((sum, queue) => sum + queue.roomBytes, 0),
    );
  }
}

function payloadOf(packet: Packet): Uint8Array {
  const bytes = new Uint8Array(packet.payloadBytes);
  let at = 0;
  for (let i = 0; i < packet.fragCount; i++) {
    const start = packet.fragIov[i]! * packet.pool!.chunkBytes + packet.fragOffset[i]!;
    assert.ok(packet.fragOffset[i]! + packet.fragSize[i]! <= packet.pool!.chunkBytes, 'a fragment crosses a chunk');
    bytes.set(packet.pool!.region.mapping.subarray(start, start + packet.fragSize[i]!), at);
    at += packet.fragSize[i]!;
  }
  assert.equal(at, packet.payloadBytes);
  return bytes;
}

describe('header split', () => {
  test('header to the slot, payload to pages of the queue it was steered to', () => {
    const bench = new Bench();
    const payload = patternBytes(1448);
    const frame = tcpFrame({ payload });
    bench.link.incoming.push({ bytes: frame });
    assert.equal(bench.nic.receive(), RX_PACKET);
    const { packet } = bench.nic;
    assert.equal(packet.pool, bench.device);
    assert.equal(packet.headerBytes, 54);
    const header = packet.bytes.subarray(packet.slotOffset, packet.slotOffset + 54);
    assert.deepEqual(header, frame.subarray(0, 54));
    assert.deepEqual(payloadOf(packet), payload);
    bench.nic.recycle();
    bench.assertConserved();
    assert.equal(bench.nic.receive(), RX_IDLE);
  });

  test('once a flow is known, its payload lands in place: nothing is relocated', () => {
    const bench = new Bench();
    bench.take(tcpFrame({ payload: patternBytes(1448) }));
    const { rxRelocatedBytes } = bench.nic.counters;
    for (let i = 1; i < 20; i++) {
      const payload = patternBytes(1448, i);
      assert.deepEqual(bench.take(tcpFrame({ payload })), payload);
    }
    assert.equal(bench.nic.counters.rxRelocatedBytes, rxRelocatedBytes);
    assert.equal(bench.nic.counters.rxScatteredBytes, 19 * 1448);
    bench.assertConserved();
  });

  test('segments share pages: 40 segments of 100 bytes take one page', () => {
    const bench = new Bench();
    for (let i = 0; i < 40; i++) bench.take(tcpFrame({ payload: patternBytes(100, i) }));
    assert.equal(new Set(bench.taken.map(({ iov }) => iov)).size, 1);
    bench.releaseAll();
    bench.assertConserved();
  });

  test('a payload that nobody takes leaves no trace: the next one lands on its bytes', () => {
    const bench = new Bench();
    bench.take(tcpFrame({ payload: patternBytes(1000) }));
    const before = bench.nic.rxQueues[1]!.roomBytes;
    for (let i = 0; i < 1000; i++) {
      bench.link.incoming.push({ bytes: tcpFrame({ payload: patternBytes(1448, i) }) });
      assert.equal(bench.nic.receive(), RX_PACKET);
      bench.nic.recycle();
    }
    bench.assertConserved();
    assert.ok(bench.nic.rxQueues[1]!.roomBytes >= before);
    assert.equal(bench.device.inflight, bench.nic.ringReferences(bench.device));
  });

  test('trimming at both ends keeps the middle and gives the rest back', () => {
    const bench = new Bench({ tso: true });
    bench.take(tcpFrame({ payload: patternBytes(10) }), { flags: FRAME_NEEDS_CHECKSUM });
    const payload = patternBytes(20_000);
    bench.link.incoming.push({ bytes: tcpFrame({ payload }), flags: FRAME_NEEDS_CHECKSUM });
    assert.equal(bench.nic.receive(), RX_PACKET);
    const { packet } = bench.nic;
    packet.trimFront(5000);
    packet.trimTo(10_000);
    assert.deepEqual(payloadOf(packet), payload.subarray(5000, 15_000));
    bench.nic.recycle();
    bench.assertConserved();
  });

  test('header length predicted too short, too long, just right', () => {
    const bench = new Bench();
    const options = [0, 12, 40, 12, 0, 24, 4];
    for (const [i, length] of options.entries()) {
      const payload = patternBytes(1400, i);
      const frame = tcpFrame({ payload, options: new Uint8Array(length).fill(1) });
      assert.deepEqual(bench.take(frame), payload);
      bench.assertConserved();
    }
    assert.equal(bench.nic.counters.rxHeaderRefetches, 2);
  });

  test('headers of changing length cost no page: what lands is payload', () => {
    const bench = new Bench();
    for (let i = 0; i < 8000; i++) {
      const options = new Uint8Array([0, 12, 24][i % 3]!).fill(1);
      bench.take(tcpFrame({ payload: patternBytes(1, i), options }));
    }
    assert.equal(new Set(bench.taken.map(({ iov }) => iov)).size, 2);
    bench.releaseAll();
    bench.assertConserved();
  });

  test('a page of which everything was given back is filled again from its start', () => {
    const bench = new Bench({ pages: 1 });
    for (let i = 0; i < 10; i++) {
      const payload = patternBytes(1400, i);
      assert.deepEqual(bench.take(tcpFrame({ payload })), payload);
      bench.releaseAll();
      bench.assertConserved();
    }
  });

  test('payload for another queue than predicted is moved to its pages', () => {
    const bench = new Bench();
    bench.take(tcpFrame({ payload: patternBytes(1448) }));
    const payload = patternBytes(1448, 5);
    bench.link.incoming.push({ bytes: tcpFrame({ payload, destinationPort: 80 }) });
    assert.equal(bench.nic.receive(), RX_PACKET);
    assert.equal(bench.nic.packet.pool, bench.nic.hostPool);
    assert.deepEqual(payloadOf(bench.nic.packet), payload);
    bench.nic.recycle();
    bench.assertConserved();
    const back = patternBytes(900, 6);
    assert.deepEqual(bench.take(tcpFrame({ payload: back })), back);
    bench.assertConserved();
  });

  test('a frame of 64 KiB is scattered over its pages', () => {
    const bench = new Bench({ tso: true });
    const offload = { flags: FRAME_NEEDS_CHECKSUM, gsoType: GSO_TCPV4, gsoSizeBytes: 1448 };
    bench.take(tcpFrame({ payload: patternBytes(100) }), { flags: FRAME_CHECKSUM_VALID });
    const payload = patternBytes(65_160, 3);
    assert.deepEqual(bench.take(tcpFrame({ payload }), offload), payload);
    assert.equal(bench.nic.counters.rxGsoPackets, 1);
    bench.releaseAll();
    bench.assertConserved();
  });

  test('without pages the header still arrives where there is no payload; payload is refused and counted', () => {
    const bench = new Bench({ pages: 2 });
    bench.take(tcpFrame({ payload: patternBytes(1448) }));
    for (let i = 0; i < 4; i++) bench.take(tcpFrame({ payload: patternBytes(1448, i) }));
    bench.link.incoming.push({ bytes: tcpFrame({ payload: patternBytes(1448, 9) }) });
    assert.equal(bench.nic.receive(), RX_DROPPED);
    assert.equal(bench.nic.counters.rxDropNoPage, 1);
    bench.assertConserved();
    bench.link.incoming.push({ bytes: tcpFrame() });
    assert.equal(bench.nic.receive(), RX_PACKET);
    bench.nic.recycle();
    bench.releaseAll();
    const payload = patternBytes(1448, 9);
    assert.deepEqual(bench.take(tcpFrame({ payload })), payload);
    bench.assertConserved();
  });

  test('a queue takes untouched pages from another that shares its pool', () => {
    const bench = new Bench({ pages: 4 });
    bench.nic.bindQueue(2, bench.device);
    bench.nic.steer({ protocol: 'tcp', destinationPort: 5202, queues: [2] });
    bench.take(tcpFrame({ payload: patternBytes(1000) }));
    bench.take(tcpFrame({ payload: patternBytes(1000), destinationPort: 5202 }));
    for (let i = 0; i < 8; i++) {
      const payload = patternBytes(1400, i);
      assert.deepEqual(bench.take(tcpFrame({ payload, destinationPort: 5202 })), payload);
    }
    bench.assertConserved();
  });

  test('unbinding gives the ring back; outstanding fragments keep their pages', () => {
    const bench = new Bench();
    const payload = patternBytes(1448);
    bench.take(tcpFrame({ payload }));
    bench.nic.unbindQueue(1);
    assert.equal(bench.device.inflight, 1);
    bench.assertConserved();
    bench.releaseAll();
    assert.equal(bench.device.freeCount, bench.device.chunkCount);
  });
});

describe('what is not split', () => {
  test('UDP lies whole in its slot, whatever was predicted', () => {
    const bench = new Bench();
    bench.take(tcpFrame({ payload: patternBytes(1448) }));
    const frame = udpFrame({ payload: patternBytes(700) });
    bench.link.incoming.push({ bytes: frame });
    assert.equal(bench.nic.receive(), RX_PACKET);
    const { packet } = bench.nic;
    assert.equal(packet.headerBytes, frame.length);
    assert.deepEqual(packet.bytes.subarray(packet.slotOffset, packet.slotOffset + frame.length), frame);
    bench.nic.recycle();
    bench.assertConserved();
  });

  test('what a slot cannot hold lies behind it in host pages', () => {
    const bench = new Bench({ tso: true });
    for (const predicted of [false, true]) {
      if (predicted) bench.take(tcpFrame({ payload: patternBytes(1448) }));
      const frame = udpFrame({ payload: patternBytes(8000) });
      bench.link.incoming.push({ bytes: frame });
      assert.equal(bench.nic.receive(), RX_PACKET);
      const { packet } = bench.nic;
      assert.equal(packet.headerBytes, 2048);
      assert.equal(packet.pool, bench.nic.hostPool);
      assert.deepEqual(payloadOf(packet), frame.subarray(2048));
      bench.nic.recycle();
      bench.assertConserved();
    }
  });

  test('Ethernet padding belongs to nobody', () => {
    const bench = new Bench();
    const frame = tcpFrame({ payload: patternBytes(3) });
    const padded = new Uint8Array(64).fill(0xee);
    padded.set(frame);
    assert.deepEqual(bench.take(padded), patternBytes(3));
  });
});

describe('what is dropped', () => {
  const cases: [reason: string, counter: keyof Nic['counters'], frame: (bench: Bench) => Uint8Array][] = [
    [
      'a flipped payload bit',
      'rxDropChecksum',
      () => {
        const frame = tcpFrame({ payload: patternBytes(999) });
        frame[500]! ^= 4;
        return frame;
      },
    ],
    [
      'a flipped bit in a UDP payload that reaches beyond the slot',
      'rxDropChecksum',
      () => {
        const frame = udpFrame({ payload: patternBytes(1400) });
        frame[1400]! ^= 1;
        return frame;
      },
    ],
    [
      'a flipped bit in the IPv4 header',
      'rxDropMalformed',
      () => {
        const frame = tcpFrame();
        frame[22]! ^= 1;
        return frame;
      },
    ],
    ['another station', 'rxDropAddress', () => tcpFrame({ destinationMac: Uint8Array.of(2, 9, 9, 9, 9, 9) })],
    ['a group nobody joined', 'rxDropAddress', () => tcpFrame({ destinationMac: Uint8Array.of(1, 0, 0x5e, 0, 0, 9) })],
    ['a frame longer than the link carries', 'rxDropOversize', () => tcpFrame({ payload: patternBytes(1600) })],
    [
      'a VLAN it is no member of',
      'rxDropVlan',
      () => {
        const frame = tcpFrame();
        return Uint8Array.of(...frame.subarray(0, 12), 0x81, 0, 0, 7, ...frame.subarray(12));
      },
    ],
    ['a truncated frame', 'rxDropMalformed', () => tcpFrame({ payload: patternBytes(100) }).subarray(0, 100)],
  ];
  for (const [reason, counter, frame] of cases) {
    test(reason, () => {
      const bench = new Bench();
      bench.take(tcpFrame({ payload: patternBytes(1448) }));
      const before = bench.nic.counters[counter];
      bench.link.incoming.push({ bytes: frame(bench) });
      assert.equal(bench.nic.receive(), RX_DROPPED);
      assert.equal(bench.nic.counters[counter], before + 1);
      bench.assertConserved();
    });
  }

  test('a joined group and broadcast are received; so is a priority tag', () => {
    const bench = new Bench();
    const group = Uint8Array.of(0x33, 0x33, 0, 0, 0, 1);
    bench.nic.joinMulticast(group);
    const frame = tcpFrame();
    const tagged = Uint8Array.of(...frame.subarray(0, 12), 0x81, 0, 0xe0, 0, ...frame.subarray(12));
    const broadcast = new Uint8Array(6).fill(0xff);
    for (const bytes of [tcpFrame({ destinationMac: group }), tcpFrame({ destinationMac: broadcast }), tagged]) {
      bench.link.incoming.push({ bytes });
      assert.equal(bench.nic.receive(), RX_PACKET);
      bench.nic.recycle();
    }
  });
});

describe('queues', () => {
  test('binding: unknown, twice, the last one', () => {
    const { nic, device } = new Bench();
    assert.throws(() => nic.bindQueue(3, device), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
    assert.throws(() => nic.bindQueue(1, device), { code: 'EEXIST' });
    nic.bindQueue(2, device);
    assert.throws(() => nic.bindQueue(0, device), { code: 'ERR_DEVMEM_INVALID_ARGUMENT' });
    assert.deepEqual(new Set(nic.rss.indirection()), new Set([0]));
  });

  test('random frames never throw and leak nothing', () => {
    const bench = new Bench();
    const random = new SeededRandom(7);
    for (let i = 0; i < 20_000; i++) {
      const frame = tcpFrame({ payload: patternBytes(random.u32() % 300, i) });
      for (let flips = random.u32() % 6; flips > 0; flips--) frame[random.u32() % frame.length] = random.u32();
      const bytes = frame.subarray(0, random.u32() % 4 === 0 ? random.u32() % frame.length : frame.length);
      if (bytes.length === 0) continue;
      bench.link.incoming.push({ bytes, flags: random.u32() % 3 });
      if (bench.nic.receive() === RX_PACKET) bench.nic.recycle();
    }
    bench.assertConserved();
  });
});
