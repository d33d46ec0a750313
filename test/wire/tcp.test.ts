import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { foldChecksum, foldSum, pseudoHeaderSum4, pseudoHeaderSum6, sumBytes } from '../../src/wire/checksum.ts';
import {
  checkTcp,
  describeTcp,
  describeTcpFlags,
  emitTcp,
  TCP_ACE,
  TCP_ACE_SHIFT,
  TCP_ACK,
  TCP_AE,
  TCP_CHECKSUM_OFFSET,
  TCP_CWR,
  TCP_ECE,
  TCP_PSH,
  TCP_SYN,
  TCP_URG,
  tcpAcknowledgment,
  tcpChecksum,
  tcpDestinationPort,
  tcpFlags,
  tcpHeaderBytes,
  tcpSequence,
  tcpSourcePort,
  tcpUrgentPointer,
  tcpWindow,
} from '../../src/wire/tcp.ts';
import {
  describeTcpOptions,
  emitAccurateEcn,
  emitSack,
  emitSynOptions,
  emitTimestamps,
  KIND_ACCURATE_ECN_0,
  KIND_ACCURATE_ECN_1,
  parseTcpOptions,
  TcpOptions,
} from '../../src/wire/tcp-options.ts';
import {
  checkUdp,
  describeUdp,
  emitUdp,
  UDP_CHECKSUM_OFFSET,
  UDP_HEADER_BYTES,
  udpChecksum,
  udpDestinationPort,
  udpLengthBytes,
  udpSourcePort,
} from '../../src/wire/udp.ts';
import { MALFORMED, TRUNCATED } from '../../src/wire/verdict.ts';
import { capturedFrames } from '../../testing/captured-frames.ts';
import { buffer, codecSuite, fromHex, i32, u16 } from '../../testing/codec-suite.ts';

codecSuite({
  name: 'tcp',
  fields: fc.record({
    sourcePort: u16,
    destinationPort: u16,
    sequence: i32,
    acknowledgment: i32,
    headerBytes: fc.integer({ min: 5, max: 15 }).map((words) => words * 4),
    flags: fc.integer({ min: 0, max: 0x1ff }),
    window: u16,
    urgentPointer: u16,
    checksum: fc.constant<number>(0),
  }),
  emit: (bytes, view, offset, f) => {
    bytes.fill(1, offset + 20, offset + f.headerBytes);
    return emitTcp(
      view,
      offset,
      f.sourcePort,
      f.destinationPort,
      f.sequence,
      f.acknowledgment,
      f.headerBytes,
      f.flags,
      f.window,
      f.urgentPointer,
    );
  },
  check: (bytes, _view, offset, end) => checkTcp(bytes, offset, end),
  read: (_bytes, view, offset) => ({
    sourcePort: tcpSourcePort(view, offset),
    destinationPort: tcpDestinationPort(view, offset),
    sequence: tcpSequence(view, offset),
    acknowledgment: tcpAcknowledgment(view, offset),
    headerBytes: tcpHeaderBytes(view, offset),
    flags: tcpFlags(view, offset),
    window: tcpWindow(view, offset),
    urgentPointer: tcpUrgentPointer(view, offset),
    checksum: tcpChecksum(view, offset),
  }),
  describe: (_bytes, view, offset, end) => describeTcp(view, offset, end - offset),
});

codecSuite({
  name: 'udp',
  fields: fc.record({
    sourcePort: u16,
    destinationPort: u16,
    lengthBytes: fc.integer({ min: 8, max: 0xffff }),
    checksum: fc.constant<number>(0),
  }),
  emit: (_bytes, view, offset, f) => emitUdp(view, offset, f.sourcePort, f.destinationPort, f.lengthBytes),
  check: (bytes, _view, offset, end) => checkUdp(bytes, offset, end),
  read: (_bytes, view, offset) => ({
    sourcePort: udpSourcePort(view, offset),
    destinationPort: udpDestinationPort(view, offset),
    lengthBytes: udpLengthBytes(view, offset),
    checksum: udpChecksum(view, offset),
  }),
  describe: (_bytes, view, offset) => describeUdp(view, offset),
});

