import type { IpAddress } from '../../wire/address.ts';
import type { TcpConfig } from './config.ts';
import type { TcpConnection } from './connection.ts';
import type { TcpCounters } from './counters.ts';
import {
  FAST_OPEN_CLIENT,
  FAST_OPEN_CLIENT_NO_COOKIE,
  FAST_OPEN_FAIL_NO_COOKIE,
  FAST_OPEN_FAIL_NOT_ACKNOWLEDGED,
  FAST_OPEN_FAIL_SYN_REPEATED,
  FastOpen,
} from './fast-open.ts';
import type { Segment } from './segment.ts';

/** Hosts remembered; beyond it, the one that was used longest ago is forgotten. */
const MAX_HOSTS = 1024;
/** A pause after a black hole doubles this often at most (as Linux: 64 times the first). */
const MAX_DOUBLINGS = 6;
/** After several SYNs with data were lost on the way to one host, it is left in peace for a while (as Linux). */
const TOLERATED_SYN_LOSSES = 2;
const SYN_LOSS_PAUSE_MICROS = 60_000_000;
/** Room left for options that a middlebox may add to a SYN with data. */
const OPTION_SPACE_BYTES = 40;
/** Timeouts in a row, during the handshake or behind it, that look like a black hole. */
const BLACK_HOLE_TIMEOUTS = 3;

const NO_COOKIE = new Uint8Array(0);

/** What is known of a host that we connect to (RFC 7413 §4.1.3.1). */
class HostEntry {
  cookie: Uint8Array = NO_COOKIE;
  isExperimental = false;
  /** Forms that were not answered: after the standard one (1) the experimental one is tried, once (2), as in Linux. */
  refusedForms = 0;
  /** Its own MSS, for the size of a SYN's data. */
  mss = 0;
  synLosses = 0;
  lastSynLossMicros = 0;
}

/** The client's part of Fast Open: cookies, and when not to use them. */
export class FastOpenClient {
  readonly #config: TcpConfig;
  readonly #counters: TcpCounters;
  readonly #hosts = new Map<string, HostEntry>();
  #pausedSinceMicros = 0;
  #pauses = 0;

  constructor(config: TcpConfig, counters: TcpCounters) {
    this.#config = config;
    this.#counters = counters;
  }

  /** Hosts remembered. */
  get size(): number {
    return this.#hosts.size;
  }

  /** Forgets every cookie, as one who moves to another network may want. */
  forgetHosts(): void {
    this.#hosts.clear();
  }

