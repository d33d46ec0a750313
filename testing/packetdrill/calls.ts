import { ERRNO } from '../../src/core/errno.ts';
import type { Network } from './network.ts';
import { nextEvent, type Descriptor, type OpenFile } from './descriptors.ts';
import { receiveError, receiveMessage } from './messages.ts';
import type { CallAction, Expression } from './script.ts';
import { getOption, setOption } from './socket-options.ts';
import { BLOCKED, MSG_DONTWAIT, MSG_ERRQUEUE, MSG_FASTOPEN, ScriptSocket, type CallResult } from './sockets.ts';
import { CallError, fieldsOf, isNull, itemsOf, numberOf, vectorSizes } from './values.ts';

const O_NONBLOCK = 0x800;
const O_RDWR = 2;
const SOCK_NONBLOCK = 0x800;
const F_GETFL = 3;
const F_SETFL = 4;
const SIOCINQ = 0x541b;
const SIOCOUTQ = 0x5411;
const MAX_PIPE_BYTES = 65_536;
const LOCAL_PORT = 8080;

/** One look at a call: its result, or BLOCKED. */
export type Attempt = () => CallResult;

/** Told of what calls do to sockets, so that packets can be matched to connections. */
export interface CallHost {
  readonly network: Network;
  readonly files: Map<string, OpenFile>;
  readonly toleranceMicros: number;
  /** A new socket is what the script is about. */
  socketMade(socket: ScriptSocket): void;
  listening(socket: ScriptSocket): void;
  connecting(socket: ScriptSocket): void;
  /** It has a connection that `%{ }%` can ask about. */
  connected(socket: ScriptSocket): void;
  /** What a call answered besides its result is not what the script wants. */
  complain(problem: string): void;
}

/** The system calls of a script, on descriptors numbered as the script numbers them. */
export class Calls {
  readonly descriptors: Map<number, Descriptor> = new Map<number, Descriptor>();
  readonly #host: CallHost;

  constructor(host: CallHost) {
    this.#host = host;
  }

  /** All sockets that are open. */
  *sockets(): Iterable<ScriptSocket> {
    for (const descriptor of this.descriptors.values()) if (descriptor.kind === 'socket') yield descriptor.socket;
  }

