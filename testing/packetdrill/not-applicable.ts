/**
 * Linux's scripts that ask for something which is Linux's own and not TCP's: what that is. A script whose TCP behaves
 * otherwise than ours is not for this list; it fails.
 */
export const NOT_APPLICABLE: ReadonlyMap<string, string> = new Map([
  [
    'tcp_rcv_wnd_shrink_allowed.pkt',
    'asks for net.ipv4.tcp_shrink_window=1, a knob that takes back what a window has offered; RFC 9293 §3.8.6 advises ' +
      'against it, and here windows never shrink',
  ],
  [
    'tcp_splice_tcp_splice_loop_test.pkt',
    'expects that the byte which the urgent pointer marks is taken out of the stream; RFC 6093 §4 would have it stay, ' +
      'and here it does, as with SO_OOBINLINE in Linux',
  ],
  [
    'tcp_zerocopy_maxfrags.pkt',
    'a segment is cut where a buffer of Linux has no room for another page: 17 of them, each with one byte; the ' +
      'transmit queue here has no such limit',
  ],
]);
