import { randomFillSync } from 'node:crypto';
import { invalidArgument } from '../core/errors.ts';
import { MiB, roundUp } from '../core/units.ts';
import { openHost } from '../host.ts';
import { cablePair } from '../link/cable.ts';
import { DeviceMemory, PAGE_BYTES } from '../memory/device-memory.ts';
import type { DevmemSocket } from '../socket/devmem-socket.ts';
import type { Host, RxBinding } from '../socket/host-api.ts';
import { ChunkSender } from './chunk-sender.ts';
import type { CliContext } from './context.ts';
import { demoDocument, renderDemo, type DemoFacts } from './demo-result.ts';
import { EXIT_FAILED, EXIT_OK, EXIT_VERIFICATION } from './exit.ts';
import { StreamDigest } from './stream-digest.ts';
import { StreamReceiver } from './stream-receiver.ts';
import { MAP_CELLS } from './ui/picture.ts';
import { giveUpWhenStalled } from './wind-down.ts';

interface DemoOptions {
  readonly size: number;
  readonly memorySize: number;
  readonly mtu: number;
  readonly ipv6: boolean;
}

const PORT = 5201;
const QUEUE = 1;
const CHUNK_BYTES: number = MiB;
/**
 * The sender's memory: not commensurable with the receiver's, so that the bytes which land in a page differ from those
 * that were there the lap before. A page handed out too early would spoil the digest.
 */
const SENDER_BYTES: number = 61 * MiB;
/** Below this the landing rings need what there is. */
const MIN_HOLDING_BYTES: number = 32 * MiB;

/** `devmem-tcp demo`. */
export async function demonstrate(context: CliContext): Promise<number> {
  const options = context.command.opts<DemoOptions>();
  const stage = new Stage(context, options);
  try {
    await stage.open();
    await stage.play();
  } finally {
    await stage.close();
  }
  return stage.report();
}

/** Two hosts, a cable between them, and a device memory each. */
class Stage {
  readonly #context: CliContext;
  readonly #options: DemoOptions;
  readonly #addresses: readonly [string, string];
  readonly #fills: Float64Array = new Float64Array(MAP_CELLS);
  #senderMemory: DeviceMemory | null = null;
  #receiverMemory: DeviceMemory | null = null;
  #sender: Host | null = null;
  #receiver: Host | null = null;
  #binding: RxBinding | null = null;
  #pump: ChunkSender | null = null;
  #stream: StreamReceiver | null = null;
  #socket: DevmemSocket | null = null;
  #sentDigest: StreamDigest | null = null;
  #facts: DemoFacts | null = null;
  #failure: unknown = null;
  /** Ctrl-C met a transfer that stood still: what was on its way is lost. */
  #isCutOff = false;

  constructor(context: CliContext, options: DemoOptions) {
    this.#context = context;
    this.#options = options;
    this.#addresses = options.ipv6 ? ['fd77::1', 'fd77::2'] : ['10.77.0.1', '10.77.0.2'];
  }

  async open(): Promise<void> {
    const { size, memorySize, mtu } = this.#options;
    if (size === 0) throw invalidArgument('--size 0: there is nothing to send', 'try --size 256MiB');
    const senderBytes = Math.min(SENDER_BYTES, roundUp(size, PAGE_BYTES));
    this.#senderMemory = await DeviceMemory.allocate({ sizeBytes: senderBytes, exporter: 'shared' });
    this.#receiverMemory = await DeviceMemory.allocate({ sizeBytes: memorySize, exporter: 'shared' });
    fillRandomly(this.#senderMemory);
    const [left, right] = cablePair({ mtuBytes: mtu });
    const bits = this.#options.ipv6 ? 64 : 24;
    this.#sender = await openHost({ link: left, addresses: [`${this.#addresses[0]}/${bits}`] });
    this.#receiver = await openHost({ link: right, addresses: [`${this.#addresses[1]}/${bits}`] });
    this.#binding = await this.#receiver.bindRx(this.#receiverMemory, { queues: [QUEUE] });
    this.#sentDigest = new StreamDigest(this.#senderMemory, 'sha256');
  }

  async play(): Promise<void> {
    const { signal } = this.#context;
    try {
      await this.#transfer(await this.#connect());
    } catch (error) {
      if (!signal.aborted) throw error;
      this.#isCutOff = true;
    }
  }

  /** @returns the receiver's end. */
  async #connect(): Promise<DevmemSocket> {
    const { signal } = this.#context;
    const listener = await this.#receiver!.listen({ port: PORT, into: this.#binding!, signal });
    const connecting = this.#sender!.connect({ host: this.#addresses[1], port: PORT, signal });
    const [accepted, socket] = await Promise.all([listener.accept({ signal }), connecting]);
    listener.close();
    this.#socket = socket;
    return accepted!;
  }

