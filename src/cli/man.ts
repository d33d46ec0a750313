import type { Command } from 'commander';
import { describeOption, pageOf } from './command.ts';
import { EXIT_MEANINGS } from './exit.ts';
import { environmentName, isSettable } from './settings.ts';
import { packageVersion } from './version.ts';

/** Protects what roff would read as a request, an escape or a hyphen. */
function roff(text: string): string {
  return text
    .replaceAll('\\', String.raw`\e`)
    .replaceAll('-', String.raw`\-`)
    .replaceAll(/^([.'])/gm, String.raw`\&$1`);
}

function item(term: string, text: string): string[] {
  return ['.TP', `\\fB${roff(term)}\\fR`, roff(text)];
}

function optionItems(command: Command): string[] {
  const visible = command.createHelp().visibleOptions(command);
  return visible.length === 0
    ? []
    : ['.SH OPTIONS', ...visible.flatMap((option) => item(option.flags, describeOption(option)))];
}

function environmentItems(command: Command): string[] {
  const settable = command.options.filter((option) => isSettable(option));
  if (settable.length === 0) return [];
  const lines = settable.flatMap((option) => item(environmentName(option), `the same as ${option.long!}; a flag wins`));
  return ['.SH ENVIRONMENT', ...lines, ...item('NO_COLOR, FORCE_COLOR', 'whether output is coloured; --color wins')];
}

/** A man page in section 1 for `devmem-tcp` or one of its commands. */
export function renderManPage(command: Command): string {
  const isRoot = command.parent === null;
  const name = isRoot ? command.name() : `devmem-tcp-${command.name()}`;
  const page = pageOf(command);
  const summary = isRoot ? 'Device Memory TCP' : command.summary();
  const lines = [
    `.TH ${name.toUpperCase()} 1 "" "devmem-tcp ${packageVersion()}" "User Commands"`,
    '.SH NAME',
    `${roff(name)} \\- ${roff(summary)}`,
    '.SH SYNOPSIS',
    `\\fB${roff(command.createHelp().commandUsage(command))}\\fR`,
    '.SH DESCRIPTION',
    roff(command.description()),
    ...page.details.flatMap((paragraph) => ['.PP', roff(paragraph)]),
  ];
  if (command.registeredArguments.length > 0) {
    lines.push(
      '.SH ARGUMENTS',
      ...command.registeredArguments.flatMap((argument) => item(argument.name(), argument.description)),
    );
  }
  if (isRoot) lines.push('.SH COMMANDS', ...command.commands.flatMap((sub) => item(sub.name(), sub.summary())));
  lines.push(...optionItems(command));
  lines.push('.SH EXIT STATUS', ...EXIT_MEANINGS.flatMap(([code, meaning]) => item(String(code), meaning)));
  lines.push(...environmentItems(command));
  lines.push('.SH EXAMPLES');
  for (const example of page.examples)
    lines.push('.PP', roff(`${example.comment}:`), '.PP', '.nf', roff(`    ${example.command}`), '.fi');
  return `${lines.join('\n')}\n`;
}
