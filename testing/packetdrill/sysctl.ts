import { DEFAULT_TCP_CONFIG, type TcpConfig } from '../../src/stack/tcp/config.ts';
import type { CongestionName } from '../../src/stack/tcp/congestion/controller.ts';

const MICROS_PER_MS = 1000;
const MICROS_PER_SECOND = 1_000_000;

export type ConfigChange = Partial<TcpConfig>;

type Rule = (numbers: readonly number[], text: string) => ConfigChange;

function flag(name: keyof TcpConfig): Rule {
  return ([value]) => ({ [name]: value !== 0 });
}

function number(name: keyof TcpConfig, scale = 1): Rule {
  return ([value]) => ({ [name]: value! * scale });
}

/** What a Linux knob is here. */
const RULES: Readonly<Record<string, Rule>> = {
  tcp_timestamps: flag('timestamps'),
  tcp_sack: flag('selectiveAck'),
  tcp_dsack: flag('duplicateSack'),
  tcp_window_scaling: flag('windowScaling'),
  tcp_slow_start_after_idle: flag('slowStartAfterIdle'),
  tcp_ecn_fallback: flag('ecnFallback'),
  tcp_moderate_rcvbuf: flag('moderateReceiveBuffer'),
  tcp_frto: flag('forwardRto'),
  tcp_ecn: number('ecn'),
  tcp_ecn_option: number('ecnOption'),
  tcp_ecn_option_beacon: number('ecnOptionBeacon'),
  tcp_fastopen: number('fastOpen'),
  tcp_syncookies: number('synCookies'),
  tcp_notsent_lowat: number('notSentLowatBytes'),
  tcp_mtu_probing: number('mtuProbing'),
  tcp_base_mss: number('baseMssBytes'),
  tcp_syn_retries: number('synRetries'),
  tcp_synack_retries: number('synAckRetries'),
  tcp_syn_linear_timeouts: number('synLinearTimeouts'),
  tcp_retries2: number('retries'),
  tcp_reordering: number('reorderingSegments'),
  tcp_max_reordering: number('maxReorderingSegments'),
  tcp_pacing_ss_ratio: number('pacingSlowStartPercent'),
  tcp_pacing_ca_ratio: number('pacingAvoidancePercent'),
  tcp_rto_max_ms: number('maxRtoMicros', MICROS_PER_MS),
  tcp_rto_min_us: number('minRtoMicros'),
  tcp_invalid_ratelimit: number('invalidSegmentMicros', MICROS_PER_MS),
  tcp_challenge_ack_limit: number('challengeAcksPerSecond'),
  tcp_fin_timeout: number('finWait2Micros', MICROS_PER_SECOND),
  tcp_keepalive_time: number('keepaliveIdleMicros', MICROS_PER_SECOND),
  tcp_keepalive_intvl: number('keepaliveIntervalMicros', MICROS_PER_SECOND),
  tcp_keepalive_probes: number('keepaliveProbes'),
  tcp_fastopen_blackhole_timeout_sec: number('fastOpenBlackholeMicros', MICROS_PER_SECOND),
  tcp_retries1: number('doubtfulRetries'),
  tcp_orphan_retries: number('orphanRetries'),
  tcp_max_orphans: number('orphanLimit'),
  tcp_max_tw_buckets: number('timeWaitLimit'),
  // 3 and 4 switch the tail loss probe on.
  tcp_early_retrans: ([value]) => ({ tailLossProbe: value! >= 3 }),
  tcp_recovery: ([value]) => ({ rack: (value! & 1) !== 0 }),
  tcp_congestion_control: (_, text) => ({ congestion: text as CongestionName }),
  // Smallest, at first, largest. Linux takes half of a receive buffer for its bookkeeping to begin with; the largest is
  // what the window scale is chosen for.
  tcp_rmem: ([, initial, most]) => ({ receiveBufferBytes: most!, receiveBufferInitialBytes: initial! / 2 }),
  tcp_wmem: ([, initial, most]) => ({ sendBufferBytes: most!, sendBufferInitialBytes: initial! }),
  tcp_fastopen_key: (_, text) => ({ fastOpenKey: keyBytes(text) }),
};

/** Where our default follows the RFC and not Linux. */
export const LINUX_DEFAULTS: ConfigChange = { synLinearTimeouts: 4 };

/** Knobs that change nothing here, and why. */
const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  tcp_fack: 'has had no effect in Linux since 4.15',
  tcp_min_tso_segs: 'how a burst is cut into frames is for the NIC to say; segments are compared',
  tcp_tso_win_divisor: 'nothing is deferred to make larger frames',
  tcp_no_metrics_save: 'nothing is remembered of earlier connections',
  tcp_autocorking: 'small writes are not held back for a frame under way',
  tcp_limit_output_bytes: 'there is no queue below TCP',
  tcp_adv_win_scale: 'windows are of payload alone',
};

/** Values that knobs have when nobody has set them, as text: what a script that saves and restores them reads. */
export type SysctlResult = { change: ConfigChange } | { ignored: string } | { unknown: string };

/**
 * What setting a knob means.
 * @param path `net.ipv4.tcp_ecn`, `net/ipv4/tcp_ecn` or `/proc/sys/net/ipv4/tcp_ecn`.
 */
export function sysctl(path: string, text: string): SysctlResult {
  const name = path.replaceAll('/', '.').split('.').at(-1)!;
  const reason = WITHOUT_EFFECT[name];
  if (reason !== undefined) return { ignored: reason };
  const rule = RULES[name];
  if (rule === undefined)
    return { unknown: `the knob '${name}' has no counterpart here; map it in sysctl.ts, or leave it out` };
  const numbers = text.split(/\s+/).map(Number);
  const change = rule(numbers, text);
  for (const [key, value] of Object.entries(change)) {
    const known: unknown = DEFAULT_TCP_CONFIG[key as keyof TcpConfig];
    if (typeof known === 'number' && !Number.isFinite(value))
      return { unknown: `'${text}' is no value of '${name}'; give numbers` };
  }
  return { change };
}

/** `a1a1a1a1-b2b2b2b2-...`: four words, as their bytes lie in Linux's memory. */
function keyBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  const words = text.split(',')[0]!.split('-');
  for (let i = 0; i < 4; i++) view.setUint32(i * 4, Number.parseInt(words[i] ?? '0', 16), true);
  return bytes;
}
