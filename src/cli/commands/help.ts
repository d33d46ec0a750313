import { Argument, Option, type Command } from 'commander';
import { bareCommand, setPage, type Act } from '../command.ts';
import { UsageError } from '../exit.ts';
import type { Style } from '../ui/style.ts';

interface HelpOptions {
  readonly man?: boolean;
  readonly markdown?: boolean;
}

/** `devmem-tcp help [command]`: the same as `--help`, or the man page, or the whole reference. */
export function helpCommand(style: Style, act: Act): Command {
  const command = bareCommand('help', false, style)
    .summary('show help for a command')
    .description('Shows help for a command, its man page, or the whole reference.')
    .addArgument(new Argument('[command]', 'the command to explain'))
    .addOption(new Option('--man', 'print the man page, for man -l or groff').conflicts('markdown'))
    .addOption(new Option('--markdown', 'print the reference of all commands: docs/cli.md'));
  setPage(command, {
    details: [],
    examples: [
      { command: 'devmem-tcp help recv', comment: 'the same as devmem-tcp recv --help' },
      { command: 'devmem-tcp help --man recv | man -l -', comment: 'as a man page' },
    ],
  });
  return command.action(
    act(command, async () => {
      const program = command.parent!;
      const { man, markdown } = command.opts<HelpOptions>();
      const subject = findSubject(program, command.args[0]);
      if (markdown === true) {
        const { renderCliMarkdown } = await import('../docs.ts');
        process.stdout.write(renderCliMarkdown());
      } else if (man === true) {
        const { renderManPage } = await import('../man.ts');
        process.stdout.write(renderManPage(subject));
      } else {
        subject.outputHelp();
      }
      return 0;
    }),
  );
}

function findSubject(program: Command, name: string | undefined): Command {
  if (name === undefined) return program;
  const subject = program.commands.find((candidate) => candidate.name() === name);
  if (subject !== undefined) return subject;
  const names = program.commands.map((candidate) => candidate.name()).join(', ');
  throw new UsageError(`unknown command '${name}'`, `commands: ${names}`);
}
