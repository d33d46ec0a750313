import { ERRNO } from '../../core/errno.ts';
import type { TcpConfig } from './config.ts';
import type { CongestionName } from './congestion/controller.ts';
import { CONGESTION_NAMES } from './congestion/make.ts';
import { FAST_OPEN_KEY_BYTES } from './fast-open.ts';

const MICROS_PER_SECOND = 1_000_000;
const MICROS_PER_MS = 1000;
const MAX_INT = 0x7fff_ffff;
const MIN_INT = -0x8000_0000;
const MAX_UINT = 0xffff_ffff;
/** MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL, MAX_TCP_KEEPCNT, MAX_TCP_SYNCNT (Linux, include/net/tcp.h). */
const MAX_KEEPALIVE_SECONDS = 32_767;
const MAX_COUNT = 127;
const MAX_RETRIES = 255;
/** TCP_MIN_MSS and MAX_TCP_WINDOW. */
const MIN_USER_MSS = 88;
const MAX_USER_MSS = 32_767;
/** TCP_FIN_TIMEOUT_MAX. */
const MAX_LINGER2_SECONDS = 120;
/** What Linux leaves a socket at least: SOCK_MIN_RCVBUF and SOCK_MIN_SNDBUF, of which half is for payload. */
const MIN_BUFFER_BYTES = 2304;

/** SO_LINGER (struct linger). */
export interface Linger {
  /** Off: `close` returns and the connection ends in the background. */
  enabled: boolean;
  /** Longest wait of `close`; 0: `close` resets the connection. */
  seconds: number;
}

/**
 * What a socket's options say where they can differ from the configuration. A connection refers to the set of its
 * layer or of its listener until one of its own is changed: nobody pays for options left alone.
 */
export class SocketOptions {
  /** Others refer to it too: who wants to change it makes a copy first. */
  isShared = true;
  noDelay = false;
  cork = false;
  /** TCP_MAXSEG: announced, and kept to; 0: the path's. */
  maxSegmentBytes = 0;
  keepalive = false;
  keepaliveIdleMicros: number;
  keepaliveIntervalMicros: number;
  keepaliveProbes: number;
  userTimeoutMicros: number;
  synRetries: number;
  /** FIN-WAIT-2 after `close`; below 0: none. */
  finWait2Micros: number;
  /** SYN-ACKs repeated while a handshake waits for data; 0: off. */
  deferAcceptRetries = 0;
  /** The most that a window may offer; 0: no limit but the buffer's. */
  windowClampBytes = 0;
  congestion: CongestionName;
  /** Unsent bytes from which on the socket counts as not writable; 0: as the configuration says. */
  notSentLowatBytes = 0;
  /** Length of the queue of Fast Open connections; 0: a listener takes none. */
  fastOpenQueue = 0;
  /** Of a listener's cookies: 16 bytes, or 32 with a key that is still taken; null: the layer's. */
  fastOpenKey: Uint8Array | null = null;
  fastOpenConnect = false;
  fastOpenNoCookie = false;
  inq = false;
  /** SO_LINGER; below 0: off. */
  lingerSeconds = -1;
  /** The most that may lie unread, and how much of it the window begins with. */
  receiveBufferBytes: number;
  receiveBufferInitialBytes: number;
  /** The application has named the size: no tuning. */
  isReceiveBufferFixed = false;
  sendBufferBytes: number;
  sendBufferInitialBytes: number;
  isSendBufferFixed = false;
  /** SO_RCVLOWAT: bytes from which on the socket counts as readable. */
  receiveLowatBytes = 1;
  maxPacingBytesPerSecond: number = Number.POSITIVE_INFINITY;
  /** DSCP, in the upper six bits; the lower two are ECN's. */
  trafficClass = 0;
  /** IP_TTL, IPV6_UNICAST_HOPS; 0: the stack's. */
  hopLimit = 0;
  minRtoMicros: number;
  maxRtoMicros: number;
  maxDelayedAckMicros: number;
  thinLinearTimeouts = false;

