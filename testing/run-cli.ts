import { spawn, type ChildProcess, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { finished, type Finished } from './finished.ts';
import type { NetworkNamespace } from './netns.ts';

/** The built command beside the built tests, wherever the build has put both. */
export const CLI_MAIN: string = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));

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

/** Runs the command to its end. */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<Finished> {
  const child = startCli(args, options);
  child.stdin.end(options.input ?? '');
  return finished(child);
}

/** A command of the CLI under way in a namespace. */
export interface RunningCli {
  child: ChildProcess;
  /** Resolves at the first stderr line that contains `text`; rejects if the program ends before. */
  says: (text: string) => Promise<void>;
  ended: Promise<Finished>;
}

/** Starts `devmem-tcp ARGS` in a namespace, collecting what it prints. */
export function startCliIn(namespace: NetworkNamespace, args: readonly string[]): RunningCli {
  const child = namespace.start(process.execPath, [CLI_MAIN, ...args]);
  let stdout = '';
  let stderr = '';
  const listeners = new Set<() => void>();
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    for (const listener of listeners) listener();
  });
  const ended = new Promise<Finished>((resolve) => {
    child.once('close', (code, signal) => {
      resolve({ code, signal, stdout, stderr });
      for (const listener of listeners) listener();
    });
  });
  const says = (text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (stderr.includes(text)) resolve();
        else if (child.exitCode !== null) reject(new Error(`devmem-tcp ${args.join(' ')} ended first: ${stderr}`));
        else return;
        listeners.delete(look);
      };
      listeners.add(look);
      look();
    });
  return { child, says, ended };
}
