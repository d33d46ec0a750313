import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { ARP_REQUEST } from '../../src/wire/arp.ts';
import { FRAME_CHECKSUM_VALID } from '../../src/link/link.ts';
import { classifiedPackets } from '../../src/stack/counters.ts';
import { RX_BUDGET_FRAMES } from '../../src/stack/stack.ts';
import { LOCAL_MAC, tcpFrame, udpFrame } from '../../testing/frames.ts';
import {
  advertisementFrame,
  arpFrame,
  icmpFrame,
  icmpv6Frame,
  LOCAL4,
  LOCAL6,
  PEER6,
  solicitationFrame,
} from '../../testing/ip-frames.ts';
import { StackHost } from '../../testing/stack-host.ts';

const SEEDS: readonly Uint8Array[] = [
  arpFrame({ operation: ARP_REQUEST, target: LOCAL4 }),
  icmpFrame(8, 0, 1, new Uint8Array(20)),
  icmpFrame(3, 4, 1400, tcpFrame({ source: LOCAL4, destination: '10.0.0.1' }).subarray(14)),
  icmpv6Frame(128, 0, 1, new Uint8Array(20)),
  icmpv6Frame(2, 0, 1400, tcpFrame({ source: LOCAL6, destination: PEER6 }).subarray(14)),
  icmpv6Frame(128, 0, 1, new Uint8Array(4), { nextHeader: 0, extensions: Uint8Array.of(58, 0, 0xde, 4, 0, 0, 0, 0) }),
  solicitationFrame(LOCAL6),
  advertisementFrame(PEER6, 0x60),
  tcpFrame(),
  udpFrame(),
  udpFrame({ source: PEER6, destination: LOCAL6 }),
];

function assertSound(host: StackHost): void {
  host.advance(10_000_000);
  assert.equal(classifiedPackets(host.stack.counters), host.stack.counters.rxPackets);
  assert.equal(host.nic.hostPool.referenceTotal, host.nic.ringReferences(host.nic.hostPool));
}

/** Checksums are vouched for, so that changed bytes get as far as they can. */
function deliver(host: StackHost, bytes: Uint8Array): void {
  host.link.incoming.push({ bytes, flags: FRAME_CHECKSUM_VALID });
  host.receive();
}

test('every frame cut at every byte is counted in one class and leaves nothing behind', () => {
  const host = new StackHost({ routerAdvertisements: 'autoconfigure' });
  for (const frame of SEEDS)
    for (let length = 0; length <= frame.length; length++) deliver(host, frame.slice(0, length));
  assertSound(host);
});

test('frames with any few bytes changed are counted in one class and leave nothing behind', () => {
  const change = fc.tuple(fc.nat(200), fc.nat(255));
  const mutant = fc.tuple(fc.constantFrom(...SEEDS), fc.array(change, { maxLength: 6 }));
  fc.assert(
    fc.property(fc.array(mutant, { minLength: 1, maxLength: 20 }), (mutants) => {
      const host = new StackHost({ routerAdvertisements: 'autoconfigure' });
      for (const [seed, changes] of mutants) {
        const bytes = seed.slice();
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        deliver(host, bytes);
      }
      assertSound(host);
    }),
    { numRuns: 60 },
  );
});

test('random bytes behind a right Ethernet header are counted in one class', () => {
  const type = fc.constantFrom(0x0800, 0x86dd, 0x0806, 0x1234);
  fc.assert(
    fc.property(fc.array(fc.tuple(type, fc.uint8Array({ maxLength: 200 })), { maxLength: 20 }), (frames) => {
      const host = new StackHost();
      for (const [etherType, body] of frames) {
        deliver(host, Uint8Array.of(...LOCAL_MAC, 2, 0, 0, 0, 0, 1, etherType >> 8, etherType & 255, ...body));
      }
      assertSound(host);
    }),
    { numRuns: 60 },
  );
});

test('a full link delays nothing but itself: small messages are dropped and counted', () => {
  const host = new StackHost();
  host.link.roomFrames = 0;
  host.receive(arpFrame({ operation: ARP_REQUEST, target: LOCAL4 }), icmpFrame(8, 0, 1, new Uint8Array(4)));
  assert.equal(host.stack.counters.txDropLinkFull, 2);
  host.link.roomFrames = Number.POSITIVE_INFINITY;
  host.receive(icmpFrame(8, 0, 1, new Uint8Array(4)));
  assert.equal(host.take().length, 1);
});

test('one handle takes a budget of frames, no more', () => {
  const host = new StackHost();
  for (let i = 0; i < RX_BUDGET_FRAMES + 36; i++) host.link.incoming.push({ bytes: udpFrame() });
  host.stack.handle(host.nowMicros);
  assert.equal(host.link.incoming.length, 36);
});
