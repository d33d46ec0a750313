import { DevmemError } from '../core/errors.ts';

/** What the process answers to its caller. Documented in `--help`, docs/cli.md and the man pages from `EXIT_MEANINGS`. */
export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
export const EXIT_VERIFICATION = 3;
/** The environment cannot: no root, no TUN device, no such exporter on this machine (kselftest's SKIP). */
export const EXIT_ENVIRONMENT = 4;
export const EXIT_INTERRUPTED = 130;
export const EXIT_TERMINATED = 143;

export const EXIT_MEANINGS: readonly (readonly [code: number, meaning: string])[] = [
  [EXIT_OK, 'done'],
  [EXIT_FAILED, 'the operation failed: network, file or disk'],
  [EXIT_USAGE, 'usage: a flag, an argument or a setting is wrong'],
  [EXIT_VERIFICATION, 'data verification failed'],
  [EXIT_ENVIRONMENT, 'this environment cannot: no privilege, device or kernel feature'],
  [EXIT_INTERRUPTED, 'ended by SIGINT (Ctrl-C), after the partial result'],
  [EXIT_TERMINATED, 'ended by SIGTERM, after the partial result'],
];

/** Something is wrong with what the user typed: exit code 2, one line, one hint. */
export class UsageError extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.name = 'UsageError';
    this.hint = hint;
  }
}

/** A failure whose exit code the command knows better than the error does. */
export class ExitError extends Error {
  readonly exitCode: number;
  readonly hint: string | undefined;

  constructor(exitCode: number, cause: unknown, hint?: string) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = 'ExitError';
    this.exitCode = exitCode;
    this.hint = hint;
  }
}

const ENVIRONMENT_CODES: ReadonlySet<string> = new Set(['ERR_DEVMEM_ENVIRONMENT', 'ERR_DEVMEM_UNSUPPORTED']);
const USAGE_CODES: ReadonlySet<string> = new Set(['ERR_DEVMEM_INVALID_ARGUMENT', 'ERR_DEVMEM_UNKNOWN_EXPORTER']);

/** The exit code that an error means. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof ExitError) return error.exitCode;
  if (error instanceof UsageError) return EXIT_USAGE;
  if (error instanceof DevmemError) {
    if (USAGE_CODES.has(error.code)) return EXIT_USAGE;
    if (ENVIRONMENT_CODES.has(error.code)) return EXIT_ENVIRONMENT;
    if (error.code === 'ERR_DEVMEM_VERIFICATION') return EXIT_VERIFICATION;
  }
  return EXIT_FAILED;
}

/** What opening a link or allocating memory answers when the machine, and not the user, is the reason. */
const UNABLE: ReadonlySet<string> = new Set([
  'EPERM',
  'EACCES',
  'ENOENT',
  'ENODEV',
  'ENXIO',
  'ENOTTY',
  'EOPNOTSUPP',
  'EPROTONOSUPPORT',
]);

/** Wraps an error met while the environment was being set up, so that a lack of privilege or device exits with 4. */
export function setupError(error: unknown): unknown {
  if (error instanceof DevmemError && UNABLE.has(error.code)) return new ExitError(EXIT_ENVIRONMENT, error);
  return error;
}
