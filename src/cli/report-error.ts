import { getSystemErrorMap } from 'node:util';
import { LINK_DOWN_HINT } from '../socket/link-down.ts';
import { EXIT_ENVIRONMENT, EXIT_USAGE, ExitError, exitCodeOf } from './exit.ts';
import type { Style } from './ui/style.ts';

interface ErrorFacts {
  readonly message: string;
  readonly code: string | undefined;
  readonly hint: string | undefined;
}

/** What to do, for the errors that carry no hint of their own. */
const HINTS: Readonly<Record<string, string>> = {
  EPERM: 'needs CAP_NET_ADMIN: run it as root or under "unshare -Urn"; "devmem-tcp demo" needs no privilege',
  EACCES: 'check the permissions of the path named above',
  EADDRINUSE: 'choose another --port, or end the process that has it',
  EADDRNOTAVAIL: '--address must be an address of this side of the link',
  ECONNREFUSED: 'nothing listens there: start the receiver first, then check HOST:PORT',
  ECONNRESET: 'the peer ended the connection before everything had arrived',
  EHOSTUNREACH: 'the peer does not answer: check --address, --peer-address and that the peer is up',
  ENETDOWN: LINK_DOWN_HINT,
  ENETUNREACH: 'no route: give --address with the prefix length that contains the peer (10.77.0.2/24)',
  ETIMEDOUT: 'the peer stopped answering: check the link and its firewall',
  ENOTFOUND: 'check the name, or give an address: 10.77.0.1:5201',
  EAI_AGAIN: 'the name servers do not answer: try again, or give an address: 10.77.0.1:5201',
  ENOENT: 'check the name of the file',
  EISDIR: 'name a file, not a directory',
  ENOSPC: 'what had arrived before is kept; free some space or choose another --output',
  EPIPE: 'the reader of the output has gone',
  ENOMEM: 'choose a smaller --size',
};

interface ErrorLike {
  readonly code?: unknown;
  readonly hint?: unknown;
  readonly syscall?: unknown;
  readonly path?: unknown;
  readonly errno?: unknown;
  readonly hostname?: unknown;
}

/** Node writes `ENOSPC: no space left on device, write`; we write `write /full: no space left on device`. */
function systemMessage(error: Error, facts: ErrorLike): string {
  if (facts.syscall === 'getaddrinfo') return `no address is known for ${String(facts.hostname)}`;
  const known = typeof facts.errno === 'number' ? getSystemErrorMap().get(facts.errno) : undefined;
  if (known === undefined || !error.message.startsWith(`${known[0]}:`)) return error.message;
  const where = [facts.syscall, facts.path].filter((part) => typeof part === 'string').join(' ');
  return where === '' ? known[1] : `${where}: ${known[1]}`;
}

function factsOf(error: unknown): ErrorFacts {
  const outer = error instanceof ExitError ? error.hint : undefined;
  const root: unknown = error instanceof ExitError ? error.cause : error;
  if (!(root instanceof Error)) return { message: String(root), code: undefined, hint: outer };
  const like = root as ErrorLike;
  const code = typeof like.code === 'string' ? like.code : undefined;
  const own = typeof like.hint === 'string' ? like.hint : undefined;
  const fallback = code === undefined ? undefined : HINTS[code];
  return { message: systemMessage(root, like).split('\n')[0]!, code, hint: outer ?? own ?? fallback };
}

function stackOf(error: unknown): string {
  const lines: string[] = [];
  for (let at: unknown = error; at instanceof Error; at = at.cause) lines.push(at.stack ?? at.message);
  return lines.join('\ncaused by: ');
}

/**
 * `devmem-tcp: recv: <message> (CODE)` and one `hint:` line; the stack only with `-vv`. An error that nobody expected
 * (a TypeError of ours) says so.
 */
export function renderError(command: string | null, error: unknown, style: Style, withStack: boolean): string {
  const facts = factsOf(error);
  const where = command === null ? 'devmem-tcp' : `devmem-tcp: ${command}`;
  const code = facts.code === undefined || facts.message.includes(`(${facts.code})`) ? '' : ` (${facts.code})`;
  const lines = [`${style.red(`${where}:`)} ${facts.message}${code}`];
  const hint = facts.hint ?? defaultHint(command, error);
  if (hint !== undefined) lines.push(`${style.cyan('hint:')} ${hint}`);
  if (withStack) lines.push(style.dim(stackOf(error)));
  return `${lines.join('\n')}\n`;
}

function defaultHint(command: string | null, error: unknown): string | undefined {
  const exitCode = exitCodeOf(error);
  if (exitCode === EXIT_USAGE) return `see "devmem-tcp ${command === null ? '' : `${command} `}--help"`;
  if (exitCode === EXIT_ENVIRONMENT) return '"devmem-tcp demo" runs anywhere, with no privilege';
  if (error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError) {
    return 'this is a fault of devmem-tcp: run it again with -vv and report what it prints';
  }
  return undefined;
}