  async #transfer(accepted: DevmemSocket): Promise<void> {
    const { size } = this.#options;
    const { signal } = this.#context;
    this.#context.log.info(`connected: ${this.#addresses.join(' to ')}, MTU ${this.#options.mtu}`);
    this.#pump = new ChunkSender(this.#socket!, this.#senderMemory!, CHUNK_BYTES);
    const consumers = {
      digest: 'sha256',
      pattern: null,
      sink: null,
      holdFrags: holdFrags(this.#receiverMemory!),
      onLanded: (offset: number, length: number) => this.#fill(offset, length),
    };
    const stream = new StreamReceiver(accepted, this.#receiverMemory!, consumers, performance.now());
    this.#stream = stream;
    const bar = this.#context.progress('demo', () => ({ doneBytes: stream.bytes, totalBytes: size }));
    const giveUp = (): void => {
      this.#isCutOff = true;
      this.#socket!.abort();
      accepted.abort();
    };
    const stopWatch = giveUpWhenStalled(signal, () => stream.bytes, giveUp);
    // The receiver hears of Ctrl-C by the FIN of the sender: what was sent arrives, and both digests still agree.
    const ends = await Promise.allSettled([this.#send(), stream.run()]);
    await stream.end(performance.now());
    stopWatch();
    bar?.stop();
    if (this.#isCutOff) return;
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed !== undefined) this.#failure = failed.reason;
  }

  async #send(): Promise<void> {
    const { signal } = this.#context;
    const { size } = this.#options;
    const pump = this.#pump!;
    for (let sent = 0; sent < size && !signal.aborted;) {
      const offset = await pump.slot();
      const length = Math.min(pump.chunkBytes, size - sent);
      this.#sentDigest!.updateMemory(offset, length);
      pump.send(length);
      sent += length;
    }
    await pump.drain();
    await this.#socket!.close();
  }

  /** Spreads a run over the cells of the map. Whole bytes only: with fractions the loop might not move on. */
  #fill(offset: number, length: number): void {
    const { sizeBytes } = this.#receiverMemory!;
    const end = offset + length;
    for (let at = offset; at < end;) {
      const cell = Math.floor((at * MAP_CELLS) / sizeBytes);
      const stop = Math.min(end, Math.ceil(((cell + 1) * sizeBytes) / MAP_CELLS));
      this.#fills[cell]! += stop - at;
      at = stop;
    }
  }

  async close(): Promise<void> {
    const binding = this.#binding;
    const stats = this.#receiver?.stats();
    binding?.close();
    const memory = stats?.memory.find((entry) => entry.dmabufId === binding?.dmabufId);
    if (stats !== undefined && memory !== undefined) {
      // A closed binding is forgotten once its last page is free; until then it says how many are.
      const left = this.#receiver!.stats().memory.find((entry) => entry.dmabufId === binding!.dmabufId);
      this.#facts = {
        addresses: this.#addresses,
        senderMemoryBytes: this.#senderMemory!.sizeBytes,
        receiverMemoryBytes: this.#receiverMemory!.sizeBytes,
        fills: this.#fills,
        nic: stats.nic,
        pagesBound: memory.pagesBound,
        pagesFree: left?.pagesFree ?? memory.pagesBound,
        conserved: this.#receiver!.checkConservation().ok && this.#sender!.checkConservation().ok,
        isCutOff: this.#isCutOff,
      };
    }
    await this.#sender?.close();
    await this.#receiver?.close();
    await this.#senderMemory?.[Symbol.asyncDispose]();
    await this.#receiverMemory?.[Symbol.asyncDispose]();
  }

  report(): number {
    if (this.#failure !== null) throw this.#failure as Error;
    const { interrupted, style } = this.#context;
    const sentDigest = this.#sentDigest!.hex();
    const document = demoDocument(this.#options, this.#stream, sentDigest, this.#facts!, interrupted);
    this.#context.result(document, () => renderDemo(document, this.#facts!, style));
    if (this.#isCutOff) return EXIT_OK;
    if (!document.verified) return EXIT_VERIFICATION;
    return document.devmem.pages_free === document.devmem.pages_bound ? EXIT_OK : EXIT_FAILED;
  }
}

/**
 * The receiver keeps most of its pages for a while, as a computation on them would: so all of the memory is used, and
 * not only the few pages that are warm. A fragment lies in one page; an eighth of the pages is left to the NIC.
 */
function holdFrags(memory: DeviceMemory): number {
  return memory.sizeBytes < MIN_HOLDING_BYTES ? 0 : ((memory.sizeBytes / PAGE_BYTES) * 7) / 8;
}

/** Content that no compression, no zero page and no lucky stale page could pass for. */
function fillRandomly(memory: DeviceMemory): void {
  const block = new Uint8Array(MiB);
  for (let offset = 0; offset < memory.sizeBytes; offset += MiB) {
    randomFillSync(block);
    memory.dmaWrite(offset, block, 0, Math.min(MiB, memory.sizeBytes - offset));
  }
}
