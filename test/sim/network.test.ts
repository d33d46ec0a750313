import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SeededRandom } from '../../src/core/random.ts';
import { ETHERTYPE_ARP } from '../../src/wire/ethernet.ts';
import { checkIpv4 } from '../../src/wire/ipv4.ts';
import { tcpFrame } from '../../testing/frames.ts';
import { Channel, type ChannelOptions } from '../../testing/sim/channel.ts';
import { EventQueue, type SimEvent } from '../../testing/sim/events.ts';
import { FramePool, SimFrame } from '../../testing/sim/frame.ts';
import { Histogram } from '../../testing/sim/histogram.ts';
import { LossModel } from '../../testing/sim/loss.ts';
import { LearningSwitch } from '../../testing/sim/switch.ts';

/** A channel into a list. */
function channelInto(arrived: [atMicros: number, id: number][], options: ChannelOptions, seed = 1) {
  const events = new EventQueue();
  const frames = new FramePool();
  const world = { events, frames, random: new SeededRandom(seed), trace: () => {} };
  const sink = {
    receive: (frame: SimFrame, nowMicros: number) => {
      arrived.push([nowMicros, frame.view.getUint32(60)]);
      frames.give(frame);
    },
  };
  const channel = new Channel('test', world, sink, options, true);
  const send = (id: number, nowMicros: number, length = 1000): void => {
    const frame = frames.take();
    const bytes = new Uint8Array(length);
    new DataView(bytes.buffer).setUint32(60, id);
    frame.fillWith(bytes);
    channel.send(frame, nowMicros);
  };
  const drain = (): void => {
    while (events.size > 0) {
      const event = events.pop();
      event.fire(event.atMicros);
    }
  };
  return { channel, frames, send, drain };
}

describe('the queue of events', () => {
  it('hands them out by time, and in the order of filing at one time', () => {
    const queue = new EventQueue();
    const random = new SeededRandom(3);
    const filed = Array.from({ length: 500 }, (_, id) => ({ id, at: random.u32() % 50 }));
    for (const { id, at } of filed) {
      const event: SimEvent & { id: number } = { atMicros: 0, order: 0, id, fire: () => {} };
      queue.push(event, at);
    }
    const got = filed.map(() => (queue.pop() as SimEvent & { id: number }).id);
    const wanted = filed.toSorted((a, b) => a.at - b.at || a.id - b.id).map(({ id }) => id);
    assert.deepEqual(got, wanted);
    assert.equal(queue.nextMicros, Number.POSITIVE_INFINITY);
  });
});

describe('a channel', () => {
  it('takes its rate and its delay', () => {
    const arrived: [number, number][] = [];
    const { send, drain } = channelInto(arrived, { bitsPerSecond: 8_000_000, delayMicros: 500 });
    for (let i = 0; i < 3; i++) send(i, 0);
    drain();
    // 1024 bytes on the wire at a byte a microsecond.
    assert.deepEqual(arrived, [
      [1524, 0],
      [2548, 1],
      [3572, 2],
    ]);
  });

  it('drops what its queue does not hold, and knows how long the others waited', () => {
    const arrived: [number, number][] = [];
    const { channel, frames, send, drain } = channelInto(arrived, { bitsPerSecond: 8_000_000, queueBytes: 2500 });
    for (let i = 0; i < 5; i++) send(i, 0);
    drain();
    assert.deepEqual(
      arrived.map(([, id]) => id),
      [0, 1],
    );
    assert.equal(channel.counters.tailDropped, 3);
    assert.equal(channel.waits!.count, 2);
    assert.equal(channel.waits!.max, 1024);
    assert.equal(frames.inUse, 0);
  });

  it('keeps order under jitter, and loses it where frames are held back', () => {
    const jittered: [number, number][] = [];
    const one = channelInto(jittered, { jitterMicros: 1000 });
    for (let i = 0; i < 200; i++) one.send(i, i);
    one.drain();
    assert.deepEqual(
      jittered.map(([, id]) => id),
      Array.from({ length: 200 }, (_, i) => i),
    );
    const shuffled: [number, number][] = [];
    const other = channelInto(shuffled, { reorderRate: 0.2, reorderMicros: 100 });
    for (let i = 0; i < 200; i++) other.send(i, i);
    other.drain();
    const ids = shuffled.map(([, id]) => id);
    assert.notDeepEqual(
      ids,
      ids.toSorted((a, b) => a - b),
    );
    assert.equal(new Set(ids).size, 200);
    assert.ok(other.channel.counters.reordered > 20);
  });

  it('duplicates, loses, and says nothing when it is cut', () => {
    const arrived: [number, number][] = [];
    const { channel, frames, send, drain } = channelInto(arrived, { duplicateRate: 0.5, loss: { rate: 0.5 } });
    for (let i = 0; i < 400; i++) send(i, i);
    channel.isUp = false;
    send(1000, 500);
    drain();
    const { lost, duplicated, unplugged } = channel.counters;
    assert.equal(arrived.length, 400 - lost + duplicated);
    assert.ok(lost > 150 && lost < 250 && duplicated > 50, `${lost} lost, ${duplicated} doubled`);
    assert.equal(unplugged, 1);
    assert.equal(frames.inUse, 0);
  });

  it('marks ECN-capable packets while its queue is long, with the header checksum right', () => {
    const frame = new SimFrame();
    frame.fillWith(tcpFrame({ payload: new Uint8Array(10) }));
    assert.equal(frame.markCongestion(), false, 'not ECN-capable');
    for (const codepoint of [1, 2, 3]) {
      const bytes = tcpFrame({ payload: new Uint8Array(10) });
      bytes[15] = codepoint;
      // The header's own checksum, anew.
      bytes.set([0, 0], 24);
      let sum = 0;
      for (let at = 14; at < 34; at += 2) sum += (bytes[at]! << 8) | bytes[at + 1]!;
      while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
      bytes.set([(~sum >> 8) & 0xff, ~sum & 0xff], 24);
      frame.fillWith(bytes);
      assert.equal(frame.markCongestion(), true);
      assert.equal(frame.bytes[15]! & 3, 3);
      assert.equal(checkIpv4(frame.bytes, 14, frame.length), 20);
    }
    frame.fillWith(tcpFrame({ source: 'fd00::1', destination: 'fd00::2' }));
    frame.bytes[15] = 0x20;
    assert.equal(frame.markCongestion(), true);
    assert.equal(frame.bytes[15], 0x30);
  });

  it('never damages ARP, which could not tell', () => {
    const frame = new SimFrame();
    const bytes = new Uint8Array(60);
    new DataView(bytes.buffer).setUint16(12, ETHERTYPE_ARP);
    frame.fillWith(bytes);
    assert.equal(frame.corrupt(5), false);
  });
});

