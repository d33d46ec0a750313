import { BbrModel, heldBytes, nextRandom } from './bbr-model.ts';
import type { AckSample, CongestionController, CongestionSignal, CongestionState } from './controller.ts';
import { initialWindowBytes, MAX_CWND_BYTES, UNLIMITED_SSTHRESH } from './window.ts';

/** 2 / ln 2: the least gain with which the rate doubles every round trip. */
const HIGH_GAIN = 2 / Math.LN2;
const CWND_GAIN = 2;
/** The gains of the phases of ProbeBW: one that asks for more, one that takes back what that has queued, six at rest. */
const PROBE_GAINS: readonly number[] = [1.25, 0.75, 1, 1, 1, 1, 1, 1];
/** The phase that takes back is never the first. */
const FIRST_PHASES = 7;
/** Pacing stays this far below the bandwidth, so that a queue goes away rather than stays. */
const PACING_MARGIN = 0.99;
/** Startup ends when the bandwidth has not grown by this much in so many rounds. */
const FULL_GROWTH = 1.25;
const FULL_ROUNDS = 3;
/** BBR.BtlBwFilterLen: rounds over which the largest delivery rate counts; and the largest lump. */
const BANDWIDTH_ROUNDS = 10;
const EXTRA_ROUNDS = 5;
const MIN_WINDOW_SEGMENTS = 4;
const PROBE_RTT_MICROS = 200_000;
/** Before any round-trip time is known. */
const ASSUMED_RTT_MICROS = 1000;
const MICROS_PER_SECOND = 1_000_000;

export type BbrMode = 'startup' | 'drain' | 'probe-bandwidth' | 'probe-rtt';

/**
 * BBR, first version (draft-cardwell-iccrg-bbr-congestion-control-00, with Linux's compensation for lumped
 * acknowledgments): sends at the bandwidth it has measured, and keeps little more in flight than the path holds. Losses
 * do not make it slower. It needs a sender that paces.
 */
export class Bbr implements CongestionController {
  readonly name = 'bbr';
  readonly controlsRecovery = true;
  cwndBytes = 0;
  ssthreshBytes: number = UNLIMITED_SSTHRESH;
  pacingBytesPerSecond = 0;
  mode: BbrMode = 'startup';
  #mssBytes = 536;
  #initialBytes = 0;
  /** Of no use before the first acknowledgment: an idle connection has none. */
  #model: BbrModel | null = null;
  #random: number;
  #pacingGain: number = HIGH_GAIN;
  #cwndGain: number = HIGH_GAIN;
  #isPipeFull = false;
  #fullBytesPerSecond = 0;
  #fullRounds = 0;
  #phase = 0;
  #phaseMicros = 0;
  /** The window before a recovery or ProbeRTT. */
  #priorCwndBytes = 0;
  #state: CongestionState = 'open';
  #isConserving = false;
  #isIdleRestart = false;
  /** When ProbeRTT may end; -1: the flight has not yet shrunk. */
  #probeRttEndMicros = -1;
  #isProbeRttRoundOver = false;

  /** @param seed from which the phases of flows that begin together differ; mixed with the connection's own numbers. */
  constructor(seed: number = 0) {
    this.#random = seed | 0;
  }

  /** The measured bandwidth in bytes per second, and round-trip time without queue (-1: not known). */
  get bytesPerSecond(): number {
    return this.#model?.bytesPerSecond ?? 0;
  }

  get minRttMicros(): number {
    const micros = this.#model?.minRttMicros ?? Number.POSITIVE_INFINITY;
    return micros === Number.POSITIVE_INFINITY ? -1 : micros;
  }

  onSegmentSize(mssBytes: number, windowSegments: number): void {
    this.#mssBytes = mssBytes;
    this.#initialBytes = initialWindowBytes(mssBytes, windowSegments);
    if (this.cwndBytes === 0) {
      this.cwndBytes = this.#initialBytes;
      this.#paceFrom(ASSUMED_RTT_MICROS);
    } else {
      this.cwndBytes = Math.max(this.cwndBytes, mssBytes);
    }
  }

  onAck(sample: AckSample): void {
    const model = this.#model ?? this.#newModel(sample);
    model.takeRate(sample);
    if (model.isRoundStart) {
      model.forgetOldest();
      this.#isConserving = false;
    }
    model.keepRate(sample);
    model.takeAggregation(sample, this.cwndBytes, EXTRA_ROUNDS);
    this.#advancePhase(model, sample);
    this.#checkPipe(model, sample);
    this.#checkDrain(model, sample);
    this.#takeRtt(model, sample);
    this.#setGains();
    this.#setPacing(model);
    this.#setWindow(model, sample);
  }

  onCongestion(_signal: CongestionSignal, _inFlightBytes: number, _isRepeated: boolean, _nowMicros: number): void {
    this.#saveWindow();
  }

