import type { Command } from 'commander';
import { appendPage, bareCommand, setPage, type Act } from './command.ts';
import { completionCommand } from './commands/completion.ts';
import { demoCommand } from './commands/demo.ts';
import { helpCommand } from './commands/help.ts';
import { recvCommand } from './commands/recv.ts';
import { sendCommand } from './commands/send.ts';
import type { Style } from './ui/style.ts';
import { packageVersion } from './version.ts';

/** A tree for printing: nothing in it runs. */
export const inert: Act = () => () => Promise.resolve();

/**
 * The whole command tree: what is parsed, and what help, docs/cli.md, the man pages and the completions are made from.
 * The engine is loaded by a command's action, never by the tree.
 */
export function buildProgram(style: Style, act: Act): Command {
  const program = bareCommand('devmem-tcp', true, style)
    .description(
      'Device Memory TCP: the payload of a TCP stream goes from the link straight into device memory, its headers to host memory.',
    )
    .usage('<command> [options]')
    .version(`devmem-tcp ${packageVersion()}`, '-V, --version', 'print the version');
  for (const make of [demoCommand, recvCommand, sendCommand, completionCommand, helpCommand]) {
    program.addCommand(make(style, act));
  }
  setPage(program, {
    details: [],
    examples: [
      { command: 'devmem-tcp demo', comment: 'see it work: no root, no network, a few seconds' },
      {
        command: 'sudo devmem-tcp recv --link tap:dm0 --address 10.77.0.2/24 --peer-address 10.77.0.1/24',
        comment: 'receive what "nc 10.77.0.2 5201" on this machine sends',
      },
    ],
  });
  appendPage(program, style, true);
  for (const command of program.commands) appendPage(command, style, false);
  return program;
}