  /**
   * Begins a call.
   * @throws CallError if it cannot be played.
   */
  begin(call: CallAction): Attempt {
    const handler = HANDLERS[call.name];
    if (handler === undefined) {
      throw new CallError(`the call '${call.name}' is not known here; add it to calls.ts, or leave it out`);
    }
    return handler(this, this.#host, call.arguments, call);
  }

  find(expression: Expression | undefined): Descriptor {
    const number = numberOf(expression, 'the descriptor');
    const descriptor = this.descriptors.get(number);
    if (descriptor === undefined) throw new CallError(`descriptor ${number} is not open`);
    return descriptor;
  }

  socket(expression: Expression | undefined): ScriptSocket {
    const descriptor = this.find(expression);
    if (descriptor.kind !== 'socket') throw new CallError('the descriptor is not a socket');
    return descriptor.socket;
  }

  /** Opens a descriptor under the number that the script expects. */
  open(call: CallAction, descriptor: Descriptor): number {
    const number = numberOf(call.result, 'the result');
    if (number < 0) return 0;
    this.descriptors.set(number, descriptor);
    return number;
  }
}

type Handler = (calls: Calls, host: CallHost, items: readonly Expression[], call: CallAction) => Attempt;

/** A call that never waits. */
function at(
  run: (calls: Calls, host: CallHost, items: readonly Expression[], call: CallAction) => CallResult,
): Handler {
  return (calls, host, items, call) => {
    const result = run(calls, host, items, call);
    return () => result;
  };
}

/** A call that is done as soon as it can be. */
function waiting(
  run: (calls: Calls, host: CallHost, items: readonly Expression[], call: CallAction) => CallResult,
): Handler {
  return (calls, host, items, call) => () => run(calls, host, items, call);
}

const HANDLERS: Readonly<Record<string, Handler>> = {
  socket: at((calls, host, items, call) => {
    const type = numberOf(items[1], 'the type of socket');
    if ((type & 0xf) !== 1) throw new CallError('only SOCK_STREAM is played here');
    const socket = new ScriptSocket(host.network);
    socket.isNonBlocking = (type & SOCK_NONBLOCK) !== 0;
    host.socketMade(socket);
    return calls.open(call, { kind: 'socket', socket });
  }),
  bind: at((calls, _host, items) => calls.socket(items[0]).bind(LOCAL_PORT)),
  listen: at((calls, host, items) => {
    const socket = calls.socket(items[0]);
    const result = socket.listen(numberOf(items[1], 'the backlog'));
    if (result === 0) host.listening(socket);
    return result;
  }),
  accept: waiting(accept),
  accept4: waiting(accept),
  connect: connect,
  read: waiting((calls, _host, items) => read(calls, items[0], items[1], items[2], 0)),
  recv: waiting((calls, _host, items) => read(calls, items[0], items[1], items[2], numberOf(items[3], 'flags'))),
  recvfrom: waiting((calls, _host, items) => read(calls, items[0], items[1], items[2], numberOf(items[3], 'flags'))),
  readv: waiting((calls, _host, items) => calls.socket(items[0]).receive(sum(vectorSizes(items[1])))),
  recvmsg: waiting((calls, host, items) => {
    const flags = numberOf(items[2], 'flags');
    const socket = calls.socket(items[0]);
    const fields = fieldsOf(items[1], 'the message');
    return (flags & MSG_ERRQUEUE) === 0
      ? receiveMessage(socket, fields, flags, host)
      : receiveError(socket, fields, host);
  }),
  write: (calls, host, items) => write(calls, host, items[0], items[1], items[2], 0),
  send: (calls, host, items) => write(calls, host, items[0], items[1], items[2], numberOf(items[3], 'flags')),
  sendto: (calls, host, items) => {
    const flags = numberOf(items[3], 'flags');
    const isUnspecified = items[4]?.kind === 'word' && items[4].name === 'AF_UNSPEC';
    if (isUnspecified && (flags & MSG_FASTOPEN) !== 0) return () => -ERRNO.EOPNOTSUPP;
    return write(calls, host, items[0], items[1], items[2], flags);
  },
  writev: (calls, _host, items) => sending(calls.socket(items[0]), sum(vectorSizes(items[1])), 0),
  sendmsg: (calls, host, items) => {
    const sizes = vectorSizes(fieldsOf(items[1], 'the message').get('msg_iov'));
    const flags = numberOf(items[2], 'flags');
    const socket = calls.socket(items[0]);
    if ((flags & MSG_FASTOPEN) !== 0) return sendFastOpen(socket, sum(sizes), flags, host);
    return sending(socket, sum(sizes), flags, sizes);
  },
  close: at((calls, _host, items) => {
    const number = numberOf(items[0], 'the descriptor');
    const descriptor = calls.find(items[0]);
    calls.descriptors.delete(number);
    return descriptor.kind === 'socket' ? descriptor.socket.close() : 0;
  }),
  shutdown: at((calls, _host, items) => calls.socket(items[0]).shutdown(numberOf(items[1], 'how'))),
  setsockopt: at((calls, _host, items) => setOption(calls.socket(items[0]), items)),
  getsockopt: at((calls, host, items) => getOption(calls.socket(items[0]), items, host)),
  fcntl: at(fcntl),
  ioctl: at(ioctl),
  poll: waiting(poll),
  pipe: at((calls, _host, items) => {
    const pipe = { bytes: 0 };
    for (const end of itemsOf(items[0], 'the ends of the pipe')) {
      calls.descriptors.set(numberOf(end, 'an end of the pipe'), { kind: 'pipe', pipe });
    }
    return 0;
  }),
  splice: waiting(splice),
  open: at((calls, host, items, call) => {
    const path = items[0]?.kind === 'string' ? items[0].text : '';
    const file = host.files.get(path);
    if (file === undefined) return -ERRNO.ENOENT;
    return calls.open(call, { kind: 'file', file: { ...file } });
  }),
  sendfile: (calls, _host, items) => {
    const source = calls.find(items[1]);
    if (source.kind !== 'file') throw new CallError('sendfile reads from a file');
    const count = Math.min(numberOf(items[3], 'the count'), source.file.sizeBytes - source.file.offset);
    source.file.offset += count;
    return sending(calls.socket(items[0]), count, 0);
  },
  epoll_create: at((calls, _host, _items, call) => calls.open(call, { kind: 'epoll', watches: new Map() })),
  epoll_create1: at((calls, _host, _items, call) => calls.open(call, { kind: 'epoll', watches: new Map() })),
  epoll_ctl: at(epollControl),
  epoll_wait: waiting(epollWait),
};

function accept(calls: Calls, host: CallHost, items: readonly Expression[], call: CallAction): CallResult {
  const accepted = calls.socket(items[0]).accept();
  if (!(accepted instanceof ScriptSocket)) return accepted;
  if (call.name === 'accept4') accepted.isNonBlocking = (numberOf(items[3], 'flags') & SOCK_NONBLOCK) !== 0;
  host.connected(accepted);
  return calls.open(call, { kind: 'socket', socket: accepted });
}

function connect(calls: Calls, host: CallHost, items: readonly Expression[]): Attempt {
  const socket = calls.socket(items[0]);
  if (items[1]?.kind === 'word' && items[1].name === 'AF_UNSPEC') {
    const result = socket.disconnect();
    return () => result;
  }
  let isBegun = false;
  return () => {
    const result = socket.connect();
    if (!isBegun && socket.connection !== null) {
      isBegun = true;
      host.connecting(socket);
    }
    return result;
  };
}

function read(
  calls: Calls,
  descriptor: Expression | undefined,
  buffer: Expression | undefined,
  size: Expression | undefined,
  flags: number,
): CallResult {
  const length = numberOf(size, 'the size');
  const found = calls.find(descriptor);
  if (found.kind === 'pipe') {
    const taken = Math.min(found.pipe.bytes, length);
    found.pipe.bytes -= taken;
    return taken === 0 ? BLOCKED : taken;
  }
  const socket = calls.socket(descriptor);
  if (!isNull(buffer)) return socket.receive(length, flags);
  // The kernel finds out where it copies: with nothing to copy it waits.
  const { connection } = socket;
  return connection !== null && connection.receiveQueue.bytes > 0 ? -ERRNO.EFAULT : socket.receive(0, flags);
}

function write(
  calls: Calls,
  host: CallHost,
  descriptor: Expression | undefined,
  buffer: Expression | undefined,
  size: Expression | undefined,
  flags: number,
): Attempt {
  const length = numberOf(size, 'the size');
  const found = calls.find(descriptor);
  if (found.kind === 'pipe') {
    found.pipe.bytes += length;
    return () => length;
  }
  const socket = calls.socket(descriptor);
  if (isNull(buffer) && length > 0) return () => -ERRNO.EFAULT;
  if ((flags & MSG_FASTOPEN) !== 0) return sendFastOpen(socket, length, flags, host);
  const isDeferred = socket.awaitsSynData;
  const isWaiting = !socket.isNonBlocking && (flags & MSG_DONTWAIT) === 0;
  const attempt = sending(socket, length, flags);
  return isDeferred ? opened(socket, isWaiting, attempt) : attempt;
}

/** Connects and sends in one (RFC 7413 §4.2.1, as Linux's MSG_FASTOPEN). */
function sendFastOpen(socket: ScriptSocket, length: number, flags: number, host: CallHost): Attempt {
  const rest = flags & ~MSG_FASTOPEN;
  const isWaiting = !socket.isNonBlocking && (flags & MSG_DONTWAIT) === 0;
  if (socket.connection !== null) {
    if (socket.isOpening && !isWaiting && !socket.awaitsSynData) return () => -ERRNO.EALREADY;
    return opened(socket, isWaiting, sending(socket, length, rest));
  }
  let attempt: Attempt | null = null;
  return () => {
    if (attempt !== null) return attempt();
    const result = socket.connectFast(length > 0);
    if (socket.connection === null) return result;
    host.connecting(socket);
    // Without a cookie the data waits for the handshake, and so does whoever may.
    if (result !== 0 && !isWaiting) return -ERRNO.EINPROGRESS;
    attempt = opened(socket, isWaiting, sending(socket, length, rest));
    return result === 0 ? attempt() : BLOCKED;
  };
}

/** A writer that blocks comes back when the handshake that took its data along is done, or has failed. */
function opened(socket: ScriptSocket, isWaiting: boolean, attempt: Attempt): Attempt {
  let written: number | null = null;
  let isOpen = false;
  return () => {
    // What failed to open has sent nothing, whatever the SYN had with it.
    const errno = isOpen ? 0 : socket.takeErrno();
    if (errno < 0) return errno;
    isOpen ||= !socket.isOpening;
    written ??= attempt();
    if (written === null || written < 0 || !isWaiting) return written;
    return socket.isOpening ? BLOCKED : written;
  };
}

/** Sends all, waiting for room if the socket blocks; else as much as fits. */
function sending(socket: ScriptSocket, length: number, flags: number, sizes: readonly number[] = []): Attempt {
  let done = 0;
  return () => {
    for (;;) {
      const result = socket.send(length - done, flags, sizes);
      if (result === BLOCKED) return BLOCKED;
      if (result < 0) return done > 0 ? done : result;
      done += result;
      if (done >= length || socket.isNonBlocking || (flags & MSG_DONTWAIT) !== 0) return done;
    }
  };
}

function fcntl(calls: Calls, _host: CallHost, items: readonly Expression[]): CallResult {
  const socket = calls.socket(items[0]);
  const command = numberOf(items[1], 'the command');
  if (command === F_GETFL) return O_RDWR | (socket.isNonBlocking ? O_NONBLOCK : 0);
  if (command !== F_SETFL) throw new CallError('of fcntl, F_GETFL and F_SETFL are known here');
  socket.isNonBlocking = (numberOf(items[2], 'the flags') & O_NONBLOCK) !== 0;
  return 0;
}

function ioctl(calls: Calls, host: CallHost, items: readonly Expression[]): CallResult {
  const socket = calls.socket(items[0]);
  const request = numberOf(items[1], 'the request');
  const wanted = numberOf(items[2], 'the value');
  if (request !== SIOCINQ && request !== SIOCOUTQ) throw new CallError('of ioctl, SIOCINQ and SIOCOUTQ are known here');
  const actual = request === SIOCINQ ? socket.readableBytes : socket.unacknowledgedBytes;
  if (actual !== wanted) host.complain(`the value is ${actual}, not ${wanted}`);
  return 0;
}

function poll(calls: Calls, host: CallHost, items: readonly Expression[]): CallResult {
  let ready = 0;
  const problems: string[] = [];
  for (const item of itemsOf(items[0], 'the descriptors')) {
    const fields = fieldsOf(item, 'a descriptor');
    const socket = calls.socket(fields.get('fd'));
    socket.poll();
    const events = socket.events & (numberOf(fields.get('events'), 'events') | 0x018);
    if (events !== 0) ready++;
    const wanted = fields.get('revents');
    if (wanted !== undefined && numberOf(wanted, 'revents') !== events)
      problems.push(`revents is 0x${events.toString(16)}`);
  }
  const timeout = numberOf(items[2], 'the timeout');
  if (ready === 0 && timeout !== 0) return BLOCKED;
  for (const problem of problems) host.complain(problem);
  return ready;
}

function splice(calls: Calls, _host: CallHost, items: readonly Expression[]): CallResult {
  const from = calls.find(items[0]);
  const to = calls.find(items[2]);
  const count = numberOf(items[4], 'the count');
  if (from.kind === 'socket' && to.kind === 'pipe') {
    const room = MAX_PIPE_BYTES - to.pipe.bytes;
    if (room === 0) return BLOCKED;
    const result = from.socket.receive(Math.min(count, room));
    if (result !== BLOCKED && result > 0) to.pipe.bytes += result;
    return result;
  }
  if (from.kind === 'pipe' && to.kind === 'socket') {
    const size = Math.min(count, from.pipe.bytes);
    if (size === 0) return BLOCKED;
    const result = to.socket.send(size);
    if (result !== BLOCKED && result > 0) from.pipe.bytes -= result;
    return result;
  }
  throw new CallError('splice goes between a socket and a pipe');
}

function epollControl(calls: Calls, _host: CallHost, items: readonly Expression[]): CallResult {
  const epoll = calls.find(items[0]);
  if (epoll.kind !== 'epoll') throw new CallError('the descriptor is no epoll instance');
  const operation = numberOf(items[1], 'the operation');
  const number = numberOf(items[2], 'the descriptor');
  if (operation === 2) return epoll.watches.delete(number) ? 0 : -ERRNO.ENOENT;
  if ((operation === 3) !== epoll.watches.has(number)) return operation === 3 ? -ERRNO.ENOENT : -ERRNO.EEXIST;
  const fields = fieldsOf(items[3], 'the event');
  const data = ['fd', 'u32', 'u64', 'ptr'].map((name) => fields.get(name)).find((field) => field !== undefined);
  epoll.watches.set(number, {
    socket: calls.socket(items[2]),
    events: numberOf(fields.get('events'), 'events'),
    data: data === undefined ? 0 : numberOf(data, 'data'),
    isDisabled: false,
    seenActivity: -1,
  });
  return 0;
}

function epollWait(calls: Calls, host: CallHost, items: readonly Expression[]): CallResult {
  const epoll = calls.find(items[0]);
  if (epoll.kind !== 'epoll') throw new CallError('the descriptor is no epoll instance');
  const event = nextEvent(epoll.watches);
  const fields = fieldsOf(items[1], 'the event');
  if (event === null) return numberOf(items[3], 'the timeout') === 0 ? 0 : BLOCKED;
  const wanted = numberOf(fields.get('events'), 'events');
  if (wanted !== event.events) host.complain(`events is 0x${event.events.toString(16)}, not 0x${wanted.toString(16)}`);
  const data = ['fd', 'u32', 'u64', 'ptr'].map((name) => fields.get(name)).find((field) => field !== undefined);
  if (data !== undefined && numberOf(data, 'data') !== event.data) host.complain(`the data is ${event.data}`);
  return 1;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