  constructor(config: Readonly<TcpConfig>) {
    this.keepaliveIdleMicros = config.keepaliveIdleMicros;
    this.keepaliveIntervalMicros = config.keepaliveIntervalMicros;
    this.keepaliveProbes = config.keepaliveProbes;
    this.userTimeoutMicros = config.userTimeoutMicros;
    this.synRetries = config.synRetries;
    this.finWait2Micros = config.finWait2Micros;
    this.congestion = config.congestion;
    this.receiveBufferBytes = config.receiveBufferBytes;
    this.receiveBufferInitialBytes = Math.min(config.receiveBufferInitialBytes, config.receiveBufferBytes);
    this.sendBufferBytes = config.sendBufferBytes;
    this.sendBufferInitialBytes = Math.min(config.sendBufferInitialBytes, config.sendBufferBytes);
    this.minRtoMicros = config.minRtoMicros;
    this.maxRtoMicros = config.maxRtoMicros;
    this.maxDelayedAckMicros = config.maxDelayedAckMicros;
  }

  /** One that may be changed: itself, unless others refer to it. */
  own(config: Readonly<TcpConfig>): SocketOptions {
    if (!this.isShared) return this;
    const copy = this.copy(config);
    copy.isShared = false;
    return copy;
  }

  copy(config: Readonly<TcpConfig>): SocketOptions {
    return Object.assign(new SocketOptions(config), this);
  }
}

/** Options by their usual names, and what they are set to: integers in the units of tcp(7), socket(7) and ip(7). */
export interface SocketOptionValues {
  /** Send small segments at once (RFC 896 off). */
  TCP_NODELAY: number;
  /** Hold segments that are not full, for 200 ms at most, until switched off. */
  TCP_CORK: number;
  /** Bytes of payload in a segment at most, 88 to 32767; 0: what the path takes. Read: of the connection now. */
  TCP_MAXSEG: number;
  /** Seconds of silence before the first keepalive probe, 1 to 32767. */
  TCP_KEEPIDLE: number;
  /** Seconds between probes, 1 to 32767. */
  TCP_KEEPINTVL: number;
  /** Unanswered probes that end the connection, 1 to 127. */
  TCP_KEEPCNT: number;
  /** Milliseconds that data may stay unacknowledged (RFC 5482); 0: as long as there are retries. */
  TCP_USER_TIMEOUT: number;
  /** SYNs sent again before `connect` fails, 1 to 127. */
  TCP_SYNCNT: number;
  /** Seconds in FIN-WAIT-2 after `close`, 120 at most; below 0: none. */
  TCP_LINGER2: number;
  /** Seconds that an accepted connection may wait for its first data before `accept` gets it. */
  TCP_DEFER_ACCEPT: number;
  /** Bytes of receive window offered at most. */
  TCP_WINDOW_CLAMP: number;
  /** Acknowledge at once, until the exchange looks interactive again; 0: delay. */
  TCP_QUICKACK: number;
  TCP_CONGESTION: CongestionName;
  /** Bytes not yet sent from which on the socket is not writable. */
  TCP_NOTSENT_LOWAT: number;
  /** A listener: connections that may wait with data in their SYN (RFC 7413). */
  TCP_FASTOPEN: number;
  /** A listener: 16 bytes that its cookies are made of, or 32: then those of the second half are still taken. */
  TCP_FASTOPEN_KEY: Uint8Array;
  /** `connect` waits for data to send in the SYN. */
  TCP_FASTOPEN_CONNECT: number;
  TCP_FASTOPEN_NO_COOKIE: number;
  /** `Message.inq` says how many bytes are left to read. */
  TCP_INQ: number;
  /** Longest wait between retransmissions, in milliseconds, 1000 to 120000. */
  TCP_RTO_MAX_MS: number;
  /** Shortest, in microseconds, to 200000. */
  TCP_RTO_MIN_US: number;
  /** Longest delay of an acknowledgment, in microseconds, to 200000. */
  TCP_DELACK_MAX_US: number;
  /** Retransmit a thin stream without exponential backoff (the first six times). */
  TCP_THIN_LINEAR_TIMEOUTS: number;
  /** Accepted and without effect, as in Linux: RACK has replaced it. */
  TCP_THIN_DUPACK: number;
  SO_KEEPALIVE: number;
  SO_LINGER: Linger;
  /** Bytes to hold unread; switches window tuning off. Read: twice of it, as Linux counts its bookkeeping. */
  SO_RCVBUF: number;
  /** Bytes to hold unacknowledged; switches tuning off. Read: twice of it. */
  SO_SNDBUF: number;
  /** Bytes from which on the socket is readable; no more than its buffer holds. */
  SO_RCVLOWAT: number;
  /** Bytes per second at most; 2^32 - 1: no limit. */
  SO_MAX_PACING_RATE: number;
  /** Type of service (DSCP); the two bits of ECN are TCP's own. */
  IP_TOS: number;
  IPV6_TCLASS: number;
  /** Hop limit, 1 to 255; -1: the default. */
  IP_TTL: number;
  IPV6_UNICAST_HOPS: number;
}

