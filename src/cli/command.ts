import { Command, InvalidArgumentError, Option, type Argument, type CommanderError } from 'commander';
import type { CliContext } from './context.ts';
import { EXIT_MEANINGS, EXIT_OK, EXIT_USAGE, UsageError } from './exit.ts';
import { wrap, type ColorChoice, type Style } from './ui/style.ts';
import { parseSize } from './ui/units.ts';

/** What every command understands. */
export interface CommonOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: number;
  readonly progress: boolean;
  readonly color: ColorChoice;
  readonly config?: string;
  readonly printConfig: boolean;
}

export interface Example {
  readonly command: string;
  readonly comment: string;
}

/** What help, docs/cli.md and the man pages say of a command beyond its options. */
export interface CommandPage {
  /** Paragraphs. */
  readonly details: readonly string[];
  readonly examples: readonly Example[];
}

/** What a command does; answers its exit code. */
export type CommandBody = (context: CliContext) => Promise<number>;
/** Binds a command to what it does. */
export type Act = (command: Command, body: CommandBody) => () => Promise<void>;

const pages = new WeakMap<Command, CommandPage>();

export function pageOf(command: Command): CommandPage {
  return pages.get(command) ?? { details: [], examples: [] };
}

export function setPage(command: Command, page: CommandPage): void {
  pages.set(command, page);
}

/** Help ends with the details, the exit codes and two real examples. */
export function appendPage(command: Command, style: Style, isRoot: boolean): void {
  const { details, examples } = pageOf(command);
  const lines: string[] = [];
  for (const paragraph of details) lines.push('', ...wrap(paragraph, style.columns));
  lines.push(
    '',
    style.bold('Exit codes:'),
    ...(isRoot ? exitCodeLines() : wrap(EXIT_CODES_SHORT, style.columns - 2).map((line) => `  ${line}`)),
  );
  if (isRoot) lines.push('', style.bold('Settings:'), ...wrap(SETTINGS, style.columns - 2).map((line) => `  ${line}`));
  lines.push('', style.bold('Examples:'));
  for (const example of examples) {
    lines.push(
      `  ${style.dim(`# ${example.comment}`)}`,
      ...exampleLines(example.command, style.columns - 2).map((line) => `  ${line}`),
    );
  }
  command.addHelpText('after', lines.join('\n'));
}

const EXIT_CODES_SHORT =
  '0 done, 1 failed, 2 usage, 3 verification failed, 4 the environment cannot, 130 and 143 ended by SIGINT and SIGTERM after the partial result';
const SETTINGS =
  'A flag wins over its environment variable (--max-chunk: DEVMEM_TCP_MAX_CHUNK), which wins over the JSON file named by --config, which wins over the default. "devmem-tcp COMMAND --print-config" prints such a file.';

