import { ScriptError } from './script.ts';

const SPACE = /(?:[ \t\r\n\f]+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)+/y;
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y;
const ANY_WORD = /[A-Za-z0-9_]+/y;
const INTEGER = /-?\d+(?!\d*\.\d)/y;
const HEXADECIMAL = /0x[0-9a-fA-F]+/y;
const REAL = /-?(?:\d+\.\d+|\.\d+|\d+)/y;
const STRING = /"((?:\\[\s\S]|[^"\\])*)"/y;
const MICROS_PER_SECOND = 1e6;

/** Reads the text of a script from front to back. */
export class Scanner {
  readonly path: string;
  readonly #text: string;
  readonly #defines: ReadonlyMap<string, string>;
  #at = 0;
  #line = 1;
  /** Where `#line` was counted up to. */
  #lineAt = 0;

  /**
   * @param path for messages.
   * @param defines words that stand for others, as given with `-D name=value`.
   */
  constructor(text: string, path: string, defines: ReadonlyMap<string, string>) {
    this.#text = text;
    this.path = path;
    this.#defines = defines;
  }

  get line(): number {
    for (; this.#lineAt < this.#at; this.#lineAt++) if (this.#text[this.#lineAt] === '\n') this.#line++;
    return this.#line;
  }

  get isAtEnd(): boolean {
    this.#skipSpace();
    return this.#at >= this.#text.length;
  }

  fail(what: string): never {
    throw new ScriptError(this.path, this.line, what);
  }

  /** Fails with what stands here. */
  unexpected(wanted: string): never {
    this.#skipSpace();
    const rest = this.#text.slice(this.#at, this.#at + 40).split('\n', 1)[0]!;
    this.fail(rest === '' ? `the script ends where there should be ${wanted}` : `${wanted} expected before '${rest}'`);
  }

  /** Takes what a sticky expression matches here, after white space and comments; null if it does not match. */
  match(expression: RegExp): RegExpExecArray | null {
    this.#skipSpace();
    return this.matchHere(expression);
  }

  /** The same without skipping anything. */
  matchHere(expression: RegExp): RegExpExecArray | null {
    expression.lastIndex = this.#at;
    const found = expression.exec(this.#text);
    if (found !== null) this.#at += found[0].length;
    return found;
  }

  /** Takes `literal` if it stands here. */
  take(literal: string): boolean {
    this.#skipSpace();
    if (!this.#text.startsWith(literal, this.#at)) return false;
    this.#at += literal.length;
    return true;
  }

  expect(literal: string): void {
    if (!this.take(literal)) this.unexpected(`'${literal}'`);
  }

  isNext(literal: string): boolean {
    this.#skipSpace();
    return this.#text.startsWith(literal, this.#at);
  }

  /** A name; definitions are looked up. Null: none stands here. */
  word(): string | null {
    const found = this.match(WORD);
    return found === null ? null : this.#meaning(found[0]);
  }

  /** A name that may begin with a digit: the digits of a cookie. */
  anyWord(): string | null {
    const found = this.match(ANY_WORD);
    return found === null ? null : this.#meaning(found[0]);
  }

  /** Takes a name if it is this one. */
  takeWord(name: string): boolean {
    this.#skipSpace();
    const start = this.#at;
    const found = this.matchHere(WORD);
    if (found !== null && found[0] === name) return true;
    this.#at = start;
    return false;
  }

  /** A decimal or hexadecimal integer, or null. */
  integer(): number | null {
    const hexadecimal = this.match(HEXADECIMAL);
    if (hexadecimal !== null) return Number(hexadecimal[0]);
    const decimal = this.matchHere(INTEGER);
    return decimal === null ? null : Number(decimal[0]);
  }

  expectInteger(what: string): number {
    return this.integer() ?? this.unexpected(what);
  }

  /** Seconds as written, as microseconds; null if no number stands here. */
  seconds(): number | null {
    const found = this.match(REAL);
    return found === null ? null : Math.round(Number(found[0]) * MICROS_PER_SECOND);
  }

  /** A quoted string with its escapes resolved, or null. */
  string(): string | null {
    const found = this.match(STRING);
    return found === null ? null : unescape(found[1]!);
  }

  #meaning(word: string): string {
    return this.#defines.get(word) ?? word;
  }

  #skipSpace(): void {
    SPACE.lastIndex = this.#at;
    const found = SPACE.exec(this.#text);
    if (found !== null) this.#at += found[0].length;
    else if (this.#text.startsWith('/*', this.#at)) this.fail("a comment begins with '/*' and never ends");
  }
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '0': '\0' };

function unescape(text: string): string {
  return text.replace(/\\x([0-9a-fA-F]{2})|\\([\s\S])/g, (_, byte: string | undefined, letter: string) =>
    byte === undefined ? (ESCAPES[letter] ?? letter) : String.fromCharCode(Number.parseInt(byte, 16)),
  );
}
