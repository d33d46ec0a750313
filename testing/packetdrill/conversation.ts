import { NEVER } from '../../src/core/clock.ts';
import { TCP_ACK, TCP_SYN } from '../../src/wire/tcp.ts';
import { ScriptFailure } from './failure.ts';
import { Flow } from './flow.ts';
import { icmpErrorFrame, icmpNumbers, segmentFrame, type Ends } from './make-frame.ts';
import type { Network } from './network.ts';
import { encodeOptions } from './option-bytes.ts';
import { OutboundCheck } from './outbound.ts';
import { icmpText, packetText } from './packet-text.ts';
import { streamBytes, streamMismatch } from './pattern.ts';
import type { IcmpAction, PacketAction } from './script.ts';
import type { SeenSegment } from './seen-segment.ts';
import type { Settings } from './settings.ts';
import type { ScriptSocket } from './sockets.ts';
import { seconds, timeFault } from './verdicts.ts';

const SERVER_PORT = 8080;
const FIRST_REMOTE_PORT = 40_000;
/** How long `*` waits for a packet. */
const MAX_WAIT_MICROS = 600_000_000;
/** How far beyond its time a packet is looked for, to be told of. */
const LOOK_AHEAD_MICROS = 5_000_000;

/** When something is expected, on the stack's clock. */
export interface TimeWindow {
  isAny: boolean;
  from: number;
  to: number;
  tolerance: number;
}

export interface ConversationHost {
  /** Lets time pass up to `micros`; calls that block go on. */
  advanceOnce(micros: number): void;
  /** Something was delivered: calls that block may go on. */
  delivered(): void;
  sockets(): Iterable<ScriptSocket>;
  note(text: string): void;
}

/** The script's side of the wire: its packets in, ours out, and the connection that they belong to. */
export class Conversation {
  readonly #network: Network;
  readonly #settings: Settings;
  readonly #host: ConversationHost;
  #flow: Flow | null = null;
  #mayBegin = true;
  #nextRemotePort = FIRST_REMOTE_PORT;

  constructor(network: Network, settings: Settings, host: ConversationHost) {
    this.#network = network;
    this.#settings = settings;
    this.#host = host;
    network.onSent = (segment) => this.#noteSent(segment);
  }

  /** The packets to come belong to nothing yet: to a listener, the first of them begins a connection. */
  forget(isListening: boolean): void {
    this.#flow = null;
    this.#mayBegin = isListening;
  }

  /** They belong to a connection that we open. */
  begin(localPort: number): void {
    this.#flow = new Flow(localPort, SERVER_PORT);
  }

