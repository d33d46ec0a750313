import { sequenceDifference } from '../../wire/sequence.ts';
import { UNLIMITED_SSTHRESH } from './congestion/window.ts';
import type { TcpConnection } from './connection.ts';
import { LINUX_STATE } from './state.ts';

/** `tcpi_options` (include/uapi/linux/tcp.h). */
export const TCPI_OPT_TIMESTAMPS = 1;
export const TCPI_OPT_SACK = 2;
export const TCPI_OPT_WSCALE = 4;
export const TCPI_OPT_ECN = 8;
/** Something ECN-capable was received. */
export const TCPI_OPT_ECN_SEEN = 16;
/** Data in the SYN was acknowledged (client) or accepted (server). */
export const TCPI_OPT_SYN_DATA = 32;

/** What Linux shows where no pace is set: ~0 in 64 bits, as near as a number comes. */
const UNPACED = Number.MAX_SAFE_INTEGER;
const MICROS_PER_MS = 1000;

/**
 * Linux's struct tcp_info, by its names and in its units: times in microseconds and sizes in bytes unless it says
 * otherwise. What Linux does not remember either is 0.
 */
export interface TcpInfo {
  /** enum tcp_states: 1 established, ... */
  tcpi_state: number;
  /** 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss (enum tcp_ca_state). */
  tcpi_ca_state: number;
  /** Timeouts in a row. */
  tcpi_retransmits: number;
  /** Unanswered window and keepalive probes. */
  tcpi_probes: number;
  tcpi_backoff: number;
  /** TCPI_OPT_... bits. */
  tcpi_options: number;
  tcpi_snd_wscale: number;
  tcpi_rcv_wscale: number;
  /** 0 or 1: the delivery rate was measured while the application had too little to send. */
  tcpi_delivery_rate_app_limited: number;
  /** enum tcp_fastopen_client_fail. */
  tcpi_fastopen_client_fail: number;
  tcpi_rto: number;
  /** The delay of an acknowledgment now. */
  tcpi_ato: number;
  tcpi_snd_mss: number;
  tcpi_rcv_mss: number;
  /** Segments, here and below. */
  tcpi_unacked: number;
  tcpi_sacked: number;
  tcpi_lost: number;
  tcpi_retrans: number;
  /** 0 since Linux 4.15. */
  tcpi_fackets: number;
  /** Milliseconds since then, here and below. */
  tcpi_last_data_sent: number;
  /** 0: Linux does not remember it. */
  tcpi_last_ack_sent: number;
  tcpi_last_data_recv: number;
  tcpi_last_ack_recv: number;
  tcpi_pmtu: number;
  /** What the receive window may grow to now. */
  tcpi_rcv_ssthresh: number;
  tcpi_rtt: number;
  tcpi_rttvar: number;
  /** Segments; 2^31 - 1: none yet. */
  tcpi_snd_ssthresh: number;
  /** Segments. */
  tcpi_snd_cwnd: number;
  tcpi_advmss: number;
  /** Segments that may be overtaken before it counts as a loss. */
  tcpi_reordering: number;
  /** Round-trip time as the receiver measures it. */
  tcpi_rcv_rtt: number;
  /** Read by the application in one such time. */
  tcpi_rcv_space: number;
  /** Segments. */
  tcpi_total_retrans: number;
  /** Bytes per second. */
  tcpi_pacing_rate: number;
  tcpi_max_pacing_rate: number;
  tcpi_bytes_acked: number;
  tcpi_bytes_received: number;
  tcpi_segs_out: number;
  tcpi_segs_in: number;
  tcpi_notsent_bytes: number;
  tcpi_min_rtt: number;
  tcpi_data_segs_in: number;
  tcpi_data_segs_out: number;
  /** Bytes per second. */
  tcpi_delivery_rate: number;
  /** Time with something unacknowledged; of it, waiting for the peer's window, and for our own send buffer. */
  tcpi_busy_time: number;
  tcpi_rwnd_limited: number;
  tcpi_sndbuf_limited: number;
  /** Segments; of them, with a congestion mark that the peer reported. */
  tcpi_delivered: number;
  tcpi_delivered_ce: number;
  tcpi_bytes_sent: number;
  tcpi_bytes_retrans: number;
  tcpi_dsack_dups: number;
  tcpi_reord_seen: number;
  tcpi_rcv_ooopack: number;
  tcpi_snd_wnd: number;
  tcpi_rcv_wnd: number;
  tcpi_rehash: number;
  tcpi_total_rto: number;
  tcpi_total_rto_recoveries: number;
  /** Milliseconds. */
  tcpi_total_rto_time: number;
  /** Segments that came in with a congestion mark. */
  tcpi_received_ce: number;
  tcpi_delivered_e1_bytes: number;
  tcpi_delivered_e0_bytes: number;
  tcpi_delivered_ce_bytes: number;
  tcpi_received_e1_bytes: number;
  tcpi_received_e0_bytes: number;
  tcpi_received_ce_bytes: number;
  /** 0 off, 1 RFC 3168, 2 AccECN, 3 pending. */
  tcpi_ecn_mode: number;
  tcpi_accecn_opt_seen: number;
  tcpi_accecn_fail_mode: number;
  tcpi_options2: number;
}