export type SocketOptionName = keyof SocketOptionValues;

interface Rule<Value> {
  /** Stores a value. @returns 0 or a negative errno. */
  set(options: SocketOptions, value: Value, config: Readonly<TcpConfig>): number;
  get(options: SocketOptions): Value;
}

type Rules = { readonly [Name in SocketOptionName]: Rule<SocketOptionValues[Name]> };

/** Options that are fields without a limit but `least` and `most`, in units of `scale` of the field's. */
type NumberField = {
  [Field in keyof SocketOptions]: SocketOptions[Field] extends number ? Field : never;
}[keyof SocketOptions];
type FlagField = {
  [Field in keyof SocketOptions]: SocketOptions[Field] extends boolean ? Field : never;
}[keyof SocketOptions];

function ranged(field: NumberField, least: number, most: number, scale = 1): Rule<number> {
  return {
    set(options, value) {
      if (value < least || value > most) return -ERRNO.EINVAL;
      options[field] = value * scale;
      return 0;
    },
    get: (options) => Math.floor(options[field] / scale),
  };
}

/** Any value but 0 switches it on, unless the kernel takes 0 and 1 only. */
function flag(field: FlagField, isStrict = false): Rule<number> {
  return {
    set(options, value) {
      if (isStrict && (value < 0 || value > 1)) return -ERRNO.EINVAL;
      options[field] = value !== 0;
      return 0;
    },
    get: (options) => (options[field] ? 1 : 0),
  };
}

const trafficClass: Rule<number> = {
  set(options, value) {
    if (value < -1 || value > 255) return -ERRNO.EINVAL;
    options.trafficClass = value < 0 ? 0 : value & ~3; // RFC 3168 §5: a stream's ECN bits are not the application's
    return 0;
  },
  get: (options) => options.trafficClass,
};

const hopLimit: Rule<number> = {
  set(options, value) {
    if (value !== -1 && (value < 1 || value > 255)) return -ERRNO.EINVAL;
    options.hopLimit = Math.max(0, value);
    return 0;
  },
  get: (options) => options.hopLimit,
};

