import { NEVER } from '../../src/core/clock.ts';
import type { TcpConfig } from '../../src/stack/tcp/config.ts';
import { CodeError, runCode } from './assertion.ts';
import { Calls, type Attempt, type CallHost } from './calls.ts';
import { codeNames } from './code-names.ts';
import { Conversation, type ConversationHost } from './conversation.ts';
import type { OpenFile } from './descriptors.ts';
import { ScriptFailure } from './failure.ts';
import { KernelCounters } from './kernel-counters.ts';
import { Network, START_MICROS } from './network.ts';
import type { CallAction, Script, ScriptEvent } from './script.ts';
import type { Settings } from './settings.ts';
import { runCommand, type ShellHost } from './shell.ts';
import { BLOCKED, type ScriptSocket } from './sockets.ts';
import { LINUX_DEFAULTS, type ConfigChange } from './sysctl.ts';
import { CallError } from './values.ts';
import { callFault, seconds, timeFault } from './verdicts.ts';

/** How long a call may block before it is taken for stuck. */
const MAX_WAIT_MICROS = 600_000_000;

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
export class Player implements CallHost, ConversationHost, ShellHost {
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
  readonly #conversation: Conversation;
  /** What `%{ }%` asks about. */
  #subject: ScriptSocket | null = null;
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
    this.#conversation = new Conversation(this.network, settings, this);
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
    const rest = this.#conversation.rest();
    const line = this.#script.events.at(-1)?.line ?? 1;
    if (rest.length > 0) throw new ScriptFailure(line, `sent and not looked at: ${rest.join('; ')}`);
  }

  // ---- CallHost ----

  socketMade(socket: ScriptSocket): void {
    this.#subject = socket;
    this.#conversation.forget(false);
  }

  listening(socket: ScriptSocket): void {
    this.#subject = socket;
    this.#conversation.forget(true);
  }

  connecting(socket: ScriptSocket): void {
    this.#subject = socket;
    this.#conversation.begin(socket.connection!.localPort);
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

  forgetHosts(): void {
    if (this.#isSetUp) this.network.stack.tcp.fastOpenClient.forgetHosts();
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
      this.#conversation.expect(event.line, action, { isAny: time.mode === 'any', from, to, tolerance });
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
        this.#conversation.inject(line, action);
        return;
      case 'icmp':
        this.#conversation.injectIcmp(line, action);
        return;
      case 'command': {
        this.note(`\`${action.text.trim()}\``);
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

  /** Lets time pass up to `micros`, which is when the next thing falls due. */
  advanceOnce(micros: number): void {
    this.network.step(micros);
    this.#pollPending();
  }

  delivered(): void {
    this.#pollPending();
  }

  sockets(): Iterable<ScriptSocket> {
    return this.#calls.sockets();
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
    this.note(`${call.name}(...) blocks`);
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
    this.note(`${call.name}(...) = ${result}`);
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
      this.advanceOnce(next);
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

  note(text: string): void {
    const micros = this.#isSetUp ? this.network.nowMicros : START_MICROS;
    this.trace.push(`${seconds(micros)} ${text}${this.#isLinkFull ? ' (link full)' : ''}`);
  }
}

function asFailure(error: unknown, line: number): unknown {
  return error instanceof CallError ? new ScriptFailure(line, error.message) : error;
}