describe('losses in bursts', () => {
  it('come together, as often as the two states say', () => {
    const random = new SeededRandom(5);
    const model = new LossModel({ badRate: 0.01, recoveryRate: 0.1, lossInBad: 1 });
    const lost = Array.from({ length: 100_000 }, () => model.loses(random));
    const count = lost.filter(Boolean).length;
    // The bad state holds for 0.01 / 0.11 of the time.
    assert.ok(count > 8000 && count < 10_200, `${count} of 100000 lost`);
    const bursts = lost.filter((isLost, i) => isLost && lost[i - 1] !== true).length;
    assert.ok(count / bursts > 8 && count / bursts < 12, `${count / bursts} a burst`);
  });
});

describe('a histogram', () => {
  it('knows percentiles to a few percent', () => {
    const histogram = new Histogram();
    for (let i = 1; i <= 10_000; i++) histogram.add(i);
    for (const part of [0.5, 0.9, 0.99]) {
      const error = histogram.percentile(part) / (10_000 * part) - 1;
      assert.ok(Math.abs(error) < 0.05, `${part}: ${error}`);
    }
    assert.equal(histogram.percentile(1), 10_000);
    assert.equal(histogram.mean, 5000.5);
    assert.equal(new Histogram().percentile(0.5), 0);
  });
});

describe('a switch', () => {
  it('floods what it does not know, learns who sends where, and never sends back', () => {
    const events = new EventQueue();
    const frames = new FramePool();
    const world = { events, frames, random: new SeededRandom(1), trace: () => {} };
    const box = new LearningSwitch('box', frames);
    const got: number[][] = [[], [], []];
    const ports = got.map((list) => {
      const port = box.addPort();
      const sink = {
        receive: (frame: SimFrame) => {
          list.push(frame.bytes[11]!);
          frames.give(frame);
        },
      };
      port.egress = new Channel('out', world, sink, {}, false);
      return port;
    });
    const send = (from: number, source: number, destination: number): void => {
      const frame = frames.take();
      const bytes = new Uint8Array(60);
      bytes.set([2, 0, 0, 0, 0, destination, 2, 0, 0, 0, 0, source]);
      if (destination === 0xff) bytes.fill(0xff, 0, 6);
      frame.fillWith(bytes);
      ports[from]!.receive(frame, 0);
      while (events.size > 0) events.pop().fire(0);
    };
    send(0, 10, 11); // nobody is known
    send(1, 11, 10); // 10 is
    send(0, 10, 11); // now both are
    send(2, 12, 0xff); // to all
    send(1, 13, 11); // a neighbour on the same port: not for the others
    assert.deepEqual(got, [[11, 12], [10, 10, 12], [10]]);
    box.forget(ports[1]!);
    send(0, 10, 11);
    assert.deepEqual(got[2], [10, 10]);
    assert.equal(frames.inUse, 0);
  });
});
