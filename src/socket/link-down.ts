import { ERRNO } from '../core/errno.ts';
import { errnoError, type DevmemError } from '../core/errors.ts';

/** What an ENETDOWN of ours means: the only way for a link to go down is for good. */
export const LINK_DOWN_HINT =
  'the interface was deleted while the host was open: make it again, and open another host on it';

/** The error of everything that needs the link once it is gone. */
export function linkDown(linkName: string, syscall: string): DevmemError {
  return errnoError(ERRNO.ENETDOWN, `${syscall}: the link ${linkName} is gone`, { syscall, hint: LINK_DOWN_HINT });
}
