import { channel, type Channel } from 'node:diagnostics_channel';

/**
 * Every diagnostics channel of the package, in one place. Publishers ask `hasSubscribers` first, so an unobserved run
 * builds no message.
 */
export const channels: {
  /** `{ connection, from, to }` at every TCP state change. */
  readonly tcpState: Channel;
  /** `{ layer, reason }` for every dropped packet. */
  readonly drop: Channel;
  /** `{ socket }` when a connection is established. */
  readonly socketConnected: Channel;
  /** `{ pool, freeChunks }` when a page pool has run out. */
  readonly poolEmpty: Channel;
} = {
  tcpState: channel('devmem-tcp:tcp:state'),
  drop: channel('devmem-tcp:drop'),
  socketConnected: channel('devmem-tcp:socket:connected'),
  poolEmpty: channel('devmem-tcp:pool:empty'),
};
