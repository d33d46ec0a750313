import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { IpAddress } from '../../src/wire/address.ts';
import {
  ARP_REPLY,
  ARP_REQUEST,
  ARP_SENDER_IP_OFFSET,
  ARP_SENDER_MAC_OFFSET,
  ARP_TARGET_IP_OFFSET,
  ARP_TARGET_MAC_OFFSET,
  arpOperation,
  arpSenderWord,
  arpTargetWord,
  checkArp,
  describeArp,
  emitArp,
} from '../../src/wire/arp.ts';
import {
  checkEthernet,
  describeEthernet,
  emitEthernet,
  ETHERNET_DESTINATION_OFFSET,
  ETHERNET_HEADER_BYTES,
  ETHERNET_SOURCE_OFFSET,
  ETHERTYPE_ARP,
  etherType,
} from '../../src/wire/ethernet.ts';
import { formatMac, MAC_BROADCAST } from '../../src/wire/mac.ts';
import { MALFORMED, UNSUPPORTED } from '../../src/wire/verdict.ts';
import {
  checkVlan,
  describeVlan,
  emitVlan,
  isVlanType,
  vlanId,
  vlanInnerType,
  vlanPriority,
} from '../../src/wire/vlan.ts';
import { capturedFrames } from '../../testing/captured-frames.ts';
import { codecSuite, fromHex, i32, macs, u16 } from '../../testing/codec-suite.ts';

const macAt = (bytes: Uint8Array, offset: number): Uint8Array => bytes.slice(offset, offset + 6);

codecSuite({
  name: 'ethernet',
  fields: fc.record({ destination: macs, source: macs, type: u16 }),
  emit: (bytes, view, offset, f) => emitEthernet(bytes, view, offset, f.destination, f.source, f.type),
  check: (bytes, _view, offset, end) => checkEthernet(bytes, offset, end),
  read: (bytes, view, offset) => ({
    destination: macAt(bytes, offset + ETHERNET_DESTINATION_OFFSET),
    source: macAt(bytes, offset + ETHERNET_SOURCE_OFFSET),
    type: etherType(view, offset),
  }),
  describe: describeEthernet,
});

codecSuite({
  name: 'vlan',
  fields: fc.record({ id: fc.nat({ max: 4095 }), priority: fc.nat({ max: 7 }), innerType: u16 }),
  emit: (_bytes, view, offset, f) => emitVlan(view, offset, f.id, f.priority, f.innerType),
  check: (bytes, _view, offset, end) => checkVlan(bytes, offset, end),
  read: (_bytes, view, offset) => ({
    id: vlanId(view, offset),
    priority: vlanPriority(view, offset),
    innerType: vlanInnerType(view, offset),
  }),
  describe: (_bytes, view, offset) => describeVlan(view, offset),
});

/** As `checkArp` wants it: the sender is a station, not a group. */
const stations: fc.Arbitrary<Uint8Array> = macs.map((mac) => mac.with(0, mac[0]! & 0xfe));

codecSuite({
  name: 'arp',
  fields: fc.record({
    operation: fc.constantFrom<number[]>(ARP_REQUEST, ARP_REPLY),
    senderMac: stations,
    senderWord: i32,
    targetMac: macs,
    targetWord: i32,
  }),
  emit: (bytes, view, offset, f) =>
    emitArp(
      bytes,
      view,
      offset,
      f.operation,
      f.senderMac,
      IpAddress.fromWord4(f.senderWord),
      f.targetMac,
      IpAddress.fromWord4(f.targetWord),
    ),
  check: (bytes, _view, offset, end) => checkArp(bytes, offset, end),
  read: (bytes, view, offset) => ({
    operation: arpOperation(view, offset),
    senderMac: macAt(bytes, offset + ARP_SENDER_MAC_OFFSET),
    senderWord: arpSenderWord(view, offset),
    targetMac: macAt(bytes, offset + ARP_TARGET_MAC_OFFSET),
    targetWord: arpTargetWord(view, offset),
  }),
  describe: describeArp,
});

test("the kernel's ARP reply", () => {
  const { bytes, view } = fromHex(capturedFrames.arpReply);
  assert.equal(etherType(view, 0), ETHERTYPE_ARP);
  const at = ETHERNET_HEADER_BYTES;
  assert.equal(checkArp(bytes, at, bytes.length), 28);
  assert.equal(arpOperation(view, at), ARP_REPLY);
  assert.equal(formatMac(bytes, at + ARP_SENDER_MAC_OFFSET), '02:00:00:00:00:0b');
  assert.ok(IpAddress.parse('10.77.0.2')!.matches(view, at + ARP_SENDER_IP_OFFSET));
  assert.ok(IpAddress.parse('10.77.0.1')!.matches(view, at + ARP_TARGET_IP_OFFSET));
});

test('ARP for other networks, of other kinds, from a group address', () => {
  const verdictAfter = (at: number, value: number): number => {
    const { bytes } = fromHex(capturedFrames.arpRequest);
    bytes[ETHERNET_HEADER_BYTES + at] = value;
    return checkArp(bytes, ETHERNET_HEADER_BYTES, bytes.length);
  };
  assert.equal(verdictAfter(1, 6), UNSUPPORTED);
  assert.equal(verdictAfter(2, 0x86), UNSUPPORTED);
  assert.equal(verdictAfter(4, 8), MALFORMED);
  assert.equal(verdictAfter(5, 16), MALFORMED);
  assert.equal(verdictAfter(7, 3), UNSUPPORTED);
  assert.equal(verdictAfter(8, MAC_BROADCAST[0]!), MALFORMED);
});

test('which EtherTypes are tags', () => {
  assert.deepEqual(
    [0x8100, 0x88a8, 0x0800, 0x86dd].map((type) => isVlanType(type)),
    [true, true, false, false],
  );
});
