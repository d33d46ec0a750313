import { ERRNO } from '../../src/core/errno.ts';
import type { Expression } from './script.ts';
import type { ScriptSocket } from './sockets.ts';
import { CallError, fieldsOf, itemsOf, numberOf, wordOf } from './values.ts';

/** Options that change nothing here: of addresses, routes and queues that this host does not have. */
const WITHOUT_EFFECT = new Set([
  'SO_REUSEADDR',
  'SO_REUSEPORT',
  'SO_MARK',
  'SO_PRIORITY',
  'SO_DEBUG',
  'SO_BROADCAST',
  'SO_DONTROUTE',
  'IP_FREEBIND',
  'IP_RECVERR',
  'IPV6_RECVERR',
  'IPV6_V6ONLY',
  'IP_MTU_DISCOVER',
  'IPV6_MTU_DISCOVER',
]);
const TX_SOFTWARE = 2;
const SOFTWARE = 16;
const OPT_ID = 128;
const TX_SCHED = 256;
const TX_ACK = 512;

interface Host {
  complain(problem: string): void;
}

/** `setsockopt(fd, level, name, value, size)`. */
export function setOption(socket: ScriptSocket, items: readonly Expression[]): number {
  const name = wordOf(items[2], 'the option');
  const value = items[3];
  if (WITHOUT_EFFECT.has(name)) return 0;
  switch (name) {
    case 'SO_ZEROCOPY':
      socket.isZeroCopyAllowed = numberOf(value, 'the value') !== 0;
      return 0;
    case 'TCP_INQ':
      socket.inq = numberOf(value, 'the value') !== 0;
      return 0;
    case 'SO_TIMESTAMPING':
      return setTimestamping(socket, numberOf(value, 'the value'));
    case 'SO_LINGER': {
      const fields = value?.kind === 'array' ? fieldsOf(value.items[0], 'the value') : fieldsOf(value, 'the value');
      const enabled = numberOf(fields.get('onoff'), 'onoff') !== 0;
      return socket.setOption(name, { enabled, seconds: numberOf(fields.get('linger'), 'linger') });
    }
    case 'TCP_FASTOPEN_KEY':
      return setFastOpenKey(socket, value, numberOf(items[4], 'the size'));
    default:
      if (value?.kind === 'string') return socket.setOption(name, value.text);
      return socket.setOption(name, numberOf(value, 'the value'));
  }
}

/** `getsockopt(fd, level, name, [expected], [size])`. */
export function getOption(socket: ScriptSocket, items: readonly Expression[], host: Host): number {
  const name = wordOf(items[2], 'the option');
  const wanted = items[3];
  if (name === 'SO_ERROR') {
    compare(host, -socket.takeErrno(), numberOf(wanted, 'the value'));
    return 0;
  }
  const value = socket.option(name);
  if (value === undefined) {
    throw new CallError(`the option '${name}' is not known here; leave it out`);
  }
  if (wanted?.kind === 'string') {
    if (value !== wanted.text) host.complain(`the value is not '${wanted.text}'`);
  } else if (wanted?.kind === 'array' && itemsOf(wanted, 'the value').length === 1) {
    compare(host, Number(value), numberOf(wanted, 'the value'));
  }
  return 0;
}

function compare(host: Host, actual: number, wanted: number): void {
  if (actual !== wanted) host.complain(`the value is ${actual}, not ${wanted}`);
}

function setTimestamping(socket: ScriptSocket, flags: number): number {
  const { errors, connection } = socket;
  const isReported = (flags & SOFTWARE) !== 0;
  errors.reportsScheduled = isReported && (flags & TX_SCHED) !== 0;
  errors.reportsSent = isReported && (flags & TX_SOFTWARE) !== 0;
  errors.reportsAcknowledged = isReported && (flags & TX_ACK) !== 0;
  // Keys count from the bytes that were not acknowledged when SOF_TIMESTAMPING_OPT_ID was set.
  if ((flags & OPT_ID) !== 0) errors.timestampBase = Math.max(0, connection?.sender.unaOffset ?? 0);
  return 0;
}

function setFastOpenKey(socket: ScriptSocket, value: Expression | undefined, size: number): number {
  if (size !== 16 && size !== 32) return -ERRNO.EINVAL;
  const text = value?.kind === 'string' ? value.text : '';
  return socket.setOption(
    'TCP_FASTOPEN_KEY',
    Uint8Array.from({ length: size }, (_, i) => text.charCodeAt(i) & 0xff),
  );
}
