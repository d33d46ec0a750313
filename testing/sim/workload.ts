import { DevmemError } from '../../src/core/errors.ts';
import type { PagePool } from '../../src/memory/page-pool.ts';
import type { TcpListener } from '../../src/stack/tcp/listener.ts';
import { Flow, type FlowEnd, type FlowOwner, type FlowPlan } from './flow.ts';
import { unreadReferences } from './invariants.ts';
import { SERVER_PORT, type SimHost, type Task } from './host.ts';
import type { World } from './world.ts';

const SECOND = 1_000_000;
const RETRY_MICROS = SECOND;
const WATCH_MICROS: number = 10 * SECOND;
const MAX_ATTEMPTS = 1000;
const BACKLOG = 128;

export interface WorkloadOptions {
  /** Virtual time without a byte read or an end reached after which the run counts as stuck. */
  stallMicros?: number;
  /** Connections that were established may fail: a host crashes, is renumbered, or is cut off for long. */
  mayFail?: boolean;
  /** Keep what became of each conversation (default). */
  keepResults?: boolean;
}

interface Progress {
  attempts: number;
  /** The attempt under way. */
  flow: Flow | null;
}

/** What became of one plan. */
export interface FlowResult {
  plan: FlowPlan;
  startedMicros: number;
  endedMicros: number;
  /** Both ways, of the attempt that succeeded. */
  bytes: number;
  attempts: number;
}

/** Accepts what comes to one host. */
class Server implements Task {
  isListed = false;
  readonly #owner: Workload;
  readonly #host: SimHost;
  readonly listener: TcpListener;

  constructor(owner: Workload, host: SimHost) {
    this.#owner = owner;
    this.#host = host;
    this.listener = host.stack.tcp.listen({ address: null, port: SERVER_PORT, backlog: BACKLOG, pool: host.pool });
    this.listener.onAcceptable = () => host.wake(this);
  }

  serve(nowMicros: number): void {
    for (let next = this.listener.accept(); next !== null; next = this.listener.accept()) {
      const flow = this.#owner.flowOf(`${next.remoteAddress.toString()} ${next.remotePort}`);
      // A connection whose client has given up before it was accepted.
      if (flow === null || flow.plan.server !== this.#host || flow.server !== null) next.abort(nowMicros);
      else flow.accept(next);
    }
  }
}

/** Many conversations at once, each tried until it succeeds, all watched for progress. */
export class Workload implements FlowOwner {
  readonly world: World;
  readonly results: FlowResult[] = [];
  readonly failures: string[] = [];
  /** Told of bytes that arrive. */
  onProgress: (flow: Flow, bytes: number) => void = () => {};
  bytesRead = 0;
  retries = 0;
  /** Conversations that have succeeded. */
  finished = 0;
  readonly #options: Required<WorkloadOptions>;
  /** What is not over yet. */
  readonly #plans = new Map<FlowPlan, Progress>();
  readonly #servers = new Map<SimHost, Server>();
  readonly #flows = new Map<string, Flow>();
  readonly #open = new Set<FlowEnd>();
  #lastProgressMicros = 0;
  #stall: string | null = null;
  #isWatching = true;

  constructor(world: World, plans: readonly FlowPlan[], options: WorkloadOptions = {}) {
    this.world = world;
    this.#options = {
      stallMicros: options.stallMicros ?? 400 * SECOND,
      mayFail: options.mayFail ?? false,
      keepResults: options.keepResults ?? true,
    };
    for (const host of new Set(plans.map((plan) => plan.server))) this.serve(host);
    for (const plan of plans) this.add(plan);
    this.#watch();
  }

