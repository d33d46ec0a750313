import { NEVER } from '../src/core/clock.ts';
import { SeededRandom } from '../src/core/random.ts';
import { Nic } from '../src/nic/nic.ts';
import { Stack, type StackOptions } from '../src/stack/stack.ts';
import { parsePrefix } from '../src/wire/address.ts';
import { ARP_REQUEST } from '../src/wire/arp.ts';
import { describeFrame } from '../src/wire/describe.ts';
import { formatMac } from '../src/wire/mac.ts';
import { FrameLink } from './frame-link.ts';
import { LOCAL_MAC } from './frames.ts';
import { arpFrame, LOCAL4, LOCAL6, solicitationFrame } from './ip-frames.ts';

export interface StackHostOptions extends Partial<Omit<StackOptions, 'nic' | 'random'>> {
  /** With prefix length; default 10.0.0.2/24 and fd00::2/64. */
  addresses?: readonly string[];
  mtuBytes?: number;
  seed?: number;
}

/**
 * One stack on a link whose frames the test writes and reads: conversations by hand, in virtual time. Duplicate
 * detection is off unless asked for.
 */
export class StackHost {
  readonly link: FrameLink;
  readonly nic: Nic;
  readonly stack: Stack;
  nowMicros = 1_000_000;

  constructor(options: StackHostOptions = {}) {
    const { addresses, mtuBytes, seed, ...stackOptions } = options;
    const random = new SeededRandom(seed ?? 1);
    this.link = new FrameLink({ mtuBytes: mtuBytes ?? 1500 });
    this.nic = new Nic({ link: this.link, macAddress: LOCAL_MAC, random, hostPoolBytes: 1024 * 1024 });
    this.stack = new Stack({ duplicateDetection: 'off', ...stackOptions, nic: this.nic, random });
    for (const text of addresses ?? [`${LOCAL4}/24`, `${LOCAL6}/64`]) {
      this.stack.addAddress(parsePrefix(text)!, this.nowMicros);
    }
  }

  /** Delivers a frame now. */
  receive(...frames: Uint8Array[]): this {
    for (const bytes of frames) this.link.incoming.push({ bytes });
    while (this.stack.handle(this.nowMicros) > 0);
    return this;
  }

  /** Lets time pass, serving everything that falls due at its own time. */
  advance(micros: number): this {
    const endMicros = this.nowMicros + micros;
    for (;;) {
      while (this.stack.handle(this.nowMicros) > 0);
      const nextMicros = this.stack.pollAt();
      if (nextMicros === NEVER || nextMicros > endMicros) break;
      if (nextMicros <= this.nowMicros) throw new Error(`a timer due at ${nextMicros} is not served`);
      this.nowMicros = nextMicros;
    }
    this.nowMicros = endMicros;
    return this;
  }

  /** The frames sent since the last call. */
  take(): Uint8Array[] {
    return this.link.sent.splice(0).map((frame) => frame.bytes);
  }

  /** The same, one line each: `to MAC: what`. */
  sent(): string[] {
    return this.take().map((bytes) => `to ${formatMac(bytes)}: ${describeFrame(bytes)}`);
  }
}

/** A host of one family that knows its peer, so that answers go out at once. */
export function acquainted(family: 4 | 6, options: StackHostOptions = {}): StackHost {
  const isIpv4 = family === 4;
  const host = new StackHost({ addresses: [isIpv4 ? `${LOCAL4}/24` : `${LOCAL6}/64`], ...options });
  host.receive(isIpv4 ? arpFrame({ operation: ARP_REQUEST, target: LOCAL4 }) : solicitationFrame(LOCAL6));
  host.take();
  return host;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
