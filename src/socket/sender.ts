import { ERRNO } from '../core/errno.ts';
import { DevmemError, invalidArgument } from '../core/errors.ts';
import type { DeviceMemory, MemoryUser } from '../memory/device-memory.ts';
import type { RecordOptions, SendFromOptions, SendmsgRequest, SocketCounters, WriteOptions } from './devmem-socket.ts';
import { MSG_EOR, MSG_MORE } from './flags.ts';
import type { Gate } from './gate.ts';
import { Mutex } from './mutex.ts';
import { SendBuffer, type SendMemory } from './send-buffer.ts';
import { SendLedger, type CompletionRange } from './send-ledger.ts';
import type { SocketStatus } from './status.ts';

/** What sending needs of the host. */
export interface SendingHost {
  readonly sendMemory: SendMemory;
  /** The memory that `bindTx` gave this id. */
  findTx(dmabufId: number): DeviceMemory | undefined;
  /** Something was queued. */
  kick(): void;
}

/** The memory of transfers under way: not to be freed before the last of them is complete. */
class Lender implements MemoryUser {
  endOffset = 0;
  /** Calls that have not queued all of theirs yet. */
  queueing = 0;
  readonly #peer: string;

  constructor(peer: string) {
    this.#peer = peer;
  }

  describe(): string {
    return `a transfer to ${this.#peer}`;
  }
}

/** The sending half of a socket: queues references to memory, and says when that memory may change. */
export class Sender {
  readonly #status: SocketStatus;
  readonly #host: SendingHost;
  readonly #counters: SocketCounters;
  readonly #writable: Gate;
  readonly #peer: string;
  readonly #turn = new Mutex();
  readonly #ledger = new SendLedger();
  readonly #buffer: SendBuffer;
  readonly #lenders = new Map<DeviceMemory, Lender>();
  #failed = false;
  readonly #onFreed = (): void => this.#writable.open();

  constructor(status: SocketStatus, host: SendingHost, counters: SocketCounters, writable: Gate, peer: string) {
    this.#status = status;
    this.#host = host;
    this.#counters = counters;
    this.#writable = writable;
    this.#peer = peer;
    this.#buffer = new SendBuffer(host.sendMemory);
  }

  get chunksHeld(): number {
    return this.#buffer.chunksHeld;
  }

  /** See `DevmemSocket.completions`. */
  completions(): CompletionRange | null {
    return this.#ledger.take();
  }

  /** See `DevmemSocket.sendmsgSync`. */
  sendmsg(request: SendmsgRequest): number {
    if (typeof request !== 'object' || request === null || !Array.isArray(request.iov)) {
      throw invalidArgument(`sendmsg of ${describe(request)}`, SENDMSG_HINT);
    }
    const verdict = this.#status.sendVerdict();
    if (verdict !== 0) return verdict;
    // The kernel tells apart neither: MSG_ZEROCOPY missing and an unknown id are EINVAL both.
    if (request.zerocopy === false) return -ERRNO.EINVAL;
    const memory = request.memory ?? this.#host.findTx(request.dmabufId ?? 0);
    if (memory === undefined || memory.disposed) return -ERRNO.EINVAL;
    if (!this.#ledger.hasRoom) return -ERRNO.ENOBUFS;
    if (this.#turn.locked) return -ERRNO.EAGAIN;
    const sent = this.#sendPieces(memory, request, sendFlags(request));
    if (sent > 0) this.#ledger.recordZerocopy(this.#status.connection.queuedOffset);
    return sent;
  }

  /** See `DevmemSocket.writeSync`. */
  write(bytes: Uint8Array, start: number, flags: number): number {
    checkBytes(bytes);
    if (this.#turn.locked) {
      const verdict = this.#status.sendVerdict();
      return verdict === 0 ? -ERRNO.EAGAIN : verdict;
    }
    return this.#write(bytes, start, flags);
  }

  /** See `DevmemSocket.write`. */
  async writeAll(bytes: Uint8Array, options: WriteOptions, fail: (errno: number) => DevmemError): Promise<void> {
    checkBytes(bytes);
    const flags = sendFlags(options);
    await this.#inTurn(options.signal, async () => {
      let at = 0;
      while (at < bytes.length) {
        options.signal?.throwIfAborted();
        const sent = this.#write(bytes, at, flags);
        if (sent >= 0) at += sent;
        else if (sent === -ERRNO.EAGAIN) await this.#writable.wait(options.signal);
        else throw fail(sent);
      }
    });
  }

