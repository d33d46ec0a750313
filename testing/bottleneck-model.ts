import type { Random } from '../src/core/random.ts';
import { randomChance } from '../src/core/random.ts';
import { AckSample, type CongestionController } from '../src/stack/tcp/congestion/controller.ts';

const MICROS_PER_SECOND = 1_000_000;
/** Packets delivered behind one that make it count as lost (RFC 6675, DupThresh). */
const REORDERING = 3;
const RTO_MICROS = 1_000_000;

export interface PathOptions {
  bitsPerSecond: number;
  /** Without any queue. */
  roundTripMicros: number;
  queueBytes: number;
  packetBytes?: number;
  /** Of each packet, beside what the queue drops. */
  lossProbability?: number;
  random?: Random;
  /** Packets that the receiver acknowledges at once, at least. */
  packetsPerAck?: number;
  /** Added to the round trip of a packet, as a function of when it is acknowledged. */
  jitterMicros?: (nowMicros: number) => number;
}

/** A packet under way. */
interface Packet {
  readonly index: number;
  readonly sentMicros: number;
  /** When its acknowledgment reaches the sender; -1: it is lost. */
  readonly ackMicros: number;
  readonly priorDelivered: number;
  readonly priorDeliveredMicros: number;
  readonly firstSentMicros: number;
  readonly sentInFlight: number;
  readonly lostBefore: number;
  readonly isApplicationLimited: boolean;
  isGone: boolean;
}

/** One sender with a controller and endless data: no TCP, but what a TCP tells its controller and does for it. */
export class ModelFlow {
  readonly controller: CongestionController;
  readonly startMicros: number;
  readonly sample: AckSample = new AckSample();
  deliveredBytes = 0;
  lostBytes = 0;
  inFlightBytes = 0;
  congestionEvents = 0;
  /** What the application gives it to send, evenly, from when this is set. */
  applicationBytesPerSecond: number = Number.POSITIVE_INFINITY;
  /** Called after each acknowledgment. */
  observe: ((nowMicros: number) => void) | null = null;

  readonly #path: BottleneckModel;
  readonly #packetBytes: number;
  /** In the order they were sent; `#head` is the first that is neither delivered nor lost. */
  readonly #packets: Packet[] = [];
  #head = 0;
  #nextAck = 0;
  #lossScan = 0;
  #deliveredMicros: number;
  #firstSentMicros: number;
  #nextSendMicros: number;
  #lastAckMicros: number;
  #state: 'open' | 'recovery' | 'loss' = 'open';
  #recoveryEnd = 0;
  /** RFC 9937: prr_delivered, prr_out, RecoverFS. */
  #prrDelivered = 0;
  #prrOut = 0;
  #recoverFlight = 0;
  #isWindowFull = false;
  #nextDataMicros = 0;
  /** Packets sent until so much is delivered are held back by the application; -1: none. */
  #limitedUntilBytes = -1;

  constructor(path: BottleneckModel, controller: CongestionController, packetBytes: number, startMicros: number) {
    this.#path = path;
    this.controller = controller;
    this.#packetBytes = packetBytes;
    this.startMicros = startMicros;
    this.#deliveredMicros = startMicros;
    this.#firstSentMicros = startMicros;
    this.#nextSendMicros = startMicros;
    this.#lastAckMicros = startMicros;
    controller.onSegmentSize(packetBytes, 10);
  }

