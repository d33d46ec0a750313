/**
 * The little Python that scripts use between `%{` and `}%`: `assert condition, message`, assignments, and expressions of
 * names, numbers, strings, arithmetic, bits, comparisons, `and`, `or`, `not`, and `'text %d' % value`.
 */
export type Value = number | string | boolean | null | readonly Value[];

/** What is wrong with a piece of code, or that an assertion does not hold. */
export class CodeError extends Error {
  /** From the first line of the code, 0 on. */
  readonly line: number;
  constructor(line: number, message: string) {
    super(message);
    this.name = 'CodeError';
    this.line = line;
  }
}

const TOKEN =
  /[ \t]*(?:(\d+\.\d*|\.\d+|0x[0-9a-fA-F]+|\d+)|([A-Za-z_]\w*)|('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(\*\*|<<|>>|<=|>=|==|!=|\/\/|[-+*/%&|^~<>()=,[\]]))/y;

/**
 * Runs code.
 * @throws CodeError where it is not understood or an assertion fails.
 */
export function runCode(code: string, names: ReadonlyMap<string, Value>): void {
  const scope = new Map(names);
  const lines = code.replaceAll(/\\[ \t]*\n/g, ' \u0001').split('\n');
  let number = 0;
  for (const line of lines) {
    const joined = line.split('\u0001').length - 1;
    for (const statement of splitStatements(line.replaceAll('\u0001', ' '))) runStatement(statement, number, scope);
    number += 1 + joined;
  }
}

/** At `;` outside of strings; comments are dropped. */
function splitStatements(line: string): string[] {
  const statements: string[] = [''];
  let quote = '';
  for (const letter of line) {
    if (quote === '' && letter === '#') break;
    if (quote === '' && letter === ';') {
      statements.push('');
      continue;
    }
    if (quote === '' && (letter === "'" || letter === '"')) quote = letter;
    else if (letter === quote) quote = '';
    statements[statements.length - 1] += letter;
  }
  return statements.map((statement) => statement.trim()).filter((statement) => statement !== '');
}

function runStatement(text: string, line: number, scope: Map<string, Value>): void {
  const reader = new Reader(text, line, scope);
  if (reader.take('assert')) {
    const condition = reader.expression();
    const message = reader.take(',') ? reader.expression() : null;
    reader.end();
    if (!isTrue(condition)) throw new CodeError(line, `${text}${message === null ? '' : `: ${show(message)}`}`);
    return;
  }
  if (text === 'pass' || text.startsWith('import ') || text.startsWith('print')) return;
  const assigned = /^([A-Za-z_]\w*)\s*=(?!=)/.exec(text);
  if (assigned !== null) {
    const value = new Reader(text.slice(assigned[0].length), line, scope);
    scope.set(assigned[1]!, value.expression());
    value.end();
    return;
  }
  reader.expression();
  reader.end();
}

class Reader {
  readonly #tokens: string[] = [];
  readonly #line: number;
  readonly #scope: ReadonlyMap<string, Value>;
  #at = 0;
  #depth = 0;

  constructor(text: string, line: number, scope: ReadonlyMap<string, Value>) {
    this.#line = line;
    this.#scope = scope;
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.length && text.slice(TOKEN.lastIndex).trim() !== '') {
      const start = TOKEN.lastIndex;
      const found = TOKEN.exec(text);
      if (found === null)
        this.fail(`'${text.slice(start).trim()}' is not understood; use names, numbers and operators`);
      this.#tokens.push(found[0].trim());
    }
  }

  fail(message: string): never {
    throw new CodeError(this.#line, message);
  }

  take(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false;
    this.#at++;
    return true;
  }

  end(): void {
    const rest = this.#tokens[this.#at];
    if (rest !== undefined) this.fail(`'${rest}' is not expected here`);
  }

  expression(): Value {
    if (++this.#depth > 50) this.fail('brackets nested too deep');
    let left = this.#and();
    while (this.take('or')) {
      const right = this.#and();
      left = isTrue(left) ? left : right;
    }
    this.#depth--;
    return left;
  }

  #and(): Value {
    let left = this.#not();
    while (this.take('and')) {
      const right = this.#not();
      left = isTrue(left) ? right : left;
    }
    return left;
  }

  #not(): Value {
    let isNegated = false;
    let isAny = false;
    while (this.take('not')) {
      isNegated = !isNegated;
      isAny = true;
    }
    const value = this.#comparison();
    return isAny ? isTrue(value) !== isNegated : value;
  }

  #comparison(): Value {
    let left = this.#binary(0);
    let result: Value | undefined;
    for (;;) {
      const operator = ['==', '!=', '<=', '>=', '<', '>', 'in'].find((candidate) => this.take(candidate));
      if (operator === undefined) return result ?? left;
      const right = this.#binary(0);
      const holds = this.#compare(operator, left, right);
      result = (result ?? true) && holds;
      left = right;
    }
  }

  #compare(operator: string, left: Value, right: Value): boolean {
    if (operator === '==') return same(left, right);
    if (operator === '!=') return !same(left, right);
    if (operator === 'in') return Array.isArray(right) && right.some((item) => same(item as Value, left));
    const a = this.#number(left);
    const b = this.#number(right);
    if (operator === '<') return a < b;
    if (operator === '>') return a > b;
    return operator === '<=' ? a <= b : a >= b;
  }

  #binary(level: number): Value {
    const operators = LEVELS[level];
    if (operators === undefined) return this.#unary();
    let left = this.#binary(level + 1);
    for (;;) {
      const operator = operators.find((candidate) => this.take(candidate));
      if (operator === undefined) return left;
      const right = this.#binary(level + 1);
      left = operator === '%' && typeof left === 'string' ? format(left, right) : this.#apply(operator, left, right);
    }
  }

  #apply(operator: string, left: Value, right: Value): number {
    const a = this.#number(left);
    const b = this.#number(right);
    switch (operator) {
      case '|':
        return Number(bits(a) | bits(b));
      case '^':
        return Number(bits(a) ^ bits(b));
      case '&':
        return Number(bits(a) & bits(b));
      case '<<':
        return a * 2 ** b;
      case '>>':
        return Math.floor(a / 2 ** b);
      case '+':
        return a + b;
      case '-':
        return a - b;
      case '*':
        return a * b;
      case '/':
        return a / b;
      case '//':
        return Math.floor(a / b);
      default:
        return a - Math.floor(a / b) * b;
    }
  }

  #unary(): Value {
    if (this.take('-')) return -this.#number(this.#unary());
    if (this.take('+')) return this.#number(this.#unary());
    if (this.take('~')) return -this.#number(this.#unary()) - 1;
    return this.#atom();
  }

  #atom(): Value {
    const token = this.#tokens[this.#at++];
    if (token === undefined) return this.fail('the code ends in the middle of an expression');
    if (/^[\d.]/.test(token)) return Number(token);
    if (/^['"]/.test(token)) return token.slice(1, -1);
    if (token === '(' || token === '[') return this.#group(token === '(' ? ')' : ']');
    if (token === 'True') return true;
    if (token === 'False') return false;
    if (token === 'None') return null;
    if (/^[A-Za-z_]/.test(token) && this.take('(')) return this.#call(token);
    const value = this.#scope.get(token);
    if (value === undefined) return this.fail(`the name '${token}' is not known here`);
    return value;
  }

  #group(close: string): Value {
    const items: Value[] = [];
    let isTuple = close === ']';
    while (!this.take(close)) {
      items.push(this.expression());
      if (this.take(',')) isTuple = true;
      else if (this.#tokens[this.#at] !== close) this.fail(`'${close}' expected`);
    }
    return isTuple ? items : items[0]!;
  }

  #call(name: string): Value {
    const values = this.#group(')');
    const numbers = (Array.isArray(values) ? values : [values]).map((value) => this.#number(value as Value));
    if (name === 'abs') return Math.abs(numbers[0]!);
    if (name === 'min') return Math.min(...numbers);
    if (name === 'max') return Math.max(...numbers);
    if (name === 'int') return Math.trunc(numbers[0]!);
    return this.fail(`the function '${name}' is not known here; there are abs, min, max and int`);
  }

  #number(value: Value): number {
    if (typeof value === 'boolean') return value ? 1 : 0;
    if (typeof value !== 'number') return this.fail(`${show(value)} is not a number`);
    return value;
  }
}

/** From the loosest to the tightest. */
const LEVELS: readonly (readonly string[])[] = [['|'], ['^'], ['&'], ['<<', '>>'], ['+', '-'], ['*', '//', '/', '%']];

function bits(value: number): bigint {
  return Number.isFinite(value) ? BigInt(Math.trunc(value)) : 0n;
}

function isTrue(value: Value): boolean {
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
}

function same(left: Value, right: Value): boolean {
  const plain = (value: Value): Value => (typeof value === 'boolean' ? Number(value) : value);
  return plain(left) === plain(right);
}

function show(value: Value): string {
  return Array.isArray(value) ? `(${value.map((item) => show(item as Value)).join(', ')})` : String(value);
}

function format(text: string, value: Value): string {
  const values = Array.isArray(value) ? [...(value as readonly Value[])] : [value];
  return text.replaceAll(/%(?:[-0-9.]*)([dsuxif%])/g, (_, kind: string) => {
    if (kind === '%') return '%';
    const next = values.shift() ?? null;
    return kind === 'x' && typeof next === 'number' ? next.toString(16) : show(next);
  });
}
