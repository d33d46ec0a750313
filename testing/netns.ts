import { execFileSync, spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';

let count = 0;

/**
 * A network namespace of a test's own. Links made in it go with it; `close` ends the processes that were started in it
 * and are still there, by their ids.
 */
export class NetworkNamespace {
  readonly name: string;
  readonly #children = new Set<ChildProcess>();

  constructor() {
    this.name = `dmt-${process.pid}-${++count}`;
    execFileSync('ip', ['netns', 'add', this.name]);
    this.ip('link', 'set', 'lo', 'up');
  }

  /** Runs `ip ARGS` inside and answers what it printed. */
  ip(...args: string[]): string {
    return execFileSync('ip', ['-n', this.name, ...args], { encoding: 'utf8' });
  }

  /** Runs a short program inside to its end and answers what it printed. */
  run(command: string, ...args: string[]): string {
    return execFileSync('ip', ['netns', 'exec', this.name, command, ...args], { encoding: 'utf8', timeout: 30_000 });
  }

  /** Starts a program inside. */
  start(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.name, command, ...args], options);
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  close(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    execFileSync('ip', ['netns', 'del', this.name]);
  }
}
