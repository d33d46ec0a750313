import type { DevmemSocket } from '../socket/devmem-socket.ts';
import type { PatternCheck } from './pattern.ts';
import { bitsPerSecond, errorFacts, renderPages, renderWhere, type DevmemFigures } from './report.ts';
import type { OutputSink } from './sink.ts';
import type { StreamReceiver } from './stream-receiver.ts';
import type { Style } from './ui/style.ts';
import { renderPairs, renderTable } from './ui/table.ts';
import { formatBytes, formatCount, formatRate, formatSeconds, formatSize } from './ui/units.ts';

/** One connection, after its end. */
export interface ReceivedStream {
  readonly number: number;
  readonly peer: string;
  readonly socket: DevmemSocket;
  /** Null: it could not even begin (no file to write to). */
  readonly receiver: StreamReceiver | null;
  readonly sink: OutputSink | null;
  readonly pattern: PatternCheck | null;
  readonly failure: unknown;
}

/** What host and binding know of the whole run. */
export interface ReceiveFacts {
  readonly exporter: string;
  readonly memoryBytes: number;
  readonly relocatedBytes: number;
  readonly droppedForWantOfPages: number;
  readonly pagesBound: number;
  readonly pagesFree: number;
}

/** docs/schemas/recv.json. */
export interface ReceiveDocument {
  readonly schema: 'devmem-tcp/recv@1';
  /** The peer has ended every stream, and nothing failed. */
  readonly complete: boolean;
  readonly interrupted: boolean;
  readonly bytes: number;
  readonly seconds: number;
  readonly bits_per_second: number;
  readonly digest_algorithm: string | null;
  /** Of the one stream; null for several (each has its own) or none. */
  readonly digest: string | null;
  readonly memory: { readonly exporter: string; readonly bytes: number };
  readonly devmem: DevmemFigures;
  readonly rx_drop_no_page: number;
  readonly connections: readonly ConnectionDocument[];
}

