import { sequenceDifference, sequenceGreater, sequenceLess, sequenceLessOrEqual } from '../../wire/sequence.ts';
import { AckFindings } from './ack-findings.ts';
import { AckSample } from './congestion/controller.ts';
import { takeProbe } from './path-mtu.ts';
import type { Segment } from './segment.ts';
import type { Sender } from './send.ts';
import { TIMER_PERSIST, TIMER_REORDER, TIMER_RETRANSMIT, TIMER_TAIL_LOSS } from './timers.ts';

/** Timestamps tick once a millisecond; less than a tick is taken for half of one. */
const TICK_MICROS = 1000;

/** One acknowledgment at a time is taken: what it says lives here. */
const found = new AckFindings();
const sample = new AckSample();

/** An acceptable acknowledgment (SND.UNA =< SEG.ACK =< SND.NXT) of a synchronised connection. */
export function takeAcknowledgment(sender: Sender, segment: Segment, nowMicros: number): void {
  if (sender.isAwake) takeNews(sender, segment, nowMicros);
  else takeQuietly(sender, segment, nowMicros);
  sender.markedBytes = 0;
  sender.probes = 0;
  // A peer that answers is alive, even if it takes nothing for now: RFC 9293 §3.8.6.1.
  if (sender.sndWnd === 0) sender.retries = 0;
  const { timers } = sender.connection;
  if (timers.runs(TIMER_PERSIST) && sender.sndWnd > 0 && !sender.isWindowTooSmall) sender.endPersist();
}

/** Nothing was sent yet: only the window and the marks can be news. */
function takeQuietly(sender: Sender, segment: Segment, nowMicros: number): void {
  takeWindow(sender, segment);
  sender.connection.ecn?.takeAck(sender.connection, segment, 0, 0, false, nowMicros);
  sender.takesEcho();
}

function takeNews(sender: Sender, segment: Segment, nowMicros: number): void {
  const { scoreboard, recovery, connection, rtt } = sender;
  const { rate } = scoreboard;
  const acked = sequenceDifference(segment.acknowledgment, sender.sndUna);
  const hadRecords = scoreboard.count > 0;
  const lostBefore = rate.lostBytes;
  const lostSegmentsBefore = rate.lostSegments;
  const priorInFlight = sender.pipeBytes;
  begin(sender, segment, acked, nowMicros);
  const hasMovedWindow = takeWindow(sender, segment);
  found.isNews = acked > 0 || segment.lengthBytes > 0 || hasMovedWindow;
  if (connection.sackEnabled && segment.options.sackCount > 0) takeSack(sender, segment);
  if (acked > 0) advance(sender, segment, acked, nowMicros);
  const setsTimer = takeRoundTrip(sender, segment, nowMicros) || acked > 0;
  noteReordering(sender);
  recovery.rack.adaptWindow(found, rate.deliveredBytes);
  recovery.takeProbeAck(found);
  const { deliveredSegments, deliveredBytes } = found;
  connection.ecn?.takeAck(connection, segment, deliveredSegments, deliveredBytes, hadRecords, nowMicros);
  const isMarked = sender.takesEcho();
  if (isMarked) recovery.undo.mayRestore = false; // a mark is proof
  const isDuplicate = hadRecords && !found.isNews && !found.isDuplicateSack;
  const isDubious = !found.isNews || found.sackedSegments > 0 || found.isDuplicateSack || recovery.state !== 'open';
  if (hadRecords ? isDubious : found.isDuplicateSack) recovery.takeAck(found, isDuplicate ? 1 : 0);
  if (isMarked) recovery.congestionMarked(nowMicros);
  recovery.ackedBytes = 0;
  if (hadRecords && setsTimer && !found.keepsTimer) setTimers(sender, nowMicros);
  if (hadRecords) {
    sender.windowUse.noteWindow(sender.congestion.cwndBytes);
    const minRtt = Number.isFinite(rtt.minMicros) ? rtt.minMicros : 0;
    sample.intervalMicros = recovery.isReneging ? -1 : rate.finish(found, minRtt);
    sample.lostBytes = rate.lostBytes - lostBefore;
    sample.priorInFlightBytes = priorInFlight;
    controlCongestion(sender, acked, rate.lostSegments - lostSegmentsBefore);
  }
}

/**
 * An acknowledgment from below `sndUna`, overtaken on its way: what it says by SACK is still true (RFC 2018 §5), and it
 * may report a duplicate.
 */
export function takeOldAcknowledgment(sender: Sender, segment: Segment, nowMicros: number): void {
  const { scoreboard, recovery, connection } = sender;
  if (!connection.sackEnabled || segment.options.sackCount === 0) return;
  const { rate } = scoreboard;
  const lostBefore = rate.lostSegments;
  begin(sender, segment, 0, nowMicros);
  found.isNews = true;
  takeSack(sender, segment);
  noteReordering(sender);
  recovery.takeAck(found, 0);
  rate.finish(found, 0);
  if (recovery.isReducing && !sender.congestion.controlsRecovery) {
    recovery.reduce(found.deliveredSegments, rate.lostSegments - lostBefore, false);
  }
}