  /** One more conversation. Its server has to `serve`. */
  add(plan: FlowPlan): void {
    this.#plans.set(plan, { attempts: 0, flow: null });
    this.world.at(plan.startMicros, () => this.#start(plan));
  }

  /** The host accepts connections, now and after every boot. */
  serve(host: SimHost): void {
    if (host.isRunning) this.#servers.set(host, new Server(this, host));
    host.onBoot = () => this.#servers.set(host, new Server(this, host));
  }

  /** All conversations have succeeded, and nobody waits for the end of a failed one. */
  get isDone(): boolean {
    return this.#stall !== null || (this.#plans.size === 0 && this.#open.size === 0);
  }

  /** Why the run is stuck, or null. */
  get stall(): string | null {
    return this.#stall;
  }

  flowOf(key: string): Flow | null {
    return this.#flows.get(key) ?? null;
  }

  /** The host has crashed: the ends of conversations that lived there are gone. */
  vanish(host: SimHost): void {
    this.#servers.delete(host);
    for (const end of [...this.#open]) if (end.host === host) end.vanish();
    for (const [plan, progress] of this.#plans) {
      // Its host had acknowledged everything, and took it along before anyone had accepted the connection.
      const { flow } = progress;
      if (plan.server === host && flow?.client.isOver === true && flow.server === null) this.#again(flow, progress);
    }
  }

  /** References to unread pages of connections that their layer has forgotten. */
  unreadReferences(host: SimHost, pool: PagePool): number {
    const connections = [...this.#open].filter((end) => end.host === host).map(({ connection }) => connection);
    return unreadReferences(connections, pool);
  }

  /** Breaks off what is under way, and begins nothing any more. */
  stop(): void {
    this.#plans.clear();
    for (const end of [...this.#open]) end.abort();
  }

  /** Ends listening everywhere. */
  close(): void {
    this.#isWatching = false;
    for (const [host, server] of this.#servers) {
      server.listener.close(host.nowMicros());
      host.touch();
    }
  }

  progressed(flow: Flow, bytes: number): void {
    this.bytesRead += bytes;
    this.#lastProgressMicros = this.world.nowMicros;
    this.onProgress(flow, bytes);
  }

  accepted(end: FlowEnd): void {
    this.#open.add(end);
  }

  ended(flow: Flow, end: FlowEnd): void {
    const { plan } = flow;
    this.#open.delete(end);
    this.#lastProgressMicros = this.world.nowMicros;
    const progress = this.#plans.get(plan);
    // An end of an attempt that has failed already.
    if (progress === undefined || progress.flow !== flow) return;
    if (end.errno !== 0) this.#failed(flow, end, progress);
    else if (flow.client.isOver && flow.server?.isOver === true) this.#succeeded(flow, progress);
  }

  /** What is not over, a line each. */
  describeOpen(): string {
    const lines = [...this.#open].map((end) => end.describe());
    return [`${this.#plans.size} conversations are not over`, ...lines].slice(0, 40).join('\n');
  }

  #start(plan: FlowPlan): void {
    const { client, server } = plan;
    const progress = this.#plans.get(plan);
    if (progress === undefined) return;
    if (!client.isRunning) {
      this.world.after(RETRY_MICROS, () => this.#start(plan));
      return;
    }
    if (++progress.attempts > MAX_ATTEMPTS) {
      throw new Error(`flow ${plan.id} does not succeed in ${MAX_ATTEMPTS} attempts`);
    }
    try {
      const connection = client.stack.tcp.connect(
        { remote: server.address(plan.family), remotePort: SERVER_PORT, pool: client.pool },
        client.nowMicros(),
      );
      const flow = new Flow(this, plan, progress.attempts, connection);
      progress.flow = flow;
      this.#flows.set(flowKeyOf(flow), flow);
      this.#open.add(flow.client);
      client.wake(flow.client);
    } catch (error) {
      if (!(error instanceof DevmemError)) throw error;
      this.world.after(RETRY_MICROS, () => this.#start(plan));
    }
    client.touch();
  }

  #succeeded(flow: Flow, progress: Progress): void {
    const { plan, client } = flow;
    this.#plans.delete(plan);
    this.#forget(flow);
    this.finished++;
    if (!this.#options.keepResults) return;
    this.results.push({
      plan,
      startedMicros: flow.startedMicros,
      endedMicros: this.world.nowMicros,
      bytes: client.toSend + client.toReceive,
      attempts: progress.attempts,
    });
  }

  #failed(flow: Flow, end: FlowEnd, progress: Progress): void {
    // Before anything was said, three solicitations or seven SYNs may get lost, rightly.
    const isEarly = flow.server === null || (end.role === 'client' && end.sent === 0 && end.reader.received === 0);
    if (!isEarly && !this.#options.mayFail) {
      this.failures.push(`failed with errno ${end.errno}: ${end.describe()}`);
    }
    this.#again(flow, progress);
  }

  #again(flow: Flow, progress: Progress): void {
    this.retries++;
    progress.flow = null;
    this.#forget(flow);
    // The other end is left to find out by itself, as in life; the next attempt does not wait for that.
    this.world.after(RETRY_MICROS, () => this.#start(flow.plan));
  }

  #forget(flow: Flow): void {
    const key = flowKeyOf(flow);
    if (this.#flows.get(key) === flow) this.#flows.delete(key);
  }

  #watch(): void {
    this.world.after(WATCH_MICROS, () => {
      if (!this.#isWatching) return;
      const { nowMicros } = this.world;
      if (this.#isIdle(nowMicros)) this.#lastProgressMicros = nowMicros;
      if (nowMicros - this.#lastProgressMicros > this.#options.stallMicros) {
        this.#stall = `no progress since ${this.#lastProgressMicros} µs:\n${this.describeOpen()}`;
      } else {
        this.#watch();
      }
    });
  }

  /** Nothing has begun that is not over: the next conversation is still to come. */
  #isIdle(nowMicros: number): boolean {
    if (this.#open.size > 0) return false;
    for (const plan of this.#plans.keys()) if (plan.startMicros > nowMicros) return true;
    return false;
  }
}

function flowKeyOf(flow: Flow): string {
  const { connection } = flow.client;
  return `${connection.localAddress.toString()} ${connection.localPort}`;
}
