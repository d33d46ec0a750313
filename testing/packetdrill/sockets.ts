import { ERRNO } from '../../src/core/errno.ts';
import { DevmemError } from '../../src/core/errors.ts';
import { HostRegion } from '../../src/memory/region.ts';
import type { TcpConnection } from '../../src/stack/tcp/connection.ts';
import { FAST_OPEN_CLIENT } from '../../src/stack/tcp/fast-open.ts';
import type { TcpListener } from '../../src/stack/tcp/listener.ts';
import { isSocketOption, SocketOptions, storedOption, storeOption } from '../../src/stack/tcp/options.ts';
import { notSentLowatBytes, SEND_MORE, SEND_RECORD } from '../../src/stack/tcp/send-buffer.ts';
import { ErrorQueue } from './error-queue.ts';
import type { Network } from './network.ts';
import { streamBytes, streamMismatch } from './pattern.ts';
import { SendAdmission } from './send-admission.ts';

/** `MSG_...` that these calls look at (include/linux/socket.h). */
export const MSG_PEEK = 0x02;
export const MSG_DONTWAIT = 0x40;
export const MSG_EOR = 0x80;
export const MSG_MORE = 0x8000;
export const MSG_ERRQUEUE = 0x2000;
export const MSG_ZEROCOPY = 0x4000000;
export const MSG_FASTOPEN = 0x20000000;

/** A call that cannot finish yet: ask again later. */
export const BLOCKED = null;
export type CallResult = number | typeof BLOCKED;

const SERVER_PORT = 8080;
/** TCP_NOTSENT_LOWAT that says nothing. */
const NO_LOWAT = 0xffff_ffff;
const EVENT_IN = 0x001;
const EVENT_OUT = 0x004;
const EVENT_ERR = 0x008;
const EVENT_HUP = 0x010;
const EVENT_RDHUP = 0x2000;

/**
 * One socket: what a file descriptor stands for, over the TCP layer, in the manner of the system calls. Calls answer
 * a number of 0 or more, a negative errno, or BLOCKED.
 */
export class ScriptSocket {
  readonly errors: ErrorQueue = new ErrorQueue();
  listener: TcpListener | null = null;
  connection: TcpConnection | null = null;
  isNonBlocking = false;
  isZeroCopyAllowed = false;
  inq = false;
  /** The port it was bound to; 0: none. */
  boundPort = 0;
  /** Stream offsets behind the last byte of each write. */
  readonly writeEnds: Set<number> = new Set<number>();
  readOffset = 0;
  isReadShut = false;
  isWriteShut = false;
  /** Bytes that did not have the right content: a message, or ''. */
  fault = '';
  readonly #network: Network;
  /** Where SO_SNDBUF or the like is set: Linux's way of counting. */
  #admission: SendAdmission | null = null;
  /** What was set before there was a connection or a listener to set it on. */
  readonly #options: SocketOptions;
  #fastOpenKey: unknown = null;
  #isConnecting = false;
  #reportedErrno = false;

  constructor(network: Network) {
    this.#network = network;
    this.#options = new SocketOptions(network.stack.tcp.config);
  }

  bind(port: number): number {
    if (this.boundPort !== 0) return -ERRNO.EINVAL;
    this.boundPort = port;
    return 0;
  }

