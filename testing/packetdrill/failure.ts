/** A script does not hold: what, and in which line. */
export class ScriptFailure extends Error {
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.name = 'ScriptFailure';
    this.line = line;
  }
}
