import { ERRNO } from '../../src/core/errno.ts';
import type { Expression } from './script.ts';
import { SYMBOLS } from './symbols.ts';

/** Something about a call that cannot be played: what, and what to do. */
export class CallError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CallError';
  }
}

/** An argument that has to be a number. */
export function numberOf(expression: Expression | undefined, what: string): number {
  if (expression === undefined) throw new CallError(`${what} is missing`);
  switch (expression.kind) {
    case 'number':
      return expression.value;
    case 'word': {
      const value = SYMBOLS[expression.name] ?? (ERRNO as Readonly<Record<string, number>>)[expression.name];
      if (value === undefined)
        throw new CallError(`'${expression.name}' (${what}) is no name known here; add it to symbols.ts`);
      return value;
    }
    case 'or':
      return (numberOf(expression.left, what) | numberOf(expression.right, what)) >>> 0;
    case 'call':
      if (expression.name === 'htons') return numberOf(expression.argument, what);
      throw new CallError(`'${expression.name}(...)' is no number (${what})`);
    case 'array':
      if (expression.items.length === 1) return numberOf(expression.items[0], what);
      throw new CallError(`${what} should be one number`);
    default:
      throw new CallError(`${what} should be a number`);
  }
}

/** The number, or null where the script has `...`. */
export function numberOrAnything(expression: Expression | undefined, what: string): number | null {
  if (expression === undefined || expression.kind === 'anything') return null;
  return numberOf(expression, what);
}

export function wordOf(expression: Expression | undefined, what: string): string {
  if (expression?.kind === 'word') return expression.name;
  throw new CallError(`${what} should be a name`);
}

export function itemsOf(expression: Expression | undefined, what: string): readonly Expression[] {
  if (expression?.kind === 'array') return expression.items;
  throw new CallError(`${what} should be a list in [ ]`);
}

export function fieldsOf(expression: Expression | undefined, what: string): ReadonlyMap<string, Expression> {
  if (expression?.kind === 'struct') return expression.fields;
  throw new CallError(`${what} should be a structure in { }`);
}

export function isNull(expression: Expression | undefined): boolean {
  return expression?.kind === 'word' && expression.name === 'NULL';
}

/** Bytes of all buffers of an `[{..., 100}, {..., 50}]`. */
export function vectorSizes(expression: Expression | undefined): number[] {
  return itemsOf(expression, 'msg_iov').map((item) => {
    if (item.kind !== 'struct') throw new CallError('a buffer of msg_iov should look like {..., 1000}');
    return numberOf(item.items[1], 'the size of a buffer');
  });
}
