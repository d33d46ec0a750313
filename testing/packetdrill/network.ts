import { NEVER } from '../../src/core/clock.ts';
import { SeededRandom } from '../../src/core/random.ts';
import { MiB } from '../../src/core/units.ts';
import { GSO_NONE, GSO_TCPV4, GSO_TCPV6 } from '../../src/link/link.ts';
import { Nic } from '../../src/nic/nic.ts';
import { Stack } from '../../src/stack/stack.ts';
import type { TcpConfig } from '../../src/stack/tcp/config.ts';
import { IpAddress, parsePrefix } from '../../src/wire/address.ts';
import { ARP_REPLY, ARP_REQUEST, arpOperation, arpTargetWord } from '../../src/wire/arp.ts';
import { ETHERNET_HEADER_BYTES, ETHERTYPE_ARP, ETHERTYPE_IPV6, etherType } from '../../src/wire/ethernet.ts';
import { ICMPV6_NEIGHBOR_SOLICITATION } from '../../src/wire/icmpv6.ts';
import { IPV6_HEADER_BYTES, ipv6NextHeader } from '../../src/wire/ipv6.ts';
import { NA_OVERRIDE, NA_SOLICITED, ndpTarget } from '../../src/wire/ndp.ts';
import { PROTOCOL_ICMPV6 } from '../../src/wire/protocols.ts';
import { FrameLink, type SeenFrame } from '../frame-link.ts';
import { LOCAL_MAC, PEER_MAC } from '../frames.ts';
import { advertisementFrame, arpFrame } from '../ip-frames.ts';
import { readSegments, type SeenSegment } from './seen-segment.ts';

/** Where the script's time 0 lies on the stack's clock. */
export const START_MICROS = 1_000_000;
const HOST_POOL_BYTES: number = 16 * MiB;
const L3 = ETHERNET_HEADER_BYTES;

export interface NetworkOptions {
  config: Partial<TcpConfig>;
  mtuBytes: number;
  /** Our address and the script's. */
  local: IpAddress;
  remote: IpAddress;
  seed: number;
}

/** A whole host in virtual time whose link leads to the script. Whatever it asks for on the link is answered at once. */
export class Network {
  readonly link: FrameLink;
  readonly nic: Nic;
  readonly stack: Stack;
  readonly local: IpAddress;
  readonly remote: IpAddress;
  nowMicros: number = START_MICROS;
  /** Segments sent, oldest first; what the script has looked at is taken out. */
  readonly sent: SeenSegment[] = [];
  /** Told of each segment when it is sent. */
  onSent: (segment: SeenSegment) => void = () => {};

  constructor(options: NetworkOptions) {
    const { local, remote, config, mtuBytes } = options;
    this.local = local;
    this.remote = remote;
    const random = new SeededRandom(options.seed);
    this.link = new FrameLink({ mtuBytes, offloads: { checksum: false, tcpSegmentation: true } });
    const bufferBytes = Math.max(config.receiveBufferBytes ?? 0, HOST_POOL_BYTES);
    this.nic = new Nic({ link: this.link, macAddress: LOCAL_MAC, random, hostPoolBytes: 6 * bufferBytes });
    this.stack = new Stack({ nic: this.nic, random, duplicateDetection: 'off', tcp: config });
    const isIpv4 = local.family === 4;
    this.stack.addAddress(parsePrefix(`${local.toString()}/${isIpv4 ? 16 : 48}`)!, this.nowMicros);
    this.stack.addRoute(parsePrefix(isIpv4 ? '0.0.0.0/0' : '::/0')!, null);
    this.settle();
  }

  /** Does all that is to be done now. */
  settle(): void {
    do {
      while (this.stack.handle(this.nowMicros) > 0) this.#collect();
      this.#collect();
    } while (this.link.incoming.length > 0);
  }

  /** When something happens if the script does nothing; NEVER if nothing does. */
  pollAt(): number {
    return this.stack.pollAt();
  }

  /** Lets time pass up to `micros`, serving at its own time whatever falls due first. False: nothing fell due. */
  step(micros: number): boolean {
    const next = this.pollAt();
    if (next === NEVER || next > micros) {
      this.nowMicros = Math.max(this.nowMicros, micros);
      return false;
    }
    this.nowMicros = Math.max(this.nowMicros, next);
    this.settle();
    return true;
  }

  /**
   * Delivers a frame now.
   * @param gsoSizeBytes payload of the wire segments that the frame stands for; 0: it is one.
   */
  deliver(bytes: Uint8Array, gsoSizeBytes = 0): void {
    const gsoType = gsoSizeBytes === 0 ? GSO_NONE : this.local.family === 4 ? GSO_TCPV4 : GSO_TCPV6;
    this.link.incoming.push({ bytes, gsoSizeBytes, gsoType });
    this.settle();
  }

  #collect(): void {
    for (const frame of this.link.sent.splice(0)) {
      for (const segment of readSegments(frame.bytes, frame.gsoSizeBytes, this.nowMicros)) {
        this.sent.push(segment);
        this.onSent(segment);
      }
      this.#resolve(frame);
    }
  }

  /** Answers ARP requests and neighbour solicitations: everybody is at the other end of the link. */
  #resolve(frame: SeenFrame): void {
    const { bytes } = frame;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const type = etherType(view, 0);
    if (type === ETHERTYPE_ARP && arpOperation(view, L3) === ARP_REQUEST) {
      const sender = IpAddress.fromWord4(arpTargetWord(view, L3)).toString();
      const target = this.local.toString();
      this.link.incoming.push({ bytes: arpFrame({ operation: ARP_REPLY, sender, target, targetMac: LOCAL_MAC }) });
    } else if (type === ETHERTYPE_IPV6 && ipv6NextHeader(view, L3) === PROTOCOL_ICMPV6) {
      const message = L3 + IPV6_HEADER_BYTES;
      if (view.getUint8(message) !== ICMPV6_NEIGHBOR_SOLICITATION) return;
      const target = ndpTarget(view, message).toString();
      const fields = { destination: this.local.toString(), mac: PEER_MAC };
      this.link.incoming.push({ bytes: advertisementFrame(target, NA_SOLICITED | NA_OVERRIDE, fields) });
    }
  }
}
