import { BbrModel, heldBytes, nextRandom } from './bbr-model.ts';
import { BETA, Bbr3Bounds } from './bbr3-bounds.ts';
import type { AckSample, CongestionController, CongestionSignal, CongestionState } from './controller.ts';
import { initialWindowBytes, MAX_CWND_BYTES, UNLIMITED_SSTHRESH } from './window.ts';

const MICROS_PER_SECOND = 1_000_000;
const CWND_GAIN = 2;
const UP_CWND_GAIN = 2.25;
const PROBE_RTT_CWND_GAIN = 0.5;
const PACING_MARGIN = 0.99;
/** More than this share lost in a round trip is too much. */
const LOSS_THRESHOLD = 0.02;
/** Startup ends when so many acknowledgments of a round told of losses. */
const STARTUP_LOSS_EVENTS = 6;
const FULL_GROWTH = 1.25;
const FULL_ROUNDS = 3;
const DRAIN_ROUNDS = 3;
/** Left to others of what the path bears in the long run. */
const HEADROOM = 0.15;
const MIN_WINDOW_SEGMENTS = 4;
const PROBE_RTT_MICROS = 200_000;
/** Between two probes for bandwidth: 2 to 3 seconds, or as many rounds as Reno's window would take, if that is less. */
const PROBE_WAIT_MICROS = 2 * MICROS_PER_SECOND;
const MAX_RENO_ROUNDS = 63;
const MAX_UP_ROUNDS = 30;
const EXTRA_ROUNDS = 5;
const BANDWIDTH_CYCLES = 2;
const ASSUMED_RTT_MICROS = 1000;

export type Bbr3Mode = 'startup' | 'drain' | 'down' | 'cruise' | 'refill' | 'up' | 'probe-rtt';
/** What the acknowledgments of now tell of: see "ProbeBW Algorithm Details" (BBR.ack_phase). */
type AckPhase = 'none' | 'refilling' | 'starting' | 'feedback' | 'stopping';

const PACING_GAINS: Readonly<Record<Bbr3Mode, number>> = {
  startup: 2.77,
  drain: 0.5,
  down: 0.9,
  cruise: 1,
  refill: 1,
  up: 1.25,
  'probe-rtt': 1,
};

/**
 * BBR, third version (draft-ietf-ccwg-bbr, whose names are given where they help): sends at the bandwidth it has
 * measured, as version 1, but takes losses and marks for a limit that the path has, and leaves room to others. It needs
 * a sender that paces, and selective acknowledgments.
 */
export class Bbr3 implements CongestionController {
  readonly name = 'bbr3';
  readonly controlsRecovery = true;
  cwndBytes = 0;
  ssthreshBytes: number = UNLIMITED_SSTHRESH;
  pacingBytesPerSecond = 0;
  mode: Bbr3Mode = 'startup';
  #mssBytes = 536;
  #initialBytes = 0;
  /** Of no use before the first acknowledgment: an idle connection has none. */
  #model: BbrModel | null = null;
  #bounds: Bbr3Bounds | null = null;
  #random: number;
  #isPipeFull = false;
  /** A bandwidth was measured that the application did not hold back. */
  #hasFullSample = false;
  #isFullNow = false;
  #fullBytesPerSecond = 0;
  #fullRounds = 0;
  #drainRound = 0;
  #ackPhase: AckPhase = 'none';
  #cycleMicros = 0;
  #probeWaitMicros = 0;
  /** BBR.rounds_since_probe_up, as the round count from which they are counted. */
  #probeRound = 0;
  #upRounds = 0;
  #upAckedBytes = 0;
  #upBytesPerStep: number = Number.POSITIVE_INFINITY;
  #isProbeSample = false;
  #wasTooHigh = false;
  #wasPrecautionary = false;
  #priorCwndBytes = 0;
  /** As of the last acknowledgment. */
  #deliveredBytes = 0;
  #state: CongestionState = 'open';
  #isIdleRestart = false;
  #probeRttBytes = 0;
  #probeRttEndMicros = -1;
  #isProbeRttRoundOver = false;
  /** What to go back to if the losses turn out to be none. */
  #undoMode: 'startup' | 'up' | null = null;

