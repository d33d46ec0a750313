import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from './project.ts';

/** The part of JSON Schema that docs/schemas uses. */
export interface Schema {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly minimum?: number;
  readonly pattern?: string;
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return Number.isInteger(value) ? 'integer' : typeof value;
}

function hasType(value: unknown, wanted: string): boolean {
  const type = typeOf(value);
  return type === wanted || (wanted === 'number' && type === 'integer');
}

/** What is wrong with `value`, one line each. Properties that the schema does not know are wrong too: it is ours. */
export function schemaViolations(value: unknown, schema: Schema, path = '$'): string[] {
  const wrong: string[] = [];
  if ('const' in schema && value !== schema.const) wrong.push(`${path} is not ${JSON.stringify(schema.const)}`);
  const types = schema.type === undefined ? null : [schema.type].flat();
  if (types !== null && !types.some((type) => hasType(value, type))) {
    return [...wrong, `${path} is ${typeOf(value)}, not ${types.join(' or ')}`];
  }
  if (typeof value === 'number' && value < (schema.minimum ?? -Infinity)) wrong.push(`${path} is ${value}`);
  if (typeof value === 'string' && schema.pattern !== undefined && !new RegExp(schema.pattern).test(value)) {
    wrong.push(`${path} is "${value}"`);
  }
  if (Array.isArray(value) && schema.items !== undefined) {
    for (const [i, item] of value.entries()) wrong.push(...schemaViolations(item, schema.items, `${path}[${i}]`));
  } else if (typeof value === 'object' && value !== null && schema.properties !== undefined) {
    wrong.push(...objectViolations(value as Record<string, unknown>, schema, path));
  }
  return wrong;
}

function objectViolations(value: Readonly<Record<string, unknown>>, schema: Schema, path: string): string[] {
  const wrong: string[] = [];
  for (const key of schema.required ?? []) {
    if (!(key in value)) wrong.push(`${path}.${key} is missing`);
  }
  for (const [key, entry] of Object.entries(value)) {
    const known = schema.properties![key];
    wrong.push(
      ...(known === undefined
        ? [`${path}.${key} is not in the schema`]
        : schemaViolations(entry, known, `${path}.${key}`)),
    );
  }
  return wrong;
}

/** One of docs/schemas. */
export function readSchema(name: string): Schema {
  return JSON.parse(readFileSync(join(projectRoot, 'docs', 'schemas', `${name}.json`), 'utf8')) as Schema;
}
