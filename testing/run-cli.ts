import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The built command beside the built tests, wherever the build has put both. */
export const CLI_MAIN: string = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));

export interface CliRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

/** Nothing of the developer's terminal leaks in: no colour, no locale, no settings. */
const BARE_ENVIRONMENT: Readonly<Record<string, string>> = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C.UTF-8' };

/** Starts the command; the caller talks to it. */
export function startCli(args: readonly string[], options: CliOptions = {}): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, [CLI_MAIN, ...args], { env: { ...BARE_ENVIRONMENT, ...options.env } });
}

/** Waits for the end of a started command and collects what it said. */
export function finished(child: ChildProcessWithoutNullStreams): Promise<CliRun> {
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** Runs the command to its end. */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliRun> {
  const child = startCli(args, options);
  child.stdin.end(options.input ?? '');
  return finished(child);
}
