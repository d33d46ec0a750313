import type { Network } from './network.ts';

type Reader = (network: Network) => number;

/** A counter of the TCP by name; 0 if it has none of that name (yet). */
function tcp(...names: string[]): Reader {
  return ({ stack }) => {
    const counters = stack.tcp.counters as unknown as Readonly<Record<string, number | undefined>>;
    return names.reduce((sum, name) => sum + (counters[name] ?? 0), 0);
  };
}

/** What `nstat` calls them, and what they are here. */
const READERS: Readonly<Record<string, Reader>> = {
  TcpExtOutOfWindowIcmps: tcp('icmpIgnored'),
  TcpExtBeyondWindow: tcp('dropBeyondWindow'),
  TcpExtTCPRcvQDrop: tcp('dropReceiveQueue'),
  TcpExtTCPZeroWindowDrop: tcp('dropZeroWindow'),
  TcpExtTCPTimeouts: tcp('timeouts'),
  TcpExtTCPChallengeACK: tcp('challengeAcks'),
  TcpExtTCPFastRetrans: tcp('fastRetransmits'),
  TcpExtPAWSEstab: tcp('dropPaws'),
  TcpExtTCPLossProbes: tcp('lossProbes'),
  TcpExtTCPDSACKRecv: tcp('duplicatesReported'),
  TcpExtTCPDSACKOldSent: tcp('duplicateSacksOut'),
  TcpExtSyncookiesSent: tcp('synCookiesSent'),
  TcpExtSyncookiesRecv: tcp('synCookiesAccepted'),
  TcpExtSyncookiesFailed: tcp('synCookiesRejected'),
  TcpRetransSegs: tcp('retransmittedSegments'),
};

/** The kernel's counters of a host, each from when it was last reset. */
export class KernelCounters {
  readonly #network: Network;
  readonly #base = new Map<string, number>();

  constructor(network: Network) {
    this.#network = network;
  }

  /** Null for a name that is unknown. */
  read(name: string): number | null {
    const reader = READERS[name];
    return reader === undefined ? null : reader(this.#network) - (this.#base.get(name) ?? 0);
  }

  reset(): void {
    for (const [name, reader] of Object.entries(READERS)) this.#base.set(name, reader(this.#network));
  }
}