describe("the kernel's segments", () => {
  for (const name of ['tcpSyn', 'tcpSynAck', 'tcpData', 'tcpFin', 'udp'] as const) {
    test(`${name}: the checksum over the IPv4 pseudo-header is right`, () => {
      const { bytes, view } = fromHex(capturedFrames[name]);
      const l4Bytes = bytes.length - 34;
      const pseudo = pseudoHeaderSum4(view, 14, name === 'udp' ? 17 : 6, l4Bytes);
      assert.equal(foldSum(sumBytes(bytes, view, 34, l4Bytes, pseudo)), 0xffff);
      const field = 34 + (name === 'udp' ? UDP_CHECKSUM_OFFSET : TCP_CHECKSUM_OFFSET);
      const sent = view.getUint16(field);
      view.setUint16(field, 0);
      assert.equal(foldChecksum(sumBytes(bytes, view, 34, l4Bytes, pseudo)), sent);
    });
  }
  for (const name of ['tcpSyn6', 'tcpData6', 'udp6'] as const) {
    test(`${name}: the checksum over the IPv6 pseudo-header is right`, () => {
      const { bytes, view } = fromHex(capturedFrames[name]);
      const l4Bytes = bytes.length - 54;
      const sum = sumBytes(bytes, view, 54, l4Bytes, pseudoHeaderSum6(view, 14, name === 'udp6' ? 17 : 6, l4Bytes));
      assert.equal(foldSum(sum), 0xffff);
    });
  }

  test('a SYN and its options', () => {
    const { bytes, view } = fromHex(capturedFrames.tcpSyn);
    assert.equal(checkTcp(bytes, 34, bytes.length), 40);
    assert.equal(tcpFlags(view, 34), TCP_SYN);
    assert.equal(tcpDestinationPort(view, 34), 5201);
    const options = new TcpOptions();
    assert.equal(parseTcpOptions(bytes, view, 54, 74, options), 0);
    assert.equal(describeTcpOptions(options), '<mss 1460,sackOK,ts 3592033013/0,ws 10>');
  });

  test('our SYN options are laid out as the kernel lays them out', () => {
    const { bytes } = fromHex(capturedFrames.tcpSyn);
    const own = buffer(20);
    assert.equal(emitSynOptions(own.bytes, own.view, 0, 1460, 10, true, true, 3_592_033_013 | 0, 0), 20);
    assert.deepEqual(own.bytes, bytes.slice(54));
  });

  test('data', () => {
    const { bytes, view } = fromHex(capturedFrames.tcpData);
    assert.equal(tcpFlags(view, 34), TCP_PSH | TCP_ACK);
    const headerBytes = checkTcp(bytes, 34, bytes.length);
    assert.equal(headerBytes, 32);
    assert.equal(new TextDecoder().decode(bytes.subarray(34 + headerBytes)), 'hello device memory');
  });
});

describe('header lengths', () => {
  test('below 20, beyond the end', () => {
    const { bytes } = fromHex(capturedFrames.tcpSyn);
    bytes[34 + 12] = 0x40;
    assert.equal(checkTcp(bytes, 34, bytes.length), MALFORMED);
    bytes[34 + 12] = 0xf0;
    assert.equal(checkTcp(bytes, 34, 34 + 59), TRUNCATED);
  });

  test('a UDP length below its header', () => {
    const { bytes, view } = fromHex(capturedFrames.udp);
    view.setUint16(34 + 4, UDP_HEADER_BYTES - 1);
    assert.equal(checkUdp(bytes, 34, bytes.length), MALFORMED);
  });

  test('flags are named', () => {
    assert.equal(describeTcpFlags(0x12), 'SA');
    assert.equal(describeTcpFlags(0), '.');
    assert.equal(describeTcpFlags(0xff), 'FSRPAUEC');
    assert.equal(describeTcpFlags(TCP_URG | TCP_ECE), 'UE');
    assert.equal(describeTcpFlags(0x1ff), 'FSRPAUECe');
  });
});

/** Parses options given as bytes. */
function parse(content: readonly number[] | Uint8Array): { verdict: number; options: TcpOptions } {
  const options = new TcpOptions();
  const { bytes, view } = fromHex(Buffer.from(content).toString('hex'));
  return { verdict: parseTcpOptions(bytes, view, 0, bytes.length, options), options };
}

