import type { CliContext } from './context.ts';
import { EXIT_OK, exitCodeOf, setupError, UsageError } from './exit.ts';
import { formatEndpoint } from './endpoint.ts';
import { linkName, MAX_QUEUES, ownAddresses, type LinkOptions } from './link-options.ts';
import { openLinkHost } from './open-host.ts';
import { PatternCheck } from './pattern.ts';
import { receiveDocument, renderReceived, type ReceivedStream, type ReceiveFacts } from './receive-result.ts';
import { renderError } from './report-error.ts';
import { openSink, type OutputSink } from './sink.ts';
import { StreamReceiver } from './stream-receiver.ts';
import { formatBytes } from './ui/units.ts';
import { DevmemError } from '../core/errors.ts';
import { DeviceMemory } from '../memory/device-memory.ts';
import type { ExporterName } from '../memory/exporters/exporter.ts';
import type { Host, RxBinding } from '../socket/host-api.ts';
import type { DevmemSocket } from '../socket/devmem-socket.ts';

interface ReceiveOptions extends LinkOptions {
  readonly port: number;
  readonly connections: number;
  readonly output?: string;
  readonly digest: string;
  readonly validate?: number;
}

/** Where the number of the connection goes in `--output part.%n`. */
const NUMBER = '%n';

/** `devmem-tcp recv`. */
export async function receive(context: CliContext): Promise<number> {
  const options = context.command.opts<ReceiveOptions>();
  checkOutput(options);
  checkQueues(options);
  const link = linkName(options);
  ownAddresses(options);
  const outputs = new Outputs(options);
  await outputs.openFirst();
  const job = new ReceiveJob(context, options, outputs);
  try {
    await job.open(link);
    await job.accept();
  } finally {
    await job.close();
  }
  return job.report();
}

function checkQueues({ queues, firstQueue }: ReceiveOptions): void {
  if (firstQueue + queues <= MAX_QUEUES) return;
  throw new UsageError(
    `--first-queue ${firstQueue} and --queues ${queues} need queue ${firstQueue + queues - 1}`,
    `there are queues 0 to ${MAX_QUEUES - 1}: give numbers that add up to at most ${MAX_QUEUES}`,
  );
}

function checkOutput(options: ReceiveOptions): void {
  const { output, connections } = options;
  if (output === undefined || connections === 1 || output.includes(NUMBER)) return;
  throw new UsageError(
    `--output ${output} is one file for ${connections} connections`,
    `put ${NUMBER} in its name for a file each, such as ${output === '-' ? 'stream' : output}.${NUMBER}`,
  );
}

/** The files of `--output`: one, opened before anything else, or one a connection. */
class Outputs {
  readonly #pattern: string | null;
  readonly #isShared: boolean;
  #first: OutputSink | null = null;

  constructor(options: ReceiveOptions) {
    this.#pattern = options.output ?? null;
    this.#isShared = this.#pattern?.includes(NUMBER) === false;
  }

  get isStdout(): boolean {
    return this.#pattern === '-';
  }