function begin(sender: Sender, segment: Segment, acked: number, nowMicros: number): void {
  const { scoreboard, recovery, connection, rtt, sndUna } = sender;
  const { options } = segment;
  found.begin(nowMicros, recovery.recoveryPoint, Number.isFinite(rtt.minMicros) ? rtt.minMicros : 0);
  found.isAdvance = acked > 0;
  recovery.ackedBytes = acked;
  found.priorUna = sndUna;
  found.priorHighest = connection.sackEnabled ? scoreboard.highestSacked(sndUna) : sndUna;
  if (!connection.timestampsEnabled || !options.hasTimestamps || options.timestampEcho === 0) return;
  // What caused this acknowledgment was sent within the tick that it echoes, or before.
  const ageTicks = (connection.timestamp(nowMicros) - options.timestampEcho) | 0;
  if (ageTicks >= 0) found.echoEndMicros = (Math.floor(nowMicros / TICK_MICROS) - ageTicks + 1) * TICK_MICROS;
}

/** RFC 9293 §3.10.7.4. Returns whether the window is another than before. */
function takeWindow(sender: Sender, segment: Segment): boolean {
  const { sequence, acknowledgment } = segment;
  const isNewer =
    sequenceLess(sender.sndWl1, sequence) ||
    (sender.sndWl1 === sequence && sequenceLessOrEqual(sender.sndWl2, acknowledgment));
  const before = sender.sndWnd;
  if (isNewer) sender.setWindow(segment);
  return sender.sndWnd !== before;
}

/** RFC 2018 §5 and RFC 2883 §4: the blocks of an acknowledgment. Those that cannot be are ignored. */
function takeSack(sender: Sender, segment: Segment): void {
  const { scoreboard, recovery, sndNxt, maxSndWnd } = sender;
  const { options, acknowledgment } = segment;
  const { sackLeft, sackRight, sackCount } = options;
  const rack = sender.config.rack ? recovery.rack : null;
  // An acknowledgment from before does not move `sndUna` back.
  const una = sequenceGreater(acknowledgment, sender.sndUna) ? acknowledgment : sender.sndUna;
  const isReport = takeReport(sender, segment);
  for (let i = 0; i < sackCount; i++) {
    const left = sackLeft[i]!;
    const right = sackRight[i]!;
    const isPossible = sequenceLess(left, right) && sequenceLessOrEqual(right, sndNxt) && sequenceLess(left, sndNxt);
    if (!isPossible || !sequenceGreater(left, una)) continue;
    if (i === 0 && isReport) recovery.undo.noteReported(scoreboard.countRepeated(left, right, found), right);
    if (sequenceDifference(right, left) <= Math.max(maxSndWnd, scoreboard.outstandingBytes)) {
      scoreboard.sack(left, right, found, rack);
    }
  }
}

/** RFC 2883 §4: the first block may report what has arrived twice. */
function takeReport(sender: Sender, segment: Segment): boolean {
  const { recovery, scoreboard, connection, maxSndWnd, sndUna } = sender;
  const { options, acknowledgment } = segment;
  const left = options.sackLeft[0]!;
  const right = options.sackRight[0]!;
  const isBelow = sequenceLess(left, acknowledgment);
  const isWithin =
    options.sackCount > 1 &&
    sequenceLessOrEqual(options.sackLeft[1]!, left) &&
    sequenceLessOrEqual(right, options.sackRight[1]!);
  const bytes = sequenceDifference(right, left);
  // More than there was window for was never sent twice.
  if ((!isBelow && !isWithin) || bytes <= 0 || bytes > maxSndWnd) return false;
  const segments = Math.max(1, Math.ceil(bytes / connection.segmentBytes));
  const isProbe = segments === 1 && recovery.isProbing && recovery.probeEnd === right;
  recovery.duplicatesReported += segments;
  if (recovery.duplicatesReported > sender.retransmittedSegments) return false; // the network's doing, not ours
  found.isDuplicateSack = true;
  found.isProbeReported = isProbe;
  if (recovery.reorderingSeen > 0 && !isProbe) recovery.rack.hasDuplicateSack = true;
  scoreboard.rate.deliveredSegments += segments;
  found.deliveredSegments += segments;
  if (sequenceLessOrEqual(right, sndUna)) recovery.undo.noteReported(segments, right);
  return true;
}

