import type { ScriptSocket } from './sockets.ts';

/** An end of a pipe: only how many bytes lie in it matters. */
export interface Pipe {
  bytes: number;
}

export interface OpenFile {
  sizeBytes: number;
  offset: number;
}

/** What an epoll instance watches. */
export interface Watch {
  socket: ScriptSocket;
  events: number;
  /** What `epoll_wait` answers beside the events: `fd`, `u32`, `u64` or `ptr`. */
  data: number;
  /** EPOLLONESHOT has fired. */
  isDisabled: boolean;
  /** EPOLLET: the socket's activity when it was last reported. */
  seenActivity: number;
}

export type Descriptor =
  | { kind: 'socket'; socket: ScriptSocket }
  | { kind: 'pipe'; pipe: Pipe }
  | { kind: 'file'; file: OpenFile }
  | { kind: 'epoll'; watches: Map<number, Watch> };

const EPOLLERR = 0x008;
const EPOLLHUP = 0x010;
const EPOLLONESHOT = 0x40000000;
const EPOLLET = 0x80000000;

/** The next event of an epoll instance, or null. */
export function nextEvent(watches: ReadonlyMap<number, Watch>): { events: number; data: number } | null {
  for (const watch of watches.values()) {
    if (watch.isDisabled) continue;
    watch.socket.poll();
    const ready = watch.socket.events & (watch.events | EPOLLERR | EPOLLHUP);
    if (ready === 0) continue;
    if ((watch.events & EPOLLET) !== 0 && watch.seenActivity === watch.socket.activity) continue;
    watch.seenActivity = watch.socket.activity;
    if ((watch.events & EPOLLONESHOT) !== 0) watch.isDisabled = true;
    return { events: ready, data: watch.data };
  }
  return null;
}