  /** A file that cannot be opened is better found out before the sender has begun. */
  async openFirst(): Promise<void> {
    if (this.#pattern !== null && this.#isShared) this.#first = await openSink(this.#pattern);
  }

  async forConnection(number: number): Promise<OutputSink | null> {
    if (this.#first !== null) return this.#first;
    return this.#pattern === null ? null : openSink(this.#pattern.replaceAll(NUMBER, String(number)));
  }
}

class ReceiveJob {
  readonly #context: CliContext;
  readonly #options: ReceiveOptions;
  readonly #outputs: Outputs;
  readonly #streams: ReceivedStream[] = [];
  readonly #receivers: StreamReceiver[] = [];
  #memory: DeviceMemory | null = null;
  #host: Host | null = null;
  #binding: RxBinding | null = null;
  #facts: ReceiveFacts | null = null;
  /** Why no connection could be waited for any more. */
  #failure: unknown = null;

  constructor(context: CliContext, options: ReceiveOptions, outputs: Outputs) {
    this.#context = context;
    this.#options = options;
    this.#outputs = outputs;
  }

  async open(link: string): Promise<void> {
    const { memory: exporter, size, queues, firstQueue } = this.#options;
    const { log } = this.#context;
    try {
      this.#memory = await DeviceMemory.allocate({ sizeBytes: size, exporter: exporter as ExporterName });
      log.info(`device memory: ${formatBytes(size)} of ${exporter}`);
      // One stays unbound: queue 0, or the one behind.
      this.#host = await openLinkHost(link, this.#options, Math.max(firstQueue, 1) + queues);
      log.info(`link: ${link}`);
    } catch (error) {
      throw setupError(error);
    }
    const queueIds = Array.from({ length: queues }, (_, i) => firstQueue + i);
    this.#binding = await this.#host.bindRx(this.#memory, { queues: queueIds });
    log.info(`bound to queue ${queueIds.join(', ')} as dmabuf ${this.#binding.dmabufId}`);
  }

  /** Takes the streams of as many connections as asked for, side by side. */
  async accept(): Promise<void> {
    const { port, connections } = this.#options;
    const { log, signal } = this.#context;
    const server = await this.#host!.listen({ port, into: this.#binding! });
    const addresses = this.#options.address!.map((prefix) => prefix.split('/')[0]!);
    log.note(`listening on ${addresses.map((address) => formatEndpoint(address, port)).join(' and ')}`);
    const bar = this.#context.progress('recv', () => ({ doneBytes: this.#doneBytes(), totalBytes: null }));
    const running: Promise<void>[] = [];
    try {
      while (running.length < connections) {
        const socket = await server.accept({ signal });
        if (socket === null) break;
        running.push(this.#takeStream(socket, running.length + 1));
      }
    } catch (error) {
      if (!signal.aborted) this.#failure = error;
    } finally {
      await Promise.all(running);
      bar?.stop();
      server.close();
    }
  }

  async #takeStream(socket: DevmemSocket, number: number): Promise<void> {
    const { log, signal } = this.#context;
    const peer = formatEndpoint(socket.remoteAddress, socket.remotePort);
    const { digest, validate } = this.#options;
    log.info(`connection ${number} from ${peer}`);
    const pattern = validate === undefined ? null : new PatternCheck(validate);
    let sink: OutputSink | null = null;
    let receiver: StreamReceiver | null = null;
    let failure: unknown = null;
    try {
      sink = await this.#outputs.forConnection(number);
      const consumers = { digest: digest === 'none' ? null : digest, pattern, sink };
      receiver = new StreamReceiver(socket, this.#memory!, consumers, performance.now());
      this.#receivers.push(receiver);
      await receiver.run(signal);
    } catch (error) {
      if (!signal.aborted) failure = error;
    }
    if (receiver === null) socket.abort();
    await receiver?.end(performance.now());
    try {
      await sink?.close();
    } catch (error) {
      failure ??= error;
    }
    this.#streams.push({ number, peer, socket, receiver, sink, pattern, failure });
    log.info(`connection ${number} ended`);
  }

  #doneBytes(): number {
    let bytes = 0;
    for (const receiver of this.#receivers) bytes += receiver.bytes;
    return bytes;
  }

  /** Gives everything back, and notes what the NIC and the pages have to say of the run. */
  async close(): Promise<void> {
    const host = this.#host;
    const binding = this.#binding;
    const stats = host?.stats();
    binding?.close();
    const memory = stats?.memory.find((entry) => entry.dmabufId === binding?.dmabufId);
    if (stats !== undefined && memory !== undefined) {
      // A closed binding is forgotten once its last page is free; until then it says how many are.
      const left = host!.stats().memory.find((entry) => entry.dmabufId === memory.dmabufId);
      this.#facts = {
        exporter: memory.exporter,
        memoryBytes: memory.sizeBytes,
        relocatedBytes: (stats.nic['rxRelocatedBytes'] ?? 0) + (stats.tcp['packedBytes'] ?? 0),
        droppedForWantOfPages: stats.nic['rxDropNoPage'] ?? 0,
        pagesBound: memory.pagesBound,
        pagesFree: left?.pagesFree ?? memory.pagesBound,
      };
    }
    await host?.close();
    await this.#memory?.[Symbol.asyncDispose]();
  }

  /** Prints the result and the errors of single connections. @returns the exit code. */
  report(): number {
    const { interrupted } = this.#context;
    const document = receiveDocument(
      this.#options.digest,
      this.#options.connections,
      this.#streams,
      this.#facts!,
      interrupted,
    );
    this.#context.result(
      document,
      () => renderReceived(document, this.#context.style),
      this.#outputs.isStdout ? 'stderr' : 'stdout',
    );
    return this.#reportErrors();
  }

  #reportErrors(): number {
    const name = this.#context.command.name();
    let exitCode = this.#failure === null ? EXIT_OK : this.#reportError(name, this.#failure);
    for (const { failure, number } of this.#streams) {
      // What ended the listener (the link is gone) ended these too, and is said once.
      if (failure === null || (this.#failure !== null && isLinkGone(failure))) continue;
      // The reader of our stdout has what it wanted (`| head`): the summary says that the stream is incomplete.
      if (this.#outputs.isStdout && isClosedPipe(failure)) continue;
      const where = this.#options.connections === 1 ? name : `${name}: connection ${number}`;
      exitCode = Math.max(exitCode, this.#reportError(where, failure));
    }
    return exitCode;
  }

  #reportError(where: string, error: unknown): number {
    const { errorStyle, log } = this.#context;
    process.stderr.write(renderError(where, error, errorStyle, log.verbosity >= 2));
    return exitCodeOf(error);
  }
}

function isClosedPipe(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EPIPE' && (error as NodeJS.ErrnoException).path === 'stdout';
}

function isLinkGone(error: unknown): boolean {
  return error instanceof DevmemError && error.code === 'ENETDOWN';
}
