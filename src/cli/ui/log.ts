import type { Style } from './style.ts';

/** Where lines for people go: stderr, above the progress bar if there is one. */
export interface LineSink {
  write(text: string): unknown;
}

/** 0 says what matters, 1 (`-v`) adds set-up and tear-down, 2 (`-vv`) adds detail and stack traces; -1 is `--quiet`. */
export type Verbosity = -1 | 0 | 1 | 2;

/** Messages for people, on stderr: never the result. */
export class Log {
  readonly verbosity: Verbosity;
  readonly #sink: LineSink;
  readonly #style: Style;
  #beforeLine: (() => void) | null = null;

  constructor(sink: LineSink, style: Style, verbosity: Verbosity) {
    this.#sink = sink;
    this.#style = style;
    this.verbosity = verbosity;
  }

  /** Called before each line, so that a progress bar can step aside. */
  set beforeLine(callback: (() => void) | null) {
    this.#beforeLine = callback;
  }

  warn(text: string): void {
    this.#line(`${this.#style.yellow('warning:')} ${text}`);
  }

  note(text: string): void {
    if (this.verbosity >= 0) this.#line(text);
  }

  info(text: string): void {
    if (this.verbosity >= 1) this.#line(this.#style.dim(text));
  }

  debug(text: string): void {
    if (this.verbosity >= 2) this.#line(this.#style.dim(text));
  }

  #line(text: string): void {
    this.#beforeLine?.();
    this.#sink.write(`${text}\n`);
  }
}