function exitCodeLines(): string[] {
  return EXIT_MEANINGS.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`);
}

/** Breaks a long command line before a flag, as a shell takes it. */
export function exampleLines(command: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of command.split(/ (?=--)/)) {
    if (line !== '' && line.length + word.length + 3 > columns) {
      lines.push(`${line} \\`);
      line = `    ${word}`;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

/** Turns Commander's complaint into ours: one sentence, and its guess at what was meant as the hint. */
function usageError(commandName: string | null, error: CommanderError): UsageError {
  const [first = '', second] = error.message.replace(/^error: /, '').split('\n');
  const help = `see "devmem-tcp ${commandName === null ? '' : `${commandName} `}--help"`;
  const guess = second === undefined ? undefined : /^\(Did you mean (.+)\?\)$/.exec(second)?.[1];
  if (guess !== undefined) return new UsageError(first, `did you mean ${guess}? Or ${help}`);
  const [, complaint, advice] = /^(.+ is invalid(?: for argument .+)?)\. (.+?)\.?$/.exec(first) ?? [];
  return complaint === undefined ? new UsageError(first, help) : new UsageError(complaint, adviceText(advice!));
}

/** Commander's second sentence, as a hint. */
export function adviceText(advice: string): string {
  const text = advice.replace(/\.$/, '').replace('Allowed choices are', 'choose from');
  return text.charAt(0).toLowerCase() + text.slice(1);
}

const COMMANDER_DISPLAYS: ReadonlySet<string> = new Set([
  'commander.helpDisplayed',
  'commander.version',
  'commander.help',
]);

/** Thrown after help or version has been printed: not an error, unless it was printed for want of a command. */
export class Displayed extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super('displayed');
    this.exitCode = exitCode;
  }
}

export const OPTIONS_COMMON = 'Common options:';

/** A command that throws instead of exiting and prints nothing about errors itself. */
export function bareCommand(name: string, isRoot: boolean, style: Style): Command {
  const command = new Command(name);
  command
    .exitOverride((error) => {
      if (COMMANDER_DISPLAYS.has(error.code))
        throw new Displayed(error.code === 'commander.help' ? EXIT_USAGE : EXIT_OK);
      throw usageError(isRoot ? null : name, error);
    })
    .configureOutput({
      outputError: () => undefined,
      getOutHasColors: () => style.color,
      getErrHasColors: () => style.color,
      getOutHelpWidth: () => style.columns,
      getErrHelpWidth: () => style.columns,
    })
    .configureHelp({
      styleTitle: (text) => style.bold(text),
      styleOptionText: (text) => style.cyan(text),
      styleSubcommandText: (text) => style.cyan(text),
      styleArgumentText: (text) => style.cyan(text),
      optionDescription: describeOption,
      argumentDescription: describeArgument,
      subcommandTerm: (sub) => sub.name(),
    })
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
    .showSuggestionAfterError(true);
  return command;
}

/** An option's sentence with its choices and its default, as people write them. */
export function describeOption(option: Option): string {
  const notes: string[] = [];
  if (option.argChoices !== undefined) notes.push(option.argChoices.join(', '));
  const fallback = option.defaultValueDescription ?? option.defaultValue;
  const shown = typeof fallback === 'string' || typeof fallback === 'number';
  if (shown && fallback !== '' && !option.isBoolean()) notes.push(`default ${fallback}`);
  return notes.length === 0 ? option.description : `${option.description} (${notes.join('; ')})`;
}

/** A subcommand; `addCommonOptions` is called when it has its own. */
export function subcommand(name: string, summary: string, style: Style): Command {
  const command = bareCommand(name, false, style).summary(summary);
  command.optionsGroup('Options:');
  return command;
}

/** What every command that does something takes. `shortQuiet` is false where `-q` means queues, as in ncdevmem. */
export function addCommonOptions(command: Command, shortQuiet = true): void {
  command.optionsGroup(OPTIONS_COMMON);
  command
    .addOption(new Option('-J, --json', 'print the result as one JSON document on stdout').default(false))
    .addOption(
      new Option('-v, --verbose', 'say more on stderr; twice for stack traces')
        .argParser((_, count: number) => count + 1)
        .default(0, ''),
    )
    .addOption(
      new Option(shortQuiet ? '-q, --quiet' : '--quiet', 'say nothing on stderr but warnings and errors').default(
        false,
      ),
    )
    .addOption(new Option('--no-progress', 'draw no progress bar'))
    .addOption(new Option('--color <when>', 'colour').choices(['auto', 'always', 'never']).default('auto'))
    .addOption(new Option('--config <file>', 'read settings from a JSON file; flags and DEVMEM_TCP_* win'))
    .addOption(
      new Option('--print-config', 'print the settings that would be used, as such a file, and end').default(false),
    )
    .addHelpOption(new Option('-h, --help', 'show this help').helpGroup(OPTIONS_COMMON));
}

/** An argument's sentence with its choices. */
function describeArgument(argument: Argument): string {
  return argument.argChoices === undefined
    ? argument.description
    : `${argument.description} (${argument.argChoices.join(', ')})`;
}

function reject(expected: string): never {
  throw new InvalidArgumentError(expected);
}

/** Sizes in: `64K`, `256MiB`, `1GB`. */
export function sizeArgument(text: string): number {
  return parseSize(text) ?? reject('Give a size such as 4096, 64K, 256MiB or 1GB.');
}

/** A whole number within bounds. */
export function integerArgument(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    return value >= least && value <= most ? value : reject(`Give a whole number from ${least} to ${most}.`);
  };
}

/** Repeated flags and comma-separated lists add up. */
export function listArgument(text: string, previous: readonly string[] | undefined): readonly string[] {
  const items = text.split(',').map((item) => item.trim());
  if (items.includes('')) reject('Give one or more values, separated by commas.');
  return [...(previous ?? []), ...items];
}
