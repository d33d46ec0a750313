import { sysctl, type ConfigChange } from './sysctl.ts';

/** What a script's commands do here. */
export interface ShellHost {
  configure(change: ConfigChange): void;
  /** Sets the link's MTU; false: too late, the link exists. */
  setMtu(mtuBytes: number): boolean;
  setPacing(enabled: boolean): void;
  /** What is sent from now on goes nowhere. */
  setLinkFull(full: boolean): void;
  /** A file that can be opened and read. */
  makeFile(path: string, sizeBytes: number): void;
  /** Fast Open cookies, and what else is remembered of hosts. */
  forgetHosts(): void;
  sleep(micros: number): void;
  /** Counters by the kernel's names (`nstat`), from when they were last looked at; null for a name unknown. */
  counter(name: string): number | null;
  /** `nstat -n`: from here on. */
  resetCounters(): void;
  isListening(port: number): boolean;
}

/** The settings that Linux's `defaults.sh` makes before each script. */
const DEFAULTS = `
sysctl -q net.ipv4.tcp_rmem="4096 540000 $((15*1024*1024))" net.ipv4.tcp_wmem="4096 $((256*1024)) 4194304"
sysctl -q net.ipv4.tcp_timestamps=1 net.ipv4.tcp_syn_retries=5 net.ipv4.tcp_synack_retries=5 net.ipv4.tcp_frto=2
sysctl -q net.ipv4.tcp_sack=1 net.ipv4.tcp_dsack=1 net.ipv4.tcp_reordering=3 net.ipv4.tcp_congestion_control=cubic
sysctl -q net.ipv4.tcp_slow_start_after_idle=0 net.ipv4.tcp_early_retrans=4 net.ipv4.tcp_recovery=1 net.ipv4.tcp_ecn=0
sysctl -q net.ipv4.tcp_pacing_ss_ratio=200 net.ipv4.tcp_pacing_ca_ratio=120 net.ipv4.tcp_fastopen=0x3
sysctl -q net.ipv4.tcp_fastopen_key=a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4 net.ipv4.tcp_syncookies=1`;

/** The scripts that packetdrill itself brings have theirs in a folder `common`: each listener takes part in Fast Open. */
const COMMON_DEFAULTS = `${DEFAULTS}
sysctl -q net.ipv4.tcp_fastopen=0x70403`;

const MICROS_PER_SECOND = 1e6;

/**
 * Does what a command between back-quotes asks for: the few programs that scripts call, nothing is run.
 * @returns null, or what went wrong.
 */
export function runCommand(text: string, host: ShellHost): string | null {
  for (const line of splitLines(text)) {
    const problem = runAlternatives(line.split('||'), host);
    if (problem !== null) return problem;
  }
  return null;
}

/** `a || b`: the next only if the one before has failed. */
function runAlternatives(lines: readonly string[], host: ShellHost): string | null {
  let problem: string | null = null;
  for (const line of lines) {
    problem = runLine(line.trim(), host);
    if (problem === null) return null;
  }
  return problem;
}

function splitLines(text: string): string[] {
  return text
    .replaceAll('\\\n', ' ')
    .split(/\n|;|&&/)
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .filter((line) => line !== '');
}

function runLine(line: string, host: ShellHost): string | null {
  const words = splitWords(line);
  const [program, ...rest] = words;
  const name = program!.split('/').at(-1)!;
  switch (name) {
    case 'defaults.sh':
      return runCommand(program!.endsWith('common/defaults.sh') ? COMMON_DEFAULTS : DEFAULTS, host);
    case 'sysctl':
    case 'set_sysctls.py':
      return assignments(rest, host);
    case 'nstat':
      return runNstat(line, host);
    case 'grep':
      return runGrep(line, host);
    case 'ip':
      return runIp(line, host);
    case 'tc':
      return runTc(line, host);
    case 'dd':
      return runDd(rest, host);
    case 'sleep':
      host.sleep(Number(rest[0]) * MICROS_PER_SECOND);
      return null;
    case 'false':
      return `'${line}' failed`;
    default:
      // Offloads say how frames are cut, metrics are not kept, and each script begins with a new host.
      if (['ethtool', 'rm', 'true', 'echo', ':'].includes(name) || name.startsWith('sysctl_restore_')) return null;
      return `'${name}' is no command known here; use sysctl, set_sysctls.py, nstat, tc, ip link, dd or sleep`;
  }
}

