import { readFileSync } from 'node:fs';
import { CommanderError, type Command, type Option } from 'commander';
import { adviceText } from './command.ts';
import { UsageError } from './exit.ts';

/**
 * Where a setting comes from: flag, then `DEVMEM_TCP_*`, then `--config FILE`, then its default. Commander has already
 * read the flags when this runs; the rest is filled in here, through the same parsers, so a bad value in a file is
 * refused in the same words as a bad flag.
 */

const PREFIX = 'DEVMEM_TCP_';
const TRUE: ReadonlySet<string> = new Set(['1', 'true', 'yes', 'on']);
const FALSE: ReadonlySet<string> = new Set(['0', 'false', 'no', 'off', '']);
/** These steer where settings come from, or ask for something else than a run: they are flags only. */
const FLAG_ONLY: ReadonlySet<string> = new Set(['help', 'version', 'print-config', 'man', 'markdown']);

type Source = 'env' | 'config';
type Settings = Readonly<Record<string, unknown>>;

/** `max-chunk` and `no-offload` as they stand after the dashes. */
function optionKey(option: Option): string {
  return option.long!.slice(2);
}

/** The environment variable of an option: `--max-chunk` is DEVMEM_TCP_MAX_CHUNK. */
export function environmentName(option: Option): string {
  return PREFIX + optionKey(option).toUpperCase().replaceAll('-', '_');
}

export function isSettable(option: Option): boolean {
  return !FLAG_ONLY.has(optionKey(option)) && !option.hidden;
}

/** Fills in what the flags left open. */
export function resolveSettings(command: Command, environment: Readonly<Record<string, string | undefined>>): void {
  for (const option of command.options) {
    const name = environmentName(option);
    const value = environment[name];
    if (value !== undefined && isSettable(option) && isOpen(command, option))
      apply(command, option, value, 'env', name);
  }
  const file = command.opts<{ config?: string }>().config;
  if (file !== undefined) applyFile(command, file);
}

function isOpen(command: Command, option: Option): boolean {
  const source = command.getOptionValueSource(option.attributeName());
  return source === undefined || source === 'default';
}

function applyFile(command: Command, file: string): void {
  const document = readDocument(file);
  const siblings = new Set(command.parent!.commands.map((sibling) => sibling.name()));
  const known = new Set(
    command.parent!.commands.flatMap((sibling) => sibling.options.map((option) => optionKey(option))),
  );
  const own = document[command.name()] ?? {};
  if (!isSettings(own)) throw new UsageError(`${file}: "${command.name()}" must hold an object of settings`);
  for (const key of Object.keys(document)) {
    if (!siblings.has(key) && !known.has(key)) throw unknownSetting(file, key, [...known]);
  }
  const options = new Map(
    command.options.filter((option) => isSettable(option)).map((option) => [optionKey(option), option]),
  );
  for (const key of Object.keys(own)) {
    if (!options.has(key)) throw unknownSetting(file, `${command.name()}.${key}`, [...options.keys()]);
  }
  for (const [key, option] of options) {
    const value = own[key] ?? document[key];
    if (value !== undefined && value !== null && isOpen(command, option)) {
      apply(command, option, value, 'config', `${file}: "${key}"`);
    }
  }
}

function unknownSetting(file: string, key: string, known: readonly string[]): UsageError {
  return new UsageError(
    `${file}: unknown setting "${key}"`,
    `settings are named as the flags are: ${known.slice(0, 6).join(', ')}, ...`,
  );
}

function isSettings(value: unknown): value is Settings {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readDocument(file: string): Settings {
  let document: unknown;
  try {
    document = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--config ${file}: ${reason}`, '--print-config prints a file to start from');
  }
  if (!isSettings(document)) throw new UsageError(`--config ${file}: not a JSON object of settings`);
  return document;
}

function apply(command: Command, option: Option, value: unknown, source: Source, where: string): void {
  command.setOptionValueWithSource(option.attributeName(), convert(option, value, where), source);
}

function convert(option: Option, value: unknown, where: string): unknown {
  if (optionKey(option) === 'verbose' && /^[0-2]$/.test(String(value))) return Number(value);
  if (!option.required && !option.optional) {
    const on = asBoolean(value, where);
    return option.negate ? !on : on;
  }
  const texts = (Array.isArray(value) ? value : [value]).map(String);
  try {
    let parsed: unknown;
    for (const text of texts) parsed = option.parseArg === undefined ? text : option.parseArg<unknown>(text, parsed);
    return parsed;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    throw new UsageError(`${where}: "${texts.join(',')}" is invalid`, adviceText(error.message));
  }
}

function asBoolean(value: unknown, where: string): boolean {
  const text = String(value).toLowerCase();
  if (TRUE.has(text)) return true;
  if (FALSE.has(text)) return false;
  throw new UsageError(`${where}: "${text}" is neither true nor false`);
}

/** The settings in force, as a document that `--config` takes. */
export function printableSettings(command: Command): string {
  const values = command.opts<Record<string, unknown>>();
  const own: Record<string, unknown> = {};
  for (const option of command.options) {
    if (!isSettable(option) || optionKey(option) === 'config') continue;
    const value = values[option.attributeName()];
    if (value !== undefined) own[optionKey(option)] = option.negate ? value === false : value;
  }
  return JSON.stringify({ [command.name()]: own }, null, 2);
}
