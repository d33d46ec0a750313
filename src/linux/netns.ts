import { closeSync, openSync } from 'node:fs';

import { ERRNO } from '../core/errno.ts';
import { DevmemError, errnoError } from '../core/errors.ts';
import type { Libc } from './libc.ts';

const CLONE_NEWNET = 0x4000_0000;
const NAMED_NAMESPACES = '/run/netns';

/**
 * Runs `body` with this thread in another network namespace, and comes back. What `body` opens (sockets, TAP devices)
 * stays in that namespace. `body` is synchronous: nothing else of the program runs in between.
 *
 * @param namespace a name as `ip netns` lists them, or the path of a namespace file (`/proc/PID/ns/net`).
 * @throws DevmemError ENOENT for a namespace that is not there, EPERM without CAP_SYS_ADMIN.
 */
export function inNetworkNamespace<T>(libc: Libc, namespace: string, body: () => T): T {
  const path = namespace.includes('/') ? namespace : `${NAMED_NAMESPACES}/${namespace}`;
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    enter(libc, path, namespace);
    let result: T;
    try {
      result = body();
    } catch (error) {
      leave(libc, home);
      throw error;
    }
    leave(libc, home);
    return result;
  } finally {
    closeSync(home);
  }
}

/** A program that goes on in the wrong namespace does harm, so a failure here outweighs whatever else happened. */
function leave(libc: Libc, home: number): void {
  if (libc.setns(home, CLONE_NEWNET) >= 0) return;
  throw errnoError(libc.errno(), 'cannot return to the network namespace of the process', { syscall: 'setns' });
}

function enter(libc: Libc, path: string, namespace: string): void {
  let target: number;
  try {
    target = openSync(path, 'r');
  } catch (cause) {
    throw new DevmemError('ENOENT', `no network namespace ${namespace} (looked for ${path})`, {
      hint: `\`ip netns list\` shows what there is; \`ip netns add ${namespace}\` makes it`,
      cause,
    });
  }
  const result = libc.setns(target, CLONE_NEWNET);
  const errno = result < 0 ? libc.errno() : 0;
  closeSync(target);
  if (errno === 0) return;
  const hint = errno === ERRNO.EPERM ? 'entering a network namespace needs CAP_SYS_ADMIN: run as root' : undefined;
  throw errnoError(errno, `cannot enter network namespace ${namespace}`, {
    syscall: 'setns',
    ...(hint === undefined ? {} : { hint }),
  });
}
