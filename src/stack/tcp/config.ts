import { KiB, MiB } from '../../core/units.ts';
import type { CongestionName } from './congestion/controller.ts';

/** Every knob of the TCP, with Linux's defaults where Linux has the same knob. Times in microseconds. */
export interface TcpConfig {
  /** The most payload a connection holds unread, and so the largest window it offers. */
  receiveBufferBytes: number;
  /** Of it, what a connection begins with (tcp_rmem[1]); the rest as fast as the application reads. */
  receiveBufferInitialBytes: number;
  /** Let the receive buffer grow to twice what the application reads in a round trip (tcp_moderate_rcvbuf). */
  moderateReceiveBuffer: boolean;
  /** The most payload queued for sending and not yet acknowledged. */
  sendBufferBytes: number;
  /** Of it, what a connection begins with (tcp_wmem[1]); the rest as the congestion window grows. */
  sendBufferInitialBytes: number;
  /** Unsent bytes from which on nothing more is taken, where TCP_NOTSENT_LOWAT says nothing (tcp_notsent_lowat). */
  notSentLowatBytes: number;
  timestamps: boolean;
  selectiveAck: boolean;
  /** RFC 2883: report what arrived twice. */
  duplicateSack: boolean;
  /** The congestion controller of new connections (tcp_congestion_control). */
  congestion: CongestionName;
  /** Spread what is sent over the round trip even if the controller names no rate; in percent of cwnd / srtt below. */
  pacing: boolean;
  pacingSlowStartPercent: number;
  pacingAvoidancePercent: number;
  /** RFC 8985: time-based loss detection, and its tail loss probe (tcp_recovery, tcp_early_retrans). */
  rack: boolean;
  tailLossProbe: boolean;
  /** RFC 5682: find out whether a timeout was spurious (tcp_frto). */
  forwardRto: boolean;
  /** Segments that may arrive behind a hole before it counts as a loss, at first and at most (tcp_reordering, ...). */
  reorderingSegments: number;
  maxReorderingSegments: number;
  /** RFC 5681 §4.1 (tcp_slow_start_after_idle). */
  slowStartAfterIdle: boolean;
  /**
   * As Linux's tcp_ecn. 0: never; 1: RFC 3168, asked for and accepted; 2: accepted; 3: AccECN (RFC 9768), asked for and
   * accepted; 4: AccECN accepted, RFC 3168 asked for; 5: AccECN accepted.
   */
  ecn: 0 | 1 | 2 | 3 | 4 | 5;
  /** AccECN option (tcp_ecn_option). 0: never sent; 1: with the handshake only; 2: when news; 3: as often as it fits. */
  ecnOption: 0 | 1 | 2 | 3;
  /** AccECN options sent at least this often in a round trip (tcp_ecn_option_beacon). */
  ecnOptionBeacon: number;
  /** RFC 3168 §6.1.1.1: a SYN that asks for ECN is repeated without it when unanswered (tcp_ecn_fallback). */
  ecnFallback: boolean;
  /**
   * RFC 7413, as Linux's tcp_fastopen: 1 client, 2 server, 4 client without cookie, 0x200 server without cookie, 0x400 all
   * listeners. 3 by default, where Linux has 1: a listener takes part only if it says so (TCP_FASTOPEN).
   */
  fastOpen: number;
  /** 16 bytes from which Fast Open cookies are made, or null for random ones. */
  fastOpenKey: Uint8Array | null;
  /** A second key whose cookies are still taken, while the first is new; 16 bytes. */
  fastOpenBackupKey: Uint8Array | null;
  /**
   * How long connects go without Fast Open after what follows such a handshake seems to be swallowed; twice as long each
   * time it happens again, up to 64 times (tcp_fastopen_blackhole_timeout_sec, which is off by default). 0: never.
   */
  fastOpenBlackholeMicros: number;
  /** RFC 4987 §3.6: 0 never, 1 when the queue of half-open connections is full, 2 always (tcp_syncookies). */
  synCookies: 0 | 1 | 2;
  /** RFC 4821, RFC 8899: 0 never, 1 after a black hole was found, 2 always (tcp_mtu_probing). */
  mtuProbing: 0 | 1 | 2;
  /** Size that probing begins at after a black hole, in bytes of MSS (tcp_base_mss). */
  baseMssBytes: number;
  /** No smaller segments than this, whatever gets lost (tcp_mtu_probe_floor). */
  probeFloorBytes: number;
  /** When a search for a larger MTU begins again: RFC 8899 §5.1.1, PMTU_RAISE_TIMER (tcp_probe_interval). */
  probeRaiseMicros: number;
  /** Sizes closer to each other than this are not worth a probe (tcp_probe_threshold). */
  probeThresholdBytes: number;
  windowScaling: boolean;
  /** RFC 6928: segments sent before the first acknowledgment. */
  initialWindowSegments: number;
  /** RFC 6298 §2.1; §2.4 says 1 s, Linux and everyone else 200 ms. */
  initialRtoMicros: number;
  minRtoMicros: number;
  maxRtoMicros: number;
  /** Transmissions of a SYN, of a SYN-ACK and of data beyond the first, before giving up (tcp_syn_retries, ...). */
  synRetries: number;
  synAckRetries: number;
  /** Timeouts of a SYN before the timeout begins to double (tcp_syn_linear_timeouts, which is 4; RFC 6298 §5.5 says 0). */
  synLinearTimeouts: number;
  retries: number;
  /** Timeouts in a row after which the path is taken for doubtful: RFC 9293 §3.8.3, R1 (tcp_retries1). */
  doubtfulRetries: number;
  /** Timeouts of a connection that its application has closed (tcp_orphan_retries). */
  orphanRetries: number;
  /** Closed connections that still have something to send or to wait for; beyond it they are reset (tcp_max_orphans). */
  orphanLimit: number;
  /** Delay of an acknowledgment, at least and at most; RFC 1122 §4.2.3.2 allows 500 ms. */
  delayedAckMicros: number;
  maxDelayedAckMicros: number;
  /** Two maximum segment lifetimes (RFC 9293 §3.4.2: MSL = 2 min; like Linux, 60 s in all). */
  timeWaitMicros: number;
  /** How long FIN-WAIT-2 waits for the peer's FIN after `close` (tcp_fin_timeout). */
  finWait2Micros: number;
  /** Connections in TIME-WAIT; at the limit the oldest goes at once. */
  timeWaitLimit: number;
  /** Connections in all; at the limit SYNs are dropped and `connect` fails with ENOBUFS. */
  connectionLimit: number;
  /** RFC 9293 §3.8.4; used where `keepalive` is switched on. */
  keepaliveIdleMicros: number;
  keepaliveIntervalMicros: number;
  keepaliveProbes: number;
  /** RFC 5482; 0: only the retry limit ends a connection. */
  userTimeoutMicros: number;
  /** RFC 5961 §7: challenge ACKs in one second, over all connections, on average: each second has a number of its own. */
  challengeAcksPerSecond: number;
  /** Pause between two answers to invalid segments of one connection (tcp_invalid_ratelimit). */
  invalidSegmentMicros: number;
  /** Resets in one second for segments that belong to no connection. */
  resetsPerSecond: number;
  /** Ephemeral ports (RFC 6056), first and last. */
  ephemeralFirst: number;
  ephemeralLast: number;
}