const RULES: Rules = {
  TCP_NODELAY: flag('noDelay'),
  TCP_CORK: flag('cork'),
  TCP_MAXSEG: {
    set(options, value) {
      if (value !== 0 && (value < MIN_USER_MSS || value > MAX_USER_MSS)) return -ERRNO.EINVAL;
      options.maxSegmentBytes = value;
      return 0;
    },
    get: (options) => options.maxSegmentBytes,
  },
  TCP_KEEPIDLE: ranged('keepaliveIdleMicros', 1, MAX_KEEPALIVE_SECONDS, MICROS_PER_SECOND),
  TCP_KEEPINTVL: ranged('keepaliveIntervalMicros', 1, MAX_KEEPALIVE_SECONDS, MICROS_PER_SECOND),
  TCP_KEEPCNT: ranged('keepaliveProbes', 1, MAX_COUNT),
  TCP_USER_TIMEOUT: ranged('userTimeoutMicros', 0, MAX_INT, MICROS_PER_MS),
  TCP_SYNCNT: ranged('synRetries', 1, MAX_COUNT),
  TCP_LINGER2: {
    set(options, value) {
      options.finWait2Micros = value < 0 ? -1 : Math.min(value, MAX_LINGER2_SECONDS) * MICROS_PER_SECOND;
      return 0;
    },
    get: (options) => (options.finWait2Micros < 0 ? -1 : Math.floor(options.finWait2Micros / MICROS_PER_SECOND)),
  },
  TCP_DEFER_ACCEPT: {
    set(options, value, config) {
      options.deferAcceptRetries = secondsToRetries(value, config);
      return 0;
    },
    get: (options) => retriesToSeconds(options.deferAcceptRetries, options),
  },
  TCP_WINDOW_CLAMP: {
    set(options, value) {
      options.windowClampBytes = value === 0 ? 0 : Math.max(value, MIN_BUFFER_BYTES / 2);
      return 0;
    },
    get: (options) => options.windowClampBytes,
  },
  TCP_QUICKACK: { set: () => 0, get: () => 1 },
  TCP_CONGESTION: {
    set(options, value) {
      if (!CONGESTION_NAMES.includes(value)) return -ERRNO.ENOENT;
      options.congestion = value;
      return 0;
    },
    get: (options) => options.congestion,
  },
  TCP_NOTSENT_LOWAT: {
    set(options, value) {
      options.notSentLowatBytes = value >>> 0;
      return 0;
    },
    get: (options) => options.notSentLowatBytes,
  },
  TCP_FASTOPEN: ranged('fastOpenQueue', 0, MAX_INT),
  TCP_FASTOPEN_KEY: {
    set(options, value) {
      options.fastOpenKey = value.slice();
      return 0;
    },
    get: (options) => options.fastOpenKey?.slice() ?? new Uint8Array(0),
  },
  TCP_FASTOPEN_CONNECT: {
    set(options, value, config) {
      if (value < 0 || value > 1) return -ERRNO.EINVAL;
      if ((config.fastOpen & 1) === 0) return -ERRNO.EOPNOTSUPP;
      options.fastOpenConnect = value === 1;
      return 0;
    },
    get: (options) => (options.fastOpenConnect ? 1 : 0),
  },
  TCP_FASTOPEN_NO_COOKIE: flag('fastOpenNoCookie', true),
  TCP_INQ: flag('inq', true),
  TCP_RTO_MAX_MS: ranged('maxRtoMicros', 1000, 120_000, MICROS_PER_MS),
  TCP_RTO_MIN_US: ranged('minRtoMicros', MICROS_PER_MS, 200_000),
  TCP_DELACK_MAX_US: ranged('maxDelayedAckMicros', MICROS_PER_MS, 200_000),
  TCP_THIN_LINEAR_TIMEOUTS: flag('thinLinearTimeouts', true),
  TCP_THIN_DUPACK: { set: (_options, value) => (value < 0 || value > 1 ? -ERRNO.EINVAL : 0), get: () => 0 },
  SO_KEEPALIVE: flag('keepalive'),
  SO_LINGER: {
    set(options, value) {
      options.lingerSeconds = value.enabled ? Math.max(0, value.seconds) : -1;
      return 0;
    },
    get: ({ lingerSeconds }) => ({ enabled: lingerSeconds >= 0, seconds: Math.max(0, lingerSeconds) }),
  },
  SO_RCVBUF: {
    set(options, value, config) {
      const bytes = Math.max(Math.min(value, config.receiveBufferBytes), MIN_BUFFER_BYTES / 2);
      options.receiveBufferBytes = bytes;
      options.receiveBufferInitialBytes = bytes;
      options.isReceiveBufferFixed = true;
      return 0;
    },
    get: (options) => 2 * options.receiveBufferInitialBytes,
  },
  SO_SNDBUF: {
    set(options, value, config) {
      const bytes = Math.max(Math.min(value, config.sendBufferBytes), MIN_BUFFER_BYTES);
      options.sendBufferBytes = bytes;
      options.sendBufferInitialBytes = bytes;
      options.isSendBufferFixed = true;
      return 0;
    },
    get: (options) => 2 * options.sendBufferInitialBytes,
  },
  SO_RCVLOWAT: {
    set(options, value) {
      const bytes = value < 0 ? MAX_INT : Math.max(value, 1);
      options.receiveLowatBytes = Math.min(bytes, options.receiveBufferBytes); // tcp_set_rcvlowat: no more than is ever there
      return 0;
    },
    get: (options) => options.receiveLowatBytes,
  },
  SO_MAX_PACING_RATE: {
    set(options, value) {
      options.maxPacingBytesPerSecond = value < 0 || value === MAX_UINT ? Number.POSITIVE_INFINITY : value;
      return 0;
    },
    get: (options) => Math.min(options.maxPacingBytesPerSecond, MAX_UINT),
  },
  IP_TOS: trafficClass,
  IPV6_TCLASS: trafficClass,
  IP_TTL: hopLimit,
  IPV6_UNICAST_HOPS: hopLimit,
};

