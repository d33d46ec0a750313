import { NEVER } from '../../src/core/clock.ts';
import type { TcpConfig } from '../../src/stack/tcp/config.ts';
import { TCP_ACK, TCP_SYN } from '../../src/wire/tcp.ts';
import { CodeError, runCode } from './assertion.ts';
import { Calls, type Attempt, type CallHost } from './calls.ts';
import { codeNames } from './code-names.ts';
import type { OpenFile } from './descriptors.ts';
import { Flow } from './flow.ts';
import { KernelCounters } from './kernel-counters.ts';
import { icmpErrorFrame, icmpNumbers, segmentFrame, type Ends } from './make-frame.ts';
import { Network, START_MICROS } from './network.ts';
import { encodeOptions } from './option-bytes.ts';
import { OutboundCheck } from './outbound.ts';
import { icmpText, packetText } from './packet-text.ts';
import { streamBytes } from './pattern.ts';
import type { CallAction, IcmpAction, PacketAction, Script, ScriptEvent } from './script.ts';
import type { SeenSegment } from './seen-segment.ts';
import type { Settings } from './settings.ts';
import { runCommand, type ShellHost } from './shell.ts';
import { BLOCKED, type ScriptSocket } from './sockets.ts';
import { LINUX_DEFAULTS, type ConfigChange } from './sysctl.ts';
import { callFault, timeFault } from './verdicts.ts';
import { CallError } from './values.ts';

const LOCAL_PORT = 8080;
const FIRST_REMOTE_PORT = 40_000;
/** How long a call may block before it is taken for stuck. */
const MAX_WAIT_MICROS = 600_000_000;

/** A script does not hold: what, in the line of which event. */
export class ScriptFailure extends Error {
  readonly line: number;
  constructor(line: number, message: string) {
    super(message);
    this.name = 'ScriptFailure';
    this.line = line;
  }
}

/** A blocking call under way. */
interface PendingCall {
  event: ScriptEvent;
  call: CallAction;
  attempt: Attempt;
  /** When it should end, on the stack's clock; null: when it will. */
  endMicros: number | null;
  toleranceMicros: number;
}

/** Plays one script against a host of ours, in virtual time. */
export class Player implements CallHost, ShellHost {
  readonly network: Network;
  readonly files: Map<string, OpenFile> = new Map<string, OpenFile>();
  /** What happened, as a script would write it. */
  readonly trace: string[] = [];
  readonly toleranceMicros: number;
  readonly #script: Script;
  readonly #settings: Settings;
  readonly #counters: KernelCounters;
  readonly #calls: Calls;
  readonly #config: Partial<TcpConfig> = { ...LINUX_DEFAULTS };
  #mtuBytes: number;
  #isSetUp = false;
  #isLinkFull = false;
  #pending: PendingCall | null = null;
  #complaints: string[] = [];
  /** What the script's packets belong to. */
  #flow: Flow | null = null;
  #isListening = false;
  #subject: ScriptSocket | null = null;
  #nextRemotePort = FIRST_REMOTE_PORT;
  /** Of the event before, for tolerances. */
  #lastEventMicros: number = START_MICROS;

