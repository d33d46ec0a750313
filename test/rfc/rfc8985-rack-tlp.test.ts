import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TcpConfig } from '../../src/stack/tcp/config.ts';
import { WireScript } from '../../testing/wire-script.ts';

const MSS = 1000;
const RTT = 100;

/** An established connection with SACK and a round trip of 100 ms, and `segments` just sent. */
function flight(segments: number, config: Partial<TcpConfig> = {}): WireScript {
  const wire = new WireScript({ config: { congestion: 'reno', ...config } }).listen();
  wire.recv({ flags: 'S', seq: 0, mss: MSS, sackPermitted: true }).after(RTT).recv({ seq: 1, ack: 1 });
  wire.connection = wire.listener!.accept()!;
  return wire
    .skip()
    .send(segments * MSS)
    .skip();
}

function at(segment: number): number {
  return 1 + segment * MSS;
}

function ack(wire: WireScript, segments: number, ...sack: [number, number][]): WireScript {
  const blocks = sack.map(([left, right]): [number, number] => [at(left), at(right)]);
  return wire.recv({ seq: 1, ack: at(segments), ...(sack.length > 0 ? { sack: blocks } : {}) });
}

test('§6.2: a segment is lost when one sent later was delivered and the reordering window is over', () => {
  const wire = flight(10);
  ack(wire.after(RTT), 0, [1, 2]).expectNothing();
  // min_rtt / 4, and Linux's two ticks.
  wire.after(26).expectNothing();
  wire
    .after(2)
    .expect({ seq: at(0), payload: MSS, atMs: 2 * RTT + 27 })
    .expectNothing();
  assert.equal(wire.connection!.info(0).tcpi_ca_state, 3);
});

test('§6.2 step 4: with DupThresh segments behind the hole it is not waited for', () => {
  const wire = flight(10);
  ack(wire.after(RTT), 0, [1, 3]).expectNothing();
  ack(wire, 0, [1, 4])
    .expect({ seq: at(0), payload: MSS })
    .expectNothing();
});

test('§6.2: what arrives within the window was not lost, only reordered', () => {
  const wire = flight(10);
  ack(wire.after(RTT), 0, [1, 2]).expectNothing();
  ack(wire.after(10), 2).after(100).expectNothing();
  const info = wire.connection!.info(0);
  assert.equal(info.tcpi_ca_state, 0);
  assert.equal(info.tcpi_reord_seen, 1);
  assert.equal(info.tcpi_total_retrans, 0);
});

test('§6.2 step 4: on a path that reorders DupThresh is no reason to hurry', () => {
  const wire = flight(20, { initialWindowSegments: 20 });
  ack(wire.after(RTT), 0, [1, 2]);
  ack(wire.after(5), 2).skip();
  ack(wire, 2, [3, 9]).expectNothing();
  wire
    .after(40)
    .expect({ seq: at(2), payload: MSS })
    .expectNothing();
});

test('§3.1: a lost retransmission is found by what was sent after it', () => {
  const wire = flight(10);
  wire.connection!.noDelay = true;
  ack(wire.after(RTT), 0, [1, 4]).expect({ seq: at(0) });
  wire.send(20 * MSS).skip();
  ack(wire, 0, [1, 10]).after(RTT).skip();
  // What follows was sent after the retransmission; it arrives and the retransmission does not.
  ack(wire, 0, [1, 11]).expect({ seq: at(0), payload: MSS });
  assert.equal(wire.connection!.info(0).tcpi_total_rto, 0);
});

test('§7.2: two round trips of silence, and the last segment goes out again', () => {
  const wire = flight(5);
  wire.after(2 * RTT + 1).expectNothing();
  wire
    .after(2)
    .expect({ seq: at(4), payload: MSS, atMs: 3 * RTT + 2 })
    .expectNothing();
  assert.equal(wire.layer.counters.tailLossProbes, 1);
  // The probe is answered by SACK: everything before it is lost, without a timeout.
  ack(wire.after(RTT), 0, [4, 5]).expect({ seq: at(0), payload: MSS });
  assert.equal(wire.connection!.info(0).tcpi_ca_state, 3);
  assert.equal(wire.connection!.info(0).tcpi_total_rto, 0);
});