  onState(state: CongestionState, inFlightBytes: number, _nowMicros: number): void {
    if (state !== 'loss') return;
    // All in flight is taken for lost: begins with one segment, and asks anew what the path carries.
    this.#fullBytesPerSecond = 0;
    this.#fullRounds = 0;
    this.#state = 'loss';
    this.cwndBytes = Math.max(inFlightBytes + this.#mssBytes, this.#mssBytes);
  }

  onUndo(): void {
    this.#fullBytesPerSecond = 0;
    this.#fullRounds = 0;
    this.cwndBytes = Math.max(this.cwndBytes, this.#priorCwndBytes);
  }

  onIdleRestart(_idleMicros: number, _rtoMicros: number, nowMicros: number): void {
    const model = this.#model;
    if (model === null) return;
    this.#isIdleRestart = true;
    model.restartAggregation(nowMicros);
    // A pause ends without a burst: at the bandwidth known, neither more nor less (§4.3.4.4 of the draft).
    if (this.mode === 'probe-bandwidth') {
      this.pacingBytesPerSecond = model.bytesPerSecond * PACING_MARGIN;
    } else if (this.mode === 'probe-rtt') this.#checkProbeRttEnd(model, nowMicros);
  }

  #newModel(sample: AckSample): BbrModel {
    this.#random ^= sample.sndUna ^ (sample.nowMicros | 0);
    const model = new BbrModel(sample.nowMicros, BANDWIDTH_ROUNDS);
    this.#model = model;
    if (sample.rttMicros > 0) this.#paceFrom(sample.rttMicros);
    return model;
  }

  /** The first rate: the window, spread as slow start would. */
  #paceFrom(rttMicros: number): void {
    this.pacingBytesPerSecond = (HIGH_GAIN * this.cwndBytes * MICROS_PER_SECOND) / rttMicros;
  }

  #advancePhase(model: BbrModel, sample: AckSample): void {
    if (this.mode !== 'probe-bandwidth' || !this.#isPhaseOver(model, sample)) return;
    this.#phase = (this.#phase + 1) % PROBE_GAINS.length;
    this.#phaseMicros = sample.nowMicros;
  }

  /** §4.3.4.3 of the draft. */
  #isPhaseOver(model: BbrModel, sample: AckSample): boolean {
    const gain = PROBE_GAINS[this.#phase]!;
    const isLong = sample.nowMicros - this.#phaseMicros > model.minRttMicros;
    if (gain === 1) return isLong;
    // Losses say that the path does not hold more; else it takes until the flight has grown.
    if (gain > 1) return isLong && (sample.lostBytes > 0 || sample.priorInFlightBytes >= this.#target(model, gain));
    return isLong || sample.priorInFlightBytes <= this.#target(model, 1);
  }

  /** §4.3.2.2: whether startup has found all the bandwidth there is. */
  #checkPipe(model: BbrModel, sample: AckSample): void {
    if (this.#isPipeFull || !model.isRoundStart || model.isLimited(sample)) return;
    if (model.bytesPerSecond >= this.#fullBytesPerSecond * FULL_GROWTH) {
      this.#fullBytesPerSecond = model.bytesPerSecond;
      this.#fullRounds = 0;
      return;
    }
    this.#isPipeFull = ++this.#fullRounds >= FULL_ROUNDS;
  }

  #checkDrain(model: BbrModel, sample: AckSample): void {
    if (this.mode === 'startup' && this.#isPipeFull) {
      this.mode = 'drain';
      this.ssthreshBytes = Math.floor(this.#target(model, 1));
    }
    if (this.mode === 'drain' && sample.inFlightBytes <= this.#target(model, 1)) this.#probeBandwidth(sample.nowMicros);
  }

  #probeBandwidth(nowMicros: number): void {
    this.mode = 'probe-bandwidth';
    // §4.3.4.2: any phase but the one that takes back.
    const phase = this.#nextRandom() % FIRST_PHASES;
    this.#phase = phase === 0 ? 0 : phase + 1;
    this.#phaseMicros = nowMicros;
  }

  #nextRandom(): number {
    this.#random = nextRandom(this.#random);
    return this.#random >>> 0;
  }

