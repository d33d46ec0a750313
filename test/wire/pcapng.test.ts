import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import {
  emitPacketHead,
  emitPacketTail,
  interfaceBlock,
  interfaceStatisticsBlock,
  LINKTYPE_ETHERNET,
  packetBlockBytes,
  PCAPNG_INBOUND,
  PCAPNG_OUTBOUND,
  PCAPNG_PACKET_HEAD_BYTES,
  PCAPNG_PACKET_TAIL_BYTES,
  sectionHeaderBlock,
} from '../../src/wire/pcapng.ts';
import { buffer } from '../../testing/codec-suite.ts';
import { readPcapng, type PcapngPacket } from '../../testing/pcapng-reader.ts';

const encoder = new TextEncoder();

/** A packet's block, written into a buffer of exactly its size. */
function packetBlock(packet: PcapngPacket): Uint8Array {
  const comment = packet.comments.length === 0 ? null : encoder.encode(packet.comments[0]);
  const commentBytes = comment?.length ?? 0;
  const { bytes, view } = buffer(packetBlockBytes(packet.bytes.length, commentBytes), 0xee);
  let at = emitPacketHead(
    view,
    0,
    packet.interfaceId,
    packet.micros,
    packet.bytes.length,
    packet.originalBytes,
    commentBytes,
  );
  assert.equal(at, PCAPNG_PACKET_HEAD_BYTES);
  bytes.set(packet.bytes, at);
  at += packet.bytes.length;
  const tail = emitPacketTail(bytes, view, at, packet.bytes.length, packet.flags, comment);
  assert.ok(tail <= PCAPNG_PACKET_TAIL_BYTES + commentBytes);
  assert.equal(at + tail, bytes.length);
  return bytes;
}

const packets = fc.record(
  {
    interfaceId: fc.nat({ max: 1 }),
    micros: fc.nat({ max: 2 ** 52 }),
    originalBytes: fc.nat({ max: 65_600 }),
    bytes: fc.uint8Array({ maxLength: 70 }),
    flags: fc.constantFrom<number[]>(PCAPNG_INBOUND, PCAPNG_OUTBOUND),
    comments: fc.array(fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }), { maxLength: 1 }),
  },
  { noNullPrototype: true },
);

function file(list: readonly PcapngPacket[]): Uint8Array {
  return Buffer.concat([
    sectionHeaderBlock('devmem-tcp 0.1'),
    interfaceBlock('tap:dm0', 262_144),
    interfaceBlock('cable'),
    ...list.map((packet) => packetBlock(packet)),
    interfaceStatisticsBlock(0, 2 ** 40 + 5, 2 ** 33 + 1, 7),
  ]);
}

describe('pcapng', () => {
  test('is read back as it was written', () => {
    fc.assert(
      fc.property(fc.array(packets, { maxLength: 5 }), (list) => {
        const read = readPcapng(new Uint8Array(file(list)));
        assert.equal(read.problem, null);
        assert.equal(read.application, 'devmem-tcp 0.1');
        const common = { linkType: LINKTYPE_ETHERNET, microsPerTick: 1 };
        assert.deepEqual(read.interfaces, [
          { ...common, snapLength: 262_144, name: 'tap:dm0' },
          { ...common, snapLength: 0, name: 'cable' },
        ]);
        assert.deepEqual(read.packets, list);
        assert.deepEqual(read.statistics, [{ interfaceId: 0, received: 2 ** 33 + 1, dropped: 7 }]);
      }),
    );
  });

  test('times keep their whole microseconds', () => {
    const packet = {
      interfaceId: 0,
      micros: 1234.9,
      originalBytes: 0,
      bytes: new Uint8Array(0),
      flags: 1,
      comments: [],
    };
    assert.equal(readPcapng(new Uint8Array(file([packet]))).packets[0]!.micros, 1234);
  });

  test('a file cut anywhere but between blocks is reported, with the packets before the cut', () => {
    const list = fc.sample(packets, 3);
    const whole = new Uint8Array(file(list));
    const edges = new Set<number>([0]);
    for (let at = 0; at < whole.length; at += new DataView(whole.buffer).getUint32(at + 4, true)) edges.add(at);
    for (let length = 0; length < whole.length; length++) {
      const read = readPcapng(whole.slice(0, length));
      assert.equal(read.problem === null, edges.has(length), `cut at ${length}: ${read.problem}`);
    }
  });

  test('the reader survives any bytes', () => {
    const damaged = fc.tuple(
      fc.array(packets, { maxLength: 2 }),
      fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }),
    );
    fc.assert(
      fc.property(damaged, ([list, changes]) => {
        const bytes = new Uint8Array(file(list));
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        readPcapng(bytes);
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) =>
        assert.ok(bytes.length === 0 || readPcapng(bytes).problem),
      ),
    );
  });
});
