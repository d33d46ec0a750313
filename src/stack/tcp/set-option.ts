import { ERRNO } from '../../core/errno.ts';
import type { TcpConfig } from './config.ts';
import type { TcpConnection } from './connection.ts';
import type { TcpListener } from './listener.ts';
import { isSocketOption, storedOption, storeOption, type SocketOptionName } from './options.ts';
import { changeSegmentSize } from './path-mtu.ts';
import { EVENT_READABLE, EVENT_WRITABLE } from './state.ts';
import { isSendable, sendLimitBytes } from './send-buffer.ts';

/** A reader that waits for this much wants twice of it, or it would never fill up in one go. */
const LOWAT_BUFFERS = 2;
/** Options that have a say only before a connection exists. */
const BEFORE_OPENING: ReadonlySet<string> = new Set<SocketOptionName>([
  'TCP_FASTOPEN',
  'TCP_FASTOPEN_KEY',
  'TCP_FASTOPEN_CONNECT',
  'TCP_FASTOPEN_NO_COOKIE',
]);

/** Sets an option of a connection and lets it take effect. @returns 0 or a negative errno. */
export function setOption(connection: TcpConnection, name: string, value: unknown, nowMicros: number): number {
  const { config } = connection.layer;
  if (BEFORE_OPENING.has(name)) return -ERRNO.EINVAL;
  if (name === 'TCP_WINDOW_CLAMP' && value === 0 && connection.state !== 'CLOSED') return -ERRNO.EINVAL;
  const options = connection.options.own(config);
  const verdict = storeOption(options, name, value, config);
  if (verdict < 0) return verdict;
  connection.options = options;
  if (connection.state === 'CLOSED') return 0;
  takeEffect(connection, name as SocketOptionName, Number(value), nowMicros);
  connection.touch();
  return 0;
}

/** Sets an option of a listener. Connections that exist keep what they began with. @returns 0 or a negative errno. */
export function setListenerOption(
  listener: TcpListener,
  config: Readonly<TcpConfig>,
  name: string,
  value: unknown,
): number {
  if (name === 'TCP_FASTOPEN_CONNECT' || (name === 'TCP_WINDOW_CLAMP' && value === 0)) return -ERRNO.EINVAL;
  const options = listener.options.copy(config);
  const verdict = storeOption(options, name, value, config);
  if (verdict < 0) return verdict;
  listener.options = options;
  if (name === 'TCP_FASTOPEN_KEY') listener.useFastOpenKey(options.fastOpenKey);
  return 0;
}

/** The value of an option as the connection has it now, or -ENOPROTOOPT. */
export function option(connection: TcpConnection, name: string, nowMicros: number): unknown {
  const { receiver } = connection;
  switch (name) {
    case 'TCP_INFO':
      return connection.info(nowMicros);
    case 'SO_ERROR':
      return connection.takeError();
    case 'TCP_MAXSEG':
      return connection.segmentBytes;
    case 'TCP_QUICKACK':
      return receiver.ackTiming?.isInteractive === true ? 0 : 1;
    case 'TCP_CONGESTION':
      return connection.sender.congestion.name;
    case 'SO_RCVBUF':
      return 2 * receiver.window.limitBytes;
    case 'SO_SNDBUF':
      return 2 * sendLimitBytes(connection);
    default:
      return isSocketOption(name) ? storedOption(connection.options, name) : -ERRNO.ENOPROTOOPT;
  }
}

function takeEffect(connection: TcpConnection, name: SocketOptionName, value: number, nowMicros: number): void {
  const { options, sender, receiver } = connection;
  switch (name) {
    case 'TCP_NODELAY':
      sender.noDelay = options.noDelay;
      if (options.noDelay) push(connection);
      return;
    case 'TCP_CORK':
      if (!options.cork) push(connection);
      return;
    case 'TCP_MAXSEG':
      changeSegmentSize(connection, nowMicros);
      return;
    case 'SO_KEEPALIVE':
    case 'TCP_KEEPIDLE':
      connection.keepalive.changed(nowMicros);
      return;
    case 'TCP_QUICKACK':
      quickAck(connection, value);
      return;
    case 'TCP_CONGESTION':
      sender.useController(options.congestion);
      return;
    case 'TCP_NOTSENT_LOWAT':
    case 'SO_SNDBUF':
      if (isSendable(connection)) connection.raise(EVENT_WRITABLE);
      return;
    case 'SO_RCVBUF':
      receiver.window.resize(options.receiveBufferInitialBytes, options.receiveBufferBytes);
      return;
    case 'TCP_WINDOW_CLAMP':
      receiver.window.clamp(options.windowClampBytes);
      return;
    case 'SO_RCVLOWAT':
      receiver.window.grow(LOWAT_BUFFERS * options.receiveLowatBytes);
      connection.raise(EVENT_READABLE);
      return;
    case 'TCP_RTO_MAX_MS':
    case 'TCP_RTO_MIN_US':
      sender.rtt.setLimits(options.minRtoMicros, options.maxRtoMicros);
      return;
    default:
  }
}

/** What is queued goes out as it is. */
function push(connection: TcpConnection): void {
  connection.hasMore = false;
  connection.pushOffset = connection.queuedOffset;
}

/** An even value other than 0 is for this once only, as in Linux. */
function quickAck(connection: TcpConnection, value: number): void {
  const { receiver } = connection;
  if (value === 0) {
    receiver.ackTiming?.setQuick(false);
    return;
  }
  receiver.ackTiming?.setQuick(value % 2 !== 0);
  if (receiver.ackDelayed) receiver.ackNow = true;
}