function advance(sender: Sender, segment: Segment, acked: number, nowMicros: number): void {
  const { scoreboard, connection, recovery, queue } = sender;
  const rack = connection.sackEnabled && sender.config.rack ? recovery.rack : null;
  scoreboard.acknowledge(segment.acknowledgment, found, rack);
  sender.sndUna = segment.acknowledgment;
  sender.unaOffset += acked;
  sender.retries = 0;
  sender.stalledSinceMicros = scoreboard.count > 0 ? nowMicros : -1;
  const dataOffset = Math.min(sender.unaOffset, queue.endOffset);
  queue.release(dataOffset);
  sender.completion.push(dataOffset, scoreboard.ackedMark);
  if (!connection.sackEnabled) {
    recovery.removeDuplicates(found.ackedSegments, found);
    if (found.isRetransmissionAcked) found.isOriginalDelivered = false;
  }
  takeProbe(connection, nowMicros);
  connection.noteAcknowledged();
}

/**
 * RFC 6298 §3 and RFC 7323 §4.1. Returns whether the timer may start again though nothing was acknowledged: what was
 * measured was sent after the first segment outstanding.
 */
function takeRoundTrip(sender: Sender, segment: Segment, nowMicros: number): boolean {
  const { rtt, connection, scoreboard } = sender;
  sample.rttMicros = -1;
  let first = found.isRetransmissionAcked ? -1 : found.firstSentMicros;
  let last = found.isRetransmissionAcked ? -1 : found.lastSentMicros;
  if (found.firstSackedMicros >= 0) {
    last = found.lastSackedMicros;
    if (first < 0) first = found.firstSackedMicros;
  }
  if (first >= 0) {
    rtt.sample(nowMicros - first, nowMicros, nowMicros - last);
  } else {
    if (!found.isAdvance || found.echoEndMicros === Number.POSITIVE_INFINITY) return false;
    // The echo tells the copies of a segment apart.
    const ticks = (connection.timestamp(nowMicros) - segment.options.timestampEcho) | 0;
    rtt.sample(Math.max(ticks * TICK_MICROS, TICK_MICROS / 2), nowMicros);
  }
  // Controllers look for the least: that of what was sent last.
  sample.rttMicros = first >= 0 ? nowMicros - last : rtt.latestMicros;
  if (found.firstSackedMicros < 0 || scoreboard.count === 0) return false;
  return found.firstSackedMicros > scoreboard.sentMicros(scoreboard.first);
}

function noteReordering(sender: Sender): void {
  const { recovery, connection } = sender;
  if (!found.hasReordering || !connection.sackEnabled) return;
  // After a timeout what was sent again cannot be told well enough.
  if (recovery.state === 'loss' && !recovery.undo.isArmed) return;
  recovery.noteReordering(found.reorderedFrom);
}

function setTimers(sender: Sender, nowMicros: number): void {
  const { timers } = sender.connection;
  if (sender.scoreboard.count === 0) {
    timers.stop(TIMER_RETRANSMIT); // RFC 6298 §5.2
    timers.stop(TIMER_REORDER);
    timers.stop(TIMER_TAIL_LOSS);
    return;
  }
  sender.armRetransmit(nowMicros); // §5.3
  sender.scheduleProbe(nowMicros, true);
}

/** The window by proportional rate reduction, or by what the controller makes of it. */
function controlCongestion(sender: Sender, acked: number, lostSegments: number): void {
  const { congestion, recovery, scoreboard, connection, config } = sender;
  const mss = connection.segmentBytes;
  if (recovery.isReducing && !congestion.controlsRecovery) {
    recovery.reduce(found.deliveredSegments, lostSegments, acked > 0);
    return;
  }
  // Out of order counts only where that is usual.
  const isProgress = acked > 0 || (recovery.reordering > config.reorderingSegments && found.sackedSegments > 0);
  if (!congestion.controlsRecovery && !isProgress) return;
  sample.nowMicros = found.nowMicros;
  sample.state = recovery.state;
  sample.sndUna = sender.sndUna;
  sample.sndNxt = sender.sndNxt;
  // Without SACK, what duplicates stood for was delivered when they came.
  const countedBytes = connection.sackEnabled ? Number.POSITIVE_INFINITY : found.deliveredSegments * mss;
  sample.ackedBytes = isProgress ? Math.min(found.deliveredBytes, countedBytes) : 0;
  sample.deliveredBytes = found.deliveredBytes;
  sample.congestionMarkedBytes = sender.markedBytes;
  sample.inFlightBytes = scoreboard.pipeBytes(mss);
  sample.isCongestionLimited = sender.isCwndLimited;
  sample.totalDeliveredBytes = scoreboard.rate.deliveredBytes;
  sample.priorDeliveredBytes = found.priorDeliveredBytes;
  sample.isApplicationLimited = found.isApplicationLimited;
  sample.sentInFlightBytes = found.sentInFlightBytes;
  sample.lostSinceSentBytes = scoreboard.rate.lostBytes - found.priorLostBytes;
  congestion.onAck(sample);
}
