import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  SendChrono,
  CHRONO_BUFFER,
  CHRONO_BUSY,
  CHRONO_IDLE,
  CHRONO_WINDOW,
} from '../../../src/stack/tcp/send-chrono.ts';
import { RecordEnds } from '../../../src/stack/tcp/record-ends.ts';
import { HostRegion } from '../../../src/memory/region.ts';
import { WireScript } from '../../../testing/wire-script.ts';

/** struct tcp_info of Linux 7.2, in its order; bit fields by their own names. */
const FIELDS = (
  'state ca_state retransmits probes backoff options snd_wscale rcv_wscale delivery_rate_app_limited ' +
  'fastopen_client_fail rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent ' +
  'last_data_recv last_ack_recv pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss reordering rcv_rtt rcv_space ' +
  'total_retrans pacing_rate max_pacing_rate bytes_acked bytes_received segs_out segs_in notsent_bytes min_rtt ' +
  'data_segs_in data_segs_out delivery_rate busy_time rwnd_limited sndbuf_limited delivered delivered_ce bytes_sent ' +
  'bytes_retrans dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash total_rto total_rto_recoveries total_rto_time ' +
  'received_ce delivered_e1_bytes delivered_e0_bytes delivered_ce_bytes received_e1_bytes received_e0_bytes ' +
  'received_ce_bytes ecn_mode accecn_opt_seen accecn_fail_mode options2'
).split(' ');

test('every field of struct tcp_info is there, a finite number, also of a connection that has done nothing', () => {
  const wire = new WireScript().connect();
  for (const info of [wire.connection!.info(wire.nowMicros), new WireScript().established().connection!.info(2e6)]) {
    const names = Object.keys(info).map((name) => name.replace('tcpi_', ''));
    assert.deepEqual(names.toSorted(), FIELDS.toSorted());
    for (const [name, value] of Object.entries(info)) assert.ok(Number.isFinite(value), `${name} is ${String(value)}`);
  }
});

test('times since: data, acknowledgments', () => {
  const wire = new WireScript().established();
  const { connection } = wire;
  wire.after(1000);
  assert.equal(connection!.info(wire.nowMicros).tcpi_last_data_recv, 1000);
  wire.recv({ seq: 1, ack: 1, payload: 1000 });
  wire.after(70);
  wire.recv({ seq: 1001, ack: 1 });
  const info = connection!.info(wire.nowMicros);
  assert.equal(info.tcpi_last_data_recv, 70);
  assert.equal(info.tcpi_last_ack_recv, 0);
  assert.equal(info.tcpi_ato, 40_000);
});

test('what sending waits for: the peer’s window, our buffer, nothing', () => {
  const wire = new WireScript().established({ window: 0 });
  const { connection } = wire;
  wire.after(500);
  assert.equal(connection!.info(wire.nowMicros).tcpi_busy_time, 0);
  wire.send(1000).after(100);
  assert.equal(connection!.info(wire.nowMicros).tcpi_rwnd_limited, 100_000);
  wire.recv({ seq: 1, ack: 1, window: 5000 }).after(30).recv({ seq: 1, ack: 1001, window: 5000 }).after(500);
  const info = connection!.info(wire.nowMicros);
  assert.equal(info.tcpi_rwnd_limited, 100_000);
  assert.equal(info.tcpi_busy_time, 130_000);
  connection!.setOption('SO_SNDBUF', 5000, wire.nowMicros);
  connection!.send(new HostRegion(9000), 0, 9000);
  wire.recv({ seq: 1, ack: 1001, window: 60_000 }).after(20);
  assert.equal(connection!.info(wire.nowMicros).tcpi_sndbuf_limited, 20_000);
});

test('SendChrono adds up each phase once', () => {
  const chrono = new SendChrono();
  chrono.enter(CHRONO_BUSY, 100);
  chrono.enter(CHRONO_WINDOW, 110);
  chrono.enter(CHRONO_WINDOW, 115);
  chrono.enter(CHRONO_BUFFER, 130);
  chrono.enter(CHRONO_IDLE, 135);
  chrono.advance(1000);
  assert.deepEqual([chrono.busyMicros, chrono.windowLimitedMicros, chrono.bufferLimitedMicros], [35, 20, 5]);
});

test('RecordEnds keeps its order across growth and release', () => {
  const ends = new RecordEnds();
  for (let round = 0; round < 3; round++) {
    for (let i = 1; i <= 20; i++) ends.push(round * 200 + i * 10);
    assert.equal(ends.after(round * 200 + 95), round * 200 + 100);
    assert.equal(ends.after(round * 200 + 100), round * 200 + 110);
    ends.release(round * 200 + 150);
    assert.equal(ends.after(0), round * 200 + 160);
    ends.release(round * 200 + 200);
    assert.equal(ends.count, 0);
  }
  assert.equal(ends.after(0), Number.POSITIVE_INFINITY);
});