  /** @throws ScriptFailure if a command at the script's top fails. */
  constructor(script: Script, settings: Settings, seed = 1) {
    this.#script = script;
    this.#settings = settings;
    this.toleranceMicros = settings.toleranceMicros;
    this.#mtuBytes = settings.mtuBytes;
    for (const { line, text } of script.setup) {
      const problem = runCommand(text, this);
      if (problem !== null) throw new ScriptFailure(line, problem);
    }
    const { local, remote } = settings;
    const config = this.#config;
    this.network = new Network({ config, mtuBytes: this.#mtuBytes, local, remote, seed });
    this.network.onSent = (segment) => this.#noteSent(segment);
    this.#isSetUp = true;
    this.#counters = new KernelCounters(this.network);
    this.#calls = new Calls(this);
  }

  /** @throws ScriptFailure at the first thing that is not as the script says. */
  run(): void {
    for (const event of this.#script.events) this.#play(event);
    this.#finishPending();
    for (const socket of this.#calls.sockets()) this.#checkContent(socket);
    if (!this.#settings.isExact) return;
    const rest = this.#ownSegments();
    if (rest.length > 0) {
      const line = this.#script.events.at(-1)?.line ?? 1;
      throw new ScriptFailure(line, `sent and not looked at: ${rest.map((segment) => this.#segmentText(segment)).join('; ')}`);
    }
  }

  // ---- CallHost ----

  socketMade(socket: ScriptSocket): void {
    this.#subject = socket;
    this.#flow = null;
    this.#isListening = false;
  }

  listening(socket: ScriptSocket): void {
    this.#subject = socket;
    this.#flow = null;
    this.#isListening = true;
  }

  connecting(socket: ScriptSocket): void {
    this.#subject = socket;
    this.#flow = new Flow(socket.connection!.localPort, LOCAL_PORT);
    this.#isListening = false;
  }

  connected(socket: ScriptSocket): void {
    this.#subject = socket;
  }

  complain(problem: string): void {
    this.#complaints.push(problem);
  }

  // ---- ShellHost ----

  configure(change: ConfigChange): void {
    Object.assign(this.#isSetUp ? (this.network.stack.tcp.config as TcpConfig) : this.#config, change);
  }

  setMtu(mtuBytes: number): boolean {
    if (this.#isSetUp) return false;
    this.#mtuBytes = mtuBytes;
    return true;
  }

  setPacing(enabled: boolean): void {
    this.configure({ pacing: enabled });
  }

  setLinkFull(full: boolean): void {
    this.#isLinkFull = full;
    if (this.#isSetUp) this.network.link.roomFrames = full ? 0 : Number.POSITIVE_INFINITY;
  }

  makeFile(path: string, sizeBytes: number): void {
    this.files.set(path, { sizeBytes, offset: 0 });
  }

  sleep(micros: number): void {
    this.#advance(this.network.nowMicros + micros);
  }

  counter(name: string): number | null {
    return this.#counters.read(name);
  }

  resetCounters(): void {
    if (this.#isSetUp) this.#counters.reset();
  }

  isListening(port: number): boolean {
    return [...this.#calls.sockets()].some((socket) => socket.listener?.port === port);
  }

  // ---- events ----

  #play(event: ScriptEvent): void {
    const { action, time } = event;
    const base = time.mode === 'absolute' ? START_MICROS : this.network.nowMicros;
    const from = base + time.startMicros;
    const to = base + (time.endMicros ?? time.startMicros);
    const tolerance = this.#tolerance(from);
    if (action.kind === 'packet' && action.direction === 'out') {
      this.#expect(event, action, from, to, tolerance);
    } else {
      this.#advance(from);
      if (time.mode !== 'any') {
        const fault = timeFault(this.network.nowMicros, from, to, tolerance);
        if (fault !== null) throw new ScriptFailure(event.line, `the event comes ${fault}`);
      }
      this.#act(event, base, tolerance);
    }
    this.#lastEventMicros = Math.max(from, time.mode === 'any' ? this.network.nowMicros : from);
  }

  #act(event: ScriptEvent, base: number, tolerance: number): void {
    const { action, line } = event;
    switch (action.kind) {
      case 'packet':
        this.#inject(line, action);
        return;
      case 'icmp':
        this.#injectIcmp(line, action);
        return;
      case 'command': {
        this.#note(`\`${action.text.trim()}\``);
        const problem = runCommand(action.text, this);
        if (problem !== null) throw new ScriptFailure(line, problem);
        return;
      }
      case 'code':
        this.#runCode(action.line, action.text);
        return;
      case 'call':
        this.#call(event, action, base, tolerance);
    }
  }

  #tolerance(micros: number): number {
    const { toleranceMicros, tolerancePercent } = this.#settings;
    return Math.max(toleranceMicros, ((micros - this.#lastEventMicros) * tolerancePercent) / 100);
  }

  /** Lets time pass; a call that blocks goes on as soon as it can. */
  #advance(micros: number): void {
    while (this.network.step(micros)) this.#pollPending();
    this.#pollPending();
  }

  // ---- packets ----

  #inject(line: number, packet: PacketAction): void {
    const isSyn = (packet.flags & TCP_SYN) !== 0;
    const flow = this.#inboundFlow(line);
    if (isSyn) flow.remoteSyn(packet.sequence);
    else this.#adoptSyn(flow);
    const { mssBytes } = this.#settings;
    const options = encodeOptions(flow.optionsToLive(packet.options ?? []));
    if (options.length % 4 !== 0) throw new ScriptFailure(line, 'the options are not a multiple of 4 bytes; add nop or eol');
    if (options.length > 40) throw new ScriptFailure(line, 'the options are longer than 40 bytes; drop some');
    const streamOffset = isSyn ? 0 : packet.sequence - 1;
    const frame = segmentFrame(this.#ends(flow), {
      trafficClass: inboundTrafficClass(packet),
      hopLimit: packet.ip.hopLimit,
      sequence: flow.remoteToLive(packet.sequence, isSyn),
      acknowledgment: packet.acknowledgment === null ? 0 : flow.localToLive(packet.acknowledgment, isSyn),
      flags: packet.flags,
      window: packet.window ?? 0,
      urgentPointer: packet.urgentPointer ?? 0,
      options,
      payload: streamBytes(streamOffset, packet.payloadBytes),
    });
    this.#note(`< ${packetText(packet)}`);
    this.network.deliver(frame, packet.payloadBytes > mssBytes ? mssBytes : 0);
    this.#pollPending();
  }

  #injectIcmp(line: number, packet: IcmpAction): void {
    if (packet.direction === 'out') throw new ScriptFailure(line, 'ICMP messages of ours are not looked at here');
    const { family } = this.network.local;
    const numbers = icmpNumbers(family, packet.type, packet.code);
    if (numbers === null) throw new ScriptFailure(line, `'${icmpText(packet)}' is no ICMP error of IPv${family} known here`);
    const flow = this.#inboundFlow(line);
    this.#adoptSyn(flow);
    const ends = this.#ends(flow);
    const quoted = segmentFrame(
      { source: ends.destination, sourcePort: ends.destinationPort, destination: ends.source, destinationPort: ends.sourcePort },
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
    this.#note(`< ${icmpText(packet)}`);
    this.network.deliver(icmpErrorFrame(numbers[0], numbers[1], packet.mtuBytes ?? 0, quoted, ends));
    this.#pollPending();
  }

  /** The connection that the script's next packet belongs to: to a listener, it begins one from a port of its own. */
  #inboundFlow(line: number): Flow {
    if (this.#flow !== null) return this.#flow;
    if (!this.#isListening && this.#subject !== null) throw new ScriptFailure(line, 'there is no connection that it could belong to');
    this.#flow = new Flow(LOCAL_PORT, this.#nextRemotePort++);
    this.#isListening = false;
    return this.#flow;
  }

  /** A SYN of ours that the script has not looked at: its number is needed all the same. */
  #adoptSyn(flow: Flow): void {
    if (flow.localScript !== null) return;
    const syn = this.network.sent.find((segment) => flow.isOf(segment) && (segment.flags & TCP_SYN) !== 0);
    if (syn !== undefined) flow.localSyn(syn.sequence, 0);
  }

  #ends(flow: Flow): Ends {
    const { local, remote } = this.network;
    return { source: remote, sourcePort: flow.remotePort, destination: local, destinationPort: flow.localPort };
  }

  #expect(event: ScriptEvent, packet: PacketAction, from: number, to: number, tolerance: number): void {
    const { line, time } = event;
    const flow = this.#flow;
    if (flow === null) throw new ScriptFailure(line, 'there is no connection that could send it');
    const isAnyTime = time.mode === 'any';
    const check = new OutboundCheck(packet, flow, {
      writeEnds: this.#writeEnds(flow),
      timestampTickMicros: this.#settings.timestampTickMicros,
      toleranceMicros: this.toleranceMicros,
    });
    const deadline = isAnyTime ? this.network.nowMicros + MAX_WAIT_MICROS : to + tolerance;
    while (!check.isComplete) {
      const segment = this.#nextSegment(flow, deadline);
      if (segment === null) break;
      if (!check.add(segment)) break;
      const fault = isAnyTime ? null : timeFault(segment.micros, from, to, tolerance);
      if (fault !== null) check.complain(`it was sent ${fault}`);
      this.network.sent.splice(this.network.sent.indexOf(segment), 1);
    }
    const problem = check.verdict(() => this.#whatElse(flow, deadline));
    if (problem !== null) throw new ScriptFailure(line, problem);
  }

  /** The oldest segment of the connection that was not looked at, sent at `deadline` at the latest. */
  #nextSegment(flow: Flow, deadline: number): SeenSegment | null {
    for (;;) {
      const segment = this.#ownSegments(flow)[0];
      if (segment !== undefined) return segment;
      const next = this.network.pollAt();
      if (next === NEVER || next > deadline) return null;
      this.#advanceOnce(next);
    }
  }

  #advanceOnce(micros: number): void {
    this.network.step(micros);
    this.#pollPending();
  }

  /** What is not of the connection is dropped on the way, as nobody looks at it. */
  #ownSegments(flow: Flow | null = this.#flow): SeenSegment[] {
    return this.network.sent.filter((segment) => flow?.isOf(segment) ?? false);
  }

  /** What came instead of an expected segment, for the message. */
  #whatElse(flow: Flow, deadline: number): string {
    const segment = this.#nextSegment(flow, deadline + 5_000_000);
    if (segment === null) return 'nothing was sent';
    return `nothing was sent; the next is ${this.#segmentText(segment)} at ${seconds(segment.micros)}`;
  }

  #writeEnds(flow: Flow): ReadonlySet<number> {
    for (const socket of this.#calls.sockets()) {
      const { connection } = socket;
      if (connection?.localPort === flow.localPort && connection.remotePort === flow.remotePort) return socket.writeEnds;
    }
    return new Set();
  }

  // ---- calls ----

  #call(event: ScriptEvent, call: CallAction, base: number, tolerance: number): void {
    this.#finishPending();
    const { line } = event;
    let attempt: Attempt;
    try {
      attempt = this.#calls.begin(call);
    } catch (error) {
      throw asFailure(error, line);
    }
    const endMicros = call.endMicros === null ? null : base + call.endMicros;
    this.#pending = { event, call, attempt, endMicros, toleranceMicros: tolerance };
    this.#pollPending();
    if (this.#pending === null) return;
    this.#note(`${call.name}(...) blocks`);
    // Who does not say how long it may block has nobody to wake it: time alone can.
    if (endMicros === null) this.#finishPending();
  }

  #pollPending(): void {
    for (const socket of this.#calls.sockets()) socket.poll();
    const pending = this.#pending;
    if (pending === null) return;
    const { line } = pending.event;
    const noteAt = this.trace.length;
    let result;
    try {
      result = pending.attempt();
    } catch (error) {
      throw asFailure(error, line);
    }
    if (result === BLOCKED) return;
    this.#pending = null;
    const { call, endMicros } = pending;
    this.#note(`${call.name}(...) = ${result}`);
    // Before the packets that it sent.
    this.trace.splice(noteAt, 0, this.trace.pop()!);
    const fault =
      endMicros === null ? null : timeFault(this.network.nowMicros, endMicros, endMicros, pending.toleranceMicros);
    if (fault !== null) throw new ScriptFailure(line, `${call.name} returned ${fault}`);
    const problems = [callFault(call, result), ...this.#complaints.splice(0)].filter((problem) => problem !== null);
    if (problems.length > 0) throw new ScriptFailure(line, `${call.name}: ${problems.join('; ')}`);
  }

  /** Calls run one after another: the next one waits for the one that blocks. */
  #finishPending(): void {
    const pending = this.#pending;
    if (pending === null) return;
    const deadline = Math.max(this.network.nowMicros, pending.endMicros ?? 0) + MAX_WAIT_MICROS;
    while (this.#pending !== null) {
      const next = this.network.pollAt();
      if (next === NEVER || next > deadline) break;
      this.#advanceOnce(next);
    }
    if (this.#pending === null) return;
    throw new ScriptFailure(pending.event.line, `${pending.call.name} blocks, and nothing will end that`);
  }

  #runCode(line: number, text: string): void {
    try {
      runCode(text, codeNames(this.#subject, this.network));
    } catch (error) {
      if (!(error instanceof CodeError)) throw error;
      throw new ScriptFailure(line + error.line, error.message);
    }
  }

  #checkContent(socket: ScriptSocket): void {
    if (socket.fault !== '') throw new ScriptFailure(this.#script.events.at(-1)?.line ?? 1, socket.fault);
  }

  // ---- the trace ----

  #noteSent(segment: SeenSegment): void {
    this.#note(`> ${this.#segmentText(segment)}`);
    const { fault } = segment;
    if (fault !== '') throw new ScriptFailure(1, `a segment of ours: ${fault}`);
    for (const socket of this.#calls.sockets()) {
      const { connection } = socket;
      if (connection?.localPort !== segment.localPort || connection.remotePort !== segment.remotePort) continue;
      const end = (segment.sequence + segment.payload.length - connection.sender.iss - 1) | 0;
      if (segment.payload.length > 0) socket.errors.sent(end, segment.micros);
    }
  }

  #segmentText(segment: SeenSegment): string {
    const flow = this.#flow?.isOf(segment) === true ? this.#flow : new Flow(segment.localPort, segment.remotePort);
    const packet = flow.toScript(segment);
    const ecn = packet.ip.ecn === 0 ? null : packet.ip.ecn;
    return packetText({ ...packet, ip: { ecn, trafficClass: null, hopLimit: null, flowLabel: null } });
  }

  #note(text: string): void {
    const micros = this.#isSetUp ? this.network.nowMicros : START_MICROS;
    this.trace.push(`${seconds(micros)} ${text}${this.#isLinkFull ? ' (link full)' : ''}`);
  }
}

function asFailure(error: unknown, line: number): unknown {
  return error instanceof CallError ? new ScriptFailure(line, error.message) : error;
}

function inboundTrafficClass(packet: PacketAction): number {
  const { ecn, trafficClass } = packet.ip;
  return trafficClass ?? (ecn === 'any-ect' ? 2 : (ecn ?? 0));
}

function seconds(micros: number): string {
  return ((micros - START_MICROS) / 1e6).toFixed(6);
}
