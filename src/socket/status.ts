import { ERRNO } from '../core/errno.ts';
import type { TcpConnection } from '../stack/tcp/connection.ts';

/** What both directions of a socket look at: the connection, and what this end has done with it. */
export class SocketStatus {
  readonly connection: TcpConnection;
  /** The application has closed or aborted: no call does anything any more. */
  closed = false;
  /** The application has ended sending. */
  sendEnded = false;
  #receiveErrorReported = false;
  #sendErrorReported = false;

  constructor(connection: TcpConnection) {
    this.connection = connection;
  }

  /**
   * What `recvmsg` answers when nothing is queued, in the order of tcp_recvmsg_locked. The connection's error comes once
   * (the kernel's sk_err), then 0; but once for each direction, for a reader that is never told of the reset because a
   * writer was would take a part of the stream for the whole.
   */
  receiveVerdict(): number {
    if (this.closed) return -ERRNO.EBADF;
    const { connection } = this;
    if (connection.errno !== 0 && !this.#receiveErrorReported) {
      this.#receiveErrorReported = true;
      return -connection.errno;
    }
    return connection.finReceived || connection.errno !== 0 || connection.state === 'CLOSED' ? 0 : -ERRNO.EAGAIN;
  }

  /** 0, or what `sendmsg` answers instead of sending. */
  sendVerdict(): number {
    if (this.closed) return -ERRNO.EBADF;
    const { connection } = this;
    if (connection.errno !== 0 && !this.#sendErrorReported) {
      this.#sendErrorReported = true;
      return -connection.errno;
    }
    return this.sendEnded || connection.errno !== 0 || connection.state === 'CLOSED' ? -ERRNO.EPIPE : 0;
  }
}
