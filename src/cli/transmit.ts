import { DevmemError } from '../core/errors.ts';
import { DeviceMemory, PAGE_BYTES } from '../memory/device-memory.ts';
import type { ExporterName } from '../memory/exporters/exporter.ts';
import { unwatchAbort, watchAbort } from '../socket/abort-watch.ts';
import type { DevmemSocket } from '../socket/devmem-socket.ts';
import type { Host } from '../socket/host-api.ts';
import { IpAddress, parsePrefix } from '../wire/address.ts';
import { orAborted } from './abort.ts';
import { ChunkSender } from './chunk-sender.ts';
import type { CliContext } from './context.ts';
import { formatEndpoint, parseTarget, type Endpoint } from './endpoint.ts';
import { EXIT_FAILED, EXIT_OK, ExitError, exitCodeOf, setupError, UsageError } from './exit.ts';
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
  checkChunk(context, options);
  const source = await openSource(context.args[0]!);
  const job = new TransmitJob(context, options, source, target);
  try {
    await job.open(link);
    if (await job.connect()) await job.send();
  } finally {
    await job.close();
  }
  return job.report();
}

/** A chunk larger than the memory is cut to it, but not if somebody asked for just that. */
function checkChunk(context: CliContext, { maxChunk, size }: TransmitOptions): void {
  if (maxChunk % PAGE_BYTES !== 0 || maxChunk === 0) {
    throw new UsageError(`--max-chunk ${maxChunk} is not a multiple of ${PAGE_BYTES}`, 'try 1MiB or 4MiB');
  }
  const isAsked = context.command.getOptionValueSource('maxChunk') !== 'default';
  if (!isAsked || maxChunk <= size) return;
  throw new UsageError(
    `--max-chunk ${formatSize(maxChunk)} does not fit into --size ${formatSize(size)} of device memory`,
    'give a larger --size, or a chunk of at most half of it, so that one is filled while another is sent',
  );
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
    const { memory: exporter, size, digest } = this.#options;
    const { log } = this.#context;
    try {
      this.#memory = await DeviceMemory.allocate({ sizeBytes: size, exporter: exporter as ExporterName });
      this.#host = await openLinkHost(link, this.#options, 1);
    } catch (error) {
      throw setupError(error);
    }
    log.info(`device memory: ${formatBytes(size)} of ${exporter}; link: ${link}`);
    this.#digest = digest === 'none' ? null : new StreamDigest(this.#memory, digest);
  }

  /** False: interrupted before there was a connection. */
  async connect(): Promise<boolean> {
    const { log, signal } = this.#context;
    try {
      // The look-up of a name cannot be cancelled.
      this.#socket = await orAborted(this.#host!.connect({ ...this.#target, signal }), signal);
    } catch (error) {
      if (signal.aborted) return false;
      throw connectError(error, this.#target.host, this.#options.address!);
    }
    this.#sender = new ChunkSender(this.#socket, this.#memory!, this.#options.maxChunk);
    log.info(`connected to ${formatEndpoint(this.#target.host, this.#target.port)}`);
    return true;
  }

  async send(): Promise<void> {
    const { signal } = this.#context;
    const { sizeBytes } = this.#source;
    const sender = this.#sender!;
    this.#startedMs = performance.now();
    const abort = (): void => this.#socket!.abort();
    watchAbort(signal, abort);
    const socket = this.#socket!;
    const bar = this.#context.progress('send', () => ({ doneBytes: socket.acknowledgedBytes, totalBytes: sizeBytes }));
    try {
      await this.#pump(sender);
      await sender.drain();
      await socket.close({ signal });
      this.#complete = socket.endAcknowledged;
      if (!this.#complete) throw endUnacknowledged(this.#target);
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
    const bytes = this.#socket?.acknowledgedBytes ?? 0;
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
        dmabuf_bytes: this.#socket?.counters.sentDmabufBytes ?? 0,
        linear_bytes: 0,
        copied_bytes: this.#socket?.counters.sentCopiedBytes ?? 0,
        relocated_bytes: 0,
        frags: this.#sender?.chunks ?? 0,
        tokens_returned: 0,
        pages_bound: pages,
        pages_free: pages,
      },
      error: errorFacts(this.#failure),
    };
  }
}

/** `close` has waited as long as it does, or the connection failed meanwhile. */
function endUnacknowledged(target: Endpoint): DevmemError {
  const peer = formatEndpoint(target.host, target.port);
  return new DevmemError(
    'ETIMEDOUT',
    `${peer} has acknowledged every byte, but not the end of the stream (ETIMEDOUT)`,
    {
      syscall: 'close',
      hint: 'whether the receiver has seen the end is not known: compare the digests before you send it again',
    },
  );
}

/** An error of connecting, with what to do about it on the command line. */
export function connectError(error: unknown, host: string, addresses: readonly string[]): unknown {
  if (!(error instanceof DevmemError) || error.code !== 'ENETUNREACH') return error;
  const own = addresses.find((prefix) => IpAddress.parse(host)?.equals(parsePrefix(prefix)!.address) === true);
  const hint =
    own === undefined
      ? `only what lies inside a prefix of --address can be reached: name a host of ${addresses.join(' or ')}, or give --address another prefix`
      : `${host} is our own --address: name another host of ${own}, such as the --peer-address`;
  return new ExitError(EXIT_FAILED, error, hint);
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