function assignments(words: readonly string[], host: ShellHost): string | null {
  for (const word of words) {
    if (word.startsWith('-')) continue;
    const at = word.indexOf('=');
    if (at < 0) return `'${word}' sets nothing; write name=value`;
    const result = sysctl(word.slice(0, at), arithmetic(word.slice(at + 1)));
    if ('unknown' in result) return result.unknown;
    if ('change' in result) host.configure(result.change);
  }
  return null;
}

/** `nstat`, `nstat -n`, `nstat | grep Name | grep -q " 3 "`, with or without `-s`. */
function runNstat(line: string, host: ShellHost): string | null {
  const [head, ...filters] = line.split('|').map((part) => part.trim());
  const patterns = filters.map((filter) => /^grep\s+(?:-\w+\s+)*"?([^">]*?)"?\s*(?:>.*)?$/.exec(filter)?.[1]);
  if (patterns.includes(undefined)) return `'${line}': only 'nstat | grep NAME | grep VALUE' is known here`;
  if (patterns.length === 0) {
    host.resetCounters();
    return null;
  }
  const value = host.counter(patterns[0]!);
  if (value === null) return `the counter '${patterns[0]}' has no counterpart here; map it in kernel-counters.ts`;
  const wanted = patterns[1]?.trim();
  if (!/\s-s/.test(head!)) host.resetCounters();
  if (wanted === undefined) return value > 0 ? null : `${patterns[0]} is 0`;
  return value === Number(wanted) ? null : `${patterns[0]} is ${value}, not ${wanted}`;
}

/** `grep " 0A " /proc/net/tcp ... | grep ":1F90"`: is somebody listening there? */
function runGrep(line: string, host: ShellHost): string | null {
  const port = /grep " 0A " \/proc\/net\/tcp.*grep ":([0-9A-F]{4})"/.exec(line)?.[1];
  if (port === undefined) return `'${line}': of grep, only the search for a listener in /proc/net/tcp is known here`;
  return host.isListening(Number.parseInt(port, 16)) ? null : `nobody listens on port ${Number.parseInt(port, 16)}`;
}

function runIp(line: string, host: ShellHost): string | null {
  if (line.startsWith('ip tcp_metrics')) {
    host.forgetHosts();
    return null;
  }
  const mtu = /^ip link set (?:dev )?\S+ mtu (\d+)$/.exec(line)?.[1];
  if (mtu === undefined) return `'${line}': of ip, only 'ip link set dev tun0 mtu N' is known here`;
  return host.setMtu(Number(mtu)) ? null : 'the MTU can be set before the first event only';
}

/** Disciplines: `fq` paces, `limit 0` drops everything. */
function runTc(line: string, host: ShellHost): string | null {
  if (!line.startsWith('tc qdisc ')) return `'${line}': of tc, only 'tc qdisc' is known here`;
  if (/\b(?:add|replace)\b/.test(line)) {
    host.setPacing(/\bfq\b/.test(line));
    host.setLinkFull(/\blimit 0\b/.test(line));
  }
  return null;
}

function runDd(words: readonly string[], host: ShellHost): string | null {
  const values = new Map(words.map((word) => word.split('=') as [string, string]));
  const path = values.get('of');
  if (path === undefined) return "dd without 'of=': name the file";
  host.makeFile(path, Number(values.get('bs') ?? 512) * Number(values.get('count') ?? 1));
  return null;
}

function splitWords(line: string): string[] {
  return [...line.matchAll(/(?:[^\s"']|"[^"]*"|'[^']*')+/g)].map(([word]) => word.replaceAll(/["']/g, ''));
}

/** Replaces `$((15*1024*1024))` and `0x3` by decimal numbers. */
function arithmetic(text: string): string {
  return text
    .replace(/\$\(\(([0-9*+\s]+)\)\)/g, (_, sum: string) => {
      const terms = sum
        .split('+')
        .map((term) => term.split('*').reduce((product, factor) => product * Number(factor), 1));
      return String(terms.reduce((total, term) => total + term, 0));
    })
    .replace(/\b0x[0-9a-fA-F]+\b/g, (digits) => String(Number(digits)));
}
