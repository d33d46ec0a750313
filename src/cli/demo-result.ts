import { createHash } from 'node:crypto';
import { SocketCounters } from '../socket/devmem-socket.ts';
import { bitsPerSecond, renderPages, renderWhere, type DevmemFigures } from './report.ts';
import type { StreamReceiver } from './stream-receiver.ts';
import { MAP_CELLS, renderFlow, renderMap } from './ui/picture.ts';
import type { Style } from './ui/style.ts';
import { renderPairs } from './ui/table.ts';
import { formatBytes, formatCount, formatRate, formatSeconds, formatSize } from './ui/units.ts';

/** What the hosts know of the run. */
export interface DemoFacts {
  readonly addresses: readonly [sender: string, receiver: string];
  readonly senderMemoryBytes: number;
  readonly receiverMemoryBytes: number;
  /** How many times each slice of the receiver's memory was filled. */
  readonly fills: Float64Array;
  /** The receiver's NIC. */
  readonly nic: Readonly<Record<string, number>>;
  readonly pagesBound: number;
  readonly pagesFree: number;
  readonly conserved: boolean;
  /** Ctrl-C met a transfer that stood still: what was on its way is lost. */
  readonly isCutOff: boolean;
}

/** docs/schemas/demo.json. */
export interface DemoDocument {
  readonly schema: 'devmem-tcp/demo@1';
  readonly complete: boolean;
  readonly interrupted: boolean;
  readonly requested_bytes: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly bits_per_second: number;
  readonly digest_algorithm: 'sha256';
  /** Of what arrived, hashed where it landed. */
  readonly digest: string;
  /** Of what was sent, hashed where it was sent from. */
  readonly sent_digest: string;
  /** The two are equal, and every page is accounted for. */
  readonly verified: boolean;
  readonly mtu_bytes: number;
  readonly memory: { readonly exporter: 'shared'; readonly bytes: number };
  readonly rx_frames: number;
  readonly rx_header_bytes: number;
  readonly rx_drop_no_page: number;
  readonly devmem: DevmemFigures;
}

/** The result, as `--json` prints it. */
export function demoDocument(
  options: { readonly size: number; readonly mtu: number },
  /** Null: interrupted before there was a connection. */
  stream: StreamReceiver | null,
  sentDigest: string,
  facts: DemoFacts,
  interrupted: boolean,
): DemoDocument {
  const counters = stream?.socket.counters ?? new SocketCounters();
  const seconds = stream === null ? 0 : (stream.endedMs - stream.startedMs) / 1000;
  const bytes = stream?.bytes ?? 0;
  const digest = stream?.digest() ?? createHash('sha256').digest('hex');
  return {
    schema: 'devmem-tcp/demo@1',
    complete: bytes === options.size,
    interrupted,
    requested_bytes: options.size,
    bytes,
    seconds,
    bits_per_second: bitsPerSecond(bytes, seconds),
    digest_algorithm: 'sha256',
    digest,
    sent_digest: sentDigest,
    verified: digest === sentDigest && facts.conserved,
    mtu_bytes: options.mtu,
    memory: { exporter: 'shared', bytes: facts.receiverMemoryBytes },
    rx_frames: facts.nic['rxPackets'] ?? 0,
    rx_header_bytes: Math.max(0, (facts.nic['rxBytes'] ?? 0) - bytes),
    rx_drop_no_page: facts.nic['rxDropNoPage'] ?? 0,
    devmem: {
      dmabuf_bytes: counters.dmabufBytes,
      linear_bytes: counters.linearBytes,
      copied_bytes: counters.copiedBytes,
      relocated_bytes: facts.nic['rxRelocatedBytes'] ?? 0,
      frags: counters.frags,
      tokens_returned: counters.tokensReturned,
      pages_bound: facts.pagesBound,
      pages_free: facts.pagesFree,
    },
  };
}

function times(count: number): string {
  return `${count.toFixed(1)} times`;
}

function pagesText(bytes: number, pages: number): string {
  const text = `${formatSize(bytes)}, ${formatCount(pages)} pages`;
  return text.length <= MAP_CELLS ? text : formatSize(bytes);
}

function picture(document: DemoDocument, facts: DemoFacts, style: Style): string {
  const { devmem } = document;
  const evenly = renderMap(
    Array.from(facts.fills, () => 1),
    style,
  );
  return renderFlow(
    {
      from: {
        name: `sender ${facts.addresses[0]}`,
        deviceMemory: [
          formatSize(facts.senderMemoryBytes),
          evenly,
          `sent ${times(document.bytes / facts.senderMemoryBytes)}`,
        ],
        hostMemory: ['TCP/IP stack', 'payload read: 0 B'],
      },
      to: {
        name: `receiver ${facts.addresses[1]}`,
        deviceMemory: [
          pagesText(facts.receiverMemoryBytes, devmem.pages_bound),
          renderMap(facts.fills, style),
          `filled ${times(document.bytes / facts.receiverMemoryBytes)}`,
        ],
        hostMemory: ['TCP/IP stack', `payload here: ${formatBytes(devmem.linear_bytes + devmem.copied_bytes)}`],
      },
      payload: [`${formatBytes(devmem.dmabuf_bytes)} of payload`, `${formatCount(devmem.frags)} fragments`],
      headers: [`${formatBytes(document.rx_header_bytes)} of headers`, `${formatCount(document.rx_frames)} frames`],
    },
    style,
  );
}

/** The same for people: the picture, the table, the proof. */
export function renderDemo(document: DemoDocument, facts: DemoFacts, style: Style): string {
  const { bytes, seconds, devmem } = document;
  const word = document.complete ? style.green('ok') : style.yellow('interrupted');
  const rate = formatRate(document.bits_per_second);
  const head = `${formatBytes(bytes)} from device memory to device memory in ${formatSeconds(seconds)}, ${rate}`;
  const equal = document.digest === document.sent_digest;
  const cutOff = style.yellow('cut off: what was on its way was not waited for');
  const verdict = equal ? style.green('ok: equal') : facts.isCutOff ? cutOff : style.red('fail: they differ');
  const pairs: [string, string][] = [
    ['sha256 sent', document.sent_digest],
    ['     arrived', document.digest],
    ['', verdict],
    ['pages', renderPages(devmem, style)],
    ['tokens', `${formatCount(devmem.tokens_returned)} of ${formatCount(devmem.frags)} returned`],
  ];
  return [
    `${style.bold(head)}  ${word}`,
    '',
    picture(document, facts, style),
    '',
    renderWhere(devmem, style),
    '',
    renderPairs(pairs, style),
  ].join('\n');
}
