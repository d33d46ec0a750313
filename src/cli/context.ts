import type { Command } from 'commander';
import type { CommonOptions } from './command.ts';
import { EXIT_INTERRUPTED, EXIT_TERMINATED } from './exit.ts';
import { Progress } from './ui/bar.ts';
import { Log, type Verbosity } from './ui/log.ts';
import { styleFor, type Style } from './ui/style.ts';

type StopSignal = 'SIGINT' | 'SIGTERM';

/** What a command is given to talk to its user: the result goes to stdout, everything else to stderr. */
export class CliContext {
  readonly command: Command;
  readonly options: CommonOptions;
  readonly args: readonly string[];
  readonly style: Style;
  readonly errorStyle: Style;
  readonly log: Log;
  readonly #abort = new AbortController();
  #stopSignal: StopSignal | null = null;
  readonly #onSignal = (name: NodeJS.Signals): void => this.#stop(name as StopSignal);

  constructor(command: Command) {
    this.command = command;
    this.options = command.opts<CommonOptions>();
    this.args = command.args;
    this.style = styleFor(process.stdout, this.options.color);
    this.errorStyle = styleFor(process.stderr, this.options.color);
    const verbosity = this.options.quiet ? -1 : (Math.min(2, this.options.verbose) as Verbosity);
    this.log = new Log(process.stderr, this.errorStyle, verbosity);
  }

  /** Aborted by the first Ctrl-C or SIGTERM; the second one kills. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get interrupted(): boolean {
    return this.#stopSignal !== null;
  }

  /** `exitCode`, or what a signal that came meanwhile makes of a run that was otherwise all right. */
  exitCode(exitCode: number): number {
    if (this.#stopSignal === null || exitCode !== 0) return exitCode;
    return this.#stopSignal === 'SIGINT' ? EXIT_INTERRUPTED : EXIT_TERMINATED;
  }

  listenForSignals(): void {
    process.on('SIGINT', this.#onSignal);
    process.on('SIGTERM', this.#onSignal);
  }

  stopListening(): void {
    process.off('SIGINT', this.#onSignal);
    process.off('SIGTERM', this.#onSignal);
  }

  /** The result: JSON or a text for people, on stdout or where the payload has stdout for itself, on stderr. */
  result(document: unknown, text: () => string, stream: 'stdout' | 'stderr' = 'stdout'): void {
    const output = this.options.json ? `${JSON.stringify(document, null, 2)}\n` : `${text()}\n`;
    if (stream === 'stdout') process.stdout.write(output);
    else if (this.options.json || !this.options.quiet) process.stderr.write(output);
  }

  /** A running progress bar, or null where nobody would see it. */
  progress(label: string, read: () => { doneBytes: number; totalBytes: number | null }): Progress | null {
    const { json, quiet, progress } = this.options;
    if (!process.stderr.isTTY || json || quiet || !progress) return null;
    const bar = new Progress(process.stderr, this.errorStyle, label, read);
    this.log.beforeLine = () => bar.clear();
    bar.start();
    return bar;
  }

  #stop(name: StopSignal): void {
    if (this.#stopSignal !== null) {
      // Not process.exit: that waits for threads, and one may be stuck in the very call that the user is tired of.
      this.stopListening();
      process.kill(process.pid, name);
      return;
    }
    this.#stopSignal = name;
    if (process.stderr.isTTY) this.log.note('\rending; once more to kill');
    this.#abort.abort(new Error(name));
  }
}