  /** §4.3.5: every ten seconds the flight shrinks, so that the path shows its length. */
  #takeRtt(model: BbrModel, sample: AckSample): void {
    model.takeRtt(sample.rttMicros, sample.nowMicros);
    if (model.isMinRttExpired && !this.#isIdleRestart && this.mode !== 'probe-rtt') {
      this.mode = 'probe-rtt';
      this.#saveWindow();
      this.#probeRttEndMicros = -1;
    }
    if (this.mode === 'probe-rtt') this.#probeRtt(model, sample);
    if (sample.deliveredBytes > 0) this.#isIdleRestart = false;
  }

  #probeRtt(model: BbrModel, sample: AckSample): void {
    model.ignoreUntilDelivered(sample);
    if (this.#probeRttEndMicros < 0) {
      if (sample.inFlightBytes > MIN_WINDOW_SEGMENTS * this.#mssBytes) return;
      this.#probeRttEndMicros = sample.nowMicros + PROBE_RTT_MICROS;
      this.#isProbeRttRoundOver = false;
      model.restartRound(sample.totalDeliveredBytes);
      return;
    }
    if (model.isRoundStart) this.#isProbeRttRoundOver = true;
    if (this.#isProbeRttRoundOver) this.#checkProbeRttEnd(model, sample.nowMicros);
  }

  #checkProbeRttEnd(model: BbrModel, nowMicros: number): void {
    if (this.#probeRttEndMicros < 0 || nowMicros < this.#probeRttEndMicros) return;
    model.refreshMinRtt(nowMicros);
    this.cwndBytes = Math.max(this.cwndBytes, this.#priorCwndBytes);
    if (this.#isPipeFull) this.#probeBandwidth(nowMicros);
    else this.mode = 'startup';
  }

  #setGains(): void {
    switch (this.mode) {
      case 'startup':
        this.#pacingGain = HIGH_GAIN;
        this.#cwndGain = HIGH_GAIN;
        return;
      case 'drain':
        this.#pacingGain = 1 / HIGH_GAIN;
        this.#cwndGain = HIGH_GAIN;
        return;
      case 'probe-bandwidth':
        this.#pacingGain = PROBE_GAINS[this.#phase]!;
        this.#cwndGain = CWND_GAIN;
        return;
      case 'probe-rtt':
        this.#pacingGain = 1;
        this.#cwndGain = 1;
    }
  }

  #setPacing(model: BbrModel): void {
    const rate = model.bytesPerSecond * this.#pacingGain * PACING_MARGIN;
    // §4.2.1: before the pipe is full the rate only rises.
    if (rate > 0 && (this.#isPipeFull || rate > this.pacingBytesPerSecond)) this.pacingBytesPerSecond = rate;
  }

  #setWindow(model: BbrModel, sample: AckSample): void {
    if (sample.deliveredBytes > 0) {
      this.cwndBytes = Math.min(Math.floor(this.#nextWindow(model, sample)), MAX_CWND_BYTES);
    }
    if (this.mode === 'probe-rtt') {
      this.cwndBytes = Math.min(this.cwndBytes, MIN_WINDOW_SEGMENTS * this.#mssBytes);
    }
  }

  /** §4.2.3.4. */
  #nextWindow(model: BbrModel, sample: AckSample): number {
    const acked = sample.deliveredBytes;
    const minimum = MIN_WINDOW_SEGMENTS * this.#mssBytes;
    const cwnd = this.#recoveryWindow(model, sample);
    if (this.#isConserving) return Math.max(cwnd, sample.inFlightBytes + acked, this.#mssBytes);
    const extra = this.#isPipeFull ? model.extraAckedBytes : 0;
    const target = this.#roundUp(model.productBytes() * this.#cwndGain + extra);
    if (this.#isPipeFull) return Math.max(Math.min(cwnd + acked, target), minimum);
    const isBeginning = sample.totalDeliveredBytes < this.#initialBytes;
    return Math.max(cwnd < target || isBeginning ? cwnd + acked : cwnd, minimum);
  }

  /** §4.2.3.3: the window as the state of recovery changes it. */
  #recoveryWindow(model: BbrModel, sample: AckSample): number {
    const wasRecovering = this.#state === 'recovery' || this.#state === 'loss';
    const isRecovering = sample.state === 'recovery' || sample.state === 'loss';
    let cwnd = this.cwndBytes;
    if (sample.lostBytes > 0) cwnd = Math.max(cwnd - sample.lostBytes, this.#mssBytes);
    if (sample.state === 'recovery' && this.#state !== 'recovery') {
      this.#isConserving = true;
      model.restartRound(sample.totalDeliveredBytes);
      cwnd = sample.inFlightBytes + sample.deliveredBytes;
    } else if (wasRecovering && !isRecovering) {
      this.#isConserving = false;
      cwnd = Math.max(cwnd, this.#priorCwndBytes);
    }
    this.#state = sample.state;
    return cwnd;
  }

  /** What is to be in flight at this gain. */
  #target(model: BbrModel, gain: number): number {
    const bytes = model.productBytes();
    return bytes === 0 ? this.#initialBytes : this.#roundUp(bytes * gain);
  }

  /** Room for the bursts that end systems hold, in pairs of segments as they are acknowledged. */
  #roundUp(bytes: number): number {
    const mss = this.#mssBytes;
    const held = heldBytes(this.pacingBytesPerSecond, mss);
    const pairs = Math.ceil((bytes + held) / (2 * mss)) * 2 * mss;
    // Small paths: asking for more has to go beyond what they hold.
    return this.mode === 'probe-bandwidth' && this.#phase === 0 ? pairs + 2 * mss : pairs;
  }

  #saveWindow(): void {
    const isShrunk = this.#state === 'recovery' || this.#state === 'loss' || this.mode === 'probe-rtt';
    this.#priorCwndBytes = isShrunk ? Math.max(this.#priorCwndBytes, this.cwndBytes) : this.cwndBytes;
  }
}
