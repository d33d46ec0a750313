/** recvmsg: leave the data queued. On device memory each peek mints tokens of its own, all to be returned. */
export const MSG_PEEK = 0x2;
/** recvmsg: discard the data, whichever memory it lies in; no tokens are minted. */
export const MSG_TRUNC = 0x20;
/** recvmsg: device memory is welcome. Without it, such data answers EFAULT and stays queued. */
export const MSG_SOCK_DEVMEM = 0x200_0000;
/** sendmsg: send in place and report completion; what device memory needs. */
export const MSG_ZEROCOPY = 0x400_0000;
/** sendmsg: more follows at once; a segment that is not full waits for it, for 200 ms at most. */
export const MSG_MORE = 0x8000;
/** sendmsg: a record ends here; what follows does not share a segment with it. */
export const MSG_EOR = 0x80;