  /** See `DevmemSocket.sendFrom`. */
  async sendFrom(memory: DeviceMemory, options: SendFromOptions, fail: (errno: number) => DevmemError): Promise<void> {
    const offset = options.offset ?? 0;
    const length = options.length ?? memory.sizeBytes - offset;
    const { signal } = options;
    const flags = sendFlags(options);
    checkRange(memory, offset, length);
    const { connection } = this.#status;
    const lender = this.#lend(memory);
    let endOffset = 0;
    lender.queueing++;
    try {
      await this.#inTurn(signal, async () => {
        let sent = 0;
        while (sent < length) {
          signal?.throwIfAborted();
          const verdict = this.#status.sendVerdict();
          if (verdict !== 0) throw fail(verdict);
          const accepted = this.#queue(memory, offset + sent, length - sent, flags);
          sent += accepted;
          if (accepted === 0) await this.#writable.wait(signal);
        }
        endOffset = connection.queuedOffset;
      });
    } finally {
      lender.queueing--;
      this.#endLoans();
    }
    if (connection.completedOffset >= endOffset) return;
    await this.#ledger.completed(endOffset, `sendFrom to ${this.#peer}`, signal);
  }

  /** Nothing of it is referred to any more, and nobody waits. */
  get isIdle(): boolean {
    return this.#buffer.chunksHeld === 0 && this.#lenders.size === 0 && this.#ledger.pendingPromises === 0;
  }

  /** The stream is complete up to a later byte than before. */
  advance(): void {
    const { completedOffset } = this.#status.connection;
    this.#buffer.advance(completedOffset);
    this.#ledger.advance(completedOffset);
    if (this.#lenders.size > 0) this.#endLoans();
  }

  /** The connection is dead and the NIC reads nothing of it any more: what is not complete fails. */
  fail(errno: number): void {
    this.#failed = true;
    this.advance();
    this.#buffer.clear();
    this.#ledger.fail(errno);
  }

  #endLoans(): void {
    const completedOffset = this.#failed ? Number.POSITIVE_INFINITY : this.#status.connection.completedOffset;
    for (const [memory, lender] of this.#lenders) {
      if (lender.queueing > 0 || lender.endOffset > completedOffset) continue;
      this.#lenders.delete(memory);
      memory.detach(lender);
    }
  }

  #sendPieces(memory: DeviceMemory, request: SendmsgRequest, flags: number): number {
    let sent = 0;
    const last = request.iov.at(-1);
    for (const piece of request.iov) {
      const { offset, length } = piece;
      if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0) {
        return sent > 0 ? sent : -ERRNO.EINVAL;
      }
      if (offset >= memory.sizeBytes) return sent > 0 ? sent : -ERRNO.EFAULT;
      // A piece that reaches beyond the end is sent up to it: the kernel meets EFAULT only at the next page.
      const inside = Math.min(length, memory.sizeBytes - offset);
      const accepted = this.#queue(memory, offset, inside, piece === last ? flags : 0);
      sent += accepted;
      if (accepted < inside) return sent > 0 ? sent : -ERRNO.EAGAIN;
      if (inside < length) return sent;
    }
    return sent;
  }

  #queue(memory: DeviceMemory, offset: number, length: number, flags: number): number {
    const { connection } = this.#status;
    const accepted = connection.send(memory, offset, length, flags);
    if (accepted === 0) return 0;
    this.#lend(memory).endOffset = connection.queuedOffset;
    this.#counters.sentDmabufBytes += accepted;
    this.#host.kick();
    return accepted;
  }

  #lend(memory: DeviceMemory): Lender {
    let lender = this.#lenders.get(memory);
    if (lender === undefined) {
      lender = new Lender(this.#peer);
      memory.attach(lender);
      this.#lenders.set(memory, lender);
    }
    return lender;
  }

  #write(bytes: Uint8Array, start: number, flags: number): number {
    const verdict = this.#status.sendVerdict();
    if (verdict !== 0) return verdict;
    if (start >= bytes.length) return 0;
    const { connection } = this.#status;
    const sent = this.#buffer.write(connection, bytes, start, flags);
    if (sent === 0) {
      const { freed } = this.#host.sendMemory;
      // Perhaps it is the memory, which all sockets share, and not this connection's queue that is full.
      freed.cancel(this.#onFreed);
      freed.once(this.#onFreed);
      return -ERRNO.EAGAIN;
    }
    this.#counters.sentCopiedBytes += sent;
    this.#host.kick();
    return sent;
  }

  async #inTurn(signal: AbortSignal | undefined, work: () => Promise<void>): Promise<void> {
    await this.#turn.acquire(signal);
    try {
      await work();
    } finally {
      this.#turn.release();
      if (!this.#turn.locked) this.#writable.open();
    }
  }
}

const BYTES_HINT = 'pass a Uint8Array; for text, Buffer.from(text) or toDuplex(), whose write() takes strings';
const SENDMSG_HINT = 'pass { memory, iov: [{ offset, length }] }, or a Uint8Array; for text, Buffer.from(text)';

/** The calls' options as the flags of the system call. */
function sendFlags({ more, endOfRecord }: RecordOptions): number {
  return (more === true ? MSG_MORE : 0) | (endOfRecord === true ? MSG_EOR : 0);
}

function checkBytes(bytes: unknown): void {
  if (!(bytes instanceof Uint8Array)) throw invalidArgument(`write of ${describe(bytes)}`, BYTES_HINT);
}

function describe(value: unknown): string {
  return value === null ? 'null' : `a value of type ${typeof value}`;
}

function checkRange(memory: DeviceMemory, offset: number, length: number): void {
  if (memory.disposed) {
    throw new DevmemError('ERR_DEVMEM_DISPOSED', 'sendFrom a device memory that was disposed', { syscall: 'sendmsg' });
  }
  const isRange = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!isRange || offset + length > memory.sizeBytes) {
    throw invalidArgument(
      `bytes ${offset} to ${offset + length} of a device memory of ${memory.sizeBytes} bytes`,
      'offset and length have to lie within the memory',
    );
  }
}
