import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededRandom } from '../../src/core/random.ts';
import { FRAME_NEEDS_CHECKSUM, GSO_ECN, GSO_TCPV4, GSO_TCPV6, type LinkOffloads } from '../../src/link/link.ts';
import { HostRegion } from '../../src/memory/region.ts';
import { Nic, RX_PACKET } from '../../src/nic/nic.ts';
import { IpAddress } from '../../src/wire/address.ts';
import { emitEthernet, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../src/wire/ethernet.ts';
import { emitIpv4, ipv4Id } from '../../src/wire/ipv4.ts';
import { emitIpv6 } from '../../src/wire/ipv6.ts';
import {
  emitTcp,
  TCP_ACE,
  TCP_ACK,
  TCP_AE,
  TCP_CWR,
  TCP_ECE,
  TCP_FIN,
  TCP_PSH,
  tcpFlags,
  tcpSequence,
} from '../../src/wire/tcp.ts';
import { FrameLink } from '../../testing/frame-link.ts';
import { LOCAL_MAC, patternBytes, PEER_MAC } from '../../testing/frames.ts';

const NONE = { checksum: false, tcpSegmentation: false };
const ALL = { checksum: true, tcpSegmentation: true };

function bench(offloads: LinkOffloads): { link: FrameLink; nic: Nic } {
  const link = new FrameLink({ offloads });
  return { link, nic: new Nic({ link, macAddress: PEER_MAC, random: new SeededRandom(1) }) };
}

/** Lays a TCP frame in `nic.tx` whose payload comes in pieces of the given lengths. */
function lay(nic: Nic, family: 4 | 6, pieces: number[], extraFlags = 0): Uint8Array {
  const { tx } = nic;
  const total = pieces.reduce((sum, piece) => sum + piece, 0);
  const payload = patternBytes(total);
  tx.clear();
  emitEthernet(tx.bytes, tx.view, 0, LOCAL_MAC, PEER_MAC, family === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
  tx.l3Offset = 14;
  tx.l4Offset = family === 4 ? 34 : 54;
  const from = IpAddress.parse(family === 4 ? '10.0.0.1' : 'fd00::1')!;
  const to = IpAddress.parse(family === 4 ? '10.0.0.2' : 'fd00::2')!;
  if (family === 4) emitIpv4(tx.view, 14, from, to, 6, 40 + total, 64, 100, true, 0);
  else emitIpv6(tx.view, 14, from, to, 6, 20 + total, 64, 0, 0);
  emitTcp(tx.view, tx.l4Offset, 1, 5201, 0x7fff_fff0, 7, 20, TCP_ACK | TCP_PSH | TCP_FIN | extraFlags, 1000, 0);
  tx.headerBytes = tx.l4Offset + 20;
  tx.protocol = 6;
  tx.needsChecksum = true;
  let at = 0;
  for (const piece of pieces) {
    const region = new HostRegion(piece + 3);
    region.mapping.set(payload.subarray(at, at + piece), 3);
    assert.equal(tx.addPayload(region, 3, piece), true);
    at += piece;
  }
  return payload;
}

/** The payloads of frames as another NIC, which verifies checksums, receives them. */
function receiveAll(frames: { bytes: Uint8Array }[]): { payload: Uint8Array; sequence: number; flags: number }[] {
  const link = new FrameLink({ mtuBytes: 9000 });
  const nic = new Nic({ link, macAddress: LOCAL_MAC, random: new SeededRandom(2) });
  return frames.map(({ bytes }) => {
    link.incoming.push({ bytes });
    assert.equal(nic.receive(), RX_PACKET, JSON.stringify(nic.counters));
    const { packet } = nic;
    const payload = bytes.slice(packet.headerBytes);
    assert.equal(packet.payloadBytes, payload.length);
    const seen = {
      payload,
      sequence: tcpSequence(packet.view, packet.l4Offset),
      flags: tcpFlags(packet.view, packet.l4Offset),
    };
    nic.recycle();
    return seen;
  });
}

for (const family of [4, 6] as const) {
  describe(`transmit, IPv${family}`, () => {
    test('computes the checksum over payload in pieces of odd lengths', () => {
      const { link, nic } = bench(NONE);
      for (const pieces of [[], [1], [1, 1, 1], [7, 500, 3, 1, 200], [1448]]) {
        const payload = lay(nic, family, pieces);
        assert.ok(nic.transmit() > 0);
        const [seen] = receiveAll(link.sent.splice(0));
        assert.deepEqual(seen!.payload, payload);
      }
    });

    test('leaves the pseudo-header sum to a link that finishes it', () => {
      const { link, nic } = bench(ALL);
      lay(nic, family, [1000]);
      assert.ok(nic.transmit() > 0);
      assert.equal(link.sent[0]!.flags, FRAME_NEEDS_CHECKSUM);
      assert.equal(nic.counters.txChecksumsComputed, 0);
    });

    test('hands a large frame to a link that segments', () => {
      const { link, nic } = bench(ALL);
      lay(nic, family, [30_000, 20_001]);
      nic.tx.gsoSizeBytes = 1440;
      assert.ok(nic.transmit() > 50_000);
      assert.equal(link.sent.length, 1);
      assert.equal(link.sent[0]!.gsoType, family === 4 ? GSO_TCPV4 : GSO_TCPV6);
      assert.equal(link.sent[0]!.gsoSizeBytes, 1440);
    });

    test('CWR stays with the first segment of a burst (RFC 3168 section 6.1.2)', () => {
      const { link, nic } = bench(NONE);
      lay(nic, family, [5000], TCP_CWR | TCP_ECE);
      nic.tx.gsoSizeBytes = 1440;
      assert.ok(nic.transmit() > 0);
      const flags = receiveAll(link.sent).map((segment) => segment.flags & TCP_ACE);
      assert.deepEqual(flags, [TCP_CWR | TCP_ECE, TCP_ECE, TCP_ECE, TCP_ECE]);
      const offloading = bench(ALL);
      lay(offloading.nic, family, [5000], TCP_CWR);
      offloading.nic.tx.gsoSizeBytes = 1440;
      assert.ok(offloading.nic.transmit() > 0);
      assert.equal(offloading.link.sent[0]!.gsoType, (family === 4 ? GSO_TCPV4 : GSO_TCPV6) | GSO_ECN);
    });

    test('but as a part of the ACE field it stands in all, whatever the link offers (RFC 9768 section 3.2.2)', () => {
      for (const offloads of [NONE, ALL]) {
        const { link, nic } = bench(offloads);
        lay(nic, family, [5000], TCP_AE | TCP_CWR);
        nic.tx.gsoSizeBytes = 1440;
        nic.tx.repeatsCwr = true;
        assert.ok(nic.transmit() > 0);
        assert.equal(link.sent.length, 4);
        for (const { bytes } of link.sent) {
          const view = new DataView(bytes.buffer, bytes.byteOffset);
          assert.equal(tcpFlags(view, family === 4 ? 34 : 54) & TCP_ACE, TCP_AE | TCP_CWR);
        }
      }
      const { link, nic } = bench(ALL);
      lay(nic, family, [5000], TCP_AE | TCP_ECE);
      nic.tx.gsoSizeBytes = 1440;
      nic.tx.repeatsCwr = true;
      assert.ok(nic.transmit() > 0);
      assert.equal(link.sent.length, 1, 'without CWR there is nothing to repeat');
    });

    test('segments in software for one that does not: sequence, lengths, flags, checksums', () => {
      const { link, nic } = bench(NONE);
      const payload = lay(nic, family, [5000, 1, 4999, 333]);
      nic.tx.gsoSizeBytes = 1440;
      assert.ok(nic.transmit() > 0);
      const seen = receiveAll(link.sent);
      assert.equal(seen.length, Math.ceil(payload.length / 1440));
      const joined = new Uint8Array(payload.length);
      for (const [i, segment] of seen.entries()) {
        assert.equal(segment.sequence, (0x7fff_fff0 + i * 1440) | 0);
        assert.equal((segment.flags & TCP_FIN) !== 0, i === seen.length - 1);
        assert.equal((segment.flags & TCP_PSH) !== 0, i === seen.length - 1);
        joined.set(segment.payload, i * 1440);
      }
      assert.deepEqual(joined, payload);
      if (family === 4) {
        const ids = link.sent.map(({ bytes }) => ipv4Id(new DataView(bytes.buffer), 14));
        assert.deepEqual(
          ids,
          seen.map((_, i) => 100 + i),
        );
      }
    });

    test('a link that is full: refused whole at the first segment, cut and counted later', () => {
      const { link, nic } = bench(NONE);
      lay(nic, family, [5000]);
      nic.tx.gsoSizeBytes = 1440;
      link.roomFrames = 0;
      assert.equal(nic.transmit(), 0);
      link.roomFrames = 2;
      lay(nic, family, [5000]);
      nic.tx.gsoSizeBytes = 1440;
      assert.ok(nic.transmit() > 0);
      assert.equal(link.sent.length, 2);
      assert.equal(nic.counters.txDropLinkFull, 1);
    });
  });
}

test('a frame takes only so many segments', () => {
  const { nic } = bench(ALL);
  nic.tx.clear();
  const region = new HostRegion(1000);
  let count = 0;
  while (nic.tx.addPayload(region, (count * 7) % 900, 3)) count++;
  assert.equal(count, 60);
  assert.equal(nic.tx.payloadBytes, 180);
});
