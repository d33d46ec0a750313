import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { buildRoot } from './project.ts';
import type { Finished, NetworkNamespace } from './netns.ts';

/** A command of the CLI under way in a namespace. */
export interface CliRun {
  child: ChildProcess;
  /** Resolves at the first stderr line that contains `text`; rejects if the program ends before. */
  says: (text: string) => Promise<void>;
  ended: Promise<Finished>;
}

/** Starts `devmem-tcp ARGS` in a namespace, collecting what it prints. */
export function startCli(namespace: NetworkNamespace, args: readonly string[]): CliRun {
  const child = namespace.start(process.execPath, [join(buildRoot, 'src/cli/main.js'), ...args]);
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