export interface ConnectionDocument {
  readonly number: number;
  readonly peer: string;
  readonly complete: boolean;
  readonly bytes: number;
  readonly seconds: number;
  readonly bits_per_second: number;
  readonly digest: string | null;
  readonly output: string | null;
  readonly output_bytes: number;
  readonly validated_bytes: number | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

function connectionDocument(stream: ReceivedStream): ConnectionDocument {
  const { receiver, sink, pattern } = stream;
  const bytes = receiver?.bytes ?? 0;
  const seconds = receiver === null ? 0 : (receiver.endedMs - receiver.startedMs) / 1000;
  return {
    number: stream.number,
    peer: stream.peer,
    complete: receiver?.complete === true && stream.failure === null,
    bytes,
    seconds,
    bits_per_second: bitsPerSecond(bytes, seconds),
    digest: receiver?.digest() ?? null,
    output: sink?.name ?? null,
    output_bytes: sink?.writtenBytes ?? 0,
    validated_bytes: pattern?.checkedBytes ?? null,
    error: errorFacts(stream.failure),
  };
}

function figuresOf(streams: readonly ReceivedStream[], facts: ReceiveFacts): DevmemFigures {
  const figures: DevmemFigures = {
    dmabuf_bytes: 0,
    linear_bytes: 0,
    copied_bytes: 0,
    relocated_bytes: facts.relocatedBytes,
    frags: 0,
    tokens_returned: 0,
    pages_bound: facts.pagesBound,
    pages_free: facts.pagesFree,
  };
  for (const { counters } of streams.map((stream) => stream.socket)) {
    figures.dmabuf_bytes += counters.dmabufBytes;
    figures.linear_bytes += counters.linearBytes;
    figures.copied_bytes += counters.copiedBytes;
    figures.frags += counters.frags;
    figures.tokens_returned += counters.tokensReturned;
  }
  return figures;
}

/** From the first connection's beginning to the last one's end. */
function wholeSeconds(streams: readonly ReceivedStream[]): number {
  const receivers = streams.map((stream) => stream.receiver).filter((receiver) => receiver !== null);
  if (receivers.length === 0) return 0;
  const startedMs = Math.min(...receivers.map((receiver) => receiver.startedMs));
  return (Math.max(...receivers.map((receiver) => receiver.endedMs)) - startedMs) / 1000;
}

/** The result, as `--json` prints it. `expected` connections were asked for. */
export function receiveDocument(
  digest: string,
  expected: number,
  streams: readonly ReceivedStream[],
  facts: ReceiveFacts,
  interrupted: boolean,
): ReceiveDocument {
  const connections = streams.map((stream) => connectionDocument(stream)).toSorted((a, b) => a.number - b.number);
  const bytes = connections.reduce((sum, connection) => sum + connection.bytes, 0);
  const seconds = wholeSeconds(streams);
  return {
    schema: 'devmem-tcp/recv@1',
    complete: connections.length === expected && connections.every((connection) => connection.complete),
    interrupted,
    bytes,
    seconds,
    bits_per_second: bitsPerSecond(bytes, seconds),
    digest_algorithm: digest === 'none' ? null : digest,
    digest: expected === 1 ? (connections[0]?.digest ?? null) : null,
    memory: { exporter: facts.exporter, bytes: facts.memoryBytes },
    devmem: figuresOf(streams, facts),
    rx_drop_no_page: facts.droppedForWantOfPages,
    connections,
  };
}

/** The same for people. */
export function renderReceived(document: ReceiveDocument, style: Style): string {
  const { bytes, seconds, connections } = document;
  const [first] = connections;
  const from = connections.length === 1 ? `from ${first!.peer}` : `from ${connections.length} connections`;
  const rate = formatRate(document.bits_per_second);
  const head =
    first === undefined
      ? 'received nothing: no connection came'
      : `received ${formatBytes(bytes)} in ${formatSeconds(seconds)}, ${rate}, ${from}`;
  const word = document.complete
    ? style.green('ok')
    : style.yellow(document.interrupted ? 'interrupted' : 'incomplete');
  const parts = [
    `${style.bold(head)}  ${word}`,
    '',
    renderWhere(document.devmem, style),
    '',
    renderPairs(pairsOf(document, style), style),
  ];
  if (connections.length > 1) parts.push('', renderConnections(document, style));
  return parts.join('\n');
}

function pairsOf(document: ReceiveDocument, style: Style): [string, string][] {
  const { devmem, memory } = document;
  const pairs: [string, string][] = [];
  if (document.digest !== null) pairs.push([document.digest_algorithm!, document.digest]);
  pairs.push(
    ['memory', `${formatSize(memory.bytes)} of ${memory.exporter}`],
    ['pages', renderPages(devmem, style)],
    ['fragments', `${formatCount(devmem.frags)}, ${formatCount(devmem.tokens_returned)} tokens returned`],
  );
  const only = document.connections.length === 1 ? document.connections[0]! : null;
  if (only !== null && only.output !== null) {
    pairs.push([
      'output',
      `${formatCount(only.output_bytes)} bytes to ${only.output === '-' ? 'stdout' : only.output}`,
    ]);
  }
  const checked = document.connections.filter((connection) => connection.validated_bytes !== null);
  if (checked.length > 0) {
    const count = checked.reduce((sum, connection) => sum + connection.validated_bytes!, 0);
    const bad = checked.some((connection) => connection.error?.code === 'ERR_DEVMEM_VERIFICATION');
    pairs.push(['pattern', `${formatCount(count)} bytes right  ${bad ? style.red('fail') : style.green('ok')}`]);
  }
  return pairs;
}

const SHORT_DIGEST = 16;

function renderConnections(document: ReceiveDocument, style: Style): string {
  return renderTable(
    [
      { title: '#', align: 'right' },
      { title: 'peer' },
      { title: 'bytes', align: 'right' },
      { title: 'rate', align: 'right' },
      { title: document.digest_algorithm ?? '' },
      { title: '' },
    ],
    document.connections.map((connection) => [
      String(connection.number),
      connection.peer,
      formatCount(connection.bytes),
      formatRate(connection.bits_per_second),
      connection.digest?.slice(0, SHORT_DIGEST) ?? '',
      connection.complete ? style.green('ok') : style.yellow(connection.error?.code ?? 'interrupted'),
    ]),
    style,
  );
}
