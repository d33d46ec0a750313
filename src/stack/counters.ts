/**
 * What the network layer has done. Every packet that came from the NIC is in exactly one of `rxDelivered...`,
 * `rxAnswered...`, `rxConsumed...` and `rxDrop...`: `classifiedPackets` is their sum.
 */
export class IpCounters {
  rxPackets = 0;
  rxDeliveredTcp = 0;
  /** ARP, neighbour discovery, echo replies and ICMP errors, read and done with. */
  rxConsumedArp = 0;
  rxConsumedNd = 0;
  rxConsumedIcmp = 0;
  /** Echo requests. */
  rxAnsweredEcho = 0;

  /** Neither ARP nor IP. */
  rxDropEtherType = 0;
  /** A header, option or message whose lengths or fixed fields are wrong. */
  rxDropMalformed = 0;
  /** Not to an address of ours (or to one that is still tentative), nor to a group we joined. */
  rxDropDestination = 0;
  /** A source that no packet may have: multicast, broadcast, loopback, unspecified, or an address of ours. */
  rxDropSource = 0;
  /** IP fragments: received ones are refused, see ipv4.ts. */
  rxDropFragment = 0;
  /** IPv4 source route option (RFC 7126 §4.3, §4.4). */
  rxDropSourceRoute = 0;
  /** IPv6 routing header with segments left (RFC 8200 §4.4, RFC 5095). */
  rxDropRoutingHeader = 0;
  /** An IPv6 option that asks to be dropped where it is not known (RFC 8200 §4.2). */
  rxDropOption = 0;
  /** A transport protocol that nobody here speaks. */
  rxDropProtocol = 0;
  /** No UDP port is open: UDP is only here to be refused. */
  rxDropPort = 0;
  /** A transport segment to a broadcast or multicast address. */
  rxDropMulticast = 0;
  rxDropIcmpChecksum = 0;
  /** An ICMP message of a kind that is not for hosts, or that quotes a packet we never sent. */
  rxDropIcmpType = 0;
  /** Hop limit not 255, wrong source or target: RFC 4861 §6.1, §7.1. */
  rxDropNdInvalid = 0;
  /** Router advertisements while they are not accepted. */
  rxDropRouterAdvertisement = 0;

  arpConflicts = 0;
  /** Announcements in defence of an address (RFC 5227 §2.4). */
  arpDefences = 0;
  dadStarted = 0;
  /** Advertisements of others for an IPv6 address that passed its detection. */
  ndConflicts = 0;
  /** Addresses given up because somebody else has them. */
  dadConflicts = 0;

  neighborSolicitations = 0;
  neighborFailures = 0;
  neighborEvictions = 0;
  /** Resolutions refused because MAX_INCOMPLETE of them were under way. */
  neighborTableFull = 0;

  txPackets = 0;
  txEchoReplies = 0;
  txIcmpErrors = 0;
  /** Replies to echo requests longer than a header slot, whose remainder could not be lent to the link. */
  txDropEchoBusy = 0;
  /** Errors not sent because the token bucket was empty (RFC 4443 §2.4 f). */
  txIcmpRateLimited = 0;
  /** Errors that RFC 1122 §3.2.2 and RFC 4443 §2.4 e forbid. */
  txIcmpForbidden = 0;
  /** Our own small messages (ARP, ND, ICMP): the link was full. They are retried or were never promised. */
  txDropLinkFull = 0;
  /** Messages that waited for a neighbour in vain, or found the waiting room full. */
  txDropUnresolved = 0;
  /** No route to the destination of a reply. */
  txDropNoRoute = 0;
  txErrors = 0;

  /** ICMP messages upon which a transport lowered a path MTU, or found it low already. */
  pathMtuLowered = 0;
}

/** The packets that are in one of the classes: `rxPackets`, unless something was forgotten or counted twice. */
export function classifiedPackets(counters: IpCounters): number {
  let sum = 0;
  for (const [name, count] of Object.entries(counters) as [string, number][]) {
    if (/^rx(?:Delivered|Answered|Consumed|Drop)/.test(name)) sum += count;
  }
  return sum;
}
