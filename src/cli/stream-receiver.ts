import { ERRNO } from '../core/errno.ts';
import { DevmemError } from '../core/errors.ts';
import { Ring } from '../core/ring.ts';
import { MiB } from '../core/units.ts';
import type { DeviceMemory } from '../memory/device-memory.ts';
import type { DevmemSocket } from '../socket/devmem-socket.ts';
import { Message } from '../socket/message.ts';
import { orAborted } from './abort.ts';
import type { PatternCheck } from './pattern.ts';
import type { OutputSink } from './sink.ts';
import { StreamDigest } from './stream-digest.ts';

/** One delivery: enough to keep digest and disk busy, little enough to give pages back soon. */
const MAX_FRAGS = 1024;
const MAX_BYTES: number = 4 * MiB;
const MAX_HELD_MESSAGES = 65_536;

export interface StreamConsumers {
  /** Node's name of the digest, or null for none. */
  readonly digest: string | null;
  readonly pattern: PatternCheck | null;
  readonly sink: OutputSink | null;
  /** Fragments kept before the oldest are given back; none if left out. */
  readonly holdFrags?: number;
  /** Told of each run of payload in device memory, for the map of the demo. */
  readonly onLanded?: (offset: number, length: number) => void;
}

/** Takes one connection's stream by references: digest, validation and output read it where it landed. */
export class StreamReceiver {
  readonly socket: DevmemSocket;
  /** Stream bytes taken so far. */
  bytes = 0;
  /** The peer's FIN was seen: nothing is missing. */
  complete = false;
  readonly startedMs: number;
  endedMs: number;

  readonly #view: Buffer;
  readonly #consumers: StreamConsumers;
  readonly #digest: StreamDigest | null;
  /** Messages taken and not yet given back, oldest first, and empty ones to fill next. */
  readonly #held = new Ring<Message>(MAX_HELD_MESSAGES);
  readonly #spare: Message[] = [];
  #heldFrags = 0;
  /** Neighbouring fragments joined: pages are handed out in order, so a stream mostly lies in long runs. */
  readonly #runOffsets = new Float64Array(MAX_FRAGS);
  readonly #runLengths = new Float64Array(MAX_FRAGS);
  #runs = 0;

  constructor(socket: DevmemSocket, memory: DeviceMemory, consumers: StreamConsumers, nowMs: number) {
    this.socket = socket;
    this.startedMs = nowMs;
    this.endedMs = nowMs;
    const { mapping } = memory;
    this.#view = Buffer.from(mapping.buffer, mapping.byteOffset, mapping.byteLength);
    this.#consumers = consumers;
    this.#digest = consumers.digest === null ? null : new StreamDigest(memory, consumers.digest);
  }

  /**
   * Receives until the peer's FIN. What was taken before an error stays counted, hashed and written.
   * @throws DevmemError ECONNRESET and the like, ERR_DEVMEM_VERIFICATION; the system's errors of the output; the
   *   signal's reason.
   */
  async run(signal?: AbortSignal): Promise<void> {
    for (;;) {
      signal?.throwIfAborted();
      const message = this.#spare.pop() ?? new Message({ maxFrags: MAX_FRAGS, maxBytes: MAX_BYTES });
      const received = this.socket.recvmsgSync(message);
      if (received > 0) {
        await this.#take(message, signal);
        continue;
      }
      this.#spare.push(message);
      if (received === 0) break;
      if (received !== -ERRNO.EAGAIN) throw this.socket.failure(received, 'recvmsg');
      await this.socket.readable.wait(signal);
    }
    this.complete = true;
  }

  async #take(message: Message, signal: AbortSignal | undefined): Promise<void> {
    this.#held.push(message);
    this.#heldFrags += message.frags.length;
    this.#join(message);
    this.#inspect(message);
    this.bytes += message.bytes;
    const { sink, pattern } = this.#consumers;
    if (sink !== null) await orAborted(sink.write(this.#parts(message)), signal);
    if (pattern !== null && pattern.mismatchOffset >= 0) throw mismatch(pattern);
    this.#giveBack(this.#consumers.holdFrags ?? 0);
  }

  /** Returns the oldest messages until fewer than `keepFrags` fragments are held: for 0, all of them. */
  #giveBack(keepFrags: number): void {
    while (this.#held.length > 0 && this.#heldFrags >= keepFrags) {
      const oldest = this.#held.shift()!;
      this.#heldFrags -= oldest.frags.length;
      oldest.release();
      this.#spare.push(oldest);
    }
  }

  /** Gives back what is held and, unless the stream is complete, resets the connection. */
  async end(nowMs: number): Promise<void> {
    this.endedMs = nowMs;
    this.#giveBack(0);
    if (this.complete) await this.socket.close();
    else this.socket.abort();
  }

  /** The digest of what was taken, in lower-case hexadecimal; once. */
  digest(): string | null {
    return this.#digest?.hex() ?? null;
  }

  #join(message: Message): void {
    let runs = 0;
    for (const frag of message.frags) {
      if (runs > 0 && this.#runOffsets[runs - 1]! + this.#runLengths[runs - 1]! === frag.offset) {
        this.#runLengths[runs - 1]! += frag.size;
      } else {
        this.#runOffsets[runs] = frag.offset;
        this.#runLengths[runs] = frag.size;
        runs++;
      }
    }
    this.#runs = runs;
  }

  /** Host memory first, then the runs in device memory: the order of the stream. */
  #parts(message: Message): Uint8Array[] {
    const parts: Uint8Array[] = message.linear.length > 0 ? [message.linear] : [];
    for (let i = 0; i < this.#runs; i++) {
      const offset = this.#runOffsets[i]!;
      parts.push(this.#view.subarray(offset, offset + this.#runLengths[i]!));
    }
    return parts;
  }

  #inspect(message: Message): void {
    const { pattern, onLanded } = this.#consumers;
    if (message.linear.length > 0) {
      this.#digest?.updateBytes(message.linear);
      const { linear } = message;
      pattern?.update(Buffer.from(linear.buffer, linear.byteOffset, linear.byteLength), 0, linear.length);
    }
    for (let i = 0; i < this.#runs; i++) {
      const offset = this.#runOffsets[i]!;
      const length = this.#runLengths[i]!;
      this.#digest?.updateMemory(offset, length);
      pattern?.update(this.#view, offset, length);
      onLanded?.(offset, length);
    }
  }
}

function mismatch(pattern: PatternCheck): DevmemError {
  const at = pattern.mismatchOffset;
  return new DevmemError(
    'ERR_DEVMEM_VERIFICATION',
    `byte ${at} of the stream is ${pattern.actualByte}, where the pattern of period ${pattern.period} has ${pattern.expectedByte}`,
    {
      hint: `the sender's pattern has to be the bytes 1 to ${pattern.period - 1} and a newline, from its first byte on`,
    },
  );
}