export const DEFAULT_TCP_CONFIG: Readonly<TcpConfig> = {
  receiveBufferBytes: 4 * MiB,
  receiveBufferInitialBytes: 64 * KiB,
  moderateReceiveBuffer: true,
  sendBufferBytes: 4 * MiB,
  sendBufferInitialBytes: 256 * KiB,
  notSentLowatBytes: 0xffff_ffff,
  timestamps: true,
  selectiveAck: true,
  duplicateSack: true,
  congestion: 'cubic',
  pacing: false,
  pacingSlowStartPercent: 200,
  pacingAvoidancePercent: 120,
  rack: true,
  tailLossProbe: true,
  forwardRto: true,
  reorderingSegments: 3,
  maxReorderingSegments: 300,
  slowStartAfterIdle: true,
  ecn: 2,
  ecnOption: 2,
  ecnOptionBeacon: 3,
  ecnFallback: true,
  fastOpen: 3,
  fastOpenKey: null,
  fastOpenBackupKey: null,
  fastOpenBlackholeMicros: 3_600_000_000,
  synCookies: 1,
  mtuProbing: 0,
  baseMssBytes: 1024,
  probeFloorBytes: 48,
  probeRaiseMicros: 600_000_000,
  probeThresholdBytes: 8,
  windowScaling: true,
  initialWindowSegments: 10,
  initialRtoMicros: 1_000_000,
  minRtoMicros: 200_000,
  maxRtoMicros: 120_000_000,
  synRetries: 6,
  synAckRetries: 5,
  synLinearTimeouts: 0,
  retries: 15,
  doubtfulRetries: 3,
  orphanRetries: 8,
  orphanLimit: 16_384,
  delayedAckMicros: 40_000,
  maxDelayedAckMicros: 200_000,
  timeWaitMicros: 60_000_000,
  finWait2Micros: 60_000_000,
  timeWaitLimit: 16_384,
  connectionLimit: 131_072,
  keepaliveIdleMicros: 7_200_000_000,
  keepaliveIntervalMicros: 75_000_000,
  keepaliveProbes: 9,
  userTimeoutMicros: 0,
  challengeAcksPerSecond: 1000,
  invalidSegmentMicros: 500_000,
  resetsPerSecond: 1000,
  ephemeralFirst: 32_768,
  ephemeralLast: 60_999,
};

/** The largest payload handed down in one frame: 64 KiB of IP packet less the longest headers. */
export const MAX_BURST_BYTES: number = 64 * KiB - 1 - 60 - 60;
/** RFC 9293 §3.7.1: assumed where the peer named no MSS (IPv4; IPv6 is 1220). */
export const DEFAULT_MSS_IPV4 = 536;
export const DEFAULT_MSS_IPV6 = 1220;
/** A peer's MSS below this is raised to it (tcp_min_snd_mss): else one byte of payload cost a packet. */
export const MIN_SEND_MSS = 48;
/** RFC 7323 §2.3. */
export const MAX_WINDOW_SCALE = 14;
