import type { Command } from 'commander';
import { Displayed, type CommonOptions } from './command.ts';
import { CliContext } from './context.ts';
import { EXIT_FAILED, ExitError, exitCodeOf } from './exit.ts';
import { buildProgram } from './program.ts';
import { renderError } from './report-error.ts';
import { printableSettings, resolveSettings } from './settings.ts';
import { styleFor, type ColorChoice, type Style } from './ui/style.ts';

/** What `--color` says, before anything is parsed: help and usage errors are coloured too. */
function colorChoice(argv: readonly string[]): ColorChoice {
  const index = argv.findIndex((word) => word === '--color' || word.startsWith('--color='));
  const value =
    index < 0 ? 'auto' : argv[index] === '--color' ? argv[index + 1] : argv[index]!.slice('--color='.length);
  return value === 'always' || value === 'never' ? value : 'auto';
}

/**
 * The reader of our result has gone (`| head`): nothing is left to say, and that is no fault. A result that cannot be
 * written for another reason (a full disk) is one.
 */
function watchOutputs(commandName: string | undefined, style: Style): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit();
    const hint = 'the result could not be written: free some space, or send stdout elsewhere';
    const failure = new ExitError(EXIT_FAILED, Object.assign(error, { path: 'stdout' }), hint);
    process.stderr.write(renderError(commandName ?? null, failure, style, false));
    process.exit(EXIT_FAILED);
  });
  process.stderr.on('error', () => undefined);
}

/** Parses the command line and runs it. @returns the exit code; everything there is to say has been printed. */
export async function run(argv: readonly string[]): Promise<number> {
  const color = colorChoice(argv);
  let exitCode = 0;
  const program = buildProgram(styleFor(process.stdout, color), (command, body) => async () => {
    resolveSettings(command, process.env);
    if (command.opts<CommonOptions>().printConfig) {
      process.stdout.write(`${printableSettings(command)}\n`);
      return;
    }
    const context = new CliContext(command);
    context.listenForSignals();
    try {
      exitCode = context.exitCode(await body(context));
    } finally {
      context.stopListening();
    }
  });
  const commandName = program.commands.find((candidate) => candidate.name() === argv[0])?.name();
  watchOutputs(commandName, styleFor(process.stderr, color));
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof Displayed) return error.exitCode;
    const command = program.commands.find((candidate) => candidate.name() === argv[0]);
    process.stderr.write(
      renderError(command?.name() ?? null, error, styleFor(process.stderr, color), wantsStack(command, argv)),
    );
    return exitCodeOf(error);
  }
  return exitCode;
}

function wantsStack(command: Command | undefined, argv: readonly string[]): boolean {
  return (command?.opts<CommonOptions>().verbose ?? 0) >= 2 || argv.includes('-vv');
}