  /** When this flow has something to do next. */
  dueMicros(): number {
    return Math.min(this.#ackDueMicros(), this.#sendDueMicros(), this.#timeoutMicros());
  }

  run(nowMicros: number): void {
    if (this.#ackDueMicros() <= nowMicros) this.#acknowledge(nowMicros);
    else if (this.#timeoutMicros() <= nowMicros) this.#timeout(nowMicros);
    while (this.#sendDueMicros() <= nowMicros) this.#send(nowMicros);
  }

  /** The acknowledgment of the last packet of the next group; of fewer if no more are under way. */
  #ackDueMicros(): number {
    let due = Number.POSITIVE_INFINITY;
    let left = this.#path.packetsPerAck;
    for (let i = this.#nextAck; i < this.#packets.length && left > 0; i++) {
      const packet = this.#packets[i]!;
      if (packet.ackMicros < 0 || packet.isGone) continue;
      due = packet.ackMicros;
      left--;
    }
    return due;
  }

  #sendDueMicros(): number {
    const hasRoom = this.inFlightBytes + this.#packetBytes <= this.controller.cwndBytes || this.inFlightBytes === 0;
    if (!hasRoom) return Number.POSITIVE_INFINITY;
    return Math.max(this.startMicros, this.#nextSendMicros, this.#nextDataMicros);
  }

  #timeoutMicros(): number {
    return this.inFlightBytes > 0 ? this.#lastAckMicros + RTO_MICROS : Number.POSITIVE_INFINITY;
  }

  #send(nowMicros: number): void {
    if (this.inFlightBytes === 0) {
      this.#deliveredMicros = nowMicros;
      this.#firstSentMicros = nowMicros;
      this.#lastAckMicros = nowMicros;
    }
    this.inFlightBytes += this.#packetBytes;
    this.#prrOut += this.#packetBytes;
    this.#packets.push({
      index: this.#packets.length,
      sentMicros: nowMicros,
      ackMicros: this.#path.enqueue(nowMicros),
      priorDelivered: this.deliveredBytes,
      priorDeliveredMicros: this.#deliveredMicros,
      firstSentMicros: this.#firstSentMicros,
      sentInFlight: this.inFlightBytes,
      lostBefore: this.lostBytes,
      isApplicationLimited: this.#limitedUntilBytes >= 0,
      isGone: false,
    });
    const interval = (this.#packetBytes * MICROS_PER_SECOND) / this.applicationBytesPerSecond;
    this.#nextDataMicros = Math.max(this.#nextDataMicros, nowMicros - interval) + interval;
    const rate = this.controller.pacingBytesPerSecond;
    if (rate > 0) this.#nextSendMicros = nowMicros + (this.#packetBytes * MICROS_PER_SECOND) / rate;
    this.#isWindowFull = this.inFlightBytes + this.#packetBytes > this.controller.cwndBytes;
    const isLimited = !this.#isWindowFull && this.#nextDataMicros > Math.max(nowMicros, this.#nextSendMicros);
    if (isLimited) this.#limitedUntilBytes = this.deliveredBytes + this.inFlightBytes;
  }

