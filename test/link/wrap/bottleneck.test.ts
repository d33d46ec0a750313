import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SimulatedClock } from '../../../src/core/clock.ts';
import { cablePair } from '../../../src/link/cable.ts';
import { MAX_FRAME_BYTES } from '../../../src/link/link.ts';
import { markCongestion, QUEUE_MARK_OR_DROP, QUEUE_PASS, QueueManagement } from '../../../src/link/wrap/bottleneck.ts';
import { DelayLink, type DelayOptions } from '../../../src/link/wrap/delay.ts';
import { ipv4ChecksumValid, ipv4TrafficClass } from '../../../src/wire/ipv4.ts';
import { ipv6FlowLabel, ipv6TrafficClass } from '../../../src/wire/ipv6.ts';
import { frameFrom, landingOf } from '../../../testing/link-frames.ts';

const MILLISECOND = 1000;

/** An Ethernet frame with an IPv4 header, its checksum right, and some payload; `tags` VLAN tags before it. */
function ipv4Frame(trafficClass: number, tags = 0): Uint8Array {
  const l3 = 14 + 4 * tags;
  const bytes = new Uint8Array(l3 + 86);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < tags; i++) view.setUint16(12 + 4 * i, 0x8100);
  view.setUint16(l3 - 2, 0x0800);
  bytes.set([0x45, trafficClass, 0, 86, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2], l3);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += view.getUint16(l3 + i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(l3 + 10, ~sum & 0xffff);
  return bytes;
}

function mark(bytes: Uint8Array): boolean {
  return markCongestion(bytes, new DataView(bytes.buffer), 0, bytes.length);
}

describe('congestion marks', () => {
  it('are set in IPv4, with the checksum', () => {
    for (const trafficClass of [1, 2, 0xb9, 0xfe]) {
      for (const tags of [0, 1, 2]) {
        const bytes = ipv4Frame(trafficClass, tags);
        const view = new DataView(bytes.buffer);
        const l3 = 14 + 4 * tags;
        assert.ok(ipv4ChecksumValid(bytes, view, l3));
        assert.equal(mark(bytes), true);
        assert.equal(ipv4TrafficClass(view, l3), trafficClass | 3);
        assert.ok(ipv4ChecksumValid(bytes, view, l3));
      }
    }
  });

  it('are set in IPv6, and nothing else is', () => {
    const bytes = new Uint8Array(14 + 60);
    const view = new DataView(bytes.buffer);
    view.setUint16(12, 0x86dd);
    view.setUint32(14, 0x6b9abcde);
    const before = ipv6TrafficClass(view, 14);
    assert.equal(before & 3, 1);
    assert.equal(mark(bytes), true);
    assert.equal(ipv6TrafficClass(view, 14), before | 3);
    assert.equal(ipv6FlowLabel(view, 14), 0xabcde);
  });

  it('are not set on what is not ECN-capable, is no IP, or is cut', () => {
    for (const bytes of [ipv4Frame(0xb8), new Uint8Array(60), ipv4Frame(2).subarray(0, 33), new Uint8Array(5)]) {
      const before = Buffer.from(bytes);
      assert.equal(markCongestion(bytes, new DataView(bytes.buffer), 0, bytes.length), false);
      assert.deepEqual(Buffer.from(bytes), before);
    }
  });

  it('that are set already stay', () => {
    const bytes = ipv4Frame(3);
    const before = Buffer.from(bytes);
    assert.equal(mark(bytes), true);
    assert.deepEqual(Buffer.from(bytes), before);
  });
});

