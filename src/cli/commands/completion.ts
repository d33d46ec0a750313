import { Argument, type Command } from 'commander';
import { bareCommand, setPage, type Act } from '../command.ts';
import type { Shell } from '../completions.ts';
import type { Style } from '../ui/style.ts';

/** `devmem-tcp completion bash|zsh|fish`: a script made from the command tree. */
export function completionCommand(style: Style, act: Act): Command {
  const command = bareCommand('completion', false, style)
    .summary('print a completion script for a shell')
    .description('Prints a completion script for bash, zsh or fish.')
    .addArgument(new Argument('<shell>', 'the shell').choices(['bash', 'zsh', 'fish']));
  setPage(command, {
    details: [],
    examples: [
      { command: 'source <(devmem-tcp completion bash)', comment: 'for this session of bash' },
      {
        command: 'devmem-tcp completion fish > ~/.config/fish/completions/devmem-tcp.fish',
        comment: 'for fish, for good',
      },
    ],
  });
  return command.action(
    act(command, async () => {
      const { renderCompletion } = await import('../completions.ts');
      process.stdout.write(renderCompletion(command.parent!, command.args[0] as Shell));
      return 0;
    }),
  );
}
