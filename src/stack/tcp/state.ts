/** The states of RFC 9293 §3.3.2, by its names. */
export type TcpState =
  | 'CLOSED'
  | 'LISTEN'
  | 'SYN-SENT'
  | 'SYN-RECEIVED'
  | 'ESTABLISHED'
  | 'FIN-WAIT-1'
  | 'FIN-WAIT-2'
  | 'CLOSE-WAIT'
  | 'CLOSING'
  | 'LAST-ACK'
  | 'TIME-WAIT';

/** The handshake is done; all later events of the connection come after this one. */
export const EVENT_CONNECTED = 1;
/** Data, the end of the stream or an error can be read. */
export const EVENT_READABLE = 2;
/** There is send space again after `send` had taken less than it was given. */
export const EVENT_WRITABLE = 4;
/** `completedOffset` has moved, or the FIN is acknowledged. */
export const EVENT_ACKED = 8;
/** Nothing will be sent or received any more (TIME-WAIT counts as that). */
export const EVENT_CLOSED = 16;
/** The connection has failed: see `errno`. */
export const EVENT_ERROR = 32;

/** What Linux's enum tcp_states calls them (include/net/tcp_states.h), for `tcpi_state`. */
export const LINUX_STATE: Readonly<Record<TcpState, number>> = {
  ESTABLISHED: 1,
  'SYN-SENT': 2,
  'SYN-RECEIVED': 3,
  'FIN-WAIT-1': 4,
  'FIN-WAIT-2': 5,
  'TIME-WAIT': 6,
  CLOSED: 7,
  'CLOSE-WAIT': 8,
  'LAST-ACK': 9,
  LISTEN: 10,
  CLOSING: 11,
};

/** States in which both sequence numbers are agreed and the connection exchanges segments (RFC 9293 §3.5.2 group 3). */
export function isSynchronized(state: TcpState): boolean {
  return state !== 'CLOSED' && state !== 'LISTEN' && state !== 'SYN-SENT' && state !== 'SYN-RECEIVED';
}

/** States in which the peer has not sent its FIN yet, so payload may arrive. */
export function canReceive(state: TcpState): boolean {
  return state === 'ESTABLISHED' || state === 'FIN-WAIT-1' || state === 'FIN-WAIT-2';
}

/** States in which queued data and the FIN may be sent or sent again. */
export function canTransmit(state: TcpState): boolean {
  switch (state) {
    case 'ESTABLISHED':
    case 'CLOSE-WAIT':
    case 'FIN-WAIT-1':
    case 'CLOSING':
    case 'LAST-ACK':
      return true;
    default:
      return false;
  }
}