describe('CoDel (RFC 8289)', () => {
  const codel = (): QueueManagement => new QueueManagement({ codelTargetMicros: 5 * MILLISECOND });

  it('does nothing while the queue is short, or long for less than an interval', () => {
    const queue = codel();
    for (let at = 0; at < 1000; at++) {
      const waited = at % 100 < 95 ? 50 : 4;
      assert.equal(queue.judge(at * MILLISECOND, waited * MILLISECOND), QUEUE_PASS, `${at}`);
    }
  });

  it('§5.2: acts more and more often while it stays long: intervals of 100 ms by the square root of the count', () => {
    const queue = codel();
    const acted: number[] = [];
    for (let at = 0; at < 600_000; at += 100) {
      if (queue.judge(at, 20 * MILLISECOND) === QUEUE_MARK_OR_DROP) acted.push(at / MILLISECOND);
    }
    const expected = [100];
    for (let count = 1; expected.at(-1)! + 100 / Math.sqrt(count) < 600; count++) {
      expected.push(expected.at(-1)! + 100 / Math.sqrt(count));
    }
    assert.equal(acted.length, expected.length);
    acted.forEach((at, i) => assert.ok(Math.abs(at - expected[i]!) < 0.2, `${at} instead of ${expected[i]}`));
  });

  it('stops as soon as the queue is short, and goes on where it was when it is soon long again', () => {
    const queue = codel();
    let acted = 0;
    for (let at = 0; at < 1000; at++) if (queue.judge(at * 1000, 20_000) !== QUEUE_PASS) acted++;
    assert.ok(acted > 15, `${acted}`);
    assert.equal(queue.judge(1_000_000, 1000), QUEUE_PASS);
    const again: number[] = [];
    for (let at = 1001; at < 1250; at++) if (queue.judge(at * 1000, 20_000) !== QUEUE_PASS) again.push(at);
    assert.equal(again[0], 1101);
    assert.ok(again[1]! - again[0] < 40, again.join(' '));
  });
});

describe('delay link as a managed bottleneck', () => {
  function send(options: DelayOptions, frames: number, trafficClass: number): { link: DelayLink; seen: number[] } {
    const [near, far] = cablePair({ frames: 4096 });
    const clock = new SimulatedClock();
    // A frame of 100 bytes and its 24 take a millisecond.
    const link = new DelayLink(near, clock, { bitsPerSecond: 992_000, ...options });
    const landing = landingOf(MAX_FRAME_BYTES);
    const seen: number[] = [];
    const frame = frameFrom(ipv4Frame(trafficClass));
    const view = new DataView(landing.regions[0]!.mapping.buffer);
    const receive = (): void => {
      link.readFrame(landingOf(MAX_FRAME_BYTES));
      while (far.readFrame(landing) > 0) seen.push(ipv4TrafficClass(view, 14));
    };
    for (let i = 0; i < frames; i++) {
      clock.advanceTo(i * 500);
      link.writeFrame(frame);
      receive();
    }
    clock.advanceTo(frames * 10_000);
    receive();
    return { link, seen };
  }

  it('marks above a threshold what is ECN-capable, and drops nothing', () => {
    const { link, seen } = send({ markAboveMicros: 10_000 }, 100, 2);
    assert.equal(seen.length, 100);
    assert.equal(seen.findIndex((ecn) => ecn === 3) > 15, true);
    assert.equal(seen.filter((ecn) => ecn === 3).length, link.writeCounters!.marked);
    assert.ok(link.writeCounters!.marked > 70);
    assert.deepEqual(new Set(send({ markAboveMicros: 10_000 }, 100, 0).seen), new Set([0]));
  });

  it('CoDel marks what is ECN-capable and drops the rest', () => {
    const capable = send({ codelTargetMicros: 5000 }, 600, 2);
    assert.equal(capable.seen.length, 600);
    const { marked, managementDropped } = capable.link.writeCounters!;
    assert.ok(marked >= 3, `${marked}`);
    assert.equal(managementDropped, 0);
    const other = send({ codelTargetMicros: 5000 }, 600, 0);
    const dropped = other.link.writeCounters!.managementDropped;
    assert.ok(dropped >= 3, `${dropped}`);
    assert.equal(other.seen.length, 600 - dropped);
    assert.equal(other.link.framesWritten, 600);
  });

  it('says what is wrong with its options', () => {
    for (const name of ['markAboveMicros', 'codelTargetMicros', 'codelIntervalMicros'] as const) {
      assert.throws(() => new QueueManagement({ [name]: -1 }), {
        code: 'ERR_DEVMEM_INVALID_ARGUMENT',
        message: `${name} is -1`,
      });
    }
  });
});