  /** Delivers a packet of the script. */
  inject(line: number, packet: PacketAction): void {
    const isSyn = (packet.flags & TCP_SYN) !== 0;
    const flow = this.#inboundFlow(line);
    if (isSyn) flow.remoteSyn(packet.sequence);
    else this.#adoptSyn(flow);
    const { mssBytes } = this.#settings;
    const options = encodeOptions(flow.optionsToLive(packet.options ?? []));
    if (options.length % 4 !== 0)
      throw new ScriptFailure(line, 'the options are not a multiple of 4 bytes; add nop or eol');
    if (options.length > 40) throw new ScriptFailure(line, 'the options are longer than 40 bytes; drop some');
    const streamOffset = isSyn ? 0 : packet.sequence - 1;
    const frame = segmentFrame(this.#ends(flow), {
      trafficClass: inboundTrafficClass(packet),
      hopLimit: packet.ip.hopLimit,
      sequence: flow.remoteToLive(packet.sequence, isSyn),
      acknowledgment: (packet.flags & TCP_ACK) === 0 ? 0 : flow.localToLive(packet.acknowledgment ?? 0, isSyn),
      flags: packet.flags,
      window: packet.window ?? 0,
      urgentPointer: packet.urgentPointer ?? 0,
      options,
      payload: streamBytes(streamOffset, packet.payloadBytes),
    });
    this.#host.note(`< ${packetText(packet)}`);
    this.#network.deliver(frame, packet.payloadBytes > mssBytes ? mssBytes : 0);
    this.#host.delivered();
  }

  /** Delivers an ICMP error about a segment of ours. */
  injectIcmp(line: number, packet: IcmpAction): void {
    if (packet.direction === 'out') throw new ScriptFailure(line, 'ICMP messages of ours are not looked at here');
    const { family } = this.#network.local;
    const numbers = icmpNumbers(family, packet.type, packet.code);
    if (numbers === null)
      throw new ScriptFailure(line, `'${icmpText(packet)}' is no ICMP error of IPv${family} known here`);
    const flow = this.#inboundFlow(line);
    this.#adoptSyn(flow);
    const ends = this.#ends(flow);
    const quoted = segmentFrame(
      {
        source: ends.destination,
        sourcePort: ends.destinationPort,
        destination: ends.source,
        destinationPort: ends.sourcePort,
      },
      {
        trafficClass: 0,
        hopLimit: null,
        sequence: flow.localToLive(packet.quoted?.sequence ?? 0, false),
        acknowledgment: 0,
        flags: TCP_ACK,
        window: 0,
        urgentPointer: 0,
        options: new Uint8Array(0),
        payload: new Uint8Array(packet.quoted?.payloadBytes ?? 0),
      },
    );
    this.#host.note(`< ${icmpText(packet)}`);
    this.#network.deliver(icmpErrorFrame(numbers[0], numbers[1], packet.mtuBytes ?? 0, quoted, ends));
    this.#host.delivered();
  }

  /** The connection that the script's next packet belongs to: to a listener, it begins one from a port of its own. */
  #inboundFlow(line: number): Flow {
    if (this.#flow !== null) return this.#flow;
    if (!this.#mayBegin) throw new ScriptFailure(line, 'there is no connection that it could belong to');
    this.#flow = new Flow(SERVER_PORT, this.#nextRemotePort++);
    this.#mayBegin = false;
    return this.#flow;
  }

  /** A SYN of ours that the script has not looked at: its number is needed all the same. */
  #adoptSyn(flow: Flow): void {
    if (flow.localScript !== null) return;
    const syn = this.#network.sent.find((segment) => flow.isOf(segment) && (segment.flags & TCP_SYN) !== 0);
    if (syn !== undefined) flow.localSyn(syn.sequence, 0);
  }

  #ends(flow: Flow): Ends {
    const { local, remote } = this.#network;
    return { source: remote, sourcePort: flow.remotePort, destination: local, destinationPort: flow.localPort };
  }

  /** Waits for a packet of ours and compares it. */
  expect(line: number, packet: PacketAction, time: TimeWindow): void {
    const flow = this.#flow;
    if (flow === null) throw new ScriptFailure(line, 'there is no connection that could send it');
    const check = new OutboundCheck(packet, flow, {
      writeEnds: this.#socketOf(flow)?.writeEnds ?? new Set(),
      timestampTickMicros: this.#settings.timestampTickMicros,
      toleranceMicros: this.#settings.toleranceMicros,
    });
    const deadline = time.isAny ? this.#network.nowMicros + MAX_WAIT_MICROS : time.to + time.tolerance;
    while (!check.isComplete) {
      const segment = this.#nextSegment(flow, deadline);
      if (segment === null || !check.add(segment)) break;
      const fault = time.isAny ? null : timeFault(segment.micros, time.from, time.to, time.tolerance);
      if (fault !== null) check.complain(`it was sent ${fault}`);
      this.#network.sent.splice(this.#network.sent.indexOf(segment), 1);
    }
    const problem = check.verdict(() => this.#whatElse(flow, deadline));
    if (problem !== null) throw new ScriptFailure(line, problem);
  }

  /** What was sent and not looked at. */
  rest(): string[] {
    return this.#flow === null ? [] : this.#segmentsOf(this.#flow).map((segment) => this.#text(segment));
  }

  /** The oldest segment of the connection that was not looked at, sent at `deadline` at the latest. */
  #nextSegment(flow: Flow, deadline: number): SeenSegment | null {
    for (;;) {
      const segment = this.#segmentsOf(flow)[0];
      if (segment !== undefined) return segment;
      const next = this.#network.pollAt();
      if (next === NEVER || next > deadline) return null;
      this.#host.advanceOnce(next);
    }
  }

  /** Those of other connections stay where they are: nobody looks at them. */
  #segmentsOf(flow: Flow): SeenSegment[] {
    return this.#network.sent.filter((segment) => flow.isOf(segment));
  }

  /** What came instead of an expected segment, for the message. */
  #whatElse(flow: Flow, deadline: number): string {
    const segment = this.#nextSegment(flow, deadline + LOOK_AHEAD_MICROS);
    if (segment === null) return 'nothing was sent';
    return `nothing was sent; the next is ${this.#text(segment)} at ${seconds(segment.micros)}`;
  }

  #socketOf({ localPort, remotePort }: { localPort: number; remotePort: number }): ScriptSocket | null {
    for (const socket of this.#host.sockets()) {
      const { connection } = socket;
      if (connection?.localPort === localPort && connection.remotePort === remotePort) return socket;
    }
    return null;
  }

  /** Each segment of ours: its checksums, and its bytes if the connection is still there to say what they should be. */
  #noteSent(segment: SeenSegment): void {
    this.#host.note(`> ${this.#text(segment)}`);
    if (segment.fault !== '') throw new ScriptFailure(1, `a segment of ours: ${segment.fault}`);
    const socket = this.#socketOf(segment);
    const { payload, flags } = segment;
    if (socket === null || payload.length === 0) return;
    const isSyn = (flags & TCP_SYN) !== 0;
    const offset = (segment.sequence - socket.connection!.sender.iss - (isSyn ? 0 : 1)) | 0;
    const wrong = streamMismatch(payload, offset);
    if (wrong >= 0) throw new ScriptFailure(1, `byte ${offset + wrong} of our stream is not the one that was written`);
    socket.errors.sent(offset + payload.length, segment.micros);
  }

  #text(segment: SeenSegment): string {
    const flow = this.#flow?.isOf(segment) === true ? this.#flow : new Flow(segment.localPort, segment.remotePort);
    const packet = flow.toScript(segment);
    const ecn = packet.ip.ecn === 0 ? null : packet.ip.ecn;
    return packetText({ ...packet, ip: { ecn, trafficClass: null, hopLimit: null, flowLabel: null } });
  }
}

function inboundTrafficClass(packet: PacketAction): number {
  const { ecn, trafficClass } = packet.ip;
  return trafficClass ?? (ecn === 'any-ect' ? 2 : (ecn ?? 0));
}
