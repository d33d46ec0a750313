import type { Host } from '../socket/host-api.ts';
import { ownAddresses, type LinkOptions } from './link-options.ts';

/** The host that the link options of `recv` and `send` describe, with at least `queues` receive queues (one stays unbound). Loads the engine. */
export async function openLinkHost(link: string, options: LinkOptions, queues: number): Promise<Host> {
  const { openHost } = await import('../host.ts');
  return openHost({
    link,
    addresses: ownAddresses(options),
    peerAddresses: options.peerAddress ?? [],
    queues: Math.max(2, queues),
    ...(options.mtu === undefined ? {} : { mtuBytes: options.mtu }),
    ...(options.congestion === undefined ? {} : { tcp: { congestion: options.congestion } }),
    ...(options.offload ? {} : { offloads: { checksum: false, tcpSegmentation: false } }),
  });
}