const CA_STATE = { open: 0, disorder: 1, cwr: 2, recovery: 3, loss: 4 } as const;

/** All of `struct tcp_info` for a connection. Each role fills in its part. */
export function tcpInfo(connection: TcpConnection, nowMicros: number): TcpInfo {
  return {
    ...identityInfo(connection),
    ...sendingInfo(connection, nowMicros),
    ...receivingInfo(connection, nowMicros),
    ...countInfo(connection),
    ...ecnInfo(connection),
  };
}

function identityInfo(connection: TcpConnection) {
  const { receiver, sender, segmentBytes } = connection;
  return {
    tcpi_state: LINUX_STATE[connection.state],
    tcpi_ca_state: CA_STATE[sender.recovery.state],
    tcpi_options:
      (connection.timestampsEnabled ? TCPI_OPT_TIMESTAMPS : 0) |
      (connection.sackEnabled ? TCPI_OPT_SACK : 0) |
      (connection.offersScaling ? TCPI_OPT_WSCALE : 0) |
      (connection.ecn !== null ? TCPI_OPT_ECN : 0) |
      (connection.ecn?.isSeen === true ? TCPI_OPT_ECN_SEEN : 0) |
      (connection.fastOpen?.dataAcknowledged === true ? TCPI_OPT_SYN_DATA : 0),
    tcpi_snd_wscale: sender.scale,
    tcpi_rcv_wscale: receiver.window.scale,
    tcpi_fastopen_client_fail: connection.fastOpen?.clientFail ?? 0,
    tcpi_snd_mss: segmentBytes,
    tcpi_advmss: receiver.advertisedMss,
    tcpi_pmtu: connection.pathMtuBytes,
    tcpi_options2: 0,
  };
}

function sendingInfo(connection: TcpConnection, nowMicros: number) {
  const { sender, segmentBytes, options } = connection;
  const { scoreboard, rtt, congestion, recovery } = sender;
  const { chrono } = connection;
  chrono?.advance(nowMicros);
  return {
    tcpi_retransmits: sender.retries,
    tcpi_probes: sender.probes + connection.keepalive.probes,
    tcpi_backoff: rtt.backoff,
    tcpi_rto: rtt.rtoMicros,
    tcpi_unacked: scoreboard.count,
    tcpi_sacked: scoreboard.sackedRecords + scoreboard.duplicates,
    tcpi_lost: scoreboard.lostRecords,
    tcpi_retrans: scoreboard.retransmittedRecords,
    tcpi_fackets: 0,
    tcpi_last_data_sent: millisSince(sender.lastSentMicros, nowMicros),
    tcpi_last_ack_sent: 0,
    tcpi_rtt: rtt.srttMicros,
    tcpi_rttvar: rtt.rttvarMicros,
    tcpi_snd_ssthresh: thresholdSegments(congestion.ssthreshBytes, segmentBytes),
    tcpi_snd_cwnd: sender.cwndSegments,
    tcpi_reordering: recovery.reordering,
    tcpi_pacing_rate: Math.min(Math.floor(sender.pacingBytesPerSecond), UNPACED),
    tcpi_max_pacing_rate: Math.min(options.maxPacingBytesPerSecond, UNPACED),
    tcpi_notsent_bytes: sender.unsentBytes,
    tcpi_min_rtt: Number.isFinite(rtt.minMicros) ? rtt.minMicros : 0,
    tcpi_delivery_rate: Math.floor(scoreboard.rate.bytesPerSecond),
    tcpi_delivery_rate_app_limited: scoreboard.rate.isSampleLimited ? 1 : 0,
    tcpi_busy_time: chrono?.busyMicros ?? 0,
    tcpi_rwnd_limited: chrono?.windowLimitedMicros ?? 0,
    tcpi_sndbuf_limited: chrono?.bufferLimitedMicros ?? 0,
    tcpi_snd_wnd: sender.sndWnd,
    tcpi_rehash: 0,
    tcpi_total_rto: recovery.timeouts,
    tcpi_total_rto_recoveries: recovery.timeoutRecoveries,
    tcpi_total_rto_time: Math.floor(recovery.timeoutMicros / 1000),
  };
}

