import { ERRNO } from '../../src/core/errno.ts';
import { ORIGIN_TIMESTAMPING, type QueuedError } from './error-queue.ts';
import { START_MICROS } from './network.ts';
import type { Expression } from './script.ts';
import { BLOCKED, type CallResult, type ScriptSocket } from './sockets.ts';
import { CallError, fieldsOf, itemsOf, numberOf, numberOrAnything, vectorSizes, wordOf } from './values.ts';

const MSG_TRUNC = 0x20;
const MSG_ERRQUEUE = 0x2000;

interface Host {
  readonly toleranceMicros: number;
  complain(problem: string): void;
}

type Fields = ReadonlyMap<string, Expression>;

/** `recvmsg` of data: looks at TCP_CM_INQ if it was asked for. */
export function receiveMessage(socket: ScriptSocket, fields: Fields, flags: number, host: Host): CallResult {
  const length = vectorSizes(fields.get('msg_iov')).reduce((total, size) => total + size, 0);
  const result = socket.receive(length, flags);
  if (result === BLOCKED || result < 0) return result;
  const control = fields.get('msg_control');
  if (control === undefined) return result;
  for (const item of itemsOf(control, 'msg_control')) {
    const message = fieldsOf(item, 'a control message');
    const type = wordOf(message.get('cmsg_type'), 'cmsg_type');
    if (type !== 'TCP_CM_INQ') throw new CallError(`the control message '${type}' is not known here`);
    const wanted = numberOf(message.get('cmsg_data'), 'cmsg_data');
    if (!socket.inq) host.complain('there is no TCP_CM_INQ: TCP_INQ is off');
    else if (socket.inqBytes !== wanted) host.complain(`TCP_CM_INQ is ${socket.inqBytes}, not ${wanted}`);
  }
  return result;
}

/** `recvmsg` of the error queue. */
export function receiveError(socket: ScriptSocket, fields: Fields, host: Host): CallResult {
  socket.poll();
  const error = socket.errors.errors.shift();
  if (error === undefined) return -ERRNO.EAGAIN;
  const flags = numberOrAnything(fields.get('msg_flags'), 'msg_flags');
  const actualFlags = MSG_ERRQUEUE | (error.origin === ORIGIN_TIMESTAMPING ? MSG_TRUNC : 0);
  if (flags !== null && flags !== actualFlags) {
    host.complain(`msg_flags is 0x${actualFlags.toString(16)}, not 0x${flags.toString(16)}`);
  }
  const control = fields.get('msg_control');
  for (const item of control === undefined ? [] : itemsOf(control, 'msg_control')) {
    const message = fieldsOf(item, 'a control message');
    const data = fieldsOf(message.get('cmsg_data'), 'cmsg_data');
    if (data.has('scm_sec')) compareTime(error, data, host);
    else compareError(error, data, host);
  }
  return 0;
}

function compareError(error: QueuedError, data: Fields, host: Host): void {
  const actual: Readonly<Record<string, number>> = {
    ee_errno: error.errno,
    ee_origin: error.origin,
    ee_type: 0,
    ee_code: error.code,
    ee_info: error.info,
    ee_data: error.data,
  };
  for (const [name, expression] of data) {
    const wanted = numberOrAnything(expression, name);
    if (wanted !== null && wanted !== actual[name]) host.complain(`${name} is ${actual[name]}, not ${wanted}`);
  }
}

function compareTime(error: QueuedError, data: Fields, host: Host): void {
  if (error.micros === null) {
    host.complain('the message has no timestamp');
    return;
  }
  const wanted = numberOf(data.get('scm_sec'), 'scm_sec') * 1e6 + numberOf(data.get('scm_nsec'), 'scm_nsec') / 1000;
  const actual = error.micros - START_MICROS;
  if (Math.abs(actual - wanted) > host.toleranceMicros) {
    host.complain(`the timestamp is ${(actual / 1e6).toFixed(6)} s, not ${(wanted / 1e6).toFixed(6)} s`);
  }
}