  /** @param seed from which the cycles of flows that begin together differ; mixed with the connection's own numbers. */
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

  /** The flight that the path bears in the long run (BBR.inflight_longterm); infinite: no limit is known. */
  get inflightLimitBytes(): number {
    return this.#bounds?.longInflightBytes ?? Number.POSITIVE_INFINITY;
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
    if (this.#model === null || this.#bounds === null) this.#begin(sample);
    const model = this.#model!;
    const bounds = this.#bounds!;
    this.#deliveredBytes = sample.totalDeliveredBytes;
    model.takeRate(sample);
    if (model.sampleBytesPerSecond > 0 && !model.isLimited(sample)) this.#hasFullSample = true;
    if (sample.lostBytes > 0) this.#takeLoss(model, bounds, sample);
    bounds.begin(sample, model);
    model.keepRate(sample);
    if (bounds.isRoundStart) {
      if (bounds.isLossInRound && !this.#isProbing()) bounds.adapt(model, this.cwndBytes);
      bounds.isLossInRound = false;
    }
    model.takeAggregation(sample, this.cwndBytes, this.#isPipeFull ? EXTRA_ROUNDS : 1);
    this.#checkPipe(model, sample);
    this.#checkStartup(model, bounds, sample);
    this.#checkDrain(model, bounds, sample);
    this.#advanceCycle(model, bounds, sample);
    this.#takeRtt(model, bounds, sample);
    bounds.end(sample, model);
    model.limitBytesPerSecond = bounds.shortBytesPerSecond;
    this.#setPacing(model, PACING_GAINS[this.mode]);
    this.#setWindow(model, bounds, sample);
    this.#state = sample.state;
  }

  onCongestion(signal: CongestionSignal, inFlightBytes: number, isRepeated: boolean, nowMicros: number): void {
    this.#saveWindow();
    if (isRepeated || this.#bounds === null) return;
    this.#bounds.save();
    this.#undoMode = null;
    if (signal === 'ecn') this.#takeMark(this.#model!, this.#bounds, inFlightBytes, nowMicros);
    else this.#bounds.noteLoss(this.#deliveredBytes); // it may be a timer that found it, and no acknowledgment
  }

  onState(state: CongestionState, inFlightBytes: number, _nowMicros: number): void {
    const wasRecovering = this.#isRecovering;
    this.#state = state;
    if (state === 'loss') {
      this.cwndBytes = Math.max(inFlightBytes + this.#mssBytes, this.#mssBytes); // OnEnterRTO
    } else if (wasRecovering && !this.#isRecovering) {
      this.cwndBytes = Math.max(this.cwndBytes, this.#priorCwndBytes); // RestoreCwnd
    }
  }

  /** "Handling a Spurious Loss Recovery". */
  onUndo(): void {
    this.cwndBytes = Math.max(this.cwndBytes, this.#priorCwndBytes);
    const bounds = this.#bounds;
    if (bounds === null) return;
    this.#resetFull(0);
    bounds.undo();
    if (this.#undoMode === 'startup' && this.mode !== 'startup') {
      this.#isPipeFull = false;
      if (this.mode !== 'probe-rtt') this.mode = 'startup';
    } else if (this.#undoMode === 'up' && this.mode !== 'up' && this.mode !== 'probe-rtt') {
      this.#refill(this.#model!, bounds, this.#deliveredBytes);
    }
    this.#undoMode = null;
  }

  /** "Restarting From Idle". */
  onIdleRestart(_idleMicros: number, _rtoMicros: number, nowMicros: number): void {
    const model = this.#model;
    if (model === null) return;
    this.#isIdleRestart = true;
    model.restartAggregation(nowMicros);
    if (this.mode === 'probe-rtt') this.#checkProbeRttEnd(model, this.#bounds!, nowMicros);
    else if (this.#isProbeBandwidth()) this.#setPacing(model, 1);
  }

  get #isRecovering(): boolean {
    return this.#state === 'recovery' || this.#state === 'loss';
  }

  #begin(sample: AckSample): void {
    this.#random ^= sample.sndUna ^ (sample.nowMicros | 0);
    this.#model = new BbrModel(sample.nowMicros, BANDWIDTH_CYCLES);
    this.#bounds = new Bbr3Bounds();
    if (sample.rttMicros > 0) this.#paceFrom(sample.rttMicros);
  }

  /** InitPacingRate. */
  #paceFrom(rttMicros: number): void {
    this.pacingBytesPerSecond = (PACING_GAINS.startup * this.cwndBytes * MICROS_PER_SECOND) / rttMicros;
  }

  #isProbing(): boolean {
    return this.mode === 'startup' || this.mode === 'refill' || this.mode === 'up';
  }

  #isProbeBandwidth(): boolean {
    return this.mode === 'down' || this.mode === 'cruise' || this.mode === 'refill' || this.mode === 'up';
  }

  /** HandleLostPacket, for all that this acknowledgment found lost together. */
  #takeLoss(model: BbrModel, bounds: Bbr3Bounds, sample: AckSample): void {
    bounds.noteLoss(sample.totalDeliveredBytes);
    bounds.lossEvents++;
    if (!this.#isProbeSample || !isTooHigh(sample)) return;
    this.#wasTooHigh = true;
    this.#isProbeSample = false;
    if (!model.isLimited(sample)) {
      const target = Math.min(model.productBytes(), this.cwndBytes);
      bounds.longInflightBytes = Math.max(sample.sentInFlightBytes, target * BETA);
    }
    if (this.mode !== 'up') return;
    this.#undoMode = 'up';
    this.#goDown(model, bounds, sample.totalDeliveredBytes, sample.nowMicros);
  }

  /**
   * The draft leaves ECN to its implementers. Marks do not keep data from being delivered, so what is delivered is no
   * measure of what to come down to: it is CUBIC's share of what is in flight (RFC 3168 §6.1.2: as for a loss).
   */
  #takeMark(model: BbrModel, bounds: Bbr3Bounds, inFlightBytes: number, nowMicros: number): void {
    if (this.mode === 'startup' && !this.#hasFullSample) {
      // Nothing is known of the path that could be gone down to: the window alone shrinks.
      this.cwndBytes = Math.max(Math.floor(this.cwndBytes * BETA), this.#minimumBytes);
    } else if (this.mode === 'startup') {
      this.#isPipeFull = true;
      bounds.longInflightBytes = Math.max(model.productBytes(), inFlightBytes * BETA);
    } else if (this.#isProbing()) {
      this.#wasTooHigh = true;
      this.#isProbeSample = false;
      bounds.longInflightBytes = Math.max(inFlightBytes, model.productBytes() * BETA);
      this.#goDown(model, bounds, this.#deliveredBytes, nowMicros);
    } else {
      bounds.shortInflightBytes = Math.min(bounds.shortInflightBytes, inFlightBytes) * BETA;
    }
  }

  /** "Exiting Acceleration Based on Bandwidth Plateau". */
  #checkPipe(model: BbrModel, sample: AckSample): void {
    if (this.#isFullNow || !model.isRoundStart || model.isLimited(sample)) return;
    if (model.sampleBytesPerSecond >= this.#fullBytesPerSecond * FULL_GROWTH) {
      this.#resetFull(model.sampleBytesPerSecond);
      return;
    }
    this.#isFullNow = ++this.#fullRounds >= FULL_ROUNDS;
    if (this.#isFullNow) this.#isPipeFull = true;
  }

  #resetFull(bytesPerSecond: number): void {
    this.#fullBytesPerSecond = bytesPerSecond;
    this.#fullRounds = 0;
    this.#isFullNow = false;
  }

  #checkStartup(model: BbrModel, bounds: Bbr3Bounds, sample: AckSample): void {
    if (this.mode !== 'startup') return;
    // "Exiting Startup Based on Packet Loss".
    const isRecoveryRound = bounds.isRoundStart && this.#state === 'recovery' && sample.state === 'recovery';
    if (isRecoveryRound && bounds.lossEvents >= STARTUP_LOSS_EVENTS && isTooHigh(sample)) {
      this.#undoMode = 'startup';
      this.#isPipeFull = true;
      bounds.longInflightBytes = Math.max(model.productBytes(), bounds.latestInflightBytes);
    }
    if (!this.#isPipeFull) return;
    this.mode = 'drain';
    this.#drainRound = model.roundCount;
    this.ssthreshBytes = Math.floor(this.#inflight(model, 1));
  }

  #checkDrain(model: BbrModel, bounds: Bbr3Bounds, sample: AckSample): void {
    if (this.mode !== 'drain') return;
    const isDrained = sample.inFlightBytes <= this.#inflight(model, 1);
    if (isDrained || model.roundCount > this.#drainRound + DRAIN_ROUNDS)
      this.#goDown(model, bounds, sample.totalDeliveredBytes, sample.nowMicros);
  }

  /** UpdateProbeBWCyclePhase. */
  #advanceCycle(model: BbrModel, bounds: Bbr3Bounds, sample: AckSample): void {
    if (!this.#isPipeFull || this.#adaptLongTerm(model, bounds, sample)) return;
    switch (this.mode) {
      case 'down':
      case 'cruise':
        if (this.#isTimeToProbe(model, sample.nowMicros)) this.#refill(model, bounds, sample.totalDeliveredBytes);
        else if (this.mode === 'down' && this.#isTimeToCruise(model, bounds, sample)) this.mode = 'cruise';
        return;
      case 'refill':
        if (model.isRoundStart) this.#goUp(model, sample);
        return;
      case 'up':
        if (!this.#isTimeToGoDown(model, bounds, sample)) return;
        this.#wasTooHigh = false;
        this.#goDown(model, bounds, sample.totalDeliveredBytes, sample.nowMicros);
        return;
      case 'startup':
      case 'drain':
      case 'probe-rtt':
    }
  }

  /** AdaptLongTermModel. Returns whether the mode has changed. */
  #adaptLongTerm(model: BbrModel, bounds: Bbr3Bounds, sample: AckSample): boolean {
    if (this.#ackPhase === 'starting' && model.isRoundStart) this.#ackPhase = 'feedback';
    if (this.#ackPhase === 'stopping' && model.isRoundStart) {
      this.#isProbeSample = false;
      this.#ackPhase = 'none';
      if (this.#isProbeBandwidth()) {
        if (!model.isLimited(sample)) model.forgetOldest();
        if (this.#wasPrecautionary && !this.#wasTooHigh) {
          // What was only touched has done no harm: now in earnest.
          this.#refill(model, bounds, sample.totalDeliveredBytes);
          return true;
        }
      }
    }
    if (isTooHigh(sample) || bounds.longInflightBytes === Number.POSITIVE_INFINITY) return false;
    bounds.longInflightBytes = Math.max(bounds.longInflightBytes, sample.sentInFlightBytes);
    if (this.mode === 'up') this.#raiseLongTerm(model, bounds, sample);
    return false;
  }

  /** ProbeInflightLongtermUpward: by 1, 2, 4, ... segments a round trip. */
  #raiseLongTerm(model: BbrModel, bounds: Bbr3Bounds, sample: AckSample): void {
    if (!sample.isCongestionLimited || this.cwndBytes < bounds.longInflightBytes) return;
    this.#upAckedBytes += sample.deliveredBytes;
    if (this.#upAckedBytes >= this.#upBytesPerStep) {
      const steps = Math.floor(this.#upAckedBytes / this.#upBytesPerStep);
      this.#upAckedBytes -= steps * this.#upBytesPerStep;
      bounds.longInflightBytes += steps * this.#mssBytes;
    }
    if (model.isRoundStart) this.#steepen();
  }

  #steepen(): void {
    const segments = 2 ** this.#upRounds;
    this.#upRounds = Math.min(this.#upRounds + 1, MAX_UP_ROUNDS);
    this.#upBytesPerStep = Math.max(this.cwndBytes / segments, this.#mssBytes);
  }

  /** "Time Scale for Bandwidth Probing". */
  #isTimeToProbe(model: BbrModel, nowMicros: number): boolean {
    if (nowMicros > this.#cycleMicros + this.#probeWaitMicros) return true;
    const window = Math.min(model.productBytes(), this.cwndBytes) / this.#mssBytes;
    return model.roundCount - this.#probeRound >= Math.min(window, MAX_RENO_ROUNDS);
  }

  #isTimeToCruise(model: BbrModel, bounds: Bbr3Bounds, sample: AckSample): boolean {
    if (sample.inFlightBytes > this.#withHeadroom(bounds)) return false;
    return sample.inFlightBytes <= this.#quantized((model.bytesPerSecond * model.minRttMicros) / MICROS_PER_SECOND);
  }

  #isTimeToGoDown(model: BbrModel, bounds: Bbr3Bounds, sample: AckSample): boolean {
    if (this.#wasTooHigh && sample.inFlightBytes >= bounds.longInflightBytes) {
      this.#wasPrecautionary = true;
      return true;
    }
    if (sample.isCongestionLimited && this.cwndBytes >= bounds.longInflightBytes) {
      this.#resetFull(model.sampleBytesPerSecond); // the limit holds the bandwidth back, not the path
      return false;
    }
    return this.#isFullNow;
  }

  /** StartProbeBW_DOWN. */
  #goDown(model: BbrModel, bounds: Bbr3Bounds, deliveredBytes: number, nowMicros: number): void {
    bounds.restart();
    this.#upBytesPerStep = Number.POSITIVE_INFINITY;
    this.#probeRound = model.roundCount - (this.#nextRandom() % 2);
    this.#probeWaitMicros = PROBE_WAIT_MICROS + (this.#nextRandom() / 0x1_0000_0000) * MICROS_PER_SECOND;
    this.#cycleMicros = nowMicros;
    this.#ackPhase = 'stopping';
    model.restartRound(deliveredBytes);
    this.mode = 'down';
  }

  /** StartProbeBW_REFILL. */
  #refill(model: BbrModel, bounds: Bbr3Bounds, deliveredBytes: number): void {
    bounds.forgetShort();
    this.#upRounds = 0;
    this.#upAckedBytes = 0;
    this.#wasPrecautionary = false;
    this.#ackPhase = 'refilling';
    model.restartRound(deliveredBytes);
    this.mode = 'refill';
  }

  /** StartProbeBW_UP. */
  #goUp(model: BbrModel, sample: AckSample): void {
    this.#isProbeSample = true;
    this.#ackPhase = 'starting';
    model.restartRound(sample.totalDeliveredBytes);
    this.#resetFull(model.sampleBytesPerSecond);
    this.mode = 'up';
    this.#steepen();
  }

  /** UpdateMinRTT, CheckProbeRTT. */
  #takeRtt(model: BbrModel, bounds: Bbr3Bounds, sample: AckSample): void {
    // Half of what the path holds by the old measurement: the new one may be of a full queue.
    const halfBytes = Math.max(this.#product(model) * PROBE_RTT_CWND_GAIN, this.#minimumBytes);
    model.takeRtt(sample.rttMicros, sample.nowMicros);
    if (model.isMinRttExpired && this.mode !== 'probe-rtt') {
      this.#probeRttBytes = halfBytes;
      if (!this.#isIdleRestart) {
        this.#saveWindow();
        this.mode = 'probe-rtt';
        this.#probeRttEndMicros = -1;
        this.#ackPhase = 'stopping';
        model.restartRound(sample.totalDeliveredBytes);
      }
    }
    if (this.mode === 'probe-rtt') this.#probeRtt(model, bounds, sample);
    if (sample.deliveredBytes > 0) this.#isIdleRestart = false;
  }

  #probeRtt(model: BbrModel, bounds: Bbr3Bounds, sample: AckSample): void {
    model.ignoreUntilDelivered(sample);
    if (this.#probeRttEndMicros < 0) {
      if (sample.inFlightBytes > this.#probeRttBytes) return;
      this.#probeRttEndMicros = sample.nowMicros + PROBE_RTT_MICROS;
      this.#isProbeRttRoundOver = false;
      model.restartRound(sample.totalDeliveredBytes);
      return;
    }
    if (model.isRoundStart) this.#isProbeRttRoundOver = true;
    if (this.#isProbeRttRoundOver) this.#checkProbeRttEnd(model, bounds, sample.nowMicros);
  }

  #checkProbeRttEnd(model: BbrModel, bounds: Bbr3Bounds, nowMicros: number): void {
    if (this.#probeRttEndMicros < 0 || nowMicros <= this.#probeRttEndMicros) return;
    model.refreshMinRtt(nowMicros);
    this.cwndBytes = Math.max(this.cwndBytes, this.#priorCwndBytes);
    bounds.forgetShort(); // "Exiting ProbeRTT"
    if (!this.#isPipeFull) {
      this.mode = 'startup';
      return;
    }
    this.#goDown(model, bounds, this.#deliveredBytes, nowMicros);
    this.mode = 'cruise';
  }

  /** SetPacingRateWithGain. */
  #setPacing(model: BbrModel, gain: number): void {
    const rate = model.usedBytesPerSecond * gain * PACING_MARGIN;
    if (rate > 0 && (this.#isPipeFull || rate > this.pacingBytesPerSecond)) this.pacingBytesPerSecond = rate;
  }

  /** SetCwnd. */
  #setWindow(model: BbrModel, bounds: Bbr3Bounds, sample: AckSample): void {
    const gain = this.mode === 'up' ? UP_CWND_GAIN : this.mode === 'probe-rtt' ? PROBE_RTT_CWND_GAIN : CWND_GAIN;
    const most = this.#quantized(this.#product(model) * gain + model.extraAckedBytes);
    const acked = sample.deliveredBytes;
    let cwnd = this.cwndBytes;
    if (this.#isPipeFull) cwnd = Math.min(cwnd + acked, most);
    else if (cwnd < most || sample.totalDeliveredBytes < this.#initialBytes) cwnd += acked;
    cwnd = Math.max(cwnd, this.#minimumBytes);
    if (this.mode === 'probe-rtt') cwnd = Math.min(cwnd, this.#probeRttBytes);
    cwnd = Math.min(cwnd, Math.max(this.#cap(bounds), this.#minimumBytes), MAX_CWND_BYTES);
    this.cwndBytes = Math.floor(cwnd);
  }

  /** BoundCwndForModel. */
  #cap(bounds: Bbr3Bounds): number {
    let cap = Number.POSITIVE_INFINITY;
    if (this.mode === 'cruise' || this.mode === 'probe-rtt') cap = this.#withHeadroom(bounds);
    else if (this.#isProbeBandwidth()) cap = bounds.longInflightBytes;
    return Math.min(cap, bounds.shortInflightBytes);
  }

  #withHeadroom(bounds: Bbr3Bounds): number {
    const limit = bounds.longInflightBytes;
    if (limit === Number.POSITIVE_INFINITY) return limit;
    return Math.max(limit - Math.max(this.#mssBytes, HEADROOM * limit), this.#minimumBytes);
  }

  get #minimumBytes(): number {
    return MIN_WINDOW_SEGMENTS * this.#mssBytes;
  }

  #product(model: BbrModel): number {
    const bytes = model.productBytes();
    return bytes === 0 ? this.#initialBytes : bytes;
  }

  #inflight(model: BbrModel, gain: number): number {
    return this.#quantized(this.#product(model) * gain);
  }

  /** QuantizationBudget: at least what offloading ends hold, and what keeps acknowledgments coming. */
  #quantized(bytes: number): number {
    const room = Math.max(bytes, heldBytes(this.pacingBytesPerSecond, this.#mssBytes), this.#minimumBytes);
    return this.mode === 'up' ? room + 2 * this.#mssBytes : room;
  }

  /** SaveCwnd. */
  #saveWindow(): void {
    const isShrunk = this.#isRecovering || this.mode === 'probe-rtt';
    this.#priorCwndBytes = isShrunk ? Math.max(this.#priorCwndBytes, this.cwndBytes) : this.cwndBytes;
  }

  #nextRandom(): number {
    this.#random = nextRandom(this.#random);
    return this.#random >>> 0;
  }
}

/** IsInflightTooHigh. */
function isTooHigh(sample: AckSample): boolean {
  if (sample.priorDeliveredBytes < 0) return false; // nothing is known of when it was sent
  return sample.lostSinceSentBytes > sample.sentInFlightBytes * LOSS_THRESHOLD;
}