function receivingInfo(connection: TcpConnection, nowMicros: number) {
  const { receiver } = connection;
  const { window, ackTiming, tuning } = receiver;
  return {
    tcpi_ato: ackTiming?.atoMicros ?? 0,
    tcpi_rcv_mss: receiver.segmentBytes,
    tcpi_last_data_recv: millisSince(ackTiming?.lastDataMicros ?? receiver.begunMillis * 1000, nowMicros),
    tcpi_last_ack_recv: millisSince(connection.lastReceivedMicros, nowMicros),
    tcpi_rcv_ssthresh: window.limitBytes,
    tcpi_rcv_rtt: tuning?.rttMicros ?? 0,
    tcpi_rcv_space: tuning?.spaceBytes ?? 0,
    tcpi_rcv_ooopack: receiver.outOfOrderSegments,
    tcpi_rcv_wnd: Math.max(0, sequenceDifference(window.edge, receiver.rcvNxt)),
  };
}

function countInfo(connection: TcpConnection) {
  const { sender, receiver } = connection;
  const sent = Math.min(Math.max(sender.nxtOffset, 0), connection.queuedOffset);
  return {
    tcpi_total_retrans: sender.retransmittedSegments,
    tcpi_bytes_acked: Math.max(0, Math.min(sender.unaOffset, connection.queuedOffset)),
    tcpi_bytes_received: receiver.bytesReceived,
    tcpi_segs_out: connection.segmentsOut,
    tcpi_segs_in: connection.segmentsIn,
    tcpi_data_segs_in: connection.dataSegmentsIn,
    tcpi_data_segs_out: connection.dataSegmentsOut,
    // The SYN counts.
    tcpi_delivered: sender.scoreboard.rate.deliveredSegments + (sender.unaOffset >= 0 ? 1 : 0),
    tcpi_bytes_sent: sent + sender.retransmittedBytes,
    tcpi_bytes_retrans: sender.retransmittedBytes,
    tcpi_dsack_dups: sender.recovery.duplicatesReported,
    tcpi_reord_seen: sender.recovery.reorderingSeen,
  };
}

function ecnInfo({ ecn }: TcpConnection) {
  const accurate = ecn === null ? null : ecn.accurate;
  return {
    tcpi_delivered_ce: ecn?.deliveredCe ?? 0,
    tcpi_received_ce: ecn?.receivedCe ?? 0,
    tcpi_delivered_e1_bytes: accurate?.feedback.deliveredEct1Bytes ?? 0,
    tcpi_delivered_e0_bytes: accurate?.feedback.deliveredEct0Bytes ?? 0,
    tcpi_delivered_ce_bytes: accurate?.feedback.deliveredCeBytes ?? 0,
    tcpi_received_e1_bytes: ecn?.receivedEct1Bytes ?? 0,
    tcpi_received_e0_bytes: ecn?.receivedEct0Bytes ?? 0,
    tcpi_received_ce_bytes: ecn?.receivedCeBytes ?? 0,
    tcpi_ecn_mode: ecn?.mode ?? 0,
    tcpi_accecn_opt_seen: accurate?.optionSeen ?? 0,
    tcpi_accecn_fail_mode: accurate?.failMode ?? 0,
  };
}

function millisSince(thenMicros: number, nowMicros: number): number {
  return Number.isFinite(thenMicros) ? Math.floor((nowMicros - thenMicros) / MICROS_PER_MS) : 0;
}

/** No threshold yet is TCP_INFINITE_SSTHRESH, in whatever unit. */
function thresholdSegments(bytes: number, segmentBytes: number): number {
  return bytes >= UNLIMITED_SSTHRESH ? UNLIMITED_SSTHRESH : Math.floor(bytes / segmentBytes);
}
