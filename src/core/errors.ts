import { ERRNO, errnoName, type ErrnoName } from './errno.ts';

/** Codes for callers' mistakes and conditions that no errno names. */
export type DevmemCode =
  | 'ERR_DEVMEM_INVALID_ARGUMENT'
  | 'ERR_DEVMEM_UNKNOWN_EXPORTER'
  | 'ERR_DEVMEM_UNSUPPORTED'
  | 'ERR_DEVMEM_ENVIRONMENT'
  | 'ERR_DEVMEM_DISPOSED'
  | 'ERR_DEVMEM_ABORTED'
  | 'ERR_DEVMEM_VERIFICATION';

export interface DevmemErrorOptions {
  /** What to do about it: one sentence, shown to the user as `hint: ...`. */
  hint?: string;
  /** The call that failed, by its kernel name (`recvmsg`, `TUNSETIFF`). */
  syscall?: string;
  cause?: unknown;
}

/**
 * Every exception this package throws on purpose. `code` is stable and meant for programs; the message says what
 * failed and where; `hint` says what to do. System-level failures carry the errno's name as `code` and `errno`
 * negated, as Node's own errors do.
 */
export class DevmemError extends Error {
  readonly code: DevmemCode | ErrnoName;
  readonly errno: number | undefined;
  readonly syscall: string | undefined;
  readonly hint: string | undefined;

  constructor(code: DevmemCode | ErrnoName, message: string, options: DevmemErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'DevmemError';
    this.code = code;
    this.errno = code in ERRNO ? -ERRNO[code as ErrnoName] : undefined;
    this.syscall = options.syscall;
    this.hint = options.hint;
  }
}

/** An error for the errno that a call returned (either sign): `where: Operation (ENAME)` in the manner of libc. */
export function errnoError(errno: number, where: string, options: DevmemErrorOptions = {}): DevmemError {
  const name = errnoName(errno) ?? 'EIO';
  const suffix = errnoName(errno) === undefined ? `errno ${Math.abs(errno)}` : name;
  return new DevmemError(name, `${where} (${suffix})`, options);
}

/** A caller's mistake: the argument, what is wrong with it, and what to do. */
export function invalidArgument(message: string, hint?: string): DevmemError {
  return new DevmemError('ERR_DEVMEM_INVALID_ARGUMENT', message, hint === undefined ? {} : { hint });
}
