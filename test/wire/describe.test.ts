import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { describeFrame, describePacket } from '../../src/wire/describe.ts';
import { protocolName } from '../../src/wire/protocols.ts';
import { LIMIT_EXCEEDED, TRUNCATED, verdictName } from '../../src/wire/verdict.ts';
import { capturedFrames } from '../../testing/captured-frames.ts';
import { fromHex, u8 } from '../../testing/codec-suite.ts';

const EXPECTED: Record<keyof typeof capturedFrames, string> = {
  mldReport: 'ip6 :: > ff02::16 hop-by-hop hlim 1 len 56 hbh(router-alert): icmp6 type 143 code 0 len 48',
  duplicateAddressDetection:
    'ip6 :: > ff02::1:ff00:b icmp6 hlim 255 len 32: icmp6 neighbor solicitation code 0 len 32 target fe80::ff:fe00:b',
  routerSolicitation: 'ip6 fe80::ff:fe00:b > ff02::2 icmp6 hlim 255 len 16: icmp6 router solicitation code 0 len 16',
  arpRequest: 'arp who-has 10.77.0.2 tell 10.77.0.1',
  arpReply: 'arp reply 10.77.0.2 is-at 02:00:00:00:00:0b',
  echoRequest: 'ip 10.77.0.1 > 10.77.0.2 icmp ttl 64 id 63199 len 84 DF: icmp echo request id 14500 seq 1 len 64',
  echoReply: 'ip 10.77.0.2 > 10.77.0.1 icmp ttl 64 id 16460 len 84: icmp echo reply id 14500 seq 1 len 64',
  neighborSolicitation:
    'ip6 fd77::1 > ff02::1:ff00:2 icmp6 hlim 255 len 32: icmp6 neighbor solicitation code 0 len 32 target fd77::2',
  neighborAdvertisement:
    'ip6 fd77::2 > fd77::1 icmp6 hlim 255 len 32: icmp6 neighbor advertisement code 0 len 32 target fd77::2 [solicited override]',
  echoRequest6: 'ip6 fd77::1 > fd77::2 icmp6 hlim 64 len 64 flow 0xfd97c: icmp6 echo request id 14503 seq 1 len 64',
  echoReply6: 'ip6 fd77::2 > fd77::1 icmp6 hlim 64 len 64 flow 0xd4779: icmp6 echo reply id 14503 seq 1 len 64',
  tcpSyn:
    'ip 10.77.0.1 > 10.77.0.2 tcp ttl 64 id 37596 len 60 DF: tcp 58920 > 5201 S seq 3694915722 win 64240 len 0 <mss 1460,sackOK,ts 3592033013/0,ws 10>',
  tcpSynAck:
    'ip 10.77.0.2 > 10.77.0.1 tcp ttl 64 id 0 len 60 DF: tcp 5201 > 58920 SA seq 171946378 ack 3694915723 win 65160 len 0 <mss 1460,sackOK,ts 2608113213/3592033013,ws 10>',
  tcpData:
    'ip 10.77.0.1 > 10.77.0.2 tcp ttl 64 id 37598 len 71 DF: tcp 58920 > 5201 PA seq 3694915723 ack 171946379 win 63 len 19 <ts 3592033013/2608113213>',
  tcpFin:
    'ip 10.77.0.1 > 10.77.0.2 tcp ttl 64 id 37599 len 52 DF: tcp 58920 > 5201 FA seq 3694915742 ack 171946379 win 63 len 0 <ts 3592033214/2608113213>',
  udp: 'ip 10.77.0.1 > 10.77.0.2 udp ttl 64 id 52685 len 36 DF: udp 36326 > 9 len 8',
  portUnreachable: 'ip 10.77.0.2 > 10.77.0.1 icmp ttl 64 id 16591 len 64: icmp unreachable code 3 len 44',
  tcpSyn6:
    'ip6 fd77::1 > fd77::2 tcp hlim 64 len 40 flow 0x1a751: tcp 46360 > 5201 S seq 824382468 win 64800 len 0 <mss 1440,sackOK,ts 2047455776/0,ws 10>',
  tcpData6:
    'ip6 fd77::1 > fd77::2 tcp hlim 64 len 51 flow 0x1a751: tcp 46360 > 5201 PA seq 824382469 ack 1092948489 win 64 len 19 <ts 2047455776/2901765879>',
  udp6: 'ip6 fd77::1 > fd77::2 udp hlim 64 len 16 flow 0x7afc0: udp 36902 > 9 len 8',
  portUnreachable6: 'ip6 fd77::2 > fd77::1 icmp6 hlim 64 len 64 flow 0x8de5c: icmp6 unreachable code 4 len 64',
  fragment6: 'ip6 fd77::1 > fd77::2 fragment hlim 64 len 168 flow 0xfd97c frag 1448 id 0x592f4e16',
};

describe('a frame in one line', () => {
  for (const [name, text] of Object.entries(EXPECTED)) {
    test(name, () =>
      assert.equal(describeFrame(fromHex(capturedFrames[name as keyof typeof capturedFrames]).bytes), text),
    );
  }

  test('behind two VLAN tags', () => {
    const { bytes } = fromHex(capturedFrames.arpReply);
    const tagged = Uint8Array.from([...bytes.slice(0, 12), 0x88, 0xa8, 0x20, 7, 0x81, 0, 0, 9, ...bytes.slice(12)]);
    assert.equal(describeFrame(tagged), 'vlan 7 p1 vlan 9 p0 arp reply 10.77.0.2 is-at 02:00:00:00:00:0b');
  });

  test('an unknown EtherType is shown with its addresses', () => {
    const { bytes } = fromHex('0180c2000000 020000000001 88cc 00');
    assert.equal(describeFrame(bytes), '02:00:00:00:00:01 > 01:80:c2:00:00:00 0x88cc');
  });

  test('says where it is cut, and never throws', () => {
    for (const text of Object.values(capturedFrames)) {
      const { bytes } = fromHex(text);
      for (let length = 0; length < Math.min(bytes.length, 120); length++)
        assert.notEqual(describeFrame(bytes, 0, length), '');
    }
    assert.equal(describeFrame(new Uint8Array(5)), '[ethernet truncated]');
    assert.match(describeFrame(fromHex(capturedFrames.tcpSyn).bytes, 0, 50), /: \[tcp truncated\]$/);
  });

  test('survives any change of a real frame', () => {
    const frames = fc.constantFrom(...Object.values(capturedFrames));
    fc.assert(
      fc.property(frames, fc.array(fc.tuple(fc.nat({ max: 80 }), u8), { maxLength: 4 }), (text, changes) => {
        const { bytes } = fromHex(text);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        assert.equal(typeof describeFrame(bytes), 'string');
        assert.equal(typeof describePacket(bytes, 14), 'string');
      }),
      { numRuns: 500 },
    );
  });

  test('a quoted packet', () => {
    const { bytes } = fromHex(capturedFrames.portUnreachable);
    assert.match(describePacket(bytes, 42), /^ip 10\.77\.0\.1 > 10\.77\.0\.2 udp .*: udp \d+ > 9 len 8$/);
    assert.equal(describePacket(bytes, bytes.length), '[ip truncated]');
  });
});

test('names', () => {
  assert.equal(verdictName(TRUNCATED), 'truncated');
  assert.equal(verdictName(LIMIT_EXCEEDED), 'limit-exceeded');
  assert.equal(verdictName(20), 'ok');
  assert.equal(verdictName(-99), 'verdict-99');
  assert.equal(protocolName(6), 'tcp');
  assert.equal(protocolName(132), 'proto-132');
});
