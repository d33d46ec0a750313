import type { TcpLayer } from '../src/stack/tcp/layer.ts';
import { IpAddress } from '../src/wire/address.ts';
import { emitTcp, TCP_HEADER_BYTES, TCP_SYN } from '../src/wire/tcp.ts';
import { emitSynOptions } from '../src/wire/tcp-options.ts';
import type { FakeIp, FakeLanding } from './fake-ip.ts';

const HOSTS = 64;
const NOTHING = new Uint8Array(0);

/** What a flood falls upon: one TCP layer and how segments reach it. */
export interface FloodTarget {
  readonly layer: TcpLayer;
  readonly ip: FakeIp;
  readonly landing: FakeLanding;
}

/** An attacker who sends a million segments: nothing is logged or kept of them. */
export class SegmentFlood {
  /** Addresses that the attacker pretends to have. */
  readonly hosts: readonly IpAddress[] = Array.from({ length: HOSTS }, (_, i) => IpAddress.parse(`10.9.0.${i + 1}`)!);
  sent = 0;
  readonly #target: FloodTarget;
  readonly #header = new Uint8Array(60);
  readonly #view = new DataView(this.#header.buffer);
  readonly #plain: Uint8Array = this.#header.subarray(0, TCP_HEADER_BYTES);
  readonly #syn: Uint8Array;

  constructor(target: FloodTarget) {
    this.#target = target;
    const optionBytes = emitSynOptions(this.#header, this.#view, TCP_HEADER_BYTES, 1460, 7, true, true, 1, 0, -1);
    this.#syn = this.#header.subarray(0, TCP_HEADER_BYTES + optionBytes);
  }

  /** Hands one segment in. A SYN has the options that Linux sends. */
  send(
    from: IpAddress,
    port: number,
    toPort: number,
    flags: number,
    sequence: number,
    acknowledgment: number,
    nowMicros: number,
    payload: Uint8Array = NOTHING,
  ): void {
    const { landing, layer, ip } = this.#target;
    const header = (flags & TCP_SYN) !== 0 ? this.#syn : this.#plain;
    emitTcp(this.#view, 0, port, toPort, sequence, acknowledgment, header.length, flags, 65_535, 0);
    this.sent++;
    const packet = landing.packet(header, payload, 4, from, ip.address);
    if (packet === null) return;
    layer.input(packet, nowMicros);
    landing.recycle(packet);
  }
}
