import { sequenceDifference } from '../../wire/sequence.ts';
import type { TcpConnection } from './connection.ts';
import { LINUX_STATE } from './state.ts';

/** `tcpi_options` (include/uapi/linux/tcp.h). */
export const TCPI_OPT_TIMESTAMPS = 1;
export const TCPI_OPT_SACK = 2;
export const TCPI_OPT_WSCALE = 4;

/** Linux's struct tcp_info, by its names and in its units (times in µs unless they end in `_ms`-like Linux fields). */
export interface TcpInfo {
  tcpi_state: number;
  /** 0 open, 3 recovery, 4 loss (enum tcp_ca_state). */
  tcpi_ca_state: number;
  tcpi_retransmits: number;
  tcpi_probes: number;
  tcpi_backoff: number;
  tcpi_options: number;
  tcpi_snd_wscale: number;
  tcpi_rcv_wscale: number;
  tcpi_rto: number;
  tcpi_snd_mss: number;
  tcpi_rcv_mss: number;
  tcpi_unacked: number;
  tcpi_sacked: number;
  tcpi_lost: number;
  tcpi_retrans: number;
  /** Milliseconds. */
  tcpi_last_data_sent: number;
  /** Milliseconds. */
  tcpi_last_data_recv: number;
  tcpi_pmtu: number;
  tcpi_rtt: number;
  tcpi_rttvar: number;
  /** Segments, as Linux has it. */
  tcpi_snd_ssthresh: number;
  tcpi_snd_cwnd: number;
  tcpi_advmss: number;
  tcpi_total_retrans: number;
  tcpi_bytes_acked: number;
  tcpi_bytes_received: number;
  tcpi_segs_out: number;
  tcpi_segs_in: number;
  tcpi_data_segs_out: number;
  tcpi_data_segs_in: number;
  tcpi_notsent_bytes: number;
  tcpi_min_rtt: number;
  tcpi_bytes_sent: number;
  tcpi_bytes_retrans: number;
  tcpi_dsack_dups: number;
  tcpi_rcv_ooopack: number;
  tcpi_snd_wnd: number;
  tcpi_rcv_wnd: number;
}

const CA_STATE = { open: 0, recovery: 3, loss: 4 } as const;

export function tcpInfo(connection: TcpConnection, nowMicros: number): TcpInfo {
  const { sender, receiver, segmentBytes } = connection;
  const { scoreboard, rtt, congestion } = sender;
  const sent = Math.min(Math.max(sender.nxtOffset, 0), connection.queuedOffset);
  return {
    tcpi_state: LINUX_STATE[connection.state],
    tcpi_ca_state: CA_STATE[sender.recovery.state],
    tcpi_retransmits: sender.retries,
    tcpi_probes: sender.probes,
    tcpi_backoff: rtt.backoff,
    tcpi_options:
      (connection.timestampsEnabled ? TCPI_OPT_TIMESTAMPS : 0) |
      (connection.sackEnabled ? TCPI_OPT_SACK : 0) |
      (connection.offersScaling ? TCPI_OPT_WSCALE : 0),
    tcpi_snd_wscale: sender.scale,
    tcpi_rcv_wscale: receiver.window.scale,
    tcpi_rto: rtt.rtoMicros,
    tcpi_snd_mss: segmentBytes,
    tcpi_rcv_mss: receiver.segmentBytes,
    tcpi_unacked: scoreboard.count,
    tcpi_sacked: scoreboard.sackedRecords,
    tcpi_lost: Math.ceil(scoreboard.lostBytes / segmentBytes),
    tcpi_retrans: Math.ceil(scoreboard.retransmittedBytes / segmentBytes),
    tcpi_last_data_sent: Math.floor((nowMicros - sender.lastSentMicros) / 1000),
    tcpi_last_data_recv: Math.floor((nowMicros - connection.lastReceivedMicros) / 1000),
    tcpi_pmtu: connection.pathMtuBytes,
    tcpi_rtt: rtt.srttMicros,
    tcpi_rttvar: rtt.rttvarMicros,
    tcpi_snd_ssthresh: Math.floor(congestion.ssthreshBytes / segmentBytes),
    tcpi_snd_cwnd: Math.floor(congestion.cwndBytes / segmentBytes),
    tcpi_advmss: receiver.advertisedMss,
    tcpi_total_retrans: sender.retransmittedSegments,
    tcpi_bytes_acked: Math.max(0, Math.min(sender.unaOffset, connection.queuedOffset)),
    tcpi_bytes_received: receiver.bytesReceived,
    tcpi_segs_out: connection.segmentsOut,
    tcpi_segs_in: connection.segmentsIn,
    tcpi_data_segs_out: connection.dataSegmentsOut,
    tcpi_data_segs_in: connection.dataSegmentsIn,
    tcpi_notsent_bytes: sender.unsentBytes,
    tcpi_min_rtt: Number.isFinite(rtt.minMicros) ? rtt.minMicros : 0,
    tcpi_bytes_sent: sent + sender.retransmittedBytes,
    tcpi_bytes_retrans: sender.retransmittedBytes,
    tcpi_dsack_dups: sender.recovery.duplicatesReported,
    tcpi_rcv_ooopack: receiver.outOfOrderSegments,
    tcpi_snd_wnd: sender.sndWnd,
    tcpi_rcv_wnd: Math.max(0, sequenceDifference(receiver.window.edge, receiver.rcvNxt)),
  };
}
