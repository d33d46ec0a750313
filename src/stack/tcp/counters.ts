/** What the TCP has done since it was made. Every dropped segment is in exactly one `drop...` counter. */
export class TcpCounters {
  segmentsIn = 0;
  segmentsOut = 0;
  bytesIn = 0;
  bytesOut = 0;
  activeOpens = 0;
  passiveOpens = 0;
  attemptFails = 0;
  establishedResets = 0;
  resetsOut = 0;
  retransmittedSegments = 0;
  retransmittedBytes = 0;
  fastRecoveries = 0;
  timeouts = 0;
  /** Timeouts that timestamps, DSACK or F-RTO (RFC 5682) have shown to be mistakes. */
  spuriousTimeouts = 0;
  tailLossProbes = 0;
  spuriousDuplicates = 0;
  windowProbes = 0;
  keepaliveProbes = 0;
  delayedAcks = 0;
  pureAcksOut = 0;
  windowUpdates = 0;
  zeroWindowsOffered = 0;
  outOfOrderSegments = 0;
  /** Small payload moved to a page of its connection's own: see PackingPage. */
  packedBytes = 0;
  challengeAcks = 0;
  challengeAcksSuppressed = 0;
  synCookiesSent = 0;
  synCookiesReceived = 0;
  /** Acknowledgments, while cookies were out, that were none. */
  synCookiesFailed = 0;
  /** Fast Open as a client: data in a SYN that was acknowledged with it, and that was not. */
  fastOpenActive = 0;
  fastOpenActiveFailed = 0;
  /** Times that Fast Open was given up for a while because what follows it seems to be swallowed. */
  fastOpenBlackHoles = 0;
  /** Fast Open as a server: connections begun by it, SYNs whose cookie was none, that asked for one, over the limit. */
  fastOpenPassive = 0;
  fastOpenPassiveFailed = 0;
  fastOpenCookieRequests = 0;
  fastOpenOverflows = 0;
  timeWaitReused = 0;
  timeWaitEvicted = 0;
  pathMtuReductions = 0;
  /** Probes of the path's MTU sent, those that arrived, and paths that swallowed large packets. */
  pathProbes = 0;
  pathProbesArrived = 0;
  pathBlackHoles = 0;
  /** Segments with the urgent flag: their data is data like any other. */
  urgentSegments = 0;
  /** AccECN options of a length that RFC 9768 does not know; what counters they hold are used. */
  oddAccurateEcnOptions = 0;
  /** Connections reset because too many were closed and not over. */
  orphansReset = 0;
  icmpIgnored = 0;
  transmitBlocked = 0;
  transmitErrors = 0;

  /** Options that are cut off or longer than the header. */
  dropMalformedOptions = 0;
  /** Port 0, or sent to a multicast or broadcast address. */
  dropBadAddress = 0;
  /** Signed (RFC 2385, RFC 5925) though no key was agreed on. */
  dropSigned = 0;
  /** No connection and no listener: answered with a reset, within its rate. */
  dropNoConnection = 0;
  dropResetSuppressed = 0;
  /** A SYN when the listener's half-open or accept queue was full. */
  dropSynQueueFull = 0;
  dropAcceptQueueFull = 0;
  dropConnectionLimit = 0;
  /** An acknowledgment, SYN or RST that does not fit the handshake under way. */
  dropBadHandshake = 0;
  /** RFC 7323 §5: the timestamp is older than the last one. */
  dropPaws = 0;
  /** All of it received before (RFC 9293 §3.10.7.4, first step). */
  dropDuplicate = 0;
  /** Behind the window's right edge. */
  dropBeyondWindow = 0;
  /** RFC 5961 §3.2: a reset inside the window that does not hit it exactly. */
  dropBlindReset = 0;
  /** RFC 5961 §4.2: a SYN on a synchronised connection. */
  dropUnexpectedSyn = 0;
  /** RFC 5961 §5.2: an acknowledgment of what was never sent, or of long ago. */
  dropBadAck = 0;
  dropNoAck = 0;
  /** Payload after the peer's own FIN. */
  dropAfterFin = 0;
  /** Payload for an application that has closed: answered with a reset. */
  dropAfterClose = 0;
  /** Out of order when the reassembly store was full. */
  dropReassemblyFull = 0;
  /** A segment mostly received before, when the memory has no room for what its landing would waste. */
  dropWasteful = 0;
  /** RFC 1337: a reset in TIME-WAIT. */
  dropTimeWaitReset = 0;
}
