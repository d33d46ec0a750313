import type { Packet } from '../nic/packet.ts';
import type { NetDevice } from './device.ts';

/** Who takes the packets: the network layer. The packet is the NIC's again when this returns. */
export interface PacketSink {
  input(packet: Packet, nowMicros: number): void;
}

/**
 * Drives a NIC as a network driver's poll function does: takes what has arrived, up to a budget, and gives every
 * packet's slot back when the stack has seen it. The NIC refills its landing pages itself.
 */
export class Driver {
  readonly #nic: NetDevice;
  readonly #sink: PacketSink;

  constructor(nic: NetDevice, sink: PacketSink) {
    this.#nic = nic;
    this.#sink = sink;
  }

  /**
   * @param budget the most frames to take.
   * @returns how many it took, dropped ones included: less than the budget means that none is left.
   */
  poll(budget: number, nowMicros: number): number {
    const nic = this.#nic;
    let taken = 0;
    while (taken < budget) {
      const verdict = nic.receive();
      if (verdict === 0) break;
      taken++;
      if (verdict < 0) continue;
      this.#sink.input(nic.packet, nowMicros);
      nic.recycle();
    }
    return taken;
  }
}
