import { DeviceMemory, PAGE_BYTES } from '../memory/device-memory.ts';
import type { ExporterName } from '../memory/exporters/exporter.ts';
import { unwatchAbort, watchAbort } from '../socket/abort-watch.ts';
import type { DevmemSocket } from '../socket/devmem-socket.ts';
import type { Host } from '../socket/host-api.ts';
import { orAborted } from './abort.ts';
import { ChunkSender } from './chunk-sender.ts';
import type { CliContext } from './context.ts';
import { formatEndpoint, parseTarget, type Endpoint } from './endpoint.ts';
import { EXIT_OK, exitCodeOf, setupError, UsageError } from './exit.ts';
import { linkName, ownAddresses, type LinkOptions } from './link-options.ts';
import { openLinkHost } from './open-host.ts';
import { bitsPerSecond, errorFacts, renderPages, type DevmemFigures } from './report.ts';
import { renderError } from './report-error.ts';
import { openSource, type Source } from './source.ts';
import { StreamDigest } from './stream-digest.ts';
import type { Style } from './ui/style.ts';
import { renderPairs } from './ui/table.ts';
import { formatBytes, formatCount, formatRate, formatSeconds, formatSize } from './ui/units.ts';

interface TransmitOptions extends LinkOptions {
  readonly digest: string;
  readonly maxChunk: number;
}

/** docs/schemas/send.json. */
export interface SendDocument {
  readonly schema: 'devmem-tcp/send@1';
  /** The peer has acknowledged the whole file and the end of the stream. */
  readonly complete: boolean;
  readonly interrupted: boolean;
  readonly file: string;
  readonly peer: string;
  /** Acknowledged by the peer. */
  readonly bytes: number;
  readonly seconds: number;
  readonly bits_per_second: number;
  readonly digest_algorithm: string | null;
  /** Of everything that was handed to the connection: of `bytes`, if complete. */
  readonly digest: string | null;
  readonly memory: { readonly exporter: string; readonly bytes: number };
  readonly devmem: DevmemFigures;
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** `devmem-tcp send`. */
export async function transmit(context: CliContext): Promise<number> {
  const options = context.command.opts<TransmitOptions>();
  const target = parseTarget(context.args[1]!);
  const link = linkName(options);
  ownAddresses(options);
  if (options.maxChunk % PAGE_BYTES !== 0 || options.maxChunk === 0) {
    throw new UsageError(`--max-chunk ${options.maxChunk} is not a multiple of ${PAGE_BYTES}`, 'try 1MiB or 4MiB');
  }
  const source = await openSource(context.args[0]!);
  const job = new TransmitJob(context, options, source, target);
  try {
    await job.open(link);
    await job.send();
  } finally {
    await job.close();
  }
  return job.report();
}

class TransmitJob {
  readonly #context: CliContext;
  readonly #options: TransmitOptions;
  readonly #source: Source;
  readonly #target: Endpoint;
  #memory: DeviceMemory | null = null;
  #host: Host | null = null;
  #socket: DevmemSocket | null = null;
  #sender: ChunkSender | null = null;
  #digest: StreamDigest | null = null;
  #complete = false;
  #failure: unknown = null;
  #startedMs = 0;
  #endedMs = 0;

  constructor(context: CliContext, options: TransmitOptions, source: Source, target: Endpoint) {
    this.#context = context;
    this.#options = options;
    this.#source = source;
    this.#target = target;
  }

  async open(link: string): Promise<void> {
    const { memory: exporter, size, digest, maxChunk } = this.#options;
    const { log, signal } = this.#context;
    try {
      this.#memory = await DeviceMemory.allocate({ sizeBytes: size, exporter: exporter as ExporterName });
      this.#host = await openLinkHost(link, this.#options, 1);
    } catch (error) {
      throw setupError(error);
    }
    log.info(`device memory: ${formatBytes(size)} of ${exporter}; link: ${link}`);
    this.#digest = digest === 'none' ? null : new StreamDigest(this.#memory, digest);
    this.#socket = await this.#host.connect({ ...this.#target, signal });
    this.#sender = new ChunkSender(this.#socket, this.#memory, maxChunk);
    log.info(`connected to ${formatEndpoint(this.#target.host, this.#target.port)}`);
  }