  listen(backlog: number): number {
    if (this.connection !== null) return -ERRNO.EINVAL;
    if (this.listener !== null) return 0;
    const { stack, nic } = this.#network;
    return caught(() => {
      const port = this.boundPort === 0 ? 0 : this.boundPort;
      this.listener = stack.tcp.listen({ address: null, port, backlog, pool: nic.hostPool, options: this.#options });
      if (this.#fastOpenKey !== null) this.listener.setOption('TCP_FASTOPEN_KEY', this.#fastOpenKey);
      return 0;
    });
  }

  /** The next connection, as a socket; or a result of the call that is not one. */
  accept(): ScriptSocket | CallResult {
    if (this.listener === null) return -ERRNO.EINVAL;
    const connection = this.listener.accept();
    if (connection === null) return this.isNonBlocking ? -ERRNO.EAGAIN : BLOCKED;
    const socket = new ScriptSocket(this.#network);
    socket.connection = connection;
    socket.isZeroCopyAllowed = this.isZeroCopyAllowed;
    return socket;
  }

  /** Begins a connection to the script, or tells how the one that was begun goes. */
  connect(): CallResult {
    const { connection } = this;
    if (connection === null) return this.#begin(this.#options.fastOpenConnect);
    if (this.awaitsSynData) return -ERRNO.EISCONN;
    if (connection.errno !== 0) return this.takeErrno();
    const { state } = connection;
    if (state === 'SYN-SENT' || state === 'SYN-RECEIVED') {
      if (!this.isNonBlocking) return BLOCKED;
      return this.#isConnecting ? -ERRNO.EALREADY : -ERRNO.EINPROGRESS;
    }
    if (!this.#isConnecting) return -ERRNO.EISCONN;
    this.#isConnecting = false;
    return 0;
  }

  /** `connect` with AF_UNSPEC: the connection ends at once and the socket can be used anew. */
  disconnect(): number {
    this.connection?.abort(this.#network.nowMicros);
    this.connection = null;
    this.#isConnecting = false;
    this.#network.settle();
    return 0;
  }

  /** Sends what fits. Only of a blocking socket less than all may be taken: then call again for the rest. */
  send(length: number, flags = 0, _sizes: readonly number[] = []): CallResult {
    const { connection } = this;
    if (this.isWriteShut || connection === null || this.listener !== null) return -ERRNO.EPIPE;
    if (connection.errno !== 0 && !this.#reportedErrno) return this.takeErrno();
    const isUnderWay = connection.state === 'SYN-SENT';
    if (!isUnderWay && !maySend(connection)) return -ERRNO.EPIPE;
    if (length === 0) return this.awaitsSynData ? this.#openWithoutData() : 0;
    const from = connection.queuedOffset;
    this.#limitAdmission(connection);
    const admitted = this.#admission === null ? length : this.#admission.admit(connection, length);
    const accepted = admitted === 0 ? 0 : this.#queue(connection, admitted, admitted < length ? 0 : flags);
    const isWaiting = !this.isNonBlocking && (flags & MSG_DONTWAIT) === 0;
    // Who does not wait has nothing to do with the end of the handshake.
    connection.wantsSpace = accepted < length && (isWaiting || !isUnderWay);
    if (accepted === 0) {
      connection.touch();
      this.#network.settle();
      return isWaiting ? BLOCKED : -ERRNO.EAGAIN;
    }
    const end = from + accepted;
    if ((flags & MSG_ZEROCOPY) !== 0 && this.isZeroCopyAllowed) this.errors.addZeroCopy(end);
    this.errors.addTimestamp(end);
    this.writeEnds.add(end);
    this.#network.settle();
    return accepted;
  }

  /** Reads up to `length` bytes. */
  receive(length: number, flags = 0): CallResult {
    const { connection } = this;
    if (connection === null) return -ERRNO.ENOTCONN;
    const available = connection.receiveQueue.bytes;
    if (available > 0 && length > 0) return this.#take(Math.min(length, available), (flags & MSG_PEEK) !== 0);
    if (connection.errno !== 0 && !this.#reportedErrno) return this.takeErrno();
    if (connection.finReceived || this.isReadShut || connection.state === 'CLOSED') return 0;
    if (length === 0) return 0;
    return this.isNonBlocking || (flags & MSG_DONTWAIT) !== 0 ? -ERRNO.EAGAIN : BLOCKED;
  }

  /** SIOCINQ: bytes to read. */
  get readableBytes(): number {
    return this.connection?.receiveQueue.bytes ?? 0;
  }

  /** TCP_CM_INQ: the same, but a byte that is made up behind the peer's FIN, so that somebody reads it. */
  get inqBytes(): number {
    const isAtEnd = this.readableBytes === 0 && this.connection?.finReceived === true;
    return isAtEnd ? 1 : this.readableBytes;
  }

  /** SIOCOUTQ: bytes accepted and not acknowledged. */
  get unacknowledgedBytes(): number {
    const { connection } = this;
    return connection === null ? 0 : connection.queuedOffset - Math.max(0, connection.sender.unaOffset);
  }

  /** Changes whenever there is something new for who waits for events. */
  get activity(): number {
    const { connection, listener, errors } = this;
    if (listener !== null) return listener.acceptableCount;
    if (connection === null) return 0;
    const { bytesReceived } = connection.receiver;
    return errors.messages + bytesReceived + (connection.finReceived ? 1 : 0) + connection.errno;
  }

  /** Begins a connection for MSG_FASTOPEN; what is sent first goes with the SYN if there is a cookie. */
  connectFast(hasData: boolean): CallResult {
    if ((this.#network.stack.tcp.config.fastOpen & FAST_OPEN_CLIENT) === 0) return -ERRNO.EOPNOTSUPP;
    const result = this.#begin(true);
    if (hasData || this.connection?.fastOpen?.isDeferred !== true) return result;
    return this.#openWithoutData();
  }

  /** Nobody brings data: the SYN has the cookie alone. */
  #openWithoutData(): CallResult {
    this.connection!.handshake.release();
    this.#network.settle();
    return this.isNonBlocking ? -ERRNO.EINPROGRESS : BLOCKED;
  }

  /** The SYN has yet to go out, with what is written first (RFC 7413 §4.2.1). */
  get awaitsSynData(): boolean {
    const { connection } = this;
    if (connection?.state !== 'SYN-SENT' || connection.fastOpen?.isDeferred !== true) return false;
    return connection.handshake.firstSentMicros < 0;
  }

  /** Waits for a handshake that took data along, as a blocking writer does. */
  get isOpening(): boolean {
    return this.connection?.state === 'SYN-SENT' && this.connection.errno === 0;
  }

  shutdown(how: number): number {
    const { connection } = this;
    if (connection === null) return -ERRNO.ENOTCONN;
    if (how !== 1) this.isReadShut = true;
    if (how !== 0) {
      this.isWriteShut = true;
      connection.shutdown(this.#network.nowMicros);
    }
    this.#network.settle();
    return 0;
  }

  close(): number {
    this.listener?.close(this.#network.nowMicros);
    this.connection?.close(this.#network.nowMicros);
    this.#network.settle();
    return 0;
  }

  /** The connection's error, once, negated; 0 if there is none to report. */
  takeErrno(): number {
    const { connection } = this;
    if (connection === null || this.#reportedErrno || connection.errno === 0) return 0;
    this.#reportedErrno = true;
    return -connection.errno;
  }

  /** Sets an option of the stack's. @returns 0 or a negative errno. */
  setOption(name: string, value: unknown): number {
    const { connection, listener } = this;
    const { nowMicros, stack } = this.#network;
    let result: number;
    if (name === 'SO_SNDBUF') {
      this.#admission = new SendAdmission(Number(value));
      value = stack.tcp.config.sendBufferBytes;
    }
    if (connection !== null) result = connection.setOption(name, value, nowMicros);
    else if (listener !== null) result = listener.setOption(name, value);
    else if (name === 'TCP_FASTOPEN_KEY') result = this.#keepFastOpenKey(value);
    else result = storeOption(this.#options, name, value, stack.tcp.config);
    this.#network.settle();
    return result;
  }

  /** What an option is; undefined if there is none of that name. */
  option(name: string): unknown {
    const { connection, listener } = this;
    if (!isSocketOption(name)) return undefined;
    if (name === 'SO_SNDBUF' && this.#admission !== null) return this.#admission.limitBytes;
    if (connection !== null) return connection.option(name, this.#network.nowMicros);
    return listener === null ? storedOption(this.#options, name) : listener.option(name);
  }

  /** `poll` and `epoll` bits that hold now. */
  get events(): number {
    const { connection, listener } = this;
    let events = this.errors.errors.length > 0 ? EVENT_ERR : 0;
    if (listener !== null) return events | (listener.acceptableCount > 0 ? EVENT_IN : 0);
    if (connection === null) return events | EVENT_OUT | EVENT_HUP;
    if (connection.errno !== 0 && !this.#reportedErrno) events |= EVENT_ERR | EVENT_IN;
    if (connection.receiveQueue.bytes > 0 || connection.finReceived) events |= EVENT_IN;
    if (connection.finReceived) events |= EVENT_RDHUP;
    if (connection.state === 'CLOSED') events |= EVENT_HUP | EVENT_OUT;
    else if (connection.sendSpaceBytes > 0 && this.#admission?.isWritable(connection) !== false) events |= EVENT_OUT;
    return events;
  }

  /** Looks at what became of the bytes sent. */
  poll(): void {
    const { connection } = this;
    if (connection === null) return;
    this.errors.completed(connection.completedOffset);
    this.errors.acknowledged(Math.max(0, connection.sender.unaOffset), this.#network.nowMicros);
  }

  /** With TCP_NOTSENT_LOWAT the script minds how much a write takes. */
  #limitAdmission(connection: TcpConnection): void {
    const { sendBufferInitialBytes, sendBufferBytes } = connection.layer.config;
    if (this.#admission !== null || notSentLowatBytes(connection) >= NO_LOWAT) return;
    this.#admission = new SendAdmission(sendBufferInitialBytes / 2);
    connection.setOption('SO_SNDBUF', sendBufferBytes, this.#network.nowMicros);
  }

  #queue(connection: TcpConnection, length: number, flags: number): number {
    const region = new HostRegion(length);
    region.mapping.set(streamBytes(connection.queuedOffset, length));
    const mark = ((flags & MSG_MORE) === 0 ? 0 : SEND_MORE) | ((flags & MSG_EOR) === 0 ? 0 : SEND_RECORD);
    return connection.send(region, 0, length, mark);
  }

  #keepFastOpenKey(value: unknown): number {
    this.#fastOpenKey = value;
    return 0;
  }

  #begin(fastOpen: boolean): CallResult {
    const { stack, nic, remote, nowMicros } = this.#network;
    const result = caught(() => {
      const { boundPort } = this;
      const options = { remote, remotePort: SERVER_PORT, localPort: boundPort, pool: nic.hostPool, fastOpen };
      this.connection = stack.tcp.connect({ ...options, options: this.#options }, nowMicros);
      return 0;
    });
    if (result < 0) return result;
    this.#isConnecting = true;
    this.#reportedErrno = false;
    this.#network.settle();
    if (this.connection?.fastOpen?.isDeferred === true) return 0;
    return this.isNonBlocking ? -ERRNO.EINPROGRESS : BLOCKED;
  }

  /** Takes bytes out of the receive queue, gives their pages back, and looks whether they are the peer's. */
  #take(length: number, isPeek: boolean): number {
    const connection = this.connection!;
    const queue = connection.receiveQueue;
    if (isPeek) return length;
    let left = length;
    while (left > 0) {
      const pool = queue.pool();
      const size = Math.min(left, queue.size());
      const start = pool.offsetOf(queue.iov()) + queue.offset();
      const bytes = pool.region.mapping.subarray(start, start + size);
      const wrong = streamMismatch(bytes, this.readOffset);
      if (wrong >= 0 && this.fault === '') this.fault = `byte ${this.readOffset + wrong} read is not the one sent`;
      queue.discard(size);
      this.readOffset += size;
      left -= size;
    }
    connection.consumed(length, this.#network.nowMicros);
    this.#network.settle();
    return length;
  }
}

function maySend(connection: TcpConnection): boolean {
  if (connection.sender.finQueued) return false;
  const { state } = connection;
  return state === 'ESTABLISHED' || state === 'CLOSE-WAIT' || state === 'SYN-RECEIVED';
}

/** The errno of what a call throws, negated. */
function caught(call: () => number): number {
  try {
    return call();
  } catch (error) {
    if (error instanceof DevmemError && error.errno !== undefined) return error.errno;
    throw error;
  }
}