  #acknowledge(nowMicros: number): void {
    const { sample } = this;
    const prior = this.inFlightBytes;
    const before = this.#head;
    let delivered = 0;
    let last: Packet | null = null;
    for (; this.#nextAck < this.#packets.length; this.#nextAck++) {
      const packet = this.#packets[this.#nextAck]!;
      if (packet.ackMicros < 0 || packet.isGone) continue;
      if (packet.ackMicros > nowMicros) break;
      packet.isGone = true;
      this.inFlightBytes -= this.#packetBytes;
      delivered += this.#packetBytes;
      last = packet;
    }
    if (last === null) return;
    this.deliveredBytes += delivered;
    if (this.deliveredBytes > this.#limitedUntilBytes) this.#limitedUntilBytes = -1;
    this.#deliveredMicros = nowMicros;
    this.#lastAckMicros = nowMicros;
    this.#firstSentMicros = last.sentMicros;
    const lost = this.#findLost(last.index);
    while (this.#head < this.#packets.length && this.#packets[this.#head]!.isGone) this.#head++;

    this.#changeState(delivered, lost, prior, nowMicros);
    sample.nowMicros = nowMicros;
    sample.state = this.#state;
    sample.sndUna = (this.#head * this.#packetBytes) | 0;
    sample.sndNxt = (this.#packets.length * this.#packetBytes) | 0;
    sample.ackedBytes = Math.max((this.#head - before) * this.#packetBytes - lost, 0);
    sample.deliveredBytes = delivered;
    sample.lostBytes = lost;
    sample.rttMicros = nowMicros - last.sentMicros;
    sample.inFlightBytes = this.inFlightBytes;
    sample.priorInFlightBytes = prior;
    sample.isCongestionLimited = this.#isWindowFull;
    sample.totalDeliveredBytes = this.deliveredBytes;
    sample.priorDeliveredBytes = last.priorDelivered;
    sample.intervalMicros = Math.max(last.sentMicros - last.firstSentMicros, nowMicros - last.priorDeliveredMicros);
    sample.isApplicationLimited = last.isApplicationLimited;
    sample.sentInFlightBytes = last.sentInFlight;
    sample.lostSinceSentBytes = this.lostBytes - last.lostBefore;
    if (this.controller.controlsRecovery || this.#state !== 'recovery') this.controller.onAck(sample);
    else this.#reduce(delivered);
    this.observe?.(nowMicros);
  }

  #findLost(highestIndex: number): number {
    let lost = 0;
    for (; this.#lossScan <= highestIndex - REORDERING; this.#lossScan++) {
      const packet = this.#packets[this.#lossScan]!;
      if (packet.isGone) continue;
      packet.isGone = true;
      this.inFlightBytes -= this.#packetBytes;
      lost += this.#packetBytes;
    }
    this.lostBytes += lost;
    return lost;
  }

  #changeState(delivered: number, lost: number, prior: number, nowMicros: number): void {
    const { controller } = this;
    if (this.#state !== 'open' && this.#head >= this.#recoveryEnd) {
      controller.onState('open', this.inFlightBytes, nowMicros);
      if (this.#state === 'recovery' && !controller.controlsRecovery) controller.cwndBytes = controller.ssthreshBytes;
      this.#state = 'open';
    }
    if (this.#state !== 'open' || lost === 0) return;
    this.congestionEvents++;
    this.#state = 'recovery';
    this.#recoveryEnd = this.#packets.length;
    this.#recoverFlight = prior;
    this.#prrDelivered = delivered;
    this.#prrOut = 0;
    controller.onCongestion('loss', prior, false, nowMicros);
    controller.onState('recovery', this.inFlightBytes, nowMicros);
  }

  /** RFC 9937 §5. */
  #reduce(delivered: number): void {
    const { controller } = this;
    this.#prrDelivered += delivered;
    const allowed =
      this.inFlightBytes > controller.ssthreshBytes
        ? Math.ceil((this.#prrDelivered * controller.ssthreshBytes) / this.#recoverFlight) - this.#prrOut
        : Math.min(controller.ssthreshBytes - this.inFlightBytes, delivered + this.#packetBytes);
    controller.cwndBytes = this.inFlightBytes + Math.max(allowed, 0);
  }

  #timeout(nowMicros: number): void {
    for (let i = this.#head; i < this.#packets.length; i++) {
      const packet = this.#packets[i]!;
      if (!packet.isGone) this.lostBytes += this.#packetBytes;
      packet.isGone = true;
    }
    const { controller } = this;
    controller.onCongestion('timeout', this.inFlightBytes, this.#state === 'loss', nowMicros);
    this.inFlightBytes = 0;
    this.congestionEvents++;
    this.#state = 'loss';
    this.#recoveryEnd = this.#packets.length;
    this.#lossScan = this.#packets.length;
    this.#head = this.#packets.length;
    this.#nextAck = this.#packets.length;
    controller.onState('loss', 0, nowMicros);
    if (!controller.controlsRecovery) controller.cwndBytes = this.#packetBytes;
  }
}

/**
 * Controllers without a TCP around them, on a path with one bottleneck, packet by packet in virtual time: a first-in,
 * first-out queue that drops at its tail, a rate, and a way back.
 */
export class BottleneckModel {
  nowMicros = 0;
  queueDrops = 0;
  readonly packetsPerAck: number;
  readonly packetBytes: number;
  bytesPerSecond: number;
  readonly flows: ModelFlow[] = [];
  readonly #options: PathOptions;
  #busyUntil = 0;
  #lastAckMicros = 0;

  constructor(options: PathOptions) {
    this.#options = options;
    this.packetBytes = options.packetBytes ?? 1500;
    this.packetsPerAck = options.packetsPerAck ?? 1;
    this.bytesPerSecond = options.bitsPerSecond / 8;
  }

  get productBytes(): number {
    return (this.bytesPerSecond * this.#options.roundTripMicros) / MICROS_PER_SECOND;
  }

  /** In the queue now. */
  get queuedBytes(): number {
    return (Math.max(0, this.#busyUntil - this.nowMicros) * this.bytesPerSecond) / MICROS_PER_SECOND;
  }

  /** The bottleneck changes; what is queued still leaves as it would have. */
  set bitsPerSecond(value: number) {
    this.bytesPerSecond = value / 8;
  }

  addFlow(controller: CongestionController, startMicros: number = 0): ModelFlow {
    const flow = new ModelFlow(this, controller, this.packetBytes, startMicros);
    this.flows.push(flow);
    return flow;
  }

  /** Lets virtual time pass until `endMicros`. */
  runUntil(endMicros: number): void {
    for (;;) {
      let next: ModelFlow | null = null;
      let dueMicros = endMicros;
      for (const flow of this.flows) {
        const due = flow.dueMicros();
        if (due >= dueMicros) continue;
        dueMicros = due;
        next = flow;
      }
      this.nowMicros = Math.max(this.nowMicros, dueMicros);
      if (next === null) return;
      next.run(this.nowMicros);
    }
  }

  /** A packet comes to the bottleneck. Returns when it is acknowledged, or -1: it never is. */
  enqueue(nowMicros: number): number {
    const { queueBytes, lossProbability = 0, random, roundTripMicros, jitterMicros } = this.#options;
    const startMicros = Math.max(this.#busyUntil, nowMicros);
    if (((startMicros - nowMicros) * this.bytesPerSecond) / MICROS_PER_SECOND > queueBytes) {
      this.queueDrops++;
      return -1;
    }
    this.#busyUntil = startMicros + (this.packetBytes * MICROS_PER_SECOND) / this.bytesPerSecond;
    if (random !== undefined && randomChance(random, lossProbability)) return -1;
    const arrives = this.#busyUntil + roundTripMicros;
    this.#lastAckMicros = Math.max(this.#lastAckMicros, arrives + (jitterMicros?.(arrives) ?? 0));
    return this.#lastAckMicros;
  }
}

/** Jain's index of fairness: 1 is equal, 1/n is all for one. */
export function fairnessOf(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0);
  const squares = shares.reduce((total, share) => total + share * share, 0);
  return (sum * sum) / (shares.length * squares);
}