/** Whether there is an option of that name that can be set. */
export function isSocketOption(name: string): name is SocketOptionName {
  return Object.hasOwn(RULES, name);
}

/**
 * Stores one option.
 * @returns 0, or a negative errno: ENOPROTOOPT unknown name, EINVAL out of range or not an integer, ENOENT unknown
 *   congestion control, EOPNOTSUPP switched off by the configuration. Source: do_tcp_setsockopt (Linux, net/ipv4/tcp.c).
 */
export function storeOption(options: SocketOptions, name: string, value: unknown, config: Readonly<TcpConfig>): number {
  if (!isSocketOption(name)) return -ERRNO.ENOPROTOOPT;
  if (!isValueOf(name, value)) return -ERRNO.EINVAL;
  const rule = RULES[name] as Rule<unknown>;
  return rule.set(options, typeof value === 'boolean' ? Number(value) : value, config);
}

/** What `storeOption` stored, or the default. */
export function storedOption<Name extends SocketOptionName>(
  options: SocketOptions,
  name: Name,
): SocketOptionValues[Name] {
  return RULES[name].get(options);
}

function isValueOf(name: SocketOptionName, value: unknown): boolean {
  switch (name) {
    case 'TCP_CONGESTION':
      return typeof value === 'string';
    case 'TCP_FASTOPEN_KEY':
      return (
        value instanceof Uint8Array &&
        (value.length === FAST_OPEN_KEY_BYTES || value.length === 2 * FAST_OPEN_KEY_BYTES)
      );
    case 'SO_LINGER':
      return isLinger(value);
    case 'SO_MAX_PACING_RATE':
      return Number.isSafeInteger(value);
    default:
      // What an int or an unsigned int can say.
      return typeof value === 'boolean' || isIntegerWithin(value, MIN_INT, MAX_UINT);
  }
}

function isLinger(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { enabled, seconds } = value as Partial<Linger>;
  return typeof enabled === 'boolean' && isIntegerWithin(seconds, 0, MAX_INT);
}

function isIntegerWithin(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
}

/** How many repetitions, each after twice the time of the one before, it takes to last that long (TCP_DEFER_ACCEPT). */
function secondsToRetries(seconds: number, config: Readonly<TcpConfig>): number {
  let retries = 0;
  let waitMicros = config.initialRtoMicros;
  let lastedMicros = 0;
  while (lastedMicros < seconds * MICROS_PER_SECOND && retries < MAX_RETRIES) {
    lastedMicros += waitMicros;
    waitMicros = Math.min(waitMicros * 2, config.maxRtoMicros);
    retries++;
  }
  return retries;
}

function retriesToSeconds(retries: number, options: SocketOptions): number {
  let seconds = 0;
  let wait = 1;
  for (let i = 0; i < retries; i++) {
    seconds += wait;
    wait = Math.min(wait * 2, options.maxRtoMicros / MICROS_PER_SECOND);
  }
  return seconds;
}