test('§7.2: a single segment may wait for a delayed acknowledgment', () => {
  const wire = flight(1);
  // 2 RTT and the 200 ms that a peer may delay; the timeout is earlier: SRTT and 200 ms.
  wire.after(299).expectNothing();
  wire.after(2).expect({ seq: at(0), payload: MSS });
  assert.equal(wire.connection!.info(0).tcpi_total_rto, 0);
  // One probe an episode: then the timeout.
  wire.after(2 * RTT + 100).expect({ seq: at(0), payload: MSS });
  assert.equal(wire.connection!.info(0).tcpi_total_rto, 1);
});

test('§7.3: new data is the better probe, though the window is full', () => {
  const wire = flight(15);
  wire
    .after(2 * RTT + 5)
    .expect({ seq: at(10), payload: MSS })
    .expectNothing();
});

test('§7.4.2: a probe that repaired the loss of the tail is a loss all the same', () => {
  const wire = flight(5);
  wire.after(2 * RTT + 5).expect({ seq: at(4) });
  const before = wire.connection!.info(0).tcpi_snd_cwnd;
  ack(wire.after(RTT), 5);
  // The acknowledgment reaches the probe's end but not beyond: it may still be a duplicate's.
  wire.send(MSS).skip();
  ack(wire.after(RTT), 6);
  const info = wire.connection!.info(0);
  assert.equal(info.tcpi_snd_cwnd, before / 2);
  assert.equal(info.tcpi_ca_state, 0);
});

test('§7.4.2: a DSACK of the probe says that nothing was lost', () => {
  const wire = flight(5);
  wire.after(2 * RTT + 5).expect({ seq: at(4) });
  const before = wire.connection!.info(0).tcpi_snd_cwnd;
  ack(wire, 5);
  ack(wire, 5, [4, 5]);
  wire.send(MSS).skip();
  ack(wire.after(RTT), 6);
  assert.equal(wire.connection!.info(0).tcpi_snd_cwnd, before);
});

test('§6.2 step 4: DSACK widens the window, for sixteen recoveries', () => {
  const wire = flight(20, { initialWindowSegments: 20 });
  const { recovery } = wire.connection!.sender;
  ack(wire.after(RTT), 0, [1, 2]);
  ack(wire.after(5), 2).skip(); // reordering was seen
  ack(wire.after(20), 2, [3, 4]);
  wire.after(40).expect({ seq: at(2) });
  ack(wire.after(20), 4);
  ack(wire, 6, [2, 3]); // the retransmission was for nothing
  assert.equal(recovery.rack.windowSteps, 2);
  assert.ok(recovery.rack.windowPersist >= 15);
  assert.equal(wire.connection!.info(0).tcpi_dsack_dups, 1);
});

test('without RACK, RFC 6675: three segments behind the hole and nothing sooner', () => {
  const wire = flight(10, { rack: false, tailLossProbe: false });
  ack(wire.after(RTT), 0, [1, 3]).after(60).expectNothing();
  ack(wire, 0, [1, 4])
    .expect({ seq: at(0), payload: MSS })
    .expectNothing();
});

test('a timeout spares what was sent so late that its acknowledgment cannot be missed', () => {
  const wire = flight(10, { tailLossProbe: false });
  ack(wire.after(RTT), 1).skip();
  wire.after(250).send(MSS).skip();
  wire
    .after(51)
    .expect({ seq: at(1), payload: MSS })
    .expectNothing();
  const info = wire.connection!.info(0);
  assert.equal(info.tcpi_total_rto, 1);
  assert.ok(info.tcpi_lost < info.tcpi_unacked, `${info.tcpi_lost} of ${info.tcpi_unacked}`);
});