  async send(): Promise<void> {
    const { signal } = this.#context;
    const { sizeBytes } = this.#source;
    const sender = this.#sender!;
    this.#startedMs = performance.now();
    const abort = (): void => this.#socket!.abort();
    watchAbort(signal, abort);
    const bar = this.#context.progress('send', () => ({ doneBytes: sender.completedBytes, totalBytes: sizeBytes }));
    try {
      await this.#pump(sender);
      await sender.drain();
      await this.#socket!.close({ signal });
      this.#complete = true;
    } catch (error) {
      abort();
      if (!signal.aborted) this.#failure = error;
    } finally {
      unwatchAbort(signal, abort);
      bar?.stop();
      this.#endedMs = performance.now();
    }
  }

  async #pump(sender: ChunkSender): Promise<void> {
    const { signal } = this.#context;
    for (;;) {
      const offset = await sender.slot();
      signal.throwIfAborted();
      const length = await orAborted(this.#source.read(this.#memory!, offset, sender.chunkBytes), signal);
      if (length === 0) return;
      this.#digest?.updateMemory(offset, length);
      sender.send(length);
    }
  }

  async close(): Promise<void> {
    await this.#source.close();
    await this.#host?.close();
    await this.#memory?.[Symbol.asyncDispose]();
  }

  report(): number {
    const { interrupted, errorStyle, log, style } = this.#context;
    const document = this.#document(interrupted);
    this.#context.result(document, () => renderSent(document, style));
    if (this.#failure === null) return EXIT_OK;
    process.stderr.write(renderError('send', this.#failure, errorStyle, log.verbosity >= 2));
    return exitCodeOf(this.#failure);
  }

  #document(interrupted: boolean): SendDocument {
    const { digest, memory: exporter, size } = this.#options;
    const bytes = this.#sender!.completedBytes;
    const seconds = (this.#endedMs - this.#startedMs) / 1000;
    const pages = size / PAGE_BYTES;
    return {
      schema: 'devmem-tcp/send@1',
      complete: this.#complete,
      interrupted,
      file: this.#source.name,
      peer: formatEndpoint(this.#target.host, this.#target.port),
      bytes,
      seconds,
      bits_per_second: bitsPerSecond(bytes, seconds),
      digest_algorithm: digest === 'none' ? null : digest,
      digest: this.#digest?.hex() ?? null,
      memory: { exporter, bytes: size },
      devmem: {
        dmabuf_bytes: this.#socket!.counters.sentDmabufBytes,
        linear_bytes: 0,
        copied_bytes: this.#socket!.counters.sentCopiedBytes,
        relocated_bytes: 0,
        frags: this.#sender!.chunks,
        tokens_returned: 0,
        pages_bound: pages,
        pages_free: pages,
      },
      error: errorFacts(this.#failure),
    };
  }
}

function renderSent(document: SendDocument, style: Style): string {
  const { bytes, seconds, devmem, memory } = document;
  const word = document.complete
    ? style.green('ok')
    : style.yellow(document.interrupted ? 'interrupted' : 'incomplete');
  const head = `sent ${formatBytes(bytes)} in ${formatSeconds(seconds)}, ${formatRate(document.bits_per_second)}, to ${document.peer}`;
  const pairs: [string, string][] = [];
  if (document.digest !== null) pairs.push([document.digest_algorithm!, document.digest]);
  pairs.push(
    ['memory', `${formatSize(memory.bytes)} of ${memory.exporter}`],
    [
      'in place',
      `${formatCount(devmem.dmabuf_bytes)} bytes out of device memory, ${formatCount(devmem.copied_bytes)} copied`,
    ],
    ['pages', renderPages(devmem, style)],
  );
  return `${style.bold(head)}  ${word}\n\n${renderPairs(pairs, style)}`;
}
