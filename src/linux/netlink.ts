import { ERRNO } from '../core/errno.ts';
import { DevmemError, errnoError } from '../core/errors.ts';
import { checked, type Libc } from './libc.ts';
import {
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  parseNetlinkMessages,
  parseVerdict,
  type NetlinkRequest,
} from './netlink-message.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const SOCKADDR_NL_BYTES = 12;
const MSG_TRUNC = 0x20;

export const NETLINK_ROUTE = 0;

const RECEIVE_BYTES = 65_536;
/** The kernel answers within the send; this only keeps a lost answer from blocking for ever. */
const ANSWER_TIMEOUT_SECONDS = 2;
/** Datagrams read for one answer, and dumps begun anew because the table changed meanwhile. */
const MAX_ANSWER_DATAGRAMS = 65_536;
const MAX_DUMP_ATTEMPTS = 8;

export interface NetlinkAnswer {
  /** 0, or the errno (positive) that the kernel refused with. */
  readonly errno: number;
  /** The kernel's own words about it; '' where it gave none. */
  readonly text: string;
  /** What it answered before the acknowledgement. */
  readonly messages: readonly { readonly type: number; readonly payload: Uint8Array }[];
}

/** A netlink socket on which one request at a time is asked and answered, synchronously. */
export class NetlinkSocket {
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #receive = new Uint8Array(RECEIVE_BYTES);
  readonly #sender = new Uint8Array(SOCKADDR_NL_BYTES);
  readonly #senderView = new DataView(this.#sender.buffer);
  readonly #senderBytes = new Uint32Array(1);
  #sequence = 0;
  #closed = false;

  /** @throws DevmemError with the errno of `socket` or `bind`. */
  constructor(libc: Libc, protocol: number) {
    this.#libc = libc;
    const fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    this.#fd = checked(libc, fd, 'socket', 'cannot open a netlink socket');
    const on = new Int32Array([1]);
    libc.setsockopt(this.#fd, SOL_NETLINK, NETLINK_EXT_ACK, on, 4);
    libc.setsockopt(this.#fd, SOL_NETLINK, NETLINK_CAP_ACK, on, 4);
    libc.setsockopt(this.#fd, SOL_SOCKET, SO_RCVTIMEO, new BigInt64Array([BigInt(ANSWER_TIMEOUT_SECONDS), 0n]), 16);
    const address = new Uint8Array(SOCKADDR_NL_BYTES);
    new DataView(address.buffer).setUint16(0, AF_NETLINK, true);
    if (libc.bind(this.#fd, address, SOCKADDR_NL_BYTES) < 0) {
      const errno = libc.errno();
      libc.close(this.#fd);
      throw failure(errno, 'bind', 'cannot bind a netlink socket');
    }
  }

  /**
   * Sends a request and waits for its acknowledgement (or the end of its dump). What the kernel refuses is an answer
   * with an errno, not an exception.
   * @throws DevmemError if sending or receiving itself fails, or the answer is not netlink.
   */
  request(request: NetlinkRequest): NetlinkAnswer {
    for (let attempt = 0; attempt < MAX_DUMP_ATTEMPTS; attempt++) {
      const answer = this.#ask(request);
      if (answer !== null) return answer;
    }
    throw new DevmemError('EBUSY', 'a netlink table kept changing while it was being read', {
      hint: 'try again when the network configuration is at rest',
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#libc.close(this.#fd);
  }

  /** Null: a dump that was overtaken by a change; ask again. */
  #ask(request: NetlinkRequest): NetlinkAnswer | null {
    const libc = this.#libc;
    const sequence = ++this.#sequence;
    const bytes = request.finish(sequence);
    checked(libc, libc.sendto(this.#fd, bytes, bytes.length, 0, null, 0), 'sendto', 'cannot ask over netlink');
    const isDump = (request.flags & NLM_F_DUMP) === NLM_F_DUMP && (request.flags & NLM_F_ACK) === 0;
    const messages: { type: number; payload: Uint8Array }[] = [];
    let interrupted = false;
    for (let datagram = 0; datagram < MAX_ANSWER_DATAGRAMS; datagram++) {
      const length = this.#receiveDatagram();
      const parsed = parseNetlinkMessages(this.#receive, length);
      if (parsed === null) throw malformed();
      for (const message of parsed) {
        if (message.sequence !== sequence) continue;
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) interrupted = true;
        if (message.type === NLMSG_ERROR || (message.type === NLMSG_DONE && isDump)) {
          const verdict = parseVerdict(this.#receive, message);
          if (verdict === null) throw malformed();
          return interrupted ? null : { errno: verdict.errno, text: verdict.text, messages };
        }
        const end = message.payloadOffset + message.payloadBytes;
        messages.push({ type: message.type, payload: this.#receive.slice(message.payloadOffset, end) });
      }
    }
    throw malformed();
  }

  #receiveDatagram(): number {
    for (;;) {
      this.#senderBytes[0] = SOCKADDR_NL_BYTES;
      const libc = this.#libc;
      const length = libc.recvfrom(this.#fd, this.#receive, RECEIVE_BYTES, MSG_TRUNC, this.#sender, this.#senderBytes);
      if (length < 0) {
        const errno = libc.errno();
        if (errno === ERRNO.EINTR) continue;
        throw failure(errno, 'recvfrom', 'no answer over netlink');
      }
      // Any process may send to a netlink socket; only port 0 is the kernel.
      if (this.#senderView.getUint32(4, true) !== 0) continue;
      if (length > RECEIVE_BYTES) throw malformed();
      return length;
    }
  }
}

function failure(errno: number, syscall: string, where: string): DevmemError {
  return errno === ERRNO.EAGAIN
    ? new DevmemError('ETIMEDOUT', where, { syscall })
    : errnoError(errno, where, { syscall });
}

function malformed(): DevmemError {
  return new DevmemError('EPROTO', 'the answer over netlink is malformed');
}
