import { IpAddress } from '../../src/wire/address.ts';

export type IpMode = 'ipv4' | 'ipv6' | 'ipv4-mapped-ipv6';

export const IP_MODES: readonly IpMode[] = ['ipv4', 'ipv6', 'ipv4-mapped-ipv6'];

/** How a script is played: from the mode, the command line, and the options at the script's top, the last word. */
export interface Settings {
  mode: IpMode;
  local: IpAddress;
  remote: IpAddress;
  mtuBytes: number;
  /** Payload of the wire segments that a larger inbound packet stands for; 0: it is one. */
  mssBytes: number;
  toleranceMicros: number;
  /** Of the time since the event before, where that is more. */
  tolerancePercent: number;
  /** Of our timestamps; 0: their values are not looked at. */
  timestampTickMicros: number;
  /** At the end, nothing may have been sent that the script has not looked at. */
  isExact: boolean;
}

/** What Linux's own runner defines for each mode, and what of it scripts refer to. */
const MODES: Readonly<
  Record<IpMode, { local: string; remote: string; mtuBytes: number; defines: [string, string][] }>
> = {
  ipv4: {
    local: '192.168.0.1',
    remote: '192.0.2.1',
    mtuBytes: 1500,
    defines: [
      ['TFO_COOKIE', '3021b9d889017eeb'],
      ['TFO_COOKIE_ZERO', 'b7c12350a90dc8f5'],
      ['CODE', 'host_unreachable'],
      ['CMSG_LEVEL_IP', 'SOL_IP'],
      ['CMSG_TYPE_RECVERR', 'IP_RECVERR'],
    ],
  },
  'ipv4-mapped-ipv6': {
    local: '192.168.0.1',
    remote: '192.0.2.1',
    mtuBytes: 1500,
    defines: [
      ['TFO_COOKIE', '3021b9d889017eeb'],
      ['TFO_COOKIE_ZERO', 'b7c12350a90dc8f5'],
      ['CODE', 'host_unreachable'],
      ['CMSG_LEVEL_IP', 'SOL_IPV6'],
      ['CMSG_TYPE_RECVERR', 'IPV6_RECVERR'],
    ],
  },
  ipv6: {
    local: 'fd3d:a0b:17d6::1',
    remote: 'fd3d:fa7b:d17d::1',
    // 20 bytes more of header: the MSS is that of IPv4.
    mtuBytes: 1520,
    defines: [
      ['TFO_COOKIE', 'c1d1e9742a47a9bc'],
      ['TFO_COOKIE_ZERO', '82af1a8f9a205c34'],
      ['CMSG_LEVEL_IP', 'SOL_IPV6'],
      ['CMSG_TYPE_RECVERR', 'IPV6_RECVERR'],
    ],
  },
};

const DEFAULT_TOLERANCE_MICROS = 4000;
const DEFAULT_TOLERANCE_PERCENT = 12.5;

/** Words that stand for others in a mode. */
export function modeDefines(mode: IpMode): Map<string, string> {
  return new Map(MODES[mode].defines);
}

/** Options that are understood and change nothing: how a real host is set up, how Python is run. */
const WITHOUT_EFFECT = new Set([
  'send_omit_free',
  'ip_version',
  'code_command',
  'code_format',
  'code_sockopt',
  'speed',
  'gateway_ip',
  'netmask_ip',
  'tcp_ts_ecr_scaled',
  'strict_segments',
  'non_fatal',
  'debug',
  'verbose',
  'dry_run',
  'is_anyip',
]);

/**
 * The settings of a mode with options applied, in order.
 * @returns the settings, or what is wrong with an option.
 */
export function makeSettings(mode: IpMode, options: Iterable<readonly [string, string]>): Settings | string {
  const { local, remote, mtuBytes } = MODES[mode];
  const settings: Settings = {
    mode,
    local: IpAddress.parse(local)!,
    remote: IpAddress.parse(remote)!,
    mtuBytes,
    mssBytes: 0,
    toleranceMicros: DEFAULT_TOLERANCE_MICROS,
    tolerancePercent: DEFAULT_TOLERANCE_PERCENT,
    timestampTickMicros: 0,
    isExact: false,
  };
  for (const [name, value] of options) {
    const problem = applyOption(settings, name, value);
    if (problem !== null) return problem;
  }
  return settings;
}

function applyOption(settings: Settings, name: string, value: string): string | null {
  switch (name) {
    case 'mss':
      settings.mssBytes = Number(value);
      return checkNumber(name, settings.mssBytes);
    case 'mtu':
      settings.mtuBytes = Number(value);
      return checkNumber(name, settings.mtuBytes);
    case 'tolerance_usecs':
      settings.toleranceMicros = Number(value);
      return checkNumber(name, settings.toleranceMicros);
    case 'tolerance_percent':
      settings.tolerancePercent = Number(value);
      return checkNumber(name, settings.tolerancePercent);
    case 'tcp_ts_tick_usecs':
      settings.timestampTickMicros = Number(value);
      return checkNumber(name, settings.timestampTickMicros);
    case 'exact':
      settings.isExact = true;
      return null;
    case 'local_ip':
    case 'remote_ip': {
      const address = IpAddress.parse(value);
      if (address === null || address.family !== settings.local.family)
        return `--${name}=${value} is no address of the mode`;
      settings[name === 'local_ip' ? 'local' : 'remote'] = address;
      return null;
    }
    default:
      return WITHOUT_EFFECT.has(name) ? null : `the option --${name} is not known here; leave it out`;
  }
}

function checkNumber(name: string, value: number): string | null {
  return Number.isFinite(value) && value >= 0 ? null : `--${name} takes a number`;
}
