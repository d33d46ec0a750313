import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KiB, MiB } from '../../../src/core/units.ts';
import { ReceiveTuning } from '../../../src/stack/tcp/receive-tuning.ts';
import { WireScript } from '../../../testing/wire-script.ts';

const MSS = 1460;
const RTT_MS = 50;

interface Flow {
  wire: WireScript;
  seq: number;
}

function open(config: object, pages = 16_384): Flow {
  const wire = new WireScript({ pages, config }).established({ windowScale: 7, timestamps: [1, 0], window: 500 });
  return { wire, seq: 1 };
}

/** The sender fills the window each round trip, the application reads all of it or nothing. */
function roundTrip(flow: Flow, reads: boolean): number {
  const { wire } = flow;
  const { connection } = wire;
  // What the sender sends now answers an acknowledgment of a round trip ago.
  const echo = connection!.timestamp(wire.nowMicros - RTT_MS * 1000);
  const before = flow.seq;
  let room = connection!.info(wire.nowMicros).tcpi_rcv_wnd;
  while (room >= MSS) {
    wire.input({ seq: flow.seq, ack: 1, payload: new Uint8Array(MSS), window: 500, timestamps: [2, echo] });
    flow.seq += MSS;
    room -= MSS;
  }
  wire.flush();
  if (reads) wire.read();
  wire.flush().skip().after(RTT_MS).skip();
  return flow.seq - before;
}

test('a window begins small and grows with what the application reads in a round trip', () => {
  const flow = open({ receiveBufferBytes: 4 * MiB });
  const sent: number[] = [];
  for (let i = 0; i < 14; i++) sent.push(roundTrip(flow, true));
  assert.ok(sent[0]! <= 64 * KiB, sent.join());
  assert.ok(sent.at(-1)! >= 2 * MiB, sent.join());
  const info = flow.wire.connection!.info(flow.wire.nowMicros);
  assert.ok(Math.abs(info.tcpi_rcv_rtt - RTT_MS * 1000) < 5000, `${info.tcpi_rcv_rtt} µs`);
  assert.ok(info.tcpi_rcv_space >= MiB);
});

test('it does not grow for an application that does not read', () => {
  const flow = open({ receiveBufferBytes: 4 * MiB });
  let total = 0;
  for (let i = 0; i < 10; i++) total += roundTrip(flow, false);
  assert.ok(total <= 64 * KiB, `${total} bytes sent`);
});

test('nor beyond the memory, nor where it is switched off, nor where the application has named a size', () => {
  const small = open({ receiveBufferBytes: 4 * MiB }, 256);
  const plain = open({ receiveBufferBytes: 4 * MiB, moderateReceiveBuffer: false });
  const fixed = open({ receiveBufferBytes: 4 * MiB });
  fixed.wire.connection!.setOption('SO_RCVBUF', 100_000, fixed.wire.nowMicros);
  for (let i = 0; i < 12; i++) {
    assert.ok(roundTrip(small, true) <= MiB);
    assert.ok(roundTrip(plain, true) <= 64 * KiB);
    assert.ok(roundTrip(fixed, true) <= 100_000);
  }
});

test('without timestamps the round trip is the time that a window of data takes', () => {
  const tuning = new ReceiveTuning(10_000, 0, 20_000, 0);
  tuning.onData(10_000, 30_000, 30_000);
  assert.equal(tuning.rttMicros, 0);
  tuning.onData(20_000, 40_000, 50_000);
  assert.equal(tuning.rttMicros, 50_000);
  tuning.onData(40_000, 60_000, 120_000);
  assert.equal(tuning.rttMicros, 50_000, 'a slow sender makes it seem longer');
  assert.equal(tuning.onRead(5000, 0, 0, 60_000), 0, 'no more than before');
  assert.equal(tuning.onRead(45_000, 0, 0, 200_000), 2 * 40_000 + (2 * 80_000 * 30_000) / 10_000);
});

test('SO_RCVLOWAT makes room for what the reader waits for', () => {
  const { connection } = open({ receiveBufferBytes: 4 * MiB }).wire;
  connection!.setOption('SO_RCVLOWAT', 500_000, 0);
  assert.equal(connection!.receiver.window.limitBytes, 1_000_000);
});

test('the send buffer grows with the congestion window, up to its limit', () => {
  const wire = new WireScript({ config: { sendBufferBytes: MiB, sendBufferInitialBytes: 100_000 } }).established();
  const { connection } = wire;
  assert.equal(connection!.sendSpaceBytes, 100_000);
  connection!.sender.congestion.cwndBytes = 200_000;
  assert.equal(connection!.sendSpaceBytes, 400_000);
  connection!.sender.congestion.cwndBytes = 10 * MiB;
  assert.equal(connection!.sendSpaceBytes, MiB);
});