  /** Decides what the SYN of a connection is to do: wait for data, ask for a cookie, or neither. */
  begin(connection: TcpConnection, nowMicros: number): void {
    if ((this.#config.fastOpen & FAST_OPEN_CLIENT) === 0) return;
    const state = new FastOpen();
    state.isClient = true;
    connection.fastOpen = state;
    if (this.#isPaused(nowMicros)) {
      state.clientFail = FAST_OPEN_FAIL_NO_COOKIE;
      return;
    }
    state.isTrial = this.#pauses > 0;
    const host = this.#hosts.get(connection.remoteAddress.toString());
    if (host !== undefined && isResting(host, nowMicros)) {
      state.clientFail = FAST_OPEN_FAIL_NO_COOKIE;
      return;
    }
    const mss = host !== undefined && host.mss > 0 ? Math.min(host.mss, connection.receiver.advertisedMss) : 0;
    state.synSpaceBytes = (mss > 0 ? mss : connection.receiver.advertisedMss) - OPTION_SPACE_BYTES;
    if ((this.#config.fastOpen & FAST_OPEN_CLIENT_NO_COOKIE) !== 0 || connection.options.fastOpenNoCookie) {
      state.isDeferred = true;
      return;
    }
    state.hasAsked = true;
    if (host === undefined || host.cookie.length === 0) {
      state.cookie = NO_COOKIE;
      state.isExperimental = host?.refusedForms === 1;
      state.clientFail = FAST_OPEN_FAIL_NO_COOKIE;
      return;
    }
    state.cookie = host.cookie;
    state.isExperimental = host.isExperimental;
    state.isDeferred = true;
  }

  /**
   * The SYN-ACK is here (RFC 7413 §4.1.3 and 4.2.1).
   * @param ackedBytes of the SYN's data.
   */
  finish(connection: TcpConnection, segment: Segment, ackedBytes: number, nowMicros: number): void {
    const state = connection.fastOpen!;
    const { options } = segment;
    const isRepeated = connection.handshake.retries > 0;
    const brought = state.hasAsked && options.fastOpenBytes > 0;
    if (brought) {
      const host = this.#remember(connection.remoteAddress);
      host.cookie = options.fastOpenCookie.slice(0, options.fastOpenBytes);
      host.isExperimental = options.fastOpenIsExperimental;
    }
    if (state.hasAsked || state.synBytes > 0) {
      const host = this.#remember(connection.remoteAddress);
      if (options.mss > 0) host.mss = options.mss;
      if (isRepeated && !brought && ackedBytes < state.synBytes) {
        // Only the plain SYN got through: something on the way does not like the other.
        host.synLosses++;
        host.lastSynLossMicros = nowMicros;
      } else if (!isRepeated) {
        host.synLosses = 0;
        if (!brought && state.synBytes === 0)
          host.refusedForms = Math.max(host.refusedForms, state.isExperimental ? 2 : 1);
      }
    }
    if (state.synBytes === 0) return;
    if (ackedBytes < state.synBytes) {
      state.clientFail = isRepeated ? FAST_OPEN_FAIL_SYN_REPEATED : FAST_OPEN_FAIL_NOT_ACKNOWLEDGED;
      this.#counters.fastOpenActiveFailed++;
    } else {
      state.dataAcknowledged = true;
      this.#counters.fastOpenActive++;
    }
  }

  /** Payload has come on a connection that was opened fast: the way is not black, and the back-off ends. */
  succeeded(connection: TcpConnection): void {
    if (!connection.fastOpen!.isTrial) return;
    connection.fastOpen!.isTrial = false;
    this.#pauses = 0;
  }

  /** A timeout of a connection that was opened fast. */
  timedOut(connection: TcpConnection, timeouts: number, nowMicros: number): void {
    const state = connection.fastOpen!;
    if ((state.synBytes > 0 || state.dataAcknowledged) && timeouts === BLACK_HOLE_TIMEOUTS) this.pause(nowMicros);
  }

  /** A FIN or a reset ahead of all data: what was sent between is missing. */
  heardLittle(connection: TcpConnection, nowMicros: number): void {
    if (connection.fastOpen!.synBytes > 0 && connection.receiver.bytesReceived === 0) this.pause(nowMicros);
  }

  /**
   * RFC 7413 §7.3.1: middleboxes may swallow what follows such a handshake. Fast Open pauses for everybody: an hour the
   * first time, then twice as long each time.
   */
  pause(nowMicros: number): void {
    if (this.#config.fastOpenBlackholeMicros === 0) return;
    this.#pausedSinceMicros = nowMicros;
    this.#pauses++;
    this.#counters.fastOpenBlackHoles++;
  }

  #isPaused(nowMicros: number): boolean {
    if (this.#pauses === 0 || this.#config.fastOpenBlackholeMicros === 0) return false;
    const factor = 2 ** Math.min(this.#pauses - 1, MAX_DOUBLINGS);
    return nowMicros < this.#pausedSinceMicros + factor * this.#config.fastOpenBlackholeMicros;
  }

  /** The entry of a host, as the one used last. */
  #remember(address: IpAddress): HostEntry {
    const name = address.toString();
    const host = this.#hosts.get(name) ?? new HostEntry();
    this.#hosts.delete(name);
    this.#hosts.set(name, host);
    if (this.#hosts.size > MAX_HOSTS) {
      const [oldest] = this.#hosts.keys();
      this.#hosts.delete(oldest!);
    }
    return host;
  }
}

function isResting(host: HostEntry, nowMicros: number): boolean {
  if (host.synLosses < TOLERATED_SYN_LOSSES) return false;
  return nowMicros - host.lastSynLossMicros < SYN_LOSS_PAUSE_MICROS * 2 ** Math.min(host.synLosses, MAX_DOUBLINGS);
}
