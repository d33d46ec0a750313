import { KiB, MiB } from '../../core/units.ts';

/** Every knob of the TCP, with Linux's defaults where Linux has the same knob. Times in microseconds. */
export interface TcpConfig {
  /** The most payload a connection holds unread, and so the largest window it offers. */
  receiveBufferBytes: number;
  /** The most payload queued for sending and not yet acknowledged. */
  sendBufferBytes: number;
  timestamps: boolean;
  selectiveAck: boolean;
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
  retries: number;
  /** RFC 1122 §4.2.3.2 allows 500 ms. */
  delayedAckMicros: number;
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
  /** RFC 5961 §7: challenge ACKs in one second, over all connections. */
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
  sendBufferBytes: 4 * MiB,
  timestamps: true,
  selectiveAck: true,
  windowScaling: true,
  initialWindowSegments: 10,
  initialRtoMicros: 1_000_000,
  minRtoMicros: 200_000,
  maxRtoMicros: 120_000_000,
  synRetries: 6,
  synAckRetries: 5,
  retries: 15,
  delayedAckMicros: 40_000,
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
