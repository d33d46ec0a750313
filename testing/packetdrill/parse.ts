import { parsePacket } from './parse-packet.ts';
import { Scanner } from './scanner.ts';
import type { CallAction, EventTime, Expression, Script, ScriptAction, ScriptEvent } from './script.ts';

const OPTION = /--([A-Za-z0-9_]+)(?:=("(?:[^"\n])*"|[^\s]*))?/y;
const COMMAND = /`((?:\\[\s\S]|[^`\\])*)`/y;
const CODE = /%\{([\s\S]*?)\}%/y;
const NOTE = /\(([^()\n]*)\)/y;
const MAX_DEPTH = 20;
const ANY_TIME: EventTime = { mode: 'any', startMicros: 0, endMicros: null };

/**
 * Parses a script.
 * @param path for messages.
 * @param defines what words stand for (`-D name=value`).
 * @throws ScriptError where it is not understood.
 */
export function parseScript(text: string, path: string, defines: ReadonlyMap<string, string> = new Map()): Script {
  const scanner = new Scanner(text, path, defines);
  const options = new Map<string, string>();
  for (let found = scanner.match(OPTION); found !== null; found = scanner.match(OPTION)) {
    options.set(found[1]!, (found[2] ?? '').replaceAll('"', ''));
  }
  const setup: { line: number; text: string }[] = [];
  for (;;) {
    const line = command(scanner);
    if (line === null) break;
    setup.push({ line: scanner.line, text: line });
  }
  const events: ScriptEvent[] = [];
  while (!scanner.isAtEnd) events.push(parseEvent(scanner));
  return { path, options, setup, events };
}

function command(scanner: Scanner): string | null {
  const found = scanner.match(COMMAND);
  if (found === null && scanner.isNext('`'))
    scanner.fail("a command begins with '`' and never ends; close it with '`'");
  return found === null ? null : found[1]!;
}

function parseEvent(scanner: Scanner): ScriptEvent {
  // A command without a time: what cleans up at the end.
  const time = scanner.isNext('`') ? ANY_TIME : parseTime(scanner);
  const { line } = scanner;
  return { line, time, action: parseAction(scanner) };
}

function parseTime(scanner: Scanner): EventTime {
  if (scanner.take('*')) return ANY_TIME;
  const isRelative = scanner.take('+');
  const startMicros = scanner.seconds() ?? scanner.unexpected("the time of an event such as '0', '+0.1' or '*'");
  let endMicros: number | null = null;
  if (scanner.take('~')) {
    if (scanner.take('+') !== isRelative) scanner.fail("'~' joins two times of one kind; write both with '+' or none");
    endMicros = scanner.seconds() ?? scanner.unexpected('the end of a range of time');
    if (endMicros < startMicros) scanner.fail('a range of time ends before it begins; swap its ends');
  }
  return { mode: isRelative ? 'relative' : 'absolute', startMicros, endMicros };
}

function parseAction(scanner: Scanner): ScriptAction {
  if (scanner.take('<')) return parsePacket(scanner, 'in');
  if (scanner.take('>')) return parsePacket(scanner, 'out');
  const text = command(scanner);
  if (text !== null) return { kind: 'command', text };
  if (scanner.isNext('%{')) {
    const { line } = scanner;
    const code = scanner.match(CODE) ?? scanner.fail("code begins with '%{' and never ends; close it with '}%'");
    return { kind: 'code', text: code[1]!, line };
  }
  return parseCall(scanner);
}

function parseCall(scanner: Scanner): CallAction {
  let endMicros: number | null = null;
  if (scanner.take('...')) {
    scanner.take('+');
    endMicros = scanner.seconds() ?? scanner.unexpected('the time when a blocking call ends');
  }
  const name = scanner.word() ?? scanner.unexpected('a packet, a system call, a `command` or %{ code }%');
  scanner.expect('(');
  const items: Expression[] = [];
  if (!scanner.take(')')) {
    do items.push(parseExpression(scanner, 0));
    while (scanner.take(','));
    scanner.expect(')');
  }
  scanner.expect('=');
  const result = parseExpression(scanner, 0);
  const errno = scanner.word();
  scanner.match(NOTE);
  return { kind: 'call', name, arguments: items, result, errno, endMicros };
}

function parseExpression(scanner: Scanner, depth: number): Expression {
  if (depth > MAX_DEPTH) scanner.fail(`brackets nested more than ${MAX_DEPTH} deep; no call takes that`);
  let left = parseTerm(scanner, depth);
  while (scanner.take('|')) left = { kind: 'or', left, right: parseTerm(scanner, depth) };
  return left;
}

function parseTerm(scanner: Scanner, depth: number): Expression {
  if (scanner.take('...')) return { kind: 'anything' };
  const value = scanner.integer();
  if (value !== null) return { kind: 'number', value };
  const text = scanner.string();
  if (text !== null) {
    scanner.take('...');
    return { kind: 'string', text };
  }
  if (scanner.take('[')) return { kind: 'array', items: parseItems(scanner, ']', depth + 1) };
  if (scanner.take('{')) return parseStruct(scanner, depth + 1);
  const name = scanner.word() ?? scanner.unexpected('an argument: a number, a name, a string, [ ], { } or ...');
  if (/^-?\d+$|^0x[0-9a-fA-F]+$/.test(name)) return { kind: 'number', value: Number(name) };
  if (!scanner.take('(')) return { kind: 'word', name };
  const argument = parseExpression(scanner, depth + 1);
  scanner.expect(')');
  return { kind: 'call', name, argument };
}

function parseItems(scanner: Scanner, close: string, depth: number): Expression[] {
  const items: Expression[] = [];
  if (scanner.take(close)) return items;
  do items.push(parseExpression(scanner, depth));
  while (scanner.take(','));
  scanner.expect(close);
  return items;
}

function parseStruct(scanner: Scanner, depth: number): Expression {
  const fields = new Map<string, Expression>();
  const items: Expression[] = [];
  do {
    const item = parseExpression(scanner, depth);
    const name = item.kind === 'word' || item.kind === 'call' ? item.name : null;
    if (name !== null && scanner.take('=')) fields.set(name, parseExpression(scanner, depth));
    else items.push(item);
  } while (scanner.take(','));
  scanner.expect('}');
  return { kind: 'struct', fields, items };
}