describe('options', () => {
  test('of a SYN are read back in every combination, padded to four bytes', () => {
    const shape = fc.record({
      mss: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 0xffff })),
      windowScale: fc.integer({ min: -1, max: 14 }),
      sackPermitted: fc.boolean(),
      hasTimestamps: fc.boolean(),
      value: i32,
      echo: i32,
    });
    fc.assert(
      fc.property(shape, fc.nat({ max: 5 }), (f, offset) => {
        const { bytes, view } = buffer(60, 0xee);
        const length = emitSynOptions(
          bytes,
          view,
          offset,
          f.mss,
          f.windowScale,
          f.sackPermitted,
          f.hasTimestamps,
          f.value,
          f.echo,
        );
        assert.ok(length % 4 === 0 && length <= 24);
        assert.equal(bytes[offset + length], 0xee);
        const options = new TcpOptions();
        assert.equal(parseTcpOptions(bytes, view, offset, offset + length, options), 0);
        assert.equal(options.mss, f.mss);
        assert.equal(options.windowScale, f.windowScale);
        assert.equal(options.sackPermitted, f.sackPermitted);
        assert.equal(options.hasTimestamps, f.hasTimestamps);
        assert.equal(options.timestampValue, f.hasTimestamps ? f.value : 0);
        assert.equal(options.timestampEcho, f.hasTimestamps ? f.echo : 0);
        assert.equal(options.sackCount, 0);
      }),
    );
  });

  test('timestamps and up to four SACK blocks are read back', () => {
    const blocks = fc.array(fc.tuple(i32, i32), { maxLength: 4 });
    fc.assert(
      fc.property(blocks, i32, i32, (list, value, echo) => {
        const { bytes, view } = buffer(60);
        const lefts = Int32Array.from(list, ([left]) => left);
        const rights = Int32Array.from(list, ([, right]) => right);
        let length = emitSack(view, 0, lefts, rights, list.length);
        assert.equal(length, list.length === 0 ? 0 : 4 + 8 * list.length);
        if (list.length < 4) length += emitTimestamps(view, length, value, echo);
        const options = new TcpOptions();
        assert.equal(parseTcpOptions(bytes, view, 0, length, options), 0);
        assert.equal(options.sackCount, list.length);
        assert.deepEqual(options.sackLeft.slice(0, list.length), lefts);
        assert.deepEqual(options.sackRight.slice(0, list.length), rights);
        assert.equal(options.hasTimestamps, list.length < 4);
      }),
    );
  });

  test('unknown kinds are skipped by their length, and nothing after the end option counts', () => {
    const { verdict, options } = parse([254, 4, 1, 2, 1, 2, 4, 5, 180, 34, 2, 0, 3, 3, 7]);
    assert.equal(verdict, 0);
    assert.equal(options.mss, 1460);
    assert.equal(options.windowScale, -1);
  });

  test('a known kind of a wrong length is skipped', () => {
    const { verdict, options } = parse([2, 3, 9, 3, 4, 1, 1, 8, 4, 1, 1, 4, 3, 0, 5, 4, 1, 1, 5, 2, 2, 4, 1, 0]);
    assert.equal(verdict, 0);
    assert.equal(describeTcpOptions(options), '<mss 256>');
  });

  test('more SACK blocks than a header has room for are skipped', () => {
    assert.equal(parse([5, 42, ...Array.from({ length: 40 }, () => 7), 2, 4, 1, 0]).options.sackCount, 0);
  });

  test('a shift count above 14 is used as 14 (RFC 7323 section 2.3)', () => {
    assert.equal(parse([3, 3, 15, 0]).options.windowScale, 14);
    assert.equal(parse([3, 3, 255, 0]).options.windowScale, 14);
  });

  for (const [name, content] of [
    ['length 0', [1, 8, 0, 1]],
    ['length 1', [8, 1, 1, 1]],
    ['no room for the length', [1, 1, 1, 8]],
    ['length beyond the end', [8, 10, 1, 1]],
    ['SACK beyond the end', [5, 34, 0, 0, 0, 1]],
  ] as const) {
    test(`${name} is malformed`, () => assert.equal(parse(content).verdict, MALFORMED));
  }

  test('what stood before a malformed option is kept; the summary is reset each time', () => {
    const options = new TcpOptions();
    const first = fromHex('02040218 0800');
    assert.equal(parseTcpOptions(first.bytes, first.view, 0, 6, options), MALFORMED);
    assert.equal(options.mss, 0x218);
    assert.equal(parseTcpOptions(first.bytes, first.view, 6, 6, options), 0);
    assert.deepEqual(options, new TcpOptions());
  });

  test('AccECN options of 0 to 3 counters in both orders are read back (RFC 9768 section 3.2.3)', () => {
    const counter = fc.integer({ min: 0, max: 0xff_ffff });
    const kinds = fc.constantFrom(KIND_ACCURATE_ECN_0, KIND_ACCURATE_ECN_1);
    fc.assert(
      fc.property(kinds, fc.integer({ min: 0, max: 3 }), counter, counter, counter, (kind, count, a, b, c) => {
        const { bytes, view } = buffer(20, 0xee);
        const length = emitAccurateEcn(view, 0, kind, count, a, b, c);
        assert.equal(length, [2, 5, 8, 11][count]);
        assert.equal(bytes[length], 0xee);
        const options = new TcpOptions();
        assert.equal(parseTcpOptions(bytes, view, 0, length, options), 0);
        assert.equal(options.accurateEcnKind, kind);
        assert.deepEqual(
          [...options.accurateEcnCounters.slice(0, options.accurateEcnCount)],
          [a, b, c].slice(0, count),
        );
        assert.equal(options.accurateEcnIsOdd, false);
      }),
    );
  });

  test('of a counter the lower 24 bits are sent', () => {
    const { view, bytes } = buffer(20);
    emitAccurateEcn(view, 0, KIND_ACCURATE_ECN_1, 3, 2 ** 24 + 5, 2 ** 40 + 6, 2 ** 31 + 0xff_ffff);
    assert.deepEqual([...bytes.slice(0, 11)], [174, 11, 0, 0, 5, 0, 0, 6, 0xff, 0xff, 0xff]);
  });

  test('an AccECN option of another length holds the whole counters within it, three at most', () => {
    for (const [content, counters] of [
      [[172, 3, 9], []],
      [[172, 4, 9, 9], []],
      [[174, 7, 0, 0, 1, 9, 9], [1]],
      [
        [174, 9, 0, 0, 1, 0, 0, 2, 9],
        [1, 2],
      ],
      [
        [172, 14, 0, 0, 1, 0, 0, 2, 0, 0, 3, 9, 9, 9],
        [1, 2, 3],
      ],
    ] as const) {
      const { verdict, options } = parse(content);
      assert.equal(verdict, 0);
      assert.equal(options.accurateEcnKind, content[0]);
      assert.deepEqual([...options.accurateEcnCounters.slice(0, options.accurateEcnCount)], counters);
      assert.equal(options.accurateEcnIsOdd, true);
    }
  });

  test('a SYN-ACK has its AccECN option behind the timestamps, or before SACK-permitted', () => {
    const { bytes, view } = buffer(60);
    for (const timestamps of [true, false]) {
      const length = emitSynOptions(bytes, view, 0, 1460, 8, true, timestamps, 7, 9, 3);
      assert.equal(length, timestamps ? 32 : 24);
      const { options } = parse(bytes.slice(0, length));
      const stamp = timestamps ? 'ts 7/9,' : '';
      assert.equal(describeTcpOptions(options), `<mss 1460,sackOK,${stamp}ws 8,ecn e1b 1 ceb 0 e0b 1>`);
      assert.equal(bytes[timestamps ? 16 : 4], KIND_ACCURATE_ECN_1);
    }
  });

  test('AE is the bit before CWR and ECE: the three make the ACE field', () => {
    const { view } = buffer(20);
    for (let ace = 0; ace < 8; ace++) {
      emitTcp(view, 0, 1, 2, 3, 4, 20, TCP_ACK | (ace << TCP_ACE_SHIFT), 5, 6);
      const flags = tcpFlags(view, 0);
      assert.equal((flags & TCP_ACE) >>> TCP_ACE_SHIFT, ace);
      assert.equal((flags & TCP_AE) !== 0, (ace & 4) !== 0);
      assert.equal((flags & TCP_CWR) !== 0, (ace & 2) !== 0);
      assert.equal((flags & TCP_ECE) !== 0, (ace & 1) !== 0);
      assert.equal(tcpHeaderBytes(view, 0), 20);
    }
  });

  test('any bytes end in a verdict that no byte outside can change', () => {
    const kinds = fc.constantFrom(0, 1, 2, 3, 4, 5, 8, 10, 34, 18, 172, 174, 253);
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.array(kinds, { maxLength: 40 }).map((list) => Uint8Array.from(list)),
    );
    fc.assert(
      fc.property(content, (inside) => {
        const outcomes = [0, 0xff].map((filler) => {
          const { bytes, view } = buffer(inside.length + 48, filler);
          bytes.set(inside, 3);
          const options = new TcpOptions();
          const verdict = parseTcpOptions(bytes, view, 3, 3 + inside.length, options);
          assert.ok(verdict === 0 || verdict === MALFORMED);
          assert.ok(options.sackCount <= 4 && options.windowScale <= 14);
          return { verdict, options };
        });
        assert.deepEqual(outcomes[0], outcomes[1]);
        assert.deepEqual(parse(inside), outcomes[0]);
      }),
      { numRuns: 500 },
    );
  });
});
